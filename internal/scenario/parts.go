package scenario

import (
	"math"
	"slices"
	"time"
)

// How long a channel counts as missing, at most, after it broke, or fell silent: it takes 9 s to give up a silent one,
// and up to 20 s until a list of members leads to a new one where the first attempt fails.
const (
	brokenFor  = 25 * time.Second
	silentFor  = 35 * time.Second
	frozenFor  = 4500 * time.Millisecond // the longest that a member may stop for and keep its channels: they end 6 s after the last sign of life at the earliest (CHN-19), and that may be 1.5 s old
	joiningFor = 3 * time.Second         // a joiner counts as none that leads to others, in a group that is sound
)

type pair [2]string

func pairOf(a, b string) pair {
	if a > b {
		a, b = b, a
	}
	return pair{a, b}
}

// links is which channels there may be between members, as far as a scenario tells.
type links struct {
	here     []string
	original []string
	cut      map[pair]bool
	down     map[pair]time.Duration   // until when
	new      map[string]time.Duration // until when it counts as joining
	froze    map[string]time.Duration // since when
	frozen   map[string]time.Duration // until when
	dark     bool                     // there is no signaling
	lost     bool                     // somebody left through whom another one may have been joining
}

const forever = time.Duration(math.MaxInt64)

func newLinks(s *Scenario) *links {
	return &links{
		here: slices.Clone(s.Members), original: s.Original, cut: make(map[pair]bool), down: make(map[pair]time.Duration),
		new: make(map[string]time.Duration), froze: make(map[string]time.Duration), frozen: make(map[string]time.Duration),
	}
}

// apply has one step happen, and reports whether channels may be missing that were there.
func (l *links) apply(e Event) bool {
	switch e.Do {
	case Join:
		l.new[e.A] = l.joining(e.At)
		l.here = append(l.here, e.A)
		return false
	case Leave, Die:
		l.here = slices.DeleteFunc(l.here, func(n string) bool { return n == e.A })
		l.lost = slices.ContainsFunc(l.here, func(n string) bool { return l.new[n] > e.At })
	case Break:
		p := pairOf(e.A, e.B)
		l.down[p] = max(l.down[p], l.awake(e)+brokenFor)
		l.delay(e.At, l.awake(e)+brokenFor)
	case Blackhole:
		l.down[pairOf(e.A, e.B)] = l.awake(e) + silentFor
		l.delay(e.At, l.awake(e)+silentFor)
		if slices.Contains(l.original, e.A) || slices.Contains(l.original, e.B) {
			l.lost = true // an original is taken for one that leads to the other as long as it does not notice
		}
	case Freeze:
		l.freeze(e)
	case Cut:
		l.cut[pairOf(e.A, e.B)] = true
		l.delay(e.At, e.At+brokenFor)
	case Split:
		l.delay(e.At, e.At+brokenFor)
		for i, part := range e.Parts {
			for _, other := range e.Parts[:i] {
				for _, a := range part {
					for _, b := range other {
						l.cut[pairOf(a, b)] = true
					}
				}
			}
		}
	case Heal:
		for p := range l.cut {
			if e.A == "" || p == pairOf(e.A, e.B) {
				delete(l.cut, p)
				l.down[p] = e.At + brokenFor
			}
		}
		return false
	case Signaling:
		l.dark = !e.Up
		for name, until := range l.new {
			switch {
			case l.dark && until > e.At: // it may not have got in
				l.new[name] = forever
			case e.Up && until == forever:
				l.new[name] = e.At + silentFor
			}
		}
		return false
	default:
		return false
	}
	return true
}

// joining returns when a member that joins now counts as one of the others.
func (l *links) joining(at time.Duration) time.Duration {
	until := at + joiningFor
	for _, d := range l.down {
		if d > at {
			until = at + brokenFor
		}
	}
	for _, d := range l.frozen {
		if d > at { // it may be the one through whom the joiner comes in
			until = max(until, d+brokenFor)
		}
	}
	if len(l.cut) > 0 {
		until = at + brokenFor
	}
	if l.dark {
		until = forever
	}
	return until
}

// freeze has a member stop for a while.
func (l *links) freeze(e Event) {
	since := e.At
	if until, ok := l.frozen[e.A]; ok && until >= e.At-time.Second { // one goes on in the other
		since = l.froze[e.A]
	}
	l.froze[e.A] = since
	l.frozen[e.A] = max(l.frozen[e.A], e.At+e.For)
	for p, d := range l.down {
		if d > e.At && (p[0] == e.A || p[1] == e.A) {
			l.down[p] = d + e.For
		}
	}
	if l.frozen[e.A]-since > frozenFor || slices.ContainsFunc(l.here, func(n string) bool { return l.new[n] > e.At }) {
		l.lost = true
	}
}

// delay has those who are joining take longer: what they agreed on with others may have been lost with a channel.
func (l *links) delay(at, until time.Duration) {
	for name, joining := range l.new {
		if joining > at {
			l.new[name] = max(joining, until)
		}
	}
}

// awake returns when none of the members of an event is frozen any more.
func (l *links) awake(e Event) time.Duration { return max(e.At, l.frozen[e.A], l.frozen[e.B]) }

func (l *links) up(a, b string, at time.Duration) bool {
	p := pairOf(a, b)
	return !l.cut[p] && l.down[p] <= at
}

// whole reports whether each member can reach each other one for certain, over at most so many others. One that is joining
// leads to nobody, and has all its channels, as no group is sound without. Originals lead to nobody for certain: they
// do not notice that a channel is silent. Nor do those that are frozen.
func (l *links) whole(at time.Duration, over int) bool {
	if l.lost {
		return false
	}
	var sound []string
	for _, a := range l.here {
		if l.new[a] <= at {
			sound = append(sound, a)
			continue
		}
		for _, b := range l.here {
			if a != b && !l.up(a, b, at) {
				return false
			}
		}
	}
	for _, from := range sound {
		reached := map[string]bool{from: true}
		edge := []string{from}
		for range over + 1 {
			if len(reached) == len(sound) {
				break
			}
			var next []string
			for _, a := range edge {
				if a != from && (slices.Contains(l.original, a) || l.frozen[a] > at) {
					continue
				}
				for _, b := range sound {
					if !reached[b] && l.up(a, b, at) {
						reached[b] = true
						next = append(next, b)
					}
				}
			}
			edge = next
		}
		if len(reached) < len(sound) {
			return false
		}
	}
	return true
}

// MaxOver is over how many others a message may go: one that is adjacent, and 3 that are not (MSH-17).
const MaxOver = 4

// Parted reports whether the group may fall apart: at some time one member cannot reach another one for certain, as far as
// the text tells. Channels that break count as missing until a new one is certain to have been built.
func (s *Scenario) Parted() bool {
	l := newLinks(s)
	for _, e := range s.Steps() {
		if l.apply(e) && !l.whole(e.At, MaxOver) {
			return true
		}
	}
	return false
}

// IsSplit reports whether a scenario cuts the group into parts on purpose.
func (s *Scenario) IsSplit() bool {
	return slices.ContainsFunc(s.Events, func(e Event) bool { return e.Do == Split })
}

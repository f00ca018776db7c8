// Package scenario describes what happens to a group of members as plain text: who is there, who joins and leaves, which
// channels break, and who says what when. It reads and writes that text, makes random scenarios from a seed, shrinks one
// that fails, and judges what members tell of a run. How a scenario is run is the business of others: in a simulator,
// in virtual time, or over real sockets. testdata/scenarios/README.md documents the text.
package scenario

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Scenario is a group and what happens to it.
type Scenario struct {
	About    []string // what it shows, a line each
	Members  []string // who has joined, one after the other, when the clock begins
	Original []string // those, of them and of all who join later, that know no contract of delivery
	Listens  []string // those that listen for WebSockets
	Events   []Event  // in the order of their times

	Seed       uint64        // of whatever is left to chance
	MinLatency time.Duration // of what two members send each other, in one direction;
	MaxLatency time.Duration // each pair has its own between these two
	Window     int           // bytes that a member takes early (EXT-2); 0: the default

	WithinLatency time.Duration // how late a message may come at most; 0: not judged
	WithinHeal    time.Duration // how soon after the last mishap all agree again at most; 0: not judged
}

// DefaultLatency is the latency where a scenario gives none.
const DefaultLatency = 5 * time.Millisecond

// A Verb is what happens.
type Verb string

// The verbs. A and B are the members of an [Event].
const (
	Join      Verb = "join"      // A joins, as somebody new
	Leave     Verb = "leave"     // A leaves
	Die       Verb = "die"       // A ends without a goodbye; Silently: not even its transports tell
	Break     Verb = "break"     // the channel between A and B fails, and both notice
	Blackhole Verb = "blackhole" // what goes over the channel between A and B vanishes from now on
	Cut       Verb = "cut"       // like break, and there can be no channel between A and B until they are healed
	Split     Verb = "split"     // cuts every two members of different Parts
	Heal      Verb = "heal"      // takes back the cut between A and B, or all cuts if A is ""
	Freeze    Verb = "freeze"    // A stops for a while, as a stopped process does, and then finds all that came
	Flap      Verb = "flap"      // breaks the channel between A and B again and again
	Signaling Verb = "signaling" // the signaling server goes down or, Up, comes back without what it knew
	Say       Verb = "say"       // A sends a message to B, or to all if B is ""
)

// An Event is what happens at a time.
type Event struct {
	At       time.Duration // since the clock began
	Do       Verb
	A, B     string
	Parts    [][]string
	Silently bool
	Up       bool
	Size     int           // bytes of a message, at least [MinSize]
	Every    time.Duration // from one message, or break, to the next; 0: there is one
	For      time.Duration // as long as it goes on
}

// String returns the line of an event.
func (e Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "at %v %s", e.At, e.Do)
	switch e.Do {
	case Signaling:
		if e.Up {
			b.WriteString(" up")
		} else {
			b.WriteString(" down")
		}
	case Split:
		for i, part := range e.Parts {
			if i > 0 {
				b.WriteString(" |")
			}
			b.WriteString(" " + strings.Join(part, ","))
		}
	case Say:
		b.WriteString(" " + e.A)
		if e.B != "" {
			b.WriteString(" to " + e.B)
		}
		if e.Every > 0 {
			fmt.Fprintf(&b, " every %v for %v", e.Every, e.For)
		}
		if e.Size > MinSize {
			fmt.Fprintf(&b, " of %d", e.Size)
		}
	default:
		for _, name := range []string{e.A, e.B} {
			if name != "" {
				b.WriteString(" " + name)
			}
		}
		switch e.Do {
		case Flap:
			fmt.Fprintf(&b, " every %v for %v", e.Every, e.For)
		case Freeze:
			fmt.Fprintf(&b, " for %v", e.For)
		}
		if e.Silently {
			b.WriteString(" silently")
		}
	}
	return b.String()
}

// String returns the text of a scenario, which [Parse] reads.
func (s *Scenario) String() string {
	var b strings.Builder
	for _, line := range s.About {
		b.WriteString(strings.TrimRight("# "+line, " ") + "\n")
	}
	names := func(key string, names []string) {
		if len(names) > 0 {
			fmt.Fprintf(&b, "%s %s\n", key, strings.Join(collapse(names), " "))
		}
	}
	names("members", s.Members)
	names("original", s.Original)
	names("listens", s.Listens)
	if s.Seed != 0 {
		fmt.Fprintf(&b, "seed %d\n", s.Seed)
	}
	switch {
	case s.MaxLatency > s.MinLatency:
		fmt.Fprintf(&b, "latency %v %v\n", s.MinLatency, s.MaxLatency)
	case s.MinLatency > 0 && s.MinLatency != DefaultLatency:
		fmt.Fprintf(&b, "latency %v\n", s.MinLatency)
	}
	if s.Window > 0 {
		fmt.Fprintf(&b, "window %d\n", s.Window)
	}
	if s.WithinLatency > 0 {
		fmt.Fprintf(&b, "expect latency %v\n", s.WithinLatency)
	}
	if s.WithinHeal > 0 {
		fmt.Fprintf(&b, "expect heal %v\n", s.WithinHeal)
	}
	for _, e := range s.Events {
		b.WriteString(e.String() + "\n")
	}
	return b.String()
}

var numbered = regexp.MustCompile(`^([a-z]+)([1-9][0-9]*)$`)

// collapse writes m1, m2, m3, m4 as m1..m4.
func collapse(names []string) []string {
	var out []string
	for i := 0; i < len(names); {
		j := i + 1
		if m := numbered.FindStringSubmatch(names[i]); m != nil {
			first, _ := strconv.Atoi(m[2])
			for j < len(names) && names[j] == m[1]+strconv.Itoa(first+j-i) {
				j++
			}
		}
		if j-i > 3 {
			out = append(out, names[i]+".."+names[j-1])
			i = j
			continue
		}
		out = append(out, names[i])
		i++
	}
	return out
}

// Steps returns all that happens one by one: what goes on for a while as many events, and a flap as breaks. What goes on
// ends when one of its members does.
func (s *Scenario) Steps() []Event {
	var steps []Event
	for _, e := range s.Events {
		if e.Every == 0 {
			steps = append(steps, e)
			continue
		}
		one := e
		one.Every, one.For = 0, 0
		if e.Do == Flap {
			one.Do = Break
		}
		for d := time.Duration(0); d < e.For; d += e.Every {
			one.At = e.At + d
			steps = append(steps, one)
		}
	}
	slices.SortStableFunc(steps, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	gone := make(map[string]bool)
	return slices.DeleteFunc(steps, func(e Event) bool {
		switch e.Do {
		case Join:
			delete(gone, e.A)
		case Leave, Die:
			gone[e.A] = true
			return false
		}
		return gone[e.A] || gone[e.B]
	})
}

// IsOriginal reports whether a member knows no contract of delivery.
func (s *Scenario) IsOriginal(name string) bool { return slices.Contains(s.Original, name) }

// DoesListen reports whether a member listens for WebSockets.
func (s *Scenario) DoesListen(name string) bool { return slices.Contains(s.Listens, name) }

package signaling

import (
	"container/heap"
	"math/bits"
	"slices"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// Times and sizes of the healing of groups that are in parts (SIG-49 to SIG-53).
const (
	// HealDelay is the time from the first sign of parts to the first look. A member that leaves is missed by others
	// for a moment before it is gone.
	HealDelay = 3 * time.Second
	// HealAnswer is the time for members to tell their view anew when they are asked for it. Originals take 2 s.
	HealAnswer = 4 * time.Second
	// HealAsks is how often at most members are asked before the view that there is has to do.
	HealAsks = 3
	// HealPause is the longest time between two looks at a group in parts, as long as it has not been so for
	// HealShare as long; from then on it is that share of the time, up to HealMaxPause. The shortest is half of it.
	HealPause    = 4 * time.Second
	HealMaxPause = 30 * time.Second
	HealShare    = 20
	// HealAttempt is after what time a member that was led, and does not say what came of it, may be led again.
	HealAttempt = 30 * time.Second
	// HealCrossing is how soon after a member was led what it sends cannot be what came of it: it was on its way.
	HealCrossing = time.Second
	// HealMore is how often at most a member is led once more at once.
	HealMore = 2
	// HealBatch is how many members of a part are led at a time.
	HealBatch = 8
	// HealParts is how many parts are led to the largest at a time.
	HealParts = 8
)

// A healing is what a room knows of its being in parts, or of signs that it could be.
type healing struct {
	at      time.Time // of the next look; zero: there is nothing to look for
	index   int       // in the queue of looks
	suspect time.Time // of the first sign
	apart   time.Time // since when it has been in parts; zero: it is not known to be
	parts   int       // then
	asks    int
	counted time.Time // when inParts was found out
	inParts bool
	leads   int // for turns among those who are led to
}

// A view is what a member has told of the others, and what was made of it.
type view struct {
	knows []uint32  // ids of members, in ascending order
	told  time.Time // when
	lost  []uint32  // of what it knew before: ids of those that it knows no more, and that are members still
	asked bool      // to tell anew, since the first sign of parts
	led   time.Time // when it was led to another part; zero: it is not being led
	last  time.Time // the same, and stays
	more  int       // how often at most it is led once more at once if that fails
	first bool      // it had not been led before
	own   []uint32  // ids of its own part then, in ascending order
	tried map[uint32]struct{}
}

// see notes what a member says whom it knows (SIG-49). Ids of nobody are dropped, so that a view costs no more than the
// group has members, however long a list a stranger sends.
func (c *Core) see(now time.Time, p *Peer, members []uint32) {
	r, before := p.room, append(p.view.knows, p.view.lost...)
	knows := make([]uint32, 0, min(len(members), len(r.members)))
	seen := make(map[uint32]struct{}, cap(knows))
	for _, id := range members {
		if _, twice := seen[id]; !twice && id != p.id && r.ids[id] > 0 {
			seen[id] = struct{}{}
			knows = append(knows, id)
		}
	}
	slices.Sort(knows)
	p.view.knows, p.view.told, p.view.lost = knows, now, nil
	for _, id := range before {
		if id != p.id && r.ids[id] > 0 && !contains(knows, id) {
			p.view.lost = append(p.view.lost, id)
		}
	}
	if len(p.view.lost) > 0 {
		c.suspect(now, r)
	}
}

func contains(sorted []uint32, id uint32) bool {
	_, ok := slices.BinarySearch(sorted, id)
	return ok
}

// suspect notes a sign that a group could be in parts.
func (c *Core) suspect(now time.Time, r *room) {
	if r.heal.at.IsZero() && len(r.members) > 1 {
		r.heal.suspect = now
		c.lookAt(r, now.Add(HealDelay))
	}
}

// lookAt sets the time of the next look at a room; zero: there is none, and all that was suspected is forgotten.
func (c *Core) lookAt(r *room, at time.Time) {
	queued := !r.heal.at.IsZero()
	r.heal.at = at
	switch {
	case at.IsZero():
		if queued {
			heap.Remove(&c.looks, r.heal.index)
		}
		r.heal = healing{}
		for _, m := range r.members {
			m.view.asked, m.view.tried, m.view.last = false, nil, time.Time{}
		}
	case queued:
		heap.Fix(&c.looks, r.heal.index)
	default:
		heap.Push(&c.looks, r)
	}
}

// look looks whether a group is in parts: it asks the members whose views are doubtful, or leads some to another part
// (SIG-50 to SIG-52).
func (c *Core) look(now time.Time, r *room) {
	h := &r.heal
	parts := r.partition()
	if c.ask(now, r, len(parts) > 1) {
		c.lookAt(r, now.Add(HealAnswer))
		return
	}
	if len(parts) < 2 {
		c.lookAt(r, time.Time{})
		return
	}
	if h.apart.IsZero() || len(parts) < h.parts { // it has helped
		h.apart = now
	}
	h.parts = len(parts)
	h.asks = 0 // a part that never comes in is not to keep others from being noticed
	for _, part := range parts[1:min(len(parts), 1+HealParts)] {
		c.leadSome(now, part, parts[0])
	}
	c.lookAt(r, now.Add(c.pause(now.Sub(h.apart))))
}

// pause returns how long to wait for the next look at a group that has been in parts for so long.
func (c *Core) pause(apart time.Duration) time.Duration {
	d := min(max(HealPause, apart/HealShare), HealMaxPause)
	part, _ := bits.Mul64(uint64(d/2), uint64(c.cfg.Rand())<<32)
	return d/2 + time.Duration(part)
}

// ask has members tell their view anew (SIG-50): those that have lost one who is a member still, and whom they have lost,
// for originals then have more to say than they did; if the group seems to be in parts, those as well that have said
// nothing since the first sign of it. It reports whether there are any.
func (c *Core) ask(now time.Time, r *room, apart bool) bool {
	if r.heal.asks >= HealAsks {
		return false
	}
	missed := make(map[uint32]bool) // that somebody has lost, and that are members
	for _, m := range r.members {
		m.view.lost = slices.DeleteFunc(m.view.lost, func(id uint32) bool { return r.ids[id] == 0 })
		for _, id := range m.view.lost {
			missed[id] = true
		}
	}
	asked := false
	for _, m := range r.members {
		v := &m.view
		doubt := len(v.lost) > 0 || !v.asked && (missed[m.id] || apart && v.told.Before(r.heal.suspect))
		if !doubt || v.busy(now) {
			continue
		}
		asked = true
		v.asked, v.lost = true, nil
		// What it sends now is to go nowhere: without an answer it sends connect.
		m.unbind()
		c.send(m, wire.Signaling{Kind: wire.SignalingConnected})
	}
	if asked {
		r.heal.asks++
	}
	return asked
}

// busy reports whether the member is being led.
func (v *view) busy(now time.Time) bool { return !v.led.IsZero() && now.Sub(v.led) < HealAttempt }

// leadSome leads members of one part to another: those first that have waited longest, and servers last, to which
// everybody can come (SIG-51).
func (c *Core) leadSome(now time.Time, from, to []*Peer) {
	free := slices.DeleteFunc(slices.Clone(from), func(p *Peer) bool {
		return p.view.busy(now)
	})
	slices.SortStableFunc(free, func(a, b *Peer) int {
		switch {
		case a.favored == b.favored:
			return a.view.last.Compare(b.view.last)
		case a.favored:
			return 1
		default:
			return -1
		}
	})
	own := make([]uint32, len(from))
	for i, p := range from {
		own[i] = p.id
	}
	slices.Sort(own)
	for _, p := range free[:min(len(free), HealBatch)] {
		p.view.own = own
		p.view.more, p.view.first = HealMore, p.view.last.IsZero()
		c.lead(now, p, to)
	}
}

// lead begins a binding of a member to one of others, as if it were joining; it stays a member (SIG-51).
func (c *Core) lead(now time.Time, p *Peer, to []*Peer) {
	m := p.guide(to)
	if m == nil {
		return
	}
	v := &p.view
	if v.tried == nil || len(v.tried) >= maxTried {
		v.tried = make(map[uint32]struct{})
	}
	v.tried[m.id] = struct{}{}
	v.led, v.last = now, now
	c.bindTo(p, m)
	c.send(p, wire.Signaling{Kind: wire.SignalingConnected})
}

// guide returns the one of others that a member is led to: none that it knows, or that knows it, and of those that it
// has not tried a favored one, or the next in turn.
func (p *Peer) guide(others []*Peer) *Peer {
	h := &p.room.heal
	h.leads++
	for range 2 {
		var chosen *Peer
		for i := range others {
			m := others[(h.leads+i)%len(others)]
			if _, tried := p.view.tried[m.id]; tried || m == p || contains(p.view.knows, m.id) || contains(m.view.knows, p.id) ||
				contains(p.view.own, m.id) {
				continue
			}
			if m.favored {
				return m
			}
			if chosen == nil {
				chosen = m
			}
		}
		if chosen != nil {
			return chosen
		}
		p.view.tried = nil
	}
	return nil
}

// ledTo is called when a member that was led has told its view again: it knows the one that it was led to, or that came
// to nothing. It is led once more at once if it was the first time, which originals waste; and if others have made the group
// whole meanwhile, of which it does not know (SIG-51).
func (c *Core) ledTo(now time.Time, p *Peer) {
	v, b := &p.view, p.binding
	crossed := now.Sub(v.led) < HealCrossing
	v.led = time.Time{}
	if crossed || v.more == 0 || b == nil || contains(v.knows, b.member.id) || !v.first && p.room.inParts(now) {
		v.own = nil
		return
	}
	v.more--
	v.first = false
	c.lead(now, p, p.room.members)
}

// inParts reports whether the group is in parts, as of a second ago at most.
func (r *room) inParts(now time.Time) bool {
	if h := &r.heal; h.counted.IsZero() || now.Sub(h.counted) >= time.Second {
		h.counted, h.inParts = now, len(r.partition()) > 1
	}
	return r.heal.inParts
}

// partition returns the parts of a group, the largest first, of those of one size the one with the eldest member. Members
// of which one knows the other are in one part (SIG-49).
func (r *room) partition() [][]*Peer {
	at := make(map[uint32]int, len(r.members)) // where one with this id is
	up := make([]int, len(r.members))          // to the root of its part
	root := func(i int) int {
		for up[i] != i {
			up[i] = up[up[i]]
			i = up[i]
		}
		return i
	}
	join := func(i, j int) {
		i, j = root(i), root(j)
		up[max(i, j)] = min(i, j)
	}
	for i, m := range r.members {
		up[i] = i
		if j, ok := at[m.id]; ok {
			join(i, j)
		}
		at[m.id] = i
	}
	for i, m := range r.members {
		for _, id := range m.view.knows {
			if j, ok := at[id]; ok {
				join(i, j)
			}
		}
	}
	var parts [][]*Peer
	number := make(map[int]int)
	for i, m := range r.members {
		n, ok := number[root(i)]
		if !ok {
			n = len(parts)
			number[root(i)] = n
			parts = append(parts, nil)
		}
		parts[n] = append(parts[n], m)
	}
	slices.SortStableFunc(parts, func(a, b []*Peer) int { return len(b) - len(a) })
	return parts
}

// looks is a heap of the rooms that are to be looked at, the first to be in front.
type looks []*room

func (l looks) Len() int           { return len(l) }
func (l looks) Less(i, j int) bool { return l[i].heal.at.Before(l[j].heal.at) }
func (l looks) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].heal.index, l[j].heal.index = i, j
}
func (l *looks) Push(x any) {
	r := x.(*room)
	r.heal.index = len(*l)
	*l = append(*l, r)
}
func (l *looks) Pop() any {
	n := len(*l) - 1
	r := (*l)[n]
	(*l)[n] = nil
	*l = (*l)[:n]
	return r
}

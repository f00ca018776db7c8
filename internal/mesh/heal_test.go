package mesh

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// A cut is a network in parts: what is between two of them breaks, and cannot be built, until it is healed.
type cutting struct {
	s     *sim
	parts [][]*node
	leads []time.Duration // when the server led a member, or asked one for its view
}

// split cuts the network into parts. The channels between them die with an error, or silently.
func (s *sim) split(silent bool, parts ...[]*node) *cutting {
	c := &cutting{s: s, parts: parts}
	at := make(map[*node]int)
	for i, part := range parts {
		for _, n := range part {
			at[n] = i
		}
	}
	s.cut = func(a, b *node) bool { return at[a] != at[b] }
	for _, a := range s.nodes {
		for _, b := range s.nodes {
			if at[a] < at[b] {
				s.sever(a, b, silent)
			}
		}
	}
	s.trace = func(from, to, what string) {
		if from == "server" && strings.Contains(what, "connected false") {
			c.leads = append(c.leads, s.now)
		}
	}
	return c
}

// apart reports whether each member knows exactly those of its part.
func (c *cutting) apart() bool {
	return !slices.ContainsFunc(c.parts, func(part []*node) bool { return !whole(part) })
}

// heal lets channels be built everywhere again.
func (c *cutting) heal() {
	c.s.cut = func(a, b *node) bool { return false }
	c.s.trace = func(string, string, string) {}
}

// mostPerMinute is how many times at most the server led or asked within a minute.
func (c *cutting) mostPerMinute() int {
	most := 0
	for i, from := range c.leads {
		n := 0
		for _, at := range c.leads[i:] {
			if at-from < time.Minute {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// TestHeal cuts groups into parts and heals them (SIG-49 to SIG-53, STA-19, STA-20, MSH-25): afterwards all know all,
// under the ids that they had, nothing is delivered twice or out of order, and while the network is cut nobody's state
// changes.
func TestHeal(t *testing.T) {
	const ours, mixed, originals = "ours", "mixed", "originals"
	for _, c := range []struct {
		kind   string
		sizes  []int
		cut    time.Duration
		silent bool
		within time.Duration
	}{
		{ours, []int{3, 3}, 40 * time.Second, false, 10 * time.Second},
		{ours, []int{2, 4}, 40 * time.Second, true, 10 * time.Second},
		{ours, []int{5, 2}, 90 * time.Second, false, 10 * time.Second},
		{ours, []int{3, 3, 3}, 60 * time.Second, true, 15 * time.Second},
		{ours, []int{10, 12}, 60 * time.Second, false, 10 * time.Second},
		{ours, []int{3, 3}, 10 * time.Minute, false, 40 * time.Second},
		{mixed, []int{3, 3}, 60 * time.Second, false, 40 * time.Second},
		{mixed, []int{4, 2}, 60 * time.Second, true, 40 * time.Second},
		{originals, []int{3, 3}, 60 * time.Second, false, 40 * time.Second},
		{originals, []int{2, 5}, 60 * time.Second, true, 40 * time.Second},
	} {
		for seed := range uint64(5) {
			t.Run(fmt.Sprintf("%s/%v/%v/%d", c.kind, c.sizes, c.cut, seed), func(t *testing.T) {
				s := newSim(t, seed)
				total := 0
				for _, n := range c.sizes {
					total += n
				}
				var nodes []*node
				for i := range total {
					n := s.node(Config{Original: c.kind == originals || c.kind == mixed && i%2 == 0})
					nodes = append(nodes, n)
					n.step(Join{Key: "key"})
					s.until(10*time.Second, "a full mesh", func() bool { return full(nodes...) })
				}
				s.run(time.Duration(s.rand.IntN(25_000)) * time.Millisecond)
				healed(t, s, nodes, c.sizes, c.cut, c.silent, c.within)
			})
		}
	}
}

func healed(t *testing.T, s *sim, nodes []*node, sizes []int, cut time.Duration, silent bool, within time.Duration) {
	k := newTalk(s, nodes)
	chatter := func(d time.Duration) {
		for end := s.now + d; s.now < end; s.run(time.Duration(s.rand.IntN(2000)) * time.Millisecond) {
			k.say(nodes[s.rand.IntN(len(nodes))], nil, s.rand.IntN(3000))
		}
	}
	ids := make(map[*node]uint32)
	for _, n := range nodes {
		ids[n] = n.core.ID()
	}
	shuffled := slices.Clone(nodes)
	s.rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	var parts [][]*node
	for _, n := range sizes {
		parts = append(parts, shuffled[:n])
		shuffled = shuffled[n:]
	}
	c := s.split(silent, parts...)
	chatter(cut)
	if !c.apart() {
		t.Fatalf("the parts are not apart:\n%s", brief(nodes))
	}
	if n, limit := c.mostPerMinute(), 2*24*min(8, len(nodes))*(len(sizes)-1); n > limit {
		t.Errorf("the server led members %d times in a minute", n)
	}
	states := make(map[*node]int)
	for _, n := range nodes {
		states[n] = len(n.states)
		if !slices.Equal(n.states, []string{"JOINING", "JOINED"}) {
			t.Errorf("%s: %v", n.name, n.states)
		}
	}
	c.heal()
	from := s.now
	for !whole(nodes) && s.now < from+within && s.step() {
	}
	if !whole(nodes) {
		t.Fatalf("not one group after %v:\n%s", within, brief(nodes))
	}
	t.Logf("whole after %v, led %d times, %d a minute", s.now-from, len(c.leads), c.mostPerMinute())
	calm := s.now
	s.trace = func(from, to, what string) {
		if from == "server" && strings.Contains(what, "connected false") && s.now > calm+20*time.Second {
			t.Errorf("%v after that %s is led", s.now-calm, to)
		}
	}
	chatter(60 * time.Second)
	s.run(5 * time.Second)
	if !full(nodes...) {
		t.Errorf("not a full mesh:\n%s", brief(nodes))
	}
	for _, n := range nodes {
		if n.core.ID() != ids[n] {
			t.Errorf("%s has another id", n.name)
		}
		if n.core.State() != StateJoined || len(n.states) != states[n] {
			t.Errorf("%s: %v", n.name, n.states)
		}
	}
	if !whole(nodes) {
		t.Errorf("not whole any more:\n%s", brief(nodes))
	}
	k.checkOrder(t)
}

// brief says of nodes whom they know.
func brief(nodes []*node) string {
	var b strings.Builder
	name := func(id uint32) string {
		i := slices.IndexFunc(nodes, func(n *node) bool { return n.core.ID() == id })
		if i < 0 {
			return "?"
		}
		return nodes[i].name
	}
	for _, n := range nodes {
		fmt.Fprintf(&b, "%s %v %v knows", n.name, n.core.State(), n.core.SignalingState())
		for _, id := range n.core.others() {
			b.WriteString(" " + name(id))
			if n.core.members[id].ch == nil {
				b.WriteString("?")
			}
		}
		fmt.Fprintln(&b, ", attempts", len(n.core.attempts))
	}
	return b.String()
}

// TestLed: a member that is led unasked stays what it is, makes one attempt at a time, and tells whom it knows when that
// has failed (STA-20).
func TestLed(t *testing.T) {
	r := newRig(t, Config{}).first()
	r.connected(false) // alone: there is nothing to heal
	r.expect()
	l1, l2 := r.letIn(id(1)), r.letIn(id(2))
	r.quiet(21*time.Second, l1, l2)
	r.skip()
	r.connected(false)
	r.connected(false)
	r.expect("sig< content from=#500 to=0 connectionRequest")
	r.pass(2 * time.Second)
	r.expect("signaling CHECKING", "sig< connect id=#500 members=#1,#2")
	r.connected(true)
	r.expect("signaling CHECKED")
	r.connected(false)
	r.content(0, wire.ServiceChannelBuilder, response(false))
	r.expect("sig< content from=#500 to=0 connectionRequest", "signaling CHECKING", "sig< connect id=#500 members=#1,#2")
	r.connected(true)
	r.skip()
	// An attempt of the other kind, after that, is told of, and repeated after a pause.
	r.step(Closed{Link: l1})
	r.connected(false)
	r.skip()
	r.content(0, wire.ServiceChannelBuilder, response(false))
	r.expect("unconnected 0: connection denied", "signaling CHECKING", "sig< connect id=#500 members=#2")
}

// TestLedToOthers: one that was led and let in is a member of both parts, without having been anything else meanwhile,
// and tells those of its own of the others (STA-20, MSH-25).
func TestLedToOthers(t *testing.T) {
	r := newRig(t, Config{}).first()
	l1, l2 := r.letIn(id(1)), r.letIn(id(2))
	r.quiet(21*time.Second, l1, l2)
	r.skip()
	r.connected(false)
	r.content(0, wire.ServiceChannelBuilder, response(true))
	r.content(0, wire.ServiceDataChannelBuilder, offer("sdp"))
	l := r.last
	r.step(Opened{l, `{"id":2147483651,"type":2}`})
	r.skip()
	r.step(Received{l, initPing(id(3), id(3))})
	r.expect("4< initPong #500", "joined #3", "signaling CHECKING", "sig< connect id=#500 members=#1,#2,#3")
	r.connected(true)
	r.expect("signaling CHECKED")
	r.pass(GossipDelay)
	r.log = slices.DeleteFunc(r.log, func(s string) bool { return !strings.Contains(s, " members=") })
	r.expect("2< from=#500 to=#1 members=#500,#3", "3< from=#500 to=#2 members=#500,#3")
	if r.core.State() != StateJoined || r.core.ID() != id(500) {
		t.Errorf("%v %d", r.core.State(), r.core.ID())
	}
}

// checkOrder expects that nothing came twice or out of order, and between two of which neither lost the other, all.
func (k *talk) checkOrder(t *testing.T) {
	t.Helper()
	for _, to := range k.nodes {
		if to.core.cfg.Original {
			continue
		}
		last, count := map[uint32]uint64{}, map[uint32]int{}
		for _, d := range to.got {
			n := number(d)
			if n <= last[d.From] && keeps(k.nodes, d.From) {
				t.Errorf("%s got message %d of %d after %d", to.name, n, d.From, last[d.From])
			}
			last[d.From] = n
			count[d.From]++
		}
		for _, from := range k.nodes {
			id := from.core.ID()
			if from == to || from.core.cfg.Original || from.lost[to.core.ID()] || to.lost[id] {
				continue
			}
			if want := k.sent[[2]uint32{id, to.core.ID()}]; count[id] < want { // it may not have known yet that it is heard
				t.Errorf("%s got %d messages of %s, which sent %d", to.name, count[id], from.name, want)
			}
		}
	}
}

func keeps(nodes []*node, id uint32) bool {
	i := slices.IndexFunc(nodes, func(n *node) bool { return n.core.ID() == id })
	return i >= 0 && !nodes[i].core.cfg.Original
}

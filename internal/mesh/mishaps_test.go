package mesh

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// count has the messages counted of which a part of the description is this.
func (s *sim) count(part string) *int {
	n := 0
	s.trace = func(_, _, what string) {
		if strings.Contains(what, part) {
			n++
		}
	}
	return &n
}

// TestLeaveByRelay has a member leave that has much to send to a distant one: the goodbye comes last (EXT-7, EXT-10).
func TestLeaveByRelay(t *testing.T) {
	s := newSim(t, 1)
	nodes := s.group(3, Config{})
	a, b := nodes[0], nodes[1]
	s.run(time.Second)
	s.cut = func(x, y *node) bool { return x == a && y == b || x == b && y == a }
	s.sever(a, b, false)
	s.run(500 * time.Millisecond)
	for range 40 {
		a.send(b.core.ID(), make([]byte, 10_000))
	}
	a.step(Leave{})
	s.run(20 * time.Second)
	if len(b.got) != 40 || b.members[a.core.ID()] {
		t.Errorf("%d of 40 messages came", len(b.got))
	}
}

// TestHellosEnd: however many sessions are lost at a time, members do not greet each other for ever (EXT-3).
func TestHellosEnd(t *testing.T) {
	s := newSim(t, 1)
	nodes := s.group(3, Config{})
	a, b := nodes[0], nodes[1]
	s.run(time.Second)
	for _, n := range nodes {
		n.send(0, []byte("x"))
	}
	s.run(time.Second)
	m := b.core.members[a.core.ID()]
	hellos := s.count("hello")
	b.step(Received{m.ch.link, (&wire.Message{SenderID: a.core.ID(), RecipientID: b.core.ID(), ServiceID: wire.ServiceDelivery,
		Content: hello(12345, 0, 1<<20)}).Append(nil)}) // an old one, or another's
	s.run(10 * time.Second)
	if *hellos > 20 {
		t.Errorf("%d hellos after a strange one", *hellos)
	}
	cut := true
	s.cut = func(x, y *node) bool { return cut && (x == a && y == b || x == b && y == a) }
	s.sever(a, b, false)
	s.run(30 * time.Second)
	for _, n := range nodes {
		n.send(0, []byte("x"))
	}
	s.run(time.Second)
	a.core.begin(s.now)
	a.core.forget(a.core.members[b.core.ID()], ErrSilent) // MSH-13, which b does not know of
	cut = false
	for _, n := range nodes {
		for _, m := range n.core.order {
			m.retryAt = 0
		}
	}
	a.core.connectTo([]uint32{b.core.ID()}, nodes[2].core.ID(), nil) // as a list of the third has it do
	a.do(a.core.outputs)
	*hellos = 0
	s.run(10 * time.Second)
	if *hellos > 50 {
		t.Errorf("%d hellos after one had forgotten the other", *hellos)
	}
}

// TestNoLoop kills a member to which all others then only guess the way: what is for it does not go round (MSH-19, EXT-10).
func TestNoLoop(t *testing.T) {
	for seed := range uint64(40) {
		s := newSim(t, seed)
		var nodes []*node
		for i := range 6 {
			n := s.node(Config{})
			if s.rand.IntN(2) == 0 {
				n.url = fmt.Sprintf("ws://n%d", i)
			}
			n.step(Join{Key: "key", Listen: n.url})
			nodes = append(nodes, n)
			s.run(4 * time.Second)
		}
		victim := nodes[int(seed)%6]
		frames := s.count(fmt.Sprintf("to=%d user", victim.core.ID()))
		silent := seed >= 20 // then all have a channel to it still, but no more than a guess where else it may be
		victim.kill(silent)
		s.run(200 * time.Millisecond)
		if silent {
			s.run(SuspectAfter + ProbeInterval)
		}
		for _, n := range nodes {
			if n != victim {
				n.send(victim.core.ID(), []byte("hi"))
			}
		}
		s.run(9 * time.Second)
		if *frames > 500 {
			t.Errorf("seed %d: %d frames", seed, *frames)
		}
	}
}

// TestThinGroup breaks many channels at once and for good: as long as one member has channels to all, nobody seems to
// leave, and all that is sent arrives (EXT-8, EXT-10).
func TestThinGroup(t *testing.T) {
	for seed := range uint64(20) {
		s := newSim(t, seed)
		nodes := s.group(6, Config{})
		s.run(time.Second)
		lost := map[[2]*node]bool{}
		s.cut = func(x, y *node) bool { return lost[[2]*node{x, y}] || lost[[2]*node{y, x}] }
		for i := range 5 {
			for j := range i {
				if s.rand.IntN(2) == 0 {
					lost[[2]*node{nodes[i], nodes[j]}] = true
					s.sever(nodes[i], nodes[j], false)
				}
			}
		}
		k := newTalk(s, nodes)
		for range 100 {
			if a, b := s.rand.IntN(6), s.rand.IntN(6); a != b {
				k.say(nodes[a], nodes[b], 100)
			}
			s.run(100 * time.Millisecond)
		}
		s.run(20 * time.Second)
		k.check(t)
		for _, n := range nodes {
			if n.gone > 0 {
				t.Errorf("seed %d: %s lost %d members", seed, n.name, n.gone)
			}
		}
		if !settled(nodes) {
			t.Errorf("seed %d: something waits", seed)
		}
	}
}

// TestSequenceLost: what may have come is not sent again in a new sequence, what waits gets room, and what is held is
// counted right (EXT-3).
func TestSequenceLost(t *testing.T) {
	r, _ := keeper(t, Config{})
	r.send(id(1), "one") // it may have come
	r.hold(3)
	r.step(Closed{Link: 2})
	r.says(3, id(1), wire.ServiceDelivery, hello(71, 0, 1<<20))
	r.free(3)
	for _, line := range r.log[1:] {
		if strings.Contains(line, "number=71") {
			t.Errorf("sent again: %s", line)
		}
	}

	r, _ = keeper(t, Config{SendQueue: 1000})
	r.step(Send{Token: 20, To: id(1), Data: make([]byte, 2000)})
	r.step(Send{Token: 21, To: id(1), Data: []byte("waits")})
	r.says(2, id(1), wire.ServiceDelivery, hello(71, 0, 1<<20))
	if len(r.core.waiting) != 0 {
		t.Error("a send waits, and nothing is there to end that")
	}

	r = newKeeper(t, Config{}).first()
	l := r.halfIn()
	r.step(Received{l, initPong(id(1))})
	r.hold(l)
	r.send(id(1), string(pattern(100_000)))
	for range 4 {
		r.pullOne(l)
	}
	m := r.core.members[id(1)]
	r.says(l, id(1), wire.ServiceDelivery, hello(70, m.session, 1<<20))
	r.says(l, id(1), wire.ServiceDelivery, hello(71, m.session, 1<<20))
	if m.queued != 0 || len(m.queue) != 0 {
		t.Errorf("%d bytes are queued, in %d messages", m.queued, len(m.queue))
	}
}

// TestEarlyOfMany: what is held of early messages has a limit for all members together (EXT-5).
func TestEarlyOfMany(t *testing.T) {
	r := newKeeper(t, Config{Window: 4000, MaxPartial: 5000, MaxMessage: 4000, MaxPartialAll: 10_000}).first()
	l := r.letIn(id(1))
	for n := uint32(2); n < 100; n++ {
		r.distant(l, id(n), id(1))
		r.says(l, id(n), wire.ServiceUserMessage, part(r.core.members[id(n)].session, 5, string(pattern(3000))))
	}
	total := 0
	for _, m := range r.core.order {
		total += m.held
	}
	if total > 10_000 || total != r.core.held || total == 0 {
		t.Errorf("%d bytes are held, %d accounted for", total, r.core.held)
	}
}

// TestInvitedTwice has a bot invited by two members at a time, of which the first never opens its WebSocket: CHN-26.
func TestInvitedTwice(t *testing.T) {
	r := newRig(t, Config{LeaveAlone: true, NoSignaling: true})
	call := Call{2, int64(id(600)), -1, "key", false}
	_, outs, err := r.core.Invited(r.now, call, "ws://bot")
	if err != nil {
		t.Fatal(err)
	}
	r.do(outs)
	if err := r.accept(call); err != nil {
		t.Fatal(err)
	}
	r.step(Opened{Link: r.last})
	r.step(Received{r.last, initPing(id(2), id(2))})
	r.pass(DialTimeout + time.Second)
	if r.core.State() != StateJoined {
		t.Errorf("%v: %q", r.core.State(), r.log)
	}
}

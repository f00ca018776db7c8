package mesh

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"
)

// A talk is nodes that send numbered messages to each other.
type talk struct {
	s     *sim
	nodes []*node
	sent  map[[2]uint32]int // by sender and recipient, where each knew the other
	n     map[*node]uint64  // by sender
}

func newTalk(s *sim, nodes []*node) *talk {
	return &talk{s, nodes, make(map[[2]uint32]int), make(map[*node]uint64)}
}

// say sends a message of a size to one, or to all.
func (k *talk) say(from, to *node, size int) {
	var id uint32
	if to != nil {
		id = to.core.ID()
	}
	k.n[from]++
	data := make([]byte, max(size, 8))
	for _, n := range k.nodes {
		if n != from && (to == nil || n == to) && from.members[n.core.ID()] && n.members[from.core.ID()] {
			pair := [2]uint32{from.core.ID(), n.core.ID()}
			k.sent[pair]++
		}
	}
	binary.BigEndian.PutUint64(data, k.n[from])
	from.lastToken++
	from.step(Send{Token: from.lastToken, To: id, Data: data})
}

// number returns the number of a message.
func number(d Deliver) uint64 { return binary.BigEndian.Uint64(d.Data) }

// check expects that each message has come once, and in order.
func (k *talk) check(t *testing.T) {
	t.Helper()
	for _, to := range k.nodes {
		last, count := map[uint32]uint64{}, map[uint32]int{}
		for _, d := range to.got {
			n := binary.BigEndian.Uint64(d.Data)
			if n <= last[d.From] {
				t.Errorf("%s got message %d of %d after %d", to.name, n, d.From, last[d.From])
			}
			last[d.From] = n
			count[d.From]++
		}
		for _, from := range k.nodes {
			if from == to {
				continue
			}
			if want := k.sent[[2]uint32{from.core.ID(), to.core.ID()}]; count[from.core.ID()] != want {
				t.Errorf("%s got %d messages of %s, which sent %d", to.name, count[from.core.ID()], from.name, want)
			}
		}
	}
}

// settled reports whether nothing waits for an acknowledgement.
func settled(nodes []*node) bool {
	for _, n := range nodes {
		for _, m := range n.core.order {
			if len(m.queue) > 0 || m.held > 0 {
				return false
			}
		}
	}
	return true
}

// sound returns how many channels of a node carry what is sent.
func sound(nodes []*node, n *node) int {
	count := 0
	for _, other := range nodes {
		links := n.sim.between(n, other)
		if len(links) > 0 && !slices.ContainsFunc(links, func(l *simLink) bool { return l.hole }) {
			count++
		}
	}
	return count
}

// TestBrokenLinks breaks channels under load, by errors and silently: no message is lost, doubled or out of order, and
// nobody seems to leave (EXT-2 to EXT-9).
func TestBrokenLinks(t *testing.T) {
	for _, silent := range []bool{false, true} {
		for seed := range uint64(10) {
			s := newSim(t, seed)
			nodes := s.group(5, Config{})
			s.run(time.Second)
			k := newTalk(s, nodes)
			for i := range 600 {
				from := nodes[s.rand.IntN(len(nodes))]
				if to := nodes[s.rand.IntN(len(nodes))]; to != from {
					k.say(from, to, s.rand.IntN(40_000))
				} else {
					k.say(from, nil, s.rand.IntN(2000))
				}
				if i%60 == 30 {
					a, b := nodes[s.rand.IntN(5)], nodes[s.rand.IntN(5)]
					if a != b && sound(nodes, a) > 2 && sound(nodes, b) > 2 { // nobody is to be cut off
						s.sever(a, b, silent)
					}
				}
				s.run(10 * time.Millisecond)
			}
			s.until(20*time.Second, "all has come", func() bool { return settled(nodes) })
			k.check(t)
			for _, n := range nodes {
				if n.gone > 0 {
					t.Errorf("seed %d silent %v: %s lost %d members: %v", seed, silent, n.name, n.gone, n.problems)
				}
			}
			if t.Failed() {
				t.Fatalf("seed %d, silent %v", seed, silent)
			}
			s.until(30*time.Second, "the mesh is full again", func() bool { return full(nodes...) })
		}
	}
}

// TestDelay measures how late messages come when a channel breaks: EXT-9.
func TestDelay(t *testing.T) {
	for silent, limit := range map[bool]time.Duration{false: 150 * time.Millisecond, true: 2500 * time.Millisecond} {
		s := newSim(t, 1)
		nodes := s.group(10, Config{})
		s.run(time.Second)
		begin := s.now
		worst := time.Duration(0)
		for i := range 1000 {
			data := binary.BigEndian.AppendUint64(nil, uint64(s.now))
			nodes[0].send(0, data)
			if i == 100 {
				s.sever(nodes[0], nodes[4], silent)
			}
			s.run(10 * time.Millisecond)
			for _, n := range nodes[1:] {
				for _, d := range n.got {
					worst = max(worst, s.now-time.Duration(binary.BigEndian.Uint64(d.Data)))
				}
				if i < 999 {
					n.got = n.got[:0]
				}
			}
		}
		_ = begin
		if worst > limit {
			t.Errorf("silent %v: %v late", silent, worst)
		}
		t.Log(silent, worst)
	}
}

// TestLeaveSendsAll has a member leave that has more to send than may be on its way: STA-17, EXT-7.
func TestLeaveSendsAll(t *testing.T) {
	s := newSim(t, 4)
	nodes := s.group(3, Config{Window: 100_000})
	s.run(time.Second)
	nodes[0].send(0, make([]byte, 1<<20))
	nodes[0].step(Leave{})
	s.until(5*time.Second, "it has left", func() bool { return nodes[0].core.State() == StateLeft })
	s.run(time.Second)
	for _, n := range nodes[1:] {
		if len(n.got) != 1 || len(n.got[0].Data) != 1<<20 {
			t.Errorf("%s got %d messages", n.name, len(n.got))
		}
	}
}

// TestDeath: who dies is gone for all within the time of the heartbeats, and a leave shows at once.
func TestDeath(t *testing.T) {
	for _, silent := range []bool{false, true} {
		s := newSim(t, 2)
		nodes := s.group(5, Config{})
		s.run(time.Second)
		left := nodes[4].core.ID()
		nodes[4].step(Leave{})
		s.until(time.Second, "the leave shows", func() bool {
			return !slices.ContainsFunc(nodes[:4], func(n *node) bool { return n.members[left] })
		})
		dead := nodes[3].core.ID()
		nodes[3].kill(silent)
		s.until(12*time.Second, "the death shows", func() bool {
			return !slices.ContainsFunc(nodes[:3], func(n *node) bool { return n.members[dead] })
		})
		t.Log(silent, s.now)
	}
}

// TestDeliveryWithOriginals: with an original at one end it is as it was.
func TestDeliveryWithOriginals(t *testing.T) {
	s := newSim(t, 5)
	nodes := s.group(2, Config{})
	old := s.node(Config{Original: true})
	old.step(Join{Key: "key"})
	all := append(nodes, old)
	s.until(20*time.Second, "all have joined", func() bool { return full(all...) })
	k := newTalk(s, all)
	for range 50 {
		for _, n := range all {
			k.say(n, nil, 20_000)
		}
		s.run(20 * time.Millisecond)
	}
	s.run(time.Second)
	k.check(t)
	for _, n := range all {
		for _, m := range n.core.order {
			if m.keeps() == (n == old || m.id == old.core.ID()) || len(m.queue) > 0 {
				t.Errorf("%s: %d keeps the contract: %v, %d messages wait", n.name, m.id, m.keeps(), len(m.queue))
			}
		}
	}
	s.sever(nodes[0], old, false)
	s.until(30*time.Second, "all are there again", func() bool { return full(all...) })
}

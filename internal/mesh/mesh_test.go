package mesh

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// full reports whether nodes form one full mesh and all are members.
func full(nodes ...*node) bool {
	var ids []uint32
	for _, n := range nodes {
		ids = append(ids, n.core.ID())
	}
	slices.Sort(ids)
	for _, n := range nodes {
		have := append(n.core.Neighbors(), n.core.ID())
		slices.Sort(have)
		members := n.core.Members()
		slices.Sort(members)
		if n.core.State() != StateJoined || n.core.SignalingState() != SignalingChecked ||
			!slices.Equal(have, ids) || !slices.Equal(members, ids) {
			return false
		}
	}
	return true
}

func (s *sim) group(n int, cfg Config) []*node {
	s.t.Helper()
	var nodes []*node
	for range n {
		a := s.node(cfg)
		nodes = append(nodes, a)
		a.step(Join{Key: "key"})
		s.until(10*time.Second, "a full mesh", func() bool { return full(nodes...) })
	}
	return nodes
}

func (n *node) send(to uint32, data []byte) uint64 {
	n.lastToken++
	n.step(Send{Token: n.lastToken, To: to, Data: data})
	return n.lastToken
}

func TestJoin(t *testing.T) {
	s := newSim(t, 1)
	nodes := s.group(5, Config{})
	want := []string{"CONNECTING", "OPEN", "CHECKING", "CHECKED", "CHECKING", "CHECKED"} // STA-1
	for _, n := range nodes {
		if !slices.Equal(n.states, []string{"JOINING", "JOINED"}) || !slices.Equal(n.signals, want) {
			t.Errorf("%s: %v, %v", n.name, n.states, n.signals)
		}
		if len(n.core.attempts) != 0 {
			t.Errorf("%s: %d attempts", n.name, len(n.core.attempts))
		}
	}
	// A quiet minute changes nothing.
	s.run(time.Minute)
	if !full(nodes...) {
		t.Error(s.describe())
	}
	for _, n := range nodes {
		if len(n.states) != 2 {
			t.Errorf("%s: %v", n.name, n.states)
		}
	}
}

// TestJoinAtOnce lets many join at the same time.
func TestJoinAtOnce(t *testing.T) {
	for _, n := range []int{2, 3, 8, 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			for seed := range uint64(20) {
				s := newSim(t, seed)
				s.latency = func(a, b *node) time.Duration {
					return time.Duration(1+s.rand.IntN(30)) * time.Millisecond
				}
				var nodes []*node
				for range n {
					a := s.node(Config{})
					nodes = append(nodes, a)
					s.at(time.Duration(s.rand.IntN(50))*time.Millisecond, func() { a.step(Join{Key: "key"}) })
				}
				s.run(100 * time.Millisecond)
				s.until(15*time.Second, "a full mesh", func() bool { return full(nodes...) })
			}
		})
	}
}

func TestMessages(t *testing.T) {
	s := newSim(t, 2)
	nodes := s.group(3, Config{})
	a, b, c := nodes[0], nodes[1], nodes[2]
	big := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	a.send(0, []byte("to all"))
	a.send(b.core.ID(), big)
	a.send(0, []byte{})
	s.run(time.Second)
	if len(b.got) != 3 || !bytes.Equal(b.got[1].Data, big) || !b.got[1].Private || b.got[2].Data == nil {
		t.Errorf("b got %d messages", len(b.got))
	}
	if len(c.got) != 2 || string(c.got[0].Data) != "to all" || c.got[0].Private || c.got[0].From != a.core.ID() {
		t.Errorf("c got %v", c.got)
	}
	if len(a.got) != 0 {
		t.Error("a got its own")
	}
	for token, err := range a.done {
		if err != nil {
			t.Errorf("send %d: %v", token, err)
		}
	}
	if b.core.partial != 0 {
		t.Errorf("b holds %d bytes", b.core.partial)
	}
}

func TestLeave(t *testing.T) {
	s := newSim(t, 3)
	nodes := s.group(4, Config{})
	last := make([]byte, 1<<20)
	nodes[1].send(0, last)
	nodes[1].step(Leave{})
	rest := []*node{nodes[0], nodes[2], nodes[3]}
	s.until(time.Second, "a mesh without B", func() bool { return full(rest...) })
	s.run(time.Second)
	if got := nodes[1].states; !slices.Equal(got, []string{"JOINING", "JOINED", "LEAVING", "LEFT"}) {
		t.Errorf("states %v", got)
	}
	for _, n := range rest {
		if len(n.got) != 1 || len(n.got[0].Data) != len(last) { // STA-17
			t.Errorf("%s got %d messages", n.name, len(n.got))
		}
	}
	if len(nodes[1].members) != 0 || nodes[1].core.ID() != 0 || nodes[1].core.timers.Len() != 0 {
		t.Errorf("B keeps %v, %d timers", nodes[1].members, nodes[1].core.timers.Len())
	}
	nodes[1].step(Join{Key: "key"})
	s.until(time.Second, "a mesh with B again", func() bool { return full(nodes...) })
	for _, n := range nodes {
		n.step(Leave{})
	}
	s.until(time.Second, "LEFT", func() bool {
		return !slices.ContainsFunc(nodes, func(n *node) bool { return n.core.State() != StateLeft })
	})
	s.run(time.Second)
	if s.server.Peers() != 0 {
		t.Errorf("%d peers at the server", s.server.Peers())
	}
}

// TestDeathDuringJoin kills either side of a join right after each of its messages. The others must get over it, and
// let the next one in.
func TestDeathDuringJoin(t *testing.T) {
	for _, size := range []int{1, 2, 3} {
		for _, silent := range []bool{false, true} {
			count := 0
			for at := 1; ; at++ {
				s := newSim(t, uint64(at))
				nodes := s.group(size, Config{})
				joiner := s.node(Config{})
				byName := map[string]*node{joiner.name: joiner}
				for _, n := range nodes {
					byName[n.name] = n
				}
				victim, seen := (*node)(nil), 0
				s.trace = func(from, to, what string) {
					if what == "heartbeat" || what == "from=0 to=0 heartbeat" {
						return
					}
					if seen++; seen == at {
						for _, name := range []string{from, to} {
							if n := byName[name]; n != nil && (victim == nil || s.rand.IntN(2) == 0) {
								victim = n
							}
						}
						v := victim
						s.at(0, func() { v.kill(silent) })
					}
				}
				joiner.step(Join{Key: "key"})
				s.run(500 * time.Millisecond)
				if victim == nil {
					break // the join has no more messages
				}
				count++
				s.trace = nil
				next := s.node(Config{})
				next.step(Join{Key: "key"})
				alive := []*node{next}
				for _, n := range append(nodes, joiner) {
					if n != victim {
						alive = append(alive, n)
					}
				}
				s.until(90*time.Second, fmt.Sprintf("a full mesh after the death of %s at message %d of a join to %d (silent %v)",
					victim.name, at, size, silent), func() bool { return full(alive...) })
			}
			if count < 10 {
				t.Errorf("a join to %d has %d messages only", size, count)
			}
			t.Logf("join to %d, silent %v: %d deaths", size, silent, count)
		}
	}
}

// TestMaxAttempts lets strangers ask for more channels than a member makes at a time (BLD-6).
func TestMaxAttempts(t *testing.T) {
	s := newSim(t, 4)
	a := s.group(1, Config{})[0]
	denied := 0
	s.trace = func(from, to, what string) {
		if strings.Contains(what, "connectionResponse false") {
			denied++
		}
	}
	request := (&wire.ChannelBuilder{Kind: wire.ChannelBuilderConnectionRequest, ConnectionRequest: []byte{}}).Append(nil)
	for id := range uint32(MaxAttempts + 10) {
		m := wire.Message{ServiceID: wire.ServiceChannelBuilder, Content: request}
		a.step(Received{a.core.sig.link, (&wire.Signaling{Kind: wire.SignalingContent,
			Content: wire.Content{SenderID: id + 1, Data: m.Append(nil)}}).Append(nil)})
	}
	if len(a.core.attempts) != MaxAttempts || denied != 10 {
		t.Errorf("%d attempts, %d denied", len(a.core.attempts), denied)
	}
	s.run(ConnectTimeout)
	if len(a.core.attempts) != 0 {
		t.Errorf("%d attempts are left", len(a.core.attempts))
	}
}

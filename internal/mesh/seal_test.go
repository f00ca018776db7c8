package mesh

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/wire"
)

// An entropy is what keys are drawn from in a simulation.
type entropy struct{ s *sim }

func (e entropy) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(e.s.rand.Uint32())
	}
	return len(b), nil
}

// keysOf derives the keys of a group, by the secret that this number stands for.
func keysOf(secret byte) *sealed.Keys { return sealed.Derive(sealed.Secret{secret}, "key") }

// sealedNode adds a peer that begins to join a sealed group.
func (s *sim) sealedNode(cfg Config, secret byte) *node {
	cfg.Entropy = entropy{s}
	n := s.node(cfg)
	n.step(Join{Key: "key", Keys: keysOf(secret)})
	return n
}

// sealedGroup makes a sealed group, whose members come one after another.
func (s *sim) sealedGroup(n int, cfg Config) []*node {
	s.t.Helper()
	var nodes []*node
	for range n {
		nodes = append(nodes, s.sealedNode(cfg, 1))
		s.until(10*time.Second, "a full mesh", func() bool { return full(nodes...) })
	}
	return nodes
}

// TestSealedPair has two members meet and talk (SEC-12, SEC-16, SEC-17).
func TestSealedPair(t *testing.T) {
	s := newSim(t, 1)
	a, b := s.sealedNode(Config{}, 1), s.sealedNode(Config{}, 1)
	s.until(time.Second, "B", func() bool { return len(a.members) == 1 })
	a.send(0, []byte("at once")) // before a hello can have come
	s.until(10*time.Second, "a full mesh", func() bool { return full(a, b) })
	s.until(time.Second, "the first message", func() bool { return len(b.got) == 1 })
	b.got = nil
	big := make([]byte, 100_000)
	binary.BigEndian.PutUint64(big, 7)
	a.send(0, []byte("to all"))
	b.send(a.core.ID(), []byte("to one"))
	a.send(0, big)
	a.send(b.core.ID(), big)
	s.until(time.Second, "all messages", func() bool { return len(b.got) == 3 && len(a.got) == 1 })
	if string(b.got[0].Data) != "to all" || b.got[0].Private || !bytes.Equal(b.got[1].Data, big) || b.got[1].Private ||
		!bytes.Equal(b.got[2].Data, big) || !b.got[2].Private || !a.got[0].Private {
		t.Errorf("got %.200v, %v", b.got, a.got)
	}
}

// TestSealedBytes looks at all that members of a sealed group send: nothing but the service of sealed groups goes out, to one
// member each time, and in all of it no key, no SDP, no list of members and nothing of what the users say (SEC-4, SEC-7,
// SEC-12, SEC-22).
func TestSealedBytes(t *testing.T) {
	s := newSim(t, 2)
	user := []byte("what the user says")
	var hidden [][]byte
	hidden = append(hidden, []byte("key"), user, []byte("answer"), []byte("candidate"))
	count, contents := 0, 0
	s.tamper = func(from, to *node, b []byte) [][]byte {
		count++
		for _, h := range hidden {
			if bytes.Contains(b, h) {
				t.Errorf("%q is in %x", h, b)
			}
		}
		var m wire.Message
		if from != nil && to != nil {
			if m.Decode(b) != nil || m.ServiceID != wire.ServiceSealed || m.RecipientID < MinID || m.SenderID < MinID {
				t.Errorf("%s sends %s", from.name, describe(b, false))
			}
			return [][]byte{b}
		}
		var sig wire.Signaling
		if sig.Decode(b) == nil && sig.Kind == wire.SignalingContent && sig.Content.Data != nil {
			contents++
			if m.Decode(sig.Content.Data) != nil || m.ServiceID != wire.ServiceSealed {
				t.Errorf("through signaling: %s", describe(b, true))
			}
		}
		return [][]byte{b}
	}
	nodes := s.sealedGroup(3, Config{})
	for _, n := range nodes {
		n.send(0, user)
		n.send(0, bytes.Repeat(user, 1000))
	}
	s.until(time.Second, "all messages", func() bool {
		return !slices.ContainsFunc(nodes, func(n *node) bool { return len(n.got) < 4 })
	})
	for _, n := range nodes {
		for _, l := range n.byLink() {
			if strings.Contains(l.label, fmt.Sprint(n.core.ID())) {
				t.Errorf("a label: %s", l.label) // SEC-22
			}
		}
		n.step(Leave{})
	}
	for _, name := range s.named {
		if name != keysOf(1).Room() { // SEC-4
			t.Errorf("the server is asked for %q", name)
		}
	}
	s.run(time.Second)
	for _, n := range nodes {
		if n.core.State() != StateLeft || n.core.timers.Len() != 0 || n.core.seal != nil {
			t.Errorf("%s: %v, %d timers", n.name, n.core.State(), n.core.timers.Len())
		}
	}
	if count < 100 || contents < 20 {
		t.Errorf("%d messages, %d contents", count, contents)
	}
}

// TestSealedGroup has sealed groups do what others do: many join at once, channels break, one cannot be built, somebody dies,
// and all that is said comes once and in order (SEC-35, EXT-8).
func TestSealedGroup(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newSim(t, seed)
			s.latency = func(a, b *node) time.Duration { return time.Duration(1+s.rand.IntN(30)) * time.Millisecond }
			var nodes []*node
			for range 5 {
				nodes = append(nodes, s.sealedNode(Config{}, 1))
			}
			s.run(10 * time.Millisecond)
			s.until(20*time.Second, "a full mesh", func() bool { return full(nodes...) })
			k := newTalk(s, nodes)
			chatter := func(d time.Duration) {
				for end := s.now + d; s.now < end; s.run(time.Duration(s.rand.IntN(100)) * time.Millisecond) {
					from, to := nodes[s.rand.IntN(5)], nodes[s.rand.IntN(5)]
					if from == to {
						to = nil
					}
					k.say(from, to, s.rand.IntN(40_000))
				}
			}
			chatter(time.Second)
			a, b := nodes[0], nodes[3]
			s.cut = func(x, y *node) bool { return x == a && y == b || x == b && y == a }
			s.sever(a, b, false)
			s.sever(nodes[1], nodes[2], true)
			chatter(20 * time.Second)
			s.cut = func(x, y *node) bool { return false }
			chatter(10 * time.Second)
			s.until(5*time.Minute, "a full mesh again", func() bool { return full(nodes...) && settled(nodes) })
			k.check(t)
			for _, n := range nodes {
				if n.gone != 0 {
					t.Errorf("%s lost %d members", n.name, n.gone)
				}
			}
		})
	}
}

// TestSealedHeal cuts a sealed group into parts, which find each other again (STA-20, SEC-19).
func TestSealedHeal(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newSim(t, seed)
			nodes := s.sealedGroup(6, Config{})
			healed(t, s, nodes, []int{2, 4}, 40*time.Second, seed%2 == 0, 12*time.Second)
		})
	}
}

// TestSealedAgain has two members that talk on a channel make another session, whose last message comes late: nothing of
// what they say meanwhile is lost, which nobody would send again (EXT-8, SEC-19).
func TestSealedAgain(t *testing.T) {
	s := newSim(t, 13)
	nodes := s.sealedGroup(2, Config{})
	a, b := nodes[0], nodes[1]
	thirds := 0
	s.tamper = func(from, to *node, data []byte) [][]byte {
		var m wire.Message
		var sm wire.Sealed
		if to != nil && from != nil && m.Decode(data) == nil && sm.Decode(m.Content) == nil && sm.Kind == wire.SealedHandshake && sm.Handshake.Step == 3 {
			if thirds++; thirds == 1 {
				return nil
			}
		}
		return [][]byte{data}
	}
	c := a.core
	c.begin(s.now)
	to := address{id: b.core.ID(), me: c.ID()}
	k := &asking{to: to, index: c.newIndex()}
	k.handshake, k.first, _ = c.seal.keys.Initiate(c.self(k.index), c.cfg.Entropy)
	c.seal.asking[to.id] = k
	c.shake(to, 1, k.first, &k.repeat, 0)
	a.do(c.outputs)
	talk := newTalk(s, nodes)
	for range 50 {
		talk.say(a, b, 100)
		talk.say(b, a, 100)
		s.run(50 * time.Millisecond)
	}
	s.until(time.Second, "all acknowledged", func() bool { return settled(nodes) })
	talk.check(t)
	for _, n := range nodes {
		for id, list := range n.core.seal.pairs {
			if len(list) != 2 || !list[1].confirmed || n.core.sessionWith(id) != list[1] {
				t.Errorf("%s: %d sessions", n.name, len(list))
			}
		}
	}
	if thirds != 2 || a.gone+b.gone > 0 {
		t.Errorf("message 3 was sent %d times, %d left", thirds, a.gone+b.gone)
	}
}

// TestSealedForgotten has one of two members forget their session, as after a time in which it took the other for gone:
// they make another one when they want a channel (SEC-12).
func TestSealedForgotten(t *testing.T) {
	s := newSim(t, 14)
	nodes := s.sealedGroup(3, Config{})
	a, b := nodes[0], nodes[2]
	s.sever(a, b, false)
	s.run(20 * time.Millisecond)
	b.core.unpair(a.core.ID())
	s.until(time.Minute, "a full mesh again", func() bool { return full(nodes...) })
}

// TestSealedSweep has what is left of strangers and of those who left go after a while (SEC-10, SEC-23).
func TestSealedSweep(t *testing.T) {
	s := newSim(t, 15)
	nodes := s.sealedGroup(3, Config{})
	left := nodes[2].core.ID()
	kept := []*session{nodes[0].core.sessionWith(left), nodes[2].core.sessionWith(nodes[0].core.ID())}
	nodes[2].step(Leave{})
	s.until(time.Second, "the end of its sessions", func() bool { // SEC-10
		return len(nodes[0].core.seal.pairs[left])+len(nodes[1].core.seal.pairs[left]) == 0
	})
	for _, k := range kept { // SEC-10
		if _, _, err := k.Seal(nil, nil); err != sealed.ErrExhausted {
			t.Errorf("a session of one that has left seals: %v", err)
		}
	}
	s.run(KnownTime + 3*sweepInterval)
	for _, n := range nodes[:2] {
		if x := n.core.seal; len(x.sessions) != len(x.pairs[nodes[0].core.ID()])+len(x.pairs[nodes[1].core.ID()]) || len(x.pairs) != 1 ||
			x.known[left] != nil || len(x.answers) != 0 || len(x.asking) != 0 {
			t.Errorf("%s keeps %d sessions, %d pairs, %d answers, %v", n.name, len(x.sessions), len(x.pairs), len(x.answers), x.known)
		}
	}
}

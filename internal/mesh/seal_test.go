package mesh

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
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

// TestSealedBothBegin has two members that have lost each other begin a handshake at once: the lower id's is the one that is
// answered, and there is one session (SEC-19).
func TestSealedBothBegin(t *testing.T) {
	s := newSim(t, 18)
	nodes := s.sealedGroup(3, Config{})
	pair := nodes[1:]
	slices.SortFunc(pair, func(a, b *node) int { return cmp.Compare(a.core.ID(), b.core.ID()) })
	low, high := pair[0], pair[1]
	s.sever(low, high, false)
	s.run(10 * time.Millisecond)
	steps := make(map[uint32]int)
	s.tamper = func(from, to *node, b []byte) [][]byte {
		var m wire.Message
		var sm wire.Sealed
		if from != nil && to != nil && m.Decode(b) == nil && sm.Decode(m.Content) == nil && sm.Kind == wire.SealedHandshake && m.SenderID == from.core.ID() {
			steps[sm.Handshake.Step]++
		}
		return [][]byte{b}
	}
	for _, n := range pair {
		other := low.core.ID() + high.core.ID() - n.core.ID()
		n.core.unpair(other)
		n.core.begin(s.now)
		n.core.members[other].retryAt = 0
		n.core.connectTo([]uint32{other}, 0, nil)
		n.do(n.core.outputs)
	}
	s.until(10*time.Second, "a full mesh", func() bool { return full(nodes...) })
	a, b := low.core.seal.pairs[high.core.ID()], high.core.seal.pairs[low.core.ID()]
	if len(a) != 1 || len(b) != 1 || !a[0].asked || b[0].asked || steps[1] != 2 || steps[2] != 1 || steps[3] != 1 {
		t.Errorf("%d and %d sessions after %v messages", len(a), len(b), steps)
	}
}

// TestSealedUnanswered has a member ask another one in a session that this has forgotten, and which asks for nothing itself: as it is not
// answered, it begins another one (SEC-51).
func TestSealedUnanswered(t *testing.T) {
	s := newSim(t, 19)
	nodes := s.sealedGroup(3, Config{})
	a, b := nodes[1], nodes[2]
	s.sever(a, b, false)
	s.run(10 * time.Millisecond)
	b.core.unpair(a.core.ID())
	m := b.core.members[a.core.ID()]
	m.again.stop()
	m.retryAt = s.now + time.Hour
	s.until(10*time.Second, "a full mesh", func() bool { return full(nodes...) })
}

// TestSealedInitial has somebody else than the peer of an attempt say the first word on its channel, in a session of its own
// (SEC-21).
func TestSealedInitial(t *testing.T) {
	s := newSim(t, 26)
	nodes := s.sealedGroup(3, Config{})
	a, b, x := nodes[0].core, nodes[1].core, nodes[2].core
	peer := x.seal.behind[0] // through whom it has joined
	if peer == nil || peer.id != a.ID() {
		t.Fatalf("joined through %v", peer)
	}
	for _, from := range []*Core{a, b} {
		content, err := from.sealIn(from.sessionWith(x.ID()), &wire.Inner{ServiceID: wire.ServiceHeartbeat, Content: []byte{1}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		m := wire.Message{SenderID: a.ID(), RecipientID: x.ID(), ServiceID: wire.ServiceSealed, Content: content}
		id, _, err := x.openInitial(&channel{to: address{signaling: true}}, m.Append(nil))
		if from == a && (err != nil || id != a.ID()) || from == b && !errors.Is(err, ErrIdentity) {
			t.Errorf("%d, %v", id, err)
		}
	}
}

// TestSealedKnownFull has a member tell of so many that no more can be remembered: who shows its identity then is remembered
// all the same, and nobody else can take its id (SEC-23). Those who have shown theirs make no room: there the handshake is refused.
func TestSealedKnownFull(t *testing.T) {
	s := newSim(t, 30)
	nodes := s.sealedGroup(2, Config{MaxMembers: 5})
	a, b := nodes[0].core, nodes[1].core
	a.begin(s.now)
	for i := range uint32(100) {
		public := identityOf(byte(i)).Public()
		a.learn([]uint32{MinID + i}, [][]byte{public[:]}, b.ID())
	}
	a.seal.known[b.ID()] = &known{public: b.seal.identity.Public(), by: b.ID()} // a member's stays, although heard of first
	if n := len(a.seal.known); n != maxKnown*5 {
		t.Fatalf("%d identities are known", n)
	}
	shown := func(id uint32, identity *sealed.Identity) error {
		keys := keysOf(1)
		h, first, _ := keys.Initiate(sealed.Self{Identity: identity, ID: id, Index: id}, nil)
		r, second, _ := keys.Respond(sealed.Self{Identity: a.seal.identity, ID: a.ID(), Index: id}, nil, first)
		_, third, err := h.Finish(second)
		if err != nil {
			t.Fatal(err)
		}
		session, err := r.Complete(third)
		if err != nil {
			t.Fatal(err)
		}
		err = a.vouch(address{id: id, me: a.ID()}, session)
		if _, _, sealing := session.Seal(nil, nil); (sealing == nil) != (err == nil) { // SEC-10
			t.Errorf("refused for %v, sealing: %v", err, sealing)
		}
		return err
	}
	for i := range uint32(maxKnown*5 - 1) { // b is known too
		id := MinID + 1000 + i
		if err := shown(id, identityOf(1)); err != nil {
			t.Error(err)
		}
		if err := shown(id, identityOf(2)); !errors.Is(err, ErrIdentity) {
			t.Errorf("another one takes the id of one that is known: %v", err)
		}
	}
	if err := shown(MinID+2000, identityOf(1)); err != errMembers || len(a.seal.known) != maxKnown*5 {
		t.Errorf("%v, %d identities are known", err, len(a.seal.known))
	}
	if err := shown(b.ID(), b.seal.identity); err != nil {
		t.Error(err)
	}
}

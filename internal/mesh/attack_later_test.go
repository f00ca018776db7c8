package mesh

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/attacks"
	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/wire"
)

// groupOf makes a group whose members come one after another.
func (s *sim) groupOf(n int, isSealed bool) []*node {
	if isSealed {
		return s.sealedGroup(n, Config{})
	}
	return s.group(n, Config{})
}

// record keeps all messages that go between members.
func (s *sim) record() *[]wire.Message {
	all := new([]wire.Message)
	s.tamper = func(from, to *node, b []byte) [][]byte {
		var m wire.Message
		if from != nil && to != nil && m.Decode(b) == nil {
			*all = append(*all, *copied(&m))
		}
		return [][]byte{b}
	}
	return all
}

// TestFormerMember has a member that has left keep its keys, and hear all that the others say after that: of a sealed group
// it understands nothing, neither by the keys of its sessions nor by those of messages to all (SEC-10, SEC-12, SEC-17).
func TestFormerMember(t *testing.T) {
	said := bytes.Repeat([]byte("what a former member should not read"), 200)
	for _, isSealed := range []bool{false, true} {
		s := newSim(t, 31)
		nodes := s.groupOf(3, isSealed)
		a, b, x := nodes[0], nodes[1], nodes[2]
		kept := make(map[uint32]*sealed.Session)
		var keys []sealed.BodyKey
		heard := s.record()
		if isSealed {
			for index, k := range x.core.seal.sessions {
				c := *k.Session
				kept[index] = &c
			}
		}
		a.send(0, said)
		s.until(5*time.Second, "a message", func() bool { return len(x.got) == 1 })
		for _, m := range *heard {
			if p := partOf(&m); p != nil && m.RecipientID == x.core.ID() {
				var inner wire.Inner
				if plain, err := kept[p.Index].Open(nil, p.Counter, p.Data); err == nil && inner.Decode(plain) == nil && inner.BodyKey != nil {
					keys = append(keys, sealed.BodyKey(inner.BodyKey))
				}
			}
		}
		if isSealed && (len(keys) == 0 || len(kept) != 2) {
			t.Fatalf("it has %d sessions, and %d keys of messages", len(kept), len(keys))
		}
		x.step(Leave{})
		s.until(5*time.Second, "a leave", func() bool { return a.gone+b.gone == 2 })
		*heard = nil
		a.send(0, said)
		a.send(b.core.ID(), said)
		b.send(0, said)
		s.until(5*time.Second, "all messages", func() bool { return len(b.got) == 3 && len(a.got) == 1 })
		read, bodies := false, 0
		var refusals []error
		for _, m := range *heard {
			read = read || bytes.Contains(m.Append(nil), said[:200])
			p := partOf(&m)
			if p == nil {
				continue
			}
			for _, k := range kept {
				_, err := k.Open(nil, p.Counter, p.Data)
				read = read || err == nil
				refusals = append(refusals, err)
			}
			if p.Body == nil {
				continue
			}
			bodies++
			for _, key := range keys {
				for nb := range uint32(3) {
					_, err := sealed.NewBody(key).Open(nil, nb, sealed.Digest(sha256.Sum256(p.Body)), p.Body)
					read = read || err == nil
				}
			}
		}
		if isSealed && bodies == 0 {
			t.Error("no message to all that is sealed once")
		}
		outcome := attacks.Refused
		if read {
			outcome = attacks.Succeeds
		}
		attacks.Check(t, "former member: listens", isSealed, outcome, errors.Join(refusals...))
	}
}

// partOf returns what is sealed in a message; nil: there is nothing.
func partOf(m *wire.Message) *wire.Part {
	var sm wire.Sealed
	if m.ServiceID != wire.ServiceSealed || sm.Decode(m.Content) != nil || sm.Kind != wire.SealedPart {
		return nil
	}
	return &sm.Part
}

// TestOldSession has what a member said be said again to another one after it has left and come back: as it was, with its
// new id, and as of its new session (SEC-10, SEC-13, SEC-15).
func TestOldSession(t *testing.T) {
	for _, isSealed := range []bool{false, true} {
		s := newSim(t, 32)
		nodes := s.groupOf(2, isSealed)
		a, b := nodes[0], nodes[1]
		old := s.record()
		a.send(b.core.ID(), []byte("yes"))
		s.until(5*time.Second, "a message", func() bool { return len(b.got) == 1 })
		*old = slices.DeleteFunc(*old, func(m wire.Message) bool { return m.SenderID != a.core.ID() })
		said := slices.Clone(*old)
		a.step(Leave{})
		s.until(5*time.Second, "a leave", func() bool { return b.gone == 1 })
		if isSealed {
			a.step(Join{Key: "key", Keys: keysOf(1)})
		} else {
			a.step(Join{Key: "key"})
		}
		s.until(10*time.Second, "it is back", func() bool { return full(nodes...) })
		s.run(time.Second)
		link := b.core.members[a.core.ID()].ch.link
		b.got, b.notes = nil, nil
		for _, m := range said {
			b.step(Received{link, m.Append(nil)})
			m.SenderID = a.core.ID()
			b.step(Received{link, m.Append(nil)})
			b.step(Received{link, unnumbered(&m).Append(nil)})
			if p := partOf(&m); p != nil {
				_, p.Index = a.core.sessionWith(b.core.ID()).Indexes()
				for range 50 { // some of these counters have not come yet
					m.Content = (&wire.Sealed{Kind: wire.SealedPart, Part: *p}).Append(nil)
					b.step(Received{link, m.Append(nil)})
					p.Counter++
				}
			}
		}
		outcome, err := attacks.Refused, errors.Join(b.notes...)
		if len(b.got) > 0 {
			outcome, err = attacks.Succeeds, nil
		} else if !errors.Is(err, errNoSession) || !errors.Is(err, sealed.ErrReplay) {
			t.Errorf("refused by %v", err)
		}
		attacks.Check(t, "relay: replays an old session", isSealed, outcome, err)
	}
}

// TestRejoinKeys has a member with an identity of its own leave and come back: no two of its sessions seal anything alike,
// so that no key is used again with a counter (SEC-10, SEC-13).
func TestRejoinKeys(t *testing.T) {
	s := newSim(t, 33)
	a := s.sealedGroup(1, Config{Identity: identityOf(1)})[0]
	b := s.sealedNode(Config{Identity: identityOf(2)}, 1)
	bindings, parts := make(map[[32]byte]bool), make(map[string]int)
	heard := s.record()
	const lives = 4
	for life := range lives {
		if life > 0 {
			b.step(Join{Key: "key", Keys: keysOf(1)})
		}
		s.until(10*time.Second, "a mesh", func() bool { return full(a, b) })
		bindings[b.core.sessionWith(a.core.ID()).Binding()] = true
		*heard = nil
		s.run(20 * time.Second) // in which they say much that is the same in each life
		for _, m := range *heard {
			if p := partOf(&m); p != nil {
				parts[fmt.Sprintf("%d %x", p.Counter, p.Data[:6])]++
			}
		}
		b.step(Leave{})
		s.until(5*time.Second, "a leave", func() bool { return a.gone == life+1 })
	}
	outcome := attacks.Mended
	for _, n := range parts {
		if n > 1 {
			outcome = attacks.Succeeds
		}
	}
	if len(bindings) != lives || len(parts) < 10*lives {
		t.Errorf("%d sessions, %d messages", len(bindings), len(parts))
	}
	attacks.Check(t, "recorder: waits for a key to be used again", true, outcome, nil)
}

// TestUnsealedStranger has one with the key join an unsealed group: it is a member, and is told what all are told.
func TestUnsealedStranger(t *testing.T) {
	s := newSim(t, 34)
	nodes := s.group(2, Config{})
	x := s.node(Config{})
	x.step(Join{Key: "key"})
	s.until(10*time.Second, "it is a member", func() bool { return full(append(nodes, x)...) })
	nodes[0].send(0, []byte("for friends"))
	s.until(5*time.Second, "it reads", func() bool { return len(x.got) == 1 })
	attacks.Check(t, "stranger: led to a group", false, attacks.Succeeds, nil)
}

// TestUnsealedImpostor has a member of an unsealed group speak in the name of another one.
func TestUnsealedImpostor(t *testing.T) {
	s := newSim(t, 35)
	nodes := s.group(3, Config{})
	a, b, x := nodes[0], nodes[1], nodes[2]
	u := (&wire.UserMessage{Length: 4, Kind: wire.UserMessageFull, Full: []byte("evil")}).Append(nil)
	m := wire.Message{SenderID: a.core.ID(), RecipientID: b.core.ID(), ServiceID: wire.ServiceUserMessage, Content: u}
	b.step(Received{b.core.members[x.core.ID()].ch.link, m.Append(nil)})
	if len(b.got) != 1 || b.got[0].From != a.core.ID() {
		t.Fatalf("got %v, %q", b.got, b.problems)
	}
	attacks.Check(t, "insider: takes the id of another member", false, attacks.Succeeds, nil)
}

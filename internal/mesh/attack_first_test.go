package mesh

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/attacks"
	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/wire"
)

// A middle is a bad member between two that have never met: to each it pretends to be the other one, by identities that it
// has made itself, and passes on what it has read.
type middle struct {
	s       *sim
	at      *node // it
	ends    [2]*node
	masks   [2]*sealed.Identity // of each end, as the middle pretends
	shakes  [2]*sealed.Handshake
	with    [2]*sealed.Session
	begun   bool
	own     bool     // it says who it is
	read    [][]byte // what users say
	thirds  int
	refused int // messages of ends that it cannot open
}

// newMiddle makes a group of three whose first member is bad, and the only way between the others. lies says that it names
// its own identities for them in its lists, too, and own that it answers as itself where another one is asked.
func newMiddle(t *testing.T, lists, lies, own bool) *middle {
	s := newSim(t, 30)
	m := &middle{s: s, own: own}
	ids := []*sealed.Identity{identityOf(1), identityOf(2), identityOf(3)}
	var allow []sealed.Public
	if lists {
		for _, id := range ids {
			allow = append(allow, id.Public())
		}
	}
	s.cut = func(x, y *node) bool { return x != m.at && y != m.at }
	m.at = s.sealedNode(Config{Identity: ids[0]}, 1)
	s.until(time.Second, "the first member", func() bool { return full(m.at) })
	m.masks = [2]*sealed.Identity{identityOf(11), identityOf(12)}
	s.tamper = m.tamper
	for i := range m.ends {
		m.ends[i] = s.sealedNode(Config{Identity: ids[1+i], Allow: allow}, 1)
		s.until(5*time.Second, "a channel", func() bool { return slices.Contains(m.ends[i].core.Neighbors(), m.at.core.ID()) })
		if lies {
			m.at.core.seal.known[m.ends[i].core.ID()].public = m.masks[i].Public()
		}
	}
	s.run(10 * time.Second)
	return m
}

// tamper is what the middle makes of what it should pass on.
func (m *middle) tamper(from, to *node, b []byte) [][]byte {
	var msg wire.Message
	var sm wire.Sealed
	if from != m.at || to == nil || msg.Decode(b) != nil || msg.SenderID == m.at.core.ID() || sm.Decode(msg.Content) != nil {
		return [][]byte{b}
	}
	i := slices.IndexFunc(m.ends[:], func(n *node) bool { return n != nil && n.core.ID() == msg.SenderID })
	if i < 0 || m.ends[1-i] == nil {
		return [][]byte{b}
	}
	switch sm.Kind {
	case wire.SealedHandshake:
		m.shake(i, &sm.Handshake)
	case wire.SealedPart:
		m.pass(i, &sm.Part)
	}
	return nil
}

// say sends an end what seems to come from the other one.
func (m *middle) say(to int, sm *wire.Sealed) {
	a, b := m.ends[to], m.ends[1-to]
	b2 := (&wire.Message{SenderID: b.core.ID(), RecipientID: a.core.ID(), ServiceID: wire.ServiceSealed, Content: sm.Append(nil)}).Append(nil)
	for _, l := range m.at.byLink() {
		if l.peer != nil && l.peer.node == a && l.open && !l.closed {
			m.s.at(0, func() { m.s.carry(l, b2) })
		}
	}
}

// self is what the middle pretends to be to an end: the other one.
func (m *middle) self(to int) sealed.Self {
	if m.own {
		return sealed.Self{Identity: m.at.core.seal.identity, ID: m.at.core.ID(), Index: uint32(77 + to)}
	}
	return sealed.Self{Identity: m.masks[1-to], ID: m.ends[1-to].core.ID(), Index: uint32(77 + to)}
}

// shake answers a handshake that an end has begun, and begins one with the other end.
func (m *middle) shake(from int, h *wire.Handshake) {
	var answer []byte
	step := h.Step + 1
	keys, rand := keysOf(1), entropy{m.s}
	var err error
	switch h.Step {
	case 1:
		if m.begun {
			return
		}
		m.begun = true
		var first []byte
		m.shakes[from], answer, err = keys.Respond(m.self(from), rand, h.Data)
		if err == nil {
			m.shakes[1-from], first, err = keys.Initiate(m.self(1-from), rand)
			m.say(1-from, &wire.Sealed{Kind: wire.SealedHandshake, Handshake: wire.Handshake{Step: 1, Data: first}})
		}
	case 2:
		m.with[from], answer, err = m.shakes[from].Finish(h.Data)
	case 3:
		m.thirds++
		m.with[from], err = m.shakes[from].Complete(h.Data)
		step = 0
	}
	if err != nil {
		m.s.t.Fatal(err) // it has the secret: it can do all that an honest one can
	}
	if step > 0 {
		m.say(from, &wire.Sealed{Kind: wire.SealedHandshake, Handshake: wire.Handshake{Step: step, Data: answer}})
	}
}

// pass reads what an end says, and seals it for the other one.
func (m *middle) pass(from int, p *wire.Part) {
	var inner wire.Inner
	if m.with[from] == nil || m.with[1-from] == nil {
		m.refused++
		return
	}
	plain, err := m.with[from].Open(nil, p.Counter, p.Data)
	if err != nil || inner.Decode(plain) != nil {
		m.refused++
		return
	}
	if inner.ServiceID == wire.ServiceUserMessage {
		m.read = append(m.read, inner.Content)
	}
	n, data, err := m.with[1-from].Seal(nil, plain)
	if err != nil {
		m.s.t.Fatal(err)
	}
	_, index := m.with[1-from].Indexes()
	m.say(1-from, &wire.Sealed{Kind: wire.SealedPart, Part: wire.Part{Index: index, Counter: n, Data: data, Body: p.Body}})
}

// TestFirstContact has two members meet for the first time through one that is bad. Without lists it stands between them,
// where it is the only one that has told them of each other, as chapter SEC says; what it has told before binds it; and with
// lists it has no way in (SEC-23, SEC-24, SEC-26).
func TestFirstContact(t *testing.T) {
	said := []byte("what only the other one should read")
	meet := func(m *middle) bool { // they talk, as they believe
		a, b := m.ends[0], m.ends[1]
		if !a.members[b.core.ID()] || !b.members[a.core.ID()] {
			return false
		}
		a.send(b.core.ID(), said)
		m.s.run(5 * time.Second)
		return slices.ContainsFunc(b.got, func(d Deliver) bool { return bytes.Equal(d.Data, said) })
	}
	has := func(n *node, want error) bool {
		return slices.ContainsFunc(n.refusals, func(err error) bool { return errors.Is(err, want) })
	}
	t.Run("no lists", func(t *testing.T) {
		m := newMiddle(t, false, true, false)
		if !meet(m) || !slices.ContainsFunc(m.read, func(b []byte) bool { return bytes.Contains(b, said) }) {
			t.Errorf("the attack does not work: it has read %d messages\n%s", len(m.read), m.s.describe())
		}
		// Users who compare find out (SEC-25).
		a, b := m.ends[0].core, m.ends[1].core
		if a.Identities()[b.ID()] == b.Identities()[b.ID()] || b.Identities()[a.ID()] == a.Identities()[a.ID()] {
			t.Error("both see the same")
		}
		attacks.Check(t, "insider: between two at first contact", true, attacks.Succeeds, nil)
	})
	t.Run("it has named them before", func(t *testing.T) {
		m := newMiddle(t, false, false, false)
		if meet(m) || m.thirds > 0 || len(m.read) > 0 {
			t.Errorf("they met; it has read %d messages", len(m.read))
		}
		if len(m.ends[1].disputes) == 0 {
			t.Error("no dispute")
		}
		attacks.Check(t, "insider: between two, named before", true, attacks.Refused, errors.Join(m.ends[1].refusals...))
	})
	t.Run("it answers as itself", func(t *testing.T) { // SEC-11
		m := newMiddle(t, false, false, true)
		if meet(m) || m.thirds > 0 || !m.begun {
			t.Errorf("%d times message 3", m.thirds)
		}
		attacks.Check(t, "insider: answers in the place of another member", true, attacks.Refused, errors.Join(m.ends[1].refusals...))
	})
	t.Run("lists", func(t *testing.T) {
		m := newMiddle(t, true, false, false)
		if meet(m) || m.thirds > 0 || len(m.read) > 0 || !m.begun {
			t.Errorf("they met; it has read %d messages", len(m.read))
		}
		if !has(m.ends[0], ErrNotListed) || !has(m.ends[1], ErrNotListed) {
			t.Errorf("refusals %v, %v", m.ends[0].refusals, m.ends[1].refusals)
		}
		attacks.Check(t, "insider: between two that have lists", true, attacks.Refused, errors.Join(m.ends[1].refusals...))
	})
	t.Run("lists and lies", func(t *testing.T) {
		m := newMiddle(t, true, true, false)
		if meet(m) || m.begun || len(m.ends[1].core.attempts) > 0 {
			t.Errorf("something was begun with an identity that is on no list")
		}
	})
	t.Run("honest", func(t *testing.T) {
		m := newMiddle(t, true, false, false)
		m.s.tamper = nil
		m.s.until(time.Minute, "they meet", func() bool { return meet(m) })
	})
}

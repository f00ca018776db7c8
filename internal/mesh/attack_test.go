package mesh

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/attacks"
	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/wire"
)

// A relayed is a group of three, two of which reach each other through the third alone, which is bad.
type relayed struct {
	s       *sim
	a, b, c *node
	held    []*wire.Message
	touched int
}

// newRelayed makes one. The relay puts what meddle returns in the place of what it should pass on.
func newRelayed(t *testing.T, isSealed bool, meddle func(r *relayed, m *wire.Message) []*wire.Message) *relayed {
	t.Helper()
	s := newSim(t, 5)
	for range 3 {
		if isSealed {
			s.sealedNode(Config{}, 1)
		} else {
			s.node(Config{}).step(Join{Key: "key"})
		}
		s.until(10*time.Second, "a full mesh", func() bool { return full(s.nodes...) })
	}
	r := &relayed{s: s, a: s.nodes[0], c: s.nodes[1], b: s.nodes[2]}
	s.cut = func(x, y *node) bool { return x != r.c && y != r.c }
	s.sever(r.a, r.b, false)
	s.run(2 * time.Second)
	s.tamper = func(from, to *node, b []byte) [][]byte {
		var m wire.Message
		if from != r.c || to == nil || m.Decode(b) != nil || m.SenderID == r.c.core.ID() {
			return [][]byte{b}
		}
		var all [][]byte
		for _, m := range meddle(r, &m) {
			all = append(all, m.Append(nil))
		}
		return all
	}
	return r
}

// flip changes a bit of something that is long enough to be, or to hold, what a user says.
func (r *relayed) flip(m *wire.Message) *wire.Message {
	if len(m.Content) < 50 {
		return m
	}
	r.touched++
	m = copied(m)
	m.Content[len(m.Content)/2] ^= 1
	return m
}

// truncate takes away the end of what a user says, so that the rest is whole, as far as somebody without keys can do that.
func (r *relayed) truncate(m *wire.Message) *wire.Message {
	var u wire.UserMessage
	var sm wire.Sealed
	switch {
	case m.ServiceID == wire.ServiceUserMessage && u.Decode(m.Content) == nil && u.Kind == wire.UserMessageFull && len(u.Full) > 16:
		u.Full = u.Full[:len(u.Full)/2]
		u.Length = uint32(len(u.Full))
		m = copied(m)
		m.Content = u.Append(nil)
		r.touched++
	case m.ServiceID == wire.ServiceSealed && sm.Decode(m.Content) == nil && sm.Kind == wire.SealedPart && len(sm.Part.Data) > 100:
		sm.Part.Data = sm.Part.Data[:len(sm.Part.Data)/2]
		m = copied(m)
		m.Content = sm.Append(nil)
		r.touched++
	}
	return m
}

// unnumbered takes the number from what a user says, as if it was of an original, which has none; if that is not sealed.
func unnumbered(m *wire.Message) *wire.Message {
	m = copied(m)
	var u wire.UserMessage
	if m.ServiceID == wire.ServiceUserMessage && u.Decode(m.Content) == nil {
		u.Number = 0
		m.Content = u.Append(nil)
	}
	return m
}

func copied(m *wire.Message) *wire.Message {
	c := *m
	c.Content = bytes.Clone(m.Content)
	return &c
}

// relayAttacks are what a relay can do to what it passes on.
var relayAttacks = []struct {
	name   string
	lost   bool // nothing need come
	meddle func(r *relayed, m *wire.Message) []*wire.Message
}{
	{"flip one of three", false, func(r *relayed, m *wire.Message) []*wire.Message {
		if r.s.rand.IntN(3) == 0 {
			m = r.flip(m)
		}
		return []*wire.Message{m}
	}},
	{"drop one of three", false, func(r *relayed, m *wire.Message) []*wire.Message {
		if r.s.rand.IntN(3) == 0 {
			r.touched++
			return nil
		}
		return []*wire.Message{m}
	}},
	{"drop all", true, func(r *relayed, m *wire.Message) []*wire.Message {
		r.touched++
		return nil
	}},
	{"replay", false, func(r *relayed, m *wire.Message) []*wire.Message {
		r.touched++
		r.held = append(r.held, copied(m))
		return []*wire.Message{m, m, r.held[r.s.rand.IntN(len(r.held))]}
	}},
	{"reorder", false, func(r *relayed, m *wire.Message) []*wire.Message {
		if r.held = append(r.held, copied(m)); len(r.held) < 4 {
			return nil
		}
		r.touched++
		all := slices.DeleteFunc(r.held, func(h *wire.Message) bool { return h.RecipientID != m.RecipientID })
		r.held = nil
		slices.Reverse(all)
		return all
	}},
	{"truncate one of three", false, func(r *relayed, m *wire.Message) []*wire.Message {
		if r.s.rand.IntN(3) == 0 {
			m = r.truncate(m)
		}
		return []*wire.Message{m}
	}},
	{"redirect and impersonate", false, func(r *relayed, m *wire.Message) []*wire.Message {
		r.touched++
		back, mine := unnumbered(m), unnumbered(m)
		back.SenderID, back.RecipientID = m.RecipientID, m.SenderID
		mine.SenderID = r.c.core.ID()
		return []*wire.Message{back, mine, m}
	}},
	{"say that it is its own", true, func(r *relayed, m *wire.Message) []*wire.Message {
		r.touched++
		mine := unnumbered(m)
		mine.SenderID = r.c.core.ID()
		return []*wire.Message{mine}
	}},
}

// TestRelayAttacks has a relay do what it can to what it passes on. In a sealed group what two members say comes once, in
// order and unchanged, or not at all; in an unsealed one the relay changes what they say, and nobody notices (SEC-13,
// SEC-15, SEC-16).
func TestRelayAttacks(t *testing.T) {
	for _, attack := range relayAttacks {
		for _, isSealed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, sealed %v", attack.name, isSealed), func(t *testing.T) {
				r := newRelayed(t, isSealed, attack.meddle)
				pair := []*node{r.a, r.b}
				k := newTalk(r.s, pair)
				sizes := make(map[*node][]int)
				for range 30 {
					for i, from := range pair {
						size := 8 + r.s.rand.IntN(30_000)
						sizes[from] = append(sizes[from], size)
						k.say(from, pair[1-i], size)
					}
					r.s.run(100 * time.Millisecond)
				}
				for end := r.s.now + 2*time.Minute; r.s.now < end && !(settled(pair) && !attack.lost) && r.a.members[r.b.core.ID()]; {
					r.s.run(100 * time.Millisecond)
				}
				outcome := attacks.Mended
				for i, n := range pair {
					other := pair[1-i]
					for j, d := range n.got { // what is right is the first, the second, the third …
						if d.From != other.core.ID() || j >= len(sizes[other]) || len(d.Data) != sizes[other][j] || number(d) != uint64(j+1) ||
							bytes.ContainsFunc(d.Data[8:], func(c rune) bool { return c != 0 }) {
							outcome = attacks.Succeeds
						}
					}
				}
				if !r.a.members[r.b.core.ID()] && outcome == attacks.Mended {
					outcome = attacks.Noticed
				} else if isSealed && outcome == attacks.Mended {
					k.check(t)
				}
				if r.touched == 0 {
					t.Error("the attack has not taken place")
				}
				err := errors.Join(slices.Concat(r.a.notes, r.b.notes, r.a.losses, r.b.losses)...)
				switch {
				case outcome == attacks.Mended && (errors.Is(err, sealed.ErrForged) || errors.Is(err, sealed.ErrReplay) || errors.Is(err, errNoSession)):
					outcome = attacks.Refused
				case outcome != attacks.Noticed:
					err = nil
				}
				attacks.Check(t, "relay: "+attack.name, isSealed, outcome, err)
			})
		}
	}
}

// TestDowngrade has something come on a channel that is not sealed: it is not taken, the channel ends, and the members
// find each other again (SEC-27).
func TestDowngrade(t *testing.T) {
	s := newSim(t, 6)
	nodes := s.sealedGroup(3, Config{})
	a, b := nodes[0], nodes[1]
	forged := (&wire.UserMessage{Length: 4, Kind: wire.UserMessageFull, Full: []byte("evil")}).Append(nil)
	once := true
	s.tamper = func(from, to *node, m []byte) [][]byte {
		if from == a && to == b && once {
			once = false
			return [][]byte{(&wire.Message{SenderID: a.core.ID(), ServiceID: wire.ServiceUserMessage, Content: forged}).Append(nil), m}
		}
		return [][]byte{m}
	}
	s.until(5*time.Second, "the end of the channel", func() bool { return len(b.core.Neighbors()) == 1 })
	s.until(30*time.Second, "a full mesh again", func() bool { return full(nodes...) })
	if len(b.got) > 0 || b.gone > 0 {
		t.Errorf("got %v, %d gone", b.got, b.gone)
	}
	attacks.Check(t, "downgrade on a channel", true, attacks.Refused, errors.Join(b.notes...))
}

// TestSignalingAttacks has the signaling server read and change what passes through it. In an unsealed group it reads
// SDP and could put another one in its place; in a sealed one it finds none, and what it changes leads to nothing
// (SEC-7, SEC-13).
func TestSignalingAttacks(t *testing.T) {
	for _, isSealed := range []bool{false, true} {
		s := newSim(t, 7)
		read, flip := 0, false
		s.tamper = func(from, to *node, b []byte) [][]byte {
			var sig wire.Signaling
			if from != nil || sig.Decode(b) != nil || sig.Kind != wire.SignalingContent || sig.Content.Data == nil {
				return [][]byte{b}
			}
			var m wire.Message
			var dc wire.DataChannelBuilder
			if m.Decode(sig.Content.Data) == nil && m.ServiceID == wire.ServiceDataChannelBuilder &&
				dc.Decode(m.Content) == nil && dc.Kind == wire.DataChannelBuilderOffer {
				read++
			}
			if flip {
				c := copied(&m)
				c.Content[len(c.Content)-1] ^= 1
				sig.Content.Data = c.Append(nil)
				b = sig.Append(nil)
			}
			return [][]byte{b}
		}
		join := func() *node {
			if isSealed {
				return s.sealedNode(Config{}, 1)
			}
			n := s.node(Config{})
			n.step(Join{Key: "key"})
			return n
		}
		a := join()
		s.run(time.Second)
		b := join()
		s.until(10*time.Second, "a mesh", func() bool { return full(a, b) })
		outcome := attacks.Mended
		if read > 0 {
			outcome = attacks.Succeeds
		}
		attacks.Check(t, "server: reads SDP", isSealed, outcome, nil)
		if !isSealed {
			continue
		}
		flip = true
		c := join()
		s.run(20 * time.Second)
		outcome = attacks.Refused
		if len(c.core.Neighbors()) > 0 || len(a.core.Members()) != 2 {
			outcome = attacks.Succeeds
		}
		attacks.Check(t, "server: changes handshakes", true, outcome, errors.Join(c.refusals...))
		flip = false
		s.until(30*time.Second, "a mesh of three", func() bool { return full(a, b, c) })
	}
}

// TestSealedStrangers has the server lead those to a sealed group who have no secret, or another one: they hear nothing of its
// members, not even an id (SEC-9, SEC-27, SEC-29).
func TestSealedStrangers(t *testing.T) {
	for _, secret := range []byte{0, 2} {
		s := newSim(t, 8)
		s.room = "room"
		nodes := s.sealedGroup(2, Config{})
		heard := 0
		var x *node
		s.tamper = func(from, to *node, b []byte) [][]byte {
			var sig wire.Signaling
			if to == x && x != nil && sig.Decode(b) == nil && sig.Kind == wire.SignalingContent && sig.Content.Data != nil {
				heard++
			}
			return [][]byte{b}
		}
		if secret == 0 {
			x = s.node(Config{Original: true})
			x.step(Join{Key: "key"})
		} else {
			x = s.sealedNode(Config{}, secret)
		}
		s.run(20 * time.Second)
		outcome := attacks.Refused
		if heard > 0 || len(x.members) > 0 || len(x.refusals) < 2 {
			outcome = attacks.Succeeds
		}
		attacks.Check(t, "stranger: led to a group", true, outcome, errors.Join(x.refusals...))
		if !full(nodes...) || nodes[0].gone+nodes[1].gone > 0 {
			t.Error(s.describe())
		}
	}
}

// TestSealedImpostor has somebody with the secret take the id of a member, with an identity of its own: it is refused, and the
// user hears of it (SEC-23, SEC-25).
func TestSealedImpostor(t *testing.T) {
	s := newSim(t, 9)
	nodes := s.sealedGroup(2, Config{})
	x := s.sealedNode(Config{}, 1)
	x.core.id = nodes[1].core.ID()
	s.run(1 * time.Second)
	a := nodes[0]
	outcome := attacks.Refused
	if len(x.members) > 0 || len(a.disputes) != 1 || a.disputes[0].ID != nodes[1].core.ID() {
		t.Errorf("members %v, disputes %v", x.members, a.disputes)
		outcome = attacks.Succeeds
	}
	attacks.Check(t, "insider: takes the id of another member", true, outcome, errors.Join(a.refusals...))
	if !full(nodes...) {
		t.Error(s.describe())
	}
}

// TestSealedAllowed has members say who may be one: another one with the secret does not get in (SEC-26).
func TestSealedAllowed(t *testing.T) {
	s := newSim(t, 10)
	var ids []*sealed.Identity
	var list []sealed.Public
	for i := range byte(3) {
		ids = append(ids, identityOf(i+1))
		list = append(list, ids[i].Public())
	}
	for _, identity := range ids {
		s.sealedNode(Config{Identity: identity, Allow: list}, 1)
		s.until(10*time.Second, "a full mesh", func() bool { return full(s.nodes...) })
	}
	nodes := slices.Clone(s.nodes)
	x := s.sealedNode(Config{}, 1)
	s.run(20 * time.Second)
	var refusals []error
	for _, n := range nodes {
		refusals = append(refusals, n.refusals...)
	}
	outcome := attacks.Refused
	if len(x.members) > 0 || !full(nodes...) {
		t.Error(s.describe())
		outcome = attacks.Succeeds
	}
	attacks.Check(t, "insider: is not on the list", true, outcome, errors.Join(refusals...))
}

// TestCutShort has a relay drop the last that a member says before it leaves: the one that it was for hears of that in a
// sealed group, by the reason of the leaving (SEC-34).
func TestCutShort(t *testing.T) {
	for _, isSealed := range []bool{false, true} {
		for _, drop := range []bool{false, true} {
			r := newRelayed(t, isSealed, func(r *relayed, m *wire.Message) []*wire.Message {
				if drop && len(m.Content) > 1000 {
					return nil
				}
				return []*wire.Message{m}
			})
			r.a.send(r.b.core.ID(), make([]byte, 5000))
			r.a.step(Leave{})
			r.s.until(5*time.Second, "a leave", func() bool { return len(r.b.losses) == 1 })
			if (len(r.b.got) == 0) != drop {
				t.Errorf("sealed %v, dropped %v: %d messages", isSealed, drop, len(r.b.got))
			}
			err := r.b.losses[0]
			switch {
			case !drop && err != nil:
				t.Errorf("sealed %v: left by %v", isSealed, err)
			case drop && err == nil:
				attacks.Check(t, "relay: drops the last", isSealed, attacks.Succeeds, nil)
			case drop:
				attacks.Check(t, "relay: drops the last", isSealed, attacks.Noticed, err)
			}
		}
	}
}

// TestWithoutBye has the last channel of a member end in an orderly way, but without bye: whoever is on the way could have cut off what
// was still to come, and in a sealed group the user hears of that, by the reason of the leaving (SEC-34).
func TestWithoutBye(t *testing.T) {
	for _, isSealed := range []bool{false, true} {
		s := newSim(t, 27)
		group := s.group
		if isSealed {
			group = s.sealedGroup
		}
		nodes := group(2, Config{})
		a, b := nodes[0], nodes[1]
		b.step(Closed{Link: b.core.members[a.core.ID()].ch.link})
		if len(b.losses) != 1 {
			t.Fatalf("sealed %v: %v", isSealed, b.losses)
		}
		outcome := attacks.Noticed
		if b.losses[0] == nil {
			outcome = attacks.Succeeds
		}
		attacks.Check(t, "proxy: closes the last channel", isSealed, outcome, b.losses[0])
	}
}

// TestUnnumbered has a member with the secret send what keeps no contract: it is not taken (SEC-16).
func TestUnnumbered(t *testing.T) {
	s := newSim(t, 11)
	nodes := s.sealedGroup(2, Config{})
	a, b := nodes[0], nodes[1]
	u := (&wire.UserMessage{Length: 2, Kind: wire.UserMessageFull, Full: []byte("hi")}).Append(nil)
	m := wire.Message{SenderID: a.core.ID(), RecipientID: b.core.ID(), ServiceID: wire.ServiceSealed}
	m.Content, _ = a.core.sealIn(a.core.sessionWith(b.core.ID()), &wire.Inner{ServiceID: wire.ServiceUserMessage, Content: u}, nil)
	before := len(b.problems)
	b.step(Received{b.core.members[a.core.ID()].ch.link, m.Append(nil)})
	if len(b.got) > 0 || len(b.problems) != before+1 {
		t.Errorf("got %v, %q", b.got, b.problems)
	}
}

// TestSealedListen has a member of a sealed group listen: it is dialled by a URL that tells nothing but a number, and by
// no other (SEC-22).
func TestSealedListen(t *testing.T) {
	s := newSim(t, 12)
	nodes := s.sealedGroup(1, Config{})
	l := s.node(Config{Entropy: entropy{s}})
	l.url = "ws://listens"
	l.step(Join{Key: "key", Keys: keysOf(1), Listen: l.url})
	nodes = append(nodes, l)
	s.until(10*time.Second, "a full mesh", func() bool { return full(nodes...) })
	nodes = append(nodes, s.sealedNode(Config{}, 1), s.sealedNode(Config{}, 1))
	s.until(10*time.Second, "a full mesh", func() bool { return full(nodes...) })
	if len(s.dialled) < 3 {
		t.Errorf("dialled %q", s.dialled)
	}
	form := regexp.MustCompile(`^ws://listens/\?type=[012]&wcId=0&senderId=[0-9]+&sealed=1$`)
	for _, u := range s.dialled {
		if !form.MatchString(u) {
			t.Errorf("dialled %s", u)
		}
	}
	for index := range l.core.seal.sessions { // without an attempt: nobody is to be let in
		for k := range uint32(3) {
			for _, call := range []Call{{Kind: k, Sender: int64(index), Sealed: true}, {Kind: k, Sender: int64(index) + 1, Sealed: true},
				{Kind: k, Group: int64(l.core.GroupID()), Sender: int64(nodes[0].core.ID()), Key: "key"}} {
				if _, _, err := l.core.Accept(s.now, call); !errors.Is(err, ErrCall) {
					t.Errorf("%+v: %v", call, err)
				}
			}
		}
	}
}

// TestForgedHandshakes has the signaling server and relays put an altered copy before each message of a handshake, and a
// doubled one behind it: that ends no handshake of others (SEC-9, SEC-19).
func TestForgedHandshakes(t *testing.T) {
	s := newSim(t, 16)
	forged := 0
	forge := func(m *wire.Message) []*wire.Message {
		var sm wire.Sealed
		if m.ServiceID != wire.ServiceSealed || sm.Decode(m.Content) != nil || sm.Kind != wire.SealedHandshake {
			return []*wire.Message{m}
		}
		forged++
		bad := copied(m)
		bad.Content[len(bad.Content)/2] ^= 1
		return []*wire.Message{bad, m, m}
	}
	s.tamper = func(from, to *node, b []byte) (all [][]byte) {
		var sig wire.Signaling
		var m wire.Message
		switch {
		case from == nil && sig.Decode(b) == nil && sig.Kind == wire.SignalingContent && sig.Content.Data != nil && m.Decode(sig.Content.Data) == nil:
			for _, m := range forge(&m) {
				sig.Content.Data = m.Append(nil)
				all = append(all, sig.Append(nil))
			}
			return all
		case from != nil && to != nil && m.Decode(b) == nil:
			for _, m := range forge(&m) {
				all = append(all, m.Append(nil))
			}
			return all
		}
		return [][]byte{b}
	}
	s.sealedGroup(4, Config{})
	if forged < 18 {
		t.Errorf("%d forged", forged)
	}
	for _, n := range s.nodes {
		if len(n.refusals) > 0 || len(n.disputes) > 0 {
			t.Errorf("%s: %v, %v", n.name, n.refusals, n.disputes)
		}
	}
	attacks.Check(t, "server: forges handshakes beside the right ones", true, attacks.Mended, nil)
}

// TestUnsealedContent has the server pass on requests of somebody who does not seal: they begin nothing (SEC-27).
func TestUnsealedContent(t *testing.T) {
	s := newSim(t, 17)
	a := s.sealedGroup(1, Config{})[0]
	inner := wire.Message{ServiceID: wire.ServiceChannelBuilder, Content: request([]byte{})}
	a.step(Received{a.core.sig.link, (&wire.Signaling{Kind: wire.SignalingContent, Content: wire.Content{SenderID: 7, Data: inner.Append(nil)}}).Append(nil)})
	outcome := attacks.Refused
	if len(a.core.attempts) > 0 {
		outcome = attacks.Succeeds
	}
	attacks.Check(t, "downgrade through the server", true, outcome, errors.Join(a.notes...))
}

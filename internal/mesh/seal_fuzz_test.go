package mesh

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/wire"
)

// Insiders are those who talk to a member of a sealed group in a fuzz target: they have the secret, and say what the fuzzer
// chooses, sealed with the right keys if it likes. So it gets behind the encryption.
type insiders struct {
	*driver
	keys *sealed.Keys
	rand *rand.ChaCha8
	all  [8]*insider
	said [][]byte        // on channels, sealed or not
	told map[string]bool // what was delivered

	invitation *sealed.Invitation // the bot's
}

// maxSaid is how many messages are kept to be said again.
const maxSaid = 64

// An insider has a number, by which its member id and its signaling id go.
type insider struct {
	id       uint32
	identity *sealed.Identity
	index    uint32
	sessions []*sealed.Session // the newest last
	began    *sealed.Handshake // waits for message 2
	answered *sealed.Handshake // waits for message 3
	first    []byte            // a message 1 that it was sent
	third    []byte            // a message 3 to be sent
}

// bot is the number of the one that is invited.
const bot = 7

// driveSealed has a core be in a sealed group, with a channel to the bot.
func driveSealed(t testing.TB) *insiders {
	d := drive(t)
	n := &insiders{driver: d, keys: keysOf(1), rand: rand.NewChaCha8([32]byte{1}), told: make(map[string]bool)}
	for i := range n.all {
		n.all[i] = &insider{id: id(uint32(i)), identity: identityOf(byte(i + 1)), index: uint32(i) << 16}
	}
	d.core.cfg.Entropy = n.rand
	d.insiders = n
	n.join()
	return n
}

func (n *insiders) join() {
	if n.core.State() != StateLeft {
		return
	}
	n.step(Join{Key: "key", Keys: n.keys})
	l := n.core.sig.link
	n.step(Opened{Link: l})
	for range 2 {
		n.step(Received{l, (&wire.Signaling{Kind: wire.SignalingConnected, Connected: true}).Append(nil)})
	}
	n.invite()
}

// invite has the member invite the bot, which answers as it should.
func (n *insiders) invite() {
	public := n.all[bot].identity.Public()
	n.token++
	n.open[n.token] = true
	before := slices.Clone(n.links)
	n.step(Invite{Token: n.token, URL: "ws://bot", Bot: &public})
	for _, l := range slices.Clone(n.links) {
		if slices.Contains(before, l) {
			continue
		}
		n.step(Opened{Link: l})
		for range 6 {
			n.pull(l, 4)
		}
	}
}

// met reports whether there is an insider of this id that has made a session.
func (n *insiders) met(who uint32) bool {
	i := int(who) - MinID
	return i >= 0 && i < len(n.all) && len(n.all[i].sessions) > 0
}

// delivered: no message comes twice, and none without a session (SEC-12, SEC-16).
func (n *insiders) delivered(o Deliver) {
	head, _, _ := bytes.Cut(o.Data, []byte("\n"))
	if !n.met(o.From) || string(head) == "unsealed" { // SEC-27
		n.t.Fatalf("a message of %d, with whom there is no session, or that was not sealed: %q", o.From, head)
	}
	if text := fmt.Sprint(o.From, string(head)); n.told[text] {
		n.t.Fatalf("%q was delivered twice", text)
	} else if len(head) > 0 { // else it is none of those that are counted
		n.told[text] = true
	}
}

// hear is what others do with what the member says: all of it has to be sealed (SEC-7, SEC-12).
func (n *insiders) hear(l Link, b []byte) {
	var m wire.Message
	var sm wire.Sealed
	who, signaling := n.all[bot], false
	if l == n.core.sig.link {
		var sig wire.Signaling
		if sig.Decode(b) != nil || sig.Kind != wire.SignalingContent || sig.Content.Data == nil {
			return
		}
		b, signaling = sig.Content.Data, true
		who = n.all[sig.Content.RecipientID&3]
	}
	if m.Decode(b) != nil || m.ServiceID != wire.ServiceSealed || sm.Decode(m.Content) != nil || !signaling && m.RecipientID == 0 && m.SenderID != 0 {
		n.t.Fatalf("what is said is not sealed: %x", b)
	}
	if !signaling && m.RecipientID != 0 {
		if m.RecipientID-MinID >= uint32(len(n.all)) {
			return
		}
		who = n.all[m.RecipientID-MinID]
	}
	h := sm.Handshake
	switch {
	case sm.Kind == wire.SealedInvitation && h.Step == 1:
		i, second, err := sealed.Invited(who.identity, n.rand, h.Data)
		n.must(err)
		n.invitation = i
		n.step(Received{l, strangers(wire.SealedInvitation, 2, second)})
	case sm.Kind == wire.SealedInvitation:
		if n.invitation == nil || h.Step != 3 {
			n.t.Fatalf("step %d of an invitation", h.Step)
		}
		secret, key, _, err := n.invitation.Accept(h.Data)
		if err != nil || key != "key" || secret != (sealed.Secret{1}) {
			n.t.Fatalf("invited into %q, %v", key, err)
		}
	case sm.Kind == wire.SealedHandshake && h.Step == 1:
		who.first = bytes.Clone(h.Data)
		if m.SenderID == 0 && !signaling { // of an invitation
			if second := n.answer(who); second != nil {
				n.step(Received{l, strangers(wire.SealedHandshake, 2, second)})
			}
		}
	case sm.Kind == wire.SealedHandshake && h.Step == 2 && who.began != nil:
		if s, third, err := who.began.Finish(h.Data); err == nil {
			who.keep(s)
			who.third = third
		}
	case sm.Kind == wire.SealedHandshake && h.Step == 3 && who.answered != nil:
		s, err := who.answered.Complete(h.Data)
		if err != nil {
			return
		}
		who.keep(s)
		if m.SenderID == 0 && !signaling {
			n.step(Received{l, n.message(who, s, wire.Inner{Content: (&wire.Channel{Kind: wire.ChannelInitPong, InitPong: who.id}).Append(nil)}, nil)})
		}
	case sm.Kind == wire.SealedPart:
		for _, s := range who.sessions {
			if mine, _ := s.Indexes(); mine == sm.Part.Index {
				if _, err := s.Open(nil, sm.Part.Counter, sm.Part.Data); err != nil {
					n.t.Fatalf("what is said does not open: %v", err)
				}
			}
		}
	}
}

func (n *insiders) must(err error) {
	if err != nil {
		n.t.Fatal(err)
	}
}

func (w *insider) keep(s *sealed.Session) {
	if w.sessions = append(w.sessions, s); len(w.sessions) > 6 {
		w.sessions = w.sessions[1:]
	}
}

// self is what an insider says that it is: a lie now and then.
func (n *insiders) self(w *insider, lie bool) sealed.Self {
	w.index++
	s := sealed.Self{Identity: w.identity, ID: w.id, Index: w.index}
	if lie {
		s.Identity = n.all[0].identity
	}
	return s
}

// answer returns the second message for the first that an insider has had; nil: there is none.
func (n *insiders) answer(w *insider) []byte {
	if w.first == nil {
		return nil
	}
	h, second, err := n.keys.Respond(n.self(w, false), n.rand, w.first)
	n.must(err)
	w.answered = h
	return second
}

// message returns what an insider says on a channel in a session.
func (n *insiders) message(w *insider, s *sealed.Session, inner wire.Inner, body []byte) []byte {
	m := wire.Message{SenderID: w.id, RecipientID: n.core.id, ServiceID: wire.ServiceSealed, Content: n.sealed(s, inner, body)}
	return m.Append(nil)
}

func (n *insiders) sealed(s *sealed.Session, inner wire.Inner, body []byte) []byte {
	counter, data, err := s.Seal(nil, inner.Append(nil))
	n.must(err)
	_, theirs := s.Indexes()
	return (&wire.Sealed{Kind: wire.SealedPart, Part: wire.Part{Index: theirs, Counter: counter, Data: data, Body: body}}).Append(nil)
}

// say sends what an insider says: through signaling, or on a channel.
func (n *insiders) say(w *insider, signaling bool, l Link, content []byte) {
	m := wire.Message{SenderID: w.id, RecipientID: n.core.id, ServiceID: wire.ServiceSealed, Content: content}
	b := m.Append(nil)
	if signaling {
		l = n.core.sig.link
		b = (&wire.Signaling{Kind: wire.SignalingContent, Content: wire.Content{SenderID: (w.id - MinID) & 3, RecipientID: 1, Data: b}}).Append(nil)
	}
	n.receive(l, b)
}

func (n *insiders) receive(l Link, b []byte) {
	if n.said = append(n.said, b); len(n.said) > maxSaid {
		n.said = n.said[1:]
	}
	n.step(Received{l, b})
}

// sealedKinds is how many kinds of input there are beside those of a driver.
const sealedKinds = 16

// event gives one input, which two bytes and some of those that follow make up.
func (n *insiders) sealedEvent(op, arg byte, rest []byte) {
	c := n.core
	if c.State() == StateLeft {
		n.join()
	}
	var l Link
	if len(n.links) > 0 {
		l = n.links[int(arg>>4)%len(n.links)]
	}
	for _, open := range n.links { // a channel through which others talk, mostly
		if ch := c.channels[open]; ch != nil && ch.member != nil && arg>>4 != 0 {
			l = open
		}
	}
	w := n.all[arg&7]
	if (op == 12 || op == 13) && c.members[w.id] == nil { // one who can be heard, mostly
		w = n.all[bot]
	}
	signaling := arg&0x30 == 0x30 && w.id < id(4)
	shake := func(step uint32, data []byte) {
		n.say(w, signaling, l, (&wire.Sealed{Kind: wire.SealedHandshake, Handshake: wire.Handshake{Step: step, Data: data}}).Append(nil))
	}
	var s *sealed.Session
	if k := len(w.sessions); k > 0 {
		s = w.sessions[k-1-int(arg>>6&1)%k]
	}
	switch op {
	case 0: // begins a handshake
		h, first, err := n.keys.Initiate(n.self(w, arg&0x88 == 0x88), n.rand)
		n.must(err)
		w.began = h
		shake(1, first)
	case 1:
		if second := n.answer(w); second != nil {
			shake(2, second)
		}
	case 2:
		shake(3, w.third)
	case 3, 4: // all of a handshake
		h, first, err := n.keys.Initiate(n.self(w, false), n.rand)
		n.must(err)
		w.began, w.third = h, nil
		shake(1, first)
		n.pull(l, 8)
		n.pull(c.sig.link, 8)
		if w.third != nil {
			shake(3, w.third)
		}
	case 5: // a part of a handshake that is none
		shake(uint32(arg>>3)&3, rest[:min(len(rest), 136)])
	case 6: // what was said before, changed or not, maybe on another link
		if len(n.said) > 0 {
			b := bytes.Clone(n.said[int(rest[len(rest)-1])%len(n.said)])
			if arg&3 == 0 && len(b) > 0 {
				b[int(rest[0])%len(b)] ^= arg | 1
			}
			n.step(Received{l, b})
		}
	case 7: // not sealed; not so often, as it ends the channel
		if arg&0x70 == 0 {
			m := n.building(arg&7, w.id)
			if known := c.members[w.id]; arg&8 != 0 && known != nil {
				m.ServiceID = wire.ServiceUserMessage
				m.Content = (&wire.UserMessage{Length: 9, Kind: wire.UserMessageFull, Full: []byte("unsealed\n"), Number: known.came + 1, Session: known.session}).Append(nil)
			}
			m.RecipientID = c.id
			n.receive(l, m.Append(nil))
		}
	case 8: // through an index that is none, or another's
		if s != nil {
			n.say(n.all[rest[0]&7], signaling, l, n.sealed(s, wire.Inner{ServiceID: wire.ServiceUserMessage, Content: rest}, nil))
		}
	case 9: // anything of any service
		if s != nil {
			services := []uint32{0, wire.ServiceUserMessage, wire.ServiceFullMesh, wire.ServiceChannelBuilder, wire.ServiceDataChannelBuilder, wire.ServiceDelivery, wire.ServiceSealed, 5}
			n.say(w, signaling, l, n.sealed(s, wire.Inner{ServiceID: services[rest[0]&7], Content: rest[1:]}, nil))
		}
	case 10:
		if s != nil {
			m := n.building(rest[0]&7, w.id)
			n.say(w, signaling, l, n.sealed(s, wire.Inner{ServiceID: m.ServiceID, Content: m.Content}, nil))
		}
	case 11: // tells of others, right or wrong
		if s != nil {
			m := wire.FullMesh{Kind: wire.FullMeshMembers}
			for i, b := range rest[:min(len(rest), 40)] {
				who, public := id(uint32(b&7)), n.all[b&7].identity.Public()
				switch {
				case b>>3 == 31:
					public = n.all[0].identity.Public()
				case arg>>7 == 1: // of many who are not there
					who = id(uint32(b) + 256*uint32(i))
				}
				m.Members = append(m.Members, who)
				m.Identities = append(m.Identities, public[:])
			}
			if arg&8 != 0 {
				m = wire.FullMesh{Kind: wire.FullMeshAdjacentMembers, AdjacentMembers: m.Members, Identities: m.Identities}
			}
			n.say(w, signaling, l, n.sealed(s, wire.Inner{ServiceID: wire.ServiceFullMesh, Content: m.Append(nil)}, nil))
		}
	case 12: // keeps the contract
		if s != nil {
			say := wire.Delivery{Kind: wire.DeliveryHello, Hello: wire.Hello{Version: 1, Session: uint32(rest[0]&1) + 1, Window: 40_000}}
			switch rest[0] >> 4 {
			case 1:
				say = wire.Delivery{Kind: wire.DeliveryAck, Ack: wire.Ack{Session: uint32(rest[0]&1) + 1, Number: uint64(rest[0] >> 2 & 3)}}
			case 2:
				say = wire.Delivery{Kind: wire.DeliveryProbe, Probe: arg&0x40 != 0}
			case 3:
				say = wire.Delivery{Kind: wire.DeliveryBye, End: uint64(arg >> 5)}
			}
			n.say(w, signaling, l, n.sealed(s, wire.Inner{ServiceID: wire.ServiceDelivery, Content: say.Append(nil)}, nil))
		}
	case 13: // a message to the user
		if m := c.members[w.id]; s != nil && m != nil {
			n.user(w, s, m, l, rest[0])
		}
	case 14:
		if s != nil && l != 0 { // initialises
			ping := wire.Channel{Kind: wire.ChannelInitPong, InitPong: w.id}
			if rest[0]&1 != 0 {
				ping = wire.Channel{Kind: wire.ChannelInitPing, InitPing: wire.ChannelData{GroupID: c.groupID, SenderID: w.id, Key: c.room(), Members: ids(1, 2, 3, 4)}}
			}
			n.say(w, false, n.links[int(rest[0]>>1)%len(n.links)], n.sealed(s, wire.Inner{Content: ping.Append(nil)}, nil))
		}
	case 15:
		for open := range n.ready {
			n.pull(open, int(arg&15))
		}
	default:
		if arg&7 == 0 {
			n.invite()
			return
		}
		k := internal
		if ch := c.channels[l]; ch != nil && ch.to.signaling {
			k = withJoining
			if ch.to.id == 0 {
				k = withMember
			}
		}
		n.step(Opened{l, label{0, k}.String()}) // SEC-22
	}
}

// user has an insider send a numbered message, which carries its number (EXT-4): whole, sealed once for all or not, or in two
// parts.
func (n *insiders) user(w *insider, s *sealed.Session, m *member, l Link, how byte) {
	number := max(1, m.came+uint64(how>>3&3)) // the last again, the next, or a later one
	um := wire.UserMessage{Type: wire.UserBytes, Kind: wire.UserMessageFull, Number: number, Session: m.session, All: how&1 != 0}
	head := fmt.Appendf(nil, "%d of %d\n", number, m.session)
	um.Full, um.Length = head, uint32(len(head))
	if how&6 == 6 { // the numbers 1 and 2, 3 and 4, and so on
		from := (number-1)/2*2 + 1
		whole := make([]byte, ChunkSize+1)
		copy(whole, fmt.Appendf(nil, "both %d of %d\n", from, m.session))
		um.Kind, um.Length, um.Full = wire.UserMessageChunk, uint32(len(whole)), nil
		um.Chunk = wire.Chunk{ID: uint32(from), Number: uint32(number - from), Content: whole[:ChunkSize]}
		if number > from {
			um.Chunk.Content = whole[ChunkSize:]
		}
	}
	inner := wire.Inner{ServiceID: wire.ServiceUserMessage}
	var body []byte
	if how&2 != 0 { // SEC-17
		key := sealed.BodyKey{byte(w.id), how}
		part := &um.Full
		if um.Kind == wire.UserMessageChunk {
			part = &um.Chunk.Content
		}
		var digest sealed.Digest
		body, digest = sealed.NewBody(key).Seal(nil, um.Chunk.Number, *part)
		*part = nil
		inner.BodyKey, inner.BodyDigest = key[:], digest[:]
		if how&0x84 == 0x80 { // another one's
			body[0] ^= 1
		}
	}
	inner.Content = um.Append(nil)
	n.say(w, false, l, n.sealed(s, inner, body))
}

// checkSeal checks that what is kept of a sealed group agrees with itself and is bounded (SEC-23, SEC-51, SEC-52).
func (d *driver) checkSeal() {
	c, s := d.core, d.core.seal
	drawn, live := 0, 0
	for index, t := range s.sessions {
		if t == nil {
			drawn++
		} else if live++; t.index != index || !slices.Contains(s.pairs[t.id], t) {
			d.t.Fatalf("session %d of %d is not in order", t.index, t.id)
		}
	}
	for id, list := range s.pairs {
		k := s.known[id]
		for _, t := range list {
			public, member := t.Peer()
			if live--; t.id != id || member != id || s.sessions[t.index] != t || k == nil || k.public != public || k.by != 0 {
				d.t.Fatalf("a session with %d is not in order: %+v", id, k)
			}
		}
		if len(list) == 0 || len(list) > MaxSessions {
			d.t.Fatalf("%d sessions with %d", len(list), id)
		}
	}
	waiting := len(s.asking) + len(s.answers)
	for _, ch := range c.channels {
		if v := ch.visit; v != nil && v.handshake != nil {
			waiting++
		}
	}
	if live != 0 || drawn != waiting {
		d.t.Fatalf("%d sessions are in no pair, %d indexes are drawn for %d handshakes", live, drawn, waiting)
	}
	for id, k := range s.asking {
		if a := c.attempts[id]; a == nil || !a.waits || k.to.id != id {
			d.t.Fatalf("a handshake with %d is begun for nothing", id)
		}
	}
	from := make(map[uint32]int)
	for _, an := range s.answers {
		from[an.from.id]++
		if from[an.from.id] > MaxAnswersTo {
			d.t.Fatalf("%d handshakes of %d are answered", from[an.from.id], an.from.id)
		}
	}
	for _, t := range s.behind {
		if s.sessions[t.index] != t {
			d.t.Fatal("a session that is gone is in use")
		}
	}
	for _, k := range s.known {
		if len(k.disputed) > c.cfg.MaxMembers {
			d.t.Fatalf("%d who lie are known", len(k.disputed))
		}
	}
	if len(s.answers) > MaxAnswers || len(s.known) > maxKnown*c.cfg.MaxMembers {
		d.t.Fatalf("%d answers, %d identities", len(s.answers), len(s.known))
	}
}

// run gives the inputs that bytes stand for.
func (n *insiders) run(ops []byte) {
	for len(ops) >= 3 {
		kind, arg, rest := ops[0]%(sealedKinds+12), ops[1], ops[2:]
		if kind < sealedKinds+1 {
			n.sealedEvent(kind, arg, rest)
		} else {
			n.event([]byte{1, 3, 4, 4, 5, 6, 13, 15, 19, 20, 21}[kind-sealedKinds-1], arg, rest)
		}
		ops = ops[2:]
		if kind == 5 || kind == 8 || kind == 9 || kind == 11 { // they took some more with them
			ops = ops[min(len(rest), int(rest[0]&31)):]
		}
	}
}

// FuzzSealed feeds a member of a sealed group what a stranger, a server and insiders can say, before, in and after their
// handshakes: SEC-9 to SEC-29.
func FuzzSealed(f *testing.F) {
	r := rand.New(rand.NewPCG(8, 8))
	for range 100 {
		f.Add(sealedOps(r, 200))
	}
	f.Add(bytes.Repeat([]byte{0, 0x11}, 8)) // more handshakes than are answered at a time
	f.Add([]byte{12, bot, 0, 7, 8 + bot, 0})
	f.Add([]byte{3, 0x11, 12, 0x11, 0, 13, 0x11, 0, 13, 0x11, 2, 13, 0x11, 6})
	f.Fuzz(func(t *testing.T, ops []byte) {
		n := driveSealed(t)
		n.run(ops)
		n.end()
		if n.core.seal != nil { // SEC-10
			t.Fatal("keys are left")
		}
	})
}

func sealedOps(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestFuzzSealedReachesWhatItShould: inputs at random do lead to sessions, members, messages and disputes.
func TestFuzzSealedReachesWhatItShould(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	delivered, joined, sessions, answers, known := 0, 0, 0, 0, 0
	for range 100 {
		n := driveSealed(t)
		for range 60 {
			n.run(sealedOps(r, 8))
			if s := n.core.seal; s != nil {
				joined, sessions = max(joined, len(n.known)), max(sessions, len(s.sessions))
				answers, known = max(answers, len(s.answers)), max(known, len(s.known))
			}
		}
		delivered += len(n.told)
		n.end()
	}
	if delivered < 20 || joined < 3 || sessions < 8 || answers < 3 || known < 16 {
		t.Errorf("%d messages, %d members, %d sessions, %d answers, %d identities", delivered, joined, sessions, answers, known)
	}
}

package mesh

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/wire"
)

// Times and limits of sealed groups (chapter SEC).
const (
	// HandshakeTimeout is for a handshake inside the group: as long as messages are repeated, and then as for a
	// response.
	HandshakeTimeout = 4*time.Second + ResponseTimeout
	// MaxAnswers is how many handshakes may be answered at a time, and MaxAnswersTo how many of one address (SEC-19).
	MaxAnswers   = 256
	MaxAnswersTo = 4
	// AnswerTimeout is how long the third message is waited for.
	AnswerTimeout = 10 * time.Second
	// MaxSessions is how many sessions there may be with one member; the oldest goes.
	MaxSessions = 4
	// StrangerTimeout is how long a session is kept with one that does not become a member.
	StrangerTimeout = ConnectTimeout + InitTimeout + 6*time.Second
	// maxKnown is of how many ids identities are known, as a multiple of Config.MaxMembers.
	maxKnown = 4
	// KnownTime is how long the identity of one that is no member is remembered (SEC-23).
	KnownTime = 60 * time.Second

	sweepInterval = 10 * time.Second
)

// handshakeRepeats are the pauses after which a message of a handshake is sent again: 1, 2 and 4 s after the first time
// (SEC-19). Only the initiator counts them, and the responder answers again: else somebody could have a member talk to
// nobody.
var handshakeRepeats = [...]time.Duration{time.Second, time.Second, 2 * time.Second}

// A seal is what a member of a sealed group keeps of it.
type seal struct {
	keys     *sealed.Keys
	identity *sealed.Identity // drawn for each id, unless the user has one (SEC-5)

	sessions map[uint32]*session   // by the index here; nil: kept for a handshake that is under way
	pairs    map[uint32][]*session // the same, by the member at the other end, the newest last
	behind   map[uint32]*session   // the one with whom an address through signaling stands for
	asking   map[uint32]*asking    // handshakes begun here, by their address
	answers  []*answering          // those begun by others, the newest last
	known    map[uint32]*known     // by member
	sweep    *timer
}

// A session is one with a member (SEC-8).
type session struct {
	*sealed.Session
	id        uint32 // of the member
	index     uint32 // here
	since     time.Duration
	asked     bool   // this end was the initiator
	confirmed bool   // something sealed in it has come
	stale     bool   // nothing comes any more: the other end may have forgotten it
	third     []byte // the last message of the handshake, until then
	repeat    *timer
}

// An asking is a handshake that was begun here, as long as its attempt waits for it.
type asking struct {
	to        address
	handshake *sealed.Handshake
	index     uint32
	first     []byte
	repeat    *timer
}

// An answering is a handshake that another one has begun.
type answering struct {
	from          address
	since         time.Duration
	handshake     *sealed.Handshake
	index         uint32
	first, second []byte
}

// A known is what is believed of the identity of a member (SEC-23).
type known struct {
	public   sealed.Public
	by       uint32 // who said so; 0: it has shown it
	last     time.Duration
	disputed map[uint32]struct{} // who said something else, and the user knows
}

func newSeal(keys *sealed.Keys) *seal { return &seal{keys: keys} }

// begin forgets all, and becomes somebody new (SEC-5).
func (s *seal) begin(cfg *Config) {
	s.end()
	s.identity = cfg.Identity
	if s.identity == nil {
		var err error
		if s.identity, err = sealed.NewIdentity(cfg.Entropy); err != nil {
			panic(err) // an Entropy does not fail
		}
	}
}

// end forgets all (SEC-10).
func (s *seal) end() {
	for _, list := range s.pairs {
		for _, t := range list {
			t.repeat.stop()
			t.Erase()
		}
	}
	for _, k := range s.asking {
		k.repeat.stop()
		k.handshake.Erase()
	}
	for _, an := range s.answers {
		an.handshake.Erase()
	}
	s.sweep.stop()
	*s = seal{
		keys:     s.keys,
		sessions: make(map[uint32]*session),
		pairs:    make(map[uint32][]*session),
		behind:   make(map[uint32]*session),
		asking:   make(map[uint32]*asking),
		known:    make(map[uint32]*known),
	}
}

// room returns the name by which the signaling server, and all outside, know the group (SEC-4).
func (c *Core) room() string {
	if c.seal != nil {
		return c.seal.keys.Room()
	}
	return c.key
}

// establish keeps a session that a handshake has led to.
func (c *Core) establish(with address, t *sealed.Session, index uint32, asked bool) *session {
	_, id := t.Peer()
	s := &session{Session: t, id: id, index: index, since: c.now, asked: asked}
	c.seal.sessions[index] = s
	if list := c.seal.pairs[id]; len(list) >= MaxSessions {
		c.dropSession(list[0])
	}
	c.seal.pairs[id] = append(c.seal.pairs[id], s)
	if with.signaling {
		c.seal.behind[with.id] = s
	}
	c.startSweep()
	return s
}

// secured lets an attempt go on that waited for a session.
func (c *Core) secured(a *attempt) {
	if a != nil && a.waits {
		a.waits = false
		c.unshake(a)
		c.ask(a)
	}
}

// sessionWith returns the session in which a member is told something; nil: there is none. It is the newest that the
// other end has for certain, as the last message of a handshake may be lost, or slower than a channel that there is
// (SEC-51).
func (c *Core) sessionWith(id uint32) *session {
	var best *session
	rank := 0
	for _, s := range c.seal.pairs[id] {
		r := 1
		if !s.stale {
			r = 2
			if s.confirmed || !s.asked {
				r = 3
			}
		}
		if r >= rank {
			best, rank = s, r
		}
	}
	return best
}

// session returns that in which the other end of an address is told something.
func (c *Core) session(to address) *session {
	if to.signaling {
		return c.seal.behind[to.id]
	}
	return c.sessionWith(to.id)
}

// sealIn returns the content of a message of ServiceSealed.
func (c *Core) sealIn(s *session, inner *wire.Inner, body []byte) ([]byte, error) {
	c.plain = inner.Append(c.plain[:0])
	n, data, err := s.Seal(c.secret[:0], c.plain)
	c.secret = data
	if err != nil {
		return nil, err
	}
	_, theirs := s.Indexes()
	m := wire.Sealed{Kind: wire.SealedPart, Part: wire.Part{Index: theirs, Counter: n, Data: data, Body: body}}
	return m.Append(make([]byte, 0, len(data)+len(body)+32)), nil
}

// message encodes what this member says to another one, sealed if the group is (SEC-12); nil: there is no session.
func (c *Core) message(to, service uint32, content []byte) []byte {
	m := wire.Message{SenderID: c.id, RecipientID: to, ServiceID: service, Content: content}
	if c.seal != nil {
		s := c.sessionWith(to)
		if s == nil {
			return nil
		}
		var err error
		m.ServiceID = wire.ServiceSealed
		if m.Content, err = c.sealIn(s, &wire.Inner{ServiceID: service, Content: content}, nil); err != nil {
			c.emit(Note{Text: "message not sent", ID: to, Err: err})
			return nil
		}
	}
	return m.Append(nil)
}

// unseal opens a message. What does not open changes nothing (SEC-13).
func (c *Core) unseal(p *wire.Part) (*session, *wire.Inner, error) {
	s := c.seal.sessions[p.Index]
	if s == nil {
		return nil, nil, errNoSession
	}
	plain, err := s.Open(c.unsealing[:0], p.Counter, p.Data)
	if err != nil {
		return s, nil, err
	}
	c.unsealing = plain
	var inner wire.Inner
	if err := inner.Decode(plain); err != nil {
		return s, nil, err
	}
	c.confirm(s)
	return s, &inner, nil
}

var errNoSession = errors.New("no session")

// confirm notes that the other end has a session: it has sealed something in it (SEC-19).
func (c *Core) confirm(s *session) {
	s.stale = false
	if !s.confirmed {
		s.confirmed, s.third = true, nil
		s.repeat.stop()
	}
}

// receivedSealed handles a message on a channel of a sealed group that is initialised (SEC-27, SEC-36).
func (c *Core) receivedSealed(ch *channel, data []byte) {
	var m wire.Message
	if len(data) > MaxFrame {
		c.emit(Note{Text: "message ignored: it is too long", ID: ch.member.id})
		return
	}
	if err := m.Decode(data); err != nil || m.ServiceID != wire.ServiceSealed { // SEC-27
		c.unsealed(ch)
		return
	}
	switch m.RecipientID {
	case 0: // SEC-12
	case c.id:
		c.sealedMessage(ch, &m)
	default:
		c.forward(ch, &m)
	}
}

// unsealed closes a channel on which something came that is not sealed (SEC-27).
func (c *Core) unsealed(ch *channel) {
	m := ch.member
	c.close(ch, true)
	if m.ch == ch {
		m.ch = nil
		c.lose(m, ErrUnsealed)
	}
}

// sealedMessage handles a message for this member of a sealed group.
func (c *Core) sealedMessage(ch *channel, m *wire.Message) {
	var sm wire.Sealed
	if err := sm.Decode(m.Content); err != nil {
		c.emit(Note{Text: "message ignored", ID: m.SenderID, Err: err})
		return
	}
	switch sm.Kind {
	case wire.SealedHandshake:
		c.handshake(address{id: m.SenderID, me: c.id, via: ch.link}, &sm.Handshake)
	case wire.SealedPart:
		if s := c.seal.sessions[sm.Part.Index]; s == nil || s.id != m.SenderID { // SEC-13
			c.emit(Note{Text: "message ignored", ID: m.SenderID, Err: errNoSession})
			return
		}
		s, inner, err := c.unseal(&sm.Part)
		if err == nil && inner.BodyKey != nil {
			err = openBody(inner, sm.Part.Body)
		}
		if err != nil {
			c.emit(Note{Text: "message ignored", ID: m.SenderID, Err: err})
			return
		}
		if ch.member.id == s.id { // others prove nothing of the one at the other end
			ch.missed = 0
			c.heardOn(ch)
			c.replaced(ch) // CHN-25
		}
		c.handle(ch, &wire.Message{SenderID: s.id, RecipientID: c.id, ServiceID: inner.ServiceID, Content: inner.Content})
	}
}

// sealedContent handles what a peer of a sealed group sends through signaling (SEC-7, SEC-27).
func (c *Core) sealedContent(from address, m *wire.Message) {
	var sm wire.Sealed
	if m.ServiceID != wire.ServiceSealed || sm.Decode(m.Content) != nil {
		c.emit(Note{Text: "content ignored", Err: ErrUnsealed})
		return
	}
	switch sm.Kind {
	case wire.SealedHandshake:
		c.handshake(from, &sm.Handshake)
	case wire.SealedPart:
		err := errNoSession
		if s := c.seal.behind[from.id]; s != nil && s.index == sm.Part.Index {
			var inner *wire.Inner
			if _, inner, err = c.unseal(&sm.Part); err == nil {
				c.service(from, inner.ServiceID, inner.Content)
				return
			}
		}
		c.emit(Note{Text: "content ignored", Err: err})
	}
}

// sessionOf returns the session in which a channel is initialised: that of its attempt, or of its invitation (SEC-21).
func (c *Core) sessionOf(ch *channel) *session {
	if ch.visit != nil {
		return ch.visit.session
	}
	return c.session(ch.to)
}

// initial encodes a message of the initialisation of a channel, sealed if the group is, as one of service 0, whose other
// messages have no content (SEC-12, SEC-21).
func (c *Core) initial(ch *channel, m *wire.Channel) ([]byte, error) {
	content := m.Append(nil)
	if c.seal == nil {
		return content, nil
	}
	s := c.sessionOf(ch)
	if s == nil {
		return nil, errNoSession
	}
	b, err := c.sealIn(s, &wire.Inner{ServiceID: wire.ServiceHeartbeat, Content: content}, nil)
	return (&wire.Message{SenderID: c.id, RecipientID: s.id, ServiceID: wire.ServiceSealed, Content: b}).Append(nil), err
}

// openInitial opens what came over a channel that is not initialised, and returns whom it is from (SEC-21).
func (c *Core) openInitial(ch *channel, data []byte) (id uint32, content []byte, err error) {
	var m wire.Message
	var sm wire.Sealed
	if m.Decode(data) != nil || m.ServiceID != wire.ServiceSealed || sm.Decode(m.Content) != nil || sm.Kind != wire.SealedPart {
		return 0, nil, ErrUnsealed
	}
	s := c.sessionOf(ch)
	if s == nil || s.index != sm.Part.Index || s.id != m.SenderID || m.RecipientID != c.id {
		return 0, nil, ErrIdentity
	}
	_, inner, err := c.unseal(&sm.Part)
	if err != nil || inner.ServiceID != wire.ServiceHeartbeat {
		return 0, nil, cmp.Or(err, ErrUnsealed)
	}
	return s.id, inner.Content, nil
}

// dropSession forgets a session (SEC-10).
func (c *Core) dropSession(s *session) {
	s.repeat.stop()
	s.Erase()
	delete(c.seal.sessions, s.index)
	if list := remove(c.seal.pairs[s.id], s); len(list) > 0 {
		c.seal.pairs[s.id] = list
	} else {
		delete(c.seal.pairs, s.id)
	}
	for id, b := range c.seal.behind {
		if b == s {
			delete(c.seal.behind, id)
		}
	}
}

// unpair forgets the sessions with a member that has left (SEC-10), but for one that an attempt through signaling is
// about.
func (c *Core) unpair(id uint32) {
	if c.seal == nil {
		return
	}
	for _, s := range slices.Clone(c.seal.pairs[id]) {
		if !c.inUse(s) {
			c.dropSession(s)
		}
	}
	if k := c.seal.known[id]; k != nil {
		k.last = c.now
	}
}

// inUse reports whether an attempt through signaling is in a session.
func (c *Core) inUse(s *session) bool {
	for id, b := range c.seal.behind {
		if a := c.attempts[id]; b == s && a != nil && a.to.signaling {
			return true
		}
	}
	return false
}

// unanswered has the next attempt with a member begin with a handshake: it may have forgotten the session.
func (c *Core) unanswered(id uint32) {
	if c.seal != nil {
		for _, s := range c.seal.pairs[id] {
			s.stale = true
		}
	}
}

func (c *Core) startSweep() {
	if c.seal.sweep == nil || c.seal.sweep.index < 0 {
		c.seal.sweep = c.after(sweepInterval, c.sweepSessions)
	}
}

// sweepSessions forgets what is left of those that have not become members, or are members no longer.
func (c *Core) sweepSessions() {
	s := c.seal
	for _, an := range slices.Clone(s.answers) {
		if c.now-an.since > AnswerTimeout {
			c.dropAnswer(an)
		}
	}
	for id, list := range s.pairs {
		if c.members[id] != nil {
			continue
		}
		for _, t := range slices.Clone(list) {
			if c.now-t.since > StrangerTimeout && !c.inUse(t) {
				c.dropSession(t)
			}
		}
	}
	for id, k := range s.known {
		if c.members[id] == nil && len(s.pairs[id]) == 0 && c.now-k.last > KnownTime { // SEC-23
			delete(s.known, id)
		}
	}
	if len(s.answers)+len(s.pairs)+len(s.known) > 0 {
		c.startSweep()
	}
}

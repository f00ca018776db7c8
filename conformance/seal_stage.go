package conformance

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// A sealedStage is a stage of a sealed group. Its key is the room name (SEC-4).
type sealedStage struct {
	*stage
	secret []byte
	plain  string // the key that the user gives
	keys   sealKeys

	mu     sync.Mutex
	wrong  string                     // the first thing seen that must never come
	counts map[uint32]map[uint64]bool // counters seen of what the peer under test sealed, by index
}

// onSealed makes the function of a case in a sealed group. Whatever the case is about, all that the member under test says
// has to be sealed, under counters that do not come twice (SEC-7, SEC-12, SEC-13), and the key is not in it (SEC-4).
func onSealed(f func(*sealedStage)) func(*run) {
	return onStage(func(s *stage) {
		z := sealing(s)
		s.tap = z.watch
		f(z)
		z.nothingWrong()
	})
}

// sealing has the group of a stage be a sealed one.
func sealing(s *stage) *sealedStage {
	z := &sealedStage{stage: s, secret: random32(), counts: make(map[uint32]map[uint64]bool)}
	z.named(s.key)
	return z
}

// nothingWrong expects that nothing was seen that must never come.
func (z *sealedStage) nothingWrong() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.expect(z.wrong == "", "what the peer under test sends", "sealed messages and handshakes, each counter once", z.wrong)
}

func random32() []byte {
	b := make([]byte, 32)
	rand.Read(b)
	return b
}

// watch looks at all that the member under test sends.
func (z *sealedStage) watch(channel bool, b []byte) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.wrong == "" {
		z.wrong = z.look(channel, b)
	}
}

// look says what is wrong with a message; nothing is "".
func (z *sealedStage) look(channel bool, b []byte) string {
	if bytes.Contains(b, []byte(z.plain)) {
		return fmt.Sprintf("the key, in % x", b)
	}
	if !channel {
		a, err := parseArrival(b)
		if err != nil || a.content == nil || a.content.data == nil {
			return ""
		}
		b = a.content.data
	}
	e, err := parseEnvelope(b)
	switch {
	case err != nil || e.service != serviceSealed:
		return fmt.Sprintf("not sealed: % x", b)
	case channel && e.recipient == 0:
		return "to all: " + e.String()
	case channel && e.sender != z.id:
		return "" // passed on
	}
	fs, err := parse(e.content)
	if err != nil || len(fs) != 1 {
		return "no sealed.Message: " + e.String()
	}
	if p, ok := parseSealed(e.content); ok {
		if z.counts[p.index] == nil {
			z.counts[p.index] = make(map[uint64]bool)
		}
		if z.counts[p.index][p.counter] {
			return fmt.Sprintf("the counter %d twice", p.counter)
		}
		z.counts[p.index][p.counter] = true
	}
	return ""
}

// takeSealed takes what came over a channel of a sealed group, opened if it is for this end.
func (l *link) takeSealed(m received) {
	e, err := parseEnvelope(m.raw)
	if err != nil {
		l.in.close(fmt.Errorf("% x is no Message: %w", m.raw, err))
		return
	}
	all := []envelope{e}
	if p, ok := parseSealed(e.content); ok && e.sender == l.seal.other && e.recipient == l.seal.me && p.index == l.seal.mine {
		if e, err = l.seal.unseal(e); err != nil {
			l.in.close(fmt.Errorf("% x does not open: %w", m.raw, err))
			return
		}
		all = l.run.underSeal(e)
	}
	for _, m.env = range all {
		if m.env.service == serviceBeat && len(m.env.content) == 0 {
			l.beats.add(m)
		} else {
			l.in.add(m)
		}
	}
}

// underSeal returns what is to be taken for a message that was sealed.
func (r *run) underSeal(e envelope) []envelope {
	if r.target.spoil == nil {
		return []envelope{e}
	}
	var all []envelope
	for _, b := range r.target.spoil(true, e.encode()) {
		if e, err := parseEnvelope(b); err == nil {
			all = append(all, e)
		}
	}
	return all
}

// within is the way on which all is sealed in a session.
func (w *way) within(t *session) *way {
	in := *w
	in.seal = t
	in.put = func(service uint32, content []byte) { w.put(serviceSealed, t.seal(service, content)) }
	in.take = func(until time.Time, match func(envelope) bool) (found envelope, err error) {
		_, err = w.take(until, func(e envelope) bool {
			if e, err := t.unseal(e); err == nil {
				for _, found = range w.run.underSeal(e) {
					if match(found) {
						return true
					}
				}
			}
			return false
		})
		return found, err
	}
	return &in
}

// expectHandshake expects a message of a handshake, of some length.
func (w *way) expectHandshake(step, length int) []byte {
	return w.expectHandshakeUntil(step, length, deadline())
}

func (w *way) expectHandshakeUntil(step, length int, until time.Time) []byte {
	fs, _ := w.expect(fmt.Sprintf("message %d of a handshake", step), until, serviceSealed, func(fs fields) bool {
		return fs.has(1) && fs.sub(1).uint(1) == uint32(step)
	})
	data := fs.sub(1).bytes(2)
	w.run.expect(len(data) == length, fmt.Sprintf("message %d of the handshake with %s", step, w.name), fmt.Sprintf("%d bytes", length), len(data)) // SEC-9
	return data
}

// noHandshake expects that no message of a handshake is there.
func (w *way) noHandshake(what string, step int) {
	none := w.none(serviceSealed, func(fs fields) bool { return fs.has(1) && fs.sub(1).uint(1) == uint32(step) })
	w.run.expect(none, what, fmt.Sprintf("no message %d of a handshake", step), "one")
}

// An actor is a scripted member of a sealed group, which may have another secret than it should.
type actor struct {
	z        *sealedStage
	id       uint32
	identity *ecdh.PrivateKey
	keys     sealKeys
}

func (z *sealedStage) actor(id uint32) *actor { return &actor{z, id, newPrivate(), z.keys} }

// A shaking is a handshake under way.
type shaking struct {
	*noise
	by     *actor
	way    *way
	index  uint32
	theirs []byte // what the peer under test has said of itself
}

func (a *actor) shaking(w *way, initiator bool) *shaking {
	return &shaking{noise: a.keys.begin(initiator, a.identity, nil), by: a, way: w, index: binary.BigEndian.Uint32(random32())}
}

// must writes the next message.
func (h *shaking) must(payload []byte) []byte {
	b, err := h.write(payload)
	if err != nil {
		h.way.run.fail("the handshake with "+h.way.name, "keys that can be used", err.Error())
	}
	return b
}

// take reads the next message, which has to have this proof, and keeps what else is in it.
func (h *shaking) take(data []byte, proof func() []byte) {
	r, what := h.way.run, fmt.Sprintf("message %d of the handshake with %s", h.message+1, h.way.name)
	payload, err := h.read(data)
	r.expect(err == nil, what, "one that Noise can read", err) // SEC-8
	want := proof()
	r.expect(bytes.HasPrefix(payload, want), what, fmt.Sprintf("the proof %x", want), fmt.Sprintf("%x", payload)) // SEC-9
	h.theirs = payload[len(want):]
}

func noProof() []byte { return nil }

// say sends a message of the handshake.
func (h *shaking) say(step int, data []byte) { h.way.put(serviceSealed, handshakeMessage(step, data)) }

// heard expects message 1, and returns the handshake that is to answer it.
func (a *actor) heard(w *way, first []byte) *shaking {
	h := a.shaking(w, false)
	h.take(first, func() []byte { return h.by.keys.proof(h.re) })
	return h
}

// second is message 2.
func (h *shaking) second() []byte {
	proof := h.by.keys.proof(h.re, h.e.PublicKey())
	return h.must(append(proof, selfBytes(h.by.id, h.index)...))
}

// over expects message 3, and returns the session.
func (h *shaking) over() *session {
	h.take(h.way.expectHandshake(3, 72), noProof)
	return h.session()
}

func (h *shaking) session() *session {
	r := h.way.run
	id, index := binary.BigEndian.Uint32(h.theirs), binary.BigEndian.Uint32(h.theirs[4:])
	r.expect(id == h.by.z.id, "the id in the handshake with "+h.way.name, fmt.Sprint(h.by.z.id), id) // SEC-11
	return newSession(h.noise, h.by.id, h.index, selfBytes(id, index))
}

// responds answers a handshake that the peer under test begins.
func (a *actor) responds(w *way) *session {
	h := a.heard(w, w.expectHandshake(1, 80))
	h.say(2, h.second())
	return h.over()
}

// initiates has a handshake with the peer under test.
func (a *actor) initiates(w *way) *session {
	h := a.asks(w)
	h.say(3, h.third())
	return h.session()
}

// asks begins a handshake, and takes message 2.
func (a *actor) asks(w *way) *shaking {
	h := a.shaking(w, true)
	h.say(1, h.first())
	h.answered()
	return h
}

func (h *shaking) first() []byte { return h.must(h.by.keys.proof(h.e.PublicKey())) }

// answered takes message 2.
func (h *shaking) answered() {
	h.take(h.way.expectHandshake(2, 136), func() []byte { return h.by.keys.proof(h.e.PublicKey(), h.re) })
	h.way.run.expect(len(h.theirs) == 8, "what message 2 says of its sender", "8 bytes", len(h.theirs))
}

func (h *shaking) third() []byte { return h.must(selfBytes(h.by.id, h.index)) }

// begin has the peer under test join the sealed group.
func (z *sealedStage) begin(more driver.Command) {
	c := driver.Command{"key": z.plain, "secret": bech32m("mpsecret", z.secret)}
	for k, v := range more {
		c[k] = v
	}
	z.beginWith(c)
	z.hello()
}

// first makes the peer under test the first member of the group.
func (z *sealedStage) first(more driver.Command) {
	z.begin(more)
	z.door.agree.Store(true)
	z.door.answer(true)
	z.joined(deadline())
}

// bound has the peer under test join and be bound to a scripted member.
func (z *sealedStage) bound(a *actor, more driver.Command) *host {
	z.begin(more)
	z.door.answer(false)
	return z.bind(a.id)
}

// joinThrough has the peer under test join through a scripted member, which lists others.
func (z *sealedStage) joinThrough(a *actor, others ...*actor) *voice {
	h := z.bound(a, nil)
	return z.greets(h, a, others...)
}

// greets lets the peer under test in, as far as initPong, and has the two say hello.
func (z *sealedStage) greets(h *host, a *actor, others ...*actor) *voice {
	h.way = h.way.within(a.responds(h.way))
	h.agree()
	l := h.way.offer(label{0, 2}.String()).answered()
	p := ping{0, groupID, a.id, []uint32{a.id}, z.key}
	list := [][]byte{a.identity.PublicKey().Bytes()}
	for _, o := range others {
		p.members, list = append(p.members, o.id), append(list, o.identity.PublicKey().Bytes())
	}
	l.send(serviceBeat, p.withIdentities(list))
	l.expectPong(z.id)
	l.begin(a.id, z.id)
	return z.voice(l)
}

// withIdentities is initPing with identities (SEC-24).
func (p ping) withIdentities(all [][]byte) []byte {
	b := mustParse(p.encode()).bytes(1)
	for _, id := range all {
		b = appendBytes(b, 77, id)
	}
	return appendBytes(nil, 1, b)
}

// expectPong expects initPong, sealed (SEC-12, SEC-21).
func (l *link) expectPong(id uint32) {
	m := l.expect("initPong, sealed", deadline(), func(e envelope) bool { return e.service == serviceBeat && mustParse(e.content).has(2) })
	got := mustParse(m.env.content).uint(2)
	l.run.expect(got == id, "initPong", fmt.Sprint(id), got)
}

// pair has the peer under test join through member 1, alone.
func (z *sealedStage) pair() (*actor, *voice) {
	a := z.actor(member(1))
	v := z.joinThrough(a)
	z.settled(deadline())
	return a, v
}

// admit lets a scripted peer join through the one under test.
func (z *sealedStage) admit(name string, a *actor) (*voice, ping, fields) {
	w := z.nextJoiner(name)
	w = w.within(a.initiates(w))
	l := w.answer(w.asks())
	m := l.expect("initPing, sealed", deadline(), func(e envelope) bool { return e.service == serviceBeat && mustParse(e.content).has(1) })
	l.send(serviceBeat, pong(a.id))
	l.begin(a.id, z.id)
	z.expectJoin(a.id)
	fs := mustParse(m.env.content).sub(1)
	return z.voice(l), parsePing(fs), fs
}

// A voice is a keeper in a sealed group, where the contract of delivery is not optional (SEC-16).
type voice struct {
	*keeper
	sent uint64 // the number of its last part
}

func (z *sealedStage) voice(l *link) *voice { return &voice{keeper: z.keeps(l, 1<<20)} }

// hear has a scripted member send a text and expects that the peer under test gets it: it has handled all that came before
// over this link.
func (z *sealedStage) hear(v *voice) {
	text := "hear " + randomName()
	v.sent++
	v.part(v.theirs, v.sent, text)
	z.expectMessage(v.me, []byte(text), true)
}

// numbered is a user message with what EXT-1 adds to it.
func (v *voice) numbered(content []byte, all bool) []byte {
	v.sent++
	b := appendVarint(appendVarint(content, 77, v.sent), 78, uint64(v.theirs))
	if all {
		b = appendVarint(b, 79, 1)
	}
	return b
}

// message is the Message with a sealed Inner.
func (v *voice) message(p sealedPart) []byte {
	return envelope{v.me, v.other, serviceSealed, p.encode()}.encode()
}

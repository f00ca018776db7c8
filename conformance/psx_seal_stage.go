package conformance

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// A sealedDuet is a duet of a sealed pairing: the suite plays a server that is not to be trusted, and a client that has the
// secret, or one that has not.
type sealedDuet struct {
	*duet
	secret []byte // of the pairing; nil before there is one
	keys   pairKeys
	noise  *noise      // the suite's end of the handshake
	relay  *sealedRoad // by the server; nil before the handshake is over

	plain  bool     // the client under test has no secret
	words  []string // what its user has said, for the peer alone
	opaque bool     // it has said something that can be no message of the handshake
	wrong  string   // the first thing seen that must never come
}

// inSealedDuet makes the function of a case. Whatever the case is about, before the handshake is over a client says nothing but
// what belongs to it, and after it nothing as it is, neither what its user says nor in JSON; and never the secret (SEC-40,
// SEC-42, SEC-43).
func inSealedDuet(f func(*sealedDuet)) func(*run) {
	return inDuet(func(d *duet) {
		z := &sealedDuet{duet: d}
		d.tap = func(_ bool, b []byte) {
			if z.wrong == "" && !z.plain {
				z.wrong = z.look(b)
			}
		}
		f(z)
		for _, a := range d.rest.took() {
			z.expect(!z.tells([]byte(a.url+a.body)), "what the server is asked", "nothing of the secret", a) // SEC-40
		}
		z.expect(z.wrong == "", "what the client under test sends", "its registration, its handshake, and all else sealed", z.wrong)
	})
}

// tells reports whether the secret is in something.
func (z *sealedDuet) tells(b []byte) bool {
	return z.secret != nil && (bytes.Contains(b, z.secret) || bytes.Contains(b, []byte(z.text()[7:])))
}

// look says what is wrong with a message on the WebSocket; nothing is "".
func (z *sealedDuet) look(b []byte) string {
	m, internal := internalOf(&frame{op: opText, payload: b})
	switch {
	case z.tells(b):
		return fmt.Sprintf("the secret, in %q", b)
	case slices.ContainsFunc(z.words, func(word string) bool { return bytes.Contains(b, []byte(word)) }):
		return fmt.Sprintf("what its user has said, as it is: %q", b)
	case !internal && string(b) != "PING":
		z.opaque = true
	case z.opaque:
		return fmt.Sprintf("after what is sealed, as it is: %q", b)
	case internal && m.Name != "client.register" && m.Name != "meshpair.sealed":
		return fmt.Sprintf("as it is: %q", b)
	}
	return ""
}

// text is the secret's.
func (z *sealedDuet) text() string { return bech32m("mppair", z.secret) }

// ready makes a client that can seal, and in the first place has it show that it can.
func (z *sealedDuet) ready(more driver.Command) {
	if z.socket != nil { // of the connection before
		z.socket.drop()
		z.socket = nil
	}
	z.duet.sealed, z.relay, z.opaque = nil, nil, false
	c := driver.Command{"seal": true}
	maps.Copy(c, more)
	z.init(c)
	z.driver.Forget()
	if z.secret == nil {
		z.secret = z.makes()
	}
}

// makes has the client make a pairing, and returns its secret.
func (z *sealedDuet) makes() []byte {
	e := z.do(driver.Command{"cmd": "createPairing"})
	if e.Secret == "" {
		panic(unsupported("createPairing makes no secret: it does not seal pairings"))
	}
	secret, ok := bytesOfText("mppair", e.Secret, 16)
	z.expect(ok, "the secret of a new pairing", "mppair1 and the digits of 16 bytes", e.Secret)
	z.expect(psxPairing{e.Code, e.Hash} == testPair, "a new pairing", fmt.Sprint(testPair), fmt.Sprint(e.Code, " ", e.Hash))
	return secret
}

// open has the client connect, as one whose code the other was told, or as that other one: with the same secret as before, if
// the case has connected before.
func (z *sealedDuet) open(initiator bool, more driver.Command) {
	first := z.secret == nil
	z.ready(more)
	if first && !initiator {
		z.secret = random32()[:16]
		e := z.do(driver.Command{"cmd": "joinPairing", "code": testPair.Code + "-" + z.text()})
		z.expect(e.Secret == z.text() && psxPairing{e.Code, e.Hash} == testPair, "the pairing that was joined", fmt.Sprint(testPair, " ", z.text()), fmt.Sprintf("%+v", e))
	}
	z.keys = derivePair(z.secret, testPair)
	z.connects(driver.Command{"secret": z.text()})
	z.registers()
}

// begin has the client connected and told of its peer, and returns when the handshake is to begin.
func (z *sealedDuet) begin(initiator bool, more driver.Command) {
	z.open(initiator, more)
	z.meets(initiator)
	z.noise = z.keys.begin(!initiator, newPrivate(), nil)
}

const stepForm = `§{"name":"meshpair.sealed","data":{"step":%d,"data":"%s"}}`

// sends sends a message of the handshake.
func (z *sealedDuet) sends(step int, data []byte) { z.socket.say(string(stepText(step, data))) }

func stepText(step int, data []byte) []byte {
	return fmt.Appendf(nil, stepForm, step, base64.StdEncoding.EncodeToString(data))
}

const saidRefused = `§{"name":"meshpair.sealed","data":{"refused":true}}`

// A stepData is what meshpair.sealed carries.
type stepData struct {
	Step    int
	Data    []byte
	Refused bool
}

func stepOf(f *frame) (s stepData, ok bool) {
	m, ok := internalOf(f)
	return s, ok && m.Name == "meshpair.sealed" && json.Unmarshal(m.Data, &s) == nil
}

// wantStep expects a message of the handshake.
func (z *sealedDuet) wantStep(step int) []byte {
	f, err := z.socket.anyFromClient(deadline())
	for err == nil && f.op == opText && string(f.payload) == "PING" {
		f, err = z.socket.anyFromClient(deadline())
	}
	s, ok := stepOf(f)
	z.expect(ok && s.Step == step && len(s.Data) > 0 && !s.Refused, "the client under test", fmt.Sprintf("message %d of the handshake", step), describe(f, err))
	return s.Data
}

// hears takes the client's next message of the handshake, which has to have its proof, and returns what else is in it.
func (z *sealedDuet) hears(step int) []byte {
	data, what := z.wantStep(step), fmt.Sprintf("message %d of the handshake", step)
	payload, err := z.noise.read(data)
	z.expect(err == nil, what, "one that Noise can read", err)
	var proof []byte
	switch step {
	case 1:
		proof = z.keys.proof(z.noise.re)
	case 2:
		proof = z.keys.proof(z.noise.e.PublicKey(), z.noise.re)
	}
	z.expect(bytes.HasPrefix(payload, proof), what, fmt.Sprintf("the proof %x", proof), fmt.Sprintf("%x", payload)) // SEC-9
	more := payload[len(proof):]
	z.expect(step > 1 || len(more) == 0, what, "80 bytes", len(data))
	return more
}

const suiteHello = `{"version":1,"window":65536,"maxMessage":1048576}`

// message is the suite's next message of the handshake.
func (z *sealedDuet) message(step int) []byte {
	var payload []byte
	switch step {
	case 1:
		payload = z.keys.proof(z.noise.e.PublicKey())
	case 2:
		payload = append(z.keys.proof(z.noise.re, z.noise.e.PublicKey()), suiteHello...)
	case 3:
		payload = []byte(suiteHello)
	}
	b, err := z.noise.write(payload)
	if err != nil {
		z.fail("the handshake", "keys that can be used", err.Error())
	}
	return b
}

func (z *sealedDuet) says(step int) { z.sends(step, z.message(step)) }

// over ends the handshake: all is sealed from here on, and the client's user is told that the peer is there.
func (z *sealedDuet) over(theirs []byte) {
	var h helloData
	err := json.Unmarshal(theirs, &h)
	z.expect(err == nil && h.Version == 1 && h.Window >= leastWindow && h.MaxMessage > 0, "the hello in the handshake",
		"version 1, window and maxMessage", fmt.Sprintf("%q", theirs))
	z.relay = z.seals(z.bySocket(), labelRelay)
	z.duet.sealed = z.relay.road
	z.met(!z.noise.initiator)
}

// greets has the handshake, and all else.
func (z *sealedDuet) greets(initiator bool, more driver.Command) {
	z.begin(initiator, more)
	if initiator {
		z.hears(1)
		z.says(2)
		z.over(z.hears(3))
	} else {
		z.says(1)
		theirs := z.hears(2)
		z.says(3)
		z.over(theirs)
	}
}

// A sealedRoad is a road on which all is sealed (SEC-43). What the suite puts on the road beneath it is forged.
type sealedRoad struct {
	*road
	raw     *road
	in, out *lane
	run     *run
	waiting [][]byte // opened, and not asked for
	made    bool     // a data channel: signals that are left are of no interest
}

func (z *sealedDuet) seals(raw *road, label string) *sealedRoad {
	s := &sealedRoad{raw: raw, run: z.run}
	s.out, s.in = newLanes(z.noise, label)
	if !z.noise.initiator {
		s.out, s.in = s.in, s.out
	}
	s.road = &road{raw.name + ", sealed", s.open, s.seal}
	return s
}

func (s *sealedRoad) open(until time.Time) (text bool, data []byte, err error) {
	for len(s.waiting) == 0 {
		text, sealed, err := s.raw.take(until)
		if err != nil {
			return false, nil, err
		}
		if text {
			return false, nil, fmt.Errorf("the text %.80q, not sealed", sealed)
		}
		plain, err := s.in.open(sealed)
		switch {
		case err != nil:
			return false, nil, err
		case len(plain) == 0:
			return false, nil, errors.New("nothing, sealed")
		case s.run.target.spoil != nil:
			s.waiting = s.run.target.spoil(true, plain)
		default:
			s.waiting = [][]byte{plain}
		}
	}
	data, s.waiting = s.waiting[0], s.waiting[1:]
	if data[0] != 0 {
		return false, data, nil
	}
	if m, ok := internalOf(&frame{op: opText, payload: data[1:]}); ok && m.Name == "peer.signal" && s.made {
		return s.open(until)
	}
	return true, data[1:], nil
}

func (s *sealedRoad) seal(text bool, data []byte) {
	s.raw.put(false, s.out.seal(sealedForm(text, data)))
}

// said reads the next message of a client to its peer by way of the server, opened if it was sealed, which has no extension's name.
func (d *duet) said(until time.Time) (*frame, error) {
	if d.sealed == nil {
		return d.socket.fromClient(until)
	}
	for {
		text, data, err := d.sealed.take(until)
		if err != nil {
			return nil, err
		}
		f := &frame{fin: true, op: opBinary, payload: data}
		if text {
			f.op = opText
		}
		if m, ok := internalOf(f); !ok || !strings.HasPrefix(m.Name, "meshpair.") {
			return f, nil
		}
	}
}

// sealedForm is what of a message is sealed (SEC-43).
func sealedForm(text bool, data []byte) []byte {
	if text {
		return append([]byte{0}, data...)
	}
	return data
}

// forge puts something on the road that the peer has not said.
func (s *sealedRoad) forge(data []byte) {
	if s.run.target.dull != "forged" {
		s.raw.put(false, data)
	}
}

// unsealed sends something by the server as it is.
func (z *sealedDuet) unsealed(text bool, data string) {
	if z.target.dull != "unsealed" {
		z.bySocket().put(text, []byte(data))
	}
}

// byChannel makes the data channel for the n-th offer, and returns the road over it, and what ends it.
func (z *sealedDuet) byChannel(initiator bool, n uint64) (*sealedRoad, func()) {
	z.relay.made = false
	raw, dc := z.duet.byChannel(initiator)
	z.relay.made = true
	raw.put = func(text bool, data []byte) { // to no avail when the client has ended it
		if text {
			dc.SendText(string(data))
		} else {
			dc.Send(data)
		}
	}
	return z.seals(raw, labelChannel(n)), func() { z.try(dc.Close()) }
}

// userSays has the client's user say something.
func (z *sealedDuet) userSays(text string) {
	if len(text) > 8 {
		z.words = append(z.words, text)
	}
	z.sendText(text)
}

// both has the two say something to each other on a road.
func (z *sealedDuet) both(r *sealedRoad, number uint64) {
	text := "a word of a user, " + randomName()
	z.userSays(text)
	z.wantPart(r.road, part{partText, number, text})
	r.say(part{partAck, number, ""}, part{partText, number, text})
	z.expectUser("a text, sealed", text)
}

// notYet expects that the client's user cannot say anything yet, and was told nothing.
func (z *sealedDuet) notYet(when string) {
	text := "too early, " + randomName()
	z.words = append(z.words, text)
	_, err := z.driver.Do(timeout, driver.Command{"cmd": "send", "text": text})
	z.expect(isAnswer(err), "to send something "+when, "an error", err)
	z.untold(when, "peerConnected")
}

// untold expects that the client's user was not told of some events.
func (z *sealedDuet) untold(when string, names ...string) {
	for _, e := range z.driver.Events() {
		z.expect(!slices.Contains(names, e.Event), "what the user is told "+when, "nothing of "+strings.Join(names, ", "), fmt.Sprintf("%+v", e))
	}
}

// ends expects that the client ends the connection, tells its user why, and delivers nothing. It returns what it said before, by
// the server.
func (z *sealedDuet) ends(why string) ([]*frame, driver.Event) {
	said, told := z.ending(why)
	z.untold(why, "message", "upgraded")
	if z.relay == nil {
		z.untold(why, "peerConnected")
	}
	z.expect(told.Message != "", "the event connectionClosed "+why, "a reason", "none")
	z.expect(!strings.Contains(told.Message, z.text()), "the event connectionClosed "+why, "nothing of the secret", told.Message) // SEC-48
	return said, told
}

// refuses expects that the client ends the handshake at once, not only when its time is over, and sends no further message of it.
// It may say that it refuses.
func (z *sealedDuet) refuses(why string) (said bool) {
	began := time.Now()
	all, _ := z.ends(why)
	z.expect(time.Since(began) < 8*time.Second, why, "the end at once", time.Since(began))
	for _, f := range all {
		s, ok := stepOf(f)
		z.expect(!ok || s.Step == 0, why, "no further message of the handshake", describe(f, nil))
		said = said || ok && s.Refused
	}
	return said
}

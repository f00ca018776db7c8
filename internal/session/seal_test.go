package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/vectors"
)

var testSecret = sealed.PairingSecret{7}

// testSeal returns an end of a pairing whose keys are made of a byte.
func testSeal(t testing.TB, secret sealed.PairingSecret, fill byte) *sealed.Pairing {
	t.Helper()
	p, err := sealed.NewPairing(secret, "123456", "hash", bytes.NewReader(append(bytes.Repeat([]byte{fill}, 32), bytes.Repeat([]byte{^fill}, 32)...)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A sealedTable is a core with a secret, and the other end, which says what a test wants.
type sealedTable struct {
	*table
	peer  *sealed.Pairing
	roads *sealed.Roads
	relay *sealed.Road
}

const peerHello = `{"version":1,"window":65536,"maxMessage":100000}`

// sitSealed has a core registered.
func sitSealed(t *testing.T, cfg Config) *sealedTable {
	cfg.Seal = testSeal(t, testSecret, 1)
	return &sealedTable{table: sit(t, cfg), peer: testSeal(t, testSecret, 2)}
}

// met has it hear peer.connected.
func met(t *testing.T, cfg Config, initiator bool) *sealedTable {
	tb := sitSealed(t, cfg)
	tb.text(fmt.Sprintf(`§{"name":"peer.connected","data":{"isInitiator":%v,"pairing":{}}}`, initiator))
	return tb
}

func (tb *sealedTable) shake(step int, data []byte) {
	tb.text(string(newInternal(nameSealed, handshakeStep{Step: step, Data: data}).Data))
}

// shaken returns the message of the handshake that the core sends, which is all that it sends.
func (tb *sealedTable) shaken(step int) []byte {
	tb.t.Helper()
	list, _ := tb.pull(Relay)
	if len(list) != 1 {
		tb.t.Fatalf("it sends %q", list)
	}
	m, _ := parseInternal([]byte(list[0]))
	var s handshakeStep
	if err := json.Unmarshal(m.Data, &s); err != nil || m.Name != nameSealed || s.Step != step {
		tb.t.Fatalf("it sends %q", list)
	}
	return s.Data
}

// sealedPair has the handshake over.
func sealedPair(t *testing.T, cfg Config, initiator bool) *sealedTable {
	t.Helper()
	tb := met(t, cfg, initiator)
	var theirs []byte
	if initiator {
		m2, err := tb.peer.Respond(tb.shaken(1), []byte(peerHello))
		noError(t, err)
		tb.shake(2, m2)
		theirs, tb.roads, err = tb.peer.Complete(tb.shaken(3))
		noError(t, err)
	} else {
		tb.shake(1, tb.peer.Initiate())
		m3, hello, roads, err := tb.peer.Finish(tb.shaken(2), []byte(peerHello))
		noError(t, err)
		theirs, tb.roads = hello, roads
		tb.shake(3, m3)
	}
	if h, ok := parseHello(theirs); !ok || h.Window != tb.core.cfg.Window || h.MaxMessage != tb.core.cfg.MaxMessage {
		t.Fatalf("its hello is %s", theirs)
	}
	tb.relay = tb.roads.Relay()
	tb.outs = slices.DeleteFunc(tb.outs, func(o Output) bool { _, ok := o.(Offer); return ok })
	tb.expect(Paired{initiator})
	return tb
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sealed returns what the peer sends next on a road.
func (tb *sealedTable) sealed(road *sealed.Road, text bool, data string) []byte {
	if text {
		data = "\x00" + data
	}
	b, err := road.Seal(nil, []byte(data))
	noError(tb.t, err)
	return b
}

// opens expects what the core sends on a way: sealed, and these when they are opened.
func (tb *sealedTable) opens(w Way, road *sealed.Road, want ...string) {
	tb.t.Helper()
	list, _ := tb.pull(w)
	for i, s := range list {
		b, err := road.Open(nil, []byte(s))
		noError(tb.t, err)
		list[i] = string(b)
	}
	if !slices.Equal(list, want) {
		tb.t.Fatalf("it sends %.500q, want %.500q", list, want)
	}
}

// fails expects the session to end for a reason, with a refusal or not, and to have delivered nothing.
func (tb *sealedTable) fails(want error, refusal bool) {
	tb.t.Helper()
	list, v := tb.pull(Relay)
	told := slices.Contains(list, `§{"name":"meshpair.sealed","data":{"refused":true}}`)
	for _, s := range list {
		if tb.roads == nil {
			break
		}
		if b, err := tb.relay.Open(nil, []byte(s)); err != nil || bytes.Contains(b, []byte(nameEnd)) {
			tb.t.Errorf("it says %q, %v", b, err)
		}
	}
	if v != Finish || told != refusal {
		tb.t.Errorf("verdict %v, it says %q", v, list)
	}
	tb.step(Ended{Way: Relay})
	for _, o := range tb.outs {
		switch o := o.(type) {
		case Over:
			if !errors.Is(o.Err, want) {
				tb.t.Errorf("over by %v, not %v", o.Err, want)
			}
			return
		case Deliver, Remote, Offer, Answer, Upgraded:
			tb.t.Errorf("%#v", o)
		}
	}
	tb.t.Error("it is not over")
}

// A sealed pairing says nothing but its handshake until that is over; then all goes sealed, on both roads, with frames
// from the first message on (SEC-42, SEC-43, SEC-46).
func TestSealed(t *testing.T) {
	tb := sealedPair(t, Config{}, true)
	if s := tb.core.Status(); !s.Sealed || !s.Ours || !s.Paired {
		t.Errorf("%+v", s)
	}
	tb.send(1, "hello")
	tb.expectDone(1, nil)
	tb.step(Local{1, Signal{Type: SignalOffer, SDP: "v=0"}})
	tb.opens(Relay, tb.relay, "\x00"+`§{"name":"peer.signal","data":{"type":"offer","sdp":"v=0"}}`, textFrame(1, "hello"))
	tb.bytes(Relay, tb.sealed(tb.relay, true, string(Signal{Type: SignalAnswer, SDP: "v=1"}.message().Data[0:])))
	tb.expect(Remote{1, Signal{Type: SignalAnswer, SDP: "v=1"}})
	tb.bytes(Relay, tb.sealed(tb.relay, false, ackFrame(1)))
	tb.bytes(Relay, tb.sealed(tb.relay, false, textFrame(1, "welcome")))
	tb.expect(Deliver{true, []byte("welcome")})
	tb.pass(AckDelay)
	tb.opens(Relay, tb.relay, ackFrame(1))
	tb.open()
	channel := tb.roads.Channel(1)
	tb.send(2, "direct")
	tb.expectDone(2, nil)
	tb.opens(Channel, channel, textFrame(2, "direct"))
	tb.bytes(Channel, tb.sealed(channel, false, textFrame(2, "yes")))
	tb.expect(Deliver{true, []byte("yes")})
	tb.pass(PingInterval)
	tb.opens(Channel, channel, "\x00PING", ackFrame(2))
	tb.opens(Relay, tb.relay, "\x00PING")
}

// The n-th offer has a road of its own, also when one was never answered (SEC-43).
func TestSealedChannels(t *testing.T) {
	tb := sealedPair(t, Config{NoUpgrade: true}, false)
	offer := string(Signal{Type: SignalOffer, SDP: "v=0"}.message().Data)
	for range 3 {
		tb.bytes(Relay, tb.sealed(tb.relay, true, offer))
	}
	tb.step(Upgrade{7})
	tb.expect(Answer{1}, Remote{1, Signal{Type: SignalOffer, SDP: "v=0"}})
	tb.step(Opened{1, "label", 65_535})
	tb.expect(Upgraded{}, Done{7, nil})
	tb.bytes(Channel, tb.sealed(tb.roads.Channel(3), false, textFrame(1, "third")))
	tb.expect(Deliver{true, []byte("third")})
	tb.bytes(Relay, tb.sealed(tb.relay, true, offer))
	tb.outs = nil
	tb.step(Opened{2, "label", 65_535})
	tb.outs = nil
	tb.bytes(Channel, tb.sealed(tb.roads.Channel(4), false, textFrame(2, "fourth")))
	tb.expect(Deliver{true, []byte("fourth")})
}

// When a connection is over, and when a data channel is replaced, nothing is left that could open what went over it (SEC-10,
// SEC-42).
func TestSealedForgets(t *testing.T) {
	gone := func(what string, r *sealed.Road) {
		t.Helper()
		if _, err := r.Seal(nil, nil); !errors.Is(err, sealed.ErrExhausted) {
			t.Errorf("%s: %v", what, err)
		}
	}
	tb := sealedPair(t, Config{}, true)
	tb.step(Local{1, Signal{Type: SignalOffer, SDP: "v=0"}})
	tb.open()
	first, relay := tb.core.road[Channel], tb.core.road[Relay]
	tb.step(Ended{Way: Channel, Attempt: 1})
	tb.step(Upgrade{7})
	tb.step(Local{2, Signal{Type: SignalOffer, SDP: "v=0"}})
	tb.step(Opened{2, "label", 65_535})
	second := tb.core.road[Channel]
	if second == first {
		t.Fatal("there is no other channel")
	}
	gone("the first channel", first)
	if _, err := second.Seal(nil, nil); err != nil {
		t.Error(err)
	}
	tb.step(Ended{Way: Channel, Attempt: 2})
	tb.step(Ended{Way: Relay})
	gone("the second channel", second)
	gone("the relay", relay)
	if !tb.core.over || *tb.core.roads != (sealed.Roads{}) {
		t.Error("there are keys")
	}
	tb = met(t, Config{}, false) // given up
	tb.step(Ended{Way: Relay})
	if want := new(sealed.Pairing); !reflect.DeepEqual(tb.core.cfg.Seal, want) {
		t.Error("there are keys of a handshake")
	}
}

// Nobody is told that the peer is there before the handshake is over, and nothing can be sent (SEC-42).
func TestSealedBefore(t *testing.T) {
	for _, initiator := range []bool{true, false} {
		tb := met(t, Config{}, initiator)
		tb.expect()
		tb.send(1, "early")
		tb.expect(Done{1, ErrNotConnected})
		tb.step(Upgrade{2})
		tb.expect(Done{2, ErrNotConnected})
		tb.text("PING") // SEC-47
		tb.expect()
		list, _ := tb.pull(Relay)
		if want := map[bool]int{true: 1}[initiator]; len(list) != want {
			t.Errorf("it says %q", list)
		}
	}
	tb := sitSealed(t, Config{}) // its first message is faster than the server
	tb.shake(1, tb.peer.Initiate())
	tb.sends(Relay)
	tb.pass(PingInterval)
	tb.sends(Relay, "PING")
	tb.text(`§{"name":"peer.connected","data":{"isInitiator":false}}`)
	tb.shaken(2)
}

// What a peer that is not sealed says, and what a server invents, ends it, and is delivered to nobody (SEC-46, SEC-47).
func TestSealedRefusesPlain(t *testing.T) {
	offer := string(Signal{Type: SignalOffer, SDP: "v=0"}.message().Data)
	texts := []string{testHello, offer, "hello", "", "§", `§{"name":"meshpair.frames","data":{"after":0}}`,
		`§{"name":"meshpair.upgrade","data":{}}`, `§{"name":"meshpair.closed","data":{"label":"x"}}`, `§{"name":"meshpair.end","data":{"after":0}}`}
	for _, initiator := range []bool{true, false} {
		for _, text := range texts {
			tb := met(t, Config{}, initiator)
			tb.text(text)
			tb.fails(ErrUnsealed, true)
			tb = sealedPair(t, Config{NoUpgrade: true}, initiator)
			tb.text(text)
			tb.fails(ErrUnsealed, false)
		}
		tb := met(t, Config{}, initiator)
		tb.bytes(Relay, []byte(textFrame(1, "x")))
		tb.fails(ErrUnsealed, true)
		tb = sealedPair(t, Config{NoUpgrade: true}, initiator)
		tb.bytes(Relay, []byte(textFrame(1, "x")))
		tb.fails(ErrForged, false)
		tb = sealedPair(t, Config{NoUpgrade: true}, initiator)
		tb.shake(1, testSeal(t, testSecret, 3).Initiate()) // a handshake again
		tb.fails(ErrUnsealed, false)
		tb = sealedPair(t, Config{NoUpgrade: true}, initiator)
		tb.text("PING")
		tb.text(`§{"name":"something new","data":1}`)
		tb.text(`§{"name":"peer.connected","data":{"isInitiator":true}}`)
		tb.expect()
		tb.sends(Relay)
	}
	tb := sealedPair(t, Config{}, true)
	tb.step(Local{1, Signal{Type: SignalOffer, SDP: "v=0"}})
	tb.open()
	tb.step(Received{Channel, 1, true, []byte("PING")})
	tb.step(Ended{Way: Channel, Attempt: 1})
	tb.outs = nil
	tb.fails(ErrUnsealed, false)
}

// Who has no secret, or another one, is refused (SEC-9, SEC-42, SEC-47).
func TestSealedSecret(t *testing.T) {
	stranger := func() *sealed.Pairing { return testSeal(t, sealed.PairingSecret{8}, 2) }
	tb := met(t, Config{}, false)
	tb.shake(1, stranger().Initiate())
	tb.fails(ErrSecret, true)

	tb = met(t, Config{}, true)
	tb.shaken(1)
	tb.text(`§{"name":"meshpair.sealed","data":{"refused":true}}`)
	tb.fails(ErrSecret, false)

	tb = sitSealed(t, Config{}) // before anybody is there, and far too long
	tb.shake(1, make([]byte, maxStep+1))
	tb.fails(ErrForged, true)

	for step, initiator := range map[int]bool{1: true, 3: true, 2: false, 0: false} { // both are told to be the same
		tb = met(t, Config{}, initiator)
		tb.pull(Relay)
		tb.shake(step, stranger().Initiate())
		tb.fails(ErrForged, true)
	}
	tb = met(t, Config{}, true)
	tb.shaken(1)
	tb.shake(2, make([]byte, 200))
	tb.fails(ErrForged, true)

	tb = met(t, Config{}, false)
	tb.shake(1, tb.peer.Initiate())
	tb.shaken(2)
	tb.shake(3, make([]byte, 200))
	tb.fails(ErrForged, true)

	for _, hello := range []string{"", "null", `{"version":0,"window":65536,"maxMessage":1}`, `{"version":1,"window":1,"maxMessage":1}`} {
		tb = met(t, Config{}, true)
		m2, err := tb.peer.Respond(tb.shaken(1), []byte(hello))
		noError(t, err)
		tb.shake(2, m2)
		tb.fails(ErrProtocol, false)
	}
}

// A peer that does not answer is given up (SEC-47).
func TestSealedSilence(t *testing.T) {
	for _, initiator := range []bool{true, false} {
		tb := met(t, Config{}, initiator)
		if got := tb.core.Next(); got != tb.now+HandshakeTimeout {
			t.Errorf("it waits until %v", got)
		}
		tb.pass(HandshakeTimeout - 1)
		tb.text("PING")
		tb.expect()
		tb.pass(1)
		tb.fails(ErrUnsealed, true)
	}
	tb := sealedPair(t, Config{NoUpgrade: true}, true) // it is known to say PING (PSX-63)
	tb.pass(DefaultPeerTimeout - 1)
	tb.expect()
	tb.pass(1)
	tb.expect(Silent{})
	tb.fails(ErrPeerTimeout, false)

	tb = sealedPair(t, Config{NoUpgrade: true}, true)
	tb.text("PING") // which this is not
	tb.pass(DefaultPeerTimeout - 1)
	tb.bytes(Relay, tb.sealed(tb.relay, true, "PING"))
	tb.pass(DefaultPeerTimeout - 1)
	tb.expect()
	tb.pass(1)
	tb.fails(ErrPeerTimeout, false)
}

// An end that the peer has not said is told from one that it has (SEC-45).
func TestSealedEnd(t *testing.T) {
	end := func(after int) string { return fmt.Sprintf(`§{"name":"meshpair.end","data":{"after":%d}}`, after) }
	network := errors.New("network")
	for _, c := range []struct {
		say  string
		err  error
		want error
	}{{"", nil, ErrCutShort}, {"", network, ErrCutShort}, {end(1), nil, nil}, {end(1), network, nil}} {
		tb := sealedPair(t, Config{NoUpgrade: true}, true)
		tb.bytes(Relay, tb.sealed(tb.relay, false, textFrame(1, "last words")))
		if c.say != "" {
			tb.bytes(Relay, tb.sealed(tb.relay, true, c.say))
		}
		tb.expect(Deliver{true, []byte("last words")})
		tb.step(Ended{Way: Relay, Err: c.err})
		over := tb.outs[0].(Over)
		if !errors.Is(over.Err, c.want) || c.want == nil && over.Err != nil || c.err != nil && c.want != nil && !errors.Is(over.Err, c.err) {
			t.Errorf("%q, %v: %v", c.say, c.err, over.Err)
		}
	}
	for _, after := range []int{0, 2} {
		tb := sealedPair(t, Config{NoUpgrade: true}, true)
		tb.bytes(Relay, tb.sealed(tb.relay, false, textFrame(1, "x")))
		tb.outs = nil
		tb.bytes(Relay, tb.sealed(tb.relay, true, end(after)))
		tb.fails(ErrProtocol, false)
	}
	tb := met(t, Config{}, true)
	tb.step(Ended{Way: Relay})
	tb.expect(Over{Err: ErrCutShort})
	tb = sitSealed(t, Config{}) // nobody was there
	tb.step(Ended{Way: Relay})
	tb.expect(Over{})

	tb = sealedPair(t, Config{NoUpgrade: true}, true) // who closes says it when all is acknowledged
	tb.send(1, "x")
	tb.step(Close{})
	tb.opens(Relay, tb.relay, textFrame(1, "x"))
	tb.outs = nil
	tb.bytes(Relay, tb.sealed(tb.relay, false, ackFrame(1)))
	tb.opens(Relay, tb.relay, "\x00"+end(1))
	tb.step(Ended{Way: Relay})
	tb.expect(Over{})
}

// A client without a secret says so to its user (SEC-47), unless the peer is known.
func TestSecretMissing(t *testing.T) {
	for _, initiator := range []bool{true, false} {
		for _, text := range []string{`§{"name":"meshpair.sealed","data":{"step":1,"data":"AAAA"}}`, `§{"name":"meshpair.sealed","data":{"refused":true}}`} {
			tb := &sealedTable{table: pair(t, Config{NoUpgrade: true}, initiator)}
			tb.text(text)
			tb.fails(ErrNoSecret, false)
		}
		tb := greet(t, Config{NoUpgrade: true}, initiator)
		tb.text(`§{"name":"meshpair.sealed","data":{"refused":true}}`)
		tb.text(`§{"name":"meshpair.end","data":{"after":5}}`)
		tb.send(1, "x")
		tb.expectDone(1, nil)
	}
}

// TestSealedVectors holds the texts of the handshake and the first messages against vectors (SEC-42, SEC-43).
func TestSealedVectors(t *testing.T) {
	type message struct {
		Number          int
		Message, Sealed vectors.Hex
	}
	type end struct {
		Private, Ephemeral vectors.Hex
		Hello              string
	}
	var file struct {
		Texts, Failing, Told, ToldFailing, Pairings vectors.Elsewhere
		Handshakes                                  []struct {
			Secret, InitiatorKey, ResponderKey vectors.Hex
			Code, Hash                         string
			Initiator, Responder               end
			Messages                           []vectors.Hex
			Texts                              []string
			Roads                              []struct {
				Offer                      int
				InitiatorKey, ResponderKey vectors.Hex
				Initiator, Responder       []message
			}
		}
	}
	vectors.Read(t, "sealed/pairing.json", &file)
	for _, v := range file.Handshakes {
		for _, initiator := range []bool{true, false} {
			self, theirs, mine := v.Initiator, v.Roads[0].Responder, v.Roads[0].Initiator
			if !initiator {
				self, theirs, mine = v.Responder, mine, theirs
			}
			h, ok := parseHello([]byte(self.Hello))
			if !ok {
				t.Fatalf("%s", self.Hello)
			}
			seal, err := sealed.NewPairing(sealed.PairingSecret(v.Secret), v.Code, v.Hash, bytes.NewReader(slices.Concat(self.Private, self.Ephemeral)))
			noError(t, err)
			tb := sit(t, Config{Code: v.Code, Hash: v.Hash, Seal: seal, Window: h.Window, MaxMessage: h.MaxMessage, NoUpgrade: true})
			tb.text(fmt.Sprintf(`§{"name":"peer.connected","data":{"isInitiator":%v}}`, initiator))
			for i, text := range v.Texts {
				if (i%2 == 0) == initiator {
					tb.sends(Relay, text)
				} else {
					tb.text(text)
				}
			}
			tb.expect(Paired{initiator})
			tb.step(Received{Relay, 0, false, theirs[0].Sealed}) // nothing of it makes the core say anything
			if tb.core.reason != nil {
				t.Fatal(tb.core.reason)
			}
			sent := tb.core.road[Relay]
			for i, m := range mine {
				if m.Number != i {
					break
				}
				b, err := sent.Seal(nil, m.Message)
				noError(t, err)
				if !bytes.Equal(b, m.Sealed) {
					t.Errorf("message %d is sealed as %x, not %x", i, b, m.Sealed)
				}
			}
		}
	}
}

// A sealed pairing loses nothing either, whatever its connections do, and ends in order (SEC-43 to SEC-45).
func TestSimulationSealed(t *testing.T) {
	for seed := range uint64(60) {
		s := simulate(t, seed, Config{Window: MinWindow, SendBuffer: 50_000, ReceiveBuffer: 30_000, Seal: new(sealed.Pairing)})
		b := s.ends[1]
		s.run(200_000, func() bool { return b.ended != nil })
		if b.ended.Err != nil {
			t.Fatalf("seed %d: the one that was left is over by %v", seed, b.ended.Err)
		}
		for _, e := range s.ends {
			if !e.core.met {
				t.Fatal("it was not sealed")
			}
		}
	}
}

// A server that meddles once, with whatever it passes on, is noticed, and what was delivered is what was sent: SEC-44,
// SEC-45, SEC-47.
func TestSimulationMeddled(t *testing.T) {
	kinds := make(map[string]int)
	for seed := range uint64(80) {
		pick := rand.New(rand.NewPCG(seed, 4)).IntN
		s := newSim(t, pick, Config{Window: MinWindow, SendBuffer: 50_000, ReceiveBuffer: 30_000, Seal: new(sealed.Pairing)}, false)
		for i, e := range s.ends {
			e.toSend = bulk(i, 30, pick)
		}
		at, n := pick(80), 0
		var hit *end
		var before Message
		s.meddle = func(to *end, m Message) []Message {
			if m.Text && string(m.Data) == ping { // which means nothing
				return []Message{m}
			}
			n++
			was := before
			before = m
			if n != at+1 {
				return []Message{m}
			}
			hit = to
			changed := Message{m.Text, bytes.Clone(m.Data)}
			if m.Text { // JSON has bytes that mean nothing
				changed.Data = bytes.Replace(changed.Data, []byte(`"data":"`), []byte(`"data":"A`), 1)
			} else {
				changed.Data[pick(len(changed.Data))] ^= 1
			}
			list := map[string][]Message{
				"changed": {changed}, "lost": {}, "twice": {m, m}, "invented": {m, {false, []byte(textFrame(1, "x"))}},
				"turned back": {was}, "unsealed": {newInternal(nameSignal, signalData{Type: SignalOffer, SDP: "v=6"}), m},
			}
			names := []string{"changed", "lost", "twice", "invented", "turned back", "unsealed"}
			name := names[pick(len(names))]
			if name == "turned back" && (n == 1 || bytes.Equal(was.Data, m.Data)) {
				name = "lost"
			}
			kinds[name]++
			return list[name]
		}
		s.run(400_000, func() bool {
			return s.ends[0].ended != nil && s.ends[1].ended != nil || hit == nil && len(s.ends[0].got)+len(s.ends[1].got) == 60
		})
		for i, e := range s.ends {
			if len(e.got) > len(e.other().toSend) {
				t.Fatalf("seed %d: end %d got %d messages", seed, i, len(e.got))
			}
			same(t, seed, fmt.Sprint("end ", i), e.got, e.other().toSend[:len(e.got)])
		}
		if hit == nil {
			kinds["nothing"]++
			continue
		}
		known := []error{ErrForged, ErrUnsealed, ErrCutShort, ErrPeerTimeout, ErrSecret}
		if !slices.ContainsFunc(known, func(err error) bool { return errors.Is(hit.ended.Err, err) }) {
			t.Fatalf("seed %d: the end that was lied to is over by %v", seed, hit.ended.Err)
		}
	}
	if len(kinds) != 7 {
		t.Error("some never happened:", kinds)
	}
}

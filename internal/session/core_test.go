package session

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// A table is a core and what a test does with it.
type table struct {
	t    *testing.T
	core *Core
	now  time.Duration
	outs []Output // that were not expected yet
}

// sit has a core registered.
func sit(t *testing.T, cfg Config) *table {
	tb := &table{t: t, core: New(cfg), now: time.Second}
	tb.step(Begin{})
	tb.sends(Relay, `§{"name":"client.register","data":{"code":"`+cfg.Code+`","hash":"`+cfg.Hash+`"}}`)
	tb.text("HANDSHAKE_SUCCESS")
	tb.expect(Registered{})
	return tb
}

// pair has it paired, too.
func pair(t *testing.T, cfg Config, initiator bool) *table {
	tb := sit(t, cfg)
	tb.text(fmt.Sprintf(`§{"name":"peer.connected","data":{"isInitiator":%v,"pairing":{}}}`, initiator))
	tb.expect(Paired{initiator})
	tb.sends(Relay, fmt.Sprintf(`§{"name":"meshpair.hello","data":{"version":1,"window":%d,"maxMessage":%d}}`,
		tb.core.cfg.Window, tb.core.cfg.MaxMessage))
	return tb
}

const testHello = `§{"name":"meshpair.hello","data":{"version":1,"window":65536,"maxMessage":100000}}`

// greet has the peer say hello, too.
func greet(t *testing.T, cfg Config, initiator bool) *table {
	tb := pair(t, cfg, initiator)
	tb.text(testHello)
	tb.sends(Relay, `§{"name":"meshpair.frames","data":{"after":0}}`)
	tb.text(`§{"name":"meshpair.frames","data":{"after":0}}`)
	return tb
}

func (tb *table) step(in Input) {
	for _, o := range tb.core.Step(tb.now, in) {
		if _, ok := o.(Ready); !ok {
			tb.outs = append(tb.outs, o)
		}
	}
}

func (tb *table) pass(d time.Duration) {
	tb.now += d
	tb.step(Tick{})
}

func (tb *table) text(s string)         { tb.step(Received{Relay, 0, true, []byte(s)}) }
func (tb *table) bytes(w Way, b []byte) { tb.step(Received{w, tb.attempt(w), false, b}) }
func (tb *table) frame(w Way, f frame)  { tb.bytes(w, f.message().Data) }
func (tb *table) signal(s Signal)       { tb.text(string(s.message().Data)) }
func (tb *table) attempt(w Way) Attempt { return tb.core.ways[w].attempt }
func (tb *table) send(token uint64, s string) {
	tb.step(Send{Token: token, Text: true, Data: []byte(s)})
}

// open has the data channel open.
func (tb *table) open() {
	tb.t.Helper()
	tb.step(Opened{tb.attempt(Channel), "label", 65_535})
	tb.expect(Upgraded{})
}

// expect expects outputs, and no others.
func (tb *table) expect(want ...Output) {
	tb.t.Helper()
	got := tb.outs
	tb.outs = nil
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if !reflect.DeepEqual(got, want) {
		tb.t.Fatalf("got %+v, want %+v", got, want)
	}
}

// expectDone expects the outcome of a send or an upgrade.
func (tb *table) expectDone(token uint64, err error) {
	tb.t.Helper()
	i := slices.IndexFunc(tb.outs, func(o Output) bool { d, ok := o.(Done); return ok && d.Token == token })
	if i < 0 {
		tb.t.Fatalf("no outcome of %d among %+v", token, tb.outs)
	}
	if d := tb.outs[i].(Done); !errors.Is(d.Err, err) {
		tb.t.Fatalf("the outcome of %d is %v, want %v", token, d.Err, err)
	}
	tb.outs = slices.Delete(tb.outs, i, i+1)
}

// pull returns all that is to be sent on a way now.
func (tb *table) pull(w Way) (list []string, end Verdict) {
	tb.t.Helper()
	for range 1000 {
		m, v, outs := tb.core.Pull(tb.now, w, tb.attempt(w), 0)
		for _, o := range outs {
			if _, ok := o.(Ready); !ok {
				tb.outs = append(tb.outs, o)
			}
		}
		if v != Take {
			return list, v
		}
		list = append(list, string(m.Data))
	}
	tb.t.Fatal("it does not end")
	return nil, 0
}

func (tb *table) sends(w Way, want ...string) {
	tb.t.Helper()
	if got, _ := tb.pull(w); !slices.Equal(got, want) {
		tb.t.Fatalf("on the %v it sends %.2000q, want %.2000q", w, got, want)
	}
}

func textFrame(n uint64, s string) string {
	return string(frame{frameText, n, []byte(s)}.message().Data)
}
func ackFrame(n uint64) string { return string(frame{kind: frameAck, number: n}.message().Data) }

func TestRefused(t *testing.T) { // PSX-61
	for _, answer := range []string{"HANDSHAKE_FAILED", "hello", "PING"} {
		tb := &table{t: t, core: New(Config{})}
		tb.step(Begin{})
		tb.pull(Relay)
		tb.text(answer)
		if _, v := tb.pull(Relay); v != Finish {
			t.Errorf("%s: the relay is not closed", answer)
		}
		tb.step(Ended{Way: Relay})
		over := tb.outs[len(tb.outs)-1].(Over)
		if want := answer == "HANDSHAKE_FAILED"; errors.Is(over.Err, ErrRefused) != want || errors.Is(over.Err, ErrProtocol) == want {
			t.Errorf("%s: %v", answer, over.Err)
		}
	}
}

func TestPing(t *testing.T) { // PSX-62
	tb := sit(t, Config{})
	tb.pass(PingInterval - 1)
	tb.sends(Relay)
	tb.pass(1)
	tb.sends(Relay, "PING")
	tb = greet(t, Config{}, true)
	tb.expect(Offer{1})
	tb.open()
	tb.pass(PingInterval)
	tb.sends(Relay, "PING")
	tb.sends(Channel, "PING")
	tb.text("PING") // is not for the user
	tb.expect()
}

func TestPeerTimeout(t *testing.T) { // PSX-63
	tb := pair(t, Config{NoUpgrade: true}, true)
	tb.pass(time.Hour) // an original that has not sent one yet
	tb.expect()
	tb.text("PING")
	tb.pass(DefaultPeerTimeout - 1)
	tb.text("PING")
	tb.pass(DefaultPeerTimeout - 1)
	tb.expect()
	tb.pass(1)
	tb.expect(Silent{})
	if _, v := tb.pull(Relay); v != Finish {
		t.Error("the relay is not closed")
	}
	tb.step(Ended{Way: Relay})
	tb.expect(Over{Err: ErrPeerTimeout})
}

// A peer whose PINGs are not read is not silent.
func TestPeerTimeoutWhileStalled(t *testing.T) { // PSX-63
	tb := pair(t, Config{NoUpgrade: true, ReceiveBuffer: 100}, true)
	tb.text("PING")
	tb.bytes(Relay, make([]byte, 100))
	tb.expect(Deliver{false, make([]byte, 100)})
	if !tb.core.Stalled() {
		t.Fatal("it would read on")
	}
	tb.pass(DefaultPeerTimeout * 3 / 2)
	tb.step(Consumed{100})
	tb.pass(DefaultPeerTimeout - 1)
	tb.expect()
	tb.pass(1)
	tb.expect(Silent{})
}

func TestInternal(t *testing.T) { // PSX-64
	tb := pair(t, Config{NoUpgrade: true}, false)
	for _, s := range []string{`§{"name":"data","data":1}`, `§{"name":"constructor"}`, `§{"name":"peer.signal"}`} {
		tb.text(s)
		tb.expect()
	}
	for _, s := range []string{`§`, `§ 5 BGB`, `§{"name":7}`, `§null`, `§[]`, ``} { // the user's
		tb.text(s)
		tb.expect(Deliver{true, []byte(s)})
	}
}

func TestOffer(t *testing.T) { // PSX-65
	for _, initiator := range []bool{true, false} {
		tb := pair(t, Config{}, initiator)
		tb.pass(OfferDelay - 1)
		tb.expect()
		tb.pass(1)
		if initiator {
			tb.expect(Offer{1})
		} else {
			tb.expect()
		}
	}
	tb := pair(t, Config{}, true)
	tb.text(testHello) // one of ours need not be waited for
	tb.expect(Offer{1})
	tb = pair(t, Config{NoUpgrade: true}, true)
	tb.pass(time.Hour)
	tb.expect()
}

// An original whose page is busy drops an offer that comes before its timer has run: it gets it again until it answers.
func TestOfferAgain(t *testing.T) { // PSX-65
	tb := pair(t, Config{}, true)
	tb.pass(OfferDelay)
	tb.expect(Offer{1})
	told := []string{`§{"name":"peer.signal","data":{"type":"offer","sdp":"v=0"}}`,
		`§{"name":"peer.signal","data":{"candidate":{"candidate":"c","sdpMLineIndex":0,"sdpMid":""}}}`}
	tb.step(Local{1, Signal{Type: SignalOffer, SDP: "v=0"}})
	tb.step(Local{1, Signal{Type: SignalCandidate, Candidate: "c"}})
	tb.sends(Relay, told...)
	for range 3 {
		tb.pass(OfferAgain - 1)
		tb.sends(Relay)
		tb.pass(1)
		tb.sends(Relay, told...)
	}
	tb.signal(Signal{Type: SignalAnswer, SDP: "v=1"})
	tb.expect(Remote{1, Signal{Type: SignalAnswer, SDP: "v=1"}})
	tb.pass(OfferAgain)
	tb.sends(Relay)

	tb = greet(t, Config{}, true) // one of ours has heard it, and would take it for another one
	tb.expect(Offer{1})
	tb.step(Local{1, Signal{Type: SignalOffer, SDP: "v=0"}})
	tb.sends(Relay, told[0])
	tb.pass(OfferAgain)
	tb.sends(Relay)
}

func TestSignals(t *testing.T) { // PSX-66
	tb := pair(t, Config{}, true)
	tb.pass(OfferDelay)
	tb.expect(Offer{1})
	tb.step(Local{1, Signal{Type: SignalOffer, SDP: "v=0<"}})
	tb.step(Local{1, Signal{Type: SignalCandidate, Candidate: "candidate:1"}})
	tb.step(Local{1, Signal{}}) // there are no more
	tb.sends(Relay, `§{"name":"peer.signal","data":{"type":"offer","sdp":"v=0<"}}`,
		`§{"name":"peer.signal","data":{"candidate":{"candidate":"candidate:1","sdpMLineIndex":0,"sdpMid":""}}}`)
	for _, s := range []string{`{"type":"answer","sdp":"v=1"}`} {
		tb.text(`§{"name":"peer.signal","data":` + s + `}`)
		tb.expect(Remote{1, Signal{Type: SignalAnswer, SDP: "v=1"}})
	}
	for _, s := range []string{
		`{"candidate":{"candidate":"c","sdpMid":"0","sdpMLineIndex":1}}`,
		`{"type":"candidate","candidate":{"candidate":"c","sdpMid":"0","sdpMLineIndex":1}}`,
	} {
		tb.text(`§{"name":"peer.signal","data":` + s + `}`)
		tb.expect(Remote{1, Signal{SignalCandidate, "", "c", "0", 1}})
	}
	for _, s := range []string{
		`{"renegotiate":true}`, `{"type":"renegotiate","renegotiate":true}`, `{"transceiverRequest":{"kind":"audio"}}`, `null`, `7`,
		`{"candidate":null}`, `{"candidate":{"candidate":""}}`, `{"type":"answer"}`,
	} {
		tb.text(`§{"name":"peer.signal","data":` + s + `}`)
		tb.expect()
	}
	tb.signal(Signal{Type: SignalOffer, SDP: "v=2"})
	tb.expect(Note{Text: "an offer is ignored, as this end offers"})
}

// What comes before a data channel is wanted is kept.
func TestEarlySignals(t *testing.T) { // PSX-66
	tb := pair(t, Config{NoUpgrade: true}, false)
	offer, candidate := Signal{Type: SignalOffer, SDP: "v=0"}, Signal{Type: SignalCandidate, Candidate: "c", SDPMid: "0"}
	tb.signal(candidate) // of no offer
	tb.signal(offer)
	for range MaxEarlySignals + 10 {
		tb.signal(candidate)
	}
	tb.expect()
	tb.step(Upgrade{7})
	want := []Output{Answer{1}, Remote{1, offer}}
	for range MaxEarlySignals - 1 {
		want = append(want, Remote{1, candidate})
	}
	tb.expect(want...)
	tb.step(Opened{1, "label", 65_535})
	tb.expect(Upgraded{}, Done{7, nil})
}

func TestOriginal(t *testing.T) { // PSX-67, PSX-68
	tb := pair(t, Config{MaxRelay: 100_000}, true)
	tb.send(1, "one")
	tb.expectDone(1, nil)
	tb.sends(Relay, "one") // though the peer is not known
	tb.send(2, "PING")
	tb.send(3, "§")
	tb.step(Send{Token: 4, Data: make([]byte, 100_001)})
	tb.send(5, "five")
	tb.expect() // these wait until it is
	tb.sends(Relay)
	tb.bytes(Relay, []byte("binary"))
	tb.expectDone(2, ErrReserved)
	tb.expectDone(3, ErrReserved)
	tb.expectDone(4, ErrTooBig)
	tb.expectDone(5, nil)
	tb.expect(Deliver{false, []byte("binary")})
	tb.sends(Relay, "five")
	tb.text(testHello) // is too late to be one
	tb.sends(Relay)

	tb.pass(OfferDelay)
	tb.expect(Offer{1})
	tb.open()
	big := string(make([]byte, 65_536))
	for i, s := range []string{"six", big, "eight"} {
		tb.send(uint64(6+i), s)
		tb.expectDone(uint64(6+i), nil)
	}
	tb.sends(Channel, "six")
	tb.sends(Relay, big)
	tb.sends(Channel, "eight")
	tb.step(Ended{Way: Relay, Err: errTest})
	tb.expect(Note{"the relay has ended; the data channel goes on", errTest})
	tb.send(9, big)
	tb.expectDone(9, ErrTooBig)
}

// Silence makes a peer an original, but only until it says hello.
func TestLateHello(t *testing.T) { // PSX-70
	tb := pair(t, Config{NoUpgrade: true}, true)
	tb.send(1, "PING")
	tb.text("PING") // says nothing: it may have been sent before the server told the peer of this client
	tb.expect()
	tb.pass(HelloTimeout)
	tb.expectDone(1, ErrReserved)
	tb.send(2, "two")
	tb.expectDone(2, nil)
	tb.sends(Relay, "two")
	tb.text(testHello)
	tb.send(3, "PING")
	tb.expectDone(3, nil)
	tb.sends(Relay, `§{"name":"meshpair.frames","data":{"after":1}}`, textFrame(2, "PING"))
}

func TestBadHello(t *testing.T) { // PSX-70
	for _, data := range []string{`null`, `7`, `{}`, `{"version":1,"window":65535,"maxMessage":100}`, `{"version":1,"window":65536}`} {
		tb := pair(t, Config{NoUpgrade: true}, true)
		tb.text(`§{"name":"meshpair.hello","data":` + data + `}`)
		if tb.core.Status().Ours {
			t.Errorf("%s is a hello", data)
		}
	}
}

func TestFrames(t *testing.T) { // PSX-72, PSX-73, PSX-74
	tb := greet(t, Config{NoUpgrade: true}, true)
	long := strings.Repeat("x", MaxPayload)
	tb.send(1, "")
	tb.send(2, long+"y")
	tb.step(Send{Token: 3, Data: []byte{0}})
	for token := range uint64(3) {
		tb.expectDone(token+1, nil)
	}
	tb.sends(Relay, textFrame(1, ""), string(frame{framePart, 2, []byte(long)}.message().Data), textFrame(3, "y"), "\x02\x04\x00")

	tb.frame(Relay, frame{frameBinary, 3, []byte("c")})
	tb.frame(Relay, frame{framePart, 1, []byte("a")})
	tb.expect()
	tb.frame(Relay, frame{frameText, 2, []byte("b")})
	tb.frame(Relay, frame{frameText, 2, []byte("b")})
	tb.expect(Deliver{true, []byte("ab")}, Deliver{false, []byte("c")})
	tb.sends(Relay, ackFrame(3)) // at once, as one came twice
	tb.frame(Relay, frame{frameText, 4, nil})
	tb.expect(Deliver{true, []byte{}})
	tb.sends(Relay)
	tb.pass(AckDelay)
	tb.sends(Relay, ackFrame(4))
}

func TestWindow(t *testing.T) { // PSX-75
	tb := greet(t, Config{NoUpgrade: true, SendBuffer: 100_000, ReceiveBuffer: 1000}, true)
	tb.step(Send{Token: 1, Data: make([]byte, 100_000)})
	tb.expectDone(1, nil)
	tb.step(Send{Token: 2, Data: []byte{1}})
	tb.step(Send{Token: 3, Data: []byte{1}, Try: true})
	tb.expectDone(3, ErrFull)
	tb.expect()
	if got, _ := tb.pull(Relay); len(got) != 1 { // a second one would be more than 65,536 with what a frame costs
		t.Fatalf("%d frames are in a window of 64 KiB", len(got))
	}
	tb.frame(Relay, frame{kind: frameAck, number: 1})
	tb.expectDone(2, nil)
	tb.step(Send{Token: 4, Data: make([]byte, 100_001)})
	tb.expectDone(4, ErrTooBig) // for the peer

	data := make([]byte, 1000) // more than the user is to be given at once
	tb.frame(Relay, frame{frameBinary, 1, data})
	tb.frame(Relay, frame{frameBinary, 2, data})
	tb.expect(Deliver{false, data}, Deliver{false, data})
	tb.pass(AckDelay)
	tb.pull(Relay)
	tb.step(Consumed{1000})
	if got, _ := tb.pull(Relay); slices.Contains(got, ackFrame(2)) {
		t.Fatal("it is acknowledged although the user has not taken it")
	}
	tb.step(Consumed{1000})
	if got, _ := tb.pull(Relay); !slices.Contains(got, ackFrame(2)) {
		t.Fatal("it is not acknowledged")
	}
}

func TestChannelClosed(t *testing.T) { // PSX-76, PSX-77
	tb := greet(t, Config{}, true)
	tb.expect(Offer{1})
	tb.open()
	tb.send(1, "one")
	tb.expectDone(1, nil)
	tb.sends(Relay)
	tb.sends(Channel, textFrame(1, "one"))
	tb.text(`§{"name":"meshpair.closed","data":{"label":"other"}}`)
	tb.expect()
	tb.text(`§{"name":"meshpair.closed","data":{"label":"label"}}`)
	tb.expect(Abort{Channel, 1})
	tb.step(Ended{Channel, 1, 0, errTest})
	tb.expect(Downgraded{ErrChannelLost})
	tb.sends(Relay, `§{"name":"meshpair.closed","data":{"label":"label"}}`, ackFrame(0), textFrame(1, "one"))
	tb.step(Upgrade{9})
	tb.expect(Offer{2})
	tb.step(Ended{Channel, 2, 0, errTest})
	tb.expect(Done{9, errTest}, NotUpgraded{errTest})
	tb.sends(Relay, `§{"name":"meshpair.closed","data":{"label":""}}`)
}

func TestGivenUp(t *testing.T) { // PSX-77
	tb := greet(t, Config{NoUpgrade: true}, false)
	tb.signal(Signal{Type: SignalOffer, SDP: "v=0"})
	tb.text(`§{"name":"meshpair.closed","data":{"label":""}}`)
	tb.step(Upgrade{1})
	tb.expect() // no answer to an offer that has been given up
	tb.sends(Relay, `§{"name":"meshpair.upgrade","data":{}}`)
	tb.signal(Signal{Type: SignalOffer, SDP: "v=1"})
	tb.expect(Answer{1}, Remote{1, Signal{Type: SignalOffer, SDP: "v=1"}})
	tb.text(`§{"name":"meshpair.closed","data":{"label":""}}`)
	tb.expect(Abort{Channel, 1})
}

func TestUpgradeAsked(t *testing.T) { // PSX-78
	tb := greet(t, Config{NoUpgrade: true}, true)
	tb.text(`§{"name":"meshpair.upgrade","data":{}}`)
	tb.expect() // the user wants none
	tb = greet(t, Config{}, true)
	tb.expect(Offer{1})
	tb.step(Ended{Channel, 1, 0, errTest})
	tb.expect(NotUpgraded{errTest})
	tb.text(`§{"name":"meshpair.upgrade","data":{}}`)
	tb.expect(Offer{2})

	tb = pair(t, Config{}, true) // an original
	tb.pass(OfferDelay)
	tb.expect(Offer{1})
	tb.open()
	tb.step(Ended{Channel, 1, 0, errTest})
	tb.expect(Downgraded{errTest})
	tb.step(Upgrade{1})
	tb.expectDone(1, ErrNoUpgrade)
}

func TestBrokenPeer(t *testing.T) { // PSX-79
	tests := map[string]func(tb *table){
		"empty frame":           func(tb *table) { tb.bytes(Relay, nil) },
		"no number":             func(tb *table) { tb.bytes(Relay, []byte{1}) },
		"endless number":        func(tb *table) { tb.bytes(Relay, bytes.Repeat([]byte{0xff}, 20)) },
		"number 0":              func(tb *table) { tb.frame(Relay, frame{kind: frameText}) },
		"kind":                  func(tb *table) { tb.frame(Relay, frame{kind: 5, number: 1}) },
		"payload":               func(tb *table) { tb.frame(Relay, frame{framePart, 1, make([]byte, MaxPayload+1)}) },
		"ack with payload":      func(tb *table) { tb.frame(Relay, frame{frameAck, 0, []byte{1}}) },
		"ack of the future":     func(tb *table) { tb.frame(Relay, frame{kind: frameAck, number: 1}) },
		"text outside of frame": func(tb *table) { tb.text("hello") },
		"not UTF-8":             func(tb *table) { tb.frame(Relay, frame{frameText, 1, []byte{0xff}}) },
		"more than the window": func(tb *table) {
			for n := range uint64(3) {
				tb.frame(Relay, frame{framePart, n + 2, make([]byte, MaxPayload)})
			}
		},
		"more than a message": func(tb *table) {
			for n := range uint64(3) {
				tb.frame(Relay, frame{framePart, n + 1, make([]byte, MaxPayload)})
			}
		},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			tb := greet(t, Config{NoUpgrade: true, Window: MinWindow, MaxMessage: 70_000}, true)
			f(tb)
			if _, v := tb.pull(Relay); v != Finish {
				t.Error("the relay is not closed")
			}
			tb.step(Ended{Way: Relay})
			if over, ok := tb.outs[len(tb.outs)-1].(Over); !ok || !errors.Is(over.Err, ErrProtocol) {
				t.Errorf("%+v", tb.outs)
			}
		})
	}
	tb := pair(t, Config{NoUpgrade: true}, true)
	tb.text(testHello)
	tb.text(`§{"name":"meshpair.frames","data":{"after":1}}`) // PSX-71
	if !errors.Is(tb.core.reason, ErrProtocol) {
		t.Error("a message that has not come is no matter")
	}
}

func TestClose(t *testing.T) { // PSX-80
	tb := greet(t, Config{NoUpgrade: true, SendBuffer: 10}, true)
	tb.frame(Relay, frame{frameText, 1, []byte("a")})
	tb.expect(Deliver{true, []byte("a")})
	tb.send(1, "one of more than 10 bytes")
	tb.expectDone(1, nil)
	tb.send(2, "two")
	tb.step(Close{})
	tb.expectDone(2, ErrClosed)
	tb.send(3, "three")
	tb.expectDone(3, ErrClosed)
	if got, v := tb.pull(Relay); v != Nothing || !slices.Equal(got, []string{textFrame(1, "one of more than 10 bytes")}) {
		t.Fatalf("%q, %v", got, v)
	}
	tb.frame(Relay, frame{kind: frameAck, number: 1})
	if got, v := tb.pull(Relay); v != Finish || !slices.Equal(got, []string{ackFrame(1)}) { // the peer need not wait for it
		t.Fatalf("%q, %v", got, v)
	}
	tb.step(Ended{Way: Relay})
	tb.expect(Over{})
	tb.send(4, "four")
	tb.expectDone(4, ErrNotConnected)

	tb = greet(t, Config{NoUpgrade: true}, true)
	tb.send(1, "one")
	tb.expectDone(1, nil)
	tb.pull(Relay)
	tb.step(Close{})
	tb.step(Close{Now: true})
	tb.expect(Abort{Way: Relay})
	tb.step(Ended{Way: Relay, Err: errTest})
	tb.expect(Over{Lost: 1})
}

func TestCancel(t *testing.T) {
	tb := greet(t, Config{NoUpgrade: true, SendBuffer: 10}, false)
	tb.send(1, "one")
	tb.expectDone(1, nil)
	tb.send(2, "two")
	tb.step(Cancel{2})
	tb.expectDone(2, ErrCanceled)
	tb.step(Upgrade{3})
	tb.step(Cancel{3})
	tb.expectDone(3, ErrCanceled)
	tb.expect()
}

// A relay that ends before all that was sent over it could come makes the rest worthless.
func TestRelayEndsEarly(t *testing.T) { // PSX-71
	tb := pair(t, Config{}, true)
	tb.text(testHello)
	tb.expect(Offer{1})
	tb.open()
	tb.step(Ended{Way: Relay, Err: errTest})
	tb.expect(Abort{Channel, 1})
}

package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/sealed"
)

// A sealedFuzz is a core with a secret; the server, which says what the fuzzer likes; and a peer that has the secret, and
// seals what the fuzzer likes. So it gets behind the encryption.
type sealedFuzz struct {
	*sealedTable
	hello    string
	m1, m2   []byte // that the core has said
	said     []Received
	offers   uint64
	channel  *sealed.Road // of the last offer
	next     uint64       // of the frames that the user got
	number   uint64       // of the frames that the peer has sent
	shown    bool         // the peer has shown the secret
	paired   bool
	failed   bool // the core has ended it
	over     bool
	token    uint64
	open     map[uint64]bool // tokens without an outcome
	held     []int
	upgraded int
	attempts []Attempt
}

func newSealedFuzz(t *testing.T) *sealedFuzz {
	z := &sealedFuzz{sealedTable: sitSealed(t, Config{Window: MinWindow, MaxMessage: 100_000, SendBuffer: 20_000, ReceiveBuffer: 10_000}),
		hello: peerHello, next: 1, open: map[uint64]bool{}}
	return z
}

// settle looks at what the core wants, and holds its books against each other.
func (z *sealedFuzz) settle() {
	outs := z.outs
	z.outs = nil
	c := z.core
	for _, o := range outs {
		switch o := o.(type) {
		case Paired:
			if z.paired || !z.shown { // SEC-42
				z.t.Fatal("paired again, or with one who has not shown the secret")
			}
			z.paired = true
		case Deliver: // SEC-44
			if z.failed {
				z.t.Fatalf("%.40q is delivered after the end", o.Data)
			}
			if want := fmt.Sprintf("%d\n", z.next); !z.paired || !bytes.HasPrefix(o.Data, []byte(want)) {
				z.t.Fatalf("%.40q is delivered, %q should be", o.Data, want)
			}
			z.next++
			z.held = append(z.held, len(o.Data))
		case Offer:
			z.attempts = append(z.attempts, o.Attempt)
			z.meansPaired(o)
		case Answer:
			z.attempts = append(z.attempts, o.Attempt)
			z.meansPaired(o)
		case Remote:
			z.meansPaired(o)
		case Upgraded:
			z.upgraded++
			z.meansPaired(o)
		case Done:
			if !z.open[o.Token] {
				z.t.Fatalf("token %d has an outcome twice", o.Token)
			}
			delete(z.open, o.Token)
		case Over:
			if z.over {
				z.t.Fatal("over twice")
			}
			z.over = true
		}
	}
	z.failed = c.reason != nil
	ahead, flying, waiting := 0, 0, 0
	for _, f := range c.ahead {
		ahead += f.cost()
	}
	for _, f := range c.flight {
		flying += f.cost()
	}
	for _, o := range c.outbox {
		waiting += o.cost()
	}
	if ahead != c.aheadCost || ahead > c.cfg.Window || flying != c.flying || waiting != c.waiting || c.held < 0 || len(c.message) > c.cfg.MaxMessage ||
		len(c.first) > maxStep || len(c.early) > MaxEarlySignals || len(c.offered) > MaxEarlySignals {
		z.t.Fatalf("%d and %d bytes are ahead, %d and %d in flight, %d and %d wait, %d are held; a message of %d, a first of %d; %d signals",
			ahead, c.aheadCost, flying, c.flying, waiting, c.waiting, c.held, len(c.message), len(c.first), len(c.early))
	}
	for w := range c.ways {
		if n := len(c.ways[w].control); n > 300 {
			z.t.Fatalf("%d messages are to be sent", n)
		}
	}
}

func (z *sealedFuzz) meansPaired(o Output) { // SEC-46
	if !z.paired {
		z.t.Fatalf("%#v before the handshake is over", o)
	}
}

// hear takes what the core sends. After the handshake all of it opens (SEC-43).
func (z *sealedFuzz) hear() {
	for _, w := range []Way{Relay, Channel} {
		for {
			m, v, outs := z.core.Pull(z.now, w, z.attempt(w), 0)
			z.outs = append(z.outs, outs...)
			if v != Take {
				break
			}
			if in, internal := parseInternal(m.Data); m.Text {
				var ok bool
				switch {
				case w == Relay && (string(m.Data) == ping || internal && in.Name == nameRegister):
					ok = true
				case w == Relay && internal && in.Name == nameSealed:
					ok = true
					z.heardStep(in.Data)
				}
				if !ok {
					z.t.Fatalf("%.100q is not sealed", m.Data)
				}
				continue
			}
			road := z.relay
			if w == Channel {
				road = z.channel
			}
			if road == nil {
				continue // the peer has not heard the end of the handshake, or has no such channel
			}
			if _, err := road.Open(nil, m.Data); err != nil && w == Relay {
				z.t.Fatalf("on the %v: %v", w, err)
			}
		}
	}
	z.outs = slices.DeleteFunc(z.outs, func(o Output) bool { _, ok := o.(Ready); return ok })
	z.settle()
}

func (z *sealedFuzz) heardStep(data []byte) {
	s, ok := parseStep(data)
	if !ok {
		z.t.Fatalf("it says %q", data)
	}
	switch s.Step {
	case 1:
		z.m1 = s.Data
	case 2:
		z.m2 = s.Data
	case 3:
		if _, roads, err := z.peer.Complete(s.Data); err == nil {
			z.roads, z.relay = roads, roads.Relay()
		}
	}
}

func parseStep(data []byte) (s handshakeStep, ok bool) {
	return s, json.Unmarshal(data, &s) == nil
}

func (z *sealedFuzz) receive(in Received) {
	if in.Way == Channel {
		in.Attempt = z.attempt(Channel)
	}
	if z.said = append(z.said, in); len(z.said) > 16 {
		z.said = z.said[1:]
	}
	z.step(in)
	z.settle()
}

func (z *sealedFuzz) plain(s string) { z.receive(Received{Relay, 0, true, []byte(s)}) }

// say seals what the peer says.
func (z *sealedFuzz) say(channel, text bool, data string) {
	road, w := z.relay, Relay
	if channel && z.channel != nil {
		road, w = z.channel, Channel
	}
	if road != nil {
		z.receive(Received{w, 0, false, z.sealed(road, text, data)})
	}
}

func (z *sealedFuzz) event(op, arg byte, rest []byte) {
	switch op {
	case 0:
		z.plain(fmt.Sprintf(`§{"name":"peer.connected","data":{"isInitiator":%v}}`, arg&1 != 0))
	case 1, 2: // what comes next in the handshake
		z.hear()
		switch {
		case z.roads != nil:
		case z.m1 != nil:
			m2, err := z.peer.Respond(z.m1, []byte(z.hello))
			z.m1 = nil
			if err == nil {
				z.shown = true
				z.shake(2, m2)
			}
		case z.m2 != nil:
			m3, _, roads, err := z.peer.Finish(z.m2, []byte(z.hello))
			if err == nil {
				z.roads, z.relay, z.shown = roads, roads.Relay(), true
				z.shake(3, m3)
			}
		case arg&7 != 0:
			z.shake(1, z.peer.Initiate())
		}
		z.settle()
	case 3: // what does not
		if arg&0xf0 == 0 {
			z.shake(int(arg&3), bytes.Repeat(rest, 1+int(arg>>2&1)*30))
			z.settle()
		}
	case 4:
		if arg&0xf0 == 0 {
			names := []string{nameHello, nameFrames, nameSignal, nameUpgrade, nameClosed, nameEnd, nameSealed, "something"}
			data := string(rest)
			if arg&8 != 0 {
				data = []string{peerHello, `{"after":0}`, `{"type":"offer","sdp":"v=6"}`, `{}`, `{"label":""}`, `{"after":0}`, `{"step":1}`, `0`}[arg&7]
			}
			registered := z.core.ways[Relay].state == open
			z.plain(fmt.Sprintf(`§{"name":%q,"data":%s}`, names[arg&7], data))
			if registered && arg&8 != 0 && arg&7 < 6 && z.core.reason == nil { // SEC-47
				z.t.Fatalf("it takes %s that is not sealed", names[arg&7])
			}
		}
	case 5:
		if arg&0xf0 == 0 { // not so often, as such things end the session
			z.receive(Received{Way(arg & 1), 0, arg&2 != 0, rest})
		}
	case 6: // again
		if len(z.said) > 0 && arg&0x70 == 0x10 {
			in := z.said[int(arg)%len(z.said)]
			in.Data = bytes.Clone(in.Data)
			if arg&0x80 != 0 && len(in.Data) > 0 {
				in.Data[int(rest[0])%len(in.Data)] ^= 1
			}
			z.receive(in)
		}
	case 7: // anything, sealed
		if arg&0xf0 == 0 {
			z.say(arg&1 != 0, arg&2 != 0, string(rest))
		}
	case 8, 9: // the next message, the last one again, or one that is early
		number := z.number + uint64(arg>>2&3)
		if arg>>2&3 == 3 {
			number += uint64(rest[0])
		}
		number = max(1, number)
		if number == z.number+1 {
			z.number++
		}
		z.say(arg&1 != 0, false, textFrame(number, fmt.Sprintf("%d\n%s", number, bytes.Repeat([]byte("x"), int(arg>>4)*2000))))
	case 10:
		if arg&2 != 0 {
			z.say(arg&1 != 0, true, ping)
		} else if arg&12 == 0 {
			z.say(arg&1 != 0, false, ackFrame(uint64(arg>>4)))
		}
	case 11: // signals
		switch arg & 3 {
		case 0:
			z.offers++
			z.say(false, true, string(Signal{Type: SignalOffer, SDP: "v=0"}.message().Data))
		case 1:
			z.say(false, true, string(Signal{Type: SignalAnswer, SDP: "v=1"}.message().Data))
		default:
			z.say(false, true, string(Signal{Type: SignalCandidate, Candidate: "candidate:1", SDPMid: "0"}.message().Data))
		}
	case 12:
		names := []string{nameUpgrade, nameClosed, nameEnd, nameFrames, nameHello, namePeerConnected, nameSealed, nameRegister}
		data := []string{`{}`, `{"label":"label"}`, fmt.Sprintf(`{"after":%d}`, z.number), peerHello, `{"isInitiator":true}`, string(bytes.ToValidUTF8(rest, nil))}
		if arg&0x60 != 0 {
			return
		}
		z.say(arg&0x80 != 0, true, fmt.Sprintf(`§{"name":%q,"data":%s}`, names[arg&7], data[int(arg>>3&7)%len(data)]))
	case 13:
		z.own(arg, rest)
	case 14:
		z.now += time.Duration(arg) * 10 * time.Millisecond
		z.step(Tick{})
		z.settle()
	default:
		z.hear()
	}
}

// own is what happens at the core's own end.
func (z *sealedFuzz) own(arg byte, rest []byte) {
	switch arg & 7 {
	case 0, 1:
		z.token++
		z.open[z.token] = true
		z.step(Send{Token: z.token, Data: make([]byte, int(arg>>3)*100)})
	case 2:
		z.token++
		z.open[z.token] = true
		z.step(Upgrade{z.token})
	case 3:
		if n := len(z.attempts); n > 0 && z.core.ways[Channel].state == making {
			if z.core.initiator && z.core.ways[Channel].offer == 0 {
				z.step(Local{z.attempts[n-1], Signal{Type: SignalOffer, SDP: "v=0"}})
			}
			if z.roads != nil {
				z.channel = z.roads.Channel(z.core.ways[Channel].offer)
			}
			z.step(Opened{z.attempts[n-1], "label", 65_535})
		}
	case 4:
		if z.core.ways[Channel].state != absent && arg&0x18 == 0 {
			z.step(Ended{Way: Channel, Attempt: z.attempt(Channel), Err: errTest})
		}
	case 5:
		if len(z.held) > 0 && !z.over {
			z.step(Consumed{z.held[0]})
			z.held = z.held[1:]
		}
	case 6:
		if n := len(z.attempts); n > 0 {
			z.step(Local{z.attempts[n-1], Signal{Type: []string{SignalOffer, SignalAnswer, SignalCandidate}[int(rest[0])%3], SDP: "v=0", Candidate: "candidate:2"}})
		}
	default:
		if arg == 7 {
			z.step(Close{})
		}
	}
	z.settle()
}

func (z *sealedFuzz) run(ops []byte) {
	for len(ops) >= 3 {
		op, rest := ops[0]&15, ops[2:min(len(ops), 130)]
		z.event(op, ops[1], rest)
		ops = ops[2:]
		if op >= 3 && op <= 7 && op != 6 { // it took these with it
			ops = ops[min(len(rest), int(rest[0]&31)):]
		}
	}
}

// end has the session end, after which there are no keys.
func (z *sealedFuzz) end() {
	z.step(Close{Now: true})
	z.hear()
	z.step(Ended{Way: Relay})
	if z.core.ways[Channel].state != absent {
		z.step(Ended{Way: Channel, Attempt: z.attempt(Channel)})
	}
	z.settle()
	if !z.over || len(z.open) > 0 || z.core.roads != nil && *z.core.roads != (sealed.Roads{}) { // SEC-10
		z.t.Fatalf("over %v, %d without an outcome", z.over, len(z.open))
	}
}

// FuzzSealed feeds an end of a sealed pairing what a server, and a peer with the secret, can say before, in and after the
// handshake: SEC-42 to SEC-47.
func FuzzSealed(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 50 {
		f.Add(sealedOps(r, 300))
	}
	f.Add([]byte{0, 1, 1, 1, 1, 1, 8, 4, 9, 4, 8, 0})
	f.Add([]byte{3, 1, 0})
	f.Add(append([]byte{3, 5}, make([]byte, 50)...)) // too long
	f.Add([]byte{4, 0x0a, 0, 0, 0})
	f.Add([]byte{0, 1, 1, 1, 1, 1, 15, 0, 8, 0xfc, 9, 0xfc, 24, 0xfc, 25, 0xfc, 40, 0xfc, 41, 0xfc, 56, 0xfc, 57, 0xfc, 8, 0})
	f.Add([]byte{0, 1, 1, 1, 1, 1, 15, 0, 8, 4, 4, 0x0a, 8, 4, 8, 4, 8, 4})
	f.Fuzz(func(t *testing.T, ops []byte) {
		z := newSealedFuzz(t)
		z.run(ops)
		z.end()
	})
}

// sealedOps are random, but begin with a handshake mostly, as little is said after one that has failed.
func sealedOps(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	if b[0]&7 != 0 {
		copy(b, []byte{0, b[0] >> 7, 1, 1, 1, 1, 15, 0})
	}
	return b
}

// TestFuzzSealedReachesWhatItShould: inputs at random do lead to messages, data channels and ends of all kinds.
func TestFuzzSealedReachesWhatItShould(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	paired, delivered, channels, reasons := 0, 0, 0, make(map[string]bool)
	for range 120 {
		z := newSealedFuzz(t)
		z.run(sealedOps(r, 100))
		if z.paired {
			paired++
		}
		channels += z.upgraded
		delivered += int(z.next) - 1
		reasons[fmt.Sprint(z.core.reason)] = true
		z.end()
	}
	if paired < 60 || delivered < 40 || channels < 5 || len(reasons) < 6 {
		t.Errorf("%d paired, %d messages, %d channels, %d ends", paired, delivered, channels, len(reasons))
	}
}

package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// An unsealedMessage has a meaning in chapter PSX.
type unsealedMessage struct {
	text bool
	data string
}

// unsealedMessages are those that end a sealed pairing (SEC-47).
var unsealedMessages = []unsealedMessage{
	{true, "§" + `{"name":"meshpair.hello","data":` + suiteHello + `}`},
	{true, `§{"name":"peer.signal","data":{"type":"offer","sdp":"v=0\r\n"}}`},
	{true, `§{"name":"peer.signal","data":{"candidate":{"candidate":"x","sdpMid":"0","sdpMLineIndex":0}}}`},
	{true, `§{"name":"meshpair.upgrade","data":{}}`}, {true, `§{"name":"meshpair.frames","data":{"after":0}}`},
	{true, "a text"}, {true, ""}, {true, "§ 5"}, {true, "PING "},
	{false, "bytes"}, {false, string(part{partText, 1, "a frame"}.encode())}, {false, "\x00PING"},
}

// What comes after the handshake, on both roads.
var secRoads = []*Case{
	{"SEC-47/unsealed", []string{"SEC-46", "SEC-47"}, Must, "what is said as it is ends the connection, during the handshake and after it", false, inSealedDuet(func(z *sealedDuet) {
		for _, initiator := range both {
			for _, m := range unsealedMessages {
				z.begin(initiator, nil)
				if initiator {
					z.hears(1)
				} else {
					z.says(1)
					z.hears(2)
				}
				z.unsealed(m.text, m.data)
				z.refuses(fmt.Sprintf("after %.40q in place of a handshake", m.data))

				z.greets(initiator, noUpgrade)
				z.unsealed(m.text, m.data)
				said, _ := z.ends(fmt.Sprintf("after %.40q, not sealed", m.data))
				z.expect(!z.signals(said), "after what is not sealed", "no offer and no answer", "one")
			}
		}
	})},
	{"SEC-47/again", []string{"SEC-47"}, Must, "a handshake after the handshake ends the connection", false, inSealedDuet(func(z *sealedDuet) {
		z.greets(false, noUpgrade)
		z.noise = z.keys.begin(true, newPrivate(), nil)
		z.unsealed(true, string(stepText(1, z.message(1))))
		z.ends("after another message 1")
	})},
	{"SEC-47/ping", []string{"SEC-47"}, Must, "a PING and what is unknown, not sealed, mean nothing, before the handshake, during it and after it", false, inSealedDuet(func(z *sealedDuet) {
		z.open(false, noUpgrade)
		z.socket.say("PING")
		z.meets(false)
		z.noise = z.keys.begin(true, newPrivate(), nil)
		z.socket.say("PING")
		z.says(1)
		theirs := z.hears(2)
		z.socket.say("PING")
		z.socket.say(`§{"name":"something.else","data":{}}`)
		z.says(3)
		z.socket.say("PING")
		z.socket.say(`§{"name":"something.else","data":{}}`)
		z.over(theirs)
		z.both(z.relay, 1)
	})},
	{"SEC-47/peer-timeout", []string{"SEC-47"}, Must, "the time of PSX-63 begins with the end of the handshake, and a PING that is not sealed does not renew it", false, inSealedDuet(func(z *sealedDuet) {
		z.greets(true, driver.Command{"autoUpgrade": false, "peerTimeout": 1})
		until := deadline()
		for range time.Tick(200 * time.Millisecond) {
			z.socket.say("PING")
			_, err := z.driver.Wait(0, func(e driver.Event) bool { return e.Event == "peerTimeout" })
			if err == nil {
				break
			}
			z.expect(time.Now().Before(until), "1 s without a sealed PING", "peerTimeout", err)
		}
		z.ends("after peerTimeout")
	})},
	{"SEC-47/no-secret", []string{"SEC-47"}, Must, "a client without a secret ends the connection with one that wants a handshake", false, inSealedDuet(func(z *sealedDuet) {
		for _, initiator := range both {
			z.withoutSecret(initiator)
		}
	})},
	{"SEC-44/forged", []string{"SEC-43", "SEC-44"}, Must, "what was changed, cut, repeated, left out, exchanged or invented ends the connection, and nothing that follows is delivered", false, inSealedDuet(func(z *sealedDuet) {
		z.greets(true, noUpgrade)
		z.relay.out.n = 1 // where it is to come again
		old := z.relay.next2()
		for what, forge := range forgeries {
			z.greets(true, noUpgrade)
			z.both(z.relay, 1)
			forge(z, z.relay)
			z.relay.say(part{partText, 2, "after it"})
			z.ends("after " + what)
		}
		z.greets(true, noUpgrade)
		z.relay.say(part{partText, 1, "before it"})
		z.expectUser("a frame", "before it")
		z.relay.forge(old)
		z.ends("after what another connection had in this place")
	})},
	{"SEC-44/channel", []string{"SEC-43", "SEC-44"}, Must, "what was forged on a data channel ends the connection as well", false, inSealedDuet(func(z *sealedDuet) {
		for what, forge := range map[string]func(r *sealedRoad){
			"a changed frame":            func(r *sealedRoad) { r.forge(flipped(r.out.seal(part{partText, 2, "x"}.encode()), 0)) },
			"what is for the other road": func(r *sealedRoad) { r.forge(z.relay.out.seal(part{partText, 2, "x"}.encode())) },
			"a text that is not sealed":  func(r *sealedRoad) { r.raw.put(true, []byte("PING ")) },
			"a frame that is not sealed": func(r *sealedRoad) { r.forge(part{partText, 2, "x"}.encode()) },
		} {
			z.greets(false, nil)
			r, _ := z.byChannel(false, 1)
			z.both(r, 1)
			forge(r)
			r.say(part{partText, 2, "after it"})
			z.ends("after " + what)
		}
	})},
	{"SEC-44/order", []string{"SEC-44"}, Must, "messages keep their order across both roads", false, inSealedDuet(func(z *sealedDuet) {
		z.greets(false, nil)
		r, _ := z.byChannel(false, 1)
		z.relay.say(part{partText, 2, "two"})
		r.say(part{partText, 1, "one"}, part{partText, 3, "three"})
		for _, want := range []string{"one", "two", "three"} {
			z.expectUser("frames by two roads", want)
		}
	})},
	{"SEC-46/initiator", []string{"SEC-43", "SEC-46"}, Must, "the initiator makes its offers sealed, and each data channel has keys of its own", false, inSealedDuet(func(z *sealedDuet) {
		z.greets(true, nil)
		for n := uint64(1); n <= 2; n++ {
			r, end := z.byChannel(true, n)
			z.both(r, n)
			end()
			z.event("peerRtcClosed", deadline())
			z.wantText(z.relay, "meshpair.closed")
			z.tell("meshpair.upgrade", struct{}{})
		}
	})},
	{"SEC-46/joiner", []string{"SEC-43", "SEC-46"}, Must, "the other one answers sealed, and each data channel has keys of its own", false, inSealedDuet(func(z *sealedDuet) {
		z.greets(false, nil)
		for n := uint64(1); n <= 2; n++ {
			r, end := z.byChannel(false, n)
			z.both(r, n)
			end()
			z.event("peerRtcClosed", deadline())
			z.wantText(z.relay, "meshpair.closed")
		}
		z.both(z.relay, 3)
	})},
	{"SEC-46/asks", []string{"SEC-43", "SEC-46"}, Must, "the other one asks for an offer sealed", false, inSealedDuet(func(z *sealedDuet) {
		z.greets(false, noUpgrade)
		_, err := z.driver.Send(driver.Command{"cmd": "upgrade"})
		z.try(err)
		z.wantText(z.relay, "meshpair.upgrade")
	})},
}

// forgeries are what may be done to what one says to the other, by what they are.
var forgeries = map[string]func(*sealedDuet, *sealedRoad){
	"a changed frame":   func(_ *sealedDuet, r *sealedRoad) { r.forge(flipped(r.next2(), 0)) },
	"a changed tag":     func(_ *sealedDuet, r *sealedRoad) { b := r.next2(); r.forge(flipped(b, len(b)-1)) },
	"a frame cut short": func(_ *sealedDuet, r *sealedRoad) { b := r.next2(); r.forge(b[:len(b)-1]) },
	"a longer frame":    func(_ *sealedDuet, r *sealedRoad) { r.forge(append(r.next2(), 0)) },
	"an empty message":  func(_ *sealedDuet, r *sealedRoad) { r.forge(nil) },
	"16 bytes":          func(_ *sealedDuet, r *sealedRoad) { r.forge(make([]byte, 16)) },
	"a frame as it is":  func(_ *sealedDuet, r *sealedRoad) { r.forge(part{partText, 2, "forged"}.encode()) },
	"a frame that is left out": func(z *sealedDuet, r *sealedRoad) {
		if z.target.dull != "forged" {
			r.next2()
		}
	},
	"a frame again": func(_ *sealedDuet, r *sealedRoad) {
		b := r.out.seal(part{partAck, 1, ""}.encode())
		r.raw.put(false, b)
		r.forge(b)
	},
	"two frames exchanged": func(_ *sealedDuet, r *sealedRoad) {
		a, b := r.next2(), r.next2()
		r.forge(b)
		r.forge(a)
	},
	"a frame by a data channel's key": func(z *sealedDuet, r *sealedRoad) {
		channel := z.seals(r.raw, labelChannel(1))
		channel.out.n = r.out.n
		r.forge(channel.next2())
	},
	"a frame by the key of the other direction": func(z *sealedDuet, r *sealedRoad) {
		back := z.seals(r.raw, labelRelay)
		back.out, back.in = back.in, back.out
		back.out.n = r.out.n
		r.forge(back.next2())
	},
	"a frame by the key after this one": func(_ *sealedDuet, r *sealedRoad) {
		r.forge(gcm(rekey(r.out.key)).Seal(nil, nonce(r.out.n), part{partText, 2, "forged"}.encode(), nil))
	},
}

// next2 is the next message on a road, with frame 2.
func (s *sealedRoad) next2() []byte { return s.out.seal(part{partText, 2, "forged"}.encode()) }

// signals reports whether there is a signal in what was said, sealed or not.
func (z *sealedDuet) signals(said []*frame) bool {
	return slices.ContainsFunc(said, func(f *frame) bool {
		b := f.payload
		if f.op == opBinary {
			b, _ = z.relay.in.open(b)
		}
		return strings.Contains(string(b), "peer.signal")
	})
}

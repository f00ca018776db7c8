package conformance

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/meshpair/meshpair/conformance/driver"
)

// How connections end, and what users are told.
var secEnds = []*Case{
	{"SEC-45/says", []string{"SEC-45"}, Must, "who closes waits for the acknowledgement of its last frame, and says its number in its last text", false, inSealedDuet(func(z *sealedDuet) {
		z.greets(true, noUpgrade)
		for i := range uint64(2) {
			z.userSays("a text")
			z.wantPart(z.relay.road, part{partText, i + 1, "a text"})
		}
		z.relay.say(part{partAck, 1, ""})
		z.startClosing()
		z.wantNone(z.relay.road, false)
		z.relay.say(part{partAck, 2, ""})
		z.wantGoodbye(z.relay, 2)
		z.closes("after its last text")
	})},
	{"SEC-45/nothing", []string{"SEC-45"}, Must, "who has sent nothing says so when it closes", false, inSealedDuet(func(z *sealedDuet) {
		z.greets(false, noUpgrade)
		z.startClosing()
		z.wantGoodbye(z.relay, 0)
		z.closes("after its last text")
	})},
	{"SEC-45/both", []string{"SEC-45"}, Must, "who closes says its last text on each open road", false, inSealedDuet(func(z *sealedDuet) {
		z.greets(false, nil)
		r, end := z.byChannel(false, 1)
		z.both(r, 1)
		z.startClosing()
		z.wantGoodbye(r, 1)
		z.wantGoodbye(z.relay, 1)
		end()
		z.closes("after its last texts")
	})},
	{"SEC-45/hears", []string{"SEC-45"}, Must, "after the last text of the peer an end is no surprise", false, inSealedDuet(func(z *sealedDuet) {
		z.greets(true, noUpgrade)
		z.relay.say(part{partText, 1, "the last"})
		z.goodbye(1)
		z.expectUser("a frame", "the last")
		e := z.serverCloses()
		z.expect(e.Message == "", "connectionClosed after the last text", "no reason", e.Message)
	})},
	{"SEC-45/cut", []string{"SEC-45"}, Must, "an end without the last text, or with one that names another frame, is told from one with it", false, inSealedDuet(func(z *sealedDuet) {
		cut := func(what string, e driver.Event) {
			z.expect(e.Message != "", "connectionClosed "+what, "a reason", "none")
		}
		for what, initiator := range both {
			z.begin(initiator, noUpgrade)
			if initiator {
				z.hears(1)
			} else {
				z.says(1)
				z.hears(2)
			}
			cut("of "+what+" during the handshake", z.serverCloses())
		}
		for what, ends := range map[string]func() driver.Event{
			"by a close frame":                    z.serverCloses,
			"by a close frame, after a PING":      func() driver.Event { z.relay.put(true, []byte("PING")); return z.serverCloses() },
			"without a close frame":               z.drops,
			"after a last text with frame 2 of 1": func() driver.Event { z.goodbye(2); return z.serverCloses() },
			"after a last text that is not sealed": func() driver.Event {
				z.unsealed(true, `§{"name":"meshpair.end","data":{"after":1}}`)
				return z.serverCloses()
			},
			"after a last text without a number": func() driver.Event { z.tell("meshpair.end", nil); return z.serverCloses() },
			"after a last text that is a user's": func() driver.Event {
				z.relay.say(part{partText, 2, `§{"name":"meshpair.end","data":{"after":2}}`})
				return z.serverCloses()
			},
		} {
			z.greets(true, noUpgrade)
			z.relay.say(part{partText, 1, "the last"})
			z.expectUser("a frame", "the last")
			cut(what, ends())
		}
	})},
	{"SEC-48/apart", []string{"SEC-48"}, Must, "a user can tell the reasons apart, and none tells the secret", false, inSealedDuet(func(z *sealedDuet) {
		z.ready(nil)
		_, err := z.driver.Send(driver.Command{"cmd": "joinPairing", "code": testPair.Code + "-" + z.text()[:30]})
		z.try(err)
		e := z.event("error", deadline())
		if e.Reason == "" {
			panic(unsupported("its driver tells no reasons"))
		}
		seen := map[string]string{e.Message: "text"}
		z.expect(e.Reason == "text", "the error after a part of a secret", "the reason text", fmt.Sprintf("%+v", e))
		tells := func(when, reason string, e driver.Event) {
			z.expect(e.Reason == reason, "connectionClosed "+when, "the reason "+reason, fmt.Sprintf("%q: %s", e.Reason, e.Message))
			z.expect(!strings.Contains(e.Message, z.text()[7:]), "connectionClosed "+when, "nothing of the secret", e.Message)
			before, twice := seen[e.Message]
			z.expect(!twice || before == reason, "connectionClosed "+when, "a message of its own", e.Message)
			seen[e.Message] = reason
		}
		ended := func(when, reason string) {
			_, e := z.ends(when)
			tells(when, reason, e)
		}

		z.begin(false, noUpgrade)
		z.keys = derivePair(random32()[:16], testPair)
		z.noise = z.keys.begin(true, newPrivate(), nil)
		z.says(1)
		ended("after another secret's message 1", "secret")
		z.begin(true, noUpgrade)
		z.hears(1)
		z.keys.gate = random32()
		z.says(2)
		ended("after another secret's message 2", "secret")
		z.begin(true, noUpgrade)
		z.hears(1)
		z.socket.say(saidRefused)
		ended("after a refusal", "secret")

		for _, initiator := range both {
			z.begin(initiator, noUpgrade)
			z.socket.say("§" + `{"name":"meshpair.hello","data":` + suiteHello + `}`)
			ended("after a hello that is not sealed", "unsealed")
			tells("without a secret", "missing", z.withoutSecret(initiator))
			z.greets(initiator, noUpgrade)
			z.relay.raw.put(false, flipped(z.relay.next2(), 0))
			ended("after a forged frame", "forged")
			z.greets(initiator, noUpgrade)
			tells("without a last text", "cut", z.serverCloses())
		}
	})},
}

// withoutSecret has a client that has no secret meet one that has, and returns what its user was told.
func (z *sealedDuet) withoutSecret(initiator bool) driver.Event {
	z.ready(noUpgrade)
	z.plain = true
	defer func() { z.plain = false }()
	z.connects(nil)
	z.registers()
	z.meets(initiator)
	z.keys = derivePair(z.secret, testPair)
	z.noise = z.keys.begin(true, newPrivate(), nil)
	z.says(1)
	_, told := z.ending("after meshpair.sealed")
	z.untold("without the secret", "message")
	z.expect(told.Message != "", "connectionClosed without the secret", "a reason", "none")
	return told
}

// wantGoodbye expects the last text of a client on a road.
func (z *sealedDuet) wantGoodbye(r *sealedRoad, after uint64) {
	var last framesData
	data := z.wantText(r, "meshpair.end")
	z.expect(json.Unmarshal(data, &last) == nil && last.After != nil && *last.After == after, "meshpair.end", fmt.Sprint("after ", after), string(data))
}

// wantText expects a message of the protocol on a road, and returns its data; acknowledgements may come before.
func (z *sealedDuet) wantText(r *sealedRoad, name string) json.RawMessage {
	text, data, err := r.next(deadline())
	for p, none := decodePart(data); err == nil && !text && none == nil && p.kind == partAck; p, none = decodePart(data) {
		text, data, err = r.next(deadline())
	}
	m, ok := internalOf(&frame{op: opText, payload: data})
	z.expect(ok && text && err == nil && m.Name == name, r.name, name, fmt.Sprintf("%.80q, %v", data, err))
	return m.Data
}

// goodbye sends the peer's last text.
func (z *sealedDuet) goodbye(after uint64) { z.tell("meshpair.end", map[string]uint64{"after": after}) }

func (z *sealedDuet) startClosing() {
	_, err := z.driver.Send(driver.Command{"cmd": "close"})
	z.try(err)
}

// closes expects that the client closes the connection, says nothing more, and that its user is told no reason.
func (z *sealedDuet) closes(why string) {
	said, told := z.ending(why)
	z.expect(len(said) == 0, why, "nothing more", fmt.Sprint(len(said), " messages"))
	z.expect(told.Message == "", "connectionClosed "+why, "no reason", told.Message)
}

// serverCloses has the WebSocket closed as a server does it when the other client has gone, and returns what the user was told.
func (z *sealedDuet) serverCloses() driver.Event {
	z.socket.writeFrame(frame{fin: true, op: opClose, payload: []byte{1000 >> 8, 1000 & 0xff}})
	for {
		if f, err := z.socket.anyFromClient(deadline()); err != nil || f.op == opClose {
			return z.drops()
		}
	}
}

// drops ends the WebSocket in no order, and returns what the user was told.
func (z *sealedDuet) drops() driver.Event {
	z.socket.drop()
	z.socket = nil
	return z.event("connectionClosed", deadline())
}

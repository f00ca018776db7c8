package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// Cases of sealed groups: how a member gets in, and lets others in.
var secMember = []*Case{
	{
		ID: "SEC-4/room-name", Requirements: []string{"SEC-3", "SEC-4"}, Level: Must,
		Sentence: "A member of a sealed group asks the signaling server for the room name, which its secret and key lead to.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			_, p, _ := z.admit("J", z.actor(member(5)))
			z.expect(p.key == z.keys.name(), "the key in initPing", z.keys.name(), p.key)
		}),
	},
	{
		ID: "SEC-2/refused", Requirements: []string{"SEC-1", "SEC-2"}, Level: Must,
		Sentence: "A text that is no secret is refused, and nobody is asked for a group.",
		run: onSealed(func(z *sealedStage) {
			good := bech32m("mpsecret", z.secret)
			last := good[len(good)-1:]
			other := "q"
			if last == other {
				other = "p"
			}
			odd := bytes.Repeat([]byte{255}, 33) // of which 52 digits are as those of 32 bytes with last bits that are not 0
			for what, text := range map[string]string{
				"another prefix":           bech32m("mpid", z.secret),
				"31 bytes":                 bech32m("mpsecret", z.secret[:31]),
				"33 bytes":                 bech32m("mpsecret", odd),
				"a wrong checksum":         good[:len(good)-1] + other,
				"mixed letters":            "MPSECRET" + good[len("mpsecret"):],
				"last bits that are not 0": bech32mDigits("mpsecret", append(bytes.Repeat([]byte{31}, 51), 17)),
				"a sign of Kelvin for a K": "MPSECRET1YQSJYGEYY5NZW2PF9G4JCTFW9UCRZV3NXS6NVDEC8YAR\u212a0PA8CCXDD0P", // as long in UTF-8 as a secret
				"a key in words":           "correct horse battery staple",
			} {
				e, err := z.peer.Do(timeout, driver.Command{"cmd": "join", "signaling": z.url(), "key": z.plain, "secret": text, "loopback": true})
				declined(err)
				z.out = isAnswer(err)
				z.expect(z.out, "to join with a secret that has "+what, "an error", e.Event)
				z.expect(!strings.Contains(err.Error(), text), "the error", "nothing of the secret", err) // SEC-1
			}
			z.nobodyComes(z.l)
		}),
	},
	{
		ID: "SEC-2/spaced", Requirements: []string{"SEC-2"}, Level: Should,
		Sentence: "A secret in capitals, with white space around it, is taken.",
		run: onSealed(func(z *sealedStage) {
			z.first(driver.Command{"secret": " \t" + strings.ToUpper(bech32m("mpsecret", z.secret)) + "\n"})
		}),
	},
	{
		ID: "SEC-8/joiner", Requirements: []string{"SEC-7", "SEC-8", "SEC-9", "SEC-11", "SEC-12", "SEC-13", "SEC-16", "SEC-19", "SEC-21", "SEC-35"}, Level: Must,
		Sentence: "A joiner begins a handshake with the member that it is bound to, and says all else sealed: the request, what builds the channel, initPong, hello, and messages.",
		run: onSealed(func(z *sealedStage) {
			_, v := z.pair()
			z.expectMembers(member(1))
			z.untilMarked(v.keeper)
			z.hear(v)
			z.expectMembers(member(1))
		}),
	},
	{
		ID: "SEC-8/member", Requirements: []string{"SEC-7", "SEC-8", "SEC-9", "SEC-11", "SEC-12", "SEC-13", "SEC-16", "SEC-21", "SEC-22", "SEC-24", "SEC-25", "SEC-35"}, Level: Must,
		Sentence: "A member answers the handshake of a joiner, offers a channel whose label has no id, and tells it who is there and their identities.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			a, b := z.actor(member(5)), z.actor(member(6))
			v, p, fs := z.admit("J", a)
			z.expect(parseLabel(v.label) == label{0, 2}, "the label", label{0, 2}.String(), v.label)
			z.expect(p.sender == z.id && slices.Equal(p.members, []uint32{z.id}), "initPing", "the id that the handshake had", p)
			z.expect(len(fs.all(77)) == 1 && bytes.Equal(fs.all(77)[0], v.seal.peer.Bytes()), "the identities in initPing",
				fmt.Sprintf("[%x]", v.seal.peer.Bytes()), fmt.Sprintf("%x", fs.all(77)))
			w, p, fs := z.admit("K", b)
			named := make(map[uint32]string)
			for i, id := range fs.all(77) {
				named[p.members[i]] = fmt.Sprintf("%x", id)
			}
			z.expect(len(named) == 2 && named[z.id] == fmt.Sprintf("%x", w.seal.peer.Bytes()) && named[a.id] == fmt.Sprintf("%x", a.identity.PublicKey().Bytes()),
				"the identities in the second initPing", "that of the sender and of J", named)
			z.hear(v)
			z.hear(w)
			st := z.status()
			want := map[uint32]string{z.id: identityText(v.seal.peer), a.id: identityText(a.identity.PublicKey()), b.id: identityText(b.identity.PublicKey())}
			for id, text := range want {
				z.expect(len(st.Identities) == 3 && st.Identities[fmt.Sprint(id)] == text, "the identities that the user is told", fmt.Sprint(want), st.Identities)
			}
		}),
	},
	{
		ID: "SEC-9/stranger", Requirements: []string{"SEC-9", "SEC-28", "SEC-29"}, Level: Must,
		Sentence: "A message 1 with another proof, another length, or by another secret is not answered, and nobody need be told.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			a := z.actor(member(5))
			stranger := z.actor(member(6))
			stranger.keys = deriveKeys(random32(), z.plain)
			knows := z.actor(member(7)) // the room name, and the psk by a miracle
			knows.keys.gate = random32()
			right := a.shaking(nil, true).first()
			for what, first := range map[string][]byte{
				"another secret":  stranger.shaking(nil, true).first(),
				"another proof":   knows.shaking(nil, true).first(),
				"a changed one":   flipped(right, 50),
				"one more byte":   append(slices.Clone(right), 0),
				"one byte less":   right[:79],
				"no proof":        a.shaking(nil, true).must(nil),
				"nothing":         {},
				"another e":       flipped(right, 3),
				"a changed end":   flipped(right, 79),
				"e of all zeros":  append(make([]byte, 32), right[32:]...),
				"proof and tag 0": append(slices.Clone(right[:32]), make([]byte, 48)...),
			} {
				w := z.nextJoiner(what)
				w.put(serviceSealed, handshakeMessage(1, first))
				a.initiates(z.nextJoiner("one with the secret")) // an answer to the other would have come before
				w.noHandshake("a message 1 with "+what, 2)
			}
		}),
	},
	{
		ID: "SEC-9/impostor", Requirements: []string{"SEC-9", "SEC-28"}, Level: Must,
		Sentence: "A joiner ignores a message 2 that does not decrypt, and ends the handshake by one with another proof, without message 3: its user hears why.",
		run: onSealed(func(z *sealedStage) {
			a := z.actor(member(1))
			h := z.bound(a, nil)
			first := h.way.expectHandshake(1, 80)
			other := a.shaking(h.way, false)
			other.by = z.actor(member(1))
			other.by.keys.gate = random32()
			other.read(first) // the key of message 1 follows from what is sent
			second := other.second()
			other.say(2, flipped(second, 60))
			other.say(2, second[:100])
			other.say(2, []byte{})
			other.say(2, second)
			z.event("why it was refused", deadline(), func(e driver.Event) bool { return e.Event == "refused" && e.Reason == "secret" })
			z.door.expectConnect("after a failed handshake", within(5*time.Second))
			h.way.noHandshake("after another proof", 3)
			z.door.answer(false)
			h.way.expectHandshake(1, 80)
		}),
	},
	{
		ID: "SEC-9/late", Requirements: []string{"SEC-9"}, Level: Must,
		Sentence: "Messages 2 and 3 that do not decrypt are ignored: the handshake goes on with the right one.",
		run: onSealed(func(z *sealedStage) {
			a := z.actor(member(1))
			h := z.bound(a, nil)
			k := a.heard(h.way, h.way.expectHandshake(1, 80))
			second := k.second()
			k.say(2, flipped(second, 100))
			k.say(2, nil)
			k.say(2, second)
			h.way = h.way.within(k.over())
			v := z.goesOn(h, a)
			z.settled(deadline())
			b := z.actor(member(5))
			way := z.nextJoiner("J")
			j := b.asks(way)
			third := j.third()
			j.say(3, flipped(third, 20))
			j.say(3, third[:40])
			j.say(3, third)
			way = way.within(j.session())
			way.answer(way.asks())
			z.hear(v)
		}),
	},
	{
		ID: "SEC-29/recorded", Requirements: []string{"SEC-19", "SEC-29"}, Level: Must,
		Sentence: "Who sends recorded messages of a handshake is told no more than one message 2 for each message 1, the same again for the same, and gets nowhere.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			a := z.actor(member(5))
			w := z.nextJoiner("J")
			h := a.shaking(w, true)
			first := h.first()
			h.say(1, first)
			second := w.expectHandshake(2, 136)
			h.say(1, first)
			again := w.expectHandshake(2, 136)
			z.expect(bytes.Equal(again, second), "the answer to the same message 1 again", "the same message 2", "another one")
			h.take(second, func() []byte { return h.by.keys.proof(h.e.PublicKey(), h.re) })
			third := h.third()
			h.say(3, third)
			t := h.session()
			request := t.seal(serviceBuilder, connectionRequest([]byte{}))
			w.put(serviceSealed, request)
			w.within(t).expectResponse(true)

			thief := z.nextJoiner("a thief")
			thief.put(serviceSealed, handshakeMessage(1, first))
			thief.put(serviceSealed, handshakeMessage(3, third))
			thief.put(serviceSealed, request)
			w.put(serviceSealed, request) // again, on its own way
			z.actor(member(6)).initiates(z.nextJoiner("K"))
			n := thief.count()
			z.expect(n <= 1, "what a thief is told", "one message 2 at most", n)
			n = w.count()
			z.expect(n == 0, "the answer to a request again", "none", n)
			z.expectMembers()
		}),
	},
	{
		ID: "SEC-11/odd-ends", Requirements: []string{"SEC-11"}, Level: Must,
		Sentence: "A handshake in which an end says nothing of itself, or too much, or has an id that cannot be, leads to no session.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			for what, self := range map[string][]byte{
				"nothing": {}, "7 bytes": selfBytes(member(5), 1)[:7], "9 bytes": append(selfBytes(member(5), 1), 0),
				"an id below 2^31": selfBytes(1<<31-1, 1), "the id 0": selfBytes(0, 1), "the receiver's id": selfBytes(z.id, 1),
			} {
				w := z.nextJoiner(what)
				h := z.actor(member(5)).asks(w)
				h.say(3, h.must(self))
				t := h.session()
				t.me = uint32(0)
				if len(self) >= 4 {
					t.me = member(5)
					if len(self) == 8 {
						t.me = uint32(self[0])<<24 | uint32(self[1])<<16 | uint32(self[2])<<8 | uint32(self[3])
					}
				}
				w.put(serviceSealed, t.seal(serviceBuilder, connectionRequest([]byte{})))
				z.actor(member(6)).initiates(z.nextJoiner("one that is right"))
				n := w.count()
				z.expect(n == 0, "after a message 3 with "+what, "nothing", n)
			}
			z.expectMembers()
		}),
	},
	{
		ID: "SEC-5/identity", Requirements: []string{"SEC-5", "SEC-6", "SEC-50"}, Level: Must,
		Sentence: "A member draws an identity whenever it joins, unless its user gives it one to keep.",
		run: onSealed(func(z *sealedStage) {
			var seen []string
			kept := newPrivate()
			for i, more := range []driver.Command{nil, nil, {"identity": bech32m("mpidsecret", kept.Bytes())}} {
				z.first(more)
				a := z.actor(member(uint32(5 + i)))
				seen = append(seen, identityText(a.initiates(z.nextJoiner("J")).peer))
				own := z.status().Identities[fmt.Sprint(z.id)]
				z.expect(own == seen[i], "the identity that the user is told", seen[i], own)
				z.do(driver.Command{"cmd": "leave"})
				z.out = true
			}
			z.expect(seen[0] != seen[1], "the identity of who joins again", "another one", seen)
			z.expect(seen[2] == identityText(kept.PublicKey()), "the identity that was given", identityText(kept.PublicKey()), seen[2])
		}),
	},
	{
		ID: "SEC-26/list", Requirements: []string{"SEC-26", "SEC-28"}, Level: Must,
		Sentence: "A joiner with a list of identities sends one that is not on it no message 3, says why, and lets in who is.",
		run: onSealed(func(z *sealedStage) {
			a, other := z.actor(member(1)), z.actor(member(2))
			h := z.bound(other, driver.Command{"allow": []string{identityText(a.identity.PublicKey())}})
			k := other.heard(h.way, h.way.expectHandshake(1, 80))
			k.say(2, k.second())
			z.event("why it was refused", deadline(), func(e driver.Event) bool { return e.Event == "refused" && e.Reason == "list" })
			z.door.expectConnect("after a failed handshake", within(5*time.Second))
			h.way.noHandshake("with one that is not on the list", 3)
			z.door.answer(false)
			z.greets(z.bind(a.id), a, other)
			z.settled(deadline())
			z.expectMembers(a.id) // of other the identity is not on the list
		}),
	},
	{
		ID: "SEC-52/many", Requirements: []string{"SEC-52"}, Level: Should,
		Sentence: "A member goes on with each of 64 handshakes that it has begun to answer.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			var all []*shaking
			for i := range uint32(64) {
				all = append(all, z.actor(member(5+i)).asks(z.nextJoiner("J")))
			}
			for _, h := range all {
				h.say(3, h.third())
				w := h.way.within(h.session())
				w.put(serviceBuilder, connectionRequest([]byte{}))
				w.expectResponse(true)
			}
		}),
	},
	{
		ID: "SEC-21/unsealed-first", Requirements: []string{"SEC-21", "SEC-27"}, Level: Must,
		Sentence: "A joiner closes a channel that brings initPing unsealed, or with an id that is not the session's.",
		run: onSealed(func(z *sealedStage) {
			for what, send := range map[string]func(*link, ping){
				"initPing, unsealed":       func(l *link, p ping) { l.raw(p.encode()) },
				"a Message, unsealed":      func(l *link, p ping) { l.raw(envelope{member(1), z.id, serviceBeat, p.encode()}.encode()) },
				"initPing of another one":  func(l *link, p ping) { p.sender++; l.send(serviceBeat, p.encode()) },
				"initPing, sealed wrongly": func(l *link, p ping) { l.seal.theirs++; l.send(serviceBeat, p.encode()) },
				"another service":          func(l *link, p ping) { l.send(serviceMesh, p.encode()) },
			} {
				a := z.actor(member(1))
				h := z.bound(a, driver.Command{"autoRejoin": false})
				h.way = h.way.within(a.responds(h.way))
				h.agree()
				l := h.way.offer(label{0, 2}.String()).answered()
				send(l, ping{0, groupID, a.id, []uint32{a.id}, z.key})
				l.expectClosed("after "+what, deadline())
				z.do(driver.Command{"cmd": "leave"})
				z.out = true
			}
		}),
	},
}

// goesOn lets the peer under test in on a way that is sealed.
func (z *sealedStage) goesOn(h *host, a *actor) *voice {
	h.agree()
	l := h.way.offer(label{0, 2}.String()).answered()
	l.send(serviceBeat, ping{0, groupID, a.id, []uint32{a.id}, z.key}.encode())
	l.expectPong(z.id)
	l.begin(a.id, z.id)
	return z.voice(l)
}

// count takes all messages of the sealed service that have come, and returns how many they were.
func (w *way) count() int {
	for n := 0; ; n++ {
		if _, err := w.take(time.Now(), func(e envelope) bool { return e.service == serviceSealed }); err != nil {
			return n
		}
	}
}

// flipped is a copy with one bit changed.
func flipped(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at] ^= 1
	return b
}

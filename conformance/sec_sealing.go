package conformance

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// Cases of sealed groups: what members say to each other.
var secSealing = []*Case{
	{
		ID: "SEC-13/forged", Requirements: []string{"SEC-13", "SEC-27"}, Level: Must,
		Sentence: "What does not open, or has another sender in its envelope, is ignored and changes nothing, and the channel stays.",
		run: onSealed(func(z *sealedStage) {
			_, v := z.pair()
			p := v.seal.sealed(inner(serviceUser, v.numbered(fullMessage(typeText, []byte("as it was")), false)))
			forge := func(change func(*sealedPart)) {
				q := p
				q.data = bytes.Clone(p.data)
				change(&q)
				v.raw(v.message(q))
			}
			forge(func(q *sealedPart) { q.data[0] ^= 1 })
			forge(func(q *sealedPart) { q.data[len(q.data)/2] ^= 1 })
			forge(func(q *sealedPart) { q.data[len(q.data)-1] ^= 1 })
			forge(func(q *sealedPart) { q.data = q.data[:len(q.data)-1] })
			forge(func(q *sealedPart) { q.data = q.data[:15] })
			forge(func(q *sealedPart) { q.data = []byte{} })
			forge(func(q *sealedPart) { q.counter++ })
			forge(func(q *sealedPart) { q.counter += 1 << 22 })
			forge(func(q *sealedPart) { q.counter = 1<<64 - 1 })
			forge(func(q *sealedPart) { q.index++ })
			forge(func(q *sealedPart) { q.index = v.seal.mine })
			v.raw(envelope{member(9), v.other, serviceSealed, p.encode()}.encode())
			v.raw(envelope{v.other, v.other, serviceSealed, p.encode()}.encode())
			for _, content := range [][]byte{nil, {}, {0xff}, {0x12, 0x05}, {0x12, 0x00}, {0x08, 0x01}, handshakeMessage(2, p.data), handshakeMessage(3, p.data), handshakeMessage(9, nil)} {
				v.raw(envelope{v.me, v.other, serviceSealed, content}.encode())
			}
			v.barrier()
			z.never("a forged message", func(e driver.Event) bool { return e.Event == "message" })
			v.raw(v.message(p))
			z.expectMessage(v.me, []byte("as it was"), true)
			z.hear(v)
			v.expectOpen("after forged messages")
		}),
	},
	{
		ID: "SEC-15/replayed", Requirements: []string{"SEC-13", "SEC-15"}, Level: Must,
		Sentence: "Messages are opened in any order, each once, and none that is 4,096 or more behind.",
		run: onSealed(func(z *sealedStage) {
			_, v := z.pair()
			v.silence()
			v.expectSigns(1, 100)
			v.expectSigns(0, 100) // again
			v.expectSigns(1, 102)
			v.expectSigns(1, 101) // late
			v.expectSigns(0, 101, 102)
			v.seal.skip(4000)
			v.expectSigns(1, 5100)
			v.expectSigns(0, 1004, 103, 5100) // 1,004 is 4,096 behind
			v.expectSigns(1, 1005)
			v.expectSigns(0, 1005)
			v.expectSigns(2, 5099, 5101)
		}),
	},
	{
		ID: "SEC-14/renewed", Requirements: []string{"SEC-14"}, Level: Must,
		Sentence: "After 2^22 messages there is another key, the one before holds for late ones, and what does not open renews none.",
		run: onSealed(func(z *sealedStage) {
			const n = 1 << 22
			_, v := z.pair()
			v.silence()
			v.seal.skip(n - 1000)
			v.expectSigns(1, n-1)
			p := v.probe(n)
			p.data = gcm(v.seal.out).Seal(nil, nonce(n), inner(serviceDelivery, appendBool(nil, 3, false)), selfBytes(v.me, v.other))
			v.raw(v.message(p)) // by the old key
			v.expectSigns(1, n)
			v.expectSigns(1, n-2) // late
			v.expectSigns(0, 3*n) // two keys ahead
			forged := v.probe(2*n + 1)
			forged.data[0] ^= 1
			v.raw(v.message(forged))
			v.expectSigns(2, n+1, n-3)
			v.seal.skip(2*n - 1000)
			v.expectSigns(1, 2*n)
			v.expectSigns(1, 2*n-1) // late
			z.hear(v)
		}),
	},
	{
		ID: "SEC-16/unnumbered", Requirements: []string{"SEC-16"}, Level: Must,
		Sentence: "A user message without a number is ignored.",
		run: onSealed(func(z *sealedStage) {
			_, v := z.pair()
			v.send(serviceUser, fullMessage(typeText, []byte("no number")))
			v.send(serviceUser, appendVarint(fullMessage(typeText, []byte("no number, to all")), 79, 1))
			v.send(serviceUser, appendVarint(fullMessage(typeText, []byte("a session alone")), 78, uint64(v.theirs)))
			z.hear(v)
			z.never("a message without a number", func(e driver.Event) bool { return e.Event == "message" })
		}),
	},
	{
		ID: "SEC-17/sends", Requirements: []string{"SEC-12", "SEC-13", "SEC-16", "SEC-17", "SEC-18"}, Level: Must,
		Sentence: "A member's messages to all arrive sealed, with the fact that they are to all; a long one has one body for all, and a key of its own.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			a, _, _ := z.admit("A", z.actor(member(5)))
			b, _, _ := z.admit("B", z.actor(member(6)))
			for _, v := range []*voice{a, b} {
				z.untilMarked(v.keeper)
			}
			keys := make(map[string]bool)
			for i, n := range []int{1, 14_000, 15_000, 40_000, 40_000} {
				text := strings.Repeat(string(rune('a'+i)), n)
				z.do(driver.Command{"cmd": "send", "text": text})
				got, bodies, key := a.expectToAll()
				other, same, again := b.expectToAll()
				z.expect(got == text && other == text, "a message to all", fmt.Sprintf("%d times %.1s", n, text), fmt.Sprintf("%.20s, %.20s", got, other))
				if n < 14_000 {
					continue // the whole may have been sealed for each
				}
				z.expect(len(bodies) > 0 && bytes.Equal(bodies, same) && key == again, "the body of a message to all", "the same for all", "others")
				z.expect(!keys[key], "the key of a message to all", "a new one", "that of the one before")
				keys[key] = true
			}
		}),
	},
	{
		ID: "SEC-17/receives", Requirements: []string{"SEC-17"}, Level: Must,
		Sentence: "A member delivers messages to all that were sealed once, short and long, and those that were sealed for it.",
		run: onSealed(func(z *sealedStage) {
			_, v := z.pair()
			for _, n := range []int{0, 1, 5000, 15_000, 40_000} {
				text := strings.Repeat("z", n)
				v.sayToAll(text, uint32(n), nil)
				z.expectMessage(v.me, []byte(text), true)
			}
			for _, all := range []bool{true, false} {
				v.send(serviceUser, v.numbered(fullMessage(typeText, []byte("for one")), all))
				z.expectMessage(v.me, []byte("for one"), true)
			}
		}),
	},
	{
		ID: "SEC-18/digest", Requirements: []string{"SEC-18"}, Level: Must,
		Sentence: "A body with another digest, or by another key, or for another part, is ignored; the right one is delivered then.",
		run: onSealed(func(z *sealedStage) {
			_, v := z.pair()
			text := strings.Repeat("r", 6000)
			wrong := bytes.Repeat([]byte("w"), 6000)
			sent := v.sent
			spoiled := func(change func(b *bodied)) {
				v.sent = sent
				v.sayToAll(text, 1, change)
			}
			spoiled(func(b *bodied) { b.body = sealBody(b.key, 0, wrong) })
			spoiled(func(b *bodied) { b.body[3] ^= 1 })
			spoiled(func(b *bodied) { b.digest = random32() })
			spoiled(func(b *bodied) { b.digest = nil })
			spoiled(func(b *bodied) { b.key = random32() })
			spoiled(func(b *bodied) { b.key = b.key[:31] })
			spoiled(func(b *bodied) { b.body = nil })
			spoiled(func(b *bodied) { b.body = sealBody(b.key, 1, wrong); d := sha256.Sum256(b.body); b.digest = d[:] })
			v.barrier()
			z.never("a message with a wrong body", func(e driver.Event) bool { return e.Event == "message" })
			spoiled(nil)
			z.expectMessage(v.me, []byte(text), true)
			v.expectOpen("after wrong bodies")
		}),
	},
	{
		ID: "SEC-27/unsealed", Requirements: []string{"SEC-27"}, Level: Must,
		Sentence: "A member closes a channel on which something comes that is not of service 7701, for it or to be forwarded, and takes no notice of it.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			b, _, _ := z.admit("B", z.actor(member(6)))
			for i, what := range []envelope{
				{service: serviceUser, recipient: z.id, content: fullMessage(typeText, []byte("unsealed"))},
				{service: serviceUser, recipient: 0, content: fullMessage(typeText, []byte("unsealed, to all"))},
				{service: serviceBeat, recipient: z.id},
				{service: serviceMesh, recipient: z.id, content: membersMessage(member(77))},
				{service: serviceUser, recipient: member(6), content: fullMessage(typeText, []byte("unsealed, for B"))},
				{service: 4242, recipient: z.id, content: []byte{8, 1}},
			} {
				v, _, _ := z.admit("A", z.actor(member(uint32(10+i))))
				what.sender = v.me
				v.raw(what.encode())
				v.expectClosed("after "+what.String(), deadline())
			}
			b.barrier()
			_, err := b.in.take(time.Now(), func(m received) bool { return m.env.sender != z.id })
			z.expect(err != nil, "what B is sent", "nothing that was not sealed", "something")
			z.never("an unsealed message", func(e driver.Event) bool { return e.Event == "message" || e.Event == "join" && e.Member == member(77) })
			z.hear(b)
		}),
	},
	{
		ID: "SEC-36/forwards", Requirements: []string{"SEC-12", "SEC-36"}, Level: Must,
		Sentence: "A member forwards what is of service 7701 as it is, and ignores it when it is to nobody.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			a, _, _ := z.admit("A", z.actor(member(5)))
			b, _, _ := z.admit("B", z.actor(member(6)))
			for _, content := range [][]byte{{8, 1}, handshakeMessage(1, random32()), sealedPart{7, 1 << 40, random32(), random32()}.encode()} {
				e := envelope{a.me, b.me, serviceSealed, content}
				a.raw(e.encode())
				m := b.expect("a Message of A, passed on", deadline(), func(e envelope) bool { return e.sender == a.me })
				z.expect(bytes.Equal(m.raw, e.encode()), "a Message passed on", e.String(), m.env)
			}
			a.silence()
			a.raw(envelope{a.me, 0, serviceSealed, a.probe(1000).encode()}.encode())
			a.expectSigns(0)
			a.expectSigns(1, 1001)
		}),
	},
	{
		ID: "SEC-23/answered", Requirements: []string{"SEC-23", "SEC-25", "SEC-28"}, Level: Must,
		Sentence: "A handshake by which a member would have another identity leads to nothing; the user is told, and the session that there is stays.",
		run: onSealed(func(z *sealedStage) {
			a, v := z.pair()
			other := z.actor(a.id)
			w := v.relay("A", a.id)
			h := other.asks(w)
			h.say(3, h.third())
			z.event("the refusal", deadline(), func(e driver.Event) bool { return e.Event == "refused" && e.Member == a.id && e.Reason == "identity" })
			z.event("the dispute", deadline(), func(e driver.Event) bool { return e.Event == "disputed" && e.Member == a.id })
			w.within(h.session()).put(serviceUser, v.numbered(fullMessage(typeText, []byte("by another identity")), false))
			v.sent--
			v.barrier()
			z.never("a message by another identity", func(e driver.Event) bool { return e.Event == "message" })
			z.hear(v)
			got := z.status().Identities[fmt.Sprint(a.id)]
			z.expect(got == identityText(a.identity.PublicKey()), "the identity of A", "as it was", got)
		}),
	},
	{
		ID: "SEC-23/asked", Requirements: []string{"SEC-19", "SEC-23", "SEC-24", "SEC-25"}, Level: Must,
		Sentence: "Who has heard of a member's identity sends one that shows another no message 3.",
		run: onSealed(func(z *sealedStage) {
			b := z.actor(member(2))
			v := z.joinThrough(z.actor(member(1)), b)
			w := v.relay("B", b.id)
			other := z.actor(b.id)
			h := other.heard(w, w.expectHandshake(1, 80))
			h.say(2, h.second())
			z.event("the dispute", deadline(), func(e driver.Event) bool { return e.Event == "disputed" && e.Member == b.id })
			z.settled(deadline())
			v.barrier()
			w.noHandshake("with another identity", 3)
			z.expectMembers(member(1))
		}),
	},
	{
		ID: "SEC-11/another-id", Requirements: []string{"SEC-11", "SEC-35"}, Level: Must,
		Sentence: "Inside the group a handshake in which an end says that it has another id than its envelope leads to no session; without one nobody counts as a member.",
		run: onSealed(func(z *sealedStage) {
			_, v := z.pair()
			w := v.relay("B", member(2))
			h := z.actor(member(2)).asks(w)
			h.by = z.actor(member(3))
			h.say(3, h.third())
			t := h.session()
			for _, t.me = range []uint32{member(2), member(3)} {
				as := v.relay("B or C", t.me)
				as.put(serviceSealed, t.seal(serviceBuilder, meshRequest(t.me, member(1))))
				v.barrier()
				n := as.count()
				z.expect(n == 0, "the answer to a request in no session", "none", n)
			}
			w.put(serviceSealed, handshakeMessage(1, z.actor(member(2)).shaking(w, true).first()))
			w.expectHandshake(2, 136)
			z.expectMembers(member(1))
			z.never("a join", func(e driver.Event) bool { return e.Event == "join" && e.Member != member(1) })
			right := w.within(z.actor(member(2)).initiates(w))
			right.put(serviceBuilder, meshRequest(member(2), member(1)))
			right.expectResponse(true)
			z.expectJoin(member(2))
		}),
	},
	{
		ID: "SEC-19/repeated", Requirements: []string{"SEC-19"}, Level: Must,
		Sentence: "Inside the group messages 1 and 3 come again, the same bytes, as long as no answer does.",
		run: onSealed(func(z *sealedStage) {
			b := z.actor(member(2))
			v := z.joinThrough(z.actor(member(1)), b)
			w := v.relay("B", b.id)
			first := w.expectHandshake(1, 80)
			begin := time.Now()
			again := w.expectHandshake(1, 80)
			z.between("message 1 again", time.Since(begin), time.Second, time.Second)
			z.expect(bytes.Equal(first, again), "message 1 again", "the same", "another one")
			h := b.heard(w, first)
			h.say(2, h.second())
			third := w.expectHandshake(3, 72)
			h.take(third, noProof)
			in := w.within(h.session())
			in.expectRequest(deadline())
			again = w.expectHandshake(3, 72)
			z.expect(bytes.Equal(third, again), "message 3 again", "the same", "another one")
			in.put(serviceBuilder, connectionResponse(false))
			z.settled(deadline())
		}),
	},
	{
		ID: "SEC-19/crossed", Requirements: []string{"SEC-19"}, Level: Must,
		Sentence: "Of two members that begin a handshake at once the one with the lower id stays its initiator.",
		run: onSealed(func(z *sealedStage) {
			low, high := z.actor(member(2)), z.actor(1<<32-2)
			v := z.joinThrough(z.actor(member(1)), low, high)
			w := v.relay("the higher", high.id)
			first := w.expectHandshake(1, 80)
			w.put(serviceSealed, handshakeMessage(1, high.shaking(w, true).first()))
			v.barrier()
			w.noHandshake("for the member with the higher id, which is to answer", 2)
			h := high.heard(w, first)
			h.say(2, h.second())
			in := w.within(h.over())
			in.expectRequest(deadline())
			in.put(serviceBuilder, connectionResponse(false))

			w = v.relay("the lower", low.id)
			w.expectHandshake(1, 80)
			in = w.within(low.initiates(w))
			in.expectRequest(deadline())
			in.put(serviceBuilder, connectionResponse(false))
			z.settled(deadline())
		}),
	},
	{
		ID: "SEC-51/two", Requirements: []string{"SEC-51"}, Level: Must,
		Sentence: "Of two sessions with a member both are open, and it answers in the one that the other end has made last.",
		run: onSealed(func(z *sealedStage) {
			a, v := z.pair()
			w := v.relay("A", a.id)
			in := w.within(a.initiates(w))
			for _, put := range []func(uint32, []byte){v.send, in.put, v.send} {
				put(serviceDelivery, appendBool(nil, 3, false))
				in.expect("a sign of life in the newest session", deadline(), serviceDelivery, func(fs fields) bool { return fs.uint(3) == 1 })
			}
		}),
	},
	{
		ID: "SEC-22/dials", Requirements: []string{"SEC-21", "SEC-22"}, Level: Must,
		Sentence: "A joiner opens a WebSocket to its member by a URL that has the index of the session, and no key or id.",
		run: onSealed(func(z *sealedStage) {
			a := z.actor(member(1))
			h := z.bound(a, nil)
			h.way = h.way.within(a.responds(h.way))
			i := h.agree()
			i.id = z.lastSig
			l := z.listen()
			h.way.put(serviceBuilder, negotiation(i, info{wss: "ws://" + l.Addr().String(), group: groupID, dcTried: true}))
			d := z.accept(l, "the listening member", deadline(), false)
			t := h.way.seal
			want := fmt.Sprintf("/?type=1&wcId=0&senderId=%d&sealed=1", t.mine)
			z.expect(d.target == want, "the URL of a WebSocket", want, d.target)
			c := d.run.newLink("the listening member", nil)
			c.seal, c.me, c.other = t, t.me, t.other
			d.pump(c)
			c.send(serviceBeat, ping{0, groupID, a.id, []uint32{a.id}, z.key}.encode())
			c.expectPong(z.id)
			c.begin(a.id, z.id)
			v := z.voice(c)
			z.settled(deadline())
			z.hear(v)
		}),
	},
	{
		ID: "SEC-34/end", Requirements: []string{"SEC-34"}, Level: Must,
		Sentence: "A member that leaves says beside bye which part was its last.",
		run: onSealed(func(z *sealedStage) {
			_, v := z.pair()
			z.untilMarked(v.keeper)
			z.do(driver.Command{"cmd": "sendTo", "to": v.me, "text": "the last"})
			v.number++
			v.expectPart(v.number)
			v.ack(v.number)
			n, err := z.peer.Send(driver.Command{"cmd": "leave"})
			z.expect(err == nil, "leave", "that the driver takes it", err)
			bye := v.expectDelivery("bye", deadline(), 4)
			z.expect(bye.has(5) && uint64(bye.uint(5)) == v.number, "end beside bye", fmt.Sprint(v.number), fmt.Sprint(bye.has(5), bye.uint(5)))
			_, err = z.peer.Answer(timeout, n)
			z.expect(err == nil, "leave", "ok", err)
			z.out = true
		}),
	},
}

// barrier has the peer under test answer something, after all that was sent before over this link.
func (v *voice) barrier() {
	v.theirs ^= 1 // an echo that is wrong is answered (EXT-2)
	v.greet(1 << 20)
	v.theirs ^= 1
	v.expectDelivery("an answer to a hello with another echo", deadline(), 1)
}

// probe is a probe sealed under this counter.
func (v *voice) probe(counter uint64) sealedPart {
	return v.seal.sealedAs(counter, inner(serviceDelivery, appendBool(nil, 3, false)))
}

// expectSigns sends probes under these counters, and expects so many answers.
func (v *voice) expectSigns(want int, counters ...uint64) {
	for _, c := range counters {
		v.raw(v.message(v.probe(c)))
	}
	v.barrier()
	got := 0
	for {
		_, err := v.in.take(time.Now(), func(m received) bool {
			return m.env.service == serviceDelivery && mustParse(m.env.content).uint(3) == 1
		})
		if err != nil {
			break
		}
		got++
	}
	v.run.expect(got == want, fmt.Sprintf("answers to probes with the counters %v", counters), fmt.Sprint(want), got)
}

// A bodied is a part of a message to all, sealed once.
type bodied struct{ key, body, digest []byte }

// sayToAll sends a text to all, in chunks with this id if it is long; change may spoil what is in its parts.
func (v *voice) sayToAll(text string, id uint32, change func(*bodied)) {
	key := random32()
	parts := [][]byte{fullMessage(typeText, []byte(text))}
	if len(text) > wholeSize {
		parts = cut(typeText, id, []byte(text))
	}
	for i, content := range parts {
		fs := mustParse(content)
		var plain []byte
		if f := fs.find(4); f != nil {
			c := mustParse(f.bytes)
			plain = c.bytes(4)
			f.bytes = c.without(4).encode()
		} else {
			plain = fs.bytes(3)
			fs.find(3).bytes = []byte{}
		}
		b := &bodied{key: key, body: sealBody(key, uint32(i), plain)}
		digest := sha256.Sum256(b.body)
		b.digest = digest[:]
		if change != nil {
			change(b)
		}
		in := appendBytes(inner(serviceUser, v.numbered(fs.encode(), true)), 3, b.key)
		if b.digest != nil {
			in = appendBytes(in, 4, b.digest)
		}
		p := v.seal.sealed(in)
		p.body = b.body
		v.raw(v.message(p))
	}
}

// expectToAll expects a text to all, and returns it, its bodies and the key of them.
func (v *voice) expectToAll() (text string, bodies []byte, key string) {
	for {
		m := v.expect("a message to all", deadline(), func(e envelope) bool { return e.service == serviceUser })
		fs := mustParse(m.env.content)
		v.number++
		v.run.expect(fs.uint(79) == 1 && uint64(fs.uint(77)) == v.number && fs.uint(78) == v.session, "a part of a message to all",
			fmt.Sprintf("all, number %d, session %d", v.number, v.session), fmt.Sprint(fs.uint(79), fs.uint(77), fs.uint(78)))
		e, _ := parseEnvelope(m.raw)
		p, _ := parseSealed(e.content)
		bodies = append(bodies, p.body...)
		if in, err := v.seal.open(p); err == nil {
			key = string(in.bytes(3))
		}
		part := fs.bytes(3)
		if fs.has(4) {
			part = parseChunk(fs).content
		}
		text += string(part)
		if int(fs.uint(1)) <= len(text) {
			return text, bodies, key
		}
	}
}

package conformance

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Cases of sealed groups: how a bot is invited into them, by a member that the suite plays.
var secBot = []*Case{
	{
		ID: "SEC-20/invited", Requirements: []string{"SEC-3", "SEC-4", "SEC-6", "SEC-8", "SEC-9", "SEC-11", "SEC-12", "SEC-13", "SEC-16", "SEC-20", "SEC-21", "SEC-22", "SEC-24"}, Level: Must,
		Sentence: "A bot shows who invites it its identity, takes the secret and the key, has a session with that one, and is a member of the sealed group.",
		run: onSealedBot(func(z *sealedStage) {
			if z.peer != nil {
				z.named("é 1+1 " + randomName())
				z.expectInviteURL()
			}
			a, v := z.invited()
			z.heard(v)
			if z.peer == nil {
				return
			}
			st := z.status()
			z.expect(st.State == "JOINED" && st.Signaling == "CHECKED" && st.ID == z.id && st.Key == z.plain && st.Group == z.group,
				"the status", fmt.Sprintf("JOINED, CHECKED, id %d, group %d, key %s", z.id, z.group, z.plain), fmt.Sprintf("%+v", st))
			z.expectMembers(a.id)
			z.expectNeighbors(a.id)
			z.expectJoin(a.id)
			z.expectIdentities(map[uint32]string{z.id: z.identity, a.id: identityText(a.identity.PublicKey())})
			z.untilMarked(v.keeper)
			z.hear(v)
		}),
	},
	{
		ID: "SEC-20/answers-alone", Requirements: []string{"SEC-9", "SEC-20"}, Level: Must,
		Sentence: "A bot says nothing on its own accord: one message 2 for message 1 of an invitation, and then one for that of the session.",
		run: onSealedBot(func(z *sealedStage) {
			a := z.actor(member(1))
			v := z.knocks(a)
			v.quiet("before message 1 of an invitation")
			v.begins()
			v.quiet("after message 2 of an invitation")
			v.invites(3, v.write(z.told()))
			v.quiet("after message 3 of an invitation")
			h := a.asks(v.way)
			v.learn(h)
			v.quiet("after message 2 of the session's handshake")
			h.say(3, h.third())
			v.quiet("before initPing")
		}),
	},
	{
		ID: "SEC-20/odd-inviters", Requirements: []string{"SEC-20", "SEC-29"}, Level: Must,
		Sentence: "A bot closes the WebSocket of who says something else than an invitation, or not in its order, and can be invited then.",
		run: onSealedBot(func(z *sealedStage) {
			initial := ping{0, z.group, member(1), []uint32{member(1)}, z.key}.encode()
			for what, say := range map[string]func(v *visit){
				"initPing, unsealed": func(v *visit) { v.d.send(initial) },
				"another service":    func(v *visit) { v.put(serviceUser, invitationMessage(1, v.write(nil))) },
				"nothing sealed":     func(v *visit) { v.put(serviceSealed, []byte{}) },
				"an id in the envelope": func(v *visit) {
					v.d.send(envelope{member(1), 0, serviceSealed, invitationMessage(1, v.write(nil))}.encode())
				},
				"a recipient": func(v *visit) {
					v.d.send(envelope{0, member(2), serviceSealed, invitationMessage(1, v.write(nil))}.encode())
				},
				"an empty message 1":     func(v *visit) { v.invites(1, nil) },
				"a message 1 too short":  func(v *visit) { v.invites(1, v.write(nil)[:31]) },
				"a message 1 too long":   func(v *visit) { v.invites(1, v.write([]byte{0})) },
				"a very long message":    func(v *visit) { v.invites(1, v.write(make([]byte, 70_000))) },
				"a key of zeros":         func(v *visit) { v.invites(1, make([]byte, 32)) }, // SEC-8
				"step 0":                 func(v *visit) { v.invites(0, v.write(nil)) },
				"message 2 first":        func(v *visit) { v.invites(2, make([]byte, 96)) },
				"message 3 first":        func(v *visit) { v.invites(3, make([]byte, 96)) },
				"message 1 of a session": func(v *visit) { v.say(1, v.as.shaking(v.way, true).first()) },
				"a Sealed":               func(v *visit) { v.put(serviceSealed, sealedPart{0, 0, make([]byte, 40), nil}.encode()) },
				"message 1 twice":        func(v *visit) { v.begins(); v.invites(1, newPrivate().PublicKey().Bytes()) },
				"a changed message 3":    func(v *visit) { v.begins(); v.invites(3, flipped(v.write(z.told()), 60)) },
				"a session before it":    func(v *visit) { v.begins(); v.say(1, v.as.shaking(v.way, true).first()) },
				"half a secret":          func(v *visit) { v.begins(); v.invites(3, v.write(z.secret[:16])) },
				"a secret without a key": func(v *visit) { v.begins(); v.invites(3, v.write(z.secret)) },
				"a key of 513 bytes": func(v *visit) {
					v.begins()
					v.invites(3, v.write(append(bytes.Clone(z.secret), strings.Repeat("k", 513)...)))
				},
				"nothing after message 2":  func(v *visit) { v.begins(); v.d.shut(1000) },
				"initPing after message 2": func(v *visit) { v.begins(); v.d.send(initial) },
				"message 3 of a session":   func(v *visit) { v.begins(); v.say(3, v.write(z.told())) },
			} {
				v := z.knocks(z.actor(member(1)))
				say(v)
				v.refused("after "+what, soon())
			}
			_, v := z.invited()
			z.heard(v)
		}),
	},
	{
		ID: "SEC-20/odd-members", Requirements: []string{"SEC-9", "SEC-11", "SEC-12", "SEC-20", "SEC-21"}, Level: Must,
		Sentence: "A bot that has the secret closes the WebSocket of who has another identity in the session's handshake, not the secret, or says something else, and can be invited into that group then.",
		run: onSealedBot(func(z *sealedStage) {
			initial := ping{0, z.group, member(1), []uint32{member(1)}, z.key}.encode()
			shake := func(change func(*shaking)) func(*visit) {
				return func(v *visit) {
					h := v.as.asks(v.way)
					v.learn(h)
					change(h)
				}
			}
			for what, say := range map[string]func(v *visit){
				"another identity": func(v *visit) { v.as.identity = newPrivate(); shake(func(h *shaking) { h.say(3, h.third()) })(v) },
				"another proof":    func(v *visit) { v.as.keys.gate = random32(); v.say(1, v.as.shaking(v.way, true).first()) },
				"no proof":         func(v *visit) { v.say(1, v.as.shaking(v.way, true).must(nil)) },
				"another secret": func(v *visit) {
					v.as.keys = deriveKeys(random32(), z.plain)
					v.say(1, v.as.shaking(v.way, true).first())
				},
				"message 3 first":       func(v *visit) { v.say(3, make([]byte, 72)) },
				"another invitation":    func(v *visit) { v.invites(1, newPrivate().PublicKey().Bytes()) },
				"message 3 again":       func(v *visit) { v.invites(3, make([]byte, 96)) },
				"initPing, unsealed":    func(v *visit) { v.d.send(initial) },
				"message 1 twice":       shake(func(h *shaking) { h.say(1, h.by.shaking(h.way, true).first()) }),
				"a changed message 3":   shake(func(h *shaking) { h.say(3, flipped(h.third(), 60)) }),
				"initPing too early":    shake(func(h *shaking) { h.way.put(serviceSealed, initial) }),
				"an id that cannot be":  shake(func(h *shaking) { h.by.id = 7; h.say(3, h.third()) }),
				"the bot's own id":      shake(func(h *shaking) { h.by.id = z.id; h.say(3, h.third()) }),
				"unsealed in a session": func(v *visit) { v.meets(); v.d.send(initial) },
				"another id in initPing": func(v *visit) {
					t := v.meets()
					v.d.send(envelope{t.me, t.other, serviceSealed, t.seal(serviceBeat, ping{0, z.group, t.me ^ 1, []uint32{t.me ^ 1}, z.key}.encode())}.encode())
				},
			} {
				v := z.knocks(z.actor(member(1)))
				v.hands()
				say(v)
				v.refused("after "+what, soon())
			}
			_, v := z.invited()
			z.heard(v)
		}),
	},
	{
		ID: "SEC-20/once", Requirements: []string{"CHN-10", "SEC-20"}, Level: Must,
		Sentence: "A bot that is invited into a sealed group in which it is refuses, and stays; under the same key it can be in another group.",
		run: onSealedBot(func(z *sealedStage) {
			_, v := z.invited()
			again := z.knocks(z.actor(member(2)))
			again.hands()
			again.refused("a second invitation into a group", soon())
			z.heard(v)
			v.expectOpen("after a second invitation")
			other := z.anotherGroup()
			_, w := other.invited()
			other.heard(w)
			z.heard(v)
		}),
	},
	{
		ID: "SEC-20/refusal-code", Requirements: []string{"SEC-20"}, Level: Should,
		Sentence: "A bot that refuses an invitation closes the WebSocket with 1008.",
		run: onSealedBot(func(z *sealedStage) {
			z.invited()
			again := z.knocks(z.actor(member(2)))
			again.hands()
			code := again.refused("a second invitation into a group", soon())
			z.ended(code == 1008, "a second invitation into a group", "a close frame with 1008", fmt.Sprint(code))
		}),
	},
	{
		ID: "SEC-20/slow-inviters", Requirements: []string{"CHN-16", "CHN-26", "SEC-20"}, Level: Must, Slow: true,
		Sentence: "A bot closes the WebSocket of an invitation that has not come to its end 10 s after it was open, wherever that has stopped, and can be invited then.",
		run: onSealedBot(func(z *sealedStage) {
			begin := time.Now()
			late := time.After(5 * time.Second)
			var all []*visit
			for i, what := range []string{"says nothing", "says message 1", "begins a session", "has a session", "hands the secret late"} {
				g := z.anotherGroup() // or it would be refused
				v := g.knocks(g.actor(member(1)))
				v.name = "one that " + what
				all = append(all, v)
				if i > 0 {
					v.begins()
				}
				if i == 4 {
					<-late
				}
				if i > 1 {
					v.invites(3, v.write(g.told()))
				}
				if i == 2 {
					v.learn(v.as.asks(v.way))
				}
				if i == 3 {
					v.meets()
				}
			}
			for _, v := range all {
				v.refused("the invitation by "+v.name, within(10*time.Second))
				z.between("the end of the invitation by "+v.name, time.Since(begin), 10*time.Second, 10*time.Second)
			}
		}),
	},
	{
		ID: "SEC-22/joiner", Requirements: []string{"SEC-12", "SEC-21", "SEC-22", "BLD-9", "BLD-12"}, Level: Must,
		Sentence: "A bot of a sealed group lets a joiner in by a WebSocket whose URL has the index of their session, and answers 401 to all others.",
		run: onSealedBot(func(z *sealedStage) {
			z.needDriver("signaling of the case's own")
			a, v := z.invited()
			b := z.actor(member(5))
			w := z.nextJoiner("J")
			w = w.within(b.initiates(w))
			w.put(serviceBuilder, connectionRequest([]byte{}))
			w.expectResponse(true)
			t := w.seal
			call := func(kind int, index uint32) string {
				return fmt.Sprintf("type=%d&wcId=0&senderId=%d&sealed=1", kind, index)
			}
			w.put(serviceBuilder, negotiation(info{}))
			_, passive := w.expectNegotiation(deadline())
			z.expect(passive != nil && passive.wss == z.at, "where the bot listens", z.at, fmt.Sprintf("%+v", passive))
			z.refused(
				fmt.Sprintf("type=1&wcId=%d&senderId=%d&key=%s", z.group, z.lastSig, z.key),
				fmt.Sprintf("type=1&wcId=%d&senderId=%d&key=%s", z.group, z.lastSig, url.QueryEscape(z.plain)),
				fmt.Sprintf("type=0&wcId=%d&senderId=%d", z.group, a.id),
				call(1, t.theirs^1), call(0, t.theirs), call(2, t.theirs), call(1, v.seal.theirs), "type=1&wcId=0&senderId=-1&sealed=1",
				fmt.Sprintf("type=1&wcId=0&senderId=%d", t.theirs),
			)
			d := z.enter("J", call(1, t.theirs))
			l := z.newLink("J", nil)
			l.seal, l.me, l.other = t, t.me, t.other
			d.pump(l)
			m := l.expect("initPing, sealed", deadline(), func(e envelope) bool { return e.service == serviceBeat && mustParse(e.content).has(1) })
			p := parsePing(mustParse(m.env.content).sub(1))
			members := slices.Sorted(slices.Values(p.members))
			want := slices.Sorted(slices.Values([]uint32{a.id, z.id}))
			z.expect(p.sender == z.id && p.key == z.key && p.group == z.group && slices.Equal(members, want), "initPing", fmt.Sprintf("of %d, with the room name", z.id), p)
			l.send(serviceBeat, pong(b.id))
			l.begin(b.id, z.id)
			z.expectJoin(b.id)
			z.hear(z.voice(l))
			z.hear(v)
		}),
	},
	{
		ID: "SEC-53/list", Requirements: []string{"SEC-20", "SEC-26", "SEC-53"}, Level: Must,
		Sentence: "A bot with a list of identities refuses invitations into groups that are not sealed, and by members that are not on its list.",
		run: func(r *run) {
			own := newPrivate()
			onSealedBot(func(z *sealedStage) {
				z.stage.refused(
					fmt.Sprintf("type=2&wcId=%d&senderId=-1&key=%s", z.group, z.key),
					fmt.Sprintf("type=2&wcId=%d&senderId=-1&key=%s&sealed=0", z.group, z.key),
				)
				other := z.knocks(z.actor(member(1)))
				other.hands()
				other.refused("an invitation by one that is not on the list", soon())
				a := z.actor(member(2))
				a.identity = own
				v := z.invite(a)
				z.checks(deadline(), a.id)
				z.hear(v)
			}, "-allow", identityText(own.PublicKey()))(r)
		},
	},
}

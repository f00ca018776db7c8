package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// Cases of sealed groups: how a member invites a bot, which the suite plays.
var secInviter = []*Case{
	{
		ID: "SEC-20/invites", Requirements: []string{"SEC-3", "SEC-4", "SEC-5", "SEC-6", "SEC-8", "SEC-9", "SEC-11", "SEC-12", "SEC-20", "SEC-22", "SEC-24"}, Level: Must,
		Sentence: "A member invites the bot that its user's URL names: it hands that one the secret and the key, has a session with it as the same member, and lets it in.",
		run: onSealed(func(z *sealedStage) {
			z.named("é 1+1 " + randomName())
			z.first(nil)
			a := z.actor(member(3))
			v := z.invitesBot("the bot", a, a.identity.PublicKey())
			first := v.expectInvitation(1, 32)
			v.quiet("before the bot has answered")
			v.read(first)
			v.invites(2, v.write(nil))
			v.handed()
			t := a.responds(v.way) // at once: the bot says nothing between
			z.expect(bytes.Equal(t.peer.Bytes(), v.noise.rs.Bytes()), "the identity in the session's handshake", identityText(v.noise.rs), identityText(t.peer))
			l := v.link(t)
			m := l.expect("initPing, sealed", deadline(), func(e envelope) bool { return e.service == serviceBeat && mustParse(e.content).has(1) })
			p := parsePing(mustParse(m.env.content).sub(1))
			z.expect(p.sender == z.id && p.key == z.key && slices.Equal(p.members, []uint32{z.id}) && p.group == z.status().Group, "initPing",
				fmt.Sprintf("of %d, with the room name", z.id), p)
			l.send(serviceBeat, pong(a.id))
			l.begin(a.id, z.id)
			z.expectJoin(a.id)
			bot := z.voice(l)
			z.hear(bot)
			z.untilMarked(bot.keeper)
			z.expectIdentities(map[uint32]string{z.id: identityText(t.peer), a.id: identityText(a.identity.PublicKey())})
			z.never("that the invitation failed", isError)
		}),
	},
	{
		ID: "SEC-20/no-identity", Requirements: []string{"SEC-6", "SEC-20"}, Level: Must,
		Sentence: "A member of a sealed group refuses to invite by a URL without an identity, or with one that is none, and opens no WebSocket.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			l := z.listen()
			good := identityText(newPrivate().PublicKey())
			last := "q"
			if good[62:] == last {
				last = "p"
			}
			for _, fragment := range []string{
				"", "#", "#top", "#" + good[:62], "#" + good[:62] + last,
				"#" + bech32m("mpsecret", random32()), "#" + bech32m("mpid", random32()[:31]), "#MPID1" + good[5:],
			} {
				z.vainly(inviteURL(l, fragment), "")
			}
			z.nobodyComes(l)
			z.expectMembers()
		}),
	},
	{
		ID: "SEC-20/another-bot", Requirements: []string{"SEC-20", "SEC-28"}, Level: Must,
		Sentence: "A member tells a bot with another identity than its URL says nothing, ends the WebSocket, and tells its user why.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			v := z.invitesBot("an impostor", z.actor(member(3)), newPrivate().PublicKey())
			v.read(v.expectInvitation(1, 32))
			v.invites(2, v.write(nil))
			v.refused("after message 2 by another identity", soon())
			z.failed("why the bot was not invited", "identity")
			z.expectMembers()
		}),
	},
	{
		ID: "SEC-20/another-member", Requirements: []string{"SEC-9", "SEC-20", "SEC-21", "SEC-28"}, Level: Must,
		Sentence: "A member that has handed a bot the secret refuses it when the session's handshake shows another identity, or not the secret.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			for reason, change := range map[string]func(*actor){
				"identity": func(a *actor) { a.identity = newPrivate() },
				"secret":   func(a *actor) { a.keys.gate = random32() },
			} {
				a := z.actor(member(3))
				v := z.invitesBot("the bot", a, a.identity.PublicKey())
				v.hears()
				h := a.heard(v.way, v.expectHandshake(1, 80))
				change(a)
				if reason == "identity" {
					h.noise.s = a.identity
				}
				h.say(2, h.second())
				v.refused("after message 2 with another "+reason, soon())
				z.failed("why the bot was refused", reason)
			}
			z.expectMembers()
		}),
	},
	{
		ID: "SEC-20/odd-bots", Requirements: []string{"SEC-20"}, Level: Must,
		Sentence: "A member ends the WebSocket, without the secret, when a bot's answer is unsealed, malformed, out of order, too long, or of somebody with an id.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			for what, answer := range map[string]func(v *visit, second []byte){
				"initPong, unsealed": func(v *visit, _ []byte) { v.d.send(pong(member(3))) },
				"another service":    func(v *visit, second []byte) { v.put(serviceUser, invitationMessage(2, second)) },
				"an id in the envelope": func(v *visit, second []byte) {
					v.d.send(envelope{member(3), 0, serviceSealed, invitationMessage(2, second)}.encode())
				},
				"a recipient": func(v *visit, second []byte) {
					v.d.send(envelope{0, z.id, serviceSealed, invitationMessage(2, second)}.encode())
				},
				"nothing":                  func(v *visit, _ []byte) { v.invites(2, nil) },
				"a changed message 2":      func(v *visit, second []byte) { v.invites(2, flipped(second, 60)) },
				"a message 2 too short":    func(v *visit, second []byte) { v.invites(2, second[:95]) },
				"a message 2 too long":     func(v *visit, second []byte) { v.invites(2, append(bytes.Clone(second), 0)) },
				"a very long message 2":    func(v *visit, second []byte) { v.invites(2, append(bytes.Clone(second), make([]byte, 70_000)...)) },
				"message 2 with a payload": func(v *visit, _ []byte) { v.noise = &v.twin; v.invites(2, v.write([]byte("a payload"))) },
				"message 1":                func(v *visit, second []byte) { v.invites(1, second[:32]) },
				"message 3":                func(v *visit, second []byte) { v.invites(3, second) },
				"message 2 of a session":   func(v *visit, second []byte) { v.say(2, second) },
				"message 1 of a session":   func(v *visit, _ []byte) { v.say(1, v.as.shaking(v.way, true).first()) },
				"a Sealed":                 func(v *visit, second []byte) { v.put(serviceSealed, sealedPart{1, 0, second, nil}.encode()) },
			} {
				a := z.actor(member(3))
				v := z.invitesBot("a bot that answers with "+what, a, a.identity.PublicKey())
				first := v.expectInvitation(1, 32)
				v.read(first)
				v.twin = *v.noise
				answer(v, v.write(nil))
				v.refused("after "+what, soon())
				z.failed("that the bot was not invited", "")
			}
			z.expectMembers()
		}),
	},
	{
		ID: "SEC-20/odd-sessions", Requirements: []string{"SEC-12", "SEC-20", "SEC-21"}, Level: Must,
		Sentence: "A member ends the WebSocket when a bot that has the secret says something else than the session's handshake and initPong.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			id := member(3) // of which another one may be known when it has shown its identity (SEC-23)
			for what, answer := range map[string]func(v *visit, h *shaking){
				"initPong, unsealed":  func(v *visit, _ *shaking) { v.d.send(pong(v.as.id)) },
				"message 2 changed":   func(v *visit, h *shaking) { h.say(2, flipped(h.second(), 100)) },
				"message 3":           func(v *visit, h *shaking) { h.say(3, h.second()) },
				"message 2 again":     func(v *visit, h *shaking) { v.invites(2, h.second()) },
				"message 2 of nobody": func(v *visit, h *shaking) { h.by.id = 5; h.say(2, h.second()) },
				"initPong of another one": func(v *visit, h *shaking) {
					h.say(2, h.second())
					t := h.over()
					v.d.send(envelope{t.me, t.other, serviceSealed, t.seal(serviceBeat, pong(t.me^1))}.encode())
					v.takesPing()
				},
				"initPong, unsealed, in a session": func(v *visit, h *shaking) {
					h.say(2, h.second())
					h.over()
					v.d.send(pong(v.as.id))
					v.takesPing()
				},
			} {
				a := z.actor(id)
				id++
				v := z.invitesBot("a bot that says "+what, a, a.identity.PublicKey())
				v.hears()
				answer(v, a.heard(v.way, v.expectHandshake(1, 80)))
				v.refused("after "+what, soon())
				z.failed("that the bot was refused", "")
			}
			z.expectMembers()
		}),
	},
	{
		ID: "SEC-20/declined", Requirements: []string{"SEC-20"}, Level: Must,
		Sentence: "A member whose invitation a bot refuses tells its user, and can invite another one.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			a := z.actor(member(3))
			v := z.invitesBot("a bot that wants no group", a, a.identity.PublicKey())
			v.hears()
			v.d.shut(1008)
			z.failed("that the bot has refused", "")
			v = z.invitesBot("another bot", a, a.identity.PublicKey())
			v.hears()
			l := v.link(a.responds(v.way))
			l.expect("initPing, sealed", deadline(), func(e envelope) bool { return e.service == serviceBeat && mustParse(e.content).has(1) })
			l.send(serviceBeat, pong(a.id))
			l.begin(a.id, z.id)
			z.expectJoin(a.id)
		}),
	},
	{
		ID: "SEC-20/slow-bots", Requirements: []string{"CHN-16", "SEC-20"}, Level: Must, Slow: true,
		Sentence: "A member ends the WebSocket of an invitation that has not come to its end 10 s after it was open, wherever that has stopped.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			begin := time.Now()
			var all []*visit
			for i, what := range []string{"says nothing", "has the secret", "has message 3"} {
				a := z.actor(member(uint32(3 + i)))
				v := z.invitesBot("a bot that "+what+" and stops", a, a.identity.PublicKey())
				switch i {
				case 0:
					v.expectInvitation(1, 32)
				case 1:
					v.hears()
					v.expectHandshake(1, 80)
				case 2:
					v.hears()
					a.responds(v.way)
					v.takesPing()
				}
				all = append(all, v)
			}
			for _, v := range all {
				v.refused("the invitation of "+v.name, within(10*time.Second))
				z.between("the end of the invitation of "+v.name, time.Since(begin), 10*time.Second, 10*time.Second)
				z.failed("that the invitation has come to nothing", "")
			}
			z.expectMembers()
		}),
	},
	{
		ID: "SEC-26/invites", Requirements: []string{"SEC-20", "SEC-26", "SEC-28"}, Level: Must,
		Sentence: "A member with a list of identities hands none the secret that is not on it.",
		run: onSealed(func(z *sealedStage) {
			z.first(driver.Command{"allow": []string{identityText(newPrivate().PublicKey())}})
			l := z.listen()
			z.vainly(inviteURL(l, "#"+identityText(newPrivate().PublicKey())), "list")
			z.nobodyComes(l)
			z.expectMembers()
		}),
	},
	{
		ID: "SEC-6/fragment", Requirements: []string{"CHN-9", "SEC-6"}, Level: Must,
		Sentence: "A member of a group that is not sealed leaves the identity out that stands in a bot's URL.",
		run: onStage(func(s *stage) {
			_, err := s.peer.Do(timeout, driver.Command{"cmd": "join", "signaling": s.url(), "key": s.key, "secret": "none", "loopback": true})
			declined(err) // who knows no sealed groups knows no such URL either
			s.first()
			l := s.listen()
			s.do(driver.Command{"cmd": "invite", "url": inviteURL(l, "#"+identityText(newPrivate().PublicKey()))})
			d := s.accept(l, "the bot", deadline(), false)
			s.expectTarget(d, "/bots", fmt.Sprintf("type=2&wcId=%d&senderId=-1", s.status().Group))
			bot := d.link()
			s.initiate(bot, member(3))
			s.hear(bot)
		}),
	},
}

// vainly expects that the user is told that a bot is not invited, and why, if there is a reason.
func (z *sealedStage) vainly(url, reason string) {
	_, err := z.peer.Do(timeout, driver.Command{"cmd": "invite", "url": url})
	declined(err)
	if !isAnswer(err) { // it may say ok, and then that it comes to nothing
		z.failed("to invite by "+url, reason)
	}
}

func isError(e driver.Event) bool { return e.Event == "error" }

// takesPing takes the message that comes after the handshakes.
func (v *visit) takesPing() {
	b, err := v.next(deadline())
	e, _ := parseEnvelope(b)
	v.run.expect(err == nil && e.service == serviceSealed, "after the handshake", "initPing, sealed", fmt.Sprintf("%x, %v", b, err))
}

// say sends a message of the session's handshake.
func (v *visit) say(step int, data []byte) { v.put(serviceSealed, handshakeMessage(step, data)) }

package conformance

import (
	"fmt"
	"slices"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// Cases of a bot's groups from the invitation to the end.
var botLife = []*Case{
	{
		ID: "STA-6/invited", Requirements: []string{"STA-2", "STA-6", "STA-7", "SIG-3"}, Level: Must,
		Sentence: "An invited bot goes through CONNECTING, OPEN, CHECKING, CHECKED, and is JOINED; it connects once, as favored.",
		run: onBot(func(s *stage) {
			s.invite(member(1))
			s.opensFavored(deadline())
			s.connectsWith(deadline(), member(1))
			s.expectState("JOINING", deadline())
			s.never("JOINED before signaling is CHECKED", func(e driver.Event) bool { return e.State == "JOINED" })
			s.door.answer(true)
			s.states("CONNECTING", "OPEN", "CHECKING", "CHECKED")
			s.expectState("JOINED", deadline())
			s.noConnect("a bot whose connect is answered")
		}),
	},
	{
		ID: "STA-6/constructed-first", Requirements: []string{"STA-6", "MSH-5", "MSH-8", "BLD-13"}, Level: Must,
		Sentence: "A bot connects to signaling when its attempts with all members of the list have ended.",
		run: onBot(func(s *stage) {
			m := s.invite(member(1), member(2), member(3))
			w, _ := s.asksMember(m, member(3))
			second := m.relay("member 2", member(2))
			second.expectRequest(deadline())
			second.put(serviceBuilder, connectionResponse(false))
			s.hear(m)
			s.noSignaling("a bot with an attempt under way")
			i := info{id: s.id, wss: s.at, group: s.group}
			w.put(serviceBuilder, negotiation(i, info{id: member(3), group: s.group, wsTried: true, noDC: true}))
			s.checks(time.Now().Add(5*time.Second), member(1), member(3))
		}),
	},
	{
		ID: "BLD-16/nobody-comes", Requirements: []string{"BLD-16", "MSH-8"}, Level: Must, Slow: true,
		Sentence: "A bot whose members agree to a channel and do not open one gives up after 14 s.",
		run: onBot(func(s *stage) {
			m := s.invite(member(1), member(2))
			begin := time.Now()
			s.asksMember(m, member(2))
			s.livesApart(m, member(2))
			s.checks(within(14*time.Second), member(1), member(2))
			s.between("the end of the attempt", time.Since(begin), 14*time.Second, 14*time.Second)
		}),
	},
	{
		ID: "STA-13/favored-again", Requirements: []string{"STA-13", "STA-18", "SIG-3"}, Level: Must,
		Sentence: "A bot that loses signaling connects again, as favored, and messages flow meanwhile.",
		run: onBot(func(s *stage) {
			l := s.invited()
			s.door.drop()
			s.expectState("JOINING", deadline())
			s.expectState("JOINING", deadline())
			s.hear(l)
			s.speak(l)
			s.checks(within(3*time.Second), member(1))
		}),
	},
	{
		ID: "CHN-16/invited", Requirements: []string{"CHN-16", "CHN-26"}, Level: Must, Slow: true,
		Sentence: "A bot closes a WebSocket of kind 2 on which no initPing comes within 10 s, and can be invited again.",
		run: onBot(func(s *stage) {
			begin := time.Now()
			l := s.enter("member 1", s.query(2, -1)).link()
			l.expectClosed("no initPing", within(10*time.Second))
			s.between("the end of the channel", time.Since(begin), 10*time.Second, 10*time.Second)
			s.left(deadline())
			s.hear(s.invited())
		}),
	},
	{
		ID: "CHN-26/broken-invitation", Requirements: []string{"CHN-26"}, Level: Must,
		Sentence: "A bot whose inviting member is gone before initPing has left, and can be invited again.",
		run: onBot(func(s *stage) {
			s.enter("member 1", s.query(2, -1)).shut(1000)
			s.left(deadline())
			s.enter("member 2", s.query(2, -1)).drop()
			s.left(deadline())
			s.hear(s.invited())
		}),
	},
	{
		ID: "CHN-27/isolated", Requirements: []string{"CHN-10", "CHN-27"}, Level: Must,
		Sentence: "Two groups of one bot do not see each other: members, messages, signaling, and the end of one.",
		run: onBot(func(s *stage) {
			other := s.another()
			a, b := s.invited(), other.invited()
			s.expect(s.id != other.id, "the bot's ids in two groups", "two", s.id)
			s.refused(fmt.Sprintf("type=1&wcId=%d&senderId=7&key=%s", s.group, other.key))
			s.hear(a)
			s.speak(a)
			other.hear(b)
			other.speak(b)
			for _, l := range []*link{a, b} {
				rest := slices.DeleteFunc(l.in.all(), func(r received) bool { // a greeting of an extension is nobody's concern
					return !slices.Contains([]uint32{serviceUser, serviceBuilder, serviceRTC, serviceMesh}, r.env.service)
				})
				s.expect(len(rest) == 0, "for "+l.name, "only what is of its group", rest)
			}
			// An id of the one group means nothing in the other.
			a.raw(envelope{a.me, other.id, serviceUser, fullMessage(typeText, []byte("astray"))}.encode())
			s.hear(a)
			other.hear(b)
			s.never("a message for another", func(e driver.Event) bool { return e.Text != nil && *e.Text == "astray" })
			s.expectMembers(member(1))
			other.expectMembers(member(1))
			a.shut()
			s.left(deadline())
			s.door.expectEnd("the bot has left one group", deadline())
			other.hear(b)
			other.speak(b)
			b.expectOpen("the bot has left the other group")
			s.expect(other.status().State == "JOINED", "the state of the other group", "JOINED", other.status().State)
			s.never("that the other group ends", func(e driver.Event) bool { return e.Group == other.group && e.State == "LEFT" })
		}),
	},
	{
		ID: "CHN-29/alone", Requirements: []string{"CHN-29", "STA-17", "MSH-20", "MSH-22"}, Level: Should,
		Sentence: "A bot that is alone leaves the group, and can be invited again, as another member.",
		run: onBot(func(s *stage) {
			m := s.invited()
			w, _, _ := s.joinerAsks("J", info{})
			j := s.enter(w.name, s.query(1, int64(s.lastSig))).link()
			s.initiate(j, member(9))
			m.shut()
			s.expectLeave(member(1), deadline())
			s.hear(j)
			s.never("LEFT", func(e driver.Event) bool { return e.State == "LEFT" })
			j.shut()
			s.left(deadline())
			s.door.expectEnd("the bot has left", deadline())
			id := s.id
			s.hear(s.invited())
			s.expect(s.id != id, "the bot's id when it is invited again", "another one", id)
		}),
	},
	{
		ID: "CHN-10/left", Requirements: []string{"CHN-10", "STA-17", "MSH-22", "CHN-21"}, Level: Must,
		Sentence: "A bot that leaves closes its channels and signaling, answers 401 to joiners and members then, and can be invited again.",
		run: onBot(func(s *stage) {
			l := s.invited()
			s.do(driver.Command{"cmd": "leave"})
			s.left(deadline())
			l.expectClosed("the bot leaves", deadline())
			s.door.expectEnd("the bot leaves", deadline())
			s.refused(s.query(0, int64(member(2))), s.query(1, 7))
			s.hear(s.invited())
		}),
	},
	{
		ID: "CHN-5/socket-burst", Requirements: []string{"CHN-4", "CHN-5", "MSG-6"}, Level: Must,
		Sentence: "24 messages of 1 MiB that a bot sends in a row over a WebSocket all arrive, in order.",
		run: onBot(func(s *stage) {
			s.burst(s.invited())
		}),
	},
}

// livesApart sends the heartbeats of a distant member (MSH-13) over another one's link.
func (s *stage) livesApart(by *link, id uint32) {
	go func() {
		ticks := time.NewTicker(2 * time.Second)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				by.raw(envelope{id, s.id, serviceMesh, meshHeartbeat}.encode())
			case <-s.over:
				return
			}
		}
	}()
}

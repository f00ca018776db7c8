package conformance

import (
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

var staTrouble = []*Case{
	{
		ID: "STA-9/member-leaves", Requirements: []string{"STA-9", "STA-7", "SIG-25", "CHN-22", "MSH-20"}, Level: Must,
		Sentence: "When an adjacent member leaves and another stays, the member sends connect with those that stay.",
		run: onStage(func(s *stage) {
			s.first()
			s.door.expectConnect("the group is JOINED", deadline())
			a, b := s.admit("A", member(1)), s.admit("B", member(2))
			a.shut()
			s.expectLeave(member(1), deadline())
			s.connectsWith(deadline(), member(2))
			s.hear(b)
			s.expectMembers(member(2))
		}),
	},
	{
		ID: "STA-12/alone", Requirements: []string{"STA-12", "STA-4", "MSH-20"}, Level: Must,
		Sentence: "A member that is left alone sends connect without members, with the same id, and others can join through it.",
		run: onStage(func(s *stage) {
			m := s.pair()
			m.shut()
			s.expectLeave(member(1), deadline())
			s.connectsAgain("the member is alone", deadline())
			s.expectMembers()
			s.speak(s.admit("J", member(2)))
		}),
	},
	{
		ID: "STA-12/alone-and-joining", Requirements: []string{"STA-12", "STA-5"}, Level: Must,
		Sentence: "A member that is left alone, and is told connected:false then, joins anew with the same id.",
		run: onStage(func(s *stage) {
			m := s.pair()
			s.door.agree.Store(false)
			m.shut()
			s.connectsAgain("the member is alone", deadline())
			s.door.answer(false)
			h := s.bind(member(2))
			h.agree()
			l := h.way.offer(h.label(2)).answered()
			h.greet(l)
			s.connectsWith(deadline(), member(2))
			s.door.answer(true)
			s.expectMembers(member(2))
			s.speak(l)
		}),
	},
	{
		ID: "STA-13/signaling-lost", Requirements: []string{"STA-11", "STA-13", "STA-18", "SIG-39"}, Level: Must,
		Sentence: "A member that loses signaling (4744) is JOINING, connects again after 1.5 to 3 s with its members, and is JOINED; messages flow all the while.",
		run: onStage(func(s *stage) {
			m := s.pair()
			s.states("CONNECTING", "OPEN", "CHECKING", "CHECKED", "CHECKING", "CHECKED")
			s.expectState("JOINING", deadline())
			s.expectState("JOINED", deadline())
			s.door.shut(4744)
			begin := time.Now()
			s.expectState("JOINING", deadline())
			s.states("CLOSED")
			s.hear(m)
			s.speak(m)
			s.open(within(3 * time.Second))
			s.between("signaling is opened again", time.Since(begin), 1500*time.Millisecond, 3*time.Second)
			s.connectsWith(deadline(), member(1))
			s.speak(m)
			s.door.answer(true)
			s.expectState("JOINED", deadline())
			s.states("CONNECTING", "OPEN", "CHECKING", "CHECKED")
			s.never("leave", isLeave(member(1)))
		}),
	},
	{
		ID: "STA-14/signaling-lost-while-joining", Requirements: []string{"STA-14"}, Level: Must,
		Sentence: "A joiner that loses signaling while its mesh is being constructed connects again at once when it is constructed.",
		run: onStage(func(s *stage) {
			m := s.joinThrough(member(1), member(2))
			w := m.relay("B", member(2))
			w.expectRequest(deadline())
			s.door.shut(1011)
			s.event("signaling CLOSED", deadline(), func(e driver.Event) bool { return e.Event == "signaling" && e.State == "CLOSED" })
			w.put(serviceBuilder, connectionResponse(false))
			begin := time.Now()
			s.open(within(time.Second))
			s.between("signaling is opened again", time.Since(begin), 0, 500*time.Millisecond)
			s.connectsWith(deadline(), member(1))
			s.door.answer(true)
			s.joined(deadline())
		}),
	},
	{
		ID: "STA-15/lone-member", Requirements: []string{"STA-15", "STA-18", "STA-11", "MSH-1", "SIG-39"}, Level: Must,
		Sentence: "A lone member that loses signaling (4742) is JOINING, and joins after 1.5 to 3 s with a new id.",
		run: onStage(func(s *stage) {
			s.first()
			s.expectState("JOINING", deadline())
			s.expectState("JOINED", deadline())
			id := s.id
			s.door.shut(4742)
			begin := time.Now()
			s.expectState("JOINING", deadline())
			s.open(within(3 * time.Second))
			s.between("signaling is opened again", time.Since(begin), 1500*time.Millisecond, 3*time.Second)
			s.hello()
			s.expect(s.id != id, "the id of a member that lost everything", "another one", id)
			s.door.answer(true)
			s.expectState("JOINED", deadline())
		}),
	},
	{
		ID: "STA-15/joiner", Requirements: []string{"STA-15", "STA-18"}, Level: Must,
		Sentence: "A joiner that loses signaling before it has a channel joins after 1.5 to 3 s with a new id.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.way.expectRequest(deadline())
			id := s.id
			s.door.drop()
			begin := time.Now()
			s.open(within(3 * time.Second))
			s.between("signaling is opened again", time.Since(begin), 1500*time.Millisecond, 3*time.Second)
			s.hello()
			s.expect(s.id != id, "the id of a joiner that lost everything", "another one", id)
			s.door.answer(false)
			s.bind(member(2)).admitted()
			s.settled(deadline())
		}),
	},
	{
		ID: "STA-16/alone", Requirements: []string{"STA-16"}, Level: Must,
		Sentence: "A lone member that is not to rejoin, and loses signaling, is LEFT.",
		run: onStage(func(s *stage) {
			s.beginWith(driver.Command{"autoRejoin": false})
			s.hello()
			s.door.agree.Store(true)
			s.door.answer(true)
			s.joined(deadline())
			s.door.shut(4744)
			s.event("the state LEFT", deadline(), func(e driver.Event) bool { return e.Event == "state" && e.State == "LEFT" })
		}),
	},
	{
		ID: "STA-16/with-members", Requirements: []string{"STA-16"}, Level: Must,
		Sentence: "A member that is not to rejoin, and loses signaling, stays JOINED as long as it has members, and is LEFT then.",
		run: onStage(func(s *stage) {
			s.beginWith(driver.Command{"autoRejoin": false})
			s.hello()
			s.door.answer(false)
			m := s.bind(member(1)).admitted()
			s.settled(deadline())
			s.door.shut(4742)
			s.event("signaling CLOSED", deadline(), func(e driver.Event) bool { return e.Event == "signaling" && e.State == "CLOSED" })
			s.speak(m)
			st := s.status()
			s.expect(st.State == "JOINED" && st.Signaling == "CLOSED", "the status", "JOINED, CLOSED", st.State+", "+st.Signaling)
			m.shut()
			s.event("the state LEFT", deadline(), func(e driver.Event) bool { return e.Event == "state" && e.State == "LEFT" })
		}),
	},
	{
		ID: "STA-10/member-gone", Requirements: []string{"STA-10", "BLD-2"}, Level: Should,
		Sentence: "A joiner that gets a disconnect notice in the middle of its attempt sends connect again at once.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.agree()
			s.door.pass(0, s.lastSig, nil)
			s.connectsAgain("the member is gone", time.Now().Add(5*time.Second))
			s.door.answer(false)
			s.bind(member(2)).admitted()
			s.settled(deadline())
		}),
	},
	{
		ID: "STA-10/joiner-gone", Requirements: []string{"STA-10"}, Level: Must,
		Sentence: "A disconnect notice of a joiner does a member no harm: it admits the next one.",
		run: onStage(func(s *stage) {
			s.first()
			s.nextJoiner("A").asks()
			s.door.pass(s.lastSig, 0, nil)
			s.admit("B", member(2))
			s.expectMembers(member(2))
		}),
	},
	{
		ID: "SIG-13/client-heartbeats", Requirements: []string{"SIG-13", "STA-11", "SIG-39"}, Level: Must, Slow: true,
		Sentence: "A client sends heartbeats after 5 and 10 s, and closes with 1000 after 15 s when the server sends none.",
		run: onStage(func(s *stage) {
			s.silent = true
			s.first()
			begin := time.Now()
			for i := range 2 {
				want := time.Duration(5*i+5) * time.Second
				_, err := s.door.in.take(begin.Add(want+2*time.Second), func(a arrival) bool { return a.beat })
				s.expect(err == nil, "for the signaling server", "a heartbeat", err)
				s.between("a heartbeat", time.Since(begin), want-time.Second, want)
			}
			s.door.expectEnd("without heartbeats of the server", begin.Add(17*time.Second))
			s.between("the close frame", time.Since(begin), 14*time.Second, 15*time.Second)
			s.silent = false
			s.open(within(3 * time.Second))
		}),
	},
	{
		ID: "SIG-41/gives-up", Requirements: []string{"SIG-41", "STA-11", "STA-15"}, Level: Must, Slow: true,
		Sentence: "A client that gets no answer to its upgrade gives up after 10 s, and tries again.",
		run: onStage(func(s *stage) {
			c := driver.Command{"cmd": "join", "signaling": s.url(), "key": s.key, "loopback": true}
			n, err := s.peer.Send(c)
			s.expect(err == nil, "the peer under test is told to join", "that it does", err)
			s.joining, s.out = n, false
			s.l.SetDeadline(deadline())
			conn, err := s.l.Accept()
			s.expect(err == nil, "signaling", "a connection", err)
			begin := time.Now()
			defer conn.Close()
			s.event("signaling CLOSED", begin.Add(14*time.Second), func(e driver.Event) bool {
				return e.Event == "signaling" && e.State == "CLOSED"
			})
			s.between("signaling CLOSED", time.Since(begin), 10*time.Second, 10*time.Second)
			s.open(within(3 * time.Second))
			s.hello()
			s.door.agree.Store(true)
			s.door.answer(true)
			s.joined(deadline())
		}),
	},
}

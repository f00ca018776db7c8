package conformance

import (
	"fmt"
	"slices"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

var staJoin = []*Case{
	{
		ID: "STA-3/first-member", Requirements: []string{"STA-2", "STA-3", "STA-4", "STA-6", "STA-7", "SIG-25", "MSH-1"}, Level: Must,
		Sentence: "A first member connects once, is JOINED when that is answered with true, and connects again.",
		run: onStage(func(s *stage) {
			s.begin()
			s.hello()
			s.states("CONNECTING", "OPEN", "CHECKING")
			s.expectState("JOINING", deadline())
			s.door.answer(true)
			s.joined(deadline())
			a := s.door.expectConnect("the group is JOINED", deadline())
			s.expect(a.connect.id == s.id && len(a.connect.members) == 0, "the second connect",
				fmt.Sprintf("connect{%d, []}", s.id), a)
			s.door.answer(true)
			s.states("CHECKED", "CHECKING", "CHECKED")
			s.expectState("JOINED", deadline())
			st := s.status()
			s.expect(st.State == "JOINED" && st.Signaling == "CHECKED" && st.ID == s.id && st.Key == s.key && st.Group >= 1<<31 &&
				slices.Equal(st.Members, []uint32{s.id}) && len(st.Neighbors) == 0,
				"the status of a first member", fmt.Sprintf("JOINED, CHECKED, id and only member %d, group id of at least 2^31", s.id), fmt.Sprintf("%+v", st))
			s.noConnect("a first member whose second connect is answered")
		}),
	},
	{
		ID: "STA-6/joiner", Requirements: []string{"STA-2", "STA-3", "STA-5", "STA-6", "STA-7", "SIG-25", "CHN-13"}, Level: Must,
		Sentence: "A joiner goes through CONNECTING, OPEN, CHECKING, CHECKED, is JOINED, and connects again with its members.",
		run: onStage(func(s *stage) {
			s.joinThrough(member(1))
			s.joined(deadline())
			a := s.door.expectConnect("the group is JOINED", deadline())
			s.expect(a.connect.id == s.id && slices.Equal(a.connect.members, []uint32{member(1)}), "the second connect",
				fmt.Sprintf("connect{%d, [%d]}", s.id, member(1)), a)
			s.door.answer(true)
			s.states("CONNECTING", "OPEN", "CHECKING", "CHECKED", "CHECKING", "CHECKED")
			st := s.status()
			s.expect(st.State == "JOINED" && st.Group == groupID && st.Key == s.key, "the status of a joiner",
				fmt.Sprintf("JOINED, group %d, key %s", uint32(groupID), s.key), fmt.Sprintf("%+v", st))
			s.expectMembers(member(1))
			s.expectNeighbors(member(1))
			s.noConnect("a member whose second connect is answered")
		}),
	},
	{
		ID: "STA-5/denied", Requirements: []string{"STA-5", "BLD-7", "SIG-25"}, Level: Must,
		Sentence: "A joiner whose request is answered with false sends connect again, with the same id and no members.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.way.expectRequest(deadline())
			s.noConnect("a joiner whose attempt is under way")
			h.way.put(serviceBuilder, connectionResponse(false))
			s.connectsAgain("the attempt failed", deadline())
			s.door.answer(false)
			s.bind(member(2)).admitted()
			s.settled(deadline())
		}),
	},
	{
		ID: "STA-5/no-response", Requirements: []string{"STA-5", "BLD-7", "SIG-25"}, Level: Must,
		Sentence: "A joiner whose request is not answered sends connect again after 2 s; a response that comes then has no effect.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.way.expectRequest(deadline())
			begin := time.Now()
			s.connectsAgain("the attempt failed", within(2*time.Second))
			s.between("connect without a response", time.Since(begin), 2*time.Second, 2*time.Second)
			h.way.put(serviceBuilder, connectionResponse(true))
			s.door.answer(false)
			h = s.bind(member(2))
			h.way.expectRequest(deadline())
			s.expect(h.way.none(serviceBuilder, func(fs fields) bool { return fs.has(1) }), "for member 2", "a connectionRequest first", "a negotiation")
			h.way.put(serviceBuilder, connectionResponse(true))
			h.way.expectNegotiation(deadline())
			h.greet(h.way.offer(h.label(2)).answered())
			s.settled(deadline())
		}),
	},
	{
		ID: "STA-5/replaces-lone-member", Requirements: []string{"STA-4", "STA-5"}, Level: Must,
		Sentence: "A joiner that could not join through a lone member, and is told connected:true then, is a first member.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.way.expectRequest(deadline())
			h.way.put(serviceBuilder, connectionResponse(false))
			s.connectsAgain("the attempt failed", deadline())
			s.door.agree.Store(true)
			s.door.answer(true)
			s.joined(deadline())
			s.expectMembers()
			s.admit("J", member(2))
		}),
	},
	{
		ID: "STA-8/one-connect-at-a-time", Requirements: []string{"STA-8", "STA-9", "SIG-25"}, Level: Should,
		Sentence: "A member that has an adjacent member leave while its connect is unanswered sends the next one after the answer.",
		run: onStage(func(s *stage) {
			s.begin()
			s.hello()
			s.door.answer(true)
			s.joined(deadline())
			s.door.expectConnect("the group is JOINED", deadline())
			a, b := s.admit("A", member(1)), s.admit("B", member(2))
			b.shut()
			s.expectLeave(member(2), deadline())
			s.hear(a)
			s.noConnect("a member whose connect is unanswered")
			s.door.answer(true)
			s.connectsWith(deadline(), member(1))
		}),
	},
	{
		ID: "STA-17/leave", Requirements: []string{"STA-17", "MSH-22", "CHN-21", "SIG-39"}, Level: Must,
		Sentence: "A member that leaves closes its channels, and signaling with 1000, without a word; it can join again, as another member.",
		run: onStage(func(s *stage) {
			s.first()
			a, b := s.admit("A", member(1)), s.admit("B", member(2))
			s.hear(a)
			s.hear(b)
			before := len(a.in.all())
			s.do(driver.Command{"cmd": "leave"})
			a.expectClosed("the peer under test leaves", deadline())
			b.expectClosed("the peer under test leaves", deadline())
			s.door.expectEnd("the peer under test leaves", deadline())
			s.expect(len(a.in.all()) == before, "a channel that the peer under test closes", "no Message before", a.in.all())
			id := s.id
			s.first()
			s.expect(s.id != id, "the id of a peer that joins again", "another one", id)
			s.admit("A", member(1))
		}),
	},
	{
		ID: "STA-17/leave-while-joining", Requirements: []string{"STA-17", "SIG-39"}, Level: Must,
		Sentence: "A joiner can leave while its request is unanswered, and join again.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.way.expectRequest(deadline())
			s.do(driver.Command{"cmd": "leave"})
			s.door.expectEnd("the peer under test leaves", deadline())
			s.joinThrough(member(2))
			s.settled(deadline())
			s.expectMembers(member(2))
		}),
	},
	{
		ID: "STA-1/leaving", Requirements: []string{"STA-1"}, Level: Should,
		Sentence: "A member that leaves is LEAVING, and then LEFT.",
		run: onStage(func(s *stage) {
			s.first()
			s.expectState("JOINING", deadline())
			s.expectState("JOINED", deadline())
			s.do(driver.Command{"cmd": "leave"})
			s.expectState("LEAVING", deadline())
			s.expectState("LEFT", deadline())
		}),
	},
}

// connectsAgain expects a connect with the same id and no members.
func (s *stage) connectsAgain(what string, until time.Time) {
	a := s.door.expectConnect(what, until)
	s.expect(a.connect.id == s.id && len(a.connect.members) == 0, what, fmt.Sprintf("connect{%d, []}", s.id), a)
}

// connectsWith expects a connect with these members.
func (s *stage) connectsWith(until time.Time, members ...uint32) {
	a := s.door.expectConnect("for the signaling server", until)
	got := slices.Sorted(slices.Values(a.connect.members))
	slices.Sort(members)
	s.expect(a.connect.id == s.id && slices.Equal(got, members), "for the signaling server",
		fmt.Sprintf("connect{%d, %d}", s.id, members), a)
}

// states expects these states of signaling, in this order.
func (s *stage) states(want ...string) {
	for i, w := range want {
		e := s.event("signaling "+w, deadline(), func(e driver.Event) bool { return e.Event == "signaling" })
		s.expect(e.State == w, "the states of signaling", fmt.Sprint(want), fmt.Sprintf("%s as the %dth", e.State, i+1))
	}
}

// noConnect expects that no connect is waiting at the door.
func (s *stage) noConnect(what string) {
	a, err := s.door.in.take(time.Now(), func(a arrival) bool { return a.connect != nil })
	s.expect(err != nil, what, "no connect", a)
}

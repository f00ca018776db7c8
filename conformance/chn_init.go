package conformance

import (
	"fmt"
	"slices"
	"time"
)

var chnInit = []*Case{
	{
		ID: "CHN-12/init-ping", Requirements: []string{"CHN-6", "CHN-7", "CHN-12", "CHN-13", "BLD-15"}, Level: Must,
		Sentence: "A member offers a joiner a data channel of kind 2, and says first of all what group that is.",
		run: onStage(func(s *stage) {
			s.first()
			l := s.nextJoiner("J")
			link := l.answer(l.asks())
			got := parseLabel(link.label)
			s.expect(got == label{s.id, 2}, "the label", label{s.id, 2}.String(), link.label)
			s.expect(link.dc.Ordered() && link.dc.MaxRetransmits() == nil && link.dc.MaxPacketLifeTime() == nil,
				"the data channel", "reliable and ordered", "not so")
			p := s.initiate(link, member(5))
			group := s.status().Group
			s.expect(p.topology == 0 && p.group == group && p.sender == s.id && p.key == s.key && slices.Equal(p.members, []uint32{s.id}),
				"initPing", fmt.Sprintf("{0 %d %d [%d] %s}", group, s.id, s.id, s.key), p)
			l = s.nextJoiner("K")
			p = s.initiate(l.answer(l.asks()), member(6))
			want := []uint32{s.id, member(5)}
			slices.Sort(want)
			slices.Sort(p.members)
			s.expect(slices.Equal(p.members, want), "the members in the second initPing", fmt.Sprint(want), p.members)
			s.expectMembers(member(5), member(6))
			s.expectNeighbors(member(5), member(6))
		}),
	},
	{
		ID: "CHN-7/odd-label", Requirements: []string{"CHN-7"}, Level: Must,
		Sentence: "A label in another form of the same JSON is understood.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.agree()
			h.greet(h.way.offer(fmt.Sprintf("{ \"x\": [{\"type\":0}],\n\"type\" : 2, \"\\u0069d\": %d }", member(1))).answered())
			s.settled(deadline())
		}),
	},
	{
		ID: "CHN-7/no-label", Requirements: []string{"CHN-7"}, Level: Must,
		Sentence: "A channel without a proper label is closed.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.agree()
			h.way.offer("data").expectRefused("a channel without a label")
		}),
	},
	{
		ID: "CHN-8/wrong-kind", Requirements: []string{"CHN-8"}, Level: Should,
		Sentence: "A joiner closes a channel by which its member would join through it.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.agree()
			h.way.offer(h.label(1)).expectRefused("a channel of kind 1 to a joiner")
		}),
	},
	{
		ID: "CHN-8/wrong-id", Requirements: []string{"CHN-8"}, Level: Should,
		Sentence: "A member closes an internal channel whose label has another id than the one who offers.",
		run: onStage(func(s *stage) {
			m := s.joinThrough(member(1), member(2))
			w := m.relay("B", member(2))
			w.expectRequest(deadline())
			w.put(serviceBuilder, connectionResponse(true))
			w.expectNegotiation(deadline())
			w.offer(label{member(3), 0}.String()).expectRefused("a channel with a false id")
		}),
	},
	{
		ID: "CHN-14/keeps-its-key", Requirements: []string{"CHN-14"}, Level: Must,
		Sentence: "A joiner keeps the key that it asked for when initPing has another, or closes the channel.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.agree()
			l := h.way.offer(h.label(2)).answered()
			l.raw(ping{0, groupID, h.id, []uint32{h.id}, "another"}.encode())
			if _, err := l.in.take(deadline(), func(received) bool { return true }); err != nil {
				return // closed
			}
			key := s.status().Key
			s.expect(key == s.key, "the key", s.key, key)
		}),
	},
	{
		ID: "CHN-15/early-messages", Requirements: []string{"CHN-15"}, Level: Must,
		Sentence: "An empty message, and one of unknown fields, before initPing or initPong are ignored.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.agree()
			l := h.way.offer(h.label(2)).answered()
			l.raw([]byte{})
			l.raw([]byte{0x80, 0x01, 0x05})
			h.greet(l)
			s.settled(deadline())
			s.hear(l)

			w := s.nextJoiner("J")
			j := w.answer(w.asks())
			j.raw([]byte{})
			j.raw([]byte{0x8a, 0x01, 0x00})
			s.initiate(j, member(2))
			s.hear(j)
		}),
	},
	{
		ID: "CHN-15/wrong-way", Requirements: []string{"CHN-15"}, Level: Must,
		Sentence: "A joiner ignores initPong, and a member initPing.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.agree()
			l := h.way.offer(h.label(2)).answered()
			l.raw(pong(member(9)))
			h.greet(l)
			s.settled(deadline())

			w := s.nextJoiner("J")
			j := w.answer(w.asks())
			j.raw(ping{0, groupID + 1, member(9), []uint32{member(9)}, "another"}.encode())
			s.initiate(j, member(2))
			s.hear(j)
			st := s.status()
			s.expect(st.Group == groupID && st.Key == s.key, "the group", fmt.Sprintf("%d, %s", uint32(groupID), s.key), fmt.Sprintf("%d, %s", st.Group, st.Key))
			s.expectMembers(member(1), member(2))
		}),
	},
	{
		ID: "CHN-16/no-init-ping", Requirements: []string{"CHN-16", "STA-5"}, Level: Must, Slow: true,
		Sentence: "A joiner closes a channel on which no initPing comes within 10 s.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.agree()
			l := h.way.offer(h.label(2)).answered()
			begin := time.Now()
			l.expectClosed("a channel without initPing", within(10*time.Second))
			s.between("the end of the channel", time.Since(begin), 10*time.Second, 10*time.Second)
			s.connectsAgain("the attempt failed", within(6*time.Second))
		}),
	},
	{
		ID: "CHN-16/no-init-pong", Requirements: []string{"CHN-16"}, Level: Must, Slow: true,
		Sentence: "A member closes a channel on which no initPong comes within 10 s; the joiner never was a member.",
		run: onStage(func(s *stage) {
			s.first()
			w := s.nextJoiner("J")
			l := w.answer(w.asks())
			begin := time.Now()
			l.expectClosed("a channel without initPong", within(10*time.Second))
			s.between("the end of the channel", time.Since(begin), 10*time.Second, 10*time.Second)
			s.expectMembers()
		}),
	},
	{
		ID: "CHN-17/own-id", Requirements: []string{"CHN-17"}, Level: Must,
		Sentence: "A member closes a channel whose other end says that it has the member's own id.",
		run: onStage(func(s *stage) {
			s.first()
			w := s.nextJoiner("J")
			l := w.answer(w.asks())
			l.raw(pong(s.id))
			l.expectClosed("a channel to oneself", time.Now().Add(5*time.Second))
			s.expectMembers()
		}),
	},
	{
		ID: "CHN-17/low-id", Requirements: []string{"CHN-17"}, Level: Must,
		Sentence: "A member closes a channel whose other end says that its id is 0, or another below 2^31.",
		run: onStage(func(s *stage) {
			s.first()
			for _, id := range []uint32{0, 1<<31 - 1} {
				w := s.nextJoiner("J")
				l := w.answer(w.asks())
				l.raw(pong(id))
				l.expectClosed("a channel to "+fmt.Sprint(id), time.Now().Add(5*time.Second))
			}
			s.expectMembers()
		}),
	},
}

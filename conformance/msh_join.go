package conformance

import (
	"fmt"
	"slices"
	"time"
)

var mshJoin = []*Case{
	{
		ID: "MSH-5/asks-all", Requirements: []string{"MSH-3", "MSH-4", "MSH-5", "MSH-6", "MSH-8", "BLD-3", "BLD-4"}, Level: Must,
		Sentence: "A joiner asks all members in the list at once, through the one that it joined by, and is JOINED when all attempts have ended.",
		run: onStage(func(s *stage) {
			m := s.joinThrough(member(1), member(2), member(3), member(4))
			b, c, d := m.relay("B", member(2)), m.relay("C", member(3)), m.relay("D", member(4))
			for _, w := range []*way{b, c, d} {
				request := mustParse(w.expectRequest(deadline()))
				s.expect(request.uint(1) == s.id && slices.Equal(request.ids(2), []uint32{member(1)}), "the request to "+w.name,
					fmt.Sprintf("ConnectionRequest{%d, [%d]}", s.id, member(1)), fmt.Sprint(request.uint(1), request.ids(2)))
			}
			c.put(serviceBuilder, connectionResponse(false))
			d.put(serviceBuilder, connectionResponse(true))
			s.expectJoin(member(4))
			i, _ := d.expectNegotiation(deadline())
			i.id, i.dcTried = s.id, true
			d.put(serviceBuilder, negotiation(i, info{id: member(4), dcTried: true}))
			b.put(serviceBuilder, connectionResponse(true))
			s.expectJoin(member(2))
			b.expectNegotiation(deadline())
			s.hear(m)
			st := s.status()
			s.expect(st.State == "JOINING", "the state while an attempt is under way", "JOINING", st.State)
			s.noConnect("a joiner whose mesh is being constructed")
			l := b.offer(label{member(2), 0}.String()).answered()
			l.begin(member(2), s.id)
			s.settled(deadline())
			s.expectMembers(member(1), member(2), member(4))
			s.expectNeighbors(member(1), member(2))
		}),
	},
	{
		ID: "MSH-8/no-response", Requirements: []string{"MSH-8", "BLD-7"}, Level: Must,
		Sentence: "A joiner is JOINED when a listed member has not answered for 2 s, which is no member then.",
		run: onStage(func(s *stage) {
			m := s.joinThrough(member(1), member(2))
			m.relay("B", member(2)).expectRequest(deadline())
			begin := time.Now()
			s.settled(within(2 * time.Second))
			s.between("JOINED", time.Since(begin), 2*time.Second, 2*time.Second)
			s.expectMembers(member(1))
		}),
	},
	{
		ID: "MSH-4/odd-lists", Requirements: []string{"MSH-4", "MSH-5"}, Level: Must,
		Sentence: "A list with ids below 2^31, the same id twice or the sender's leads to one request at most for each member.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.agree()
			l := h.way.offer(h.label(2)).answered()
			h.greet(l, member(2), 0, 7, member(2), 1<<31-1, member(1))
			w := l.relay("B", member(2))
			w.expectRequest(deadline())
			w.put(serviceBuilder, connectionResponse(false))
			s.settled(deadline())
			s.hear(l)
			_, err := l.in.take(time.Now(), func(m received) bool { return m.env.service == serviceBuilder })
			s.expect(err != nil, "what the peer under test asks", "one request to member 2", "more")
			s.expectMembers(member(1))
		}),
	},
	{
		ID: "MSH-7/admits", Requirements: []string{"MSH-3", "MSH-4", "MSH-7", "BLD-5", "BLD-11", "BLD-15"}, Level: Must,
		Sentence: "A member that is asked by a distant one counts it as a member at once, answers true, and offers it a channel.",
		run: onStage(func(s *stage) {
			m := s.pair()
			w := m.relay("B", member(2))
			w.put(serviceBuilder, meshRequest(member(2), member(1)))
			w.expectResponse(true)
			s.expectJoin(member(2))
			s.expectMembers(member(1), member(2))
			s.expectNeighbors(member(1))
			w.put(serviceBuilder, negotiation(info{group: groupID}))
			l := w.answer(w.expectOffer(deadline()))
			s.expect(parseLabel(l.label) == label{s.id, 0}, "the label", label{s.id, 0}.String(), l.label)
			l.begin(member(2), s.id)
			s.hear(l)
			s.expectNeighbors(member(1), member(2))
			s.speak(m, l)
			s.never("a second join", isJoin(member(2)))
		}),
	},
	{
		ID: "MSH-7/denies", Requirements: []string{"MSH-7", "BLD-5"}, Level: Must,
		Sentence: "A member denies one that is adjacent, and a ConnectionRequest that no decoder takes.",
		run: onStage(func(s *stage) {
			m := s.pair()
			w := m.relay("member 1", member(1))
			w.put(serviceBuilder, meshRequest(member(1), member(3)))
			w.expectResponse(false)
			w.put(serviceBuilder, connectionRequest([]byte{0x08}))
			w.expectResponse(false)
			s.expectMembers(member(1))
			m.expectOpen("after a denial")
		}),
	},
	{
		ID: "MSH-7/low-id", Requirements: []string{"MSH-7"}, Level: Must,
		Sentence: "A member denies a ConnectionRequest whose id is below 2^31.",
		run: onStage(func(s *stage) {
			m := s.pair()
			w := m.relay("B", member(2))
			s.distant(m, member(2), member(1))
			for _, id := range []uint32{0, 5, 1<<31 - 1} {
				w.put(serviceBuilder, meshRequest(id, member(1)))
				w.expectResponse(false)
			}
			s.expectMembers(member(1), member(2))
		}),
	},
	{
		ID: "MSH-10/unknown-member", Requirements: []string{"MSH-4", "MSH-10", "MSH-16"}, Level: Must,
		Sentence: "One from whom adjacentMembers comes is a member, and is reached through those that it names.",
		run: onStage(func(s *stage) {
			m := s.pair()
			m.raw(envelope{member(2), s.id, serviceMesh, adjacentMessage(member(1))}.encode())
			s.expectJoin(member(2))
			s.do(map[string]any{"cmd": "sendTo", "to": member(2), "text": "hello"})
			m.expectSpeech(member(2), typeText, []byte("hello"))
		}),
	},
	{
		ID: "MSH-10/adjacent-member", Requirements: []string{"MSH-10"}, Level: Must,
		Sentence: "adjacentMembers of an adjacent member changes nothing.",
		run: onStage(func(s *stage) {
			m := s.pair()
			m.send(serviceMesh, adjacentMessage(member(7)))
			s.hear(m)
			s.do(map[string]any{"cmd": "sendTo", "to": member(1), "text": "direct"})
			m.expectSpeech(member(1), typeText, []byte("direct"))
			s.expectMembers(member(1))
		}),
	},
	{
		ID: "MSH-9/notices", Requirements: []string{"MSH-9"}, Level: Must,
		Sentence: "A member tells its distant members when it gets or loses a channel.",
		run: onStage(func(s *stage) {
			m := s.pair()
			d := m.relay("D", member(4))
			d.put(serviceBuilder, meshRequest(member(4), member(1)))
			d.expectResponse(true)
			j := s.admit("J", member(5))
			notice := func(want ...uint32) {
				fs, _ := d.expect("adjacentMembers", deadline(), serviceMesh, func(fs fields) bool { return fs.has(3) })
				got := slices.Sorted(slices.Values(fs.sub(3).ids(1)))
				s.expect(slices.Equal(got, want), "adjacentMembers to D", fmt.Sprint(want), got)
			}
			notice(member(1), member(5))
			j.shut()
			notice(member(1))
		}),
	},
	{
		ID: "MSH-12/asks-missing", Requirements: []string{"MSH-12", "MSH-6", "BLD-7"}, Level: Must,
		Sentence: "A member that gets members asks those that it has no channel with, through the sender; a denied one again the next time.",
		run: onStage(func(s *stage) {
			m := s.pair()
			j := s.admit("J", member(5))
			w := j.relay("B", member(2))
			for range 2 {
				j.send(serviceMesh, membersMessage(member(1), member(2), member(5), s.id))
				request := mustParse(w.expectRequest(deadline()))
				got := slices.Sorted(slices.Values(request.ids(2)))
				s.expect(request.uint(1) == s.id && slices.Equal(got, []uint32{member(1), member(5)}), "the request to B",
					fmt.Sprintf("ConnectionRequest{%d, [%d %d]}", s.id, member(1), member(5)), fmt.Sprint(request.uint(1), got))
				w.put(serviceBuilder, connectionResponse(false))
				s.hear(j)
			}
			_, err := m.in.take(time.Now(), func(m received) bool { return m.env.service == serviceBuilder })
			s.expect(err != nil, "for member 1", "no request", "one")
		}),
	},
}

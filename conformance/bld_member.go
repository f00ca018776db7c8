package conformance

import (
	"fmt"
	"time"
)

// Cases of chapter BLD in which a joiner or a member asks the peer under test.
var bldMember = []*Case{
	{
		ID: "BLD-5/answers", Requirements: []string{"BLD-2", "BLD-5", "BLD-6", "BLD-8", "BLD-11"}, Level: Must,
		Sentence: "A member answers each of several joiners with true, also one that asks twice, and admits them all.",
		run: onStage(func(s *stage) {
			s.first()
			var ways []*way
			for i := range 3 {
				w := s.nextJoiner(fmt.Sprintf("J%d", i+1))
				w.put(serviceBuilder, connectionRequest([]byte{}))
				ways = append(ways, w)
			}
			for _, w := range ways {
				w.expectResponse(true)
			}
			ways[1].put(serviceBuilder, connectionRequest([]byte{}))
			ways[1].expectResponse(true)
			for _, w := range ways {
				w.put(serviceBuilder, negotiation(sigInfo))
			}
			for i, w := range ways {
				s.initiate(w.answer(w.expectOffer(deadline())), member(uint32(i+1)))
			}
			s.expectNeighbors(member(1), member(2), member(3))
		}),
	},
	{
		ID: "BLD-10/no-attempt", Requirements: []string{"BLD-7", "BLD-10"}, Level: Must,
		Sentence: "A negotiation and a response without an attempt are ignored.",
		run: onStage(func(s *stage) {
			s.first()
			w := s.nextJoiner("J")
			w.put(serviceBuilder, negotiation(sigInfo))
			w.put(serviceBuilder, connectionResponse(true))
			w.put(serviceBuilder, negotiation(sigInfo, info{}))
			w.put(serviceBuilder, connectionRequest([]byte{}))
			w.expectResponse(true)
			s.expect(w.none(serviceRTC, func(fields) bool { return true }) && w.none(serviceBuilder, func(fields) bool { return true }),
				"for a joiner that has not asked", "nothing", "something")
			w.put(serviceBuilder, negotiation(sigInfo))
			s.initiate(w.answer(w.expectOffer(deadline())), member(1))
		}),
	},
	{
		ID: "BLD-12/other-turn", Requirements: []string{"BLD-11", "BLD-12", "BLD-14"}, Level: Must,
		Sentence: "A member whose joiner has no data channels has no way: it sends the negotiation back once.",
		run: onStage(func(s *stage) {
			s.first()
			w := s.nextJoiner("J")
			w.put(serviceBuilder, connectionRequest([]byte{}))
			w.expectResponse(true)
			w.put(serviceBuilder, negotiation(info{noDC: true}))
			w.put(serviceBuilder, connectionRequest([]byte{}))
			w.expectResponse(true)
			s.expect(w.none(serviceRTC, func(fields) bool { return true }), "for a joiner without data channels", "no offer", "one")
			w.put(serviceBuilder, negotiation(sigInfo))
			s.initiate(w.answer(w.expectOffer(deadline())), member(1))
		}),
	},
	{
		ID: "BLD-12/no-way-told", Requirements: []string{"BLD-12", "BLD-13"}, Level: Should,
		Sentence: "A member that finds at the first message that there is no way tells its joiner.",
		run: onStage(func(s *stage) {
			s.first()
			w := s.nextJoiner("J")
			w.put(serviceBuilder, connectionRequest([]byte{}))
			w.expectResponse(true)
			w.put(serviceBuilder, negotiation(info{noDC: true, wsTried: true, dcTried: true}))
			i, p := w.expectNegotiation(deadline())
			s.expect(p != nil && i.noDC && i.wsTried && i.dcTried, "the negotiation that comes back", "both Infos", fmt.Sprint(i, p))
		}),
	},
	{
		ID: "BLD-12/listening-joiner", Requirements: []string{"BLD-12", "BLD-15", "CHN-9", "CHN-12"}, Level: Must,
		Sentence: "A member opens a WebSocket to a joiner's URL, of kind 2, and sends initPing on it.",
		run: onStage(func(s *stage) {
			s.first()
			w := s.nextJoiner("J")
			w.put(serviceBuilder, connectionRequest([]byte{}))
			w.expectResponse(true)
			l := s.listen()
			w.put(serviceBuilder, negotiation(info{wss: "ws://" + l.Addr().String() + "/path"}))
			d := s.accept(l, "J", deadline(), false)
			s.expectTarget(d, "/path", fmt.Sprintf("type=2&wcId=%d&senderId=0", s.status().Group))
			link := d.link()
			p := s.initiate(link, member(1))
			s.expect(p.group == s.status().Group, "initPing", "the group id", p)
			s.hear(link)
			s.speak(link)
		}),
	},
	{
		ID: "BLD-23/unasked-offer", Requirements: []string{"BLD-23"}, Level: Should,
		Sentence: "An offer of somebody with whom there is no attempt gets no answer.",
		run: onStage(func(s *stage) {
			s.first()
			w := s.nextJoiner("J")
			w.offer(label{member(1), 1}.String())
			_, err := w.take(time.Now().Add(time.Second), func(e envelope) bool {
				return e.service == serviceRTC && mustParse(e.content).has(2)
			})
			s.expect(err != nil, "for one that offers unasked", "nothing", "an answer")
			s.admit("K", member(2))
		}),
	},
	{
		ID: "BLD-8/lower-id-wins", Requirements: []string{"BLD-3", "BLD-8"}, Level: Must,
		Sentence: "Two members ask each other at once, the other one has the lower id: the peer answers it, and offers.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			b := s.id - 1
			m := h.admitted(b)
			w := m.relay("B", b)
			w.expectRequest(deadline())
			w.put(serviceBuilder, meshRequest(b, member(1)))
			w.expectResponse(true)
			w.put(serviceBuilder, negotiation(info{group: groupID}))
			l := w.answer(w.expectOffer(deadline()))
			got := parseLabel(l.label)
			s.expect(got == label{s.id, 0}, "the label", label{s.id, 0}.String(), l.label)
			l.begin(b, s.id)
			s.settled(deadline())
			s.hear(l)
			s.expectNeighbors(member(1), b)
		}),
	},
	{
		ID: "BLD-8/higher-id-waits", Requirements: []string{"BLD-3", "BLD-8"}, Level: Must,
		Sentence: "Two members ask each other at once, the other one has the higher id: the peer drops its request.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			b := s.id + 1
			m := h.admitted(b)
			w := m.relay("B", b)
			w.expectRequest(deadline())
			w.put(serviceBuilder, meshRequest(b, member(1)))
			w.put(serviceBuilder, connectionResponse(true))
			w.expectNegotiation(deadline())
			s.expect(w.none(serviceBuilder, func(fs fields) bool { return fs.has(3) }), "for B, whose id is higher", "no response", "one")
			l := w.offer(label{b, 0}.String()).answered()
			l.begin(b, s.id)
			s.settled(deadline())
			s.hear(l)
			s.expectNeighbors(member(1), b)
		}),
	},
	{
		ID: "BLD-8/asked-anew", Requirements: []string{"BLD-8"}, Level: Should,
		Sentence: "A member that has been asked, and has heard nothing since, answers when it is asked again, whichever id is lower.",
		run: onStage(func(s *stage) {
			m := s.pair()
			b := s.id + 1
			w := m.relay("B", b)
			w.put(serviceBuilder, meshRequest(b, member(1)))
			w.expectResponse(true)
			w.put(serviceBuilder, meshRequest(b, member(1)))
			w.expectResponse(true)
			w.put(serviceBuilder, negotiation(info{group: groupID}))
			l := w.answer(w.expectOffer(deadline()))
			l.begin(b, s.id)
			s.hear(l)
			s.expectNeighbors(member(1), b)
		}),
	},
	{
		ID: "BLD-18/not-again", Requirements: []string{"BLD-3", "BLD-12", "BLD-18", "MSH-12"}, Level: Should,
		Sentence: "A member does not ask again the one with whom a negotiation has failed, but answers it.",
		run: onStage(func(s *stage) {
			m := s.joinThrough(member(1), member(2))
			w := m.relay("B", member(2))
			w.expectRequest(deadline())
			m.send(serviceMesh, membersMessage(member(1), member(2), s.id))
			w.put(serviceBuilder, connectionResponse(true))
			i, _ := w.expectNegotiation(deadline())
			i.id, i.dcTried = s.id, true
			w.put(serviceBuilder, negotiation(i, info{id: member(2), group: groupID, dcTried: true}))
			s.settled(deadline())
			m.send(serviceMesh, membersMessage(member(1), member(2), s.id))
			s.hear(m)
			s.expect(w.none(serviceBuilder, func(fs fields) bool { return fs.has(2) }), "for B", "one request in 300 s", "a second")
			w.put(serviceBuilder, meshRequest(member(2), member(1)))
			w.expectResponse(true)
		}),
	},
	{
		ID: "BLD-22/offer-inside", Requirements: []string{"BLD-1", "BLD-15", "BLD-19", "CHN-7", "CHN-11"}, Level: Must,
		Sentence: "A member that asked is offered a channel of kind 0, on which Messages may come at once.",
		run: onStage(func(s *stage) {
			m := s.joinThrough(member(1), member(2))
			w := m.relay("B", member(2))
			w.expectRequest(deadline())
			w.put(serviceBuilder, connectionResponse(true))
			i, passive := w.expectNegotiation(deadline())
			s.expect(passive == nil && i.group == groupID, "the first negotiation", "no passive, the group id", fmt.Sprintf("%+v", i))
			l := w.offer(label{member(2), 0}.String()).answered()
			l.begin(member(2), s.id)
			s.hear(l)
			s.settled(deadline())
			s.speak(m, l)
			s.expectMembers(member(1), member(2))
		}),
	},
	{
		ID: "BLD-12/inside-initiator-offers", Requirements: []string{"BLD-11", "BLD-12", "BLD-15"}, Level: Must,
		Sentence: "Inside the group too the initiator offers when the passive member has tried in vain.",
		run: onStage(func(s *stage) {
			m := s.joinThrough(member(1), member(2))
			w := m.relay("B", member(2))
			w.expectRequest(deadline())
			w.put(serviceBuilder, connectionResponse(true))
			i, _ := w.expectNegotiation(deadline())
			i.id = s.id
			w.put(serviceBuilder, negotiation(i, info{id: member(2), group: groupID, dcTried: true}))
			l := w.answer(w.expectOffer(deadline()))
			s.expect(parseLabel(l.label) == label{s.id, 0}, "the label", label{s.id, 0}.String(), l.label)
			l.begin(member(2), s.id)
			s.settled(deadline())
			s.hear(l)
		}),
	},
	{
		ID: "CHN-9/inside", Requirements: []string{"CHN-9", "CHN-11", "BLD-12"}, Level: Must,
		Sentence: "Inside the group a member opens a WebSocket of kind 0 without a key, with its own id and the group's.",
		run: onStage(func(s *stage) {
			m := s.joinThrough(member(1), member(2))
			w := m.relay("B", member(2))
			w.expectRequest(deadline())
			w.put(serviceBuilder, connectionResponse(true))
			i, _ := w.expectNegotiation(deadline())
			i.id = s.id
			l := s.listen()
			w.put(serviceBuilder, negotiation(i, info{id: member(2), group: groupID, wss: "ws://" + l.Addr().String()}))
			d := s.accept(l, "B", deadline(), false)
			s.expectTarget(d, "", fmt.Sprintf("type=0&wcId=%d&senderId=%d", uint32(groupID), s.id))
		}),
	},
}

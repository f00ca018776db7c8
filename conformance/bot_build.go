package conformance

import "fmt"

// Cases of chapter BLD as they are for who listens.
var botBuild = []*Case{
	{
		ID: "BLD-12/asked-inside", Requirements: []string{"BLD-5", "BLD-9", "BLD-11", "BLD-12", "BLD-14", "CHN-10"}, Level: Must,
		Sentence: "A bot that a member asks inside the group passes the negotiation back, and the member opens the WebSocket.",
		run: onBot(func(s *stage) {
			m := s.invited()
			w := m.relay("member 2", member(2))
			w.put(serviceBuilder, meshRequest(member(2), member(1)))
			w.expectResponse(true)
			w.put(serviceBuilder, negotiation(info{group: s.group}))
			i, passive := w.expectNegotiation(deadline())
			s.expect(passive != nil && i.id == member(2) && passive.id == s.id, "the negotiation comes back",
				fmt.Sprintf("initiator.id %d, passive.id %d", member(2), s.id), fmt.Sprintf("%+v %+v", i, passive))
			s.announced("the passive one", *passive)
			l := s.enterInside(member(2), s.group)
			s.hear(l)
			s.speak(m, l)
			s.expectNeighbors(member(1), member(2))
		}),
	},
	{
		ID: "BLD-12/websocket-tried", Requirements: []string{"BLD-12", "BLD-13", "BLD-16"}, Level: Must,
		Sentence: "A bot whose joiner could not open a WebSocket offers a data channel, if it has any, or gives up.",
		run: onBot(func(s *stage) {
			s.invited()
			w, i, passive := s.joinerAsks("J", info{})
			i.wsTried = true
			w.put(serviceBuilder, negotiation(i, passive))
			if !passive.noDC {
				l := w.answer(w.expectOffer(deadline()))
				s.expect(parseLabel(l.label) == label{s.id, 2}, "the label", label{s.id, 2}.String(), l.label)
				s.initiate(l, member(9))
				s.hear(l)
				return
			}
			s.asksAgain(w)
		}),
	},
	{
		ID: "BLD-13/no-way-left", Requirements: []string{"BLD-12", "BLD-13"}, Level: Must,
		Sentence: "A bot whose joiner could not open a WebSocket and has no data channels gives up without a word.",
		run: onBot(func(s *stage) {
			s.invited()
			w, i, passive := s.joinerAsks("J", info{noDC: true})
			i.wsTried = true
			w.put(serviceBuilder, negotiation(i, passive))
			s.asksAgain(w)
		}),
	},
	{
		ID: "BLD-12/two-listeners", Requirements: []string{"BLD-12", "BLD-15", "CHN-9", "CHN-12"}, Level: Must,
		Sentence: "A bot opens a WebSocket to a joiner that listens too, of kind 2.",
		run: onBot(func(s *stage) {
			m := s.invited()
			w := s.nextJoiner("J")
			w.put(serviceBuilder, connectionRequest([]byte{}))
			w.expectResponse(true)
			l := s.listen()
			w.put(serviceBuilder, negotiation(info{wss: "ws://" + l.Addr().String()}))
			d := s.accept(l, "J", deadline(), false)
			s.expectTarget(d, "", fmt.Sprintf("type=2&wcId=%d&senderId=0", s.group))
			j := d.link()
			s.initiate(j, member(9))
			s.hear(j)
			s.speak(m, j)
		}),
	},
	{
		ID: "BLD-12/two-listeners-inside", Requirements: []string{"BLD-12", "BLD-15", "CHN-9", "CHN-11"}, Level: Must,
		Sentence: "A bot opens a WebSocket to a member that listens too and asks it inside the group, of kind 0.",
		run: onBot(func(s *stage) {
			m := s.invited()
			w := m.relay("member 2", member(2))
			w.put(serviceBuilder, meshRequest(member(2), member(1)))
			w.expectResponse(true)
			l := s.listen()
			w.put(serviceBuilder, negotiation(info{group: s.group, wss: "ws://" + l.Addr().String()}))
			d := s.accept(l, "member 2", deadline(), false)
			s.expectTarget(d, "", fmt.Sprintf("type=0&wcId=%d&senderId=%d", s.group, s.id))
			j := d.internal()
			j.begin(member(2), s.id)
			s.hear(j)
			s.speak(m, j)
		}),
	},
}

// asksAgain expects that the attempt of a joiner has failed without a word, and lets
// it ask again.
func (s *stage) asksAgain(w *way) {
	w.put(serviceBuilder, connectionRequest([]byte{}))
	w.expectResponse(true)
	s.expect(w.none(serviceBuilder, func(fields) bool { return true }) && w.none(serviceRTC, func(fields) bool { return true }),
		"for a joiner with whom no way is left", "nothing", "something")
	w.put(serviceBuilder, negotiation(info{}))
	w.expectNegotiation(deadline())
	l := s.enter(w.name, s.query(1, int64(s.lastSig))).link()
	s.initiate(l, member(9))
	s.hear(l)
}

package conformance

import (
	"fmt"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// Cases of a signaling server that is slow or wrong, or of members that are.
var staServer = []*Case{
	{
		ID: "SIG-39/each-code", Requirements: []string{"SIG-39", "STA-13", "STA-18"}, Level: Must, Slow: true,
		Sentence: "A member whose signaling is closed with any code, or by the end of TCP, connects again after 1.5 to 3 s with its members.",
		run: onStage(func(s *stage) {
			m := s.pair()
			for _, code := range []int{1000, 1001, 1008, 4741, 4743, 4745, 0} {
				begin := time.Now()
				if code == 0 {
					s.door.drop()
				} else {
					s.door.shut(code)
				}
				s.open(within(3 * time.Second))
				s.between(fmt.Sprintf("after the code %d signaling is opened again", code), time.Since(begin), 1500*time.Millisecond, 3*time.Second)
				s.connectsWith(deadline(), member(1))
				s.door.answer(true)
				s.hear(m)
			}
			s.never("leave", isLeave(member(1)))
		}),
	},
	{
		ID: "SIG-25/late-answer", Requirements: []string{"SIG-25", "STA-3", "STA-8"}, Level: Must,
		Sentence: "A joiner whose connect is answered after 4 s has not sent another one, and joins then.",
		run: onStage(func(s *stage) {
			s.begin()
			s.hello()
			_, err := s.door.in.take(time.Now().Add(4*time.Second), func(a arrival) bool { return a.connect != nil })
			s.expect(err != nil, "while connect is unanswered", "no other one", "one")
			s.expect(s.status().State == "JOINING", "the state while connect is unanswered", "JOINING", s.status().State)
			s.door.answer(false)
			s.bind(member(1)).admitted()
			s.settled(deadline())
		}),
	},
	{
		ID: "BLD-10/noise", Requirements: []string{"BLD-7", "BLD-10", "BLD-24", "CHN-3", "STA-10"}, Level: Must,
		Sentence: "Contents that are undecodable, empty, doubled, out of order or of nobody, and notices of nobody, do a member no harm.",
		run: onStage(func(s *stage) {
			s.first()
			noise := [][]byte{{}, {0xff}, {8}, []byte("text"), envelope{1, 2, 99, []byte{1}}.encode(), envelope{1, 2, serviceUser, fullMessage(typeText, []byte("no"))}.encode(),
				envelope{0, 0, serviceMesh, meshHeartbeat}.encode(), envelope{0, 0, serviceBuilder, connectionResponse(true)}.encode(),
				envelope{0, 0, serviceRTC, answerMessage("v=0")}.encode(), envelope{0, 0, serviceRTC, candidateMessage("candidate:1", "0", 0)}.encode()}
			for _, from := range []uint32{0, 5, 1 << 31, 1<<32 - 1} {
				for _, data := range noise {
					s.door.pass(from, 0, data)
					s.door.pass(0, from, data)
				}
				s.door.pass(from, 0, nil)
				s.door.pass(0, from, nil)
			}
			w := s.nextJoiner("J")
			request := connectionRequest([]byte{})
			w.put(serviceBuilder, negotiation(sigInfo)) // before its time
			w.put(serviceBuilder, request)
			w.expectResponse(true)
			for _, data := range noise {
				s.door.pass(s.lastSig, 0, data[:min(len(data), 2)])
			}
			w.put(serviceBuilder, negotiation(sigInfo))
			l := w.answer(w.expectOffer(deadline()))
			s.initiate(l, member(9))
			s.hear(l)
			s.speak(l)
			s.expectMembers(member(9))
			s.never("a message by signaling", func(e driver.Event) bool { return e.Event == "message" })
		}),
	},
	{
		ID: "CHN-3/spoofed", Requirements: []string{"CHN-2", "CHN-3", "MSH-14"}, Level: Must,
		Sentence: "Messages that claim to be of the receiver itself, of nobody or of an id below 2^31 make no member, and the channel stays.",
		run: onStage(func(s *stage) {
			m := s.pair()
			j := s.admit("J", member(9))
			for _, from := range []uint32{s.id, 0, 5, 1<<31 - 1} {
				for _, e := range []envelope{
					{from, s.id, serviceMesh, meshHeartbeat}, {from, s.id, serviceBeat, nil}, {from, 0, serviceBeat, nil},
					{from, s.id, serviceMesh, adjacentMessage(member(1), s.id)}, {from, s.id, serviceMesh, membersMessage(s.id, 0, 5)},
					{from, s.id, serviceBuilder, connectionResponse(true)}, {from, s.id, serviceRTC, answerMessage("v=0")},
					{from, 0, 74999, []byte{1, 2, 3}},
				} {
					m.raw(e.encode())
				}
			}
			s.hear(m)
			s.speak(m, j)
			m.expectOpen("after spoofed messages")
			s.expectMembers(member(1), member(9))
			s.expectNeighbors(member(1), member(9))
		}),
	},
}

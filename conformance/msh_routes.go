package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

var mshRoutes = []*Case{
	{
		ID: "MSH-15/broadcast", Requirements: []string{"MSH-15", "MSG-1"}, Level: Must,
		Sentence: "A message to all goes to adjacent members for 0, and to a distant one with its id.",
		run: onStage(func(s *stage) {
			m := s.pair()
			j := s.admit("J", member(5))
			s.distant(m, member(4), member(1))
			s.do(driver.Command{"cmd": "send", "text": "to all"})
			m.expectSpeech(0, typeText, []byte("to all"))
			m.expectSpeech(member(4), typeText, []byte("to all"))
			j.expectSpeech(0, typeText, []byte("to all"))
			_, err := j.in.take(time.Now(), func(r received) bool { return r.env.service == serviceUser })
			s.expect(err != nil, "for J", "one copy", "two")
		}),
	},
	{
		ID: "MSH-16/next-hop", Requirements: []string{"MSH-16", "MSH-10"}, Level: Must,
		Sentence: "A message for a distant member goes to an adjacent one that is adjacent to it, and by another way when that has changed.",
		run: onStage(func(s *stage) {
			m := s.pair()
			j := s.admit("J", member(5))
			s.distant(m, member(4), member(5))
			s.reaches(member(4), j, m)
			m.raw(envelope{member(4), s.id, serviceMesh, adjacentMessage(member(9), member(1))}.encode())
			s.hear(m)
			s.reaches(member(4), m, j)
		}),
	},
	{
		ID: "MSH-17/two-distant-hops", Requirements: []string{"MSH-17"}, Level: Must,
		Sentence: "A message finds its way by distant members that know each other.",
		run: onStage(func(s *stage) {
			m := s.pair()
			j := s.admit("J", member(5))
			s.distant(m, member(6), member(5))
			s.distant(m, member(7), member(6))
			s.distant(m, member(8), member(7), member(9))
			s.reaches(member(7), j, m)
			s.reaches(member(8), j, m)
			s.distant(m, member(9), member(1))
			s.reaches(member(8), m, j)
		}),
	},
	{
		ID: "MSH-19/forward", Requirements: []string{"MSH-18", "MSH-19", "CHN-1"}, Level: Must,
		Sentence: "A message for another member is passed on, of any service and content, with its sender; for an unknown one it is dropped.",
		run: onStage(func(s *stage) {
			m := s.pair()
			j := s.admit("J", member(5))
			s.distant(m, member(4), member(5))
			for _, e := range []envelope{
				{member(1), member(5), serviceUser, fullMessage(typeText, []byte("for J"))},
				{member(9), member(5), 4242, []byte{0xff, 0x00}},
				{member(1), member(4), serviceBuilder, meshRequest(member(1), member(2))},
				{member(1), member(5), serviceMesh, adjacentMessage(member(9))},
				{member(1), member(5), serviceUser, bytes.Repeat([]byte{0xa5}, 60_000)},
			} {
				m.raw(envelope{member(1), member(77), serviceUser, []byte("lost")}.encode())
				m.raw(e.encode())
				j.expect(e.String(), deadline(), func(got envelope) bool {
					return got.sender == e.sender && got.recipient == e.recipient && got.service == e.service && bytes.Equal(got.content, e.content)
				})
			}
			s.hear(m)
			s.never("a message for J", func(e driver.Event) bool { return e.Event == "message" })
			s.expectMembers(member(1), member(4), member(5))
		}),
	},
	{
		ID: "MSH-19/not-back", Requirements: []string{"MSH-19", "MSH-18"}, Level: Should,
		Sentence: "A message for a distant member does not go back to the member that it came from.",
		run: onStage(func(s *stage) {
			m := s.pair()
			s.distant(m, member(4), member(1))
			m.raw(envelope{member(1), member(4), serviceUser, fullMessage(typeText, []byte("x"))}.encode())
			s.hear(m)
			s.speak(m)
			_, err := m.in.take(time.Now(), func(r received) bool { return r.env.sender == member(1) })
			s.expect(err != nil, "for member 1", "nothing of what it sent", "its own message")
		}),
	},
	{
		ID: "MSH-19/broadcast-stays", Requirements: []string{"MSH-19", "CHN-2"}, Level: Must,
		Sentence: "A message for all is delivered, and not passed on.",
		run: onStage(func(s *stage) {
			m := s.pair()
			j := s.admit("J", member(5))
			s.hear(m)
			s.do(driver.Command{"cmd": "sendTo", "to": member(5), "text": "barrier"})
			j.expectSpeech(member(5), typeText, []byte("barrier"))
			_, err := j.in.take(time.Now(), func(r received) bool { return r.env.service == serviceUser })
			s.expect(err != nil, "for J", "nothing of what member 1 said to all", "something")
		}),
	},
	{
		ID: "MSH-21/last-channel-ends", Requirements: []string{"MSH-21", "MSH-20", "STA-12"}, Level: Must,
		Sentence: "When the last channel ends, distant members have left too, and the member tells the signaling server that it is alone.",
		run: onStage(func(s *stage) {
			m := s.pair()
			s.distant(m, member(4), member(1))
			m.shut()
			s.expectLeave(member(1), deadline())
			s.expectLeave(member(4), deadline())
			for until := deadline(); ; {
				a := s.door.expectConnect("the member is alone", until)
				if len(a.connect.members) == 0 {
					break
				}
			}
			s.expectMembers()
			s.speak(s.admit("J", member(5)))
		}),
	},
	{
		ID: "MSH-24/seek", Requirements: []string{"MSH-24", "MSH-6", "CHN-19"}, Level: Should, Slow: true,
		Sentence: "A member whose channel failed is asked for another one through the others.",
		run: onStage(func(s *stage) {
			m := s.pair()
			j := s.admit("J", member(5))
			m.silence()
			s.expectLeave(member(1), time.Now().Add(12*time.Second))
			r := j.expect("member 1 is asked for a channel", time.Now().Add(3*time.Second), func(e envelope) bool {
				return e.recipient == member(1) && e.service == serviceBuilder && mustParse(e.content).has(2)
			})
			asks := mustParse(mustParse(r.env.content).bytes(2))
			s.expect(r.env.sender == s.id && asks.uint(1) == s.id, "the request", fmt.Sprintf("the id %d", s.id), r)
		}),
	},
	{
		ID: "MSH-11/members-round", Requirements: []string{"MSH-11"}, Level: Must, Slow: true,
		Sentence: "Every 20 s a member sends members to the one with the greatest id below its own.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			low, high := s.id-1, s.id+1
			m := h.admitted()
			begin := time.Now()
			s.settled(deadline())
			a, b := s.admit("A", low), s.admit("B", high)
			round := func(r received) bool { // what comes earlier is no round
				return r.env.service == serviceMesh && mustParse(r.env.content).has(1) && r.at.Sub(begin) > 15*time.Second
			}
			r, err := a.in.take(begin.Add(24*time.Second), round)
			s.expect(err == nil, "for "+a.name, "members", err)
			s.between("the members round", r.at.Sub(begin), 19*time.Second, 20*time.Second)
			got := mustParse(r.env.content).sub(1).ids(1)
			want := []uint32{member(1), low, s.id, high}
			slices.Sort(got)
			slices.Sort(want)
			s.expect(r.env.recipient == low && slices.Equal(got, want), "members", fmt.Sprint(want), fmt.Sprint(r.env.recipient, got))
			for _, l := range []*link{m, b} {
				s.hear(l)
				_, err := l.in.take(time.Now(), round)
				s.expect(err != nil, "for another member", "no members", "one")
			}
		}),
	},
	{
		ID: "MSH-11/greatest-id", Requirements: []string{"MSH-11"}, Level: Must, Slow: true,
		Sentence: "A member with the lowest id sends members to the one with the greatest.",
		run: onStage(func(s *stage) {
			s.first()
			begin := time.Now()
			a, b := s.admit("A", s.id+1), s.admit("B", s.id+2)
			round := func(r received) bool { // what comes earlier is no round
				return r.env.service == serviceMesh && mustParse(r.env.content).has(1) && r.at.Sub(begin) > 15*time.Second
			}
			r, err := b.in.take(begin.Add(24*time.Second), round)
			s.expect(err == nil, "for "+b.name, "members", err)
			s.between("the members round", r.at.Sub(begin), 19*time.Second, 21*time.Second)
			s.hear(a)
			_, err = a.in.take(time.Now(), round)
			s.expect(err != nil, "for the member between", "no members", "one")
		}),
	},
	{
		ID: "MSH-13/distant-heartbeats", Requirements: []string{"MSH-13", "MSH-14"}, Level: Must, Slow: true,
		Sentence: "Distant members get a heartbeat every 3 s; one that sends none has left after 9 to 12 s, one that does stays.",
		run: onStage(func(s *stage) {
			m := s.pair()
			silent, alive := m.relay("D", member(4)), m.relay("E", member(6))
			silent.put(serviceBuilder, meshRequest(member(4), member(1)))
			begin := time.Now()
			s.distant(m, member(6), member(1))
			silent.expectResponse(true)
			s.expectJoin(member(4))
			left := make(chan error, 1)
			go func() {
				_, err := s.peer.Wait(16*time.Second, isLeave(member(4)))
				left <- err
			}()
			ticks := time.NewTicker(2 * time.Second)
			defer ticks.Stop()
			for waiting := true; waiting; {
				select {
				case <-ticks.C:
					alive.put(serviceMesh, meshHeartbeat)
				case err := <-left:
					s.expect(err == nil, "a distant member that is silent", "has left", err)
					waiting = false
				}
			}
			s.between("the leave of D", time.Since(begin), 9*time.Second, 12*time.Second)
			s.never("leave of E", isLeave(member(6)))
			for i := range 3 {
				_, err := silent.take(time.Now(), func(e envelope) bool {
					return e.service == serviceMesh && bytes.Equal(e.content, meshHeartbeat)
				})
				s.expect(err == nil, "for D", "3 heartbeats at least", i)
			}
			s.expectMembers(member(1), member(6))
		}),
	},
	{
		ID: "MSH-14/unknown", Requirements: []string{"MSH-14", "MSH-4"}, Level: Must,
		Sentence: "A heartbeat of somebody unknown makes no member.",
		run: onStage(func(s *stage) {
			m := s.pair()
			m.raw(envelope{member(9), s.id, serviceMesh, meshHeartbeat}.encode())
			s.hear(m)
			s.expectMembers(member(1))
		}),
	},
}

// distant makes a member known to the peer, over l, as adjacent to others.
func (s *stage) distant(l *link, id uint32, adjacent ...uint32) {
	l.raw(envelope{id, s.id, serviceMesh, adjacentMessage(adjacent...)}.encode())
	s.expectJoin(id)
}

// reaches expects that a text for id goes over one link, and not over another.
func (s *stage) reaches(id uint32, by, not *link) {
	text := "reach " + randomName()
	s.do(driver.Command{"cmd": "sendTo", "to": id, "text": text})
	by.expectSpeech(id, typeText, []byte(text))
	_, err := not.in.take(time.Now(), func(r received) bool { return r.env.service == serviceUser && r.env.recipient == id })
	s.expect(err != nil, "for "+not.name, "nothing for "+fmt.Sprint(id), "a message")
}

package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// serviceDelivery is the service of the contract of delivery (EXT-1).
const serviceDelivery = 7700

// helloTime is how long a case waits for a hello, which is the first Message on a channel.
const helloTime = 2 * time.Second

// A keeper is a scripted member that keeps the contract of delivery.
type keeper struct {
	*link
	session uint32 // that marks what the peer under test sends to it
	theirs  uint32 // that marks what it sends
	number  uint64 // of its last part
}

// keeps has a scripted member and the peer under test greet each other. A peer that says no
// hello does not keep the contract, which is optional.
func (s *stage) keeps(l *link, window uint32) *keeper {
	k := &keeper{link: l, session: 1<<30 + l.me&0xffff}
	m, err := l.in.take(time.Now().Add(helloTime), func(m received) bool {
		return m.env.service == serviceDelivery && mustParse(m.env.content).has(1)
	})
	if err != nil {
		panic(unsupported("it says no hello: it does not keep the contract of delivery"))
	}
	hello := mustParse(m.env.content).sub(1)
	k.theirs = hello.uint(2)
	s.expect(hello.uint(1) == 1 && k.theirs != 0 && hello.uint(4) > 0, "hello", "version 1, a session, a window", fmt.Sprintf("%+v", hello))
	k.greet(window)
	// The answer to an echo that is not the sender's, or the sign that it was: EXT-2.
	return k
}

// lives has the keeper give signs of life from now on.
func (k *keeper) lives() {
	go func() {
		ticks := time.NewTicker(300 * time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				k.send(serviceDelivery, appendBool(nil, 3, true))
			case <-k.run.over:
				return
			case <-k.over:
				return
			}
		}
	}()
}

// greet says hello.
func (k *keeper) greet(window uint32) {
	h := appendVarint(nil, 1, 1)
	h = appendVarint(h, 2, uint64(k.session))
	h = appendVarint(h, 3, uint64(k.theirs))
	k.send(serviceDelivery, appendBytes(nil, 1, appendVarint(h, 4, uint64(window))))
}

// ack acknowledges what the peer under test has sent.
func (k *keeper) ack(number uint64) {
	a := appendVarint(nil, 1, uint64(k.session))
	k.send(serviceDelivery, appendBytes(nil, 2, appendVarint(a, 2, number)))
}

// part is a whole text as the part of a sequence with this number.
func (k *keeper) part(session uint32, number uint64, text string) {
	b := fullMessage(typeText, []byte(text))
	b = appendVarint(appendVarint(b, 77, number), 78, uint64(session))
	k.send(serviceUser, b)
}

// expectPart expects a part of a user message, its number and its session.
func (k *keeper) expectPart(number uint64) fields {
	m := k.expect(fmt.Sprintf("part %d", number), deadline(), func(e envelope) bool { return e.service == serviceUser })
	fs := mustParse(m.env.content)
	n, session := fs.find(77), fs.uint(78)
	k.run.expect(n != nil && n.value == number && session == k.session, "a part for "+k.name,
		fmt.Sprintf("number %d, session %d", number, k.session), fmt.Sprintf("%v, session %d", n, session))
	return fs
}

// expectDelivery expects a delivery.Message with a field.
func (l *link) expectDelivery(what string, until time.Time, field int) fields {
	m := l.expect(what, until, func(e envelope) bool {
		return e.service == serviceDelivery && mustParse(e.content).has(field)
	})
	return mustParse(m.env.content)
}

// expectAck expects acknowledgements up to that of a number, and none beyond.
func (k *keeper) expectAck(number uint64) {
	for end := deadline(); ; {
		a := k.expectDelivery(fmt.Sprintf("an acknowledgement of %d", number), end, 2).sub(2)
		k.run.expect(a.uint(1) == k.theirs && a.uint(2) <= uint32(number), "an acknowledgement",
			fmt.Sprintf("session %d, up to %d", k.theirs, number), fmt.Sprintf("session %d, %d", a.uint(1), a.uint(2)))
		if a.uint(2) == uint32(number) {
			return
		}
	}
}

// Cases of chapter EXT: they are unsupported where a member does not say hello.
var ext = []*Case{
	{
		ID: "EXT-2/hello-first", Requirements: []string{"EXT-1", "EXT-2"}, Level: Must,
		Sentence: "A member that keeps the contract of delivery says hello first of all, and answers a hello that does not echo its session.",
		run: onStage(func(s *stage) {
			m := s.joinThrough(member(1))
			first, err := m.in.take(time.Now().Add(helloTime), func(received) bool { return true })
			if err != nil || first.env.service != serviceDelivery {
				panic(unsupported("it says no hello: it does not keep the contract of delivery"))
			}
			session := mustParse(first.env.content).sub(1).uint(2)
			s.expect(mustParse(first.env.content).has(1) && session != 0 && first.env.recipient == member(1), "the first Message", "hello", first.env)
			s.settled(deadline())
			stranger := &keeper{link: m, session: 5, theirs: session ^ 1}
			stranger.greet(1 << 20)
			again := m.expectDelivery("an answer to a hello with another echo", deadline(), 1).sub(1)
			s.expect(again.uint(3) == 5, "the echo in the answer", "5", again.uint(3))
		}),
	},
	{
		ID: "EXT-4/numbers", Requirements: []string{"EXT-1", "EXT-4"}, Level: Must,
		Sentence: "Parts to a member that has said hello are numbered from 1 without a gap, private ones and those to all, chunks too.",
		run: onStage(func(s *stage) {
			m := s.pair()
			k := s.keeps(m, 1<<20)
			s.untilMarked(k)
			text := strings.Repeat("x", 40_000) // three chunks
			s.do(driver.Command{"cmd": "send", "text": text})
			s.do(driver.Command{"cmd": "sendTo", "to": member(1), "text": "private"})
			s.do(driver.Command{"cmd": "send", "text": "to all"})
			for range 5 {
				k.number++
				k.expectPart(k.number)
			}
		}),
	},
	{
		ID: "EXT-5/once-and-in-order", Requirements: []string{"EXT-5", "EXT-6"}, Level: Must,
		Sentence: "Parts that come early wait, those that come again or with another session are dropped, and all is acknowledged in time.",
		run: onStage(func(s *stage) {
			m := s.pair()
			k := s.keeps(m, 1<<20)
			s.untilMarked(k)
			k.part(k.theirs, 2, "two")
			k.part(k.theirs^1, 1, "of another session")
			k.part(k.theirs, 1, "one")
			k.part(k.theirs, 1, "one")
			k.part(k.theirs, 2, "two")
			k.expectAck(2)
			k.part(k.theirs, 3, "three")
			begin := time.Now()
			k.expectAck(3)
			s.expect(time.Since(begin) < 2*time.Second, "the acknowledgement", "after 50 ms", time.Since(begin))
			for _, want := range []string{"one", "two", "three"} {
				e := s.event("the message "+want, deadline(), func(e driver.Event) bool { return e.Event == "message" })
				s.expect(e.Text != nil && *e.Text == want, "the next message", want, fmt.Sprintf("%+v", e))
			}
			s.never("a message twice, or of another session", func(e driver.Event) bool { return e.Event == "message" })
		}),
	},
	{
		ID: "EXT-7/window", Requirements: []string{"EXT-7"}, Level: Must,
		Sentence: "A member has no more on its way than the receiver's window, and goes on as that is acknowledged.",
		run: onStage(func(s *stage) {
			m := s.pair()
			const window = 100_000
			k := s.keeps(m, window)
			s.untilMarked(k)
			data := strings.Repeat("y", 400_000)
			if _, err := s.peer.Send(driver.Command{"cmd": "send", "text": data}); err != nil {
				s.fail("the peer under test is told to send", "that it does", err.Error())
			}
			got, waiting := 0, 0
			for got < len(data) {
				until := time.Now().Add(2 * quiet)
				if waiting == 0 {
					until = deadline() // there must be more
				}
				e, err := m.in.take(until, func(r received) bool { return r.env.service == serviceUser })
				if err != nil { // nothing more comes until it is acknowledged
					s.expect(waiting > 0, "after an acknowledgement", "more parts", err)
					k.ack(k.number)
					waiting = 0
					continue
				}
				k.number++
				n := len(parseChunk(mustParse(e.env.content)).content)
				got, waiting = got+n, waiting+n
				s.expect(waiting <= window, "bytes on their way", fmt.Sprintf("%d at most", window), waiting)
			}
		}),
	},
	{
		ID: "EXT-3/lost-sequence", Requirements: []string{"EXT-3", "EXT-4"}, Level: Must,
		Sentence: "A hello with another session has the numbers begin with 1 again.",
		run: onStage(func(s *stage) {
			m := s.pair()
			k := s.keeps(m, 1<<20)
			s.untilMarked(k)
			k.ack(k.number)
			k.session, k.number = k.session+1, 0
			k.greet(1 << 20)
			s.untilMarked(k)
		}),
	},
	{
		ID: "EXT-9/probes", Requirements: []string{"EXT-9"}, Level: Must,
		Sentence: "A member probes a channel on which nothing comes for 0.9 s, and answers a probe at once.",
		run: onStage(func(s *stage) {
			m := s.pair()
			m.silence()
			k := s.keeps(m, 1<<20)
			begin := time.Now()
			p := k.expectDelivery("a probe", begin.Add(5*time.Second), 3)
			s.expect(p.uint(3) == 0, "a probe on a silent channel", "false", p.uint(3))
			m.send(serviceDelivery, appendBool(nil, 3, true)) // a sign of life
			m.send(serviceDelivery, appendBool(nil, 3, false))
			for end := deadline(); ; {
				if k.expectDelivery("an answer to a probe", end, 3).uint(3) != 0 {
					break
				}
			}
		}),
	},
	{
		ID: "EXT-11/dead-channel", Requirements: []string{"EXT-11", "EXT-12"}, Level: Must, Slow: true,
		Sentence: "A silent channel to a member that answers by another one is ended, nobody leaves, and after a pause there is a request for a new one.",
		run: onStage(func(s *stage) {
			s.first()
			a, b := s.admit("A", member(3)), s.admit("B", member(4))
			k, other := s.keeps(a, 1<<20), s.keeps(b, 1<<20)
			s.untilMarked(k)
			s.untilMarked(other)
			k.ack(k.number)
			other.ack(other.number)
			b.send(serviceMesh, adjacentMessage(s.id, member(3)))
			other.lives()
			a.silence()
			b.expect("a probe for A, by B", deadline(), func(e envelope) bool {
				fs := mustParse(e.content)
				return e.service == serviceDelivery && e.recipient == member(3) && fs.has(3) && fs.uint(3) == 0
			})
			a.expectOpen("without an answer")
			b.raw(envelope{member(3), s.id, serviceDelivery, appendBool(nil, 3, true)}.encode())
			a.expectClosed("after an answer by B", within(500*time.Millisecond))
			begin := time.Now()
			b.relay("A", member(3)).expectRequest(deadline())
			s.expect(time.Since(begin) < 5*time.Second, "a request for a new channel", "after 1 s or so", time.Since(begin))
			s.never("that A leaves", isLeave(member(3)))
		}),
	},
	{
		ID: "EXT-10/bye", Requirements: []string{"EXT-10"}, Level: Must,
		Sentence: "A member that leaves says bye before it closes the channel.",
		run: onStage(func(s *stage) {
			m := s.pair()
			k := s.keeps(m, 1<<20)
			s.untilMarked(k)
			k.ack(k.number)
			n, err := s.peer.Send(driver.Command{"cmd": "leave"})
			s.expect(err == nil, "leave", "that the driver takes it", err)
			k.expectDelivery("bye", deadline(), 4)
			m.expectClosed("after bye", deadline())
			_, err = s.peer.Answer(timeout, n)
			s.expect(err == nil, "leave", "ok", err)
			s.out = true
		}),
	},
	{
		ID: "EXT-10/cut", Requirements: []string{"EXT-8", "EXT-10"}, Level: Must,
		Sentence: "A member whose channel ends without bye has not left, and what it had not acknowledged goes to it another way.",
		run: onStage(func(s *stage) {
			s.first()
			a, b := s.admit("A", member(3)), s.admit("B", member(4))
			k, other := s.keeps(a, 1<<20), s.keeps(b, 1<<20)
			s.untilMarked(k)
			s.untilMarked(other)
			k.ack(k.number)
			b.send(serviceMesh, adjacentMessage(s.id, member(3)))
			s.hear(b)
			s.do(driver.Command{"cmd": "sendTo", "to": member(3), "text": "not acknowledged"})
			k.number++
			k.expectPart(k.number)
			a.shut()
			m := b.expect("the part for A again, by B", deadline(), func(e envelope) bool { return e.service == serviceUser && e.recipient == member(3) })
			fs := mustParse(m.env.content)
			s.expect(fs.uint(77) == uint32(k.number) && string(fs.bytes(3)) == "not acknowledged", "the part for A, by B",
				fmt.Sprintf("number %d", k.number), m.env)
			s.never("that A leaves", isLeave(member(3)))
			s.expect(slices.Contains(s.status().Members, member(3)), "the members", "A among them", s.status().Members)
			b.raw(envelope{member(3), s.id, serviceDelivery, appendBool(nil, 4, true)}.encode()) // bye, passed on by B
			s.expectLeave(member(3), deadline())
		}),
	},
}

// untilMarked has the peer under test speak until what comes is marked as for a member that
// keeps the contract: it may be told to before it has seen the hello.
func (s *stage) untilMarked(k *keeper) {
	for end := deadline(); ; {
		text := "marked " + randomName()
		s.do(driver.Command{"cmd": "sendTo", "to": k.me, "text": text})
		m := k.expect("a user message", deadline(), func(e envelope) bool {
			return e.service == serviceUser && string(mustParse(e.content).bytes(3)) == text
		})
		fs := mustParse(m.env.content)
		if fs.uint(78) == k.session {
			k.number++
			s.expect(fs.uint(77) == uint32(k.number), "the first part after hello", fmt.Sprintf("number %d", k.number), fs.uint(77))
			return
		}
		s.expect(time.Now().Before(end), "what is sent after hello", fmt.Sprintf("parts of session %d", k.session), m.env)
	}
}

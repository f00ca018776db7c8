package conformance

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

var chnLife = []*Case{
	{
		ID: "CHN-18/heartbeats", Requirements: []string{"CHN-18", "CHN-1"}, Level: Must, Slow: true,
		Sentence: "A member sends a heartbeat every 3 s on each of its channels, at the same moment.",
		run: onStage(func(s *stage) {
			m := s.pair()
			j := s.admit("J", member(2))
			var last time.Time
			for i := range 3 {
				a, err := m.beats.take(within(3*time.Second), func(received) bool { return true })
				s.expect(err == nil, "for member 1", "a heartbeat", err)
				b, err := j.beats.take(within(3*time.Second), func(received) bool { return true })
				s.expect(err == nil, "for J", "a heartbeat", err)
				for _, e := range []envelope{a.env, b.env} {
					want := envelope{s.id, member(1), 0, nil}
					if e.recipient != want.recipient {
						want.recipient = member(2)
					}
					s.expect(e.sender == want.sender && e.recipient == want.recipient && len(e.content) == 0, "a heartbeat", want.String(), e)
				}
				if i > 0 {
					s.between("the time between two heartbeats", a.at.Sub(last), 3*time.Second, 3*time.Second)
					s.between("the time between the heartbeats of two channels", b.at.Sub(a.at).Abs(), 0, 0)
				}
				last = a.at
			}
		}),
	},
	{
		ID: "CHN-19/silence", Requirements: []string{"CHN-19", "CHN-20", "MSH-20"}, Level: Must, Slow: true,
		Sentence: "A member that falls silent is closed and has left after 6 to 9 s.",
		run: onStage(func(s *stage) {
			s.first()
			a, b := s.admit("A", member(1)), s.admit("B", member(2))
			a.silence()
			a.send(serviceBeat, nil)
			s.hear(a)
			begin := time.Now()
			a.expectClosed("a silent channel", within(9*time.Second))
			s.between("the end of the channel", time.Since(begin), 6*time.Second, 9*time.Second)
			s.expectLeave(member(1), deadline())
			s.expect(len(a.beats.all()) <= 3, "heartbeats to a silent member", "2, and 1 before it fell silent", len(a.beats.all()))
			s.hear(b)
			s.never("leave of B", isLeave(member(2)))
		}),
	},
	{
		ID: "CHN-20/forms", Requirements: []string{"CHN-20"}, Level: Must, Slow: true,
		Sentence: "An empty message, and one of service 0 for all, count as heartbeats.",
		run: onStage(func(s *stage) {
			m := s.pair()
			j := s.admit("J", member(2))
			m.silence()
			j.silence()
			for range 6 {
				m.raw([]byte{})
				j.raw(envelope{sender: member(2)}.encode())
				select { // no condition to wait for: time must pass
				case <-time.After(2 * time.Second):
				case <-m.over:
				case <-j.over:
				}
				m.expectOpen("with empty messages")
				j.expectOpen("with heartbeats for all")
			}
			s.hear(m)
			s.hear(j)
		}),
	},
	{
		ID: "CHN-3/malformed", Requirements: []string{"CHN-3", "WIR-9", "WIR-10", "MSG-13"}, Level: Must,
		Sentence: "Messages that no decoder takes, and those of unknown services, are ignored; the channel stays.",
		run: onStage(func(s *stage) {
			m := s.pair()
			for _, b := range [][]byte{
				{0xff}, {0x08}, {0x07}, {0x0f}, {0x22, 0x05, 1}, {0x22, 0xff, 0xff, 0xff, 0xff, 0x0f}, bytes.Repeat([]byte{0x80}, 100), []byte("hello"),
			} {
				m.raw(b)
			}
			for _, service := range []uint32{serviceUser, serviceBuilder, serviceRTC, serviceMesh, 1, 42, 1<<32 - 1} {
				for _, content := range [][]byte{nil, {}, {0xff}, {0x08}, {0x0a, 0x05}, {0x78, 0x01}, {0x0a, 0x02, 0x0a, 0x09}, {0x12, 0x00, 0x07}} {
					if service == serviceMesh && len(content) == 0 {
						continue
					}
					m.send(service, content)
				}
			}
			s.hear(m)
			s.speak(m)
			m.expectOpen("after malformed messages")
			s.expectMembers(member(1))
		}),
	},
	{
		ID: "CHN-1/unknown-fields", Requirements: []string{"CHN-1", "WIR-2", "WIR-5"}, Level: Must,
		Sentence: "Unknown fields of all wire types are skipped, in the envelope and in the content.",
		run: onStage(func(s *stage) {
			m := s.pair()
			unknown := []byte{0x80, 0x01, 0x05, 0x8a, 0x01, 0x02, 1, 2, 0x95, 0x01, 1, 2, 3, 4, 0x99, 0x01, 1, 2, 3, 4, 5, 6, 7, 8}
			content := append(bytes.Clone(unknown), fullMessage(typeText, []byte("x"))...)
			content = append(content, unknown...)
			m.raw(append(append(bytes.Clone(unknown), envelope{member(1), s.id, serviceUser, content}.encode()...), unknown...))
			s.expectMessage(member(1), []byte("x"), true)
		}),
	},
	{
		ID: "CHN-2/not-for-me", Requirements: []string{"CHN-2", "MSH-18"}, Level: Must,
		Sentence: "A message for another member is not delivered, also when nobody knows that member.",
		run: onStage(func(s *stage) {
			m := s.pair()
			for _, id := range []uint32{member(7), s.id ^ 1, 1, member(1)} {
				m.raw(envelope{member(1), id, serviceUser, fullMessage(typeText, []byte("secret"))}.encode())
			}
			s.hear(m)
			s.never("secret", isMessage(member(1), []byte("secret"), true))
		}),
	},
	{
		ID: "CHN-4/largest", Requirements: []string{"CHN-4", "WIR-12"}, Level: Must,
		Sentence: "A message of 65,535 bytes does the channel no harm.",
		run: onStage(func(s *stage) {
			m := s.pair()
			head := len(envelope{member(1), s.id, 42, make([]byte, 65_000)}.encode()) - 65_000
			m.send(42, make([]byte, 65_535-head))
			s.hear(m)
		}),
	},
	{
		ID: "CHN-5/burst", Requirements: []string{"CHN-5", "CHN-4", "MSG-6"}, Level: Must,
		Sentence: "24 messages of 1 MiB that are sent in a row all arrive, in order.",
		run: onStage(func(s *stage) {
			s.burst(s.pair())
		}),
	},
	{
		ID: "CHN-23/replaced", Requirements: []string{"CHN-23", "CHN-24"}, Level: Must,
		Sentence: "A second channel to the same member replaces the first, which is closed; nobody leaves.",
		run: onStage(func(s *stage) {
			s.first()
			old := s.admit("J", member(1))
			w := s.nextJoiner("J again")
			l := w.answer(w.asks())
			l.expectRaw("for J again", "initPing", deadline(), func(fs fields) bool { return fs.has(1) })
			l.raw(pong(member(1)))
			l.begin(member(1), s.id)
			s.hear(l)
			old.expectClosed("the replaced channel", deadline())
			s.speak(l)
			s.never("leave", isLeave(member(1)))
			s.expectMembers(member(1))
		}),
	},
	{
		ID: "CHN-24/late-close", Requirements: []string{"CHN-24", "CHN-22"}, Level: Must,
		Sentence: "The other end closes a replaced channel late: nobody leaves, and the new channel stays.",
		run: onStage(func(s *stage) {
			s.first()
			old := s.admit("J", member(1))
			w := s.nextJoiner("J again")
			l := w.answer(w.asks())
			l.expectRaw("for J again", "initPing", deadline(), func(fs fields) bool { return fs.has(1) })
			l.raw(pong(member(1)))
			l.begin(member(1), s.id)
			s.hear(l)
			old.shut()
			other := s.admit("K", member(2))
			s.hear(l)
			s.speak(l, other)
			s.never("leave", isLeave(member(1)))
			s.expectMembers(member(1), member(2))
		}),
	},
	{
		ID: "CHN-25/not-too-early", Requirements: []string{"CHN-25", "CHN-23", "STA-5"}, Level: Should,
		Sentence: "A replaced channel stays until a Message has come over the new one.",
		run: onStage(func(s *stage) {
			old := s.joinThrough(member(1))
			s.joined(deadline())
			s.connectsWith(deadline(), member(1))
			s.door.answer(false)
			h := s.bind(member(1))
			h.agree()
			l := h.way.offer(h.label(2)).answered()
			h.greet(l)
			s.hear(old)
			old.expectOpen("before a Message over the new channel")
			s.hear(l)
			old.expectClosed("after a Message over the new channel", deadline())
			s.never("leave", isLeave(member(1)))
		}),
	},
}

// burst has the peer send many long texts to all, and expects them on a link. Of a
// WebSocket nothing is read at first.
func (s *stage) burst(m *link) {
	const n = 24
	data := strings.Repeat("0123456789abcdef", 1<<16)
	if m.ws != nil {
		m.ws.gate.Lock()
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		for range n {
			s.peer.Send(s.command(driver.Command{"cmd": "send", "text": data}))
		}
	})
	if m.ws == nil {
		defer sending.Wait() // the driver may serve another case next
	} else {
		for range n { // or until it accepts no more
			if _, err := s.peer.Wait(2*quiet, func(e driver.Event) bool { return e.Event == "ok" }); err != nil {
				break
			}
		}
		m.ws.gate.Unlock()
	}
	r := newReassembly()
	for i := range n {
		got := m.expectWhole(r, 0, 15*time.Second)
		s.expect(string(got) == data, fmt.Sprintf("message %d of %d", i+1, n), "1 MiB as it was sent", fmt.Sprintf("%d bytes", len(got)))
	}
}

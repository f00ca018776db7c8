package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshpair/meshpair/conformance/driver"
)

// say sends the content of user messages from a scripted member to the peer.
func (l *link) say(contents ...[]byte) {
	for _, c := range contents {
		l.send(serviceUser, c)
	}
}

// broken expects that nothing of a member is delivered but what hear sends.
func (s *stage) broken(l *link, what string) {
	s.hear(l)
	s.never(what, func(e driver.Event) bool { return e.Event == "message" })
}

var msgReceive = []*Case{
	{
		ID: "MSG-7/whole", Requirements: []string{"MSG-1", "MSG-2", "MSG-7", "WIR-2"}, Level: Must,
		Sentence: "Texts and bytes are delivered, empty bytes too, private or to all, whatever length says.",
		run: onStage(func(s *stage) {
			m := s.pair()
			for _, data := range [][]byte{[]byte("grüß dich 👋\x00!"), []byte("x"), []byte(strings.Repeat("ä", 7_500))} {
				m.say(fullMessage(typeText, data))
				s.expectMessage(member(1), data, true)
				m.raw(envelope{member(1), 0, serviceUser, fullMessage(typeBytes, data)}.encode())
				s.expectMessage(member(1), data, false)
			}
			m.say(fullMessage(typeBytes, nil))
			s.expectMessage(member(1), nil, false)
			m.say(appendBytes(appendVarint(nil, 1, 1<<32-1), 3, []byte("no type, odd length")))
			s.expectMessage(member(1), []byte("no type, odd length"), true)
		}),
	},
	{
		ID: "MSG-7/empty-text", Requirements: []string{"MSG-7"}, Level: Must,
		Sentence: "An empty text is delivered.",
		run: onStage(func(s *stage) {
			m := s.pair()
			m.say(fullMessage(typeText, nil))
			s.expectMessage(member(1), nil, true)
		}),
	},
	{
		ID: "MSG-7/byte-order-mark", Requirements: []string{"MSG-7"}, Level: Must,
		Sentence: "A text that begins with a byte order mark is delivered with it.",
		run: onStage(func(s *stage) {
			m := s.pair()
			m.say(fullMessage(typeText, []byte("\ufeffx")))
			s.expectMessage(member(1), []byte("\ufeffx"), true)
		}),
	},
	{
		ID: "MSG-8/chunks", Requirements: []string{"MSG-2", "MSG-4", "MSG-8"}, Level: Must,
		Sentence: "Messages in chunks are delivered, bytes and texts with characters that are cut.",
		run: onStage(func(s *stage) {
			m := s.pair()
			for i, n := range []int{15_001, 30_000, 45_003, 1 << 20} {
				data := pattern(n)
				m.say(cut(typeBytes, uint32(2*i+1), data)...)
				s.expectMessage(member(1), data, false)
				text := []byte("x" + strings.Repeat("𝄞", n/4))
				m.say(cut(typeText, uint32(2*i+2), text)...)
				s.expectMessage(member(1), text, true)
			}
		}),
	},
	{
		ID: "MSG-6/any-order", Requirements: []string{"MSG-6", "MSG-8"}, Level: Must,
		Sentence: "Chunks may come in any order, and those of several messages mixed.",
		run: onStage(func(s *stage) {
			m := s.pair()
			a, b := pattern(70_000), pattern(80_001)
			slices.Reverse(b)
			one, two := cut(typeBytes, 65_535, a), cut(typeBytes, 1, b)
			slices.Reverse(one)
			for i := range two {
				m.say(two[(i+3)%len(two)])
				if i < len(one) {
					m.say(one[i])
				}
			}
			s.expectMessage(member(1), a, false)
			s.expectMessage(member(1), b, false)
		}),
	},
	{
		ID: "MSG-8/two-senders", Requirements: []string{"MSG-1", "MSG-8"}, Level: Must,
		Sentence: "Chunks of two senders with the same id belong to two messages.",
		run: onStage(func(s *stage) {
			m := s.pair()
			j := s.admit("J", member(5))
			a, b := pattern(40_000), pattern(40_000)
			slices.Reverse(b)
			one, two := cut(typeBytes, 7, a), cut(typeBytes, 7, b)
			for i := range one {
				m.say(one[i])
				s.hear(m)
				j.say(two[i])
				s.hear(j)
			}
			s.expectMessage(member(1), a, false)
			s.expectMessage(member(5), b, false)
		}),
	},
	{
		ID: "MSG-8/id-again", Requirements: []string{"MSG-8", "MSG-12"}, Level: Must,
		Sentence: "An id may be used again when its message is delivered.",
		run: onStage(func(s *stage) {
			m := s.pair()
			for i := range 3 {
				data := pattern(20_000 + i)
				m.say(cut(typeBytes, 9, data)...)
				s.expectMessage(member(1), data, false)
			}
		}),
	},
	{
		ID: "MSG-8/single-chunk", Requirements: []string{"MSG-8"}, Level: Must,
		Sentence: "A message of one chunk is delivered.",
		run: onStage(func(s *stage) {
			m := s.pair()
			m.say(cut(typeText, 3, []byte("alone"))...)
			s.expectMessage(member(1), []byte("alone"), true)
		}),
	},
	{
		ID: "MSG-9/new-length", Requirements: []string{"MSG-9"}, Level: Must,
		Sentence: "A chunk with another length than the incomplete message with its id begins a new one.",
		run: onStage(func(s *stage) {
			m := s.pair()
			m.say(cut(typeBytes, 4, pattern(45_000))[:2]...)
			data := pattern(31_000)
			m.say(cut(typeBytes, 4, data)...)
			s.expectMessage(member(1), data, false)
			m.say(cut(typeBytes, 4, data)[1])
			m.say(cut(typeText, 4, []byte(strings.Repeat("y", 31_000)))...)
			s.expectMessage(member(1), []byte(strings.Repeat("y", 31_000)), true)
		}),
	},
	{
		ID: "MSG-10/doubles", Requirements: []string{"MSG-10"}, Level: Must,
		Sentence: "A chunk that comes twice counts once, and the message is delivered once.",
		run: onStage(func(s *stage) {
			m := s.pair()
			data := pattern(45_001)
			all := cut(typeBytes, 4, data)
			m.say(all[0], all[0], all[2], all[2], all[0], all[1])
			s.hear(m)
			m.say(all[3])
			s.expectMessage(member(1), data, false)
			s.hear(m)
			s.never("a message twice", isMessage(member(1), data, false))
		}),
	},
	{
		ID: "MSG-10/wrong-chunks", Requirements: []string{"MSG-10"}, Level: Must,
		Sentence: "Chunks of the wrong size, beyond the length or of a message of 0 bytes are ignored.",
		run: onStage(func(s *stage) {
			m := s.pair()
			data := pattern(31_000)
			all := cut(typeBytes, 4, data)
			wrong := func(nb uint32, n int) []byte { return chunk{31_000, typeBytes, 4, nb, make([]byte, n)}.encode() }
			m.say(all[0], wrong(1, 14_999), wrong(1, 0), wrong(1, 15_001), wrong(2, 999), wrong(2, 15_000),
				wrong(3, 15_000), wrong(3, 0), wrong(1<<32-1, 15_000), wrong(286_331, 15_000),
				chunk{0, typeText, 5, 0, nil}.encode(), chunk{0, typeText, 5, 0, make([]byte, 15_000)}.encode())
			s.broken(m, "a message from wrong chunks")
			m.say(all[1], all[2])
			s.expectMessage(member(1), data, false)
		}),
	},
	{
		ID: "MSG-11/lying-length", Requirements: []string{"MSG-11", "WIR-13"}, Level: Must,
		Sentence: "500 messages that announce 4 GiB each, or 64 MiB, do the peer no harm.",
		run: onStage(func(s *stage) {
			m := s.pair()
			for i := range 250 {
				m.say(chunk{1<<32 - 1, typeBytes, uint32(2*i + 1), 0, make([]byte, 15_000)}.encode())
				m.say(chunk{64 << 20, typeBytes, uint32(2*i + 2), 3, make([]byte, 15_000)}.encode())
			}
			s.hear(m)
			s.speak(m)
			m.expectOpen("after lying lengths")
			data := pattern(100_000)
			m.say(cut(typeBytes, 60_000, data)...)
			s.expectMessage(member(1), data, false)
		}),
	},
	{
		ID: "MSG-11/flood", Requirements: []string{"MSG-11"}, Level: Should,
		Sentence: "After 72 MB of messages that are never completed, a member's complete ones are delivered.",
		run: onStage(func(s *stage) {
			m := s.pair()
			data := make([]byte, 3*wholeSize)
			for i := range 2_400 {
				m.say(cut(typeBytes, uint32(i+1), data)[:2]...)
				if i%10 == 9 { // what waits in the suite's own buffers would delay its heartbeats
					s.hear(m)
				}
			}
			whole := pattern(1 << 20)
			m.say(cut(typeBytes, 60_000, whole)...)
			s.expectMessage(member(1), whole, false)
			m.expectOpen("after a flood")
		}),
	},
	{
		ID: "MSG-12/leave", Requirements: []string{"MSG-12", "MSH-23"}, Level: Must,
		Sentence: "What came of a message before its sender left is no part of what comes when the id joins again.",
		run: onStage(func(s *stage) {
			m := s.pair()
			j := s.admit("J", member(5))
			data := pattern(45_000)
			all := cut(typeBytes, 4, data)
			j.say(all[0], all[1])
			s.hear(j)
			j.shut()
			s.expectLeave(member(5), deadline())
			j = s.admit("J again", member(5))
			j.say(all[2])
			s.broken(j, "a message of two lives")
			j.say(all[:2]...)
			s.expectMessage(member(5), data, false)
			s.hear(m)
		}),
	},
	{
		ID: "MSG-13/odd", Requirements: []string{"MSG-13", "MSG-2"}, Level: Must,
		Sentence: "Messages of an unknown type, without content, or with a text that is not UTF-8 do no harm.",
		run: onStage(func(s *stage) {
			m := s.pair()
			m.say(fullMessage(2, []byte("x")), fullMessage(99, []byte("y")), appendVarint(nil, 1, 3), nil, []byte{})
			s.broken(m, "a message of an unknown type")
			m.say(fullMessage(typeText, []byte("a\xffb")))
			s.hear(m)
			for _, e := range s.peer.Events() {
				s.expect(e.Event != "message" || e.Text != nil && *e.Text == "a\ufffdb", "a text that is not UTF-8",
					"U+FFFD in the place of what is wrong, or nothing", fmt.Sprintf("%+v", e))
			}
			m.expectOpen("after odd messages")
		}),
	},
	{
		ID: "MSG-14/relayed", Requirements: []string{"MSG-14", "MSG-1", "MSG-8"}, Level: Must,
		Sentence: "Messages of a distant member are delivered as its own.",
		run: onStage(func(s *stage) {
			m := s.pair()
			s.distant(m, member(4), member(1))
			m.raw(envelope{member(4), s.id, serviceUser, fullMessage(typeText, []byte("from afar"))}.encode())
			s.expectMessage(member(4), []byte("from afar"), true)
			data := pattern(33_000)
			for _, c := range cut(typeBytes, 1, data) {
				m.raw(envelope{member(4), s.id, serviceUser, c}.encode())
			}
			s.expectMessage(member(4), data, false)
		}),
	},
}

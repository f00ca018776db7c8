package conformance

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// pattern is data in which a chunk at the wrong place shows.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16*7)
	}
	return b
}

var msgSend = []*Case{
	{
		ID: "MSG-3/whole", Requirements: []string{"MSG-1", "MSG-2", "MSG-3", "WIR-3"}, Level: Must,
		Sentence: "Texts and bytes of up to 15,000 bytes are sent as full, empty ones too, to one and to all.",
		run: onStage(func(s *stage) {
			m := s.pair()
			for _, text := range []string{"hello", "", "grüß dich 👋\x00", strings.Repeat("ä", 7_500)} {
				s.do(driver.Command{"cmd": "send", "text": text})
				m.expectSpeech(0, typeText, []byte(text))
				s.do(driver.Command{"cmd": "sendTo", "to": member(1), "text": text})
				m.expectSpeech(member(1), typeText, []byte(text))
			}
			for _, data := range [][]byte{{0xff, 0}, {}, pattern(15_000)} {
				s.do(driver.Command{"cmd": "send", "base64": base64.StdEncoding.EncodeToString(data)})
				m.expectSpeech(0, typeBytes, data)
				s.do(driver.Command{"cmd": "sendTo", "to": member(1), "base64": base64.StdEncoding.EncodeToString(data)})
				m.expectSpeech(member(1), typeBytes, data)
			}
		}),
	},
	{
		ID: "MSG-4/chunks", Requirements: []string{"MSG-1", "MSG-4", "MSG-6"}, Level: Must,
		Sentence: "Longer messages are sent in chunks of 15,000 bytes, the last one shorter, with nb going up from 0.",
		run: onStage(func(s *stage) {
			m := s.pair()
			r := newReassembly()
			for _, n := range []int{15_001, 30_000, 30_001, 1 << 20} {
				data := pattern(n)
				s.do(driver.Command{"cmd": "send", "base64": base64.StdEncoding.EncodeToString(data)})
				s.expectSame("bytes to all", m.expectWhole(r, 0, timeout), data)
				text := strings.Repeat("€", (n+2)/3) // cut between two chunks somewhere, as 15,000 is a multiple of 3 …
				text = "x" + text                    // … after this
				s.do(driver.Command{"cmd": "sendTo", "to": member(1), "text": text})
				s.expectSame("text to one", m.expectWhole(r, member(1), timeout), []byte(text))
			}
		}),
	},
	{
		ID: "MSG-5/ids", Requirements: []string{"MSG-4", "MSG-5"}, Level: Must,
		Sentence: "1,200 messages in chunks that are sent one after the other have 1,200 ids.",
		run: onStage(func(s *stage) {
			m := s.pair()
			seen := make(map[uint32]bool)
			text := strings.Repeat("x", 15_001)
			for i := range 1200 {
				s.do(driver.Command{"cmd": "send", "text": text})
				for nb := range 2 {
					r := m.expect("a chunk", deadline(), func(e envelope) bool { return e.service == serviceUser })
					c := parseChunk(mustParse(r.env.content))
					s.expect(int(c.nb) == nb && c.id > 0 && c.id <= 65_535 && seen[c.id] == (nb == 1), fmt.Sprintf("message %d of 1,200", i+1),
						fmt.Sprintf("chunk %d with an id that was not used before", nb), fmt.Sprintf("chunk %d with id %d", c.nb, c.id))
					seen[c.id] = true
				}
			}
		}),
	},
	{
		ID: "MSG-1/to-one", Requirements: []string{"MSG-1"}, Level: Must,
		Sentence: "A message to one member goes to that one alone.",
		run: onStage(func(s *stage) {
			m := s.pair()
			j := s.admit("J", member(5))
			s.reaches(member(5), j, m)
			s.reaches(member(1), m, j)
		}),
	},
	{
		ID: "MSG-15/alone", Requirements: []string{"MSG-15"}, Level: Must,
		Sentence: "A member that is alone can send to all, which does nothing.",
		run: onStage(func(s *stage) {
			s.first()
			s.do(driver.Command{"cmd": "send", "text": "is anybody there?"})
			s.do(driver.Command{"cmd": "send", "base64": ""})
			j := s.admit("J", member(5))
			s.speak(j)
			_, err := j.in.take(time.Now(), func(r received) bool { return r.env.service == serviceUser })
			s.expect(err != nil, "for J", "nothing that was sent before", "a message")
		}),
	},
	{
		ID: "MSG-6/order", Requirements: []string{"MSG-6", "CHN-5"}, Level: Must,
		Sentence: "Messages of all lengths, private and to all, arrive in the order in which they were sent.",
		run: onStage(func(s *stage) {
			m := s.pair()
			const n = 60
			for i := range n {
				c := driver.Command{"cmd": "send", "text": fmt.Sprintf("%d %s", i, strings.Repeat("x", i%3*20_000))}
				if i%2 == 1 {
					c["cmd"], c["to"] = "sendTo", member(1)
				}
				if _, err := s.peer.Send(c); err != nil {
					s.fail("the peer under test is told to send", "that it does", err.Error())
				}
			}
			r := newReassembly()
			for i := range n {
				var whole []byte
				for whole == nil {
					e := m.expect("a user message", deadline(), func(e envelope) bool { return e.service == serviceUser })
					fs := mustParse(e.env.content)
					if fs.has(3) {
						whole = fs.bytes(3)
						continue
					}
					var err error
					whole, err = r.add(parseChunk(fs))
					s.expect(err == nil, "the chunks of a user message", "in order", err)
				}
				head, _, _ := strings.Cut(string(whole), " ")
				s.expect(head == fmt.Sprint(i), "the order of the messages", fmt.Sprint(i), head)
			}
		}),
	},
}

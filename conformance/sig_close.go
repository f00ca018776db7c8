package conformance

import (
	"fmt"
	"time"
)

var sigClose = []*Case{
	{
		ID: "SIG-10/heartbeat-times", Requirements: []string{"SIG-10", "SIG-11", "SIG-38"}, Level: Must,
		Sentence: "A silent peer gets a heartbeat after 5 and 10 s and is closed with 4742 after 15 s.",
		run: func(r *run) {
			r.silent = true
			p := r.open("A", "")
			begin := time.Now()
			at := func(want time.Duration, what string) {
				r.expect(time.Since(begin) > want-500*time.Millisecond && time.Since(begin) < want+time.Second,
					what, fmt.Sprintf("after %v", want), time.Since(begin))
			}
			p.expectHeartbeat(begin.Add(6 * time.Second))
			at(5*time.Second, "the first heartbeat")
			p.expectHeartbeat(begin.Add(11 * time.Second))
			at(10*time.Second, "the second heartbeat")
			p.expectClose(4742, 5*time.Second)
			at(15*time.Second, "the close frame")
			r.expect(p.beats == 0, "heartbeats to a silent peer", "2", p.beats+2)
		},
	},
	{
		ID: "SIG-12/only-heartbeats-count", Requirements: []string{"SIG-12"}, Level: Must,
		Sentence: "A peer that sends heartbeats stays longer than 15 s; one that sends other messages only is closed.",
		run: func(r *run) {
			r.silent = true
			a, b := r.open("A", ""), r.open("B", "")
			begin := time.Now()
			for i := range 3 {
				a.send(heartbeatMessage)
				b.send(content{data: []byte{1}}.message())
				a.expectHeartbeat(begin.Add(time.Duration(5*i+6) * time.Second))
			}
			b.expectClose(4742, 2*time.Second)
			a.send(heartbeatMessage)
			a.expectHeartbeat(begin.Add(21 * time.Second))
		},
	},
	{
		ID: "SIG-14/expelled-at-once", Requirements: []string{"SIG-14"}, Level: Must,
		Sentence: "A peer that is closed for a bad message is gone although it does not answer the closing handshake.",
		run: func(r *run) {
			m, j, id := r.bound()
			m.send(nil)
			m.expectCloseUnanswered(4743, 0)
			j.expectExact(content{recipient: id})
			j.connect(true, member(2))
		},
	},
	{
		ID: "SIG-14/ignored-after-close", Requirements: []string{"SIG-14"}, Level: Must,
		Sentence: "A connect that comes after the server has closed the peer makes no member of it.",
		run: func(r *run) {
			p := r.open("A", "")
			p.send(nil)
			p.send(connectMessage(member(1)))
			p.expectCloseUnanswered(4743, 0)
			p.send(connectMessage(member(1)))
			p.drop()
			r.open("B", "").connect(true, member(2))
		},
	},
	{
		ID: "SIG-24/gone-with-its-close-frame", Requirements: []string{"SIG-24", "SIG-31"}, Level: Must,
		Sentence: "A peer is gone when its close frame has come, even if it keeps TCP open.",
		run: func(r *run) {
			m, j, id := r.bound()
			m.writeFrame(frame{fin: true, op: opClose, payload: []byte{0x03, 0xe9}})
			j.expectExact(content{recipient: id})
			j.connect(true, member(2))
		},
	},
	{
		ID: "SIG-38/close-is-answered", Requirements: []string{"SIG-38"}, Level: Must,
		Sentence: "A peer's close frame is answered by one with the same code.",
		run: func(r *run) {
			p := r.open("A", "")
			p.connect(true, member(1))
			p.writeFrame(frame{fin: true, op: opClose, payload: []byte{0x03, 0xe8, 'b', 'y', 'e'}})
			p.expectCloseUnanswered(1000, 0)
		},
	},
	{
		ID: "SIG-46/slow-reader", Requirements: []string{"SIG-46"}, Level: Must,
		Sentence: "A joiner that does not read what its member sends does not delay what the member sends to another.",
		run: func(r *run) {
			m, slow, slowID := r.bound()
			fast := r.open("F", "")
			fast.connect(false, member(3))
			fast.send(content{data: []byte{2}}.message())
			fastID, _ := m.expectContent([]byte{2})
			slow.name = "S"
			big := content{recipient: slowID, data: make([]byte, 60_000)}.message()
			go func() { // 12 MB, more than the sockets between hold
				for range 200 {
					m.send(big)
				}
				m.send(content{recipient: fastID, data: []byte{3}}.message())
			}()
			fast.expectExact(content{recipient: fastID, data: []byte{3}})
		},
	},
}

// sigFrames are cases of broken WebSocket frames. An implementation that does not
// survive them can be given a process of its own for each.
var sigFrames = []*Case{
	brokenFrame("SIG-48/unmasked", Must, 1002, "An unmasked frame", []byte{0x82, 0x02, 0x08, 0x01}),
	brokenFrame("SIG-48/reserved-bit", Must, 1002, "A frame with a reserved bit", []byte{0xc2, 0x82, 0, 0, 0, 0, 0x08, 0x01}),
	brokenFrame("SIG-48/reserved-opcode", Must, 1002, "A frame with a reserved opcode", []byte{0x83, 0x82, 0, 0, 0, 0, 0x08, 0x01}),
	brokenFrame("SIG-47/announced-length", Should, 1009, "A frame that announces 2^40 bytes",
		[]byte{0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "SIG-42", "SIG-47"),
}

func brokenFrame(id string, level Level, code int, what string, bytes []byte, more ...string) *Case {
	return &Case{
		ID: id, Requirements: append([]string{"SIG-48"}, more...), Level: level,
		Sentence: fmt.Sprintf("%s ends its own connection, with %d, and no other.", what, code),
		run: func(r *run) {
			other, broken := r.open("A", ""), r.open("B", "")
			other.connect(true, member(1))
			broken.write(bytes)
			broken.expectClose(code, 0)
			other.send(heartbeatMessage)
			r.open("C", "").connect(false, member(2))
			other.connect(true, member(1))
		},
	}
}

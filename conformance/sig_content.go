package conformance

import (
	"bytes"
	"fmt"
)

// bound returns a member and a joiner that is bound to it, with the joiner's
// signaling id, which becomes known by a first content.
func (r *run) bound() (member_, joiner *peer, id uint32) {
	m, j := r.open("M", ""), r.open("J", "")
	m.connect(true, member(1))
	j.connect(false, member(2))
	j.send(content{data: []byte{0}}.message())
	id, _ = m.expectContent([]byte{0})
	return m, j, id
}

var sigContent = []*Case{
	{
		ID: "SIG-6/fragments", Requirements: []string{"SIG-6", "WIR-1"}, Level: Must,
		Sentence: "A message may come in fragments, with a ping in between, which is answered.",
		run: func(r *run) {
			m, j, id := r.bound()
			data := bytes.Repeat([]byte{7}, 1000)
			message := content{data: data}.message()
			j.writeFrame(frame{op: opBinary, payload: message[:10]})
			j.writeFrame(frame{fin: true, op: opPing, payload: []byte("p")})
			j.writeFrame(frame{op: opContinuation, payload: message[10:10]})
			j.writeFrame(frame{fin: true, op: opContinuation, payload: message[10:]})
			m.expectExact(content{sender: id, data: data})
			m.send(content{recipient: id, data: []byte{1}}.message())
			f, err := j.next(deadline())
			r.expect(err == nil && f.op == opPong && string(f.payload) == "p", "for J", `a pong "p"`, describe(f, err))
			j.expectExact(content{recipient: id, data: []byte{1}})
		},
	},
	{
		ID: "SIG-7/text", Requirements: []string{"SIG-7", "SIG-38"}, Level: Must,
		Sentence: "A text message, also an empty one, closes with 4743.",
		run: func(r *run) {
			for _, text := range []string{"", "connect", "\x08\x01"} {
				p := r.open("A", "")
				p.writeFrame(frame{fin: true, op: opText, payload: []byte(text)})
				p.expectClose(4743, 0)
			}
		},
	},
	{
		ID: "SIG-7/undecodable", Requirements: []string{"SIG-7", "WIR-9", "WIR-10"}, Level: Must,
		Sentence: "A message that no decoder takes closes with 4743.",
		run: func(r *run) {
			for _, message := range [][]byte{
				{0x1a, 0x06}, {0x08}, {0x80}, {0x12, 0x05, 0x08, 0x80}, {0x0f}, {0x12, 0xff, 0xff, 0xff, 0xff, 0x0f},
			} {
				p := r.open(fmt.Sprintf("A, which sends % x,", message), "")
				p.send(message)
				p.expectClose(4743, 0)
			}
		},
	},
	{
		ID: "SIG-8/wrong-wire-type", Requirements: []string{"SIG-8", "WIR-6"}, Level: Must,
		Sentence: "A known field of the wrong wire type is no field of the message.",
		run: func(r *run) {
			p := r.open("A", "")
			p.send([]byte{0x1a, 0x02, 0x0a, 0x00}) // connect with an id of bytes: id 0
			p.expectConnected(true)
			p.send([]byte{0x0a, 0x02, 0x08, 0x01}) // heartbeat as bytes
			p.expectClose(4743, 0)
		},
	},
	{
		ID: "SIG-6/unknown-fields", Requirements: []string{"SIG-6", "WIR-2", "WIR-3", "WIR-5"}, Level: Must,
		Sentence: "Unknown fields are skipped, explicit defaults count as such, the last member of the oneof counts.",
		run: func(r *run) {
			m, j, id := r.bound()
			inner := append(content{data: []byte{5}}.message()[2:], 0x82, 0x01, 0x01, 0xff) // field 16, bytes
			message := append([]byte{0x0d, 1, 2, 3, 4}[:0], 0x85, 0x01, 1, 2, 3, 4)         // field 16, fixed32
			message = append(message, 0x08, 0x00)                                           // heartbeat: not the last
			message = appendBytes(message, 2, inner)
			j.send(message)
			m.expectExact(content{sender: id, data: []byte{5}})
		},
	},
	{
		ID: "SIG-26/signaling-ids", Requirements: []string{"SIG-26"}, Level: Must,
		Sentence: "Signaling ids are random, not 0, below 2^31, and different for the joiners of one member.",
		run: func(r *run) {
			m := r.open("M", "")
			m.connect(true, member(1))
			seen := make(map[uint32]bool)
			greatest := uint32(0)
			for i := range 20 {
				j := r.open(fmt.Sprintf("J%d", i), "")
				j.connect(false, member(uint32(2+i)))
				j.send(content{data: []byte{byte(i)}}.message())
				id, recipient := m.expectContent([]byte{byte(i)})
				r.expect(id > 0 && id < 1<<31 && !seen[id] && recipient == 0, "content of a joiner",
					"a new senderId between 1 and 2^31-1, recipientId 0", fmt.Sprintf("%d, %d", id, recipient))
				seen[id] = true
				greatest = max(greatest, id)
			}
			// By chance that happens once in 10^42 times.
			r.expect(greatest > 1<<24, "the greatest of 20 random ids", "more than 2^24", greatest)
		},
	},
	{
		ID: "SIG-29/exact-bytes", Requirements: []string{"SIG-28", "SIG-29", "SIG-31"}, Level: Must,
		Sentence: "What is passed on carries both ids and the data field even where they are empty, a disconnect notice carries no data field.",
		run: func(r *run) {
			m, j, id := r.bound()
			m.send(appendBytes(nil, 2, appendVarint(nil, 2, uint64(id)))) // recipientId alone
			j.expectExact(content{recipient: id, data: []byte{}})
			m.drop()
			j.expectExact(content{recipient: id})
		},
	},
	{
		ID: "SIG-31/abrupt-ends", Requirements: []string{"SIG-24", "SIG-31"}, Level: Must,
		Sentence: "A peer whose TCP connection ends without a close frame is gone as well.",
		run: func(r *run) {
			m, j, id := r.bound()
			j.drop()
			m.expectExact(content{sender: id})
			k := r.open("K", "")
			k.connect(false, member(3))
			m.drop()
			k.message(deadline()) // the disconnect notice
			k.connect(true, member(3))
		},
	},
	{
		ID: "SIG-37/flood", Requirements: []string{"SIG-37"}, Level: Must,
		Sentence: "2,000 contents in a row arrive, all and in order, both ways.",
		run: func(r *run) {
			m, j, id := r.bound()
			const n = 2000
			numbered := func(i int) []byte { return []byte{byte(i >> 8), byte(i)} }
			go func() {
				for i := range n {
					j.send(content{data: numbered(i)}.message())
				}
			}()
			for i := range n {
				m.expectExact(content{sender: id, data: numbered(i)})
			}
			go func() {
				for i := range n {
					m.send(content{recipient: id, data: numbered(i)}.message())
				}
			}()
			for i := range n {
				j.expectExact(content{recipient: id, data: numbered(i)})
			}
		},
	},
	{
		ID: "SIG-42/large-message", Requirements: []string{"SIG-42", "WIR-12"}, Level: Must,
		Sentence: "A message of 65,536 bytes is passed on.",
		run: func(r *run) {
			m, j, id := r.bound()
			data := bytes.Repeat([]byte{0x5a}, 65_536-len(content{data: make([]byte, 65_500)}.message())+65_500)
			message := content{data: data}.message()
			r.expect(len(message) == 65_536, "the case", "65,536 bytes", len(message))
			j.send(message)
			m.expectExact(content{sender: id, data: data})
		},
	},
}

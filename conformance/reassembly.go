package conformance

import (
	"bytes"
	"fmt"
	"time"
)

// reassembly puts the chunks of a sender together, and insists on their form.
type reassembly struct {
	messages map[uint32][]byte // by id, what there is so far
}

func newReassembly() *reassembly { return &reassembly{make(map[uint32][]byte)} }

// add takes a chunk, which must be the next of its message, and returns the
// message if it is whole.
func (r *reassembly) add(c chunk) (whole []byte, err error) {
	have := r.messages[c.id]
	rest := int(c.length) - len(have)
	switch {
	case c.id < 1 || c.id > 65_535:
		return nil, fmt.Errorf("chunk id %d", c.id)
	case int(c.nb)*wholeSize != len(have):
		return nil, fmt.Errorf("chunk %d after %d bytes", c.nb, len(have))
	case len(c.content) != min(rest, wholeSize):
		return nil, fmt.Errorf("chunk %d with %d bytes where %d remain", c.nb, len(c.content), rest)
	}
	have = append(have, c.content...)
	if len(have) == int(c.length) {
		delete(r.messages, c.id)
		return have, nil
	}
	r.messages[c.id] = have
	return nil, nil
}

// expectSame expects that a message is as it was sent.
func (s *stage) expectSame(what string, got, want []byte) {
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	s.expect(bytes.Equal(got, want), what, fmt.Sprintf("%d bytes as they were sent", len(want)),
		fmt.Sprintf("%d bytes, others from byte %d on: %.32x", len(got), i, got[i:]))
}

// expectWhole expects a user message from the peer, in chunks, and returns it. A
// chunk may take that long.
func (l *link) expectWhole(r *reassembly, recipient uint32, patience time.Duration) []byte {
	for {
		m := l.expect("a chunk", time.Now().Add(patience), func(e envelope) bool {
			return e.service == serviceUser && e.recipient == recipient
		})
		fs, err := parse(m.env.content)
		l.run.expect(err == nil && fs.has(4), "a user message of more than 15,000 bytes", "a chunk", m)
		whole, err := r.add(parseChunk(fs))
		l.run.expect(err == nil, "the chunks of a user message", "15,000 bytes each but the last, in order", err)
		if whole != nil {
			return whole
		}
	}
}

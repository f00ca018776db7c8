package mesh

import (
	"bytes"
	"fmt"

	"github.com/meshpair/meshpair/internal/wire"
)

// partialCost is what an incomplete message costs beside its bytes.
const partialCost = 256

// firstChunks is how many bytes are made ready for when the first chunk of a long message comes.
const firstChunks = 4 * ChunkSize

// A partial is a message of which not all chunks have come.
type partial struct {
	text    bool
	length  uint32            // by the sender's word
	refused bool              // its chunks are dropped
	data    []byte            // the chunks from the first on, without a gap
	early   map[uint32][]byte // those after a gap, by number
	cost    int               // what is held for it
}

// user takes a message of a member, or a part of one (MSG-8 to MSG-13).
func (c *Core) user(from *member, private bool, content []byte) {
	var m wire.UserMessage
	if err := m.Decode(content); err != nil {
		c.emit(Note{Text: "user message ignored", ID: from.id, Err: err})
		return
	}
	if m.Type != wire.UserString && m.Type != wire.UserBytes {
		c.emit(Note{Text: "user message ignored: its type is unknown", ID: from.id})
		return
	}
	text := m.Type == wire.UserString
	switch m.Kind {
	case wire.UserMessageFull:
		if len(m.Full) > c.cfg.MaxMessage {
			c.emit(Refused{from.id, fmt.Errorf("%w: %d bytes", ErrTooBig, len(m.Full))})
			return
		}
		c.deliver(from, private, text, bytes.Clone(m.Full))
	case wire.UserMessageChunk:
		if data := c.chunk(from, text, m.Length, &m.Chunk); data != nil {
			c.deliver(from, private, text, data)
		}
	}
}

func (c *Core) deliver(from *member, private, text bool, data []byte) {
	if data == nil {
		data = []byte{}
	}
	if text {
		data = bytes.ToValidUTF8(data, []byte("\uFFFD")) // MSG-10
	}
	c.emit(Deliver{From: from.id, Text: text, Private: private, Data: data})
}

// chunk takes a chunk, and returns the message if it is whole now (MSG-8, MSG-9, MSG-11).
func (c *Core) chunk(from *member, text bool, length uint32, k *wire.Chunk) []byte {
	offset := int64(k.Number) * ChunkSize
	end := offset + int64(len(k.Content))
	last := end == int64(length)
	if len(k.Content) == 0 || len(k.Content) > ChunkSize || end > int64(length) || len(k.Content) < ChunkSize && !last {
		c.emit(Note{Text: "chunk ignored: it does not fit its message", ID: from.id})
		return nil
	}
	p := from.partials[k.ID]
	if p != nil && (p.length != length || p.text != text) {
		c.drop(from, k.ID, p) // the sender has begun another message
		p = nil
	}
	if p == nil {
		if p = c.newPartial(from, k.ID, text, length); p == nil {
			return nil
		}
	}
	switch {
	case p.refused:
		if last {
			c.drop(from, k.ID, p)
		}
		return nil
	case offset < int64(len(p.data)) || p.early[k.Number] != nil:
		return nil // MSG-9: it has come before
	case !c.take(from, p, k):
		c.refuse(from, p, ErrMemory)
		return nil
	case len(p.data) < int(length):
		return nil
	}
	c.drop(from, k.ID, p) // MSG-12
	return p.data
}

// take keeps a chunk that is new, and reports whether there is room for it.
func (c *Core) take(from *member, p *partial, k *wire.Chunk) bool {
	if int64(k.Number)*ChunkSize > int64(len(p.data)) {
		if !c.hold(from, p, len(k.Content)) {
			return false
		}
		if p.early == nil {
			p.early = make(map[uint32][]byte)
		}
		p.early[k.Number] = bytes.Clone(k.Content)
		return true
	}
	for b, n := k.Content, k.Number; b != nil; b = p.early[n] {
		if !c.grow(from, p, len(b)) {
			return false
		}
		p.data = append(p.data, b...)
		if n > k.Number {
			delete(p.early, n)
			c.free(from, p, len(b))
		}
		n++
	}
	return true
}

// grow makes room for n more bytes. Room is made as chunks come, never because a length was announced (MSG-11).
func (c *Core) grow(from *member, p *partial, n int) bool {
	if len(p.data)+n <= cap(p.data) {
		return true
	}
	size := min(int(p.length), max(firstChunks, 2*cap(p.data)))
	if !c.hold(from, p, size-cap(p.data)) {
		return false
	}
	p.data = append(make([]byte, 0, size), p.data...)
	return true
}

// newPartial begins a message, or returns nil if there is no room.
func (c *Core) newPartial(from *member, id uint32, text bool, length uint32) *partial {
	p := &partial{text: text, length: length}
	if !c.hold(from, p, partialCost) {
		c.emit(Refused{from.id, ErrMemory})
		return nil
	}
	if from.partials == nil {
		from.partials = make(map[uint32]*partial)
	}
	from.partials[id] = p
	if int64(length) > int64(c.cfg.MaxMessage) {
		c.refuse(from, p, fmt.Errorf("%w: %d bytes", ErrTooBig, length))
	}
	return p
}

// hold accounts for what an incomplete message needs, and reports whether there is that much (MSG-13).
func (c *Core) hold(from *member, p *partial, n int) bool {
	if from.partial+n > c.cfg.MaxPartial || c.partial+n > c.cfg.MaxPartialAll {
		return false
	}
	c.free(from, p, -n)
	return true
}

// free takes n back from what hold has accounted for.
func (c *Core) free(from *member, p *partial, n int) {
	p.cost -= n
	from.partial -= n
	c.partial -= n
}

// refuse drops the chunks of a message, those that have come and those to come, and tells the user.
func (c *Core) refuse(from *member, p *partial, err error) {
	p.refused, p.data, p.early = true, nil, nil
	c.free(from, p, p.cost-partialCost)
	c.emit(Refused{from.id, err})
}

// drop forgets an incomplete message.
func (c *Core) drop(from *member, id uint32, p *partial) {
	delete(from.partials, id)
	c.free(from, p, p.cost)
}

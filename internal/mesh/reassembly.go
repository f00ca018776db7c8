package mesh

import (
	"bytes"
	"container/list"
	"fmt"
	"unicode/utf8"

	"github.com/meshpair/meshpair/internal/wire"
)

// partialCost is what an incomplete message costs beside its bytes.
const partialCost = 256

// firstChunks is how many bytes are made ready for when the first chunk of a long message comes.
const firstChunks = 4 * ChunkSize

// A partial is a message of which not all chunks have come.
type partial struct {
	from   *member
	id     uint32
	place  *list.Element // in from.oldest
	text   bool
	length uint32            // by the sender's word
	data   []byte            // the chunks from the first on, without a gap
	early  map[uint32][]byte // those after a gap, by number
	cost   int               // what is held for it
}

// user takes a message of a member, or a part of one (MSG-7 to MSG-11).
func (c *Core) user(from *member, private bool, content []byte) {
	var m wire.UserMessage
	if err := m.Decode(content); err != nil {
		c.emit(Note{Text: "user message ignored", ID: from.id, Err: err})
		return
	}
	switch {
	case m.Number > 0 && m.Session == from.session && !c.cfg.Original:
		c.numbered(from, private && !m.All, &m, content)
	case c.seal != nil: // SEC-16
		c.emit(Note{Text: "user message ignored: it has no number, or an old one", ID: from.id})
	case m.Number > 0 && from.keeps(): // of a sequence that is no more
	default: // who has not said hello means nothing by a number
		c.userMessage(from, private, &m)
	}
}

// userMessage takes a message whose turn it is.
func (c *Core) userMessage(from *member, private bool, m *wire.UserMessage) {
	// MSG-13
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
	if text && !utf8.Valid(data) {
		data = bytes.ToValidUTF8(data, []byte("\uFFFD")) // MSG-2
	}
	c.emit(Deliver{From: from.id, Text: text, Private: private, Data: data})
}

// chunk takes a chunk, and returns the message if it is whole now (MSG-8 to MSG-11).
func (c *Core) chunk(from *member, text bool, length uint32, k *wire.Chunk) []byte {
	offset := int64(k.Number) * ChunkSize
	end := offset + int64(len(k.Content))
	if len(k.Content) == 0 || len(k.Content) > ChunkSize || end > int64(length) ||
		len(k.Content) < ChunkSize && end != int64(length) { // MSG-10
		c.emit(Note{Text: "chunk ignored: it does not fit its message", ID: from.id})
		return nil
	}
	if limit := min(c.cfg.MaxMessage, c.cfg.MaxPartial-partialCost); int64(length) > int64(limit) { // MSG-11
		if k.Number == 0 {
			c.emit(Refused{from.id, fmt.Errorf("%w: %d bytes", ErrTooBig, length)})
		}
		return nil
	}
	p := from.partials[k.ID]
	if p != nil && (p.length != length || p.text != text) { // MSG-9
		c.discard(p)
		p = nil
	}
	if p == nil {
		p = c.newPartial(from, k.ID, text, length)
	}
	if offset < int64(len(p.data)) || p.early[k.Number] != nil {
		return nil // MSG-10: it has come before
	}
	if !c.take(p, k) {
		c.discard(p)
		c.emit(Refused{from.id, ErrMemory})
		return nil
	}
	if len(p.data) < int(length) {
		return nil
	}
	c.discard(p) // MSG-12
	return p.data
}

// newPartial begins a message.
func (c *Core) newPartial(from *member, id uint32, text bool, length uint32) *partial {
	p := &partial{from: from, id: id, text: text, length: length}
	if from.partials == nil {
		from.partials = make(map[uint32]*partial)
	}
	from.partials[id] = p
	p.place = from.oldest.PushBack(p)
	c.account(p, partialCost)
	return p
}

// take keeps a chunk that is new, and reports whether there is room for it.
func (c *Core) take(p *partial, k *wire.Chunk) bool {
	if int64(k.Number)*ChunkSize > int64(len(p.data)) {
		if !c.hold(p, len(k.Content)) {
			return false
		}
		if p.early == nil {
			p.early = make(map[uint32][]byte)
		}
		p.early[k.Number] = bytes.Clone(k.Content)
		return true
	}
	for b, n := k.Content, k.Number; b != nil; b = p.early[n] {
		if !c.grow(p, len(b)) {
			return false
		}
		p.data = append(p.data, b...)
		if n > k.Number {
			delete(p.early, n)
			c.account(p, -len(b))
		}
		n++
	}
	return true
}

// grow makes room for n more bytes. Room is made as chunks come, never because a length was announced (MSG-11).
func (c *Core) grow(p *partial, n int) bool {
	if len(p.data)+n <= cap(p.data) {
		return true
	}
	size := min(int(p.length), max(firstChunks, 2*cap(p.data)))
	if !c.hold(p, size-cap(p.data)) {
		return false
	}
	p.data = append(make([]byte, 0, size), p.data...)
	return true
}

// hold accounts for n more bytes of a message. Where that would exceed a limit other messages are discarded, the oldest
// first, of the same member or of the one of which most is held; it reports whether that was enough (MSG-11).
func (c *Core) hold(p *partial, n int) bool {
	c.account(p, n)
	for {
		victim := p.from
		switch {
		case victim.partial > c.cfg.MaxPartial:
		case c.partial > c.cfg.MaxPartialAll:
			for _, m := range c.order {
				if m.partial > victim.partial {
					victim = m
				}
			}
		default:
			return true
		}
		e := victim.oldest.Front()
		if e == p.place {
			e = e.Next()
		}
		if e == nil {
			return false
		}
		c.discard(e.Value.(*partial))
		c.emit(Refused{victim.id, ErrMemory})
	}
}

// account adds to what is held for a message.
func (c *Core) account(p *partial, n int) {
	p.cost += n
	p.from.partial += n
	c.partial += n
}

// discard forgets an incomplete message.
func (c *Core) discard(p *partial) {
	delete(p.from.partials, p.id)
	p.from.oldest.Remove(p.place)
	c.account(p, -p.cost)
}

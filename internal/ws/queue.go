package ws

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxRounds is how often Flush sends before it leaves what others go on queueing to a goroutine.
const maxRounds = 8

// Post queues data as one message and never waits; data may then be used again. What is queued goes out with the next
// Flush, Write or Close, in the order of the calls, after all that was queued or written before.
//
// It fails with [ErrQueueFull] if more than Config.MaxQueue bytes would wait, with [ErrInvalidText] and [ErrClosed] like
// Write, and with the reason if the connection was aborted; the connection stays as it was. That the network takes
// nothing shows in Read: after Config.WriteTimeout the connection is aborted.
func (c *Conn) Post(k Kind, data []byte) error {
	switch {
	case k != Text && k != Binary:
		return fmt.Errorf("ws: no such kind of message: %d", k)
	case k == Text && !utf8.Valid(data):
		return ErrInvalidText
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over != nil:
		return c.over
	case c.closing.Load(): // with the mutex held: what is queued before this is set goes before the close frame
		return ErrClosed
	}
	waiting := c.inFlight
	if c.queue != nil {
		waiting += len(c.queue.b)
	}
	if waiting+maxHeader+len(data) > c.cfg.MaxQueue {
		return ErrQueueFull
	}
	if c.queue == nil {
		c.queue = buffers.Get().(*buffer)
	}
	c.queue.b = appendFrame(c.queue.b, byte(k), data, !c.server)
	return nil
}

// Flush sends what is queued as far as the network takes it at once, and leaves the rest to a goroutine, which lasts
// until all is sent. It does not wait, and may be called by any number of goroutines.
func (c *Conn) Flush() {
	for round := 0; c.queued() && c.wlock.tryLock(); round++ {
		b := c.take()
		if b == nil || c.werr != nil {
			c.sent(b)
			c.wlock.unlock()
			continue
		}
		n := 0
		if round < maxRounds {
			n = c.tryWrite(b.b)
		}
		if n < len(b.b) {
			c.waiting(len(b.b) - n)
			go c.finish(b, n)
			return
		}
		c.sent(b)
		c.wlock.unlock()
	}
	// If the lock was taken: its holder sees what is queued when it gives the lock up.
}

// finish sends what Flush could not, and gives up the write lock, which it holds from the start.
func (c *Conn) finish(b *buffer, n int) {
	c.armWrite()
	c.writeAll(b.b[n:])
	c.disarmWrite()
	c.sent(b)
	c.writeUnlock()
}

// sendQueued sends what is queued. The caller holds the write lock and has armed it. A failure shows in werr.
func (c *Conn) sendQueued() {
	if b := c.take(); b != nil {
		c.writeAll(b.b)
		c.sent(b)
	}
}

// writeAll writes frames that have been made already. The caller holds the write lock and has armed it.
func (c *Conn) writeAll(b []byte) {
	n, err := c.conn.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		c.werr = c.writeFailed(err)
	}
}

// queued says whether a message or a pong waits to be sent.
func (c *Conn) queued() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queue != nil || c.pong != nil
}

// take returns what waits, as frames; nil if nothing does. The caller holds the write lock, and says when it is sent.
func (c *Conn) take() *buffer {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.queue
	c.queue = nil
	if c.pong != nil {
		if b == nil {
			b = buffers.Get().(*buffer)
		}
		b.b = appendFrame(b.b, opPong, c.pong, !c.server)
		c.pong = nil
	}
	if b != nil {
		c.inFlight = len(b.b)
	}
	return b
}

// sent gives back what take returned.
func (c *Conn) sent(b *buffer) {
	if b != nil {
		c.waiting(0)
		b.free()
	}
}

// waiting says how much of what take returned is still to be sent.
func (c *Conn) waiting(n int) {
	c.mu.Lock()
	c.inFlight = n
	c.mu.Unlock()
}

// appendFrame appends a frame with FIN set, masked if a client sends it.
func appendFrame(b []byte, op byte, payload []byte, masked bool) []byte {
	mask := byte(0)
	if masked {
		mask = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|op, mask|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|op, mask|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|op, mask|127), uint64(n))
	}
	if !masked {
		return append(b, payload...)
	}
	var key [4]byte
	rand.Read(key[:])
	b = append(b, key[:]...)
	start := len(b)
	b = append(b, payload...)
	for i := range payload {
		b[start+i] ^= key[i&3]
	}
	return b
}

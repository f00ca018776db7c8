package ws

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unicode/utf8"
)

// Write sends data as one message in one frame. It returns when the network has taken all of it, which says nothing
// about the peer; data may then be used again. Writes of several goroutines go out in the order they came.
//
// It fails with [ErrInvalidText] if k is Text and data is not UTF-8, which leaves the connection as it was; with
// [ErrClosed] once either side has closed the connection; with an error that is [os.ErrDeadlineExceeded] after
// Config.WriteTimeout, which aborts the connection; and with the error of the network if TCP is broken, in which case
// Read still returns what the peer had sent.
func (c *Conn) Write(k Kind, data []byte) error {
	switch {
	case k != Text && k != Binary:
		return fmt.Errorf("ws: no such kind of message: %d", k)
	case k == Text && !utf8.Valid(data):
		return ErrInvalidText
	case c.closing.Load():
		return ErrClosed
	}
	c.wlock.lock()
	defer c.writeUnlock()
	if c.closing.Load() && c.werr == nil {
		return ErrClosed
	}
	return c.writeFrame(byte(k), data)
}

// writeFrame sends what is queued and then one frame, all of it in the time of one write. The caller holds the write
// lock.
func (c *Conn) writeFrame(op byte, payload []byte) error {
	if c.werr != nil {
		return c.werr
	}
	c.armWrite()
	if c.sendQueued(); c.werr != nil {
		return c.werr
	}
	w, err := c.ws.NewFrameWriter(op)
	if err == nil {
		_, err = w.Write(payload)
	}
	if err != nil {
		c.werr = c.writeFailed(err)
		return c.werr
	}
	c.disarmWrite()
	return nil
}

// armWrite sets the deadline of a write. Each change of a timer may wake a thread of the runtime, which costs as much
// as sending a small message; plain TCP, where an old deadline does no harm, keeps one that is far enough away.
func (c *Conn) armWrite() {
	now := time.Now()
	timeout := c.cfg.WriteTimeout
	if !c.plain {
		c.conn.SetWriteDeadline(now.Add(timeout))
	} else if c.armed.Sub(now) < timeout {
		c.armed = now.Add(timeout + timeout/4)
		c.conn.SetWriteDeadline(c.armed)
	}
}

// disarmWrite ends what armWrite began. TLS may have to write while it reads, and one failure of that is the end of it:
// no deadline may stay behind.
func (c *Conn) disarmWrite() {
	if !c.plain {
		c.conn.SetWriteDeadline(time.Time{})
	}
}

// writeFailed makes of a failure to write the error that Write returns from now on.
func (c *Conn) writeFailed(err error) error {
	if over := c.aborted(); over != nil {
		return over
	}
	err = fmt.Errorf("ws: write: %w", err)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.abort(err)
	} else {
		// The peer has gone, and may have said why before: leave that to Read, but not for ever.
		c.endReading(c.cfg.CloseTimeout)
	}
	return err
}

// writeUnlock gives the write lock up, and sees to what was queued while it was held.
func (c *Conn) writeUnlock() {
	c.wlock.unlock()
	c.Flush()
}

// answerPing has a pong sent, and does not wait for it: were the reader to wait, two peers that write to one another
// would stop reading, and then neither could go on. Of several pings that wait, the last is answered, as RFC 6455
// section 5.5.3 allows.
func (c *Conn) answerPing(payload []byte) {
	c.mu.Lock()
	c.pong = payload
	c.mu.Unlock()
	c.Flush()
}

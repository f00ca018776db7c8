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

// writeFrame sends one frame. The caller holds the write lock.
func (c *Conn) writeFrame(op byte, payload []byte) error {
	if c.werr != nil {
		return c.werr
	}
	c.armWrite()
	w, err := c.ws.NewFrameWriter(op)
	if err == nil {
		_, err = w.Write(payload)
	}
	if err != nil {
		c.werr = c.writeFailed(err)
		return c.werr
	}
	if !c.plain {
		// TLS may have to write while it reads, and one failure of that is the end of it: no deadline may stay behind.
		c.conn.SetWriteDeadline(time.Time{})
	}
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

// writeUnlock gives the write lock up, and answers the ping that came while it was held.
func (c *Conn) writeUnlock() {
	for {
		c.wlock.unlock()
		if !c.pongDue() || !c.wlock.tryLock() {
			return // whoever has the lock now comes by here
		}
		c.sendPong()
	}
}

// answerPing sends a pong, or leaves it to the writer that is busy: were the reader to wait for that one, two peers
// that write to one another would stop reading, and then neither could go on. Of several pings that wait, the last is
// answered, as RFC 6455 section 5.5.3 allows.
func (c *Conn) answerPing(payload []byte) {
	c.mu.Lock()
	c.pong = payload
	c.mu.Unlock()
	if c.wlock.tryLock() {
		c.sendPong()
		c.writeUnlock()
	}
}

func (c *Conn) pongDue() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pong != nil
}

// sendPong answers the last ping. The caller holds the write lock. A failure shows in werr, and in Read soon.
func (c *Conn) sendPong() {
	c.mu.Lock()
	payload := c.pong
	c.pong = nil
	c.mu.Unlock()
	if payload != nil {
		c.writeFrame(opPong, payload)
	}
}

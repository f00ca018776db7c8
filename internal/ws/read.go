package ws

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"unicode/utf8"
)

const (
	// keptBuffer is the capacity beyond which a buffer is left to the garbage collector, since rare big messages
	// would otherwise fill the pool with memory that small ones never need.
	keptBuffer = 64 << 10
	// growStep is what a frame header alone can make us allocate; beyond it buffers at most double as bytes arrive.
	growStep = 4 << 10
)

// A buffer holds the message that Read returned last, or frames that wait to be sent.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// fill appends n bytes of r, and fails if r has fewer.
func (b *buffer) fill(r io.Reader, n int) error {
	for n > 0 {
		if len(b.b) == cap(b.b) {
			// Not append's growth, which would leave a message of just keptBuffer in a larger buffer.
			grown := make([]byte, len(b.b), len(b.b)+min(n, max(len(b.b), growStep)))
			copy(grown, b.b)
			b.b = grown
		}
		part := b.b[len(b.b):min(len(b.b)+n, cap(b.b))]
		if _, err := io.ReadFull(r, part); err != nil {
			return err
		}
		b.b = b.b[:len(b.b)+len(part)]
		n -= len(part)
	}
	return nil
}

// free gives the buffer to whoever needs one next.
func (b *buffer) free() {
	if cap(b.b) <= keptBuffer {
		b.b = b.b[:0]
		buffers.Put(b)
	}
}

// release gives the buffer of the last message back. The caller holds the read lock.
func (c *Conn) release() {
	if c.buf != nil {
		c.buf.free()
		c.buf = nil
	}
}

// OnWait has Read call f, on its goroutine, whenever it may have to wait: for the network, or for a goodbye to end. As
// long as f is not called, Read returns messages that have come already. It is the place to Flush what these brought
// about. OnWait must be called before the first Read.
func (c *Conn) OnWait(f func()) { c.onWait = f }

// mayWait calls the function of OnWait. The caller holds the read lock.
func (c *Conn) mayWait() {
	if c.onWait != nil && c.inRead {
		c.onWait()
	}
}

// ready reports whether a whole message in one frame has come already, so that it can be returned without waiting for
// the network. It may be false though a message has come: always on a client, and for one of more than some kilobytes.
// The caller holds the read lock.
func (c *Conn) ready() bool {
	if c.br == nil || c.br.Buffered() < 2 {
		return false
	}
	n := c.br.Buffered()
	b, _ := c.br.Peek(min(n, maxHeader))
	size := 2
	switch b[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if n < size {
		return false
	}
	h := parseHeader(b)
	if h.masked {
		size += 4
	}
	// What makes Read go on to wait is no message: a fragment, a control frame, or what breaks the protocol.
	return h.fin && !h.control() && h.check(c.server, false) == nil &&
		h.length <= uint64(min(n, c.cfg.MaxMessage)) && size+int(h.length) <= n
}

// Read waits for the next message. The slice is valid until the next Read. Pings are answered on the way.
//
// Every error is final. It is
//   - a *CloseError if the peer closed the connection, or answered our close frame;
//   - a *ProtocolError, which may be [ErrTooBig], if the peer broke the protocol; the peer has been told, and was given
//     Config.CloseTimeout to end TCP before Read returned;
//   - [io.ErrUnexpectedEOF] if TCP ended without a close frame;
//   - [os.ErrDeadlineExceeded] after the time of SetReadDeadline, if the peer left our close frame without an answer
//     for Config.CloseTimeout, or if a write took longer than Config.WriteTimeout;
//   - [ErrClosed] after Abort.
//
// While the connection is closing, messages are discarded.
func (c *Conn) Read() (Kind, []byte, error) {
	if !c.rlock.tryLock() {
		if c.onWait != nil {
			c.onWait() // Close is reading, to its end
		}
		c.rlock.lock()
	}
	defer c.rlock.unlock()
	c.inRead = true
	defer func() { c.inRead = false }()
	for c.rerr == nil {
		c.release()
		kind, err := c.message()
		if err != nil {
			c.rerr = err
		} else if !c.closing.Load() {
			return kind, c.buf.b, nil
		}
	}
	c.release()
	return 0, nil, c.rerr
}

// message reads one message into c.buf. The caller holds the read lock.
func (c *Conn) message() (Kind, error) {
	var kind Kind
	for {
		h, payload, err := c.frame()
		if err != nil {
			return 0, c.readFailed(err)
		}
		if err := h.check(c.server, kind != 0); err != nil {
			return 0, c.violated(err)
		}
		if h.control() {
			if err := c.control(h, payload); err != nil {
				return 0, err
			}
			continue
		}
		if kind == 0 {
			kind = Kind(h.op)
			c.buf = buffers.Get().(*buffer)
		}
		if h.length > uint64(c.cfg.MaxMessage-len(c.buf.b)) {
			return 0, c.violated(&ProtocolError{CloseTooBig, fmt.Sprintf("message is larger than %d bytes", c.cfg.MaxMessage)})
		}
		if err := c.buf.fill(payload, int(h.length)); err != nil {
			return 0, c.readFailed(err)
		}
		if !h.fin {
			continue
		}
		if kind == Text && !utf8.Valid(c.buf.b) {
			return 0, c.violated(&ProtocolError{CloseInvalidData, "text message is not UTF-8"})
		}
		return kind, nil
	}
}

// control handles a control frame. Its error is final.
func (c *Conn) control(h header, r io.Reader) error {
	payload := make([]byte, h.length)
	if _, err := io.ReadFull(r, payload); err != nil {
		return c.readFailed(err)
	}
	switch h.op {
	case opPing:
		c.answerPing(payload)
	case opClose:
		return c.closedByPeer(payload)
	}
	return nil
}

// readFailed makes of a failure of frame or of a payload's reader the error that Read returns, and closes TCP unless
// Close can still say goodbye.
func (c *Conn) readFailed(err error) error {
	var broken *ProtocolError
	if errors.As(err, &broken) {
		return c.violated(broken)
	}
	if over := c.aborted(); over != nil {
		return over
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		if !c.readingEnds() {
			return fmt.Errorf("ws: read: %w", err)
		}
		c.conn.Close()
		return fmt.Errorf("ws: no close frame of the peer within %v: %w", c.cfg.CloseTimeout, err)
	}
	c.conn.Close()
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("ws: connection ended without a close frame: %w", io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("ws: connection ended without a close frame: %w: %w", io.ErrUnexpectedEOF, err)
}

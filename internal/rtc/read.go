package rtc

import (
	"errors"
	"io"
	"unicode/utf8"
)

// firstBuffer is the size of a read buffer before a larger message comes. A reader that waits holds a buffer, and most
// messages are small. A message that does not fit stays in the queue of SCTP, since its version 1.9; before, it was
// lost.
const firstBuffer = 4 << 10

// Read waits for the next message. The slice is valid until the next Read.
//
// Every error but the first of these is final, and comes after everything that the peer sent and that has arrived. It
// is
//   - [ErrNotOpen] while the connection is opening;
//   - [io.EOF] if the peer ended the connection: by closing the channel, in which case nothing it sent is missing, or
//     by closing all at once;
//   - a *ProtocolError, which may be [ErrTooBig] or [ErrInvalidText], if the peer sent what it must not;
//   - [ErrLost] if the peer has not been heard for Config.SilenceTimeout;
//   - [ErrClosed] after Close or Abort;
//   - an *OpenError if the connection did not open.
//
// While the connection is closing, messages are discarded.
func (c *Conn) Read() (Kind, []byte, error) {
	if !c.isOpen() {
		if err := c.cause(); err != nil {
			return 0, nil, err
		}
		return 0, nil, ErrNotOpen
	}
	c.rlock <- struct{}{}
	defer func() { <-c.rlock }()
	for c.rerr == nil {
		var kind Kind
		var n int
		if kind, n, c.rerr = c.message(); c.rerr != nil {
			break
		}
		if !c.isClosing() {
			return kind, c.buf[:n], nil
		}
	}
	c.buf = nil
	return 0, nil, c.rerr
}

// message reads one message into c.buf. Its error is final, and the connection over. The caller holds the read lock.
func (c *Conn) message() (Kind, int, error) {
	if c.buf == nil {
		c.buf = make([]byte, min(firstBuffer, c.cfg.MaxMessage))
	}
	for {
		n, text, err := c.raw.ReadDataChannel(c.buf)
		switch {
		case errors.Is(err, io.ErrShortBuffer) && len(c.buf) < c.cfg.MaxMessage:
			c.buf = make([]byte, min(4*len(c.buf), c.cfg.MaxMessage))
			continue
		case errors.Is(err, io.ErrShortBuffer):
			c.fail(&ProtocolError{ErrTooBig})
		case err != nil:
			// The stream or all of SCTP is at its end, of which we know if it is our doing.
			c.peerEnded()
		case text && !utf8.Valid(c.buf[:n]):
			c.fail(&ProtocolError{ErrInvalidText})
		case text:
			return Text, n, nil
		default:
			return Binary, n, nil
		}
		return 0, 0, c.cause()
	}
}

package rtc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Send sends data as one message. It waits while Config.HighWater bytes or more are on their way, and returns when the
// message has a place among them, which says nothing about the peer; data may then be used again. Sends of several
// goroutines go out whole, in the order they came. Text and data may be empty.
//
// It fails, and nothing was sent, with
//   - [ErrTooBig] for more than MaxSend bytes, and [ErrInvalidText] for text that is not UTF-8;
//   - the error of ctx, wrapped, when that ends;
//   - [ErrNotOpen] while the connection is opening;
//   - [ErrClosed] once either end has closed the connection, and else with why the connection is over.
func (c *Conn) Send(ctx context.Context, k Kind, data []byte) error {
	if err := c.sendable(k, data); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("rtc: send: %w", err)
	}
	select {
	case c.wlock <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("rtc: send: %w", ctx.Err())
	case <-c.closing:
		return ErrClosed
	case <-c.over:
		return c.sendFailure()
	}
	defer func() { <-c.wlock }()
	for c.full() {
		select {
		case <-c.low:
		case <-ctx.Done():
			return fmt.Errorf("rtc: send: %w", ctx.Err())
		case <-c.closing:
			return ErrClosed
		case <-c.over:
			return c.sendFailure()
		}
	}
	return c.write(k, data)
}

// TrySend is Send where Send does not wait; where it would, TrySend fails with [ErrFull].
func (c *Conn) TrySend(k Kind, data []byte) error {
	if err := c.sendable(k, data); err != nil {
		return err
	}
	select {
	case c.wlock <- struct{}{}:
	default:
		return ErrFull
	}
	defer func() { <-c.wlock }()
	if c.full() {
		return ErrFull
	}
	return c.write(k, data)
}

// Buffered returns how many bytes have been sent that the peer has not acknowledged, where an empty message counts as one
// and so does, by a few bytes, what has opened the channel.
// Once the connection is over it is what it was then; before it is open it is 0.
func (c *Conn) Buffered() int {
	if !c.isOpen() {
		return 0
	}
	return int(c.dc.BufferedAmount())
}

// sendable checks what can be checked before waiting.
func (c *Conn) sendable(k Kind, data []byte) error {
	if k != Text && k != Binary {
		return fmt.Errorf("rtc: no such kind of message: %d", k)
	}
	select {
	case <-c.closing:
		return ErrClosed
	case <-c.over:
		return c.sendFailure()
	case <-c.opened:
	default:
		return ErrNotOpen
	}
	if limit := c.MaxSend(); len(data) > limit {
		return fmt.Errorf("%w: %d bytes, of at most %d", ErrTooBig, len(data), limit)
	}
	if k == Text && !utf8.Valid(data) {
		return ErrInvalidText
	}
	return nil
}

func (c *Conn) full() bool { return c.dc.BufferedAmount() >= uint64(c.cfg.HighWater) }

// write hands a message to pion, which keeps a copy. The caller holds the write lock.
func (c *Conn) write(k Kind, data []byte) error {
	select {
	case <-c.closing:
		return ErrClosed
	case <-c.over:
		return c.sendFailure()
	default:
	}
	if _, err := c.raw.WriteDataChannel(data, k == Text); err != nil {
		// The stream or all of SCTP has been closed, which is to be known in a moment.
		return ErrClosed
	}
	return nil
}

// sendFailure returns what Send returns when the connection is over.
func (c *Conn) sendFailure() error {
	err := c.cause()
	if errors.Is(err, io.EOF) && c.isOpen() {
		return ErrClosed
	}
	return err
}

package rtc

import "context"

// Open waits until the channel is open, which takes signals in both directions, and returns nil. If it cannot be
// opened, or ctx ends before, the connection is over and the error an *OpenError, which says how far it got. Once the
// channel has been open, Open returns nil even if it is closed again.
func (c *Conn) Open(ctx context.Context) error {
	select {
	case <-c.opened:
		return nil
	case <-c.over:
	case <-ctx.Done():
	}
	c.mu.Lock()
	if !c.isOpen() { // it may be, as of now
		c.failLocked(ctx.Err())
	}
	c.mu.Unlock()
	if c.isOpen() {
		return nil
	}
	<-c.gone
	return c.cause()
}

// Done returns a channel that is closed when the connection is over, for whatever reason, and has left no socket and no
// goroutine but such as are at their last lines. Messages that have come can still be read.
func (c *Conn) Done() <-chan struct{} { return c.gone }

// Label returns the label of the channel: what Offer was given or, at the end that answers, what the peer said, "" until
// the connection is open.
func (c *Conn) Label() string {
	if c.offer || c.isOpen() {
		return c.label
	}
	return ""
}

// MaxSend returns the largest message that may be sent, in bytes: what the peer announced, or 64 KiB if that is less. It
// is 0 until the connection is open.
func (c *Conn) MaxSend() int {
	if !c.isOpen() {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.maxSend
}

package rtc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// errNotConfirmed is why a connection is over whose peer did not close in time.
var errNotConfirmed = fmt.Errorf("%w, and the peer did not confirm that in time: %w", ErrClosed, os.ErrDeadlineExceeded)

// Close ends the connection in order: what has been sent is delivered, the channel closed in both directions, and then
// all the rest. Later sends fail, those that wait too. It takes as long as the peer needs to read everything, and
// Config.CloseTimeout at most; messages that still arrive are discarded, by the goroutine in Read if there is one. When
// it returns, [Conn.Done] is closed; a call of the callback for signals may still be under way, maybe this one.
//
// It returns nil if the peer closed the channel, too, which it does when it has read everything, or had ended the
// connection before; and if the connection was not open. Otherwise it returns why the connection is over, which after
// the time-out is an error that is [os.ErrDeadlineExceeded]: what was sent last may not have arrived. Further calls
// wait and return like the first.
func (c *Conn) Close() error {
	c.startClosing()
	if c.isOpen() {
		c.goodbye()
	}
	c.fail(ErrClosed)
	<-c.gone

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.confirmed || !c.isOpen() || errors.Is(c.err, io.EOF) {
		return nil
	}
	return c.err
}

// Abort ends the connection at once. What has been sent and is not acknowledged is lost; the peer is told, if one packet
// reaches it. In all else it is like Close.
func (c *Conn) Abort() {
	c.startClosing()
	c.fail(ErrClosed)
	<-c.gone
}

// startClosing wakes those who wait to send. From then on the channel does not open any more.
func (c *Conn) startClosing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isClosing() {
		close(c.closing)
	}
}

// goodbye closes the channel in our direction, after all that has been sent, and reads until the peer has done so.
func (c *Conn) goodbye() {
	timer := time.AfterFunc(c.cfg.CloseTimeout, func() { c.fail(errNotConfirmed) })
	defer timer.Stop()
	c.wlock <- struct{}{} // who has it does not wait any more
	c.raw.Close()
	<-c.wlock

	c.rlock <- struct{}{}
	defer func() { <-c.rlock }()
	c.buf = nil // whoever called Read may still be using it
	for c.rerr == nil {
		_, _, c.rerr = c.message()
	}
	c.buf = nil
}

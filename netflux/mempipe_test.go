package netflux

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipeRoom is how many bytes may be on their way in a pipe before it takes no more, and pipePart how many of a stream
// travel together.
const (
	pipeRoom = 256 << 10
	pipePart = 64 << 10
)

// A pipe is one direction of a connection in memory: packets that arrive after its latency, in order.
type pipe struct {
	latency time.Duration

	mu      sync.Mutex
	packets []packet
	size    int           // bytes on their way
	err     error         // after the packets; nil as long as there may come more
	changed chan struct{} // closed when something above changes; nil if nobody waits for that
}

type packet struct {
	at   time.Time // it arrives
	data []byte
}

// change wakes those who wait. The lock is held.
func (p *pipe) change() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// wait gives up the lock until something has changed, until a moment that is not zero, or the end of ctx.
func (p *pipe) wait(ctx context.Context, until time.Time) {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	changed := p.changed
	p.mu.Unlock()
	defer p.mu.Lock()
	var timeout <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-changed:
	case <-timeout:
	case <-ctx.Done():
	}
}

// put sends a packet, which is copied. It waits for room, if it may, until what deadline returns.
func (p *pipe) put(ctx context.Context, b []byte, mayWait bool, deadline func() time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		end := deadline()
		switch {
		case p.err != nil:
			return syscall.EPIPE
		case ctx.Err() != nil:
			return ctx.Err()
		case passed(end):
			return os.ErrDeadlineExceeded
		case p.size < pipeRoom:
			p.packets = append(p.packets, packet{time.Now().Add(p.latency), append([]byte{}, b...)})
			p.size += len(b)
			p.change()
			return nil
		case !mayWait:
			return errWait
		}
		p.wait(ctx, end)
	}
}

// get returns the next packet when it has arrived.
func (p *pipe) get(deadline func() time.Time) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		wake := deadline()
		if passed(wake) {
			return nil, os.ErrDeadlineExceeded
		}
		if len(p.packets) > 0 {
			first := p.packets[0]
			if !first.at.After(time.Now()) {
				p.packets[0] = packet{}
				p.packets = p.packets[1:]
				if first.data == nil { // the end
					return nil, p.err
				}
				p.size -= len(first.data)
				p.change()
				return first.data, nil
			}
			if wake.IsZero() || first.at.Before(wake) {
				wake = first.at
			}
		} else if p.err != nil {
			return nil, p.err
		}
		p.wait(context.Background(), wake)
	}
}

// close ends the pipe: err arrives after all that was sent.
func (p *pipe) close(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		p.packets = append(p.packets, packet{at: time.Now().Add(p.latency)})
		p.change()
	}
}

// cut ends the pipe at once; what is on its way is lost.
func (p *pipe) cut(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.packets, p.err = nil, err
	p.change()
}

// wake has those who wait look at their deadlines again.
func (p *pipe) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change()
}

func passed(t time.Time) bool { return !t.IsZero() && !t.After(time.Now()) }

// A memConn is one end of a stream in memory.
type memConn struct {
	in, out       *pipe
	local, remote net.Addr
	tap           func([]byte) // gets what is written; may be nil

	rest []byte // of the packet that is being read; belongs to who reads

	mu             sync.Mutex
	closed, linger bool // linger: by a reset
	rtime, wtime   time.Time
}

func (c *memConn) readDeadline() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rtime
}

func (c *memConn) writeDeadline() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wtime
}

func (c *memConn) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		data, err := c.in.get(c.readDeadline)
		if err != nil {
			return 0, err
		}
		c.rest = data
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *memConn) Write(b []byte) (n int, err error) {
	for n < len(b) {
		part := b[n:min(n+pipePart, len(b))]
		if err := c.out.put(context.Background(), part, true, c.writeDeadline); err != nil {
			return n, err
		}
		if c.tap != nil {
			c.tap(part)
		}
		n += len(part)
	}
	return n, nil
}

// SetLinger has Close send a reset, as that of a net.TCPConn does.
func (c *memConn) SetLinger(sec int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.linger = sec == 0
	return nil
}

func (c *memConn) Close() error {
	c.mu.Lock()
	again, reset := c.closed, c.linger
	c.closed = true
	c.mu.Unlock()
	switch {
	case reset:
		c.out.cut(syscall.ECONNRESET)
	case !again:
		c.out.close(io.EOF)
	}
	c.in.cut(net.ErrClosed)
	return nil
}

// reset ends both directions.
func (c *memConn) reset() {
	c.out.cut(syscall.ECONNRESET)
	c.in.cut(syscall.ECONNRESET)
}

func (c *memConn) LocalAddr() net.Addr  { return c.local }
func (c *memConn) RemoteAddr() net.Addr { return c.remote }

func (c *memConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.rtime = t
	c.mu.Unlock()
	c.in.wake()
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	c.wtime = t
	c.mu.Unlock()
	c.out.wake()
	return nil
}

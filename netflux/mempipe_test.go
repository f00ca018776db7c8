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
	size    int   // bytes on their way
	err     error // after the packets; nil as long as there may come more

	arrival, room waiting // of who reads, and of who writes
}

// memTick is the time at which packets arrive: all those of a while together, as in a network card. It makes many
// members cheaper.
const memTick = 4 * time.Millisecond

type packet struct {
	at   time.Time // it arrives
	data []byte
}

// A waiting is closed to wake those who wait; nil if nobody does.
type waiting chan struct{}

func (w *waiting) wake() {
	if *w != nil {
		close(*w)
		*w = nil
	}
}

// change wakes all who wait. The lock is held.
func (p *pipe) change() {
	p.arrival.wake()
	p.room.wake()
}

// wait gives up the lock until it is woken, until a moment that is not zero, or the end of ctx.
func (p *pipe) wait(w *waiting, ctx context.Context, until time.Time) {
	if *w == nil {
		*w = make(waiting)
	}
	woken := *w
	p.mu.Unlock()
	defer p.mu.Lock()
	var timeout <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-woken:
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
			p.send(append([]byte{}, b...))
			p.size += len(b)
			return nil
		case !mayWait:
			return errWait
		}
		p.wait(&p.room, ctx, end)
	}
}

// send puts a packet on its way. The lock is held.
func (p *pipe) send(b []byte) {
	at := time.Now().Add(p.latency + memTick).Truncate(memTick)
	p.packets = append(p.packets, packet{at, b})
	if len(p.packets) == 1 { // or who reads waits for one before
		p.arrival.wake()
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
				p.room.wake()
				return first.data, nil
			}
			if wake.IsZero() || first.at.Before(wake) {
				wake = first.at
			}
		} else if p.err != nil {
			return nil, p.err
		}
		p.wait(&p.arrival, context.Background(), wake)
	}
}

// close ends the pipe: err arrives after all that was sent.
func (p *pipe) close(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		p.send(nil)
		p.room.wake()
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

//go:build unix

package ws

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Over plain TCP, also below a wrapper, Flush has sent all before it returns; over what encrypts, nothing goes past it.
func TestFlushAtOnce(t *testing.T) {
	for name, want := range map[string]bool{"TCP": true, "wrapper": true, "TLS": false, "pipe": false} {
		t.Run(name, func(t *testing.T) {
			eachRole(t, func(t *testing.T, r role) {
				c, p := transports[name](t, r, Config{})
				if (c.raw != nil) != want {
					t.Fatalf("writes without waiting: %v, want %v", c.raw != nil, want)
				}
				post(t, c, Text, "x")
				if want {
					// Nothing but Flush itself can send.
					c.conn = &brokenWriter{c.conn, true}
				}
				c.Flush()
				if want && !idle(c) {
					t.Error("something is left to send")
				}
				p.want(0x81, "x")
			})
		})
	}
}

// TLS of another make is TLS too.
func TestUnwrapForeignTLS(t *testing.T) {
	ours, _ := loopback(t)
	defer ours.Close()
	type foreign struct{ *tls.Conn }
	secured := foreign{tls.Client(ours, &tls.Config{InsecureSkipVerify: true})}
	for _, conn := range []net.Conn{secured, wrapper{secured}, wrapper{wrapper{secured}}} {
		if got := unwrap(conn); got != net.Conn(secured) {
			t.Errorf("%T is said to carry the bytes of %T", conn, got)
		}
	}
	if got := unwrap(wrapper{wrapper{ours}}); got != ours {
		t.Errorf("below the wrappers there is %T", got)
	}
}

// An old deadline that has passed stops no Flush.
func TestFlushAfterDeadline(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		c, p := tcpPair(t, r, Config{})
		for range 3 {
			c.wlock.lock()
			c.armed = time.Now().Add(-time.Second)
			c.conn.SetWriteDeadline(c.armed)
			c.wlock.unlock()
			post(t, c, Text, "one")
			c.Flush()
			p.want(0x81, "one")
			post(t, c, Text, "two")
			c.Flush()
			p.want(0x81, "two")
		}
	})
}

// What the network has taken of a large message does not wait any more, and does not count as such.
func TestMaxQueuePart(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		const limit = 700 << 10 // more than the kernel takes
		c, p := tcpPair(t, r, Config{MaxQueue: limit})
		data := strings.Repeat("x", limit-maxHeader)
		post(t, c, Binary, data)
		if err := c.Post(Text, []byte("early")); err != ErrQueueFull {
			t.Errorf("error %v, want ErrQueueFull", err)
		}
		c.Flush()
		post(t, c, Text, "fits now")
		if err := c.Post(Binary, []byte(data)); err != ErrQueueFull {
			t.Errorf("error %v, want ErrQueueFull", err)
		}
		p.want(0x82, data)
		p.want(0x81, "fits now")
	})
}

// A network that is full to the last byte makes nobody wait.
func TestFlushFull(t *testing.T) {
	c, p := tcpPair(t, asServer, Config{})
	var filler int64
	full := 0
	if !eventually(func() bool {
		full++
		c.raw.Write(func(fd uintptr) bool {
			for _, size := range []int{64 << 10, 1} {
				for {
					n, err := syscall.Write(int(fd), make([]byte, size))
					if err != nil {
						break
					}
					filler += int64(n)
					full = 0
				}
			}
			return true
		})
		return full == 20 // the kernel does not make room by itself any more
	}) {
		t.Fatal("the network takes any amount")
	}
	c.conn.SetWriteDeadline(time.Now().Add(5 * time.Second)) // for a Flush that does wait
	post(t, c, Text, "x")
	start := time.Now()
	if c.Flush(); time.Since(start) > time.Second {
		t.Errorf("Flush took %v", time.Since(start))
	}
	if !sending(c) {
		t.Error("nothing was left to a goroutine")
	}
	io.CopyN(io.Discard, p.br, filler)
	p.want(0x81, "x")
}

// However fast others post, Flush returns, and leaves them to a goroutine.
func TestFlushEnds(t *testing.T) {
	ours, theirs := loopback(t)
	gate := &gated{Conn: ours, open: make(chan struct{})}
	close(gate.open)
	c, p := join(t, asServer, Config{}, gate, theirs)
	gate.open = make(chan struct{})
	raw, err := ours.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	busy := &busyConn{RawConn: raw, c: c, posts: 100}
	c.raw = busy
	post(t, c, Text, "x")
	c.Flush()
	sent := 100 - busy.posts
	if sent == 0 || sent > maxRounds {
		t.Errorf("Flush has sent %d times", sent)
	}
	close(gate.open)
	for range 1 + sent {
		p.want(0x81, "x")
	}
	if !idle(c) {
		t.Error("an idle connection has something to send")
	}
}

// busyConn is a network during each use of which another message is posted.
type busyConn struct {
	syscall.RawConn
	c     *Conn
	posts int
}

func (b *busyConn) Write(f func(fd uintptr) bool) error {
	if b.posts > 0 {
		b.posts--
		b.c.Post(Text, []byte("x"))
	}
	return b.RawConn.Write(f)
}

// gated writes once it is open.
type gated struct {
	net.Conn
	open chan struct{}
}

func (g *gated) Write(p []byte) (int, error) {
	<-g.open
	return g.Conn.Write(p)
}

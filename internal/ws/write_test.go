package ws

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestWrite(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		c, p := tcpPair(t, r, Config{})
		for _, n := range []int{0, 1, 125, 126, 4096, 0xffff, 0x10000, 1 << 20} {
			data := strings.Repeat("x", n)
			go func() {
				c.Write(Text, []byte(data))
				c.Write(Binary, []byte(data))
			}()
			p.want(0x81, data)
			p.want(0x82, data)
		}
	})
}

// What cannot be sent leaves the connection as it was.
func TestWriteRefused(t *testing.T) {
	c, p := tcpPair(t, asServer, Config{})
	if err := c.Write(Text, []byte("a\xff")); err != ErrInvalidText {
		t.Errorf("error %v, want ErrInvalidText", err)
	}
	for _, k := range []Kind{0, 3, 8, 9} {
		if err := c.Write(k, nil); err == nil {
			t.Errorf("kind %d was sent", k)
		}
	}
	if err := c.Write(Binary, []byte("a\xff")); err != nil {
		t.Fatal(err)
	}
	p.want(0x82, "a\xff")
}

// A peer that does not read costs WriteTimeout and then the connection, and Read learns of it.
func TestWriteTimeout(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		synctest.Test(t, func(t *testing.T) {
			c, _ := pipePair(t, r, Config{WriteTimeout: 3 * time.Second})
			time.Sleep(10 * time.Second) // the time counts from the start of a write
			start := time.Now()
			ended := make(chan error)
			go func() { ended <- readToEnd(c, nil) }()
			err := c.Write(Binary, []byte("hello"))
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
				t.Errorf("error %v after %v, want a time-out after 3 s", err, time.Since(start))
			}
			if got := <-ended; got != err {
				t.Errorf("Read: %v, want %v", got, err)
			}
			if again := c.Write(Binary, nil); again != err {
				t.Errorf("Write: %v, want %v", again, err)
			}
			if got := c.Close(1000, ""); got != err {
				t.Errorf("Close: %v, want %v", got, err)
			}
			if time.Since(start) != 3*time.Second {
				t.Errorf("it took %v to learn that the connection is dead", time.Since(start)-3*time.Second)
			}
		})
	})
}

// The like over TCP, where the buffers of the kernel come first.
func TestWriteTimeoutTCP(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		c, _ := tcpPair(t, r, Config{WriteTimeout: 50 * time.Millisecond})
		block := make([]byte, 1<<20)
		var err error
		for err == nil {
			err = c.Write(Binary, block)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %v, want a time-out", err)
		}
		if _, _, got := c.Read(); got != err {
			t.Errorf("Read: %v, want %v", got, err)
		}
	})
}

// The pong has a deadline of its own. The library would send it under the one of the last write, or under none.
func TestPongTimeout(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		synctest.Test(t, func(t *testing.T) {
			c, p := pipePair(t, r, Config{WriteTimeout: 3 * time.Second})
			go c.Write(Text, []byte("first"))
			p.want(0x81, "first")
			time.Sleep(10 * time.Second)
			go p.Write(p.frame(0x89, "answered"))
			ended := make(chan error, 1)
			go func() { ended <- readToEnd(c, nil) }()
			p.want(0x8a, "answered")
			start := time.Now()
			p.send(p.frame(0x89, "left"))
			if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
				t.Errorf("error %v after %v, want a time-out after 3 s", err, time.Since(start))
			}
		})
	})
}

// No write deadline stays behind: TLS writes on its own account while it reads.
func TestNoStaleDeadline(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		ours, theirs := loopback(t)
		recorder := &deadlines{Conn: ours}
		c, p := join(t, r, Config{}, recorder, theirs)
		if !recorder.at.IsZero() {
			t.Errorf("after the handshake the write deadline is %v", recorder.at)
		}
		if err := c.Write(Text, []byte("x")); err != nil {
			t.Fatal(err)
		}
		p.want(0x81, "x")
		if !recorder.at.IsZero() || recorder.set == 0 {
			t.Errorf("after a write the write deadline is %v, and %d were set", recorder.at, recorder.set)
		}
	})
}

// Plain TCP keeps its deadline for a while, and sets a new one before the old one can cut a message short.
func TestDeadlineOnTCP(t *testing.T) {
	c, p := tcpPair(t, asServer, Config{WriteTimeout: 200 * time.Millisecond})
	for range 3 {
		if err := c.Write(Text, []byte("x")); err != nil {
			t.Fatal(err)
		}
		p.want(0x81, "x")
		if left := time.Until(c.armed); left > 250*time.Millisecond {
			t.Errorf("the deadline is in %v", left)
		}
		eventually(func() bool { return time.Now().After(c.armed) })
	}
	c.armed = time.Now().Add(199 * time.Millisecond)
	if c.armWrite(); time.Until(c.armed) < 200*time.Millisecond {
		t.Errorf("a message has only %v", time.Until(c.armed))
	}
}

// deadlines remembers the write deadline.
type deadlines struct {
	net.Conn
	at  time.Time
	set int
}

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	d.at = at
	d.set++
	return d.Conn.SetWriteDeadline(at)
}

// Frames of several writers and pongs do not mix, and each writer's messages stay in order.
func TestConcurrentWrites(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		c, p := tcpPair(t, r, Config{})
		crowd{senders: 8, each: 50, pings: 100, size: 100}.run(t, c, p, func(_, _ int, data []byte) error {
			return c.Write(Text, data)
		})
	})
}

// A crowd is some goroutines that send numbered messages at the same time, while the peer sends pings.
type crowd struct {
	senders, each, pings int
	size                 int // bytes by which each message of a sender is longer than the one before
}

// run has the crowd send, checks what arrives, and closes.
func (w crowd) run(t *testing.T, c *Conn, p *peer, send func(sender, i int, data []byte) error) {
	t.Helper()
	ended := make(chan error)
	go func() { ended <- readToEnd(c, nil) }()
	var wg sync.WaitGroup
	for s := range w.senders {
		wg.Go(func() {
			for i := range w.each {
				if err := send(s, i, fmt.Appendf(nil, "%d %d %s", s, i, w.text(s, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range w.pings {
			p.Write(p.frame(0x89, fmt.Sprint(i)))
		}
	})
	w.check(t, p)
	wg.Wait()
	if !idle(c) {
		t.Error("an idle connection has something to send")
	}
	p.send(p.closing(1000, ""))
	p.wantClose(1000)
	p.wantEOF()
	wantCloseError(t, <-ended, 1000, "")
}

func (w crowd) text(sender, i int) string { return strings.Repeat(string(rune('a'+sender)), i*w.size) }

// check reads until all messages, and the last pong, have come.
func (w crowd) check(t *testing.T, p *peer) {
	t.Helper()
	next := make([]int, w.senders)
	for messages, pong := 0, -1; messages < w.senders*w.each || pong < w.pings-1; {
		b0, payload, err := rawRead(p.br, !p.masks)
		if err != nil {
			t.Fatal(err)
		}
		if b0 == 0x8a {
			var i int
			if fmt.Sscan(payload, &i); i <= pong {
				t.Fatalf("pong %q after %d", payload, pong)
			}
			pong = i // the pongs between may be left out
			continue
		}
		var s, i int
		var x string
		fmt.Sscan(payload, &s, &i, &x)
		if b0 != 0x81 || i != next[s] || x != w.text(s, i) {
			t.Fatalf("frame %#x %.40q of sender %d, want number %d", b0, payload, s, next[s])
		}
		next[s]++
		messages++
	}
}

// A ping that comes while a write is blocked does not stop reading, and the write's end brings the pong. Otherwise two
// peers that write to one another would wait for one another.
func TestPingDuringWrite(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		synctest.Test(t, func(t *testing.T) {
			c, p := pipePair(t, r, Config{})
			written := make(chan error, 1)
			go func() { written <- c.Write(Text, []byte("blocked")) }()
			synctest.Wait()
			go p.Write(frames(p, 0x89, "one", 0x89, "two", 0x81, "still read"))
			wantMessage(t, c, Text, "still read")
			p.want(0x81, "blocked")
			p.want(0x8a, "two")
			if err := <-written; err != nil {
				t.Error(err)
			}
		})
	})
}

// When the peer is gone, what it had said before can still be read.
func TestWriteAfterPeerHasGone(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		ours, theirs := loopback(t)
		broken := &brokenWriter{Conn: ours}
		c, p := join(t, r, Config{}, broken, theirs)
		p.send(p.frame(0x81, "last words"), p.closing(4001, "gone"))
		p.Close()
		broken.is = true
		err := c.Write(Text, []byte("x"))
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Write: %v", err)
		}
		if again := c.Write(Text, nil); again != err {
			t.Errorf("Write again: %v, want %v", again, err)
		}
		wantMessage(t, c, Text, "last words")
		_, _, err = c.Read()
		wantCloseError(t, err, 4001, "gone")
	})
}

// And a peer that broke one direction only is not waited for for ever.
func TestWriteBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		broken := &brokenWriter{Conn: ours}
		c, _ := join(t, asServer, Config{}, broken, theirs)
		broken.is = true
		start := time.Now()
		c.Write(Text, []byte("x"))
		if _, _, err := c.Read(); err == nil || time.Since(start) != DefaultCloseTimeout {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		if _, err := ours.Write(nil); err != io.ErrClosedPipe {
			t.Errorf("TCP is not closed: %v", err)
		}
	})
}

// brokenWriter fails to write once it is told to.
type brokenWriter struct {
	net.Conn
	is bool
}

func (b *brokenWriter) Write(p []byte) (int, error) {
	if b.is {
		return 0, io.ErrClosedPipe
	}
	return b.Conn.Write(p)
}

package ws

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// The peer's close frame is told with its code and reason, and echoed with its code, once. The library would tell
// io.EOF and echo nothing.
func TestPeerCloses(t *testing.T) {
	for _, e := range []CloseError{
		{1000, ""}, {1001, "going away"}, {1003, ""}, {1007, ""}, {1011, ""}, {1014, ""}, {3000, ""},
		{4999, strings.Repeat("µ", 61) + "x"},
	} {
		eachRole(t, func(t *testing.T, r role) {
			c, p := tcpPair(t, r, Config{})
			p.send(p.frame(0x81, "before"), p.closing(e.Code, e.Reason))
			wantMessage(t, c, Text, "before")
			_, _, err := c.Read()
			wantCloseError(t, err, e.Code, e.Reason)
			if reason := p.wantClose(e.Code); reason != "" {
				t.Errorf("echo has the reason %q", reason)
			}
			if err := c.Write(Text, nil); !errors.Is(err, ErrClosed) {
				t.Errorf("Write: %v, want ErrClosed", err)
			}
			if err := c.Close(1000, ""); err != nil {
				t.Errorf("Close: %v", err)
			}
			p.wantEOF()
		})
	}
}

func TestPeerClosesWithoutCode(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		c, p := tcpPair(t, r, Config{})
		p.send(p.frame(0x88, ""))
		_, _, err := c.Read()
		wantCloseError(t, err, CloseNoStatus, "")
		p.want(0x88, "")
		p.wantEOF()
	})
}

// closers are the three situations in which Close finds the reader; it gets no message in any of them.
var closers = map[string]func(c *Conn) (ended chan error){
	"in Read": func(c *Conn) chan error {
		ended := make(chan error, 1)
		go func() { ended <- readToEnd(c, noMessage) }()
		synctest.Wait()
		return ended
	},
	"not reading": func(c *Conn) chan error {
		ended := make(chan error, 1)
		ended <- nil
		return ended
	},
	"reads later": func(c *Conn) chan error {
		ended := make(chan error, 1)
		time.AfterFunc(time.Millisecond, func() { ended <- readToEnd(c, noMessage) })
		return ended
	},
}

func noMessage(k Kind, data string) { panic("message " + data) }

func eachCloser(t *testing.T, f func(t *testing.T, c *Conn, p *peer, reader func(*Conn) chan error)) {
	for name, reader := range closers {
		t.Run(name, func(t *testing.T) {
			eachRole(t, func(t *testing.T, r role) {
				synctest.Test(t, func(t *testing.T) {
					c, p := pipePair(t, r, Config{})
					f(t, c, p, reader)
				})
			})
		})
	}
}

// Close sends its frame, discards what still comes, takes the answer and closes TCP.
func TestClose(t *testing.T) {
	eachCloser(t, func(t *testing.T, c *Conn, p *peer, reader func(*Conn) chan error) {
		ended := reader(c)
		closed := make(chan error)
		go func() { closed <- c.Close(4000, "bye") }()
		p.want(0x88, "\x0f\xa0bye")
		time.Sleep(time.Second)
		if err := c.Write(Text, nil); err != ErrClosed {
			t.Errorf("Write: %v, want ErrClosed", err)
		}
		c.SetReadDeadline(time.Now()) // must not spoil it
		p.send(frames(p, 0x81, "discarded", 0x02, "this", 0x89, "not answered", 0x80, "too"), p.closing(4002, "bye, bye"))
		p.wantEOF()
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-ended; err != nil {
			wantCloseError(t, err, 4002, "bye, bye")
		}
		_, _, err := c.Read()
		wantCloseError(t, err, 4002, "bye, bye")
	})
}

// A peer that does not answer, or goes on sending, is given CloseTimeout.
func TestCloseTimeout(t *testing.T) {
	eachCloser(t, func(t *testing.T, c *Conn, p *peer, reader func(*Conn) chan error) {
		ended := reader(c)
		closed := make(chan error)
		start := time.Now()
		go func() { closed <- c.Close(1000, "") }()
		p.wantClose(1000)
		sender := make(chan struct{})
		go func() {
			defer close(sender)
			for {
				if _, err := p.Write(p.frame(0x81, "more")); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		if err := <-closed; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Close: %v, want a time-out", err)
		}
		if d := time.Since(start); d != DefaultCloseTimeout {
			t.Errorf("Close took %v", d)
		}
		if err := <-ended; err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read: %v, want a time-out", err)
		}
		p.wantEOF()
		<-sender
	})
}

// A peer that ends TCP instead of answering is not waited for.
func TestCloseWithoutAnswer(t *testing.T) {
	eachCloser(t, func(t *testing.T, c *Conn, p *peer, reader func(*Conn) chan error) {
		ended := reader(c)
		closed := make(chan error)
		go func() { closed <- c.Close(1000, "") }()
		p.wantClose(1000)
		p.Close()
		if err := <-closed; !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Close: %v", err)
		}
		if err := <-ended; err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Read: %v", err)
		}
	})
}

// A peer that does not even take the close frame is given WriteTimeout.
func TestCloseUnread(t *testing.T) {
	eachCloser(t, func(t *testing.T, c *Conn, p *peer, reader func(*Conn) chan error) {
		ended := reader(c)
		start := time.Now()
		if err := c.Close(1000, ""); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Close: %v, want a time-out", err)
		}
		if d := time.Since(start); d != DefaultWriteTimeout {
			t.Errorf("Close took %v", d)
		}
		<-ended
		p.wantEOF()
	})
}

// Both sides may close at once, and each may do so from many goroutines.
func TestCloseCrosses(t *testing.T) {
	eachCloser(t, func(t *testing.T, c *Conn, p *peer, reader func(*Conn) chan error) {
		ended := reader(c)
		go p.Write(p.closing(4001, "mine"))
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := c.Close(4001, ""); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		p.wantClose(4001)
		p.wantEOF()
		wg.Wait()
		if err := <-ended; err != nil {
			wantCloseError(t, err, 4001, "mine")
		}
	})
}

// Close waits for the write in progress, and those that queue give up.
func TestCloseDuringWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipePair(t, asServer, Config{})
		first, second, closed := make(chan error), make(chan error), make(chan error)
		go func() { first <- c.Write(Text, []byte("first")) }()
		synctest.Wait()
		go func() { second <- c.Write(Text, []byte("second")) }()
		synctest.Wait()
		go func() { closed <- c.Close(1000, "") }()
		synctest.Wait()
		p.want(0x81, "first")
		p.wantClose(1000)
		p.send(p.closing(1000, ""))
		p.wantEOF()
		if err := <-first; err != nil {
			t.Errorf("first: %v", err)
		}
		if err := <-second; err != ErrClosed {
			t.Errorf("second: %v, want ErrClosed", err)
		}
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// The message that Read returned stays as it is while Close reads on.
func TestCloseLeavesMessage(t *testing.T) {
	c, p := tcpPair(t, asServer, Config{})
	p.send(p.frame(0x81, "mine"))
	_, data, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	p.send(p.frame(0x81, "XXXX"), p.closing(1000, ""))
	if err := c.Close(1000, ""); err != nil {
		t.Error(err)
	}
	if string(data) != "mine" {
		t.Errorf("the message became %q", data)
	}
}

// Nor does its buffer go back to the pool, if Close reads no message.
func TestCloseLeavesBuffer(t *testing.T) {
	for range 20 { // the pool forgets at times
		c, p := tcpPair(t, asServer, Config{})
		p.send(p.frame(0x81, "mine"), p.closing(1000, ""))
		_, data, err := c.Read()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(1000, ""); err != nil {
			t.Error(err)
		}
		for range 10 {
			if b := buffers.Get().(*buffer).b; cap(b) > 0 && &b[:1][0] == &data[0] {
				t.Fatal("the buffer of the message is in the pool")
			}
		}
	}
}

// A read deadline that was set before does not cut the goodbye short, not even while the close frame waits for a write.
func TestCloseOverridesDeadline(t *testing.T) {
	eachCloser(t, func(t *testing.T, c *Conn, p *peer, reader func(*Conn) chan error) {
		c.SetReadDeadline(time.Now().Add(time.Second))
		ended := reader(c)
		go c.Write(Text, []byte("blocked"))
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- c.Close(1000, "") }()
		time.Sleep(2 * time.Second)
		p.want(0x81, "blocked")
		p.wantClose(1000)
		time.Sleep(2 * time.Second)
		p.send(p.closing(1000, ""))
		p.wantEOF()
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-ended; err != nil {
			wantCloseError(t, err, 1000, "")
		}
	})
}

// A violation while we wait for the answer ends the wait.
func TestCloseViolated(t *testing.T) {
	eachCloser(t, func(t *testing.T, c *Conn, p *peer, reader func(*Conn) chan error) {
		ended := reader(c)
		closed := make(chan error)
		go func() { closed <- c.Close(1000, "") }()
		p.wantClose(1000)
		p.send(p.frame(0x83, ""))
		p.Close()
		wantProtocolError(t, <-closed, 1002)
		if err := <-ended; err != nil {
			wantProtocolError(t, err, 1002)
		}
	})
}

// A peer that broke the protocol and does not end TCP is left after CloseTimeout.
func TestViolationLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipePair(t, asServer, Config{})
		start := time.Now()
		ended := make(chan error)
		go func() { ended <- readToEnd(c, nil) }()
		p.send(p.frame(0x83, ""))
		p.wantClose(1002)
		wantProtocolError(t, <-ended, 1002)
		if d := time.Since(start); d != DefaultCloseTimeout {
			t.Errorf("Read took %v", d)
		}
		p.wantEOF()
	})
}

// The peer can read our close frame though it has sent more than we read. A plain close would reset the connection.
func TestCloseFrameSurvives(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		c, p := tcpPair(t, r, Config{MaxMessage: 10})
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			p.Write(p.frame(0x82, strings.Repeat("x", 4<<20)))
		}()
		ended := make(chan error)
		go func() { ended <- readToEnd(c, nil) }()
		<-sent
		p.wantClose(1009)
		p.wantEOF()
		wantProtocolError(t, <-ended, 1009)
	})
}

func TestCloseCode(t *testing.T) {
	c, p := tcpPair(t, asServer, Config{})
	for _, code := range []int{-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536 + 1000} {
		if err := c.Close(code, ""); err == nil {
			t.Errorf("Close(%d) was not refused", code)
		}
	}
	if err := c.Write(Text, []byte("still open")); err != nil {
		t.Fatal(err)
	}
	p.want(0x81, "still open")
}

func TestClosePayload(t *testing.T) {
	for _, reason := range []string{
		"", "bye", strings.Repeat("x", 123), strings.Repeat("x", 124), strings.Repeat("µ", 62),
		strings.Repeat("x", 122) + "€", strings.Repeat("😀", 40), "a\xffb", strings.Repeat("\xff", 200),
	} {
		b := closePayload(1000, reason)
		got := string(b[2:])
		if len(b) > 125 || !utf8.ValidString(got) || !strings.HasPrefix(strings.ToValidUTF8(reason, "\uFFFD"), got) {
			t.Errorf("%.40q became %q (%d bytes)", reason, got, len(b))
		}
		if len(reason) <= 123 && utf8.ValidString(reason) && got != reason {
			t.Errorf("%q became %q", reason, got)
		}
		if len(reason) > 123 && utf8.ValidString(reason) && len(got) < 120 {
			t.Errorf("%.40q was cut to %d bytes", reason, len(got))
		}
	}
}

package ws

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Messages of every length form arrive whole, and the slice holds until the next Read.
func TestRead(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		c, p := tcpPair(t, r, Config{})
		for _, n := range []int{0, 1, 125, 126, 0xffff, 0x10000, DefaultMaxMessage} {
			data := strings.Repeat("µ", n/2) + strings.Repeat("x", n%2)
			go p.Write(append(p.frame(0x81, data), p.frame(0x82, data)...))
			wantMessage(t, c, Text, data)
			wantMessage(t, c, Binary, data)
		}
	})
}

// Fragments become one message; pings between them are answered and pongs ignored. The library would hand out three
// messages.
func TestFragments(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		c, p := tcpPair(t, r, Config{})
		p.send(p.frame(0x01, "a\xe2"), p.frame(0x89, "one"), p.frame(0x00, "\x82"), p.frame(0x8a, "unasked"),
			p.frame(0x00, ""), p.frame(0x89, ""), p.frame(0x80, "\xacz"), p.frame(0x82, "next"))
		wantMessage(t, c, Text, "a€z")
		p.want(0x8a, "one")
		p.want(0x8a, "")
		wantMessage(t, c, Binary, "next")
	})
}

// A frame that comes in pieces of one byte is the same frame.
func TestReadSlowly(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		c, p := pipePair(t, r, Config{})
		go func() {
			for _, b := range frames(p, 0x01, strings.Repeat("x", 200), 0x80, "y", 0x82, strings.Repeat("z", 0x10000)) {
				p.Write([]byte{b})
			}
		}()
		wantMessage(t, c, Text, strings.Repeat("x", 200)+"y")
		wantMessage(t, c, Binary, strings.Repeat("z", 0x10000))
	})
}

// The limit holds for a message, not for a frame, and a message of just the limit passes.
func TestMaxMessage(t *testing.T) {
	for name, parts := range map[string][]any{
		"one frame":        {0x82, strings.Repeat("x", 1001)},
		"two frames":       {0x02, strings.Repeat("x", 1000), 0x80, "x"},
		"many frames":      {0x02, strings.Repeat("x", 500), 0x00, strings.Repeat("x", 500), 0x89, "", 0x00, "", 0x00, "x"},
		"text, not UTF-8":  {0x81, strings.Repeat("\xff", 1001)},
		"only its header":  {0x82, strings.Repeat("x", 1<<20)},
		"while it goes on": {0x02, strings.Repeat("x", 1001)},
	} {
		t.Run(name, func(t *testing.T) {
			eachRole(t, func(t *testing.T, r role) {
				c, p := tcpPair(t, r, Config{MaxMessage: 1000})
				ended := make(chan error)
				p.send(frames(p, 0x02, strings.Repeat("x", 999), 0x80, "x"))
				wantMessage(t, c, Binary, strings.Repeat("x", 1000))
				go func() {
					_, _, err := c.Read()
					ended <- err
				}()
				go p.Write(frames(p, parts...))
				for { // a ping among the frames is answered first
					b0, payload, err := rawRead(p.br, !p.masks)
					if err != nil {
						t.Fatal(err)
					}
					if b0 == 0x88 {
						if payload[:2] != "\x03\xf1" {
							t.Fatalf("close frame %q, want 1009", payload)
						}
						break
					}
				}
				p.wantEOF()
				err := <-ended
				wantProtocolError(t, err, CloseTooBig)
				if !errors.Is(err, ErrTooBig) {
					t.Errorf("%v is not ErrTooBig", err)
				}
			})
		})
	}
}

// TCP that ends at any byte of a frame never makes a message. The library would return the shorter one.
func TestTruncation(t *testing.T) {
	for _, size := range []int{5, 300, 70_000} {
		eachRole(t, func(t *testing.T, r role) {
			whole := rawFrame(r == asServer, 0x82, strings.Repeat("x", size))
			for _, n := range []int{0, 1, 2, 3, 4, 6, 9, 13, len(whole) / 2, len(whole) - 1} {
				if n >= len(whole) {
					continue
				}
				c, p := tcpPair(t, r, Config{})
				go func() {
					p.Write(whole[:n])
					p.Close()
				}()
				if _, data, err := c.Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%d of %d bytes: %d bytes of data, error %v, want io.ErrUnexpectedEOF", n, len(whole), len(data), err)
				}
			}
		})
	}
}

// Nor do a ping, a close frame or a message whose last fragment is missing.
func TestTruncationOfControl(t *testing.T) {
	for name, cut := range map[string]func(p *peer) []byte{
		"ping":             func(p *peer) []byte { b := p.frame(0x89, "abc"); return b[:len(b)-1] },
		"close frame":      func(p *peer) []byte { b := p.closing(1000, "abc"); return b[:len(b)-1] },
		"missing fragment": func(p *peer) []byte { return p.frame(0x01, "abc") },
	} {
		t.Run(name, func(t *testing.T) {
			eachRole(t, func(t *testing.T, r role) {
				c, p := tcpPair(t, r, Config{})
				go func() {
					p.Write(cut(p))
					p.Conn.(interface{ CloseWrite() error }).CloseWrite()
				}()
				if _, _, err := c.Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("error %v, want io.ErrUnexpectedEOF", err)
				}
				p.wantEOF()
			})
		})
	}
}

// A reset is an end without a goodbye too.
func TestReset(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		c, p := tcpPair(t, r, Config{})
		p.Conn.(interface{ SetLinger(int) error }).SetLinger(0)
		p.Close()
		if _, _, err := c.Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("error %v, want io.ErrUnexpectedEOF", err)
		}
	})
}

// A header that announces much makes us allocate little.
func TestClaimedLength(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		c, p := tcpPair(t, r, Config{MaxMessage: 1 << 30})
		go func() {
			p.Write(append(length64(p, 0x82, 1<<29), "little"...))
			p.Close()
		}()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := c.Read()
		runtime.ReadMemStats(&after)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("error %v, want io.ErrUnexpectedEOF", err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%d bytes were allocated for 6 bytes of data", n)
		}
	})
}

// While nothing arrives, a connection holds no buffer, whatever it has received before.
func TestIdleBuffer(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		synctest.Test(t, func(t *testing.T) {
			c, p := pipePair(t, r, Config{})
			go func() { readToEnd(c, nil) }()
			p.send(p.frame(0x82, strings.Repeat("x", 100)), p.frame(0x01, strings.Repeat("x", 100_000)))
			synctest.Wait()
			if c.buf == nil {
				t.Error("no buffer in the middle of a message")
			}
			p.send(p.frame(0x80, ""))
			synctest.Wait()
			if c.buf != nil {
				t.Error("an idle connection holds a buffer")
			}
			p.send(p.closing(1000, ""))
			p.wantClose(1000)
			p.wantEOF()
			synctest.Wait()
			if c.buf != nil {
				t.Error("a closed connection holds a buffer")
			}
		})
	})
}

func TestHugeBufferIsNotKept(t *testing.T) {
	big := &buffer{b: make([]byte, 0, keptBuffer+1)}
	(&Conn{buf: big}).release()
	for range 100 {
		if got := buffers.Get().(*buffer); cap(got.b) > keptBuffer {
			t.Fatalf("a buffer of %d bytes was kept", cap(got.b))
		}
	}
}

// ready tells whether a whole message is there, at every byte of every length form, and never of what is none.
func TestReady(t *testing.T) {
	const limit = 70_000
	client := &peer{masks: true}
	ready := func(b []byte) bool {
		br := bufio.NewReaderSize(bytes.NewReader(b), 3*limit)
		br.Peek(len(b))
		c := &Conn{br: br, server: true, cfg: Config{MaxMessage: limit}}
		got := c.ready()
		if br.Buffered() != len(b) {
			t.Errorf("ready left %d of %d bytes", br.Buffered(), len(b))
		}
		return got
	}
	for _, size := range []int{0, 1, 125, 126, 300, 0xffff, 0x10000, limit} {
		for _, b0 := range []byte{0x81, 0x82} {
			whole := client.frame(b0, strings.Repeat("x", size))
			for n := range whole {
				if n > 2*maxHeader && n < len(whole)-2*maxHeader {
					continue
				}
				if ready(whole[:n]) {
					t.Errorf("%d bytes: ready after %d of %d", size, n, len(whole))
				}
			}
			if !ready(whole) || !ready(append(whole, 0x82)) || !ready(append(whole, whole...)) {
				t.Errorf("%d bytes: not ready", size)
			}
		}
	}
	rest := strings.Repeat("x", 200)
	for name, b := range map[string][]byte{
		"first fragment":     client.frame(0x01, "x"),
		"fragment":           client.frame(0x00, "x"),
		"last fragment":      client.frame(0x80, "x"),
		"ping":               client.frame(0x89, "x"),
		"pong":               client.frame(0x8a, ""),
		"close":              client.closing(1000, ""),
		"RSV":                client.frame(0xc2, "x"),
		"reserved opcode":    client.frame(0x83, "x"),
		"not masked":         rawFrame(false, 0x82, "x"),
		"not minimal, 16":    {0x82, 0xfe, 0, 1, 0, 0, 0, 0, 'x'},
		"not minimal, 64":    append(length64(client, 0x82, 1), 'x'),
		"too big":            client.frame(0x82, strings.Repeat("x", limit+1)),
		"an exbibyte":        append(length64(client, 0x82, 1<<60), rest...),
		"most of an int64":   append(length64(client, 0x82, 1<<63-1), rest...),
		"overflows an int64": append(length64(client, 0x82, 1<<63), rest...),
		"most of a uint64":   append(length64(client, 0x82, 1<<64-1), rest...),
		"wraps":              append(length64(client, 0x82, 1<<64-14), rest...),
		"wraps, 32 bits":     append(length64(client, 0x82, 1<<32|1), rest...),
	} {
		if ready(b) || ready(append(b, client.frame(0x82, "x")...)) {
			t.Errorf("%s: ready", name)
		}
	}
}

// Read calls the function of OnWait before it may wait, and not while messages are there.
func TestOnWait(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		synctest.Test(t, func(t *testing.T) {
			c, p := pipePair(t, r, Config{})
			waited := false
			c.OnWait(func() { waited = true })
			go p.Write(frames(p, 0x81, "one", 0x82, "two", 0x81, "three", 0x8a, "", 0x81, "four"))
			for _, m := range []struct {
				kind Kind
				data string
				wait bool
			}{{Text, "one", true}, {Binary, "two", false}, {Text, "three", false}, {Text, "four", true}} {
				waited = false
				wantMessage(t, c, m.kind, m.data)
				if waited != (m.wait || r == asClient) {
					t.Errorf("before %q: OnWait's function was called: %v", m.data, waited)
				}
			}
		})
	})
}

// Read also calls it before it waits for a goodbye: its own, one by a Close that reads, and one by a Close that lets it
// read.
func TestOnWaitClosing(t *testing.T) {
	for name, test := range map[string]struct {
		next  string
		begin func(*Conn, *peer)
	}{
		"violation": {"\xff", func(*Conn, *peer) {}},
		"Close reads": {"two", func(c *Conn, p *peer) {
			go c.Close(1000, "")
			p.wantClose(1000)
			synctest.Wait()
		}},
		"Read reads": {"two", func(c *Conn, _ *peer) { c.closing.Store(true) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := pipePair(t, asServer, Config{})
				calls := make(chan struct{}, 100)
				c.OnWait(func() { calls <- struct{}{} })
				go p.Write(frames(p, 0x81, "one", 0x81, test.next))
				wantMessage(t, c, Text, "one")
				for len(calls) > 0 {
					<-calls
				}
				test.begin(c, p)
				done := make(chan struct{})
				go func() { c.Read(); close(done) }()
				synctest.Wait()
				select {
				case <-done:
					t.Error("Read did not wait")
				default:
				}
				if len(calls) == 0 {
					t.Error("Read waits and has not called OnWait's function")
				}
				c.Abort()
				<-done
			})
		})
	}
}

func TestReadDeadline(t *testing.T) {
	for name, before := range map[string]string{"idle": "", "inside a header": "\x82", "inside a message": "\x02"} {
		t.Run(name, func(t *testing.T) {
			eachRole(t, func(t *testing.T, r role) {
				synctest.Test(t, func(t *testing.T) {
					c, p := pipePair(t, r, Config{})
					start := time.Now()
					c.SetReadDeadline(start.Add(3 * time.Second))
					if before != "" {
						go p.Write([]byte(before))
					}
					_, _, err := c.Read()
					if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
						t.Fatalf("error %v after %v, want a time-out after 3 s", err, time.Since(start))
					}
					c.SetReadDeadline(time.Time{})
					if _, _, again := c.Read(); again != err {
						t.Errorf("error %v, want %v", again, err)
					}
					// What remains is the goodbye.
					closed := make(chan error)
					go func() { closed <- c.Close(4000, "too slow") }()
					p.want(0x88, "\x0f\xa0too slow")
					p.wantEOF()
					if err := <-closed; !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("Close: %v", err)
					}
				})
			})
		})
	}
}

// Clearing a deadline in time lets reading go on.
func TestReadDeadlineCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipePair(t, asServer, Config{})
		c.SetReadDeadline(time.Now().Add(time.Second))
		c.SetReadDeadline(time.Time{})
		time.AfterFunc(2*time.Second, func() { p.Write(p.frame(0x81, "late")) })
		wantMessage(t, c, Text, "late")
	})
}

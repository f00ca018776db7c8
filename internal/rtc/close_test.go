package rtc

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
)

// What was sent before Close arrives, and both ends learn of the end.
func TestClose(t *testing.T) {
	for _, offerer := range []bool{true, false} {
		a, b := pair(t, Config{}, Config{})
		if !offerer {
			a, b = b, a
		}
		const messages = 10
		for range messages {
			if err := a.Send(t.Context(), Binary, pattern(20_000, 1)); err != nil {
				t.Fatal(err)
			}
		}
		closed := make(chan error)
		go func() { closed <- a.Close() }()
		for range messages {
			wantMessage(t, b, Binary, pattern(20_000, 1))
		}
		wantEnd(t, b, io.EOF)
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		wantEnd(t, a, ErrClosed)
		for _, c := range []*Conn{a, b} {
			if err := c.Send(t.Context(), Text, nil); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Send: %v", err)
			}
			if err := c.TrySend(Text, nil); err != ErrClosed {
				t.Errorf("TrySend: %v", err)
			}
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			wantOpen(t, c) // it was
		}
	}
}

// Close while a Read is under way has that do the waiting; both ends may close at once.
func TestCloseBoth(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	var wg sync.WaitGroup
	for _, c := range []*Conn{a, b} {
		wg.Go(func() {
			for {
				if _, _, err := c.Read(); err != nil {
					if !errors.Is(err, ErrClosed) && err != io.EOF {
						t.Errorf("Read: %v", err)
					}
					return
				}
			}
		})
		for range 2 {
			wg.Go(func() {
				if err := c.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
	}
	wg.Wait()
}

// Close waits CloseTimeout for a peer that does not read, and says so.
func TestCloseTimeout(t *testing.T) {
	a, _ := pair(t, Config{CloseTimeout: 50 * time.Millisecond}, Config{})
	read := make(chan error)
	go func() {
		_, _, err := a.Read()
		read <- err
	}()
	if err := a.Close(); !errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(err, ErrClosed) {
		t.Errorf("Close: %v", err)
	}
	if err := <-read; !errors.Is(err, ErrClosed) {
		t.Errorf("Read: %v", err)
	}
}

// Abort takes no time, whatever is under way, and the peer learns of it. It cuts Close short.
func TestAbort(t *testing.T) {
	a, b := pair(t, Config{HighWater: 1, CloseTimeout: time.Hour}, Config{CloseTimeout: time.Hour})
	results := make(chan error, 3)
	go func() {
		_, _, err := a.Read()
		results <- err
	}()
	go func() {
		var err error
		for err == nil {
			err = a.Send(t.Context(), Binary, pattern(60_000, 1))
		}
		results <- err
	}()
	wantMessage(t, b, Binary, pattern(60_000, 1))
	go func() { results <- a.Close() }()
	await(t, a.closing, "close")
	a.Abort()
	for range 3 {
		if err := <-results; err != ErrClosed {
			t.Errorf("got %v", err)
		}
	}
	wantEnd(t, b, io.EOF)
	await(t, b.Done(), "end of the peer")
}

// A connection can be closed at any moment of its opening, from any goroutine and from the callback, and leaves
// nothing.
func TestCloseWhileOpening(t *testing.T) {
	ends := map[string]func(*Conn){"Close": func(c *Conn) { c.Close() }, "Abort": (*Conn).Abort}
	for name, end := range ends {
		t.Run(name+" in the callback", func(t *testing.T) {
			for signals := 1; signals <= 3; signals++ {
				var n atomic.Int32
				ended := make(chan struct{})
				a, b := couple(t, Config{}, Config{}, func(to *Conn, s Signal) {
					to.Signal(s)
					if int(n.Add(1)) == signals {
						end(to)
						close(ended)
					}
				})
				await(t, ended, "end in the callback")
				b.Abort()
				a.Abort()
			}
		})
		t.Run(name+" at any time", func(t *testing.T) {
			if raceEnabled {
				// ICETransport.stop of pion looks at a field without its lock that Start sets if the path was found in
				// that moment. Nothing comes of it, as this test shows without the detector.
				t.Skip("pion has a race of its own here")
			}
			const tries = 60
			for i := range tries {
				a, b := couple(t, Config{CloseTimeout: 10 * time.Millisecond}, Config{}, nil)
				// Opening takes some milliseconds, so this meets each of its stages.
				for end := time.Now().Add(time.Duration(i) * 100 * time.Microsecond); time.Now().Before(end); {
					runtime.Gosched()
				}
				end(a)
				if _, _, err := a.Read(); !errors.Is(err, ErrClosed) {
					t.Errorf("Read: %v", err)
				}
				b.Abort()
			}
		})
	}
}

// What a connection does that is not open, and then is closed.
func TestNotOpen(t *testing.T) {
	c, _ := started(t, true, Config{})
	if err := c.Send(t.Context(), Text, nil); err != ErrNotOpen {
		t.Errorf("Send: %v", err)
	}
	if _, _, err := c.Read(); err != ErrNotOpen {
		t.Errorf("Read: %v", err)
	}
	if c.Label() != "" || c.MaxSend() != 0 {
		t.Errorf("label %q, limit %d", c.Label(), c.MaxSend())
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	var failed *OpenError
	for _, err := range []error{c.Open(t.Context()), c.Signal(Signal{Type: SignalEnd})} {
		if !errors.As(err, &failed) || !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
	if err := c.Send(context.Background(), Text, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Send: %v", err)
	}
}

// cutNet loses all packets once it has been cut.
type cutNet struct {
	transport.Net
	cut *atomic.Bool
}

type cutConn struct {
	transport.UDPConn
	cut *atomic.Bool
}

func (n cutNet) ListenUDP(network string, addr *net.UDPAddr) (transport.UDPConn, error) {
	c, err := n.Net.ListenUDP(network, addr)
	return cutConn{c, n.cut}, err
}

func (c cutConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if c.cut.Load() {
		return len(b), nil
	}
	return c.UDPConn.WriteTo(b, addr)
}

// A peer that is not heard any more is given up; Send, Read and Close say so.
func TestLost(t *testing.T) {
	n, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	var cut atomic.Bool
	cfg := Config{SilenceTimeout: 300 * time.Millisecond, HighWater: 1, net: cutNet{n, &cut}}
	a, b := pair(t, cfg, cfg)
	cut.Store(true)
	sent := make(chan error)
	go func() {
		var err error
		for err == nil {
			err = a.Send(t.Context(), Text, []byte("lost"))
		}
		sent <- err
	}()
	wantEnd(t, a, ErrLost)
	wantEnd(t, b, ErrLost)
	if err := <-sent; !errors.Is(err, ErrLost) {
		t.Errorf("Send: %v", err)
	}
	if err := a.Close(); !errors.Is(err, ErrLost) {
		t.Errorf("Close: %v", err)
	}
}

package rtc

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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
		closed := make(chan error, 1)
		go func() { closed <- a.Close() }()
		for range messages {
			wantMessage(t, b, Binary, pattern(20_000, 1))
		}
		wantEnd(t, b, io.EOF)
		if err := <-closed; err != nil || !isClosed(a.Done()) {
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

// Close waits CloseTimeout for a peer that does not read, and says so. Whoever waits to send, or for another's turn to
// end, is told at once.
func TestCloseTimeout(t *testing.T) {
	a, _ := pair(t, Config{CloseTimeout: 50 * time.Millisecond, HighWater: 1}, Config{})
	const size, senders = 60_000, 2
	var sent atomic.Int32
	ended := make(chan error, senders)
	for range senders {
		go func() {
			var err error
			for ; err == nil; sent.Add(1) {
				err = a.Send(t.Context(), Binary, pattern(size, 1))
			}
			ended <- err
		}()
	}
	for sent.Load()*size < minWindow {
		runtime.Gosched()
	}
	defer func() {
		for range senders {
			if err := <-ended; err != ErrClosed {
				t.Errorf("Send: %v", err)
			}
		}
	}()
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

// When the connection is over, nothing of pion's will call this package any more.
func TestNoCallbacksLeft(t *testing.T) {
	const tries = 30
	left := 0
	for range tries {
		a, b := pair(t, Config{}, Config{})
		a.Abort()
		b.Abort()
		if strings.Contains(stacks(), "handlerNotifier") {
			left++
		}
	}
	// One that has done all it does may still be seen.
	if left > tries/6 {
		t.Errorf("a handler of events was left in %d of %d tries", left, tries)
	}
}

// A channel that opens after Close was called stays unused.
func TestOpensTooLate(t *testing.T) {
	c, _ := started(t, true, Config{})
	c.startClosing()
	if c.attach(nil) {
		t.Error("it is taken")
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

// A peer that is not heard any more is given up; Send, Read and Close say so.
func TestLost(t *testing.T) {
	var cut atomic.Bool
	cfg := Config{SilenceTimeout: 300 * time.Millisecond, HighWater: 1, Net: losing(t, func([]byte) bool { return cut.Load() })}
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

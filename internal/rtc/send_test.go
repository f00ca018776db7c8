package rtc

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"
)

// A reader that does not read stops the sender: what is on its way is bounded, TrySend says so, and a context ends the
// wait and nothing else. Then all arrives.
func TestBackpressure(t *testing.T) {
	const size = 50_000
	a, b := pair(t, Config{}, Config{})
	sent := 0
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := a.Send(ctx, Binary, pattern(size, sent))
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if sent++; sent*size > 10*minWindow {
			t.Fatal("nothing stops the sender")
		}
	}
	for a.TrySend(Binary, pattern(size, sent)) == nil {
		sent++
	}
	// The receive window, and what the sender keeps.
	if limit := a.cfg.window() + a.cfg.HighWater + 2*size; sent*size > limit {
		t.Errorf("%d bytes were taken, more than %d", sent*size, limit)
	}
	if err := a.TrySend(Binary, nil); err != ErrFull {
		t.Errorf("TrySend: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Send(ctx, Binary, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Send: %v", err)
	}
	for i := range sent {
		wantMessage(t, b, Binary, pattern(size, i))
	}
	if err := a.Send(t.Context(), Binary, nil); err != nil {
		t.Errorf("Send afterwards: %v", err)
	}
	if err := a.TrySend(Text, []byte("x")); err != nil {
		t.Errorf("TrySend afterwards: %v", err)
	}
	wantMessage(t, b, Binary, nil)
	wantMessage(t, b, Text, []byte("x"))
}

// What the peer has not acknowledged is known, also when the connection is over.
func TestBuffered(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	for _, size := range []int{0, 50_000} {
		if err := a.Send(t.Context(), Binary, pattern(size, size)); err != nil {
			t.Fatal(err)
		}
		wantMessage(t, b, Binary, pattern(size, size))
	}
	for late := time.After(10 * time.Second); a.Buffered() > 0; {
		select {
		case <-late:
			t.Fatalf("%d bytes are not acknowledged", a.Buffered())
		case <-time.After(time.Millisecond): // acknowledgements are not told
		}
	}
	for a.TrySend(Binary, pattern(50_000, 1)) == nil {
	}
	a.Abort()
	if n := a.Buffered(); n < a.cfg.HighWater/2 {
		t.Errorf("%d bytes after the end", n)
	}
}

// A peer that takes larger messages holds more of them before it reads.
func TestLargeWindow(t *testing.T) {
	a, b := pair(t, Config{}, Config{MaxMessage: 3 * minWindow})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if a.MaxSend() != maxSend {
		t.Errorf("limit %d", a.MaxSend())
	}
	const size, messages = 60_000, 3 * minWindow / 60_000
	for i := range messages {
		if err := a.Send(ctx, Binary, pattern(size, i)); err != nil {
			t.Fatalf("after %d bytes: %v", i*size, err)
		}
	}
	for i := range messages {
		wantMessage(t, b, Binary, pattern(size, i))
	}
}

// Messages of several goroutines arrive whole, and those of each in its order.
func TestConcurrentSends(t *testing.T) {
	const senders, messages = 8, 100
	a, b := pair(t, Config{HighWater: 100_000}, Config{})
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range messages {
				data := pattern(10_000+s, s)
				binary.BigEndian.PutUint32(data, uint32(i))
				if err := a.Send(t.Context(), Binary, data); err != nil {
					t.Errorf("Send: %v", err)
				}
			}
		})
	}
	next := map[int]int{}
	for range senders * messages {
		_, data, err := b.Read()
		if err != nil {
			t.Fatal(err)
		}
		s := len(data) - 10_000
		if i := int(binary.BigEndian.Uint32(data)); i != next[s] || string(data[4:]) != string(pattern(len(data), s)[4:]) {
			t.Fatalf("message %d of %d came instead of %d, or another's bytes", i, s, next[s])
		}
		next[s]++
	}
	wg.Wait()
}

// A message that the peer does not take is not sent, nor one that is no text.
func TestSendLimits(t *testing.T) {
	a, b := pair(t, Config{}, Config{MaxMessage: 1000})
	if a.MaxSend() != 1000 || b.MaxSend() != maxSend {
		t.Errorf("limits %d and %d", a.MaxSend(), b.MaxSend())
	}
	for _, send := range []func(Kind, []byte) error{
		func(k Kind, data []byte) error { return a.Send(t.Context(), k, data) }, a.TrySend,
	} {
		if err := send(Binary, make([]byte, 1001)); !errors.Is(err, ErrTooBig) {
			t.Errorf("1,001 bytes: %v", err)
		}
		if err := send(Text, []byte("\xff")); err != ErrInvalidText {
			t.Errorf("no text: %v", err)
		}
		if err := send(0, nil); err == nil {
			t.Error("no kind")
		}
		if err := send(Binary, pattern(1000, 1)); err != nil {
			t.Errorf("1,000 bytes: %v", err)
		}
		wantMessage(t, b, Binary, pattern(1000, 1))
	}
}

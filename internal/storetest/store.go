// Package storetest holds the tests that every store of a PeerSox server has to pass, and every counter of guesses.
package storetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshpair/meshpair/peersox"
)

const (
	life = time.Minute
	// short is a life that ends while a test waits.
	short = 200 * time.Millisecond
	// patience is how long something that is due may take.
	patience = 10 * time.Second
)

// hash returns a hash that differs from others by its number.
func hash(n int) string { return strings.Repeat("a", 58) + fmt.Sprintf("%06d", n) }

// Store tests a store, which may hold the remains of other tests with other codes.
func Store(t *testing.T, s peersox.Store) {
	ctx := context.Background()
	check := func(t *testing.T, code, hash string, want bool) {
		t.Helper()
		if got, err := s.CheckPairing(ctx, code, hash); got != want || err != nil {
			t.Errorf("CheckPairing(%s, …%s) = %v, %v; want %v", code, hash[58:], got, err, want)
		}
	}
	add := func(t *testing.T, code, hash string, life time.Duration, want bool) {
		t.Helper()
		if got, err := s.AddPairing(ctx, code, hash, life); got != want || err != nil {
			t.Errorf("AddPairing(%s, …%s) = %v, %v; want %v", code, hash[58:], got, err, want)
		}
	}
	take := func(t *testing.T, code, want string) {
		t.Helper()
		if got, err := s.TakeCode(ctx, code, life); got != want || err != nil {
			t.Errorf("TakeCode(%s) = %q, %v; want %q", code, got, err, want)
		}
	}

	t.Run("pairing", func(t *testing.T) { // PSX-5, PSX-6
		add(t, "000001", hash(1), life, true)
		check(t, "000001", hash(1), true)
		check(t, "000002", hash(1), false)
		check(t, "000001", hash(2), false)
		check(t, "", hash(2), false)
		take(t, "000001", hash(1))
		take(t, "000001", "")
		check(t, "000001", hash(1), true)
	})
	t.Run("in use", func(t *testing.T) { // PSX-1
		add(t, "000003", hash(3), life, true)
		add(t, "000003", hash(4), life, false)
		add(t, "000004", hash(3), life, false)
		take(t, "000004", "")
		check(t, "000003", hash(4), false)
		take(t, "000003", hash(3))
	})
	t.Run("expiry", func(t *testing.T) { // PSX-2
		// First, as what is waited for is the pairing.
		if err := s.AddToken(ctx, hash(5), short); err != nil {
			t.Fatal(err)
		}
		add(t, "000005", hash(5), short, true)
		add(t, "000006", hash(6), short, true)
		take(t, "000006", hash(6)) // this one lives on
		eventually(t, "the pairing expires", func() bool {
			ok, err := s.CheckPairing(ctx, "000005", hash(5))
			return !ok && err == nil
		})
		take(t, "000005", "")
		check(t, "000006", hash(6), true)
		if ok, err := s.TakeToken(ctx, hash(5)); ok || err != nil {
			t.Errorf("a token is taken after its life: %v", err)
		}
		add(t, "000005", hash(7), life, true) // the code is free again
	})
	t.Run("token once", func(t *testing.T) { // PSX-8
		if err := s.AddToken(ctx, hash(8), life); err != nil {
			t.Fatal(err)
		}
		once(t, func() bool {
			ok, err := s.TakeToken(ctx, hash(8))
			return ok && err == nil
		})
	})
	t.Run("code once", func(t *testing.T) { // PSX-5
		add(t, "000009", hash(9), life, true)
		once(t, func() bool {
			got, err := s.TakeCode(ctx, "000009", life)
			return got == hash(9) && err == nil
		})
	})
	t.Run("kinds apart", func(t *testing.T) { // PSX-8
		add(t, "000010", hash(10), life, true)
		if ok, err := s.TakeToken(ctx, hash(10)); ok || err != nil {
			t.Errorf("a hash counts as a token: %v", err)
		}
	})
}

// Makes tests counters that count together what is made for addresses, and that no other test uses.
func Makes(t *testing.T, counters ...peersox.Counter) {
	ctx := context.Background()
	made := func(kind, addr string, window time.Duration) int {
		var n atomic.Int32
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				wait, err := counters[i%len(counters)].Make(ctx, kind, addr, 7, window)
				if err != nil || wait < 0 || wait > window {
					t.Errorf("%s for %s: wait %v, %v", kind, addr, wait, err)
				}
				if wait == 0 {
					n.Add(1)
				}
			})
		}
		wg.Wait()
		return int(n.Load())
	}
	for _, what := range [][2]string{{"codes", "one"}, {"codes", "two"}, {"tokens", "one"}} { // PSX-44
		if n := made(what[0], what[1], life); n != 7 {
			t.Errorf("%d %s are made for %s, want 7", n, what[0], what[1])
		}
	}
	if n := made("codes", "one", life); n != 0 {
		t.Errorf("%d more codes are made", n)
	}
	made("short", "one", short)
	eventually(t, "the window is over", func() bool {
		wait, err := counters[0].Make(ctx, "short", "one", 7, short)
		return wait == 0 && err == nil
	})
}

// Guesses tests counters of guesses that count together, and that no other test uses.
func Guesses(t *testing.T, counters ...peersox.Counter) {
	g := counters[0]
	ctx := context.Background()
	limits := peersox.GuessLimits{Free: 3, Wait: time.Minute, MaxWait: 3 * time.Minute, Forget: time.Hour, Total: 10}
	attempt := func(addr string) peersox.Attempt {
		t.Helper()
		a, err := g.Attempt(ctx, addr, limits, life)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for range 4 { // PSX-40
		if a := attempt("one"); a.Wait != 0 {
			t.Fatalf("a free attempt has to wait %v", a.Wait)
		}
	}
	if a := attempt("one"); a.Wait < 50*time.Second || a.Wait > time.Minute {
		t.Errorf("the wait after the free attempts is %v, want a minute", a.Wait)
	}
	// Another address notices nothing, and a right code does not count.
	for range 20 {
		a := attempt("two")
		if a.Wait != 0 {
			t.Fatalf("another address has to wait %v", a.Wait)
		}
		if err := g.Right(ctx, "two", a); err != nil {
			t.Fatal(err)
		}
	}
	var allowed atomic.Int32 // of the 6 that are left of 10: PSX-41
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			a, err := counters[i%len(counters)].Attempt(ctx, fmt.Sprint("address ", i), limits, life)
			if a.Wait == 0 && err == nil {
				allowed.Add(1)
			} else if err != nil || a.Wait > life {
				t.Errorf("wait %v, %v", a.Wait, err)
			}
		})
	}
	wg.Wait()
	if allowed.Load() != 6 {
		t.Errorf("%d attempts of all addresses were allowed, want 6 more", allowed.Load())
	}
}

// once calls f 100 times at once; one call is to succeed.
func once(t *testing.T, f func() bool) {
	t.Helper()
	var succeeded atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if f() {
				succeeded.Add(1)
			}
		})
	}
	wg.Wait()
	if succeeded.Load() != 1 {
		t.Errorf("%d of 100 uses at once succeed, want 1", succeeded.Load())
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !f(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

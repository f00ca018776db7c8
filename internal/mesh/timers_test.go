package mesh

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestTimersFireInOrder: by time, and in the order of their setting for one time; those stopped do not.
func TestTimersFireInOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		var s timers
		var fired, want []string
		type set struct {
			at   time.Duration
			name string
		}
		var all []set
		for i := range 50 {
			at := time.Duration(r.IntN(20))
			name := fmt.Sprint(at, " ", i)
			timer := s.add(at, func() { fired = append(fired, name) })
			if r.IntN(3) == 0 {
				timer.stop()
				timer.stop()
			} else {
				all = append(all, set{at, name})
			}
		}
		slices.SortStableFunc(all, func(a, b set) int { return int(a.at - b.at) })
		for _, a := range all {
			want = append(want, a.name)
		}
		for now := range time.Duration(20) {
			if at, ok := s.next(); ok && at < now {
				t.Fatalf("%v at %v is overdue", at, now)
			}
			for x := s.due(now); x != nil; x = s.due(now) {
				if x.at != now {
					t.Fatalf("fires at %v instead of %v", now, x.at)
				}
				x.fire()
				x.stop()
			}
		}
		if !slices.Equal(fired, want) || s.Len() != 0 {
			t.Fatalf("fired %q, want %q", fired, want)
		}
		if _, ok := s.next(); ok {
			t.Fatal("there is a next one")
		}
	}
	var none *timer
	none.stop()
}

// TestLateTick: timers that are due long since fire one after the other, each as if in time.
func TestLateTick(t *testing.T) {
	r := newRig(t, Config{}).dialing()
	r.now = 60 * time.Second
	r.step(Tick{})
	if at, _ := r.core.Next(); r.core.now != r.now || at <= r.now {
		t.Errorf("now %v, next %v", r.core.now, at)
	}
	joins := 0
	for _, line := range r.log {
		if line[:4] == "dial" {
			joins++
		}
	}
	if joins < 2 { // 10 s, 1.5 to 3 s, 10 s, 3 to 6 s, 10 s …
		t.Errorf("%q", r.log)
	}
	r.now = 50 * time.Second // a clock that goes back is none
	r.step(Tick{})
	if r.core.now != 60*time.Second {
		t.Errorf("now %v", r.core.now)
	}
}

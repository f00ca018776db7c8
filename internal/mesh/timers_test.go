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

// TestLateTick: timers that are due long since fire once, as of now: who was held up does not take that for the silence
// of others.
func TestLateTick(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.skip()
	r.now += time.Minute
	r.step(Tick{})
	if at, _ := r.core.Next(); r.core.now != r.now || at <= r.now {
		t.Errorf("now %v, next %v", r.core.now, at)
	}
	if got := r.core.Neighbors(); len(got) != 1 || r.core.channels[l].missed != 1 || r.core.sig.missed != 1 {
		t.Errorf("neighbors %v, %q", got, r.log)
	}
	now := r.core.now
	r.now -= 10 * time.Second // a clock that goes back is none
	r.step(Tick{})
	if r.core.now != now {
		t.Errorf("now %v", r.core.now)
	}
}

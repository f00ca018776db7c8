package netflux_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/meshpair/meshpair/netflux"
)

// TestSplitGroupHeals cuts a group in two, and heals the network: its members know each other again within 10 s, are who
// they were, and have been JOINED all the while; nothing is delivered twice, and what is sent then arrives (SIG-51,
// STA-20, EXT-3).
func TestSplitGroupHeals(t *testing.T) {
	for _, cut := range []time.Duration{30 * time.Second, time.Minute} {
		for _, parts := range [][2]int{{3, 3}, {2, 5}} {
			t.Run(fmt.Sprint(cut, parts), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) { splitAndHeal(t, w, parts[0], parts[0]+parts[1], cut) })
			})
		}
	}
}

func splitAndHeal(t *testing.T, w *world, first, n int, cut time.Duration) {
	all := w.group(n, netflux.Config{})
	ids := make([]uint32, n)
	for i, p := range all {
		ids[i] = p.ID()
	}
	last := make([]map[uint32]int, n) // of each member, by the sender; owned by its callback until all have left
	for i, p := range all {
		last[i] = make(map[uint32]int)
		p.take(func(m netflux.Message) {
			k, err := strconv.Atoi(string(m.Data))
			if err != nil || k <= last[i][m.From] {
				t.Errorf("member %d got %q of %d after %d", i, m.Data, m.From, last[i][m.From])
			}
			last[i][m.From] = k
		})
	}
	sent := 0
	talk := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(250 * time.Millisecond) {
			sent++
			for _, p := range all {
				if err := p.Send(t.Context(), netflux.Text, strconv.AppendInt(nil, int64(sent), 10)); err != nil {
					t.Error(err)
				}
			}
		}
	}
	talk(time.Second)
	across := func(f func(a *peer, b uint32)) {
		for i, p := range all {
			for j, id := range ids {
				if (i < first) != (j < first) {
					f(p, id)
				}
			}
		}
	}
	across(func(a *peer, b uint32) {
		if err := a.Block(b); err != nil {
			t.Error(err)
		}
	})
	talk(cut)
	for i, p := range all {
		want := first
		if i >= first {
			want = n - first
		}
		if m := p.Members(); len(m) != want {
			t.Errorf("member %d knows %d members", i, len(m))
		}
	}
	across(func(a *peer, b uint32) { a.Unblock(b) })
	begin := time.Now()
	w.full(all, 10*time.Second)
	t.Logf("one group after %v", time.Since(begin))
	talk(30 * time.Second)
	time.Sleep(time.Second) // of virtual time: for the last ones to arrive
	w.full(all, 0)
	for i, p := range all {
		if p.ID() != ids[i] {
			t.Errorf("member %d has another id", i)
		}
		events := p.wait("events", func([]netflux.Event) bool { return true })
		if got := states(events); !slices.Equal(got, []string{"JOINING", "JOINED"}) {
			t.Errorf("member %d: %v", i, got)
		}
		for j, id := range ids {
			if i != j && last[i][id] != sent {
				t.Errorf("member %d got up to %d of %d of member %d", i, last[i][id], sent, j)
			}
		}
	}
}

package netflux_test

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/meshpair/meshpair/netflux"
)

// TestBrokenChannels has one of ten members say something to all a hundred times a second, while a channel of its breaks,
// and another one falls silent: nothing is lost, doubled or out of order, and nobody seems to leave (EXT-4 to EXT-10).
func TestBrokenChannels(t *testing.T) {
	t.Parallel()
	type arrival struct {
		n    uint64
		late time.Duration
	}
	url := startSignaling(t)
	all := make([]*peer, 10)
	heard := make([][]arrival, len(all))
	begin := time.Now()
	for i := range all {
		all[i] = newPeer(t, netflux.Config{SignalingURL: url})
		all[i].hold = func(e netflux.Event) {
			if m, ok := e.(netflux.Message); ok && len(m.Data) == 16 {
				sent := time.Duration(binary.BigEndian.Uint64(m.Data[8:]))
				all[i].mu.Lock()
				heard[i] = append(heard[i], arrival{binary.BigEndian.Uint64(m.Data), time.Since(begin) - sent})
				all[i].mu.Unlock()
			}
		}
		all[i].join("key")
		for _, p := range all[:i] {
			p.wait("joining", func(e []netflux.Event) bool { return told(e, netflux.MemberJoined{ID: all[i].ID()}) })
		}
	}
	const count = 600
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for n := range uint64(count) {
		<-pace.C
		switch n {
		case 100:
			if err := all[0].Drop(all[3].ID()); err != nil {
				t.Error(err)
			}
		case 200:
			if err := all[0].Blackhole(all[5].ID()); err != nil {
				t.Error(err)
			}
		}
		b := binary.BigEndian.AppendUint64(nil, n)
		b = binary.BigEndian.AppendUint64(b, uint64(time.Since(begin)))
		if err := all[0].Send(t.Context(), netflux.Binary, b); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range all[1:] {
		events := p.wait("all messages", func(e []netflux.Event) bool { return len(messages(e)) >= count })
		var got []arrival
		for end := time.Now().Add(10 * time.Second); len(got) < count && time.Now().Before(end); time.Sleep(time.Millisecond) {
			p.mu.Lock() // an event is noted before it is looked at
			got = slices.Clone(heard[i+1])
			p.mu.Unlock()
		}
		if len(got) != count || !slices.IsSortedFunc(got, func(a, b arrival) int { return int(a.n) - int(b.n) }) {
			t.Errorf("member %d got %d messages, or not in order", i+1, len(got))
		}
		if slices.ContainsFunc(events, func(e netflux.Event) bool { _, left := e.(netflux.MemberLeft); return left }) {
			t.Errorf("member %d: somebody seemed to leave: %s", i+1, brief(events))
		}
		slices.SortFunc(got, func(a, b arrival) int { return int(a.late - b.late) })
		if i+1 == 3 || i+1 == 5 {
			t.Logf("member %d: half within %v, 99%% within %v, all within %v", i+1, got[len(got)/2].late, got[len(got)*99/100].late, got[len(got)-1].late)
		}
	}
}

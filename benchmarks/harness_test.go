//go:build unix

package benchmarks

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// TestForwarded checks that both servers do what is measured: what one peer of a
// pair sends reaches the other, unchanged.
func TestForwarded(t *testing.T) {
	for kind, server := range startBoth(t) {
		for _, size := range sizes {
			t.Run(fmt.Sprintf("%s/%dB", kind, size), func(t *testing.T) {
				p, err := server.join(peerBuffer)
				if err != nil {
					t.Fatal(err)
				}
				defer p.drop()
				ways, err := p.ways(kind, size)
				if err != nil {
					t.Fatal(err)
				}
				for i, w := range ways {
					checkForwarded(t, kind, w, i == 0)
				}
			})
		}
	}
}

func checkForwarded(t *testing.T, kind string, w way, toMember bool) {
	t.Helper()
	if _, err := w.from.Write(frame(opBinary, w.message)); err != nil {
		t.Fatal(err)
	}
	got, err := w.to.next()
	if err != nil {
		t.Fatal(err)
	}
	want := w.message
	if kind == ours && toMember {
		// The server fills in who it is from: 08 s 10 00 22 … instead of 08 00 10 00 22 ….
		if id, err := sender(got); err != nil || id == 0 {
			t.Fatalf("content from %d, %v", id, err)
		}
		want = want[bytes.Index(want, []byte{0x10, 0, 0x22}):]
		got = got[max(0, len(got)-len(want)):]
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes came as %d others", len(want), len(got))
	}
}

// testRound is long enough to see that something passes.
const testRound = 20 * time.Millisecond

// TestRounds runs each kind of round once, small, and checks that its figures
// can be true.
func TestRounds(t *testing.T) {
	for kind, server := range startBoth(t) {
		for name, round := range map[string]func() (sample, error){
			"PingPong": func() (sample, error) { return pingPong(server, sizes[0], testRound) },
			"Stream":   func() (sample, error) { return stream(server, sizes[len(sizes)-1], testRound) },
			"Join":     func() (sample, error) { return joins(server, 2*joinWorkers) },
			"Idle":     func() (sample, error) { return idle(kind, 100, t.Name()) },
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				s, err := round()
				if err != nil {
					t.Fatal(err)
				}
				for unit, value := range s {
					// RSS may not be known, nor grow by so little.
					if value <= 0 && unit != "rss-bytes/idle-conn" {
						t.Errorf("%v %s", value, unit)
					}
				}
			})
		}
	}
}

// TestStats checks that a server counts its connections and its processor time.
func TestStats(t *testing.T) {
	for kind, server := range startBoth(t) {
		t.Run(kind, func(t *testing.T) {
			p, err := server.join(peerBuffer)
			if err != nil {
				t.Fatal(err)
			}
			defer p.drop()
			s, err := server.ask(cmdClean)
			if err != nil {
				t.Fatal(err)
			}
			if s.CPU <= 0 || s.Mallocs == 0 || s.Heap == 0 || s.Stacks == 0 || s.Conns != 2 {
				t.Errorf("figures with one pair: %+v", s)
			}
			p.drop()
			if _, err := server.settle(0); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 9, 2}, 3},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median is %v instead of %v", got, c.want)
		}
	}
}

//go:build unix

package benchmarks

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var sizes = []int{100, 1 << 10, 8 << 10} // bytes of a content's data

const (
	streamPairs  = 8
	streamWindow = 32       // messages in flight in each direction of a pair
	peerBuffer   = 64 << 10 // bytes; several of the largest messages
)

// BenchmarkPingPong measures one pair whose peers answer each other: the delay
// of a message, and its cost to a server that has nothing else to do.
func BenchmarkPingPong(b *testing.B) {
	figures := []figure{{"us-p50/trip", "latency-ratio"}, {"ns-cpu/msg", "cpu-ratio"}, {"allocs/msg", ""}}
	benchmarkSizes(b, figures, pingPong)
}

// BenchmarkStream measures pairs with many messages in flight in both
// directions: the cost of a message to a server that is busy.
func BenchmarkStream(b *testing.B) {
	figures := []figure{{"ns-cpu/msg", "cpu-ratio"}, {"msg/s", "throughput-ratio"}, {"allocs/msg", ""}}
	benchmarkSizes(b, figures, stream)
}

func benchmarkSizes(b *testing.B, figures []figure, measure func(*target, int, time.Duration) (sample, error)) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			targets := startBoth(b)
			for kind, t := range targets {
				// The first round of a process pays for what later ones find in place.
				if _, err := measure(t, size, *roundTime/4); err != nil {
					b.Fatalf("%s: %v", kind, err)
				}
			}
			compare(b, both, figures, func(kind string) (sample, error) {
				return measure(targets[kind], size, *roundTime)
			})
		})
	}
}

// pingPong is a round on one pair.
func pingPong(t *target, size int, d time.Duration) (sample, error) {
	p, ways, err := t.open(size)
	if err != nil {
		return nil, err
	}
	defer p.drop()
	frames := [2][]byte{frame(opBinary, ways[0].message), frame(opBinary, ways[1].message)}
	before, err := t.ask(cmdStats)
	if err != nil {
		return nil, err
	}
	var trips []time.Duration
	for start, last := time.Now(), time.Duration(0); last < d; {
		for i, w := range ways {
			if _, err := w.from.Write(frames[i]); err != nil {
				return nil, err
			}
			if _, err := w.to.next(); err != nil {
				return nil, err
			}
		}
		now := time.Since(start)
		trips = append(trips, now-last)
		last = now
	}
	after, err := t.ask(cmdStats)
	if err != nil {
		return nil, err
	}
	slices.Sort(trips)
	s := costs(before, after, 2*len(trips))
	s["us-p50/trip"] = float64(trips[len(trips)/2]) / float64(time.Microsecond)
	return s, nil
}

// open opens a pair and both its directions.
func (t *target) open(size int) (*pair, [2]way, error) {
	join := t.join
	if t.kind == peersoxKind || t.kind == npmKind {
		join = t.meet
	}
	p, err := join(peerBuffer)
	if err != nil {
		return nil, [2]way{}, err
	}
	var ways [2]way
	if t.plain {
		data := bytes.Repeat([]byte{'x'}, size)
		ways = [2]way{{p.joiner, p.member, data}, {p.member, p.joiner, data}}
	} else if ways, err = p.ways(t.kind, size); err != nil {
		p.drop()
	}
	return p, ways, err
}

// costs is what each of n messages cost the server.
func costs(before, after childStats, n int) sample {
	return sample{
		"ns-cpu/msg": float64(after.CPU-before.CPU) / float64(n),
		"allocs/msg": float64(after.Mallocs-before.Mallocs) / float64(n),
	}
}

// stream is a round on several pairs.
func stream(t *target, size int, d time.Duration) (sample, error) {
	var flows []*flow
	var stop atomic.Bool
	for range streamPairs {
		p, ways, err := t.open(size)
		if err != nil {
			return nil, err
		}
		defer p.drop()
		for _, w := range ways {
			flows = append(flows, newFlow(w, &stop))
		}
	}
	before, err := t.ask(cmdStats)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	defer time.AfterFunc(d, func() { stop.Store(true) }).Stop()
	var wg sync.WaitGroup
	for _, f := range flows {
		wg.Go(f.receive)
		wg.Go(f.send)
	}
	wg.Wait()
	took := time.Since(start)
	after, err := t.ask(cmdStats)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, f := range flows {
		if f.err != nil {
			return nil, f.err
		}
		n += f.received
	}
	s := costs(before, after, n)
	s["msg/s"] = float64(n) / took.Seconds()
	return s, nil
}

// A flow is a stream in one direction of a pair. What has arrived is sent anew,
// so that the window stays full; several at once, to keep the generator cheap.
type flow struct {
	way
	frames []byte   // as many as the window holds
	due    chan int // how many to send next
	stop   *atomic.Bool

	received int
	err      error
}

func newFlow(w way, stop *atomic.Bool) *flow {
	f := &flow{
		way:    w,
		frames: bytes.Repeat(frame(opBinary, w.message), streamWindow),
		due:    make(chan int, streamWindow), // never full: what is due is in the window
		stop:   stop,
	}
	f.due <- streamWindow
	return f
}

// receive ends when all that was sent has come, after the stop.
func (f *flow) receive() {
	defer close(f.due)
	for sent := streamWindow; f.received < sent; {
		n, err := f.to.some()
		if err != nil {
			f.err = err
			f.from.Close() // for send
			return
		}
		f.received += n
		if !f.stop.Load() {
			f.due <- n
			sent += n
		}
	}
}

// send writes apart from receive, as two peers that both wait for the other to
// read could wait for ever.
func (f *flow) send() {
	one := len(f.frames) / streamWindow
	for n := range f.due {
		if _, err := f.from.Write(f.frames[:n*one]); err != nil {
			f.to.Close() // for receive, which tells
			return
		}
	}
}

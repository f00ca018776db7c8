package netflux_test

import (
	"fmt"
	"sync"
	"time"

	"github.com/meshpair/meshpair/netflux"
)

// A flow is what members send all the time: numbered messages, to all.
type flow struct {
	peer []*peer
	stop chan struct{}
	done sync.WaitGroup

	mu   sync.Mutex
	sent map[uint32]int    // by sender
	got  map[[2]uint32]int // by sender and receiver; one after the other, or it is an error
}

// startFlow has each member send a message every interval. Each has to come in its turn.
func startFlow(all []*peer, interval time.Duration) *flow {
	f := &flow{peer: all, stop: make(chan struct{}), sent: make(map[uint32]int), got: make(map[[2]uint32]int)}
	for _, p := range all {
		id := p.ID()
		p.take(func(m netflux.Message) { f.take(p, id, m) })
		f.done.Go(func() {
			for {
				select {
				case <-f.stop:
					return
				case <-time.After(interval):
				}
				f.mu.Lock()
				f.sent[id]++
				n := f.sent[id]
				f.mu.Unlock()
				if err := p.Send(p.t.Context(), netflux.Text, fmt.Append(nil, n)); err != nil {
					p.t.Errorf("%d cannot send: %v", id, err)
					return
				}
			}
		})
	}
	return f
}

func (f *flow) take(p *peer, id uint32, m netflux.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got[[2]uint32{m.From, id}]++
	if want := fmt.Sprint(f.got[[2]uint32{m.From, id}]); string(m.Data) != want {
		p.t.Errorf("%d got message %s of %d instead of %s", id, m.Data, m.From, want)
	}
}

// end stops the flow, waits until everything has arrived, and returns how many messages there were.
func (f *flow) end() (n int) {
	close(f.stop)
	f.done.Wait()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		missing := f.missing()
		if missing == 0 {
			break
		}
		if time.Now().After(end) {
			f.peer[0].t.Errorf("%d messages are missing", missing)
			break
		}
	}
	for _, p := range f.peer {
		p.take(nil)
	}
	for _, s := range f.sent {
		n += s
	}
	return n
}

func (f *flow) missing() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for from, s := range f.sent {
		n += s * (len(f.peer) - 1)
		for key, got := range f.got {
			if key[0] == from {
				n -= got
			}
		}
	}
	return n
}

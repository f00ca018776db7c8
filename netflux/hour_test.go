package netflux_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/meshpair/meshpair/netflux"
)

// An office is a group with a busy hour: some come and go, and all send.
type office struct {
	t    *testing.T
	all  []*peer
	rand *rand.Rand

	sent [][]byte // all payloads

	mu           sync.Mutex
	got, relayed int // arrivals, and those at the second member from the first
}

// payload returns random bytes, or random text of letters that have two bytes each, in a size that is often small.
func (o *office) payload() (netflux.Kind, []byte) {
	size := 32 + o.rand.IntN(500)
	if o.rand.IntN(50) == 0 {
		size = 20_000 // in chunks
	}
	b := make([]byte, size)
	kind := netflux.Binary
	for i := range b {
		b[i] = byte(o.rand.Uint32())
	}
	if o.rand.IntN(2) == 0 {
		kind = netflux.Text
		for i := range b {
			b[i] = '0' + b[i]&0x3f
		}
	}
	o.sent = append(o.sent, b)
	return kind, b
}

// send has a member send to all, or to another one.
func (o *office) send(from int) {
	kind, b := o.payload()
	p := o.all[from]
	var err error
	if members := p.Members(); o.rand.IntN(2) == 0 && len(members) > 1 {
		err = p.SendTo(o.t.Context(), members[1+o.rand.IntN(len(members)-1)], kind, b)
	} else {
		err = p.Send(o.t.Context(), kind, b)
	}
	if err != nil && !errors.Is(err, netflux.ErrNotInGroup) {
		o.t.Errorf("member %d: %v", from, err)
	}
}

// TestNothingThroughSignaling keeps every byte that passes the signaling server in an hour: of nothing that members send
// to each other are any 16 bytes in a row among them, not even where two members reach each other only through others
// (MSH-15 to MSH-19, and what README promises).
func TestNothingThroughSignaling(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		passed := new(tap)
		w.Tap(signalingAddr, passed.conn)
		o := &office{t: t, all: w.group(8, netflux.Config{}), rand: rand.New(rand.NewPCG(8, 3600))}
		a, b := o.all[0], o.all[1]
		first := a.ID()
		for i, p := range o.all {
			p.take(func(m netflux.Message) {
				o.mu.Lock()
				defer o.mu.Unlock()
				o.got++
				if i == 1 && m.From == first {
					o.relayed++
				}
			})
		}
		// The first two stay, and have no channel.
		if err := a.Block(b.ID()); err != nil {
			t.Fatal(err)
		}
		away := make(map[int]time.Time) // who is not there, until when
		joins := 0
		for end := time.Now().Add(time.Hour); time.Now().Before(end); time.Sleep(5 * time.Second) {
			for i, p := range o.all {
				until, isAway := away[i]
				switch {
				case isAway && time.Now().After(until):
					p.join("key")
					delete(away, i)
					joins++
				case !isAway && i > 2 && o.rand.IntN(100) == 0:
					if err := p.Leave(context.Background()); err != nil {
						t.Error(err)
					}
					away[i] = time.Now().Add(time.Duration(o.rand.IntN(60)) * time.Second)
				case !isAway && o.rand.IntN(3) == 0:
					o.send(i)
				}
			}
			if slices.Contains(a.Neighbors(), b.ID()) {
				t.Fatal("two that are blocked have a channel")
			}
		}
		time.Sleep(time.Second)
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.sent) < 1000 || o.got < 5000 || o.relayed < 100 || joins < 10 {
			t.Errorf("%d messages were sent and came %d times, %d through others; %d joined again", len(o.sent), o.got, o.relayed, joins)
		}
		o.search(passed)
	})
}

// search looks for what was sent in what has passed.
func (o *office) search(passed *tap) {
	found, err := passed.patterns()
	if err != nil {
		o.t.Fatal(err)
	}
	// The search finds what does pass: what the ends of a data channel tell each other.
	if _, ok := found[pattern([]byte("candidate of des"))]; !ok {
		o.t.Error("there are no candidates in what has passed")
	}
	bad := 0
	for _, b := range o.sent {
		patterns(b, func(p pattern) {
			if _, ok := found[p]; ok {
				bad++
			}
		})
	}
	if bad > 0 {
		o.t.Errorf("%d times 16 bytes of a message have passed the signaling server", bad)
	}
	o.t.Logf("%d messages, %d arrivals; %d patterns passed the signaling server", len(o.sent), o.got, len(found))
}

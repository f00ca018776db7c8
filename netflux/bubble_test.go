package netflux_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshpair/meshpair/netflux"
	"github.com/meshpair/meshpair/sigver"
)

// A world is a network in memory and a signaling server in it, in a bubble of virtual time.
type world struct {
	*netflux.MemNet
	t      *testing.T
	server *sigver.Server
	served chan error
}

// signalingAddr is where the signaling server of a world is.
const signalingAddr = "127.0.0.1:8000"

// inWorld runs a test in a bubble. That it ends proves that no goroutine is left.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{MemNet: netflux.NewMemNet(), t: t}
		w.startServer()
		t.Cleanup(func() {
			if w.server != nil {
				w.stopServer()
			}
		})
		f(t, w)
	})
}

func (w *world) startServer() {
	w.t.Helper()
	l, err := w.Listen(signalingAddr)
	if err != nil {
		w.t.Fatal(err)
	}
	s, served := sigver.New(sigver.Config{Logger: slog.New(slog.DiscardHandler)}), make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	w.server, w.served = s, served
}

// stopServer ends the server as a machine that fails does, without a goodbye.
func (w *world) stopServer() {
	w.t.Helper()
	w.CutConns(signalingAddr)
	if err := w.server.Shutdown(context.Background()); err != nil {
		w.t.Error(err)
	}
	if err := <-w.served; !errors.Is(err, http.ErrServerClosed) {
		w.t.Errorf("Serve: %v", err)
	}
	w.server = nil
}

func (w *world) config(cfg netflux.Config) netflux.Config {
	cfg.SignalingURL = "ws://" + signalingAddr
	return netflux.WithMemNet(cfg, w.MemNet)
}

// peer adds a peer that has not joined.
func (w *world) peer(cfg netflux.Config) *peer {
	w.t.Helper()
	return newPeer(w.t, w.config(cfg))
}

// group has n members join one after the other.
func (w *world) group(n int, cfg netflux.Config) []*peer {
	w.t.Helper()
	all := make([]*peer, n)
	for i := range all {
		all[i] = w.peer(cfg)
		all[i].join("key")
	}
	w.full(all, time.Minute)
	return all
}

// full waits until all members know each other and have channels to each other.
func (w *world) full(all []*peer, limit time.Duration) {
	w.t.Helper()
	w.agree(all, limit, func(*peer) int { return len(all) - 1 })
}

// agree waits until all members know each other, and each has as many neighbors as it should.
func (w *world) agree(all []*peer, limit time.Duration, neighbors func(*peer) int) {
	w.t.Helper()
	var want []uint32
	for _, p := range all {
		want = append(want, p.ID())
	}
	slices.Sort(want)
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) { // of virtual time
		i := slices.IndexFunc(all, func(p *peer) bool {
			got := p.Members()
			slices.Sort(got)
			return !slices.Equal(got, want) || len(p.Neighbors()) != neighbors(p)
		})
		if i < 0 {
			return
		}
		if time.Now().After(end) {
			p := all[i]
			w.t.Fatalf("after %v member %d of %d is %v, knows %d and has %d neighbors; %.3000s", limit, i, len(all), p.State(),
				len(p.Members()), len(p.Neighbors()), brief(p.events))
		}
	}
}

// A scripted message is one that is sent to a member, or to all.
type scripted struct {
	to   int // -1: all
	kind netflux.Kind
	data []byte
}

// script returns what a member of a group of n sends: each size as text and as bytes, to all and to one.
func script(seed uint64, n, from int, sizes []int) []scripted {
	r := rand.New(rand.NewPCG(seed, uint64(from)))
	var all []scripted
	for _, size := range sizes {
		for _, to := range []int{-1, (from + 1 + r.IntN(n-1)) % n} {
			text := make([]byte, size)
			for i := range text {
				text[i] = ' ' + byte(r.Uint32()%95)
			}
			data := make([]byte, size)
			for i := range data {
				data[i] = byte(r.Uint32())
			}
			all = append(all, scripted{to, netflux.Text, text}, scripted{to, netflux.Binary, data})
		}
	}
	return all
}

// talk has all members send at once, and checks that each message arrives once and in order.
func (w *world) talk(all []*peer, scripts [][]scripted) {
	w.t.Helper()
	index := make(map[uint32]int)
	for i, p := range all {
		index[p.ID()] = i
	}
	var done sync.WaitGroup
	checked := make([]chan struct{}, len(all))
	for me, p := range all {
		missing := 0
		want := make([][]scripted, len(all)) // by sender
		for from, s := range scripts {
			for _, m := range s {
				if from != me && (m.to == me || m.to < 0) {
					want[from] = append(want[from], m)
					missing++
				}
			}
		}
		checked[me] = make(chan struct{})
		p.take(func(m netflux.Message) {
			from := index[m.From]
			if len(want[from]) == 0 {
				w.t.Errorf("%d got %d bytes too many of %d", me, len(m.Data), from)
				return
			}
			next := want[from][0]
			if m.Kind != next.kind || m.Private != (next.to >= 0) || !bytes.Equal(m.Data, next.data) {
				w.t.Errorf("%d got %d bytes of %v from %d, private: %v; sent were %d of %v to %d",
					me, len(m.Data), m.Kind, from, m.Private, len(next.data), next.kind, next.to)
			}
			want[from] = want[from][1:]
			if missing--; missing == 0 {
				close(checked[me])
			}
		})
		done.Go(func() {
			for _, m := range scripts[me] {
				var err error
				if m.to < 0 {
					err = p.Send(w.t.Context(), m.kind, m.data)
				} else {
					err = p.SendTo(w.t.Context(), all[m.to].ID(), m.kind, m.data)
				}
				if err != nil {
					w.t.Errorf("%d sends %d bytes: %v", me, len(m.data), err)
				}
			}
		})
	}
	done.Wait()
	for me, c := range checked {
		select {
		case <-c:
		case <-time.After(time.Minute):
			w.t.Errorf("member %d did not get everything", me)
		}
	}
	time.Sleep(time.Second) // of virtual time: what comes twice comes now
	for _, p := range all {
		p.take(nil)
	}
}

// TestBigGroups has groups form in memory, at once and one by one, and all of their members talk: they agree on who is
// there, and each message arrives once, whole and in order (MSH-4 to MSH-8, MSH-15, MSH-16, MSG-1 to MSG-4, MSG-6).
func TestBigGroups(t *testing.T) {
	for _, n := range []int{5, 20, 50} {
		for _, atOnce := range []bool{true, false} {
			name := "one by one"
			if atOnce {
				name = "at once"
			}
			t.Run(fmt.Sprint(n, " ", name), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					var all []*peer
					if atOnce {
						all = w.atOnce(n)
					} else {
						all = w.group(n, netflux.Config{})
					}
					for _, p := range all {
						if p.State() != netflux.Joined || p.GroupID() != all[0].GroupID() {
							t.Errorf("%d is %v, in group %d", p.ID(), p.State(), p.GroupID())
						}
					}
					scripts := make([][]scripted, n)
					for i := range scripts {
						sizes := []int{0, 1}
						if i < 100/n { // with the race detector much data takes much time
							sizes = append(sizes, 15_000, 15_001)
						}
						scripts[i] = script(uint64(n), n, i, sizes)
					}
					long := script(uint64(n), n, 0, []int{1 << 20})
					switch {
					case n > 20 && atOnce:
						long = long[2:] // to one alone
					case n > 20:
						long = long[1:3]
					}
					scripts[0] = append(scripts[0], long...)
					w.talk(all, scripts)
					for _, p := range all {
						if lost := losses(p); lost != nil {
							t.Errorf("%d: %v", p.ID(), lost)
						}
					}
				})
			})
		}
	}
}

// TestListenersInBubble has members of which every second listens join at once, and then some more: they connect to each
// other by WebSockets where they can, and all talk (BLD-12 to BLD-14, CHN-9, CHN-10).
func TestListenersInBubble(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const n = 12
		var all []*peer
		var joined sync.WaitGroup
		for i := range n {
			var cfg netflux.Config
			if i%2 == 0 {
				cfg.Listen = fmt.Sprint("127.0.0.1:", 9000+i)
			}
			p := w.peer(cfg)
			all = append(all, p)
			if i < n/2 {
				joined.Go(func() {
					if err := p.Join(t.Context(), "key"); err != nil {
						t.Error(err)
					}
				})
			} else {
				joined.Wait()
				p.join("key")
			}
		}
		w.full(all, time.Minute)
		dialed := 0
		for i := range n {
			dialed += len(w.Dials(fmt.Sprint("127.0.0.1:", 9000+i)))
		}
		if pairs := n/2*(n/2) + n/2*(n/2-1)/2; dialed < pairs { // of which one listens
			t.Errorf("%d WebSockets were dialed, of %d pairs that can have one", dialed, pairs)
		}
		scripts := make([][]scripted, n)
		for i := range scripts {
			sizes := []int{0, 1}
			if i < 2 { // one listens, one does not
				sizes = append(sizes, 15_000, 15_001, 100_000)
			}
			scripts[i] = script(n, n, i, sizes)
		}
		w.talk(all, scripts)
	})
}

// atOnce has n members join at the same moment.
func (w *world) atOnce(n int) []*peer {
	w.t.Helper()
	all := make([]*peer, n)
	var joined sync.WaitGroup
	for i := range all {
		all[i] = w.peer(netflux.Config{})
		joined.Go(func() {
			if err := all[i].Join(w.t.Context(), "key"); err != nil {
				w.t.Error(err)
			}
		})
	}
	joined.Wait()
	w.full(all, time.Minute)
	return all
}

// losses returns what a member was told that does not happen in a sound group.
func losses(p *peer) (all []netflux.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		switch e.(type) {
		case netflux.MemberLeft, netflux.MessageRefused, netflux.ConnectFailed:
			all = append(all, e)
		}
	}
	return all
}

// A botPeer is a bot and what it was told.
type botPeer struct {
	*netflux.Bot
	*peer
}

// bot runs a bot that listens.
func (w *world) bot(l net.Listener, cfg netflux.BotConfig) *botPeer {
	w.t.Helper()
	b := &botPeer{peer: &peer{t: w.t, changed: make(chan struct{})}}
	cfg.URL = "ws://" + l.Addr().String()
	cfg.Group = w.config(cfg.Group)
	cfg.Group.Loopback = true
	cfg.OnEvent = func(_ *netflux.Group, e netflux.Event) { b.note(e) }
	var err error
	if b.Bot, err = netflux.NewBot(cfg); err != nil {
		w.t.Fatal(err)
	}
	server := &http.Server{Handler: b.Bot}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	w.t.Cleanup(func() {
		if err := b.Shutdown(context.Background()); err != nil {
			w.t.Error(err)
		}
		server.Close()
		<-served
	})
	return b
}

package netflux_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshpair/meshpair/netflux"
	"github.com/meshpair/meshpair/sigver"
)

// startSignaling runs a signaling server on loopback and returns its URL.
func startSignaling(t testing.TB) string {
	t.Helper()
	s := sigver.New(sigver.Config{Logger: slog.New(slog.DiscardHandler)})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Shutdown(ctx)
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return "ws://" + l.Addr().String()
}

// A peer is a group and what it was told.
type peer struct {
	*netflux.Group
	t    testing.TB
	hold func(netflux.Event) // called for each event, after it was noted

	mu      sync.Mutex
	taker   func(netflux.Message) // gets messages, which are not noted then; may be nil
	events  []netflux.Event
	changed chan struct{} // closed at each event
}

func newPeer(t testing.TB, cfg netflux.Config) *peer {
	cfg.Loopback = true
	return newPeerAt(t, cfg)
}

// newPeerAt is newPeer in whatever network cfg says.
func newPeerAt(t testing.TB, cfg netflux.Config) *peer {
	p := &peer{t: t, changed: make(chan struct{})}
	cfg.OnEvent = p.note
	p.Group = netflux.New(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.Leave(ctx); err != nil {
			t.Errorf("Leave: %v", err)
		}
	})
	return p
}

// note is OnEvent.
func (p *peer) note(e netflux.Event) {
	p.mu.Lock()
	if m, ok := e.(netflux.Message); ok && p.taker != nil {
		take := p.taker
		p.mu.Unlock()
		take(m)
		return
	}
	p.events = append(p.events, e)
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	if p.hold != nil {
		p.hold(e)
	}
}

// take has f called for each message from now on, instead of noting it.
func (p *peer) take(f func(netflux.Message)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taker = f
}

func (p *peer) join(key string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 60*time.Second)
	defer cancel()
	if err := p.Join(ctx, key); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits until the events so far fulfil a condition, and returns them.
func (p *peer) wait(what string, ok func([]netflux.Event) bool) []netflux.Event {
	p.t.Helper()
	timeout := time.After(60 * time.Second)
	for {
		p.mu.Lock()
		events, changed := slices.Clone(p.events), p.changed
		p.mu.Unlock()
		if ok(events) {
			return events
		}
		select {
		case <-changed:
		case <-timeout:
			p.t.Fatalf("no %s among %d events; %.2000s", what, len(events), brief(events))
		}
	}
}

// told reports whether an event is among others.
func told(events []netflux.Event, e netflux.Event) bool {
	return slices.ContainsFunc(events, func(o netflux.Event) bool {
		_, message := o.(netflux.Message) // which cannot be compared
		return !message && o == e
	})
}

func messages(events []netflux.Event) []netflux.Message {
	var all []netflux.Message
	for _, e := range events {
		if m, ok := e.(netflux.Message); ok {
			all = append(all, m)
		}
	}
	return all
}

func (p *peer) messages(n int) []netflux.Message {
	p.t.Helper()
	return messages(p.wait(fmt.Sprint(n, " messages"), func(e []netflux.Event) bool { return len(messages(e)) >= n }))
}

// groupOf lets n members join one after the other.
func groupOf(t testing.TB, n int, cfg netflux.Config) []*peer {
	t.Helper()
	if cfg.SignalingURL == "" {
		cfg.SignalingURL = startSignaling(t)
	}
	key := netflux.NewKey()
	all := make([]*peer, n)
	for i := range all {
		all[i] = newPeer(t, cfg)
		all[i].join(key)
		if got := len(all[i].Neighbors()); got != i {
			t.Fatalf("member %d has %d neighbors", i, got)
		}
		id := all[i].ID()
		for _, p := range all[:i] {
			p.wait("joining", func(e []netflux.Event) bool { return told(e, netflux.MemberJoined{ID: id}) })
		}
	}
	return all
}

func TestGroup(t *testing.T) {
	all := groupOf(t, 4, netflux.Config{})
	ctx := t.Context()
	for _, p := range all {
		if err := p.Send(ctx, netflux.Text, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if err := p.SendTo(ctx, all[0].ID(), netflux.Binary, []byte{1}); p != all[0] && err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range all {
		n := 3
		if i == 0 {
			n = 6
		}
		p.messages(n)
	}
}

// brief describes events without the data of messages.
func brief(events []netflux.Event) string {
	var b strings.Builder
	for _, e := range events {
		if m, ok := e.(netflux.Message); ok {
			fmt.Fprintf(&b, "%d bytes of %v from %d; ", len(m.Data), m.Kind, m.From)
		} else {
			fmt.Fprintf(&b, "%T%v; ", e, e)
		}
	}
	return b.String()
}

package netflux_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/netflux"
	"github.com/meshpair/meshpair/sigver"
)

func TestJoinErrors(t *testing.T) {
	ctx := t.Context()
	for _, c := range []struct {
		name, url, key string
		want           error
	}{
		{"no URL", "", "key", netflux.ErrNoSignaling},
		{"http", "http://127.0.0.1:1", "key", netflux.ErrNoSignaling},
		{"a query", "ws://127.0.0.1:1/?q", "key", netflux.ErrNoSignaling},
		{"no key", "ws://127.0.0.1:1", "", netflux.ErrKey},
		{"a long key", "ws://127.0.0.1:1", strings.Repeat("é", 86), netflux.ErrKey}, // SIG-2
	} {
		p := newPeer(t, netflux.Config{SignalingURL: c.url})
		if err := p.Join(ctx, c.key); !errors.Is(err, c.want) || p.State() != netflux.Left {
			t.Errorf("%s: %v, %v", c.name, err, p.State())
		}
	}
	p := newPeer(t, netflux.Config{SignalingURL: "ws://127.0.0.1:1", ICEServers: []netflux.ICEServer{{URLs: []string{"bogus"}}}})
	if err := p.Join(ctx, "key"); !errors.Is(err, netflux.ErrICEServer) || !strings.Contains(err.Error(), "bogus") {
		t.Error(err)
	}
	p = newPeer(t, netflux.Config{SignalingURL: startSignaling(t)})
	p.join("key")
	if err := p.Join(ctx, "other"); !errors.Is(err, netflux.ErrInGroup) {
		t.Error(err)
	}
	if p.Key() != "key" || p.State() != netflux.Joined {
		t.Errorf("key %q, state %v", p.Key(), p.State())
	}
}

// deadURL returns the URL of a server that is not there.
func deadURL(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "ws://" + l.Addr().String()
}

// TestNoServer lets a group join where no signaling server is: without rejoining the error comes at once, with it when
// the context ends. Both say why (STA-15).
func TestNoServer(t *testing.T) {
	url := deadURL(t)
	var join *netflux.JoinError
	p := newPeer(t, netflux.Config{SignalingURL: url, NoRejoin: true})
	if err := p.Join(t.Context(), "key"); !errors.As(err, &join) || !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
	p = newPeer(t, netflux.Config{SignalingURL: url})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := p.Join(ctx, "key")
	if !errors.As(err, &join) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
	if p.State() != netflux.Left || p.ID() != 0 || p.Key() != "" || p.Members() != nil {
		t.Errorf("%v, id %d, key %q, members %v", p.State(), p.ID(), p.Key(), p.Members())
	}
}

// TestStates checks what a member is told while it joins and leaves (STA-1, STA-1, STA-17).
func TestStates(t *testing.T) {
	all := groupOf(t, 2, netflux.Config{})
	for _, p := range all {
		p.wait("CHECKED twice", func(e []netflux.Event) bool { return len(signalingStates(e)) >= 6 })
	}
	first, second := all[0].ID(), all[1].ID()
	if err := all[1].Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	all[0].wait("leaving", func(e []netflux.Event) bool {
		return told(e, netflux.MemberLeft{ID: second})
	})
	events := all[1].wait("LEFT", func(e []netflux.Event) bool { return len(states(e)) >= 4 })
	if got, want := states(events), []string{"JOINING", "JOINED", "LEAVING", "LEFT"}; !slices.Equal(got, want) {
		t.Errorf("states %v", got)
	}
	want := []string{"CONNECTING", "OPEN", "CHECKING", "CHECKED", "CHECKING", "CHECKED", "CLOSED"}
	if got := signalingStates(events); !slices.Equal(got, want) {
		t.Errorf("signaling %v", got)
	}
	if !told(events, netflux.MemberLeft{ID: first}) {
		t.Error("the one who leaves is not told that the other is gone")
	}
	if last := events[len(events)-1]; last != (netflux.StateChanged{State: netflux.Left}) {
		t.Errorf("the last event is %v", last)
	}
}

func states(events []netflux.Event) (all []string) {
	for _, e := range events {
		if e, ok := e.(netflux.StateChanged); ok {
			all = append(all, e.State.String())
		}
	}
	return all
}

func signalingStates(events []netflux.Event) (all []string) {
	for _, e := range events {
		if e, ok := e.(netflux.SignalingChanged); ok {
			all = append(all, e.State.String())
		}
	}
	return all
}

// TestLeaveSends checks that what was accepted arrives though its sender leaves at once (STA-17).
func TestLeaveSends(t *testing.T) {
	all := groupOf(t, 3, netflux.Config{LeaveTimeout: time.Minute}) // on a busy machine, too
	data := make([]byte, 6<<20)                                     // more than may be on its way
	if err := all[0].Send(t.Context(), netflux.Binary, data); err != nil {
		t.Fatal(err)
	}
	if err := all[0].Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range all[1:] {
		if got := p.messages(1); len(got[0].Data) != len(data) {
			t.Errorf("%d bytes", len(got[0].Data))
		}
	}
}

// TestJoinAgain lets a member leave and join again, several times, with the same object.
func TestJoinAgain(t *testing.T) {
	url := startSignaling(t)
	a, b := newPeer(t, netflux.Config{SignalingURL: url}), newPeer(t, netflux.Config{SignalingURL: url})
	a.join("key")
	seen := map[uint32]bool{}
	for range 5 {
		b.join("key")
		if id := b.ID(); seen[id] {
			t.Errorf("the id %d comes again", id)
		} else {
			seen[id] = true
		}
		if len(b.Neighbors()) != 1 {
			t.Errorf("neighbors %v", b.Neighbors())
		}
		if err := b.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSignalingLost takes the signaling server away from a group, over real sockets: messages flow on and none is lost,
// and when it is back the state soon is JOINED again with the same ids (STA-13, STA-18).
func TestSignalingLost(t *testing.T) {
	s := sigver.New(sigver.Config{Logger: slog.New(slog.DiscardHandler)})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	all := groupOf(t, 3, netflux.Config{SignalingURL: "ws://" + addr})
	ids := all[0].Members()
	f := startFlow(all, 10*time.Millisecond)
	s.Shutdown(t.Context())
	<-served
	for _, p := range all {
		p.wait("JOINING", func(e []netflux.Event) bool { s := states(e); return s[len(s)-1] == "JOINING" && len(s) > 1 })
	}
	if l, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	s = sigver.New(sigver.Config{Logger: slog.New(slog.DiscardHandler)})
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() { s.Shutdown(context.Background()); <-served })
	up := time.Now()
	for _, p := range all {
		p.wait("JOINED", func(e []netflux.Event) bool { s := states(e); return s[len(s)-1] == "JOINED" })
		members := p.Members()
		slices.Sort(members)
		slices.Sort(ids)
		if !slices.Equal(members, ids) || len(p.Neighbors()) != 2 {
			t.Errorf("members %v, neighbors %v, before %v", members, p.Neighbors(), ids)
		}
	}
	if d := time.Since(up); d > 10*time.Second {
		t.Errorf("JOINED after %v", d)
	}
	if n := f.end(); n < 100 {
		t.Errorf("%d messages were sent", n)
	}
}

// TestSendFromEvent answers messages from within OnEvent.
func TestSendFromEvent(t *testing.T) {
	url := startSignaling(t)
	echo := newPeer(t, netflux.Config{SignalingURL: url})
	echo.hold = func(e netflux.Event) {
		if m, ok := e.(netflux.Message); ok {
			if err := echo.SendTo(context.Background(), m.From, m.Kind, m.Data); err != nil {
				t.Error(err)
			}
		}
	}
	echo.join("key")
	p := newPeer(t, netflux.Config{SignalingURL: url})
	p.join("key")
	const n = 1000
	for i := range n {
		if err := p.Send(t.Context(), netflux.Binary, []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range p.messages(n) {
		if !m.Private || m.Data[0] != byte(i) {
			t.Fatalf("message %d: %v", i, m)
		}
	}
}

// TestNothingLeft checks that no goroutine is left when a group has been left.
func TestNothingLeft(t *testing.T) {
	all := groupOf(t, 3, netflux.Config{})
	for _, p := range all {
		if err := p.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 1<<20)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		stacks := string(buf[:runtime.Stack(buf, true)])
		left := ""
		for g := range strings.SplitSeq(stacks, "\n\n") {
			if strings.Contains(g, "pion") || strings.Contains(g, "netflux.(*") {
				left = g
			}
		}
		if left == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind:\n%s", left)
		}
	}
}

// TestTLS joins through a signaling server with a certificate.
func TestTLS(t *testing.T) {
	s := sigver.New(sigver.Config{Logger: slog.New(slog.DiscardHandler)})
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(func() {
		s.Shutdown(context.Background())
		server.Close()
	})
	url := "wss" + strings.TrimPrefix(server.URL, "https")
	p := newPeer(t, netflux.Config{SignalingURL: url, TLS: server.Client().Transport.(*http.Transport).TLSClientConfig})
	p.join("key")
	stranger := newPeer(t, netflux.Config{SignalingURL: url, NoRejoin: true})
	if err := stranger.Join(t.Context(), "key"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server with an unknown certificate: %v", err)
	}
}

// TestLeaveBlocked lets a group be left while OnEvent does not return and messages wait for it.
func TestLeaveBlocked(t *testing.T) {
	url := startSignaling(t)
	a := newPeer(t, netflux.Config{SignalingURL: url})
	a.join("key")
	b, release := blockedPeer(t, netflux.Config{SignalingURL: url, LeaveTimeout: 200 * time.Millisecond}, "key")
	id := b.ID()
	a.wait("joining", func(e []netflux.Event) bool { return told(e, netflux.MemberJoined{ID: id}) })
	for a.TrySend(netflux.Binary, make([]byte, 1<<20)) == nil {
	}
	// The goroutine that is in OnEvent cannot end, and may be one that Leave waits for; all else ends.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := b.Leave(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) || b.State() != netflux.Left {
		t.Errorf("%v, %v", err, b.State())
	}
	a.wait("leaving", func(e []netflux.Event) bool {
		return slices.ContainsFunc(e, func(e netflux.Event) bool { l, ok := e.(netflux.MemberLeft); return ok && l.ID == id })
	})
	release()
	if err := b.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	b.join("key")
}

// TestSlowHandler lets OnEvent take longer than silence is allowed to last: nobody is lost (CHN-19).
func TestSlowHandler(t *testing.T) {
	t.Parallel()
	url := startSignaling(t)
	a := newPeer(t, netflux.Config{SignalingURL: url})
	a.join("key")
	b, release := blockedPeer(t, netflux.Config{SignalingURL: url}, "key")
	a.wait("joining", func(e []netflux.Event) bool { return told(e, netflux.MemberJoined{ID: b.ID()}) })
	for range 2 { // the first may be handled where it is read, the second then waits in the channel
		if err := a.Send(t.Context(), netflux.Binary, []byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	<-time.After(13 * time.Second) // of the protocol's own time: more than four heartbeats
	events := a.wait("event", func([]netflux.Event) bool { return true })
	if slices.ContainsFunc(events, func(e netflux.Event) bool { _, left := e.(netflux.MemberLeft); return left }) {
		t.Fatal(brief(events))
	}
	release()
	if got := b.messages(2); len(got) != 2 {
		t.Errorf("%d messages", len(got))
	}
}

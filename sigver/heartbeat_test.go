package sigver

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshpair/meshpair/internal/seldom"
	"github.com/meshpair/meshpair/internal/wire"
)

// SIG-10, SIG-11, SIG-14: a silent peer gets heartbeats at 5 and 10 s and is
// closed at 15 s, at which moment it is no peer any more, although it does not
// answer the closing handshake.
func TestSilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := startInBubble(t)
		begin := time.Now()
		p := upgrade(t, l.dial(), "/room")
		for i := range 2 {
			_, payload := p.frame()
			if at := time.Since(begin); string(payload) != "\x08\x01" || at != time.Duration(i+1)*5*time.Second {
				t.Errorf("% x after %v, want heartbeat %d", payload, at, i+1)
			}
		}
		op, payload := p.frame()
		if op != 8 || len(payload) < 2 || int(payload[0])<<8|int(payload[1]) != 4742 || time.Since(begin) != 15*time.Second {
			t.Errorf("opcode %d % x after %v, want the close frame with 4742 after 15 s", op, payload, time.Since(begin))
		}
		synctest.Wait()
		if st := s.Stats(); st != (Stats{}) {
			t.Errorf("there are %+v still", st)
		}
	})
}

// SIG-12: a peer that sends heartbeats stays; anything else does not count.
func TestHeartbeatsKeepAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := startInBubble(t)
		beats, talks := upgrade(t, l.dial(), "/room"), upgrade(t, l.dial(), "/room")
		discard(beats)
		discard(talks)
		for range 20 {
			beats.send(wire.Signaling{Kind: wire.SignalingHeartbeat, Heartbeat: true})
			if s.Stats().Peers == 2 {
				talks.send(wire.Signaling{Kind: wire.SignalingContent})
			}
			time.Sleep(4 * time.Second)
		}
		if n := s.Stats().Peers; n != 1 {
			t.Errorf("%d peers are left, want the one with heartbeats", n)
		}
	})
}

// Refusals are logged with their number, but not one by one.
func TestRefusalsAreLoggedSparingly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := New(Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 100 {
			s.refused("192.0.2.7:1", "a reason")
		}
		time.Sleep(seldom.Interval)
		s.refused("192.0.2.7:1", "a reason")
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.HasSuffix(lines[0], "refusals=1") || !strings.HasSuffix(lines[1], "refusals=100") {
			t.Errorf("logged %q", lines)
		}
	})
}

// discard reads all that comes, as a pipe has no buffer of its own.
func discard(p *rawPeer) {
	go func() {
		for b := make([]byte, 512); ; {
			if _, err := p.r.Read(b); err != nil {
				return
			}
		}
	}()
}

// pipes is a listener whose connections are in-memory pipes, over which virtual
// time works.
type pipes struct {
	conns chan net.Conn
	down  chan struct{}
}

func startInBubble(t *testing.T) (*Server, *pipes) {
	s := New(Config{Logger: slog.New(slog.DiscardHandler)})
	l := &pipes{make(chan net.Conn), make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Shutdown(t.Context()) // ended already: nobody here answers the handshake
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, l
}

func (l *pipes) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.down:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { close(l.down); return nil }
func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

package netflux_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/meshpair/meshpair/netflux"
	"github.com/meshpair/meshpair/sigver"
)

// A tappedListener gives a tap all that passes its connections.
type tappedListener struct {
	net.Listener
	tap *tap
}

func (l tappedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	to, from := l.tap.conn()
	return &tappedConn{c, to, from}, nil
}

type tappedConn struct {
	net.Conn
	to, from func([]byte)
}

func (c *tappedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.to(b[:n])
	return n, err
}

func (c *tappedConn) Write(b []byte) (int, error) {
	c.from(b)
	return c.Conn.Write(b)
}

// maxJoinBytes is how many bytes may pass the signaling server, in each direction, for one peer to join.
const maxJoinBytes = 2500

// TestSignalingBytes counts what passes the signaling server from when a peer begins to join until it is a member there:
// the payloads of all messages of all connections. README gives the figures; the same of the originals are counted by the
// test of this name in package conformance.
func TestSignalingBytes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	passed := new(tap)
	s, served := sigver.New(sigver.Config{Logger: slog.New(slog.DiscardHandler)}), make(chan error, 1)
	go func() { served <- s.Serve(tappedListener{l, passed}) }()
	t.Cleanup(func() {
		s.Shutdown(context.Background())
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	sizes := func() (n [2]int) {
		for i, toServer := range []bool{true, false} {
			if n[i], err = passed.size(toServer); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	for _, who := range []string{"first", "second", "third"} {
		before := sizes()
		p := newPeer(t, netflux.Config{SignalingURL: "ws://" + l.Addr().String()})
		p.join("key")
		p.wait("CHECKED twice", func(e []netflux.Event) bool { return len(signalingStates(e)) >= 6 })
		after := sizes()
		to, from := after[0]-before[0], after[1]-before[1]
		t.Logf("%s member: %d bytes to the signaling server, %d from it", who, to, from)
		least := 1000 // there are two descriptions in it
		if who == "first" {
			least = 10
		}
		if to < least || from < least/10 || to > maxJoinBytes || from > maxJoinBytes {
			t.Errorf("%s member: that is not between %d and %d", who, least, maxJoinBytes)
		}
	}
}

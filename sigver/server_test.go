package sigver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
	"github.com/meshpair/meshpair/internal/ws"
)

const timeout = 10 * time.Second

// start runs a server on loopback by Serve and returns it with its URL.
func start(t *testing.T, cfg Config) (*Server, string) {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	s := New(cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		if st := s.Stats(); st != (Stats{}) {
			t.Errorf("after Shutdown there are %+v", st)
		}
	})
	return s, "ws://" + l.Addr().String()
}

type client struct {
	t *testing.T
	*ws.Conn
}

func dial(t *testing.T, url string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, err := ws.Dial(ctx, url, ws.DialConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	c.SetReadDeadline(time.Now().Add(timeout))
	return &client{t, c}
}

func (c *client) send(m wire.Signaling) {
	c.t.Helper()
	if err := c.Write(ws.Binary, m.Append(nil)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) connect(id uint32, members ...uint32) bool {
	c.t.Helper()
	c.send(wire.Signaling{Kind: wire.SignalingConnect, Connect: wire.GroupData{ID: id, Members: members}})
	m := c.receive()
	if m.Kind != wire.SignalingConnected {
		c.t.Fatalf("the answer to connect is %+v", m)
	}
	return m.Connected
}

func (c *client) content(data string) {
	c.t.Helper()
	c.send(wire.Signaling{Kind: wire.SignalingContent, Content: wire.Content{Data: []byte(data)}})
}

func (c *client) receive() wire.Signaling {
	c.t.Helper()
	_, data, err := c.Read()
	if err != nil {
		c.t.Fatal(err)
	}
	var m wire.Signaling
	if err := m.Decode(append([]byte(nil), data...)); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// closed reads until the server closes the connection, and checks the code.
func (c *client) closed(code int) {
	c.t.Helper()
	for {
		_, _, err := c.Read()
		var closed *ws.CloseError
		if errors.As(err, &closed) {
			if closed.Code != code {
				c.t.Errorf("closed by %v, want code %d", closed, code)
			}
			return
		}
		if err != nil {
			c.t.Fatalf("%v, want close code %d", err, code)
		}
	}
}

// SIG-1, SIG-3: the key is the raw path, whichever characters it has.
func TestKeys(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"/room", "/room", true},
		{"/room", "/Room", false},
		{"/a%20b%C3%A9", "/a%20b%C3%A9", true},
		{"/it's", "/it%27s", false},
		{"/100%", "/100%", true},
		{"/100%", "/100%25", false},
		{"/%zz%", "/_zz_", false},
		{"//x/y", "/x/y", false},
		{"/a/../b", "/b", false},
		{"/a/", "/a", false},
		{"/a?favored", "/a", true},
		{"/a?favored=0&x=%", "/a?y", true},
		{"/a#f", "/a", true},
	} {
		_, url := start(t, Config{})
		a, b := rawDial(t, url, test.a), rawDial(t, url, test.b)
		if !a.connect(1) {
			t.Errorf("the first peer of %q is no member", test.a)
		}
		if same := !b.connect(2); same != test.same {
			t.Errorf("%q and %q are one group: %v, want %v", test.a, test.b, same, test.same)
		}
	}
}

// SIG-1: mounted under a prefix, the rest of the path is the key.
func TestStripPrefix(t *testing.T) {
	s := New(Config{Logger: slog.New(slog.DiscardHandler)})
	h := httptest.NewServer(http.StripPrefix("/signaling", s))
	t.Cleanup(h.Close)
	t.Cleanup(func() { s.Shutdown(t.Context()) }) // ended by then: the peers do not answer
	url := strings.Replace(h.URL, "http", "ws", 1) + "/signaling"
	a, b, c := dial(t, url+"/a%20b"), dial(t, url+"/a%20b"), dial(t, url+"/a")
	if !a.connect(1) || b.connect(2) || !c.connect(3) {
		t.Error("the groups are not told apart by the rest of the path")
	}
	dial(t, url+"/").closed(4741)
}

// SIG-2, SIG-38: a bad key is refused by a close code, not by an HTTP status.
func TestBadKey(t *testing.T) {
	_, url := start(t, Config{})
	dial(t, url+"/").closed(4741)
	dial(t, url+"/?favored").closed(4741)
	dial(t, url+"/"+strings.Repeat("k", 513)).closed(4741)
	if !dial(t, url+"/"+strings.Repeat("k", 512)).connect(1) {
		t.Error("a key of 512 characters is refused")
	}
}

// SIG-5: what is no WebSocket upgrade gets an HTTP answer, and the connection ends.
func TestPlainRequest(t *testing.T) {
	_, url := start(t, Config{})
	resp, err := http.Get(strings.Replace(url, "ws", "http", 1) + "/room")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUpgradeRequired || !resp.Close {
		t.Errorf("status %v, connection closed: %v", resp.Status, resp.Close)
	}
}

// SIG-42: a message over the limit closes with 1009.
func TestMaxMessageSize(t *testing.T) {
	_, url := start(t, Config{MaxMessageSize: 100})
	c := dial(t, url+"/room")
	c.connect(1)
	c.content(strings.Repeat("x", 80))
	c.connect(1)
	c.content(strings.Repeat("x", 100))
	c.closed(1009)
}

// SIG-43: one group, or one peer of a group, too many is closed with 1013.
func TestMaxGroups(t *testing.T) {
	_, url := start(t, Config{MaxGroups: 1, MaxGroupPeers: 1})
	c := dial(t, url+"/room")
	c.connect(1)
	dial(t, url+"/room").closed(1013)
	dial(t, url+"/other").closed(1013)
}

// SIG-44: one connection from an address too many gets status 429; a place
// becomes free when a connection ends.
func TestMaxPerAddr(t *testing.T) {
	_, url := start(t, Config{MaxPerAddr: 2})
	a, b := dial(t, url+"/a"), dial(t, url+"/b")
	a.connect(1)
	b.connect(1)
	if status := dialStatus(t, url+"/c"); status != http.StatusTooManyRequests {
		t.Fatalf("a third connection gets status %d", status)
	}
	a.Close(1000, "")
	waitFor(t, func() bool { return dialStatus(t, url+"/c") == http.StatusSwitchingProtocols })
}

func TestAddrKey(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:1234":                  "192.0.2.7",
		"[::ffff:192.0.2.7]:1":            "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:80":       "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::%eth0]:8080": "2001:db8:1:2::/64",
		"pipe":                            "pipe",
	} {
		if got := addrKey(remote); got != want {
			t.Errorf("%s counts as %s, want %s", remote, got, want)
		}
	}
}

// SIG-45: a peer that says nothing in time is closed with 1008; a first message
// of any kind is enough.
func TestFirstMessageTimeout(t *testing.T) {
	_, url := start(t, Config{FirstMessageTimeout: 50 * time.Millisecond})
	talks := dial(t, url+"/room")
	talks.send(wire.Signaling{Kind: wire.SignalingHeartbeat, Heartbeat: true})
	dial(t, url+"/room").closed(1008)
	if !talks.connect(1) {
		t.Error("a peer that spoke in time is no member")
	}
}

// SIG-46: a peer that does not read is closed when more waits for it than may;
// what others send meanwhile reaches everyone else at once.
func TestSlowPeer(t *testing.T) {
	s, url := start(t, Config{SendQueueSize: 128 << 10, WriteTimeout: time.Second})
	slow := dial(t, url+"/room")
	slow.connect(1)
	joiner := dial(t, url+"/room")
	joiner.connect(2)
	data := strings.Repeat("x", 60<<10)
	gone := false
	for range 1000 {
		joiner.content(data)
		if gone = s.Stats().Peers < 2; gone {
			break
		}
	}
	if !gone {
		t.Fatal("the slow peer is there still")
	}
	if m := joiner.receive(); m.Kind != wire.SignalingContent || m.Content.Data != nil {
		t.Errorf("the joiner got %+v, want the notice that its member is gone", m)
	}
}

// SIG-37: what one peer sends arrives whole and in order, also in a flood.
func TestOrder(t *testing.T) {
	_, url := start(t, Config{})
	member, joiner := dial(t, url+"/room"), dial(t, url+"/room")
	member.connect(1)
	joiner.connect(2)
	const n = 5000
	go func() {
		m := wire.Signaling{Kind: wire.SignalingContent}
		for i := range n {
			m.Content.Data = []byte{byte(i >> 8), byte(i)}
			if joiner.Write(ws.Binary, m.Append(nil)) != nil {
				return
			}
		}
	}()
	for i := range n {
		m := member.receive()
		if d := m.Content.Data; len(d) != 2 || int(d[0])<<8|int(d[1]) != i {
			t.Fatalf("message %d is %+v", i, m)
		}
	}
}

// SIG-40: on shutdown every peer is closed with 1001, and new ones get 503.
func TestShutdown(t *testing.T) {
	s := New(Config{Logger: slog.New(slog.DiscardHandler)})
	h := httptest.NewServer(s)
	defer h.Close()
	url := strings.Replace(h.URL, "http", "ws", 1)
	c := dial(t, url+"/room")
	c.connect(1)
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	c.closed(1001)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if status := dialStatus(t, url+"/room"); status != http.StatusServiceUnavailable {
		t.Errorf("after Shutdown a peer gets status %d", status)
	}
}

// A peer that does not answer the closing handshake does not hold Shutdown up
// beyond its context.
func TestShutdownStubborn(t *testing.T) {
	s := New(Config{Logger: slog.New(slog.DiscardHandler)})
	h := httptest.NewServer(s)
	defer h.Close()
	dial(t, strings.Replace(h.URL, "http", "ws", 1)+"/room").connect(1) // and reads no more
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	waitFor(t, func() bool { return s.Stats() == Stats{} })
	if err := s.Serve(nopListener{}); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

type nopListener struct{}

func (nopListener) Accept() (net.Conn, error) { return nil, io.EOF }
func (nopListener) Close() error              { return nil }
func (nopListener) Addr() net.Addr            { return &net.TCPAddr{} }

// dialStatus returns the HTTP status that an upgrade gets.
func dialStatus(t *testing.T, url string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, err := ws.Dial(ctx, url, ws.DialConfig{})
	var refused *ws.HandshakeError
	switch {
	case err == nil:
		c.Close(1000, "")
		return http.StatusSwitchingProtocols
	case errors.As(err, &refused):
		return refused.Status
	}
	t.Fatal(err)
	return 0
}

// waitFor polls a condition that another goroutine brings about.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(timeout); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the condition does not come about")
		}
	}
}

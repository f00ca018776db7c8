package peersox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/meshpair/meshpair/internal/ws"
)

// A middle is a real server, and somebody in front of it who sees, and may change, all that passes: its operator, or one who
// has got between.
type middle struct {
	*httptest.Server // what clients take for the server
	t                testing.TB
	real             string
	socket           *ws.Server

	// What becomes of what a client says, in its place; nil: it is passed on. The first client has the number 0.
	meddle func(m *middle, from int, p packet) []packet

	mu    sync.Mutex
	seen  bytes.Buffer // all that has passed: URLs, bodies and messages
	conns []*ws.Conn   // of clients, in the order in which they came
}

// A packet is a message of a client, which goes on to the server, or back to that client.
type packet struct {
	kind ws.Kind
	data []byte
	back bool
}

func startMiddle(t testing.TB) *middle {
	server := NewServer(ServerConfig{Logger: slog.New(slog.DiscardHandler), MaxMessage: 16 << 20})
	inner := httptest.NewServer(server)
	m := &middle{t: t, real: inner.URL}
	m.socket = &ws.Server{
		Config: ws.Config{MaxMessage: 16 << 20},
		Accept: func(r *http.Request) (string, error) {
			m.see([]byte(r.URL.String() + strings.Join(ws.Offered(r), " ")))
			return ws.Offered(r)[0], nil
		},
		Serve: m.serve,
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", m.socket)
	mux.HandleFunc("/api/", m.api)
	m.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		m.socket.Shutdown(ctx)
		m.Server.Close()
		server.Shutdown(ctx)
		inner.Close()
	})
	return m
}

func (m *middle) see(b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen.Write(b)
	m.seen.WriteByte('\n')
}

// saw reports whether something has passed.
func (m *middle) saw(s string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Contains(m.seen.Bytes(), []byte(s))
}

func (m *middle) api(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m.see(append([]byte(r.URL.String()), body...))
	for _, values := range r.Header {
		m.see([]byte(strings.Join(values, " ")))
	}
	req, err := http.NewRequest(r.Method, m.real+r.URL.String(), bytes.NewReader(body))
	if err != nil {
		m.t.Error(err)
		return
	}
	req.Header.Set("Content-Type", r.Header.Get("Content-Type"))
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		m.t.Error(err)
		return
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	m.see(answer)
	w.WriteHeader(resp.StatusCode)
	w.Write(answer)
}

// serve is the life of a client's WebSocket.
func (m *middle) serve(c *ws.Conn, r *http.Request) {
	up, err := ws.Dial(context.Background(), "ws"+strings.TrimPrefix(m.real, "http")+"/ws",
		ws.DialConfig{Config: ws.Config{MaxMessage: 16 << 20}, Subprotocols: ws.Offered(r)})
	if err != nil {
		c.Abort()
		return
	}
	m.mu.Lock()
	from := len(m.conns)
	m.conns = append(m.conns, c)
	m.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.pass(up, c, func(p packet) []packet { return []packet{p} })
	}()
	m.pass(c, up, func(p packet) []packet {
		if m.meddle == nil {
			return []packet{p}
		}
		return m.meddle(m, from, p)
	})
	<-done
}

// pass passes on what one end says until either ends.
func (m *middle) pass(one, other *ws.Conn, edit func(packet) []packet) {
	for {
		kind, data, err := one.Read()
		if err != nil {
			var bye *ws.CloseError
			if errors.As(err, &bye) {
				other.Close(ws.CloseNormal, "")
			} else {
				other.Abort()
			}
			return
		}
		m.see(data)
		for _, p := range edit(packet{kind, bytes.Clone(data), false}) {
			to := other
			if p.back {
				to = one
			}
			to.Write(p.kind, p.data)
		}
	}
}

// cut closes all connections, in order.
func (m *middle) cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conns {
		go c.Close(ws.CloseNormal, "")
	}
}

// meet pairs two clients through it, and waits until each has been told that the other one is there.
func (m *middle) meet(seal bool, a, b ClientConfig) (first, second *user) {
	m.t.Helper()
	first, second = m.dial(seal, a, b)
	for _, u := range []*user{first, second} {
		next[PeerConnected](u)
	}
	return first, second
}

// dial has two clients try.
func (m *middle) dial(seal bool, a, b ClientConfig) (first, second *user) {
	m.t.Helper()
	a.URL, b.URL, a.Seal = m.URL, m.URL, seal
	first, second = newUser(m.t, a), newUser(m.t, b)
	p, err := first.InitPairing(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := second.Pair(context.Background(), p.Text()); err != nil {
		m.t.Fatal(err)
	}
	return first, second
}

// untold fails if an event of a type was told and not expected.
func untold[E Event](u *user) {
	u.t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, e := range u.events {
		if e, ok := e.(E); ok {
			u.t.Errorf("told %.300v", e)
		}
	}
}

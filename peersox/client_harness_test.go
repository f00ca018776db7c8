package peersox

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/attacks"
	"github.com/meshpair/meshpair/internal/leaktest"
	"github.com/meshpair/meshpair/internal/ws"
)

// timeout is how long a step may take on a slow and busy machine.
const timeout = 20 * time.Second

func TestMain(m *testing.M) {
	os.Exit(leaktest.Run(func() int {
		return attacks.Main(m, map[string]error{
			"peersox.ErrCutShort": ErrCutShort,
			"peersox.ErrForged":   ErrForged,
			"peersox.ErrSecret":   ErrSecret,
			"peersox.ErrUnsealed": ErrUnsealed,
		})
	}))
}

// A fake is a server that does what a test wants. Left alone it pairs all its clients, two and two.
type fake struct {
	*httptest.Server
	socket *ws.Server

	// What it answers, in place of the usual.
	rest  func(w http.ResponseWriter, r *http.Request) bool
	first func(c *ws.Conn) bool
	edit  func(data []byte) []byte // what is passed on of a message; nil for nothing

	mu      sync.Mutex
	waiting *ws.Conn
	peers   map[*ws.Conn]*ws.Conn
	tokens  []string
	offered []string
}

func startFake(t testing.TB) *fake {
	f := &fake{peers: make(map[*ws.Conn]*ws.Conn)}
	f.socket = &ws.Server{
		Config: ws.Config{MaxMessage: 16 << 20},
		Accept: func(r *http.Request) (string, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.offered = append(f.offered, ws.Offered(r)...)
			return ws.Offered(r)[0], nil
		},
		Serve: f.serve,
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", f.socket)
	mux.HandleFunc("/api/", f.api)
	f.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		f.socket.Shutdown(ctx)
		f.Server.Close()
	})
	return f
}

var testPairing = Pairing{Code: "123456", Hash: strings.Repeat("ab", 32)}

func (f *fake) api(w http.ResponseWriter, r *http.Request) {
	if f.rest != nil && f.rest(w, r) {
		return
	}
	var answer any
	switch strings.TrimPrefix(r.URL.Path, "/api") {
	case "/config":
		answer = map[string]any{"iceServers": []any{map[string]any{"urls": "stun:127.0.0.1:1"}}}
	case "/code/get":
		answer = testPairing
	case "/code/validate":
		var body struct{ Code string }
		json.NewDecoder(r.Body).Decode(&body)
		answer = struct{}{}
		if body.Code == testPairing.Code {
			answer = testPairing
		}
	case "/pairing/validate":
		var body struct{ Pairing Pairing }
		json.NewDecoder(r.Body).Decode(&body)
		answer = body.Pairing == testPairing
	case "/token/get":
		f.mu.Lock()
		token := fmt.Sprintf("token%d", len(f.tokens))
		f.tokens = append(f.tokens, token)
		f.mu.Unlock()
		answer = map[string]string{"token": token}
	}
	json.NewEncoder(w).Encode(answer)
}

// serve is the life of a client's connection.
func (f *fake) serve(c *ws.Conn, _ *http.Request) {
	if f.first != nil && !f.first(c) {
		return
	}
	if _, _, err := c.Read(); err != nil { // the registration
		return
	}
	f.mu.Lock()
	c.Write(ws.Text, []byte("HANDSHAKE_SUCCESS")) // who gets this first is the first
	if o := f.waiting; o != nil {
		f.waiting = nil
		f.peers[c], f.peers[o] = o, c
		c.Write(ws.Text, []byte(`§{"name":"peer.connected","data":{"isInitiator":false}}`))
		o.Write(ws.Text, []byte(`§{"name":"peer.connected","data":{"isInitiator":true}}`))
	} else {
		f.waiting = c
	}
	f.mu.Unlock()
	for {
		kind, data, err := c.Read()
		f.mu.Lock()
		o := f.peers[c]
		if err != nil && f.waiting == c {
			f.waiting = nil
		}
		f.mu.Unlock()
		if err != nil {
			if o != nil {
				go o.Close(ws.CloseNormal, "")
			}
			return
		}
		if f.edit != nil {
			data = f.edit(data)
		}
		if o != nil && data != nil {
			o.Write(kind, data)
		}
	}
}

// A user is a client and what it was told.
type user struct {
	*Client
	t testing.TB

	mu      sync.Mutex
	events  []Event // not expected yet
	changed chan struct{}
}

func newUser(t testing.TB, cfg ClientConfig) *user {
	u := &user{t: t, changed: make(chan struct{})}
	cfg.Loopback = true
	cfg.OnEvent = func(e Event) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.events = append(u.events, e)
		close(u.changed)
		u.changed = make(chan struct{})
	}
	u.Client = NewClient(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		u.Close(ctx)
	})
	return u
}

// next waits for an event of a type, and returns the first. Each is returned once.
func next[E Event](u *user) E {
	u.t.Helper()
	late := time.After(timeout)
	for {
		u.mu.Lock()
		i := slices.IndexFunc(u.events, func(e Event) bool { _, ok := e.(E); return ok })
		if i >= 0 {
			e := u.events[i].(E)
			u.events = slices.Delete(u.events, i, i+1)
			u.mu.Unlock()
			return e
		}
		events, changed := slices.Clone(u.events), u.changed
		u.mu.Unlock()
		select {
		case <-changed:
		case <-late:
			u.t.Fatalf("no %T came, but %.500v", *new(E), events)
		}
	}
}

func (u *user) wantMessage(kind Kind, data string) {
	u.t.Helper()
	if m := next[Message](u); m.Kind != kind || string(m.Data) != data {
		u.t.Fatalf("got %v %.100q, want %v %.100q", m.Kind, m.Data, kind, data)
	}
}

func (u *user) send(kind Kind, data string) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), timeout)
	defer cancel()
	if err := u.Send(ctx, kind, []byte(data)); err != nil {
		u.t.Fatal(err)
	}
}

// couple pairs two clients.
func couple(t testing.TB, f *fake, a, b ClientConfig) (first, second *user) {
	t.Helper()
	a.URL, b.URL = f.URL, f.URL
	first, second = newUser(t, a), newUser(t, b)
	p, err := first.InitPairing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Pair(t.Context(), p.Code); err != nil {
		t.Fatal(err)
	}
	for _, u := range []*user{first, second} {
		next[ServerReady](u)
		next[ConnectionEstablished](u)
		if e := next[PeerConnected](u); e.Initiator != (u == first) || e.Pairing != testPairing {
			t.Fatalf("%+v", e)
		}
	}
	return first, second
}

// An oldPeer is the other side as an original is on the wire, without data channels.
type oldPeer struct {
	t testing.TB
	*ws.Conn
}

// coupleOld pairs a client with an original.
func coupleOld(t testing.TB, f *fake, cfg ClientConfig) (*user, oldPeer) {
	t.Helper()
	cfg.URL, cfg.NoUpgrade = f.URL, true
	u := newUser(t, cfg)
	if _, err := u.InitPairing(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := ws.Dial(t.Context(), "ws"+strings.TrimPrefix(f.URL, "http")+"/ws", ws.DialConfig{Subprotocols: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	o := oldPeer{t, c}
	o.say("register")
	o.want("HANDSHAKE_SUCCESS")
	o.want(`§{"name":"peer.connected","data":{"isInitiator":false}}`)
	next[PeerConnected](u)
	if s := o.read(); !strings.HasPrefix(s, `§{"name":"meshpair.hello",`) {
		t.Fatalf("no hello but %q", s)
	}
	return u, o
}

func (o oldPeer) say(s string) {
	o.t.Helper()
	if err := o.Write(ws.Text, []byte(s)); err != nil {
		o.t.Fatal(err)
	}
}

func (o oldPeer) read() string {
	o.t.Helper()
	o.SetReadDeadline(time.Now().Add(timeout))
	_, data, err := o.Read()
	if err != nil {
		o.t.Fatal(err)
	}
	return string(data)
}

func (o oldPeer) want(s string) {
	o.t.Helper()
	if got := o.read(); got != s {
		o.t.Fatalf("got %q, want %q", got, s)
	}
}

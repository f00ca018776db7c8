package peersox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/ws"
	"github.com/meshpair/meshpair/peersox"
)

// patience is how long something that is due may take.
const patience = 10 * time.Second

// A service is a server under test.
type service struct {
	t   *testing.T
	url string
	*peersox.Server
}

func start(t *testing.T, cfg peersox.ServerConfig) *service {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := peersox.NewServer(cfg)
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Shutdown(ctx)
		h.Close()
	})
	return &service{t, h.URL, s}
}

// request sends a request and returns the answer with its body.
func (s *service) request(method, path, body string, header ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(b)
}

// get reads JSON.
func (s *service) get(path string, into any) {
	s.t.Helper()
	resp, body := s.request("GET", path, "")
	if err := json.Unmarshal([]byte(body), into); err != nil || resp.StatusCode != 200 {
		s.t.Fatalf("%s: %s %s: %v", path, resp.Status, body, err)
	}
}

func (s *service) pairing() (p peersox.Pairing) {
	s.t.Helper()
	s.get("/api/code/get", &p)
	return p
}

// validate says what the server answers to a code.
func (s *service) validate(code string, header ...string) (*http.Response, string) {
	s.t.Helper()
	return s.request("POST", "/api/code/validate", fmt.Sprintf(`{"code":%q}`, code), header...)
}

func (s *service) token() string {
	s.t.Helper()
	var answer struct{ Token string }
	s.get("/api/token/get", &answer)
	return answer.Token
}

// connect opens a WebSocket with a token.
func (s *service) connect(token string) (*ws.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cfg := ws.DialConfig{Config: ws.Config{MaxMessage: 8 << 20}}
	if token != "" {
		cfg.Subprotocols = []string{token}
	}
	c, err := ws.Dial(ctx, "ws"+strings.TrimPrefix(s.url, "http")+"/ws", cfg)
	if err == nil {
		s.t.Cleanup(c.Abort)
		c.SetReadDeadline(time.Now().Add(patience))
	}
	return c, err
}

// A user is a client by its WebSocket.
type user struct {
	t *testing.T
	*ws.Conn
}

// open connects a user that has not registered.
func (s *service) open() user {
	s.t.Helper()
	c, err := s.connect(s.token())
	if err != nil {
		s.t.Fatal(err)
	}
	return user{s.t, c}
}

// register connects a user, registers it and expects an answer.
func (s *service) register(p peersox.Pairing, want string) user {
	s.t.Helper()
	u := s.open()
	u.say(fmt.Sprintf(`§{"name":"client.register","data":{"code":%q,"hash":%q}}`, p.Code, p.Hash))
	u.want(want)
	return u
}

const (
	success = "HANDSHAKE_SUCCESS"
	failed  = "HANDSHAKE_FAILED"
)

func connected(initiator bool, p peersox.Pairing) string {
	return fmt.Sprintf(`§{"name":"peer.connected","data":{"isInitiator":%v,"pairing":{"code":%q,"hash":%q}}}`, initiator, p.Code, p.Hash)
}

// pair returns two users that are connected with one another.
func (s *service) pair(p peersox.Pairing) (initiator, joiner user) {
	s.t.Helper()
	initiator = s.register(p, success)
	joiner = s.register(p, success)
	joiner.want(connected(false, p))
	initiator.want(connected(true, p))
	return initiator, joiner
}

func (u user) say(text string) {
	u.t.Helper()
	if err := u.Write(ws.Text, []byte(text)); err != nil {
		u.t.Fatal(err)
	}
}

func (u user) want(text string) { u.t.Helper(); u.wantMessage(ws.Text, []byte(text)) }

func (u user) wantMessage(kind ws.Kind, data []byte) {
	u.t.Helper()
	k, got, err := u.Read()
	if err != nil || k != kind || !bytes.Equal(got, data) {
		u.t.Fatalf("got %d %.200q, %v; want %d %.200q", k, got, err, kind, data)
	}
}

// wantClose expects the end of the connection with a code.
func (u user) wantClose(code int) {
	u.t.Helper()
	_, got, err := u.Read()
	var closed *ws.CloseError
	if !errors.As(err, &closed) || closed.Code != code {
		u.t.Fatalf("got %.200q, %v; want close code %d", got, err, code)
	}
}

// eventually waits for a condition that nothing announces.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !f(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

package rtc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/turntest"
	"github.com/pion/stun"
)

// probed asks a server on 127.0.0.1 what is wrong with it.
func probed(t *testing.T, url, user string) error {
	t.Helper()
	cfg := Config{Loopback: true}
	return cfg.Probe(t.Context(), ICEServer{Username: user, Credential: turntest.Credential}, url)
}

// A server that does what it is there for has nothing wrong with it, and gets back what it lent.
func TestProbe(t *testing.T) {
	s := turntest.Start(t)
	for _, u := range []string{s.UDP, s.TCP, s.STUN} {
		if err := probed(t, u, turntest.Username); err != nil {
			t.Errorf("%s: %v", u, err)
		}
	}
	awaitNothingLent(t, s)
	if s.Lent() != 2 {
		t.Errorf("%d addresses were lent", s.Lent())
	}
}

// answering runs a server that answers each packet by f, which may return nil, and returns its address.
func answering(t *testing.T, f func(packet []byte) []byte) string {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if b := f(buf[:n]); b != nil {
				conn.WriteTo(b, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-ended })
	return conn.LocalAddr().String()
}

// refusing refuses each request with a code, the first with what is needed to log in.
func refusing(code stun.ErrorCode) func([]byte) []byte {
	return func(packet []byte) []byte {
		req := &stun.Message{Raw: packet}
		if req.Decode() != nil {
			return nil
		}
		answer := code
		if !req.Contains(stun.AttrMessageIntegrity) && code != stun.CodeForbidden {
			answer = stun.CodeUnauthorized
		}
		res := stun.MustBuild(stun.NewTransactionIDSetter(req.TransactionID), stun.NewType(req.Type.Method, stun.ClassErrorResponse),
			answer, stun.NewRealm("test"), stun.NewNonce("nonce"))
		return res.Raw
	}
}

// What is wrong with a server is told in a few words, which are the same each time.
func TestProbeFails(t *testing.T) {
	s := turntest.Start(t)
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	secret := httptest.NewUnstartedServer(http.NotFoundHandler())
	secret.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secret.StartTLS()
	defer secret.Close()
	garbage := answering(t, func([]byte) []byte { return []byte("hello") })
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	greeting, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer greeting.Close()
	go func() {
		for {
			conn, err := greeting.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "220 mail.example.org is at your service\r\n")
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	addr := func(url string) string { return url[strings.LastIndex(url, "/")+1:] }
	for _, test := range []struct {
		name, url, user, say string
		is                   error
	}{
		{"wrong user", s.UDP, "stranger", `400 Bad Request for user "stranger"`, nil},
		{"wrong user by TCP", s.TCP, "stranger", `400 Bad Request for user "stranger"`, nil},
		{"401", "turn:" + answering(t, refusing(stun.CodeUnauthorized)), "u", `401 Unauthorized for user "u"`, nil},
		{"stale for ever", "turn:" + answering(t, refusing(stun.CodeStaleNonce)), "u", `438 Stale Nonce for user "u"`, nil},
		{"quota", "turn:" + answering(t, refusing(stun.CodeAllocQuotaReached)), "u", `486 Allocation Quota Reached for user "u"`, nil},
		{"forbidden", "turn:" + answering(t, refusing(stun.CodeForbidden)), "u", `403 Forbidden`, nil},
		{"STUN refused", "stun:" + answering(t, refusing(stun.CodeForbidden)), "", `403 Forbidden`, nil},
		{"garbage", "turn:" + garbage, "u", "", ErrNoICEServer},
		{"garbage for STUN", "stun:" + garbage, "", "", ErrNoICEServer},
		{"a mail server", "turn:" + greeting.Addr().String() + "?transport=tcp", "u", "", ErrNoICEServer},
		{"no TLS", "turns:" + addr(web.URL) + "?transport=tcp", "u", "tls: first record does not look like a TLS handshake", nil},
		{"an unknown authority", "turns:" + addr(secret.URL) + "?transport=tcp", "u", "certificate", nil},
		{"nobody there, by TCP", "turn:" + closed.Addr().String() + "?transport=tcp", "u", "connection refused", syscall.ECONNREFUSED},
		{"nobody there, by UDP", "turn:" + closed.Addr().String(), "u", "connection refused", syscall.ECONNREFUSED},
		{"nobody there, for STUN", "stun:" + closed.Addr().String(), "", "connection refused", syscall.ECONNREFUSED},
		{"nobody there, by DTLS", "turns:" + closed.Addr().String() + "?transport=udp", "u", "connection refused", syscall.ECONNREFUSED},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := probed(t, test.url, test.user)
			if err == nil || !strings.Contains(err.Error(), test.say) || test.is != nil && !errors.Is(err, test.is) {
				t.Fatalf("%v, want %q, %v", err, test.say, test.is)
			}
			var refused *ServerError
			if got := errors.As(err, &refused); got != strings.HasPrefix(test.say, "4") {
				t.Errorf("%T", err)
			}
			if again := probed(t, test.url, test.user); again == nil || again.Error() != err.Error() {
				t.Errorf("now %v", again)
			}
		})
	}
	awaitNothingLent(t, s)
}

// A silent server is given up, and what a server says too late or unasked does no harm.
func TestProbeSilence(t *testing.T) {
	udp, tcp := silentServers(t)
	for _, u := range []string{udp, tcp, strings.Replace(tcp, "turn:", "turns:", 1), strings.Replace(udp, "turn:", "turns:", 1)} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := Config{Loopback: true}.Probe(ctx, ICEServer{Username: "u", Credential: "c"}, u)
		cancel()
		if !errors.Is(err, ErrNoAnswer) {
			t.Errorf("%s: %v", u, err)
		}
	}
	var requests atomic.Int32
	twice := answering(t, func(packet []byte) []byte {
		if requests.Add(1) == 1 {
			return nil // lost
		}
		req := &stun.Message{Raw: packet}
		if err := req.Decode(); err != nil {
			t.Error(err)
		}
		return stun.MustBuild(req, stun.BindingSuccess).Raw
	})
	if err := probed(t, "stun:"+twice, ""); err != nil || requests.Load() != 2 {
		t.Errorf("%v after %d requests", err, requests.Load())
	}
}

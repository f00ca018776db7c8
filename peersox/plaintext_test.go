package peersox_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/meshpair/meshpair/peersox"
)

// TestPlaintextRefused: a server on another machine is reached by https and wss alone, unless the user allows more (SEC-31).
func TestPlaintextRefused(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel() // so that what is not refused goes no further than to a context that has ended
	for _, c := range []struct {
		url, socket string
		refused     bool
	}{
		{"http://203.0.113.7:3000", "", true},
		{"http://pair.example", "", true},
		{"HTTP://203.0.113.7", "", true},
		{"http://127.0.0.1.example", "", true},
		{"http://[2001:db8::1]", "", true},
		{"http://203.0.113.7", "wss://203.0.113.7/ws", true},
		{"https://pair.example", "ws://pair.example/ws", true},
		{"http://127.0.0.1:1", "ws://203.0.113.7/ws", true},
		{"https://pair.example", "", false},
		{"https://pair.example", "wss://pair.example/ws", false},
		{"http://localhost:1", "", false},
		{"http://127.0.0.1:1", "", false},
		{"http://[::1]:1", "", false},
	} {
		for _, allowed := range []bool{false, true} {
			client := peersox.NewClient(peersox.ClientConfig{URL: c.url, SocketURL: c.socket, AllowPlaintext: allowed})
			_, created := client.CreatePairing(over)
			for name, err := range map[string]error{
				"Init": client.Init(over), "CreatePairing": created, "Connect": client.Connect(over, peersox.Pairing{}),
			} {
				want := context.Canceled
				if c.refused && !allowed {
					want = peersox.ErrPlaintext
				}
				if !errors.Is(err, want) {
					t.Errorf("%s of %q %q, allowed %v: %v, not %v", name, c.url, c.socket, allowed, err, want)
				}
			}
		}
	}
}

// TestTLS: a server is verified by the roots that the user names, and shown the user's certificate (SEC-30).
func TestTLS(t *testing.T) {
	server := peersox.NewServer(peersox.ServerConfig{Logger: slog.New(slog.DiscardHandler)})
	web := httptest.NewUnstartedServer(server)
	web.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	web.StartTLS()
	defer web.Close()
	defer server.Shutdown(context.Background())
	roots := web.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	client := func(cfg *tls.Config) *peersox.Client {
		return peersox.NewClient(peersox.ClientConfig{URL: web.URL, Loopback: true, NoUpgrade: true, TLS: cfg})
	}
	var unknown x509.UnknownAuthorityError
	if err := client(nil).Init(t.Context()); !errors.As(err, &unknown) {
		t.Error("unknown roots:", err)
	}
	if err := client(&tls.Config{RootCAs: roots}).Init(t.Context()); err == nil {
		t.Error("it let in who shows no certificate")
	}
	c := client(&tls.Config{RootCAs: roots, Certificates: web.TLS.Certificates})
	if _, err := c.InitPairing(t.Context()); err != nil { // by https and by wss
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

package netflux_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/meshpair/meshpair/netflux"
	"github.com/meshpair/meshpair/sigver"
	"github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
)

// dials counts who is connected to.
type dials struct {
	mu  sync.Mutex
	all []string
}

// config returns a configuration whose connections are counted and fail.
func (d *dials) config(cfg netflux.Config) netflux.Config {
	cfg.SetDial(nil, func(_ context.Context, addr string) (net.Conn, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.all = append(d.all, addr)
		return nil, errors.New("nobody is there")
	})
	return cfg
}

func (d *dials) list() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.all, " ")
}

// TestPlaintextRefused: a signaling server on another machine is dialled by wss alone, unless the user allows ws, and a bot
// with such a configuration is not made; this machine is known without a question to anybody (SEC-31).
func TestPlaintextRefused(t *testing.T) {
	for _, c := range []struct {
		url     string
		refused bool
	}{
		{"ws://203.0.113.7:8000", true},
		{"ws://signaling.example:8000", true},
		{"ws://localhost.example", true},
		{"ws://127.0.0.1.example", true},
		{"ws://foo.localhost", true},
		{"ws://0.0.0.0:8000", true},
		{"ws://[::]:8000", true},
		{"ws://[2001:db8::1]:8000", true},
		{"WS://203.0.113.7", true},
		{"ws://127.1:8000", true}, // what a resolver makes of that is not known
		{"wss://203.0.113.7:8000", false},
		{"ws://localhost:1", false},
		{"ws://127.0.0.1:1", false},
		{"ws://127.8.9.10:1", false},
		{"ws://[::1]:1", false},
	} {
		var d dials
		cfg := d.config(netflux.Config{SignalingURL: c.url, NoRejoin: true})
		err := netflux.New(cfg).Join(t.Context(), "key")
		if errors.Is(err, netflux.ErrPlaintext) != c.refused || (d.list() == "") != c.refused {
			t.Errorf("%s: %v; dialled %q", c.url, err, d.list())
		}
		_, err = netflux.NewBot(netflux.BotConfig{URL: "wss://bot.example", Group: cfg})
		if errors.Is(err, netflux.ErrPlaintext) != c.refused {
			t.Errorf("a bot of %s: %v", c.url, err)
		}
		d = dials{}
		cfg = d.config(netflux.Config{SignalingURL: c.url, NoRejoin: true, AllowPlaintext: true})
		if err := netflux.New(cfg).Join(t.Context(), "key"); errors.Is(err, netflux.ErrPlaintext) || d.list() == "" {
			t.Errorf("%s, allowed: %v; dialled %q", c.url, err, d.list())
		}
	}
}

// TestPlaintextInvite: nor is a bot on another machine (SEC-31, SEC-33).
func TestPlaintextInvite(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		var mu sync.Mutex
		var dialled []string
		signaling := startSignaling(t)
		cfg := netflux.Config{SignalingURL: signaling, AllowPlaintext: allowed}
		cfg.SetDial(nil, func(ctx context.Context, addr string) (net.Conn, error) {
			if "ws://"+addr == signaling {
				var d net.Dialer
				return d.DialContext(ctx, "tcp", addr)
			}
			mu.Lock()
			defer mu.Unlock()
			dialled = append(dialled, addr)
			return nil, errors.New("nobody is there")
		})
		g := netflux.New(cfg)
		if err := g.Join(t.Context(), "key"); err != nil {
			t.Fatal(err)
		}
		err := g.Invite(t.Context(), "ws://203.0.113.7:9000/bot")
		mu.Lock()
		if errors.Is(err, netflux.ErrPlaintext) == allowed || err == nil || (len(dialled) > 0) != allowed {
			t.Errorf("allowed %v: %v; dialled %q", allowed, err, dialled)
		}
		dialled = nil
		mu.Unlock()
		if err := g.Invite(t.Context(), "wss://203.0.113.7:9000/bot"); errors.Is(err, netflux.ErrPlaintext) {
			t.Error(err)
		}
		mu.Lock()
		if len(dialled) != 1 {
			t.Errorf("wss: dialled %q", dialled)
		}
		mu.Unlock()
		if err := g.Leave(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestListenWarning: who listens for other machines without TLS is warned, once (SEC-32).
func TestListenWarning(t *testing.T) {
	server, _ := certified(t)
	for _, c := range []struct {
		name  string
		cfg   netflux.Config
		warns int
	}{
		{"all interfaces", netflux.Config{Listen: ":0", ListenURL: "ws://127.0.0.1:1"}, 1},
		{"all, by TLS", netflux.Config{Listen: ":0", ListenURL: "wss://127.0.0.1:1", ListenTLS: server}, 0},
		{"this machine", netflux.Config{Listen: "127.0.0.1:0"}, 0},
	} {
		var log lockedBuffer
		c.cfg.SignalingURL, c.cfg.Logger = startSignaling(t), slog.New(slog.NewTextHandler(&log, nil))
		p := newPeer(t, c.cfg)
		p.join("key")
		if n := strings.Count(log.String(), "without TLS"); n != c.warns {
			t.Errorf("%s: %d warnings\n%s", c.name, n, log.String())
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A capture keeps all bytes that members send and get, as they are on the wire: of each TCP connection, and of each UDP
// socket packet after packet.
type capture struct {
	transport.Net
	tcp, udp tap
}

func newCapture(t *testing.T) *capture {
	t.Helper()
	n, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	return &capture{Net: n}
}

func (c *capture) dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	out, in := c.tcp.conn()
	return &tappedConn{conn, in, out}, nil
}

func (c *capture) ListenUDP(network string, addr *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := c.Net.ListenUDP(network, addr)
	if err != nil {
		return nil, err
	}
	out, in := c.udp.conn()
	return capturedUDP{conn, out, in}, nil
}

type capturedUDP struct {
	transport.UDPConn
	out, in func([]byte)
}

func (c capturedUDP) WriteTo(b []byte, to net.Addr) (int, error) {
	c.out(b)
	return c.UDPConn.WriteTo(b, to)
}

func (c capturedUDP) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.UDPConn.ReadFrom(b)
	c.in(b[:max(n, 0)])
	return n, from, err
}

// count returns how many bytes were captured, and how often a text is among them.
func (t *tap) count(text string) (size, times int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.streams {
		size += len(s.b)
		times += bytes.Count(s.b, []byte(text))
	}
	return size, times
}

// startTLSSignaling runs a signaling server that asks for a certificate, and returns its URL.
func startTLSSignaling(t *testing.T, cfg *tls.Config) string {
	t.Helper()
	s, served := sigver.New(sigver.Config{Logger: slog.New(slog.DiscardHandler)}), make(chan error, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg = cfg.Clone()
	cfg.ClientAuth = tls.RequireAnyClientCert
	go func() { served <- s.Serve(tls.NewListener(l, cfg)) }()
	t.Cleanup(func() {
		s.Shutdown(context.Background())
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return "wss://" + l.Addr().String()
}

// Texts that are in each message, and in what the group says of itself.
const (
	capturedText = "this is what one member says to another, and nobody else is to read"
	capturedKey  = "a-key-that-nobody-else-is-to-read"
)

// busyGroup has two members that listen and two that do not talk: each to all and to each, short and long.
func busyGroup(t *testing.T, cfg netflux.Config, listenTLS *tls.Config) {
	t.Helper()
	listening := cfg
	listening.Listen, listening.ListenTLS = "127.0.0.1:0", listenTLS
	all := []*peer{newPeer(t, listening), newPeer(t, listening), newPeer(t, cfg), newPeer(t, cfg)}
	for i, p := range all {
		p.join(capturedKey)
		for _, q := range all[:i] {
			q.wait("joining", func(e []netflux.Event) bool { return told(e, netflux.MemberJoined{ID: p.ID()}) })
		}
	}
	long := strings.Repeat(capturedText, 1000)
	for _, p := range all {
		if err := p.Send(t.Context(), netflux.Text, []byte(capturedText)); err != nil {
			t.Fatal(err)
		}
		if err := p.Send(t.Context(), netflux.Binary, []byte(long)); err != nil {
			t.Fatal(err)
		}
		for _, q := range all {
			if p != q {
				if err := p.SendTo(t.Context(), q.ID(), netflux.Text, []byte(fmt.Sprint(capturedText, p.ID()))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, p := range all {
		for _, m := range p.messages(9) {
			if !strings.Contains(string(m.Data), capturedText) {
				t.Errorf("%.100q came", m.Data)
			}
		}
	}
}

// TestNothingReadable: in a group whose signaling and listening members use TLS nothing that a member says, no key and no
// description of a connection can be read on the wire; the servers and members are verified by the user's own roots, and the
// user's certificate is shown to the signaling server, not to members (SEC-30).
func TestNothingReadable(t *testing.T) {
	server, client := certified(t)
	client.Certificates = server.Certificates
	members := server.Clone()
	members.ClientAuth = tls.RequestClientCert
	members.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) > 0 {
			t.Error("a member was shown the user's certificate")
		}
		return nil
	}
	c := newCapture(t)
	cfg := netflux.Config{SignalingURL: startTLSSignaling(t, server), TLS: client}
	cfg.SetDial(c, c.dial)
	busyGroup(t, cfg, members)
	for _, text := range []string{capturedText[:20], capturedKey, "candidate:", "fingerprint", "senderId"} {
		for name, tap := range map[string]*tap{"TCP": &c.tcp, "UDP": &c.udp} {
			// Four long messages, and more, went over each kind of channel; of UDP both ends are seen.
			if size, times := tap.count(text); times > 0 || size < 4*1000*len(capturedText) {
				t.Errorf("%q is %d times in the %d bytes of %s", text, times, size, name)
			}
		}
	}
}

// TestSomethingReadable shows that TestNothingReadable would find what it looks for: without TLS it does.
func TestSomethingReadable(t *testing.T) {
	c := newCapture(t)
	cfg := netflux.Config{SignalingURL: startSignaling(t)}
	cfg.SetDial(c, c.dial)
	busyGroup(t, cfg, nil)
	for _, text := range []string{capturedText[:20], capturedKey, "candidate:", "fingerprint", "senderId"} {
		if _, times := c.tcp.count(text); times == 0 {
			t.Errorf("%q is not found", text)
		}
	}
	if _, times := c.udp.count(capturedText[:20]); times > 0 {
		t.Error("a data channel is not encrypted")
	}
}

// TestUnverified: a server with a certificate that nobody vouches for is not talked to (SEC-30).
func TestUnverified(t *testing.T) {
	server, client := certified(t)
	url := startTLSSignaling(t, server)
	g := netflux.New(netflux.Config{SignalingURL: url, NoRejoin: true, TLS: &tls.Config{Certificates: server.Certificates}})
	var unknown *tls.CertificateVerificationError
	if err := g.Join(t.Context(), "key"); !errors.As(err, &unknown) {
		t.Error("unknown roots:", err)
	}
	g = netflux.New(netflux.Config{SignalingURL: url, NoRejoin: true, TLS: client})
	if err := g.Join(t.Context(), "key"); err == nil {
		t.Error("it let in who shows no certificate")
	}
}

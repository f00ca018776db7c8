package rtc

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"
)

// What the user says of servers is passed on, and nothing else.
func TestConfiguration(t *testing.T) {
	configuration, err := Config{}.configuration()
	if err != nil {
		t.Fatal(err)
	}
	if len(configuration.ICEServers) != 0 || configuration.ICETransportPolicy != webrtc.ICETransportPolicyAll || len(configuration.Certificates) != 1 {
		t.Errorf("by default: %+v", configuration)
	}
	cfg := Config{RelayOnly: true, ICEServers: []ICEServer{{[]string{"turn:127.0.0.1:9"}, "user", "secret"}}}
	pc, err := cfg.withDefaults().newPeerConnection(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pc.GracefulClose()
	got := pc.GetConfiguration()
	if got.ICETransportPolicy != webrtc.ICETransportPolicyRelay || len(got.ICEServers) != 1 {
		t.Fatalf("got %+v", got)
	}
	server := got.ICEServers[0]
	if server.URLs[0] != "turn:127.0.0.1:9" || server.Username != "user" || server.Credential != "secret" {
		t.Errorf("got %+v", server)
	}
	for name, bad := range map[string]ICEServer{
		"url": {URLs: []string{"http://127.0.0.1"}}, "credentials": {URLs: []string{"turn:127.0.0.1:9"}},
	} {
		if _, err := Answer(Config{ICEServers: []ICEServer{bad}}, nil); err == nil {
			t.Errorf("a server with a bad %s is taken", name)
		}
	}
}

// However large messages may be, the receive window is larger, and a number that pion takes.
func TestWindow(t *testing.T) {
	for size, want := range map[int]int{0: minWindow, 1: minWindow, minWindow: minWindow + 64<<10, math.MaxInt: maxMessage + 64<<10} {
		if got := (Config{MaxMessage: size}).withDefaults().window(); got != want {
			t.Errorf("for messages of %d bytes the window is %d, want %d", size, got, want)
		}
	}
}

// An end that may only use relays and has none says so at once, and shows nothing of itself (BLD-25).
func TestNoRelay(t *testing.T) {
	start := time.Now()
	c, said := started(t, true, Config{RelayOnly: true})
	var failed *OpenError
	if err := c.Open(t.Context()); !errors.Is(err, ErrNoRelay) || !errors.As(err, &failed) || failed.Local.total() > 0 {
		t.Errorf("Open: %v", err)
	}
	if d := time.Since(start); d > RelayTimeout/2 {
		t.Errorf("it takes %v", d)
	}
	for len(said) > 0 {
		if s := <-said; s.Type == SignalCandidate || strings.Contains(s.SDP, "a=candidate") {
			t.Errorf("it says %+v", s)
		}
	}
}

// There is one certificate for many connections, until it nears its end.
func TestCertificate(t *testing.T) {
	var c certificate
	now := time.Now()
	first, err := c.at(now)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := c.at(first.Expires().Add(-renewal - time.Second)); again != first {
		t.Error("it is renewed too early")
	}
	second, err := c.at(first.Expires().Add(-renewal + time.Second))
	if err != nil || second == first {
		t.Errorf("it is not renewed: %v", err)
	}
	one, _ := certificates.get()
	if other, _ := certificates.get(); one != other {
		t.Error("there are two")
	}
}

// lockedBuffer is a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// What pion says goes to the logger of the user, at Debug.
func TestLogger(t *testing.T) {
	var log lockedBuffer
	a, _ := pair(t, Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}, Config{})
	a.Abort()
	log.mu.Lock()
	defer log.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(log.b.String()), "\n")
	if len(lines) < 2 {
		t.Error("nothing is said")
	}
	for _, line := range lines {
		if !strings.Contains(line, "level=DEBUG") || !strings.Contains(line, "pion=") {
			t.Errorf("it says %q", line)
		}
	}
}

func TestCheck(t *testing.T) {
	good := Config{ICEServers: []ICEServer{
		{URLs: []string{"stun:127.0.0.1:3478", "stun:[::1]"}},
		{URLs: []string{"turn:127.0.0.1:3478?transport=udp", "turns:h?transport=tcp"}, Username: "u", Credential: "c"},
	}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	good.RelayOnly = true
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	good.ICEServers = good.ICEServers[:1]
	if err := good.Check(); err == nil {
		t.Error("relays only, and none named, is accepted")
	}
	for _, s := range []ICEServer{
		{}, {URLs: []string{"bogus"}}, {URLs: []string{"http://127.0.0.1"}}, {URLs: []string{"stun:"}},
		{URLs: []string{"turn:127.0.0.1"}}, {URLs: []string{"turn:127.0.0.1"}, Username: "u"},
	} {
		if err := (Config{ICEServers: []ICEServer{s}}).Check(); err == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
}

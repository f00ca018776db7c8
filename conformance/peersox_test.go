package conformance

import (
	"bufio"
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/peersox"
)

// startPeerSox runs our server on loopback.
func startPeerSox(t testing.TB) string {
	t.Helper()
	s := peersox.NewServer(peersox.ServerConfig{Logger: slog.New(slog.DiscardHandler)})
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Shutdown(ctx)
		h.Close()
	})
	return h.URL
}

// startOriginalPeerSox runs npm peersox in a process of its own.
func startOriginalPeerSox(t testing.TB) string {
	t.Helper()
	cmd := exec.Command("node", "peersox-server.mjs")
	cmd.Dir = originals(t)
	if testing.Verbose() {
		cmd.Stderr = os.Stderr
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("npm peersox does not start: %q, %v", line, err)
	}
	return url
}

// TestPeerSox runs chapter PSX on this implementation, or on another one.
func TestPeerSox(t *testing.T) {
	t.Parallel()
	target := Target{PeerSox: strings.TrimSuffix(*peersoxURL, "/")}
	if target.PeerSox == "" {
		target.PeerSox = startPeerSox(t)
	}
	judge(t, "peersox", target)
}

// TestOriginalPeerSox runs chapter PSX on npm peersox 0.3.0, which fails by
// deviations that SPEC.md names and no others. Such a case, which may end the
// process, has one of its own.
func TestOriginalPeerSox(t *testing.T) {
	t.Parallel()
	shared := Target{PeerSox: startOriginalPeerSox(t)}
	judgeOriginal(t, "peersox", "peersox-0.3.0.json", func(t *testing.T, fails bool) Target {
		if !fails {
			return shared
		}
		return Target{PeerSox: startOriginalPeerSox(t)}
	})
}

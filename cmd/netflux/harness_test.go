package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"sync"
	"testing"

	"github.com/meshpair/meshpair/internal/cli/clitest"
	"github.com/meshpair/meshpair/sigver"
)

// timeout is how long a step may take on a slow and busy machine.
const timeout = clitest.Timeout

func TestMain(m *testing.M) { clitest.Main(m, main) }

// listen opens a port on loopback.
func listen(t *testing.T) (l *net.TCPListener, url string) {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return l, "ws://" + l.Addr().String()
}

// serve runs a signaling server and returns what stops it.
func serve(t *testing.T, l net.Listener) (stop func()) {
	s := sigver.New(sigver.Config{Logger: slog.New(slog.DiscardHandler)})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("signaling server: %v", err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("signaling server: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// startSignaling runs a signaling server on loopback and returns its URL.
func startSignaling(t *testing.T) string {
	t.Helper()
	l, url := listen(t)
	serve(t, l)
	return url
}

// A running is the command under way.
type running struct{ *clitest.Running }

// start starts the command.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	return &running{clitest.Start(t, program.Run, args...)}
}

// startProcess starts the command as a process of its own, with variables added to its environment.
func startProcess(t *testing.T, env []string, args ...string) (*running, *exec.Cmd) {
	t.Helper()
	r, cmd := clitest.Process(t, env, args...)
	return &running{r}, cmd
}

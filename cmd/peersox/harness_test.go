package main

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/meshpair/meshpair/internal/cli/clitest"
	"github.com/meshpair/meshpair/peersox"
)

// timeout is how long a step may take on a slow and busy machine.
const timeout = clitest.Timeout

func TestMain(m *testing.M) { clitest.Main(m, main) }

// startServer runs a server in this process and returns its URL.
func startServer(t *testing.T) string {
	t.Helper()
	server := peersox.NewServer(peersox.ServerConfig{Logger: slog.New(slog.DiscardHandler)})
	web := httptest.NewServer(server)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("the server: %v", err)
		}
		web.Close()
	})
	return web.URL
}

// A running is the command under way.
type running struct{ *clitest.Running }

// start starts the command.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	return &running{clitest.Start(t, program.Run, args...)}
}

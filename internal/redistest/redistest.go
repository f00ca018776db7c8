// Package redistest runs real Redis servers for tests.
package redistest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/meshpair/meshpair/internal/need"
)

// startTimeout is how long a server may take to answer, on a busy machine too.
const startTimeout = 20 * time.Second

// Start runs a Redis server on a socket of its own until the test ends, and returns its URL. The server keeps nothing.
// stop ends it before.
func Start(t testing.TB) (url string, stop func()) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		need.Missing(t, "Redis; install Debian's package redis-server, or run `make test` as root on Debian")
	}
	// The path of a socket has a short limit, which that of t.TempDir can exceed.
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "redis.sock")
	cmd := exec.Command(path, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cmd.Process.Kill()
			<-ended
		}
	}
	t.Cleanup(func() {
		stop()
		os.RemoveAll(dir)
	})
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true})
	defer client.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(startTimeout); ; <-tick.C {
		if _, err := os.Stat(socket); err == nil && client.Ping(context.Background()).Err() == nil {
			return "unix://" + socket, stop
		}
		if time.Now().After(end) {
			t.Fatal("redis-server does not answer")
		}
	}
}

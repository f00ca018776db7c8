//go:build unix

package benchmarks

import (
	"flag"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"
)

// The environment of a process that is to be a server.
const (
	childEnv   = "MESHPAIR_BENCHMARKS_SERVER"  // the kind of server
	profileEnv = "MESHPAIR_BENCHMARKS_PROFILE" // where its profiles go, without an extension; empty for none
)

var (
	rounds         = flag.Int("rounds", 9, "how often each server is measured")
	roundTime      = flag.Duration("round", 400*time.Millisecond, "how long one round of messages takes")
	idleConns      = flag.Int("conns", 2000, "connections that are idle")
	waitingClients = flag.Int("waiting", 10_000, "PeerSox clients that wait")
	profileDir     = flag.String("profiles", "", "existing directory for profiles of the servers")
)

func TestMain(m *testing.M) {
	raiseFileLimit()
	if kind := os.Getenv(childEnv); kind != "" {
		if err := serveChild(kind); err != nil {
			fmt.Fprintln(os.Stderr, "benchmarks: server:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// raiseFileLimit allows as many open files as this process may allow itself.
// Where it cannot, connections fail with an error that says why.
func raiseFileLimit() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}

// fileLimit is how many files this process, and a child of it, may have open.
func fileLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur)
}

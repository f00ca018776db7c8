//go:build unix

package benchmarks

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/meshpair/meshpair/peersox"
	"github.com/meshpair/meshpair/sigver"
)

// The kinds of server. That of npm peersox is no child of this kind.
const (
	ours        = "ours"
	bare        = "bare"
	peersoxKind = "peersox"
	npmKind     = "npm"
)

// childStats is a child's answer to each command: its figures at that moment.
type childStats struct {
	CPU     time.Duration // of the user and the system, since the process began
	Mallocs uint64        // objects allocated since then
	Conns   int           // connections
	Heap    uint64        // bytes of objects
	Stacks  uint64        // bytes of goroutines' stacks
	RSS     uint64        // bytes; 0 where the system does not tell
}

// The commands of a child, each a line on its standard input. It answers with a
// line of JSON, and ends when its input does.
const (
	cmdStats = "stats" // the figures
	cmdClean = "clean" // the figures after all garbage has been collected
)

// serveChild is the life of a process that is a server.
func serveChild(kind string) error {
	profile := os.Getenv(profileEnv)
	if profile != "" {
		f, err := os.Create(profile + ".cpu.pprof")
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	conns, err := startServer(kind, l)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	answers := json.NewEncoder(os.Stdout)
	for commands := bufio.NewScanner(os.Stdin); commands.Scan(); {
		if commands.Text() == cmdClean {
			if err := clean(profile); err != nil {
				return err
			}
		}
		if err := answers.Encode(figures(conns())); err != nil {
			return err
		}
	}
	return nil
}

// clean collects the garbage, and tells a profile what is left.
func clean(profile string) error {
	// Twice, since what a sync.Pool holds survives once.
	runtime.GC()
	runtime.GC()
	if profile == "" {
		return nil
	}
	f, err := os.Create(profile + ".heap.pprof")
	if err != nil {
		return err
	}
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}

// startServer serves on l until the process ends, and returns how to count the
// connections. Ours has the limits and the logger that it has by default.
func startServer(kind string, l net.Listener) (conns func() int, err error) {
	var serve func(net.Listener) error
	switch kind {
	case ours:
		s := sigver.New(sigver.Config{})
		serve, conns = s.Serve, func() int { return s.Stats().Peers }
	case peersoxKind:
		s := peersox.NewServer(peersox.ServerConfig{Makes: peersox.MakeLimits{Codes: -1, CodesDaily: -1, Tokens: -1}})
		serve = func(l net.Listener) error { return http.Serve(l, s) }
		conns = func() int { return s.Stats().Clients }
	case bare:
		r := new(relay)
		serve, conns = r.serve, func() int { return int(r.open.Load()) }
	default:
		return nil, fmt.Errorf("no such kind of server: %q", kind)
	}
	go func() {
		fmt.Fprintln(os.Stderr, "benchmarks: server:", serve(l))
		os.Exit(1)
	}()
	return conns, nil
}

func figures(conns int) childStats {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return childStats{
		CPU:     time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
		Mallocs: mem.Mallocs,
		Conns:   conns,
		Heap:    mem.HeapAlloc,
		Stacks:  mem.StackInuse,
		RSS:     rss(),
	}
}

func rss() uint64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident uint64
	fmt.Sscan(string(statm), &size, &resident)
	return resident * uint64(os.Getpagesize())
}

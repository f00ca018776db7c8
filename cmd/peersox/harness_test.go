package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshpair/meshpair/peersox"
)

// timeout is how long a step may take on a slow and busy machine.
const timeout = 20 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	before := runtime.NumGoroutine()
	status := m.Run()
	for end := time.Now().Add(timeout); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			fmt.Printf("FAIL: %d goroutines are left\n", runtime.NumGoroutine()-before)
			pprof.Lookup("goroutine").WriteTo(os.Stdout, 1)
			status = 1
			break
		}
	}
	os.Exit(status)
}

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
type running struct {
	t    *testing.T
	in   *io.PipeWriter
	stop context.CancelFunc // does what SIGTERM does

	ended  chan struct{}
	status int          // once it has ended
	stderr bytes.Buffer // once it has ended

	mu      sync.Mutex
	part    []byte   // of a line
	lines   []string // that were printed and not expected yet
	changed chan struct{}
}

// start starts the command.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	stdin, in := io.Pipe()
	r := &running{t: t, in: in, stop: stop, ended: make(chan struct{}), changed: make(chan struct{})}
	go func() {
		r.status = run(ctx, args, stdin, r, &r.stderr)
		close(r.ended)
	}()
	t.Cleanup(func() {
		stop()
		in.Close()
		r.wait()
	})
	return r
}

// Write takes what the command prints.
func (r *running) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.part = append(r.part, b...)
	for {
		line, rest, ok := bytes.Cut(r.part, []byte("\n"))
		if !ok {
			break
		}
		r.lines = append(r.lines, string(line))
		r.part = rest
	}
	close(r.changed)
	r.changed = make(chan struct{})
	return len(b), nil
}

// say writes lines to the command's input.
func (r *running) say(lines ...string) {
	r.t.Helper()
	if _, err := io.WriteString(r.in, strings.Join(lines, "\n")+"\n"); err != nil {
		r.t.Fatal(err)
	}
}

// line waits for a line that fulfils a condition, and returns it. Each is returned once.
func (r *running) line(what string, ok func(string) bool) string {
	r.t.Helper()
	late := time.After(timeout)
	for {
		r.mu.Lock()
		lines, changed := slices.Clone(r.lines), r.changed
		if i := slices.IndexFunc(r.lines, ok); i >= 0 {
			r.lines = slices.Delete(r.lines, i, i+1)
			r.mu.Unlock()
			return lines[i]
		}
		r.mu.Unlock()
		select {
		case <-changed:
		case <-late:
			r.t.Fatalf("no line with %s came, but these:\n%.2000s", what, strings.Join(lines, "\n"))
		}
	}
}

// expect waits for a line with a text in it.
func (r *running) expect(text string) string {
	r.t.Helper()
	return r.line(text, func(line string) bool { return strings.Contains(line, text) })
}

// rest returns the lines that were printed and not expected.
func (r *running) rest() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// wait waits for the end.
func (r *running) wait() {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(timeout):
		r.t.Fatalf("it does not end; it has printed\n%.2000s", strings.Join(r.rest(), "\n"))
	}
}

// end closes the input and expects the command to end with status 0 and without complaint.
func (r *running) end() {
	r.t.Helper()
	r.in.Close()
	r.wait()
	if r.status != 0 || r.stderr.Len() > 0 {
		r.t.Errorf("status %d, %s", r.status, &r.stderr)
	}
}

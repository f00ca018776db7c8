// Package clitest runs commands in tests, as a user would: by lines of input and of output.
package clitest

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/leaktest"
)

// Timeout is how long a step may take on a slow and busy machine.
const Timeout = 20 * time.Second

// asCommand is an environment variable that makes the test binary the command.
const asCommand = "MESHPAIR_TEST_AS_COMMAND"

// Main runs the tests of a command, and fails if they leave goroutines; or the command, where Process has started it.
func Main(m *testing.M, command func()) {
	if os.Getenv(asCommand) != "" {
		command()
	}
	os.Exit(leaktest.Run(m.Run))
}

// A Running is a command under way.
type Running struct {
	In   io.WriteCloser
	Stop context.CancelFunc // does what SIGTERM does; nil for a process

	Ended  chan struct{} // closed when it has; nil for a process
	Status int           // once it has ended
	Stderr bytes.Buffer  // once it has ended

	T *testing.T

	mu      sync.Mutex
	part    []byte   // of a line
	lines   []string // that were printed and not expected yet
	changed chan struct{}
}

// Run is a command, as package cli has it.
type Run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int

// Start starts a command.
func Start(t *testing.T, run Run, args ...string) *Running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	stdin, in := io.Pipe()
	r := &Running{T: t, In: in, Stop: stop, Ended: make(chan struct{}), changed: make(chan struct{})}
	go func() {
		r.Status = run(ctx, args, stdin, r, &r.Stderr)
		close(r.Ended)
	}()
	t.Cleanup(func() {
		stop()
		in.Close()
		r.Wait()
	})
	return r
}

// NewRunning returns one that has not been started: who makes it writes the output to it.
func NewRunning(t *testing.T) *Running { return &Running{T: t, changed: make(chan struct{})} }

// Command is the command as a process of its own, which is not started yet.
func Command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	return cmd
}

// Process starts the command as a process of its own, with variables added to its environment.
func Process(t *testing.T, env []string, args ...string) (*Running, *exec.Cmd) {
	t.Helper()
	r := NewRunning(t)
	cmd := Command(args...)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = r, os.Stderr
	var err error
	if r.In, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.In.Close()
		late := time.AfterFunc(Timeout, func() { cmd.Process.Kill() })
		defer late.Stop()
		cmd.Wait() // fails if the test has waited
	})
	return r, cmd
}

// Write takes what the command prints.
func (r *Running) Write(b []byte) (int, error) {
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

// Say writes lines to the command's input.
func (r *Running) Say(lines ...string) {
	r.T.Helper()
	if _, err := io.WriteString(r.In, strings.Join(lines, "\n")+"\n"); err != nil {
		r.T.Fatal(err)
	}
}

// Line waits for a line that fulfils a condition, and returns it. Each is returned once.
func (r *Running) Line(what string, ok func(string) bool) string {
	r.T.Helper()
	late := time.After(Timeout)
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
			r.T.Fatalf("no line with %s came, but these:\n%.2000s", what, strings.Join(lines, "\n"))
		}
	}
}

// Expect waits for a line with a text in it.
func (r *Running) Expect(text string) string {
	r.T.Helper()
	return r.Line(text, func(line string) bool { return strings.Contains(line, text) })
}

// Rest returns the lines that were printed and not expected.
func (r *Running) Rest() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// Wait waits for the end.
func (r *Running) Wait() {
	r.T.Helper()
	select {
	case <-r.Ended:
	case <-time.After(Timeout):
		r.T.Fatalf("it does not end; it has printed\n%.2000s", strings.Join(r.Rest(), "\n"))
	}
}

// End closes the input and expects the command to end with status 0 and without complaint.
func (r *Running) End() {
	r.T.Helper()
	r.In.Close()
	r.Wait()
	if r.Status != 0 || r.Stderr.Len() > 0 {
		r.T.Errorf("status %d, %s", r.Status, &r.Stderr)
	}
}

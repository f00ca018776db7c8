//go:build unix

package benchmarks

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// timeout is what nothing in a round may take.
const timeout = time.Minute

// A target is a server in a process of its own, as seen by the load generator.
type target struct {
	kind  string
	addr  string
	keys  int  // keys used so far
	plain bool // what is passed on is the benchmark's data and not a content of signaling

	cmd      *exec.Cmd
	commands io.WriteCloser
	answers  *json.Decoder
}

// startTarget runs this test binary again as a server.
func startTarget(kind, name string) (*target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startCommand(kind, name, exec.Command(self))
}

// startCommand runs a command that tells its address in its first line, as a URL or not, and then answers commands.
func startCommand(kind, name string, cmd *exec.Cmd) (*target, error) {
	t := &target{kind: kind, cmd: cmd}
	var err error
	// Under the race detector every process would linger for a second.
	t.cmd.Env = append([]string{"GORACE=atexit_sleep_ms=0"}, os.Environ()...)
	t.cmd.Env = append(t.cmd.Env, childEnv+"="+kind)
	if *profileDir != "" {
		file := strings.NewReplacer("/", "-", "#", "-").Replace(name) + "-" + kind
		t.cmd.Env = append(t.cmd.Env, profileEnv+"="+filepath.Join(*profileDir, file))
	}
	t.cmd.Stderr = os.Stderr
	if t.commands, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	addr, err := lines.ReadString('\n')
	if err != nil {
		t.stop()
		return nil, fmt.Errorf("%s server told no address: %w", kind, err)
	}
	t.addr = strings.TrimPrefix(strings.TrimSpace(addr), "listening on http://")
	t.answers = json.NewDecoder(lines)
	return t, nil
}

// stop ends the process by ending its input.
func (t *target) stop() error {
	t.commands.Close()
	kill := time.AfterFunc(timeout, func() { t.cmd.Process.Kill() })
	defer kill.Stop()
	return t.cmd.Wait()
}

func (t *target) ask(command string) (childStats, error) {
	var s childStats
	if _, err := io.WriteString(t.commands, command+"\n"); err != nil {
		return s, err
	}
	err := t.answers.Decode(&s)
	return s, err
}

// settle waits until the server has n connections, and returns its figures.
func (t *target) settle(n int) (childStats, error) {
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		s, err := t.ask(cmdStats)
		if err != nil || s.Conns == n {
			return s, err
		}
		if time.Since(start) > timeout {
			return s, fmt.Errorf("%s server has %d connections instead of %d", t.kind, s.Conns, n)
		}
	}
}

// startBoth starts a server of each kind, which end with the test.
func startBoth(tb testing.TB) map[string]*target {
	tb.Helper()
	targets := make(map[string]*target)
	for _, kind := range both {
		t, err := startTarget(kind, tb.Name())
		if err != nil {
			tb.Fatal(err)
		}
		targets[kind] = t
		endWith(tb, t)
	}
	return targets
}

// endWith ends a server with the test.
func endWith(tb testing.TB, t *target) {
	tb.Cleanup(func() {
		if err := t.stop(); err != nil {
			tb.Errorf("%s server: %v", t.kind, err)
		}
	})
}

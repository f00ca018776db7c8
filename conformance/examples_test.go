package conformance

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/need"
)

// python makes a command of a program in examples/.
func python(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	if exec.Command("python3", "-c", "import sys; sys.exit(sys.version_info < (3, 8))").Run() != nil {
		need.Missing(t, "Python 3.8 or later, as the command python3")
	}
	cmd := exec.Command("python3", append([]string{"-B"}, args...)...)
	cmd.Dir = "examples"
	cmd.Stderr = os.Stderr
	return cmd
}

// startPythonSigver runs examples/sigver.py, which ends cleanly at the end of the test.
func startPythonSigver(t testing.TB) string {
	t.Helper()
	cmd := python(t, "sigver.py", "-port", "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	giveUp := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
	line, _ := bufio.NewReader(out).ReadString('\n')
	giveUp.Stop()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		giveUp := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
		defer giveUp.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("sigver.py: %v", err)
		}
	})
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if !ok {
		t.Fatalf("sigver.py says %q, and not where it listens", line)
	}
	return url
}

// TestPythonSigver holds the signaling server that was written from SPEC.md and the
// vectors alone against what chapter SIG requires: the text suffices.
func TestPythonSigver(t *testing.T) {
	t.Parallel()
	target := Target{Signaling: startPythonSigver(t)}
	for _, c := range allSignaling(t) {
		if c.Level != Must || c.Long() && !*slow {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			if r := c.Run(target); r.Failed() {
				t.Error(r)
			}
		})
	}
}

// TestPythonVectors has the codec of examples/ read and write all messages of the
// vectors (WIR-1 to WIR-14).
func TestPythonVectors(t *testing.T) {
	t.Parallel()
	out, err := python(t, "check_vectors.py").Output()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

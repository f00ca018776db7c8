package conformance

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"
)

// startOriginalSigver runs npm sigver in a process of its own.
func startOriginalSigver(t testing.TB) string {
	t.Helper()
	cmd := exec.Command("node", "node_modules/sigver/dist/server.js", "-h", "127.0.0.1", "-p", "0")
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
	addr := make(chan string, 1)
	go func() {
		defer close(addr)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := regexp.MustCompile(`listening on (\S+)`).FindStringSubmatch(lines.Text()); m != nil {
				addr <- m[1]
			}
		}
	}()
	select {
	case a := <-addr:
		if a != "" {
			return "ws://" + a
		}
	case <-time.After(30 * time.Second):
	}
	t.Fatal("npm sigver does not start")
	return ""
}

// TestOriginalSigver runs chapter SIG, the transcripts included, on npm sigver
// 20.1.0: the same script drives both servers, and the answers are the same,
// except for deviations that SPEC.md names. Such a case, which may end the
// process, has one of its own.
func TestOriginalSigver(t *testing.T) {
	t.Parallel()
	shared := Target{Signaling: startOriginalSigver(t)}
	judgeOriginal(t, "sigver", "sigver-20.1.0.json", func(t *testing.T, fails bool) Target {
		if !fails {
			return shared
		}
		return Target{Signaling: startOriginalSigver(t)}
	})
}

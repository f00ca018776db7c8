package conformance

import (
	"os/exec"
	"strings"
	"testing"
)

// TestPairPeer runs the client cases of chapter PSX on this implementation, or on that of another driver.
func TestPairPeer(t *testing.T) {
	t.Parallel()
	command := strings.Fields(*pairPeerCommand)
	if len(command) == 0 {
		path, err := peersoxBinary()
		if err != nil {
			t.Fatal(err)
		}
		command = []string{path, "peer"}
	}
	target := Target{Peers: pool(t, *peerCount, func() *exec.Cmd { return exec.Command(command[0], command[1:]...) })}
	judge(t, "pairpeer", target)
}

// TestOriginalPairPeer runs the client cases on pages with npm peersox 0.3.0: what they fail is a deviation that SPEC.md
// names.
func TestOriginalPairPeer(t *testing.T) {
	t.Parallel()
	b := startBrowser(t, chromium)
	target := Target{Peers: pool(t, 4, func() *exec.Cmd { return b.page("peersox-page.mjs") })}
	judgeOriginal(t, "pairpeer", "peersox-client-0.3.0.json", same(target))
}

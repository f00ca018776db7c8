package conformance

import (
	"flag"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/meshpair/meshpair/internal/need"
)

var pairPeerCommand = flag.String("pairpeer", "", "`command` that runs a driver of a PeerSox client to test instead of this implementation")

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
	for _, c := range slices.Concat(PairCases(), PairExtensionCases()) {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			if r := c.Run(target); r.Failure != nil {
				t.Error(r)
			}
		})
	}
}

// TestOriginalPairPeer runs the client cases on pages with npm peersox 0.3.0: what they fail is a deviation that SPEC.md
// names.
func TestOriginalPairPeer(t *testing.T) {
	t.Parallel()
	fails := expectations(t, "peersox-client-0.3.0.json")
	dir := need.Originals(t)
	need.Chromium(t)
	endpoint := startBrowser(t, dir)
	target := Target{Peers: pool(t, 4, func() *exec.Cmd {
		cmd := exec.Command("node", "peersox-page.mjs", endpoint)
		cmd.Dir = dir
		return cmd
	})}
	t.Run("cases", func(t *testing.T) {
		for _, c := range PairCases() {
			deviation, expected := fails[c.ID]
			t.Run(c.ID, func(t *testing.T) {
				t.Parallel()
				switch r := c.Run(target); {
				case r.Failure != nil && !expected:
					t.Error(r)
				case r.Failure == nil && expected:
					t.Errorf("%s passes: take %s out of originals/peersox-client-0.3.0.json", c.ID, deviation)
				case expected:
					t.Logf("fails as %s says: %v", deviation, r.Failure)
				}
			})
		}
	})
}

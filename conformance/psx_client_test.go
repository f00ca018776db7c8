package conformance

import (
	"flag"
	"os/exec"
	"strings"
	"testing"
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
	for _, c := range PairCases() {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			if r := c.Run(target); r.Failure != nil {
				t.Error(r)
			}
		})
	}
}

package conformance

import (
	"flag"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/meshpair/meshpair/conformance/driver"
	"github.com/meshpair/meshpair/internal/need"
)

var (
	peerCommand = flag.String("peer", "", "`command` that runs a driver of a member to test instead of this implementation")
	peerCount   = flag.Int("peers", 16, "how many drivers run at a time, at most")
)

// pool returns a pool of drivers that ends with the test.
func pool(t *testing.T, n int, command func() *exec.Cmd) *Pool {
	t.Helper()
	var started atomic.Int32
	p := NewPool(n, func() (*driver.Peer, error) {
		return driver.Start(fmt.Sprintf("driver %d", started.Add(1)), pageTimeout, command())
	})
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("a driver at the end: %v", err)
		}
	})
	return p
}

// peerPool returns a pool of drivers of the implementation under test.
func peerPool(t *testing.T, n int) *Pool {
	t.Helper()
	command := strings.Fields(*peerCommand)
	if len(command) == 0 {
		path, err := netfluxBinary()
		if err != nil {
			t.Fatal(err)
		}
		command = []string{path, "peer"}
	}
	return pool(t, n, func() *exec.Cmd { return exec.Command(command[0], command[1:]...) })
}

// TestPeer runs the member cases on this implementation, or on that of another
// driver.
func TestPeer(t *testing.T) {
	t.Parallel()
	target := Target{Peers: peerPool(t, *peerCount)}
	for _, c := range MemberCases() {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			r := c.Run(target)
			_, expected := notYet[c.ID]
			switch expected = expected && *peerCommand == ""; {
			case r.Failure != nil && !expected:
				t.Error(r)
			case r.Failure == nil && expected:
				t.Errorf("%s passes: take it out of notYet", c.ID)
			case expected:
				t.Logf("fails as is known: %v", r)
			}
		})
	}
}

// notYet are cases that this implementation does not pass yet.
var notYet = map[string]bool{}

// TestOriginalMember runs the member cases on pages with npm netflux 4.3.1: what
// they fail is a deviation that SPEC.md names.
func TestOriginalMember(t *testing.T) {
	t.Parallel()
	dir := need.Originals(t)
	need.Chromium(t)
	fails := expectations(t, "netflux-4.3.1.json")
	endpoint := startBrowser(t, dir)
	target := Target{Peers: pool(t, 12, func() *exec.Cmd {
		cmd := exec.Command("node", "netflux-page.mjs", endpoint)
		cmd.Dir = dir
		return cmd
	})}
	for _, c := range MemberCases() {
		deviation, expected := fails[c.ID]
		delete(fails, c.ID)
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			r := c.Run(target)
			switch {
			case r.Failure != nil && !expected:
				t.Error(r)
			case r.Failure == nil && (c.ID == "CHN-5/burst" || c.ID == "MSG-11/lying-length"):
				t.Log("passes: what a page drops, and how long it allocates, depends on the browser and the machine")
			case r.Failure == nil && expected:
				t.Errorf("%s passes: take %s out of originals/netflux-4.3.1.json", c.ID, deviation)
			case expected:
				t.Logf("fails as %s says: %v", deviation, r.Failure)
			}
		})
	}
	for id := range fails {
		t.Errorf("there is no case %s, of which originals/netflux-4.3.1.json says that it fails", id)
	}
}

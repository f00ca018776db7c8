package conformance

import (
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/meshpair/meshpair/conformance/driver"
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
	judge(t, "peer", target)
}

// TestOriginalMember runs the member cases on pages with npm netflux 4.3.1: what
// they fail is a deviation that SPEC.md names.
func TestOriginalMember(t *testing.T) {
	t.Parallel()
	b := startBrowser(t, chromium)
	target := Target{Peers: pool(t, 12, func() *exec.Cmd { return b.page("netflux-page.mjs") })}
	judgeOriginal(t, "peer", "netflux-4.3.1.json", same(target))
}

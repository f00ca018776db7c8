package conformance

import (
	"flag"
	"os/exec"
	"testing"
)

var firefoxToo = flag.Bool("firefox", false, "run all tests of the originals' pages in Firefox too, not only some: make conformance-originals")

// TestFirefox lets an original page in Firefox, one in Chromium and a member of this implementation form a mesh and send
// text and bytes to all and to one.
func TestFirefox(t *testing.T) {
	url := startSigver(t)
	all := startBrowser(t, firefox).start(t, "netflux-page.mjs", 1)
	all = append(all, startPages(t, 1)...)
	all = append(all, startMembers(t, 1)...)
	mix(t, all, url, "three kinds", false)
	// And the other way round: Firefox comes last.
	all[0], all[2] = all[2], all[0]
	mix(t, all, url, "three kinds anew", false)
}

// TestFirefoxPaired pairs an original client in Firefox with one of this implementation, in both roles; they talk by way
// of the server and, upgraded, directly (PSX-60 to PSX-68).
func TestFirefoxPaired(t *testing.T) {
	url := startPeerSox(t)
	page := startBrowser(t, firefox).start(t, "peersox-page.mjs", 1)[0]
	client := startClients(t, 1)[0]
	pairUp(t, url, page, client)
	pairUp(t, url, client, page)
}

// TestOriginalMemberFirefox runs the member cases on pages with npm netflux 4.3.1 in Firefox.
func TestOriginalMemberFirefox(t *testing.T) {
	wholeFirefox(t)
	t.Parallel()
	b := startBrowser(t, firefox)
	target := Target{Peers: pool(t, 12, func() *exec.Cmd { return b.page("netflux-page.mjs") })}
	judgeOriginal(t, "peer", "netflux-4.3.1-firefox.json", same(target))
}

// TestOriginalPairPeerFirefox runs the client cases on pages with npm peersox 0.3.0 in Firefox.
func TestOriginalPairPeerFirefox(t *testing.T) {
	wholeFirefox(t)
	t.Parallel()
	b := startBrowser(t, firefox)
	target := Target{Peers: pool(t, 4, func() *exec.Cmd { return b.page("peersox-page.mjs") })}
	judgeOriginal(t, "pairpeer", "peersox-client-0.3.0-firefox.json", same(target))
}

// TestFirefoxPages lets five original pages in Firefox meet.
func TestFirefoxPages(t *testing.T) {
	wholeFirefox(t)
	pages := startBrowser(t, firefox).start(t, "netflux-page.mjs", 5)
	meet(t, pages, startSigver(t), "Feuerfüchse")
}

// wholeFirefox ends a test that is one too many for every day.
func wholeFirefox(t *testing.T) {
	t.Helper()
	if !*firefoxToo {
		t.Skip("not run without -firefox: make conformance-originals")
	}
}

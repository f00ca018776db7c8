package conformance

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/meshpair/meshpair/conformance/driver"
	"github.com/meshpair/meshpair/internal/need"
)

// The browsers that originals/browser.mjs starts.
const (
	chromium = "chromium"
	firefox  = "firefox"
)

// A browser is one that runs, for pages with an original in them.
type browser struct {
	kind     string
	version  string // such as Chromium/156
	dir      string // of the originals
	endpoint string
	pages    int // how many were started
}

// startBrowser starts a browser that ends with the test.
func startBrowser(t testing.TB, kind string) *browser {
	t.Helper()
	b := &browser{kind: kind, dir: originals(t)}
	if kind == firefox {
		needFirefox(t)
	} else {
		need.Chromium(t)
	}
	cmd := exec.Command("node", "browser.mjs", kind)
	cmd.Dir = b.dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", kind, err, log.Bytes())
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if _, scan := fmt.Sscanf(line, "browser %s %s\n", &b.endpoint, &b.version); err != nil || scan != nil {
		t.Fatalf("%s does not start: %v %q", kind, err, line)
	}
	return b
}

// page is the command of a driver of a page: netflux-page.mjs, peersox-page.mjs.
func (b *browser) page(script string) *exec.Cmd {
	cmd := exec.Command("node", script, b.endpoint)
	cmd.Dir = b.dir
	return cmd
}

// start starts n drivers of pages that end with the test.
func (b *browser) start(t testing.TB, script string, n int) []*driver.Peer {
	t.Helper()
	all := make([]*driver.Peer, n)
	for i := range all {
		b.pages++
		all[i] = startDriver(t, fmt.Sprintf("page %d in %s", b.pages, b.kind), b.page(script))
	}
	return all
}

// needFirefox checks that there is a Firefox that originals/browser.mjs finds.
func needFirefox(t testing.TB) {
	t.Helper()
	for _, path := range []string{os.Getenv("FIREFOX"), "/usr/bin/firefox-esr", "/usr/bin/firefox"} {
		if _, err := os.Stat(path); path != "" && err == nil {
			return
		}
	}
	need.Missing(t, "Firefox; install Debian's package firefox-esr, name another one in FIREFOX, or run `make test` as root on Debian")
}

// startPages starts Chromium and n pages with the original in it.
func startPages(t testing.TB, n int) []*driver.Peer {
	t.Helper()
	return startBrowser(t, chromium).start(t, "netflux-page.mjs", n)
}

// startClientPages starts Chromium and n pages with the original client in it.
func startClientPages(t testing.TB, n int) []*driver.Peer {
	t.Helper()
	return startBrowser(t, chromium).start(t, "peersox-page.mjs", n)
}

func isPage(p *driver.Peer) bool { return strings.HasPrefix(p.Name, "page") }

// startDriver starts a driver that ends with the test.
func startDriver(t testing.TB, name string, cmd *exec.Cmd) *driver.Peer {
	t.Helper()
	p, err := driver.Start(name, pageTimeout, cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			p.Kill()
		} else if err := p.Close(); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	})
	return p
}

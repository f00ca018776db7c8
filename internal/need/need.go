// Package need is for tests that cannot do without something that Go does not
// bring: the original implementations from npm, a browser. Where it is missing
// the test is skipped, with a word on what to install; when everything must be
// there, as under `make test`, it fails.
package need

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// All is the environment variable that turns skipped tests into failures when it
// is set to 1.
const All = "MESHPAIR_TEST_ALL"

// Missing ends a test for which something is missing.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv(All) == "1" {
		t.Fatal("missing: " + what)
	}
	t.Skip("not run, missing: " + what)
}

// Originals returns the folder with the npm packages of the originals, in which
// node scripts are to be run.
func Originals(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		Missing(t, "Node.js 18 or later, as the command node")
	}
	_, file, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(file), "..", "..", "conformance", "originals")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "netflux")); err != nil {
		Missing(t, "the npm packages of the originals; run `npm ci` in conformance/originals, or `make test`")
	}
	return dir
}

// Chromium checks that there is a browser that conformance/originals/browser.mjs
// finds.
func Chromium(t testing.TB) {
	t.Helper()
	for _, path := range []string{os.Getenv("CHROMIUM"), "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"} {
		if _, err := os.Stat(path); path != "" && err == nil {
			return
		}
	}
	Missing(t, "Chromium; install Debian's package chromium, name another one in CHROMIUM, or run `make test` as root on Debian")
}

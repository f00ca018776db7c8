package conformance

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
	"github.com/meshpair/meshpair/internal/need"
)

// pageTimeout is how long a step of a page in a browser may take on a slow and
// busy machine.
const pageTimeout = 30 * time.Second

// TestOriginalPages lets unmodified original pages meet in a browser: two, and
// then five, form a full mesh through our signaling server and exchange text and
// 1 MiB of bytes (SIG-4, SIG-15 to SIG-37 as a browser sees them).
func TestOriginalPages(t *testing.T) {
	url := startSigver(t)
	pages := startPages(t, 5)
	t.Run("two", func(t *testing.T) { meet(t, pages[:2], url, "first light, été 100%") })
	t.Run("five", func(t *testing.T) { meet(t, pages, url, "it's a room") })
}

// TestChatPage opens the page that README tells to try, in two windows.
func TestChatPage(t *testing.T) {
	dir := originals(t)
	need.Chromium(t)
	cmd := exec.Command("node", "chat.mjs", startSigver(t))
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "each heard the other") {
		t.Errorf("%v\n%s", err, out)
	}
}

// meet lets pages form a group, talk, and leave.
func meet(t *testing.T, pages []*driver.Peer, url, key string) {
	ids := make([]uint32, len(pages))
	for i, p := range pages {
		do(t, p, driver.Command{"cmd": "join", "signaling": url, "key": key})
		ids[i] = do(t, p, driver.Command{"cmd": "status"}).ID
	}
	for _, p := range pages {
		waitForMesh(t, p, ids)
	}
	for i, p := range pages {
		do(t, p, driver.Command{"cmd": "send", "text": greeting(i)})
		do(t, p, driver.Command{"cmd": "send", "base64": base64.StdEncoding.EncodeToString(mebibyte(i))})
		next := ids[(i+1)%len(ids)]
		do(t, p, driver.Command{"cmd": "sendTo", "to": next, "text": "private " + greeting(i)})
	}
	for j, p := range pages {
		for i, from := range ids {
			if i == j {
				continue
			}
			expectMessage(t, p, from, []byte(greeting(i)), true)
			expectMessage(t, p, from, mebibyte(i), false)
			if (i+1)%len(ids) == j {
				expectMessage(t, p, from, []byte("private "+greeting(i)), true)
			}
		}
	}
	for _, p := range pages {
		do(t, p, driver.Command{"cmd": "leave"})
	}
}

func do(t testing.TB, p *driver.Peer, c driver.Command) driver.Event {
	t.Helper()
	e, err := p.Do(pageTimeout, c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// waitForMesh waits until a member has a channel of its own to every other one.
func waitForMesh(t testing.TB, p *driver.Peer, ids []uint32) {
	t.Helper()
	want := slices.Sorted(slices.Values(ids))
	for deadline := time.Now().Add(pageTimeout); ; time.Sleep(20 * time.Millisecond) {
		s := do(t, p, driver.Command{"cmd": "status"})
		neighbors := append(slices.Clone(s.Neighbors), s.ID)
		if slices.Equal(slices.Sorted(slices.Values(s.Members)), want) &&
			slices.Equal(slices.Sorted(slices.Values(neighbors)), want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: members %v, neighbors %v, want %v", p.Name, s.Members, s.Neighbors, want)
		}
	}
}

func expectMessage(t testing.TB, p *driver.Peer, from uint32, want []byte, wantText bool) {
	t.Helper()
	_, err := p.Wait(pageTimeout, func(e driver.Event) bool {
		if e.Event != "message" || e.From != from {
			return false
		}
		data, text, err := e.Data()
		return err == nil && text == wantText && bytes.Equal(data, want)
	})
	if err != nil {
		t.Errorf("%d bytes from %d: %v", len(want), from, err)
	}
}

func greeting(i int) string { return fmt.Sprintf("grüß dich, I am no. %d 👋", i+1) }

// mebibyte returns 1 MiB that differs from member to member.
func mebibyte(i int) []byte {
	b := make([]byte, 1<<20)
	for j := range b {
		b[j] = byte(j>>10 ^ j*(2*i+3))
	}
	return b
}

// waitFor waits until something is so; until then it says how things are.
func waitFor(t testing.TB, timeout time.Duration, so func() (bool, string)) {
	t.Helper()
	for deadline := time.Now().Add(timeout); ; time.Sleep(20 * time.Millisecond) {
		ok, how := so()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(how)
		}
	}
}

package conformance

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/meshpair/meshpair/conformance/driver"
)

var peersoxBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binaries, "peersox")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/peersox").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, err
})

// startClients starts n PeerSox clients of this implementation.
func startClients(t testing.TB, n int) []*driver.Peer {
	t.Helper()
	path, err := peersoxBinary()
	if err != nil {
		t.Fatal(err)
	}
	all := make([]*driver.Peer, n)
	for i := range all {
		all[i] = startDriver(t, fmt.Sprintf("Go client %d", i+1), exec.Command(path, "peer"))
	}
	return all
}

// TestPairedClients pairs our client with another one of ours, and with the original in Chromium, in both roles, on our
// server and on the original one: they talk by way of the server and, upgraded, directly, go back, and part. (PSX-60 to
// PSX-68)
func TestPairedClients(t *testing.T) {
	clients := startClients(t, 2)
	pages := startClientPages(t, 1)
	for _, server := range []struct {
		name  string
		start func(testing.TB) string
	}{{"our server", startPeerSox}, {"npm peersox", startOriginalPeerSox}} {
		url := server.start(t)
		for _, pair := range []struct {
			name          string
			first, second *driver.Peer
		}{
			{"Go and Go", clients[0], clients[1]},
			{"Go and page", clients[0], pages[0]},
			{"page and Go", pages[0], clients[0]},
		} {
			t.Run(server.name+"/"+pair.name, func(t *testing.T) { pairUp(t, url, pair.first, pair.second) })
		}
	}
}

// pairUp is the whole life of a pairing.
func pairUp(t *testing.T, url string, first, second *driver.Peer) {
	both := []*driver.Peer{first, second}
	for _, p := range both {
		p.Forget()
		do(t, p, driver.Command{"cmd": "init", "url": url, "loopback": true})
		expectEvent(t, p, "serverReady")
	}
	made := do(t, first, driver.Command{"cmd": "createPairing"})
	joined := do(t, second, driver.Command{"cmd": "joinPairing", "code": made.Code})
	if joined.Code != made.Code || joined.Hash != made.Hash || len(made.Hash) != 64 {
		t.Fatalf("%+v, %+v", made, joined)
	}
	for _, p := range both {
		if e := do(t, p, driver.Command{"cmd": "validate", "code": made.Code, "hash": made.Hash}); !e.Valid {
			t.Errorf("%s: the pairing is not valid", p.Name)
		}
		do(t, p, driver.Command{"cmd": "connect", "code": made.Code, "hash": made.Hash})
		expectEvent(t, p, "connectionEstablished")
	}
	for _, p := range both {
		if e := expectEvent(t, p, "peerConnected"); e.Initiator != (p == first) {
			t.Errorf("%s: initiator is %v", p.Name, e.Initiator)
		}
	}
	// Whenever the upgrade comes, both ways carry what is no larger than this.
	converse(t, first, second, 200_000)
	for _, p := range both {
		expectEvent(t, p, "upgraded")
		if s := do(t, p, driver.Command{"cmd": "status"}); !s.Connected || !s.WebRTC || !s.WebSocket || s.Initiator != (p == first) {
			t.Errorf("%s: %+v", p.Name, s)
		}
	}
	converse(t, first, second, 60_000)
	ours, other := first, second
	if isPage(ours) {
		ours, other = other, ours
	}
	if isPage(other) {
		burst(t, other, ours)
	}
	rescue(t, ours, other)
	converse(t, first, second, 1<<20)
	do(t, first, driver.Command{"cmd": "close"})
	for _, p := range both {
		expectEvent(t, p, "connectionClosed")
	}
}

// converse has both say something short and something long, as text and as bytes.
func converse(t *testing.T, a, b *driver.Peer, long int) {
	t.Helper()
	for i, p := range []*driver.Peer{a, b} {
		q := []*driver.Peer{b, a}[i]
		text := strings.Repeat(greeting(i), long/len(greeting(i)))
		do(t, p, driver.Command{"cmd": "send", "text": greeting(i)})
		expectMessage(t, q, 0, []byte(greeting(i)), true)
		do(t, p, driver.Command{"cmd": "send", "text": text})
		expectMessage(t, q, 0, []byte(text), true)
		do(t, p, driver.Command{"cmd": "send", "base64": encoded(bytesOf(i, long))})
		expectMessage(t, q, 0, bytesOf(i, long), false)
	}
}

// burst has the original send without a pause what two originals can send one another on a data channel: Chromium
// announces 262,144 bytes as the largest message that it takes, and sends no larger one.
func burst(t *testing.T, page, ours *driver.Peer) {
	t.Helper()
	const n, size = 20, 262_144
	for i := range n {
		if _, err := page.Send(driver.Command{"cmd": "send", "base64": encoded(bytesOf(i, size))}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		expectMessage(t, ours, 0, bytesOf(i, size), false)
	}
}

// rescue breaks the data channel when much is on its way: none of it is lost (PSX-68, PSX-76).
func rescue(t *testing.T, ours, other *driver.Peer) {
	t.Helper()
	const n = 40
	var last int
	for i := range n {
		var err error
		if last, err = ours.Send(driver.Command{"cmd": "send", "base64": encoded(bytesOf(i, 50_000))}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ours.Answer(pageTimeout, last); err != nil {
		t.Fatal(err)
	}
	do(t, ours, driver.Command{"cmd": "break"})
	for i := range n {
		want := bytesOf(i, 50_000)
		if _, err := other.Wait(pageTimeout, func(e driver.Event) bool {
			data, _, err := e.Data()
			return e.Event == "message" && err == nil && bytes.Equal(data, want)
		}); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	expectEvent(t, ours, "peerRtcClosed")
	expectEvent(t, other, "peerRtcClosed")
	other.Forget() // an original may get some of it twice
}

// expectEvent waits for an event.
func expectEvent(t testing.TB, p *driver.Peer, name string) driver.Event {
	t.Helper()
	e, err := p.Wait(pageTimeout, func(e driver.Event) bool { return e.Event == name })
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return e
}

// TestPairedSilence lets the original fall silent: our client notices (PSX-63).
func TestPairedSilence(t *testing.T) {
	t.Parallel() // it waits for the original's timer
	url := startOriginalPeerSox(t)
	p := startClients(t, 1)[0]
	page := startClientPages(t, 1)[0]
	do(t, p, driver.Command{"cmd": "init", "url": url, "loopback": true, "peerTimeout": 0.5})
	do(t, page, driver.Command{"cmd": "init", "url": url})
	pairing := do(t, p, driver.Command{"cmd": "createPairing"})
	for _, q := range []*driver.Peer{p, page} {
		do(t, q, driver.Command{"cmd": "connect", "code": pairing.Code, "hash": pairing.Hash})
	}
	expectEvent(t, p, "peerTimeout") // half a second after the first PING, at 20 s
	expectEvent(t, p, "connectionClosed")
	expectEvent(t, page, "connectionClosed")
}

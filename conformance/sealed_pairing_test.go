package conformance

import (
	"strings"
	"testing"

	"github.com/meshpair/meshpair/conformance/driver"
)

// TestSealedPairing has two clients of ours seal their pairing on our server and on the original one, which carries it like
// all others: they talk by way of the server and directly, go back, part, and meet again by what was kept. (SEC-42 to
// SEC-45, SEC-49)
func TestSealedPairing(t *testing.T) {
	for _, server := range []struct {
		name  string
		start func(testing.TB) string
	}{{"our server", startPeerSox}, {"npm peersox", startOriginalPeerSox}} {
		t.Run(server.name, func(t *testing.T) {
			url := server.start(t)
			clients := startClients(t, 2)
			first, second := clients[0], clients[1]
			store := t.TempDir() + "/pairing"
			for _, p := range clients {
				do(t, p, driver.Command{"cmd": "init", "url": url, "loopback": true, "seal": p == first, "store": store})
			}
			made := do(t, first, driver.Command{"cmd": "createPairing"})
			joined := do(t, second, driver.Command{"cmd": "joinPairing", "code": made.Code + "-" + made.Secret})
			if joined.Hash != made.Hash || joined.Secret != made.Secret || !strings.HasPrefix(made.Secret, "mppair1") {
				t.Fatalf("%+v, %+v", made, joined)
			}
			do(t, first, driver.Command{"cmd": "store", "code": made.Code, "hash": made.Hash, "secret": made.Secret})
			restored := do(t, second, driver.Command{"cmd": "restore"})
			for range 2 {
				for _, p := range clients {
					do(t, p, driver.Command{"cmd": "connect", "code": restored.Code, "hash": restored.Hash, "secret": restored.Secret})
				}
				for _, p := range clients {
					expectEvent(t, p, "peerConnected")
				}
				converse(t, first, second, 200_000)
				for _, p := range clients {
					expectEvent(t, p, "upgraded")
				}
				converse(t, first, second, 60_000)
				rescue(t, first, second)
				converse(t, first, second, 1<<20)
				do(t, first, driver.Command{"cmd": "close"})
				for _, p := range clients {
					if e := expectEvent(t, p, "connectionClosed"); e.Message != "" {
						t.Errorf("%s: %s", p.Name, e.Message)
					}
					p.Forget()
				}
			}
		})
	}
}

// TestSealedPairingWithOriginal has a client of ours with a secret meet the original in Chromium, which knows nothing of that: it
// is refused in both roles, and has been told nothing (SEC-47).
func TestSealedPairingWithOriginal(t *testing.T) {
	t.Parallel() // it waits for the time-out of the handshake, as the original says nothing when it is the second
	page := startClientPages(t, 1)[0]
	ours := startClients(t, 1)[0]
	url := startOriginalPeerSox(t)
	for _, oursFirst := range []bool{true, false} {
		first, second := ours, page
		if !oursFirst {
			first, second = page, ours
		}
		for _, p := range []*driver.Peer{ours, page} {
			p.Forget()
			do(t, p, driver.Command{"cmd": "init", "url": url, "loopback": true, "seal": p == ours})
		}
		made := do(t, ours, driver.Command{"cmd": "createPairing"})
		for _, p := range []*driver.Peer{first, second} {
			c := driver.Command{"cmd": "connect", "code": made.Code, "hash": made.Hash}
			if p == ours {
				c["secret"] = made.Secret
			}
			do(t, p, c)
		}
		if e := expectEvent(t, ours, "connectionClosed"); !strings.Contains(e.Message, "not sealed") {
			t.Errorf("ours is the first: %v; %q", oursFirst, e.Message)
		}
		expectEvent(t, page, "connectionClosed")
		if e, err := page.Wait(0, func(e driver.Event) bool { return e.Event == "message" }); err == nil {
			t.Errorf("the page was told %+v", e)
		}
	}
}

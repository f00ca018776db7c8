package conformance

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/meshpair/meshpair/conformance/driver"
)

// A side is one side of a pairing, by its driver.
type side struct {
	t testing.TB
	*driver.Peer
}

func (s side) do(c driver.Command) driver.Event {
	s.t.Helper()
	e, err := s.Do(pageTimeout, c)
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// event waits for an event by its name.
func (s side) event(name string) driver.Event {
	s.t.Helper()
	e, err := s.Wait(pageTimeout, func(e driver.Event) bool { return e.Event == name })
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	return e
}

// passes has s send text and bytes, which the other side hears.
func (s side) passes(to side, size int) {
	s.t.Helper()
	text := fmt.Sprintf("été from %s", s.Name)
	s.do(driver.Command{"cmd": "send", "text": text})
	if got, isText, err := to.event("message").Data(); err != nil || !isText || string(got) != text {
		s.t.Fatalf("%q, %v, %v; want %q", got, isText, err, text)
	}
	data := bytes.Repeat([]byte{0, 0xc3, 0xff, 7}, size/4)
	s.do(driver.Command{"cmd": "send", "base64": base64.StdEncoding.EncodeToString(data)})
	if got, isText, err := to.event("message").Data(); err != nil || isText || !bytes.Equal(got, data) {
		s.t.Fatalf("%d bytes, %v, %v; want %d", len(got), isText, err, len(data))
	}
}

// startPeerSoxPages starts a browser and two pages with the original in it.
func startPeerSoxPages(t testing.TB) (a, b side) {
	t.Helper()
	pages := startClientPages(t, 2)
	return side{t, pages[0]}, side{t, pages[1]}
}

// meetPages pairs two sides, a being the initiator, and leaves the upgrade to the caller: an original that offers
// before the other has made its peer, which happens to it by chance, fails for ever.
func meetPages(t testing.TB, url string, a, b side, more driver.Command) (pairing driver.Event) {
	t.Helper()
	for _, s := range []side{a, b} {
		init := driver.Command{"cmd": "init", "url": url, "autoUpgrade": false}
		for name, value := range more {
			init[name] = value
		}
		s.do(init)
	}
	pairing = a.do(driver.Command{"cmd": "createPairing"})
	a.do(driver.Command{"cmd": "connect", "code": pairing.Code, "hash": pairing.Hash})
	joined := b.do(driver.Command{"cmd": "joinPairing", "code": pairing.Code})
	if joined.Hash != pairing.Hash {
		t.Fatalf("the joiner's hash is %q, not %q", joined.Hash, pairing.Hash)
	}
	connectSides(t, a, b, pairing)
	return pairing
}

// connectSides connects b to a, which waits.
func connectSides(t testing.TB, a, b side, pairing driver.Event) {
	t.Helper()
	b.do(driver.Command{"cmd": "connect", "code": pairing.Code, "hash": pairing.Hash})
	if !a.event("peerConnected").Initiator || b.event("peerConnected").Initiator {
		t.Fatal("the first client is not the initiator")
	}
}

// TestOriginalPeerSoxPages lets unmodified original clients meet through our server: pairing, relay, upgrade, restoring
// after a reload, closing and time-out (PSX-3 to PSX-6, PSX-11, PSX-12, PSX-23 to PSX-26 and PSX-30 as a browser sees them).
func TestOriginalPeerSoxPages(t *testing.T) {
	url := startPeerSox(t)
	a, b := startPeerSoxPages(t)
	pairing := meetPages(t, url, a, b, nil)
	a.passes(b, 1<<20)
	b.passes(a, 1<<20)

	b.do(driver.Command{"cmd": "upgrade"})
	a.do(driver.Command{"cmd": "upgrade"})
	a.event("upgraded")
	b.event("upgraded")
	a.passes(b, 100_000)
	b.passes(a, 100_000)
	if e := a.do(driver.Command{"cmd": "status"}); !e.Connected || !e.WebRTC || !e.WebSocket {
		t.Errorf("after the upgrade: %+v", e)
	}

	// A page that is loaded anew finds its pairing in its cookie, and its seat free.
	a.do(driver.Command{"cmd": "store", "code": pairing.Code, "hash": pairing.Hash})
	a.do(driver.Command{"cmd": "reload"})
	b.event("connectionClosed")
	b.Forget()
	a.do(driver.Command{"cmd": "init", "url": url, "autoUpgrade": false})
	restored := a.do(driver.Command{"cmd": "restore"})
	if restored.Code != pairing.Code || restored.Hash != pairing.Hash {
		t.Fatalf("restored %+v", restored)
	}
	a.do(driver.Command{"cmd": "connect", "code": restored.Code, "hash": restored.Hash})
	connectSides(t, a, b, pairing)
	a.passes(b, 1000)
	a.do(driver.Command{"cmd": "close"})
	b.event("connectionClosed")
	if e := b.do(driver.Command{"cmd": "status"}); e.Connected {
		t.Errorf("after the peer has closed: %+v", e)
	}
}

// TestOriginalPeerSoxTimeout: a peer of which one PING came and no second one times out; and a page of another origin
// can use our server.
func TestOriginalPeerSoxTimeout(t *testing.T) {
	url, page := startPeerSox(t), startPeerSox(t)
	a, b := startPeerSoxPages(t)
	meetPages(t, url, a, b, driver.Command{"page": page, "peerTimeout": 0.2})
	b.do(driver.Command{"cmd": "send", "text": "PING"})
	a.event("peerTimeout")
	a.event("connectionClosed")
	b.event("connectionClosed")
}

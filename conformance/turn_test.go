package conformance

import (
	"encoding/base64"
	"slices"
	"testing"

	"github.com/meshpair/meshpair/conformance/driver"
	"github.com/meshpair/meshpair/internal/turntest"
)

// TestTURN lets a member and an unmodified original page meet, of which one may only use a TURN server that the other
// does not know, or both may only use it. All that they send goes through the server (BLD-25).
func TestTURN(t *testing.T) {
	page, member := startPages(t, 1)[0], startMembers(t, 1)[0]
	server, url := turntest.Start(t), startSigver(t)
	for _, test := range []struct {
		name   string
		all    []*driver.Peer // in their order of joining
		hidden []*driver.Peer // those that may only use the server
	}{
		{"a member joins", []*driver.Peer{page, member}, []*driver.Peer{member}},
		{"a page joins", []*driver.Peer{member, page}, []*driver.Peer{member}},
		{"both", []*driver.Peer{member, page}, []*driver.Peer{member, page}},
	} {
		t.Run(test.name, func(t *testing.T) { throughTURN(t, server, url, test.all, test.hidden) })
	}
}

func throughTURN(t *testing.T, server *turntest.Server, url string, all, hidden []*driver.Peer) {
	ids := make([]uint32, len(all))
	for i, p := range all {
		join := driver.Command{"cmd": "join", "signaling": url, "key": t.Name(), "loopback": true}
		if slices.Contains(hidden, p) {
			join["relayOnly"] = true
			join["ice"] = []any{map[string]any{
				"urls": []string{server.UDP}, "username": turntest.Username, "credential": turntest.Credential,
			}}
		}
		do(t, p, join)
		ids[i] = do(t, p, driver.Command{"cmd": "status"}).ID
	}
	for _, p := range all {
		waitForMesh(t, p, ids)
	}
	before := server.Relayed()
	for i, p := range all {
		do(t, p, driver.Command{"cmd": "send", "text": greeting(i)})
		do(t, p, driver.Command{"cmd": "sendTo", "to": ids[1-i], "base64": base64.StdEncoding.EncodeToString(mebibyte(i))})
	}
	for i, p := range all {
		expectMessage(t, p, ids[1-i], []byte(greeting(1-i)), true)
		expectMessage(t, p, ids[1-i], mebibyte(1-i), false)
	}
	if n := server.Relayed() - before; n < 2*len(mebibyte(0)) {
		t.Errorf("%d bytes were relayed", n)
	}
	for _, p := range all {
		do(t, p, driver.Command{"cmd": "leave"})
	}
}

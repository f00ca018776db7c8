package conformance

import (
	"encoding/base64"
	"testing"

	"github.com/meshpair/meshpair/conformance/driver"
	"github.com/meshpair/meshpair/internal/turntest"
)

// TestRelayedMember lets a member that may only use a TURN server meet an unmodified original page, which knows nothing
// of that server, whoever comes first. All that they send goes through the server (BLD-25).
func TestRelayedMember(t *testing.T) {
	page, member := startPages(t, 1)[0], startMembers(t, 1)[0]
	server, url := turntest.Start(t), startSigver(t)
	for _, all := range [][]*driver.Peer{{page, member}, {member, page}} {
		ids := make([]uint32, len(all))
		for i, p := range all {
			join := driver.Command{"cmd": "join", "signaling": url, "key": "relayed", "loopback": true}
			if p == member {
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
}

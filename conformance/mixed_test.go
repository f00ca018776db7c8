package conformance

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/meshpair/meshpair/conformance/driver"
)

var netfluxBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binaries, "netflux")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/netflux").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, err
})

// startMembers starts n members of this implementation.
func startMembers(t *testing.T, n int) []*driver.Peer {
	t.Helper()
	path, err := netfluxBinary()
	if err != nil {
		t.Fatal(err)
	}
	all := make([]*driver.Peer, n)
	for i := range all {
		p, err := driver.Start(fmt.Sprintf("Go member %d", i+1), pageTimeout, exec.Command(path, "peer"))
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
		all[i] = p
	}
	return all
}

// TestMixedMesh lets three members of this implementation and three unmodified original pages form one full mesh, in
// several orders of joining, through our signaling server and through the original one. All of them send text, bytes
// and 5 MiB to all and to one (CHN-1 to CHN-3, BLD-4 to BLD-24, MSH-1 to MSH-8, MSG-1 to MSG-2).
func TestMixedMesh(t *testing.T) {
	pages := startPages(t, 3)
	members := startMembers(t, 3)
	for _, server := range []struct {
		name  string
		start func(*testing.T) string
	}{{"our signaling", startSigver}, {"npm sigver", startOriginalSigver}} {
		url := server.start(t)
		for _, order := range []string{"GPGPGP", "PGPGPG", "GGGPPP", "PPPGGG"} {
			t.Run(server.name+"/"+order, func(t *testing.T) {
				var all []*driver.Peer
				next := map[rune][]*driver.Peer{'G': members, 'P': pages}
				for _, kind := range order {
					all = append(all, next[kind][0])
					next[kind] = next[kind][1:]
				}
				mix(t, all, url, "mixed "+order)
			})
		}
	}
}

func mix(t *testing.T, all []*driver.Peer, url, key string) {
	ids := make([]uint32, len(all))
	for i, p := range all {
		do(t, p, driver.Command{"cmd": "join", "signaling": url, "key": key, "loopback": true})
		ids[i] = do(t, p, driver.Command{"cmd": "status"}).ID
	}
	for _, p := range all {
		waitForMesh(t, p, ids)
	}
	for i, p := range all {
		do(t, p, driver.Command{"cmd": "send", "text": greeting(i)})
		do(t, p, driver.Command{"cmd": "send", "base64": encoded(bytesOf(i, 1000))})
		to := ids[(i+1)%len(ids)]
		do(t, p, driver.Command{"cmd": "sendTo", "to": to, "text": "private " + greeting(i)})
		do(t, p, driver.Command{"cmd": "sendTo", "to": to, "base64": encoded(bytesOf(i, 5<<20))})
		if i < 2 { // one of each kind, or two of one
			do(t, p, driver.Command{"cmd": "send", "text": strings.Repeat(greeting(i), 5<<20/len(greeting(i)))})
		}
	}
	for j, p := range all {
		for i, from := range ids {
			if i == j {
				continue
			}
			expectMessage(t, p, from, []byte(greeting(i)), true)
			expectMessage(t, p, from, bytesOf(i, 1000), false)
			if (i+1)%len(ids) == j {
				expectMessage(t, p, from, []byte("private "+greeting(i)), true)
				expectMessage(t, p, from, bytesOf(i, 5<<20), false)
			}
			if i < 2 {
				expectMessage(t, p, from, []byte(strings.Repeat(greeting(i), 5<<20/len(greeting(i)))), true)
			}
		}
	}
	for i, p := range all {
		do(t, p, driver.Command{"cmd": "leave"})
		for _, q := range all[i+1:] {
			if _, err := q.Wait(pageTimeout, func(e driver.Event) bool { return e.Event == "leave" && e.Member == ids[i] }); err != nil {
				t.Errorf("%s does not hear that %s leaves: %v", q.Name, p.Name, err)
			}
		}
	}
}

func encoded(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// bytesOf returns n bytes without a pattern that differ from member to member.
func bytesOf(member, n int) []byte {
	b := make([]byte, 0, n+sha256.Size)
	for i := 0; len(b) < n; i++ {
		sum := sha256.Sum256(fmt.Append(nil, member, i))
		b = append(b, sum[:]...)
	}
	return b[:n]
}

package conformance

import (
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/meshpair/meshpair/conformance/driver"
)

// TestSealedOnOriginal has sealed groups of this implementation with a bot meet at npm sigver 20.1.0, which knows
// nothing of them: they form, talk, let members come and go, and have nothing to do with a group of the same key that is not
// sealed (chapter SEC; SEC-4).
func TestSealedOnOriginal(t *testing.T) {
	url := startOriginalSigver(t)
	path, err := netfluxBinary()
	if err != nil {
		t.Fatal(err)
	}
	members := startMembers(t, 4)
	plain := members[3]
	do(t, plain, driver.Command{"cmd": "join", "signaling": url, "key": "sealed", "loopback": true})
	for _, order := range []string{"GGBG", "GBGG"} {
		t.Run(order, func(t *testing.T) {
			secret, err := exec.Command(path, "secret").Output()
			if err != nil {
				t.Fatal(err)
			}
			b := &botted{next: map[rune][]*driver.Peer{'G': members[:3]}, url: url, key: "sealed", secret: strings.TrimSpace(string(secret))}
			for _, kind := range order {
				if kind == 'B' {
					b.invite(t, startDriver(t, "bot", exec.Command(path, "bot", "-listen", "127.0.0.1:0", "-signaling", url, "-loopback", "-echo")))
				} else {
					b.join(t, kind)
				}
				b.whole(t)
			}
			var seen map[string]string
			for i, m := range b.all {
				if !m.bot {
					b.talk(t, i)
				}
				s := do(t, m.Peer, driver.Command{"cmd": "status", "group": b.group})
				if seen == nil {
					seen = s.Identities
				}
				if len(seen) != len(b.all) || !maps.Equal(s.Identities, seen) { // SEC-25
					t.Errorf("%s knows %v, and the first %v", m.Name, s.Identities, seen)
				}
			}
			if s := do(t, plain, driver.Command{"cmd": "status"}); !slices.Equal(s.Members, []uint32{s.ID}) || s.Identities != nil {
				t.Errorf("who has the key alone knows %v", s.Members)
			}
			b.leave(t)
		})
	}
}

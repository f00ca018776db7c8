package conformance

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Cases of what a PeerSox server lets last how long, and bounds.
var psxLimits = []*Case{
	{
		ID: "PSX-2/token", Requirements: []string{"PSX-2", "PSX-8", "PSX-11"}, Level: Must, Slow: true,
		Sentence: "A token is good after 8 s and no more after 11 s.",
		run: func(r *run) {
			begin := time.Now()
			early, late := r.token(), r.token()
			r.waitUntil(begin.Add(8 * time.Second))
			_, resp := r.upgradeWith("A", early)
			r.expect(resp.StatusCode == http.StatusSwitchingProtocols, "a token after 8 s", "HTTP status 101", resp.Status)
			r.waitUntil(begin.Add(11 * time.Second))
			_, resp = r.upgradeWith("B", late)
			r.expect(resp.StatusCode == http.StatusUnauthorized, "a token after 11 s", "HTTP status 401", resp.Status)
		},
	},
	{
		ID: "PSX-2/code", Requirements: []string{"PSX-2", "PSX-5", "PSX-6"}, Level: Must, Slow: true,
		Sentence: "A code that nobody has validated is gone after 132 s, with its hash; the hash of one that was lives on.",
		run: func(r *run) {
			begin := time.Now()
			p, used := r.pairing(), r.pairing()
			r.expectJSON(r.postJSON("/api/code/validate", fmt.Sprintf(`{"code":%q}`, used.Code)), 200, fmt.Sprintf(`{"code":%q,"hash":%q}`, used.Code, used.Hash))
			valid := func(p psxPairing) httpAnswer {
				return r.postJSON("/api/pairing/validate", fmt.Sprintf(`{"pairing":{"code":%q,"hash":%q}}`, p.Code, p.Hash))
			}
			r.waitUntil(begin.Add(125 * time.Second))
			r.expectJSON(valid(p), 200, "true")
			r.waitUntil(begin.Add(132 * time.Second))
			r.expectJSON(valid(p), 200, "false")
			r.expectJSON(valid(used), 200, "true")
		},
	},
	{
		ID: "PSX-13/no-origin", Requirements: []string{"PSX-13"}, Level: Must,
		Sentence: "Requests without an Origin header, and with the server's own, are served.",
		run: func(r *run) {
			for _, origin := range []string{"", r.target.PeerSox} {
				var header []string
				if origin != "" {
					header = []string{"Origin", origin}
				}
				a := r.call("GET", "/api/config", "", "", header...)
				r.expect(a.status == 200, fmt.Sprintf("%s with the origin %q", a.what, origin), "200", a.status)
			}
			r.couple(r.pairing())
		},
	},
	{
		ID: "PSX-14/large-body", Requirements: []string{"PSX-14"}, Level: Should,
		Sentence: "A body of 1 MiB is answered with 413.",
		run: func(r *run) {
			a := r.postJSON("/api/code/validate", `{"code":"`+strings.Repeat("0", 1<<20)+`"}`)
			r.expect(a.status == http.StatusRequestEntityTooLarge, "POST /api/code/validate of 1 MiB", "413", a.status)
		},
	},
	{
		ID: "PSX-31/announced-length", Requirements: []string{"PSX-31"}, Level: Should,
		Sentence: "A frame that announces 2^40 bytes ends its own connection, with 1009, and no other.",
		run: func(r *run) {
			a, b := r.couple(r.pairing())
			c, _ := r.couple(r.pairing())
			c.write([]byte{0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
			c.expectClose(1009, 0)
			a.say("still here")
			b.expectText("still here")
		},
	},
	{
		ID: "PSX-33/slow-reader", Requirements: []string{"PSX-33"}, Level: Must,
		Sentence: "A client that does not read delays only its peer, and gets all when it reads again.",
		run: func(r *run) {
			a, slow := r.couple(r.pairing())
			const n = 300
			message := bytes.Repeat([]byte{0x5a}, 100_000)
			sent := make(chan struct{})
			go func() { // 30 MB, more than the sockets between hold, and than a server may keep
				defer close(sent)
				for range n {
					a.send(message)
				}
			}()
			c, d := r.couple(r.pairing())
			for i := range 20 {
				c.say(fmt.Sprint("message ", i))
				d.expectText(fmt.Sprint("message ", i))
			}
			for range n {
				slow.expectBytes(message)
			}
			<-sent
		},
	},
}

// waitUntil waits for a timer of the server.
func (r *run) waitUntil(t time.Time) { time.Sleep(time.Until(t)) }

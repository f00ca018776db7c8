package conformance

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

var psxSocket = []*Case{
	{
		ID: "PSX-11/echo", Requirements: []string{"PSX-10", "PSX-11"}, Level: Must,
		Sentence: "The token that a client asks for as subprotocol is the one that the server agrees to.",
		run: func(r *run) {
			token := r.token()
			_, resp := r.upgradeWith("A", token)
			got := resp.Header.Get("Sec-WebSocket-Protocol")
			r.expect(resp.StatusCode == 101 && got == token, "the answer to the upgrade", "101 with the token", fmt.Sprint(resp.Status, " ", got))
		},
	},
	{
		ID: "PSX-11/refused", Requirements: []string{"PSX-8", "PSX-11"}, Level: Must,
		Sentence: "Without a token that was given out and not used there is no upgrade.",
		run: func(r *run) {
			used := r.token()
			r.upgradeWith("A", used)
			for _, token := range []string{"", strings.Repeat("0", 64), used, r.pairing().Hash} {
				_, resp := r.upgradeWith("B", token)
				r.expect(resp.StatusCode == http.StatusUnauthorized, "the answer to the upgrade", "401", resp.Status)
			}
		},
	},
	{
		ID: "PSX-8/at-once", Requirements: []string{"PSX-8"}, Level: Must,
		Sentence: "Of 20 uses of one token at once one succeeds.",
		run: func(r *run) {
			token := r.token()
			header := http.Header{"Sec-Websocket-Protocol": {token}}
			var wg sync.WaitGroup
			var mu sync.Mutex
			opened := 0
			for range 20 {
				p, err := r.dial("A")
				if err != nil {
					r.fail("A connects", "a connection", err.Error())
				}
				wg.Go(func() {
					fmt.Fprintf(p.conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
						"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n", p.conn.RemoteAddr(), webSocketKey)
					header.Write(p.conn)
					p.write([]byte("\r\n"))
					p.conn.SetReadDeadline(deadline())
					if resp, err := http.ReadResponse(p.r, nil); err == nil && resp.StatusCode == 101 {
						mu.Lock()
						opened++
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			r.expect(opened == 1, "20 uses of one token", "1 connection", opened)
		},
	},
	{
		ID: "PSX-21/no-pairing", Requirements: []string{"PSX-21", "PSX-23"}, Level: Must,
		Sentence: "A registration whose data is null, or no pairing, is refused and harms nobody else.",
		run: func(r *run) {
			for _, data := range []string{"{}", `{"code":"123456","hash":"0"}`, "null"} {
				c := r.client("C")
				c.say(`§{"name":"client.register","data":` + data + `}`)
				c.expectText(handshakeFailed)
				c.expectEnd()
			}
			r.couple(r.pairing())
		},
	},
	{
		ID: "PSX-23/wrong-code", Requirements: []string{"PSX-23", "PSX-24"}, Level: Must,
		Sentence: "A right hash with a wrong code is refused and leaves the one that waits its seat.",
		run: func(r *run) {
			p, q := r.pairing(), r.pairing()
			a := r.seat("A", p)
			c := r.client("C")
			c.say(psxPairing{q.Code, p.Hash}.register())
			c.expectText(handshakeFailed)
			c.expectEnd()
			b := r.seat("B", p)
			b.expectPeer(false, p)
			a.expectPeer(true, p)
		},
	},
	{
		ID: "PSX-24/third", Requirements: []string{"PSX-24"}, Level: Must,
		Sentence: "A third client of a pairing is refused, and the two others notice nothing.",
		run: func(r *run) {
			p := r.pairing()
			a, b := r.couple(p)
			c := r.client("C")
			c.say(p.register())
			c.expectText(handshakeFailed)
			c.expectEnd()
			a.say("still here")
			b.expectText("still here")
		},
	},
	{
		ID: "PSX-24/twice", Requirements: []string{"PSX-24", "PSX-26"}, Level: Must,
		Sentence: "A client that registers twice is not its own peer.",
		run: func(r *run) {
			p := r.pairing()
			a := r.seat("A", p)
			a.say(p.register())
			a.expectSilence()
			b := r.seat("B", p)
			b.expectPeer(false, p)
			a.expectPeer(true, p)
		},
	},
	{
		ID: "PSX-25/connected", Requirements: []string{"PSX-20", "PSX-21", "PSX-23", "PSX-25"}, Level: Must,
		Sentence: "The first client of a pairing waits; when the second has come both are told, and the first is the initiator.",
		run: func(r *run) {
			p := r.pairing()
			a := r.seat("A", p)
			a.expectSilence()
			b := r.seat("B", p)
			b.expectPeer(false, p)
			a.expectPeer(true, p)
		},
	},
	{
		ID: "PSX-26/messages", Requirements: []string{"PSX-26"}, Level: Must,
		Sentence: "Text and bytes, up to 1 MiB, pass unchanged and in order, in both directions.",
		run: func(r *run) {
			a, b := r.couple(r.pairing())
			for _, way := range [][2]*peer{{a, b}, {b, a}} {
				from, to := way[0], way[1]
				from.say("été")
				for _, size := range []int{1, 200, 70_000, 1 << 20} {
					from.writeFrame(frame{fin: true, op: opBinary, payload: bytes.Repeat([]byte{byte(size % 251)}, size)})
				}
				from.say(`§{"name":"peer.signal","data":{"type":"offer","sdp":""}}`)
				to.expectText("été")
				for _, size := range []int{1, 200, 70_000, 1 << 20} {
					to.expectBytes(bytes.Repeat([]byte{byte(size % 251)}, size))
				}
				to.expectText(`§{"name":"peer.signal","data":{"type":"offer","sdp":""}}`)
			}
		},
	},
	{
		ID: "PSX-26/looks-internal", Requirements: []string{"PSX-26"}, Level: Must,
		Sentence: "Between two that are connected every message passes, also one that looks like one for the server.",
		run: func(r *run) {
			p := r.pairing()
			a, b := r.couple(p)
			for _, text := range []string{"PING", "§", `§{"name":"data","data":"x"}`, `§{"name":"constructor"}`, p.register()} {
				a.say(text)
				b.expectText(text)
			}
		},
	},
	{
		ID: "PSX-26/early", Requirements: []string{"PSX-26"}, Level: Must,
		Sentence: "What a client sends before it has a peer is dropped.",
		run: func(r *run) {
			p := r.pairing()
			a := r.client("A")
			a.say("before registration")
			a.say(p.register())
			a.expectText(handshakeSuccess)
			a.say("before the peer")
			a.barrier()
			b := r.seat("B", p)
			b.expectPeer(false, p)
			a.expectPeer(true, p)
			b.expectSilence()
		},
	},
	{
		ID: "PSX-30/leave", Requirements: []string{"PSX-30"}, Level: Must,
		Sentence: "When one closes, or vanishes, the other is closed, and the pairing can be used again.",
		run: func(r *run) {
			p := r.pairing()
			a, b := r.couple(p)
			a.leave()
			b.expectEnd()
			a, b = r.couple(p)
			b.drop()
			a.expectEnd()
			r.couple(p)
		},
	},
	{
		ID: "PSX-30/waiting", Requirements: []string{"PSX-24", "PSX-30"}, Level: Must,
		Sentence: "When one that waits goes its seat is free.",
		run: func(r *run) {
			p := r.pairing()
			r.seat("A", p).leave()
			r.couple(p)
		},
	},
}

package conformance

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

var sigConnect = []*Case{
	{
		ID: "SIG-1/key-is-compared-raw", Requirements: []string{"SIG-1"}, Level: Must,
		Sentence: "Keys that differ only in percent escapes, letter case, slashes or dots are different keys.",
		run: func(r *run) {
			for i, pair := range [][2]string{
				{"it's", "it%27s"}, {"caf%C3%A9", "caf%c3%a9"}, {"%61", "a"}, {"r", "r/"}, {"r//s", "r/s"}, {"r/../s", "s"}, {"r", "R"},
			} {
				r.prefix += fmt.Sprint(i)
				r.open("A", pair[0]).connect(true, member(1))
				r.open("B", pair[1]).connect(true, member(2))
				r.open("C", pair[0]).connect(false, member(3))
			}
		},
	},
	{
		ID: "SIG-1/fragment", Requirements: []string{"SIG-1"}, Level: Must,
		Sentence: "What follows a # is no part of the key.",
		run: func(r *run) {
			r.open("A", "k#a").connect(true, member(1))
			r.open("B", "k").connect(false, member(2))
		},
	},
	{
		ID: "SIG-1/lone-percent", Requirements: []string{"SIG-1"}, Level: Must,
		Sentence: "A percent sign that begins no escape is a character of the key, as browsers send it.",
		run: func(r *run) {
			r.open("A", "100%").connect(true, member(1))
			r.open("B", "100%25").connect(true, member(2))
			r.open("C", "100%").connect(false, member(3))
		},
	},
	{
		ID: "SIG-2/lengths", Requirements: []string{"SIG-2", "SIG-38"}, Level: Must,
		Sentence: "A key of 512 characters as sent is taken, longer ones and an empty one are closed with 4741 after the upgrade.",
		run: func(r *run) {
			fill := 512 - len(r.prefix[1:])
			r.open("A", strings.Repeat("k", fill)).connect(true, member(1))
			r.open("B", strings.Repeat("k", fill+1)).expectClose(4741, 0)
			r.open("C", strings.Repeat("%C3%A9", 86)).expectClose(4741, 0)
			r.openTarget("D", "/", nil).expectClose(4741, 0)
			r.openTarget("E", "/?favored", nil).expectClose(4741, 0)
		},
	},
	{
		ID: "SIG-3/favored-by-presence", Requirements: []string{"SIG-3", "SIG-22"}, Level: Must,
		Sentence: "The query parameter favored counts by its presence, also as favored=0 and among others; a query is no part of the key.",
		run: func(r *run) {
			a, b, c := r.open("A", "?x=favored&favoredX&x-favored=1"), r.open("B", "?x=1&favored=0"), r.open("C", "")
			a.connect(true, member(1))
			b.connect(true, member(2), member(1))
			c.connect(false, member(3))
			c.send(content{data: []byte{1}}.message())
			b.expectContent([]byte{1})
			r.expectNothing(a)
		},
	},
	{
		ID: "SIG-4/any-origin", Requirements: []string{"SIG-4"}, Level: Must,
		Sentence: "Pages of any origin may connect.",
		run: func(r *run) {
			for i, origin := range []string{"https://elsewhere.example", "null", "file://", "http://[::1]:8080"} {
				p := r.openTarget("A", r.prefix+fmt.Sprint(i), http.Header{"Origin": {origin}})
				p.connect(true, member(1))
			}
		},
	},
	{
		ID: "SIG-4/no-extension", Requirements: []string{"SIG-4"}, Level: Must,
		Sentence: "An extension that is offered is not negotiated; no subprotocol is chosen where none is offered.",
		run: func(r *run) {
			p := r.openTarget("A", r.prefix, http.Header{
				"Origin":                   {"https://elsewhere.example"},
				"Sec-Websocket-Extensions": {"permessage-deflate; client_max_window_bits"},
			})
			for _, name := range []string{"Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"} {
				v := p.header.Get(name)
				r.expect(v == "", "the answer to A", "no "+name, fmt.Sprintf("%q", v))
			}
			p.connect(true, member(1))
		},
	},
	{
		ID: "SIG-5/plain-request", Requirements: []string{"SIG-5"}, Level: Should,
		Sentence: "A request that is no upgrade gets an HTTP error.",
		run: func(r *run) {
			p, err := r.dial("A")
			if err != nil {
				r.fail("A connects", "a connection", err.Error())
			}
			fmt.Fprintf(p.conn, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", r.prefix)
			p.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
			resp, err := http.ReadResponse(p.r, nil)
			if err != nil {
				r.fail("A asks for a page", "an HTTP error", err.Error())
			}
			r.expect(resp.StatusCode >= 400 && resp.StatusCode < 500, "A asks for a page", "an HTTP status 4xx", resp.Status)
		},
	},
	{
		ID: "SIG-15/pipelined", Requirements: []string{"SIG-15"}, Level: Must,
		Sentence: "Each of several connects that are sent at once is answered, in order.",
		run: func(r *run) {
			a, b := r.open("A", ""), r.open("B", "")
			a.connect(true, member(1))
			b.send(connectMessage(member(2)))
			b.send(connectMessage(member(2), member(1)))
			b.send(connectMessage(member(2)))
			b.send(connectMessage(member(2), member(1)))
			for _, want := range []bool{false, true, false, true} {
				b.expectConnected(want)
			}
			r.expectNothing(a, b)
		},
	},
	{
		ID: "SIG-20/many-members-in-view", Requirements: []string{"SIG-20", "WIR-4"}, Level: Must,
		Sentence: "A view of 1,000 members of which one is in the group makes a member, packed as well as unpacked.",
		run: func(r *run) {
			r.open("A", "").connect(true, member(1))
			r.open("B", "").connect(true, member(2), member(1))
			view := make([]uint32, 1000)
			group := appendVarint(nil, 1, uint64(member(4)))
			for i := range view {
				view[i] = member(uint32(5000 - i))
				group = appendVarint(group, 2, uint64(view[i]))
			}
			view[999] = member(2)
			group = appendVarint(group, 2, uint64(member(1)))
			r.open("C", "").connect(true, member(3), view...)
			d := r.open("D", "")
			d.send(appendBytes(nil, 3, group))
			d.expectConnected(true)
		},
	},
}

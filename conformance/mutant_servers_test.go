package conformance

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A tamper changes what passes between clients and a server. Its zero value changes nothing.
type tamper struct {
	request func(host, head string) string  // the request's head
	status  func(head string) string        // the head of an upgrade's answer
	answer  func(body string) (int, string) // of other answers; status 0 for as it is
	header  func(http.Header)               // of other answers
	frames  func() func(f *frame) []*frame  // from the server, of one connection
	toward  func() func(f *frame) []*frame  // to the server
}

// Signaling servers that are wrong in one respect each.
var sigverMutants = []mutant{
	{name: "always connected", server: onMessage(func(s *signaling) {
		if s.connected != nil {
			*s.connected = true
		}
	}), cases: []string{"SIG-15/pipelined", "SIG/next-member", "SIG/random-1", "SIG-50/asks", "SIG-51/leads"}},
	{name: "forgotten favored", server: tamper{request: func(_, head string) string { return strings.Replace(head, "favored", "flavored", 1) }},
		cases: []string{"SIG/favored-first", "SIG-3/favored-by-presence"}},
	{name: "all are favored", server: tamper{request: func(_, head string) string {
		target := strings.Split(head, " ")[1]
		return strings.Replace(head, target, strings.Split(target, "?")[0]+"?favored", 1)
	}}, cases: []string{"SIG/favored-first", "SIG-3/favored-by-presence"}},
	{name: "one key for all", server: tamper{request: func(_, head string) string {
		return strings.Replace(head, strings.Split(head, " ")[1], "/one", 1)
	}}, cases: []string{"SIG/keys-apart", "SIG-1/key-is-compared-raw"}},
	{name: "no heartbeats", server: lost(func(s signaling) bool { return s.heartbeat }), cases: []string{"SIG-10/heartbeat-times"}},
	{name: "heartbeats of false", server: onRaw(func(b []byte) []byte {
		if bytes.Equal(b, heartbeatMessage) {
			return []byte{8, 0}
		}
		return b
	}), cases: []string{"SIG-10/heartbeat-times"}},
	{name: "deaf to heartbeats", server: tamper{toward: dropFrames(func(f *frame) bool { return bytes.Equal(f.payload, heartbeatMessage) })},
		cases: []string{"SIG-12/only-heartbeats-count"}},
	{name: "data lost", server: onMessage(func(s *signaling) {
		if s.content != nil {
			s.content.data = nil
		}
	}), cases: []string{"SIG-29/exact-bytes", "SIG-42/large-message", "SIG/content-forms"}},
	{name: "a relay that drops", server: tamper{frames: nth(500, func(*frame) []*frame { return nil })},
		cases: []string{"SIG-37/flood"}},
	{name: "a relay that reorders", server: tamper{frames: reordered}, cases: []string{"SIG-37/flood"}},
	{name: "a relay that repeats", server: tamper{frames: nth(500, func(f *frame) []*frame { return []*frame{f, f} })},
		cases: []string{"SIG-37/flood"}},
	{name: "no disconnect notices", server: lost(func(s signaling) bool { return s.content != nil && s.content.data == nil }),
		cases: []string{"SIG/joiner-leaves", "SIG-24/gone-with-its-close-frame", "SIG-31/abrupt-ends"}},
	{name: "notice with data", server: onMessage(func(s *signaling) {
		if s.content != nil && s.content.data == nil {
			s.content.data = []byte{}
		}
	}), cases: []string{"SIG-29/exact-bytes", "SIG/joiner-leaves", "SIG/member-leaves"}},
	{name: "signaling id too great", server: onMessage(func(s *signaling) {
		if s.content != nil && s.content.sender != 0 {
			s.content.sender |= 1 << 31
		}
	}), cases: []string{"SIG-26/signaling-ids", "SIG/join-through-member"}},
	{name: "joiners are not told their id", server: onMessage(func(s *signaling) {
		if s.content != nil {
			s.content.recipient = 0
		}
	}), cases: []string{"SIG/join-through-member", "SIG-29/exact-bytes"}},
	{name: "lastData for ever", server: tamper{toward: dropFrames(func(f *frame) bool {
		fs, err := parse(f.payload)
		return f.op == opBinary && err == nil && fs.has(2) && fs.sub(2).uint(3) != 0
	})}, cases: []string{"SIG/last-data-to-member", "SIG/last-data-to-joiner"}},
	{name: "text is ignored", server: tamper{toward: dropFrames(func(f *frame) bool { return f.op == opText })}, cases: []string{"SIG-7/text"}},
	{name: "wrong close code", server: onFrame(func(f *frame) *frame {
		if f.op == opClose {
			f.payload = []byte{0x03, 0xe9}
		}
		return f
	}), cases: []string{"SIG-2/lengths", "SIG-7/text", "SIG/evict-lone-member", "SIG-38/close-is-answered", "SIG-48/unmasked"}},
	{name: "no close frame", server: onFrame(func(f *frame) *frame {
		if f.op == opClose {
			return nil
		}
		return f
	}), cases: []string{"SIG-38/close-is-answered", "SIG-14/expelled-at-once"}},
	{name: "text instead of binary", server: onFrame(func(f *frame) *frame {
		if f.op == opBinary {
			f.op = opText
		}
		return f
	}), cases: []string{"SIG-1/lone-percent", "SIG/first-member"}},
	{name: "masked", server: onFrame(func(f *frame) *frame { f.masked = true; return f }), cases: []string{"SIG/first-member"}},
	{name: "leads no more than twice", server: tamper{frames: func() func(*frame) []*frame {
		seen := 0 // of one member, which is asked first
		return func(f *frame) []*frame {
			if isDenial(f) {
				seen++
			}
			if isDenial(f) && seen > 3 {
				return nil
			}
			return []*frame{f}
		}
	}}, cases: []string{"SIG-52/goes-on"}},
	{name: "asks and leads twice", server: tamper{frames: func() func(*frame) []*frame {
		return func(f *frame) []*frame {
			if isDenial(f) {
				return []*frame{f, f}
			}
			return []*frame{f}
		}
	}}, cases: []string{"SIG-50/asks", "SIG-52/goes-on"}},
	{name: "asks without a reason", server: tamper{frames: func() func(*frame) []*frame {
		return func(f *frame) []*frame {
			if s, err := parseSignaling(f.payload); f.op == opBinary && err == nil && s.connected != nil && *s.connected {
				return []*frame{f, {fin: true, op: opBinary, payload: appendBool(nil, 4, false)}}
			}
			return []*frame{f}
		}
	}}, cases: []string{"SIG/first-member", "SIG/member-new-id", "SIG-50/leaver"}},
	{name: "chooses a subprotocol that nobody offered", server: tamper{status: func(head string) string {
		return strings.Replace(head, "\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", 1)
	}}, cases: []string{"SIG-4/no-extension"}},
}

// PeerSox servers that are wrong in one respect each.
var peersoxMutants = []mutant{
	{name: "a token used twice", server: tamper{request: freshToken}, cases: []string{"PSX-8/at-once", "PSX-11/refused"}},
	{name: "no subprotocol", server: tamper{status: func(head string) string { return withoutHeader(head, "Sec-Websocket-Protocol") }},
		cases: []string{"PSX-11/echo"}},
	{name: "codes of five digits", server: onBody(`"code":"`, `"code":"-`), cases: []string{"PSX-1/forms"}},
	{name: "any pairing is valid", server: onBody("false", "true"), cases: []string{"PSX-6/wrong"}},
	{name: "no pairing is valid", server: onBody("true", "false"), cases: []string{"PSX-5/once"}},
	{name: "400 instead of 422", server: tamper{answer: func(body string) (int, string) {
		if strings.Contains(body, `"errors"`) {
			return 400, body
		}
		return 0, body
	}}, cases: []string{"PSX-7/lengths"}},
	{name: "iceServers is none", server: onBody(`"iceServers":[`, `"servers":[`), cases: []string{"PSX-3/config"}},
	{name: "no allowed headers", server: tamper{header: func(h http.Header) { h.Del("Access-Control-Allow-Headers") }}, cases: []string{"PSX-12/preflight"}},
	{name: "lets all in", server: onText("HANDSHAKE_FAILED", "HANDSHAKE_SUCCESS"), cases: []string{"PSX-21/no-pairing", "PSX-23/wrong-code", "PSX-24/third"}},
	{name: "the second is the initiator", server: tamper{frames: func() func(*frame) []*frame {
		return func(f *frame) []*frame {
			f.payload = bytes.Replace(f.payload, []byte(`"isInitiator":false`), []byte(`"isInitiator":true`), 1)
			return []*frame{f}
		}
	}}, cases: []string{"PSX-25/connected"}},
	{name: "text as bytes", server: onFrame(func(f *frame) *frame {
		if f.op == opText && !bytes.HasPrefix(f.payload, []byte("HANDSHAKE")) && !bytes.Contains(f.payload, []byte("peer.connected")) {
			f.op = opBinary
		}
		return f
	}), cases: []string{"PSX-26/messages"}},
	{name: "keeps what looks internal", server: tamper{toward: dropFrames(func(f *frame) bool {
		return bytes.HasPrefix(f.payload, []byte("§")) && !bytes.Contains(f.payload, []byte("client.register"))
	})}, cases: []string{"PSX-26/looks-internal", "PSX-26/messages"}},
	{name: "the other one stays", server: onFrame(func(f *frame) *frame {
		if f.op == opClose {
			return &frame{fin: true, op: opPing}
		}
		return f
	}), cases: []string{"PSX-30/leave"}},
}

// PeerSox clients that are wrong in one respect each.
var clientMutants = []mutant{
	{name: "registers with another code", spoil: inWords(`"code":"123456"`, `"code":"654321"`), cases: []string{"PSX-61/failed", "PSX-60/token"}},
	{name: "offers under another name", spoil: inWords("peer.signal", "peer.offer"), cases: []string{"PSX-65/late", "PSX-65/label"}},
	{name: "loses the last message", spoil: inWords("the last", ""), cases: []string{"PSX-80/close"}},
	{name: "changes a text", spoil: inWords("three", "thre"), cases: []string{"PSX-67/ways"}},
	{name: "its driver claims everything", driver: "claims", cases: []string{"DRV-1/pairpeer", "PSX-61/failed", "PSX-68/reserved"}},
}

// inWords replaces text in the messages of a client.
func inWords(old, new string) spoiler {
	return each(func(_ bool, b []byte) []byte { return bytes.ReplaceAll(b, []byte(old), []byte(new)) })
}

func onFrame(change func(*frame) *frame) tamper {
	return tamper{frames: func() func(*frame) []*frame {
		return func(f *frame) []*frame {
			if f = change(f); f == nil {
				return nil
			}
			return []*frame{f}
		}
	}}
}

func onRaw(change func([]byte) []byte) tamper {
	return onFrame(func(f *frame) *frame {
		if f.op == opBinary {
			f.payload = change(f.payload)
		}
		return f
	})
}

func onText(old, new string) tamper {
	return onFrame(func(f *frame) *frame {
		f.payload = bytes.Replace(f.payload, []byte(old), []byte(new), 1)
		return f
	})
}

func onBody(old, new string) tamper {
	return tamper{answer: func(body string) (int, string) { return 0, strings.Replace(body, old, new, 1) }}
}

// lost loses the server's messages that match.
func lost(match func(signaling) bool) tamper {
	return onFrame(func(f *frame) *frame {
		if s, err := parseSignaling(f.payload); f.op == opBinary && err == nil && match(s) {
			return nil
		}
		return f
	})
}

// isDenial reports whether a frame is connected:false.
func isDenial(f *frame) bool {
	s, err := parseSignaling(f.payload)
	return f.op == opBinary && err == nil && s.connected != nil && !*s.connected
}

func dropFrames(match func(*frame) bool) func() func(*frame) []*frame {
	return func() func(*frame) []*frame {
		return func(f *frame) []*frame {
			if match(f) {
				return nil
			}
			return []*frame{f}
		}
	}
}

// nth changes the n-th binary message of a connection.
func nth(n int, change func(*frame) []*frame) func() func(*frame) []*frame {
	return func() func(*frame) []*frame {
		seen := 0
		return func(f *frame) []*frame {
			if f.op == opBinary {
				seen++
			}
			if f.op == opBinary && seen == n {
				return change(f)
			}
			return []*frame{f}
		}
	}
}

// reordered has the 500th message come after the 501st.
func reordered() func(*frame) []*frame {
	seen := 0
	var held *frame
	return func(f *frame) []*frame {
		if f.op != opBinary {
			return []*frame{f}
		}
		seen++
		switch seen {
		case 500:
			held = f
			return nil
		case 501:
			return []*frame{f, held}
		}
		return []*frame{f}
	}
}

// freshToken gets a token for every upgrade that names one, which so seems to be good for ever.
func freshToken(host, head string) string {
	i := strings.Index(head, "Sec-Websocket-Protocol: ")
	if i < 0 {
		return head
	}
	resp, err := http.Get("http://" + host + "/api/token/get")
	if err != nil {
		return head
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	_, rest, _ := strings.Cut(head[i:], "\r\n")
	return head[:i] + "Sec-Websocket-Protocol: " + strings.Split(string(body), `"`)[3] + "\r\n" + rest
}

func withoutHeader(head, name string) string {
	var kept []string
	for _, line := range strings.SplitAfter(head, "\r\n") {
		if !strings.HasPrefix(strings.ToLower(line), strings.ToLower(name)+":") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// onMessage is a mutation of decoded messages.
func onMessage(change func(*signaling)) tamper {
	return onRaw(func(b []byte) []byte {
		s, err := parseSignaling(b)
		if err != nil {
			return b
		}
		change(&s)
		switch {
		case s.content != nil:
			c := appendVarint(nil, 1, uint64(s.content.sender))
			c = appendVarint(c, 2, uint64(s.content.recipient))
			if s.content.data != nil {
				c = appendBytes(c, 4, s.content.data)
			}
			return appendBytes(nil, 2, c)
		case s.connected != nil:
			return appendBool(nil, 4, *s.connected)
		}
		return b
	})
}

// startTampered runs a proxy before a server and returns its address.
func startTampered(t *testing.T, host string, how tamper) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	var mu sync.Mutex
	conns := make(map[net.Conn]bool)
	done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			done.Go(func() {
				how.pass(c, host)
				mu.Lock()
				delete(conns, c)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		done.Wait()
	})
	return l.Addr().String()
}

// pass carries one connection.
func (how tamper) pass(client net.Conn, host string) {
	defer client.Close()
	server, err := net.Dial("tcp", host)
	if err != nil {
		return
	}
	defer server.Close()
	from, to := bufio.NewReader(client), bufio.NewReader(server)
	head, err := readHead(from)
	if err != nil {
		return
	}
	if how.request != nil {
		head = how.request(host, head)
	}
	var done sync.WaitGroup
	defer done.Wait()
	defer server.Close()
	defer client.Close()
	io.WriteString(server, head)
	upgrade := strings.Contains(strings.ToLower(head), "upgrade: websocket")
	done.Go(func() {
		defer server.Close()
		if how.toward == nil || !upgrade {
			from.WriteTo(server)
			return
		}
		passFrames(client, from, server, how.toward())
	})
	if !upgrade {
		how.passAnswer(client, to)
		return
	}
	answer, err := readHead(to)
	if err != nil {
		return
	}
	if how.status != nil {
		answer = how.status(answer)
	}
	io.WriteString(client, answer)
	if how.frames == nil || !strings.HasPrefix(answer, "HTTP/1.1 101") {
		to.WriteTo(client)
		return
	}
	passFrames(server, to, client, how.frames())
}

// passAnswer passes an answer that is no upgrade.
func (how tamper) passAnswer(client net.Conn, from *bufio.Reader) {
	resp, err := http.ReadResponse(from, nil)
	if err != nil {
		return
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return
	}
	if how.answer != nil {
		status, changed := how.answer(string(body))
		body = []byte(changed)
		if status != 0 {
			resp.StatusCode, resp.Status = status, ""
		}
	}
	if how.header != nil {
		how.header(resp.Header)
	}
	resp.Header.Del("Content-Length")
	resp.TransferEncoding = nil
	resp.ContentLength = int64(len(body))
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.Write(client)
}

// readHead reads up to an empty line, with it.
func readHead(r *bufio.Reader) (string, error) {
	var head strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		head.WriteString(line)
		if line == "\r\n" {
			return head.String(), nil
		}
	}
}

// passFrames passes frames on, changed, until one end has closed.
func passFrames(conn net.Conn, from *bufio.Reader, to net.Conn, change func(*frame) []*frame) {
	p := &peer{conn: conn, r: from}
	for {
		f, err := p.readFrame(time.Now().Add(time.Minute))
		if err != nil {
			return
		}
		for _, f := range change(f) {
			b := f.header()
			if f.masked {
				b = append(b, 0, 0, 0, 0)
			}
			if _, err := to.Write(append(b, f.payload...)); err != nil {
				return
			}
		}
	}
}

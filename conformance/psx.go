package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// PeerSoxCases returns the cases of chapter PSX that judge a server.
func PeerSoxCases() []*Case { return slices.Concat(psxAPI, psxSocket, psxLimits) }

// The answers to a registration.
const (
	handshakeSuccess = "HANDSHAKE_SUCCESS"
	handshakeFailed  = "HANDSHAKE_FAILED"
)

// A psxPairing is a code with its hash.
type psxPairing struct{ Code, Hash string }

func (p psxPairing) register() string {
	return fmt.Sprintf(`§{"name":"client.register","data":{"code":%q,"hash":%q}}`, p.Code, p.Hash)
}

// An httpAnswer is what a server says to an HTTP request.
type httpAnswer struct {
	what   string // was asked
	status int
	header http.Header
	body   string
}

// call sends an HTTP request; headers come in pairs.
func (r *run) call(method, path, kind, body string, header ...string) httpAnswer {
	what := fmt.Sprintf("%s %s %.60s", method, path, body)
	req, err := http.NewRequest(method, r.target.PeerSox+path, strings.NewReader(body))
	if err != nil {
		r.fail(what, "a request", err.Error())
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		r.fail(what, "an answer", err.Error())
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.fail(what, "an answer", err.Error())
	}
	return httpAnswer{what, resp.StatusCode, resp.Header, string(b)}
}

func (r *run) get(path string) httpAnswer { return r.call("GET", path, "", "") }

func (r *run) postJSON(path, body string) httpAnswer {
	return r.call("POST", path, "application/json", body)
}

// expectJSON expects an answer with this status and a body that is the same JSON.
func (r *run) expectJSON(a httpAnswer, status int, want string) {
	same := func(x, y string) bool {
		var v, w any
		if json.Unmarshal([]byte(x), &v) != nil || json.Unmarshal([]byte(y), &w) != nil {
			return false
		}
		b, _ := json.Marshal(v)
		c, _ := json.Marshal(w)
		return string(b) == string(c)
	}
	r.expect(a.status == status && same(a.body, want), a.what, fmt.Sprintf("%d %s", status, want), fmt.Sprintf("%d %s", a.status, a.body))
}

// pairing gets a new pairing.
func (r *run) pairing() (p psxPairing) {
	a := r.get("/api/code/get")
	err := json.Unmarshal([]byte(a.body), &p)
	r.expect(err == nil && a.status == 200, a.what, "200 with a pairing", fmt.Sprintf("%d %s", a.status, a.body))
	return p
}

func (r *run) token() string {
	a := r.get("/api/token/get")
	var m struct{ Token string }
	err := json.Unmarshal([]byte(a.body), &m)
	r.expect(err == nil && a.status == 200 && m.Token != "", a.what, "200 with a token", fmt.Sprintf("%d %s", a.status, a.body))
	return m.Token
}

// upgradeWith asks for a WebSocket with a token; "" for none.
func (r *run) upgradeWith(name, token string) (*peer, *http.Response) {
	r.silent = true // the heartbeats of signaling are none here
	header := http.Header{}
	if token != "" {
		header.Set("Sec-WebSocket-Protocol", token)
	}
	p, resp, err := r.request(name, "/ws", header)
	if err != nil {
		r.fail(name+" connects to /ws", "an HTTP answer", err.Error())
	}
	return p, resp
}

// client connects a peer that has not registered.
func (r *run) client(name string) *peer {
	p, resp := r.upgradeWith(name, r.token())
	r.expect(resp.StatusCode == http.StatusSwitchingProtocols, name+" connects to /ws", "HTTP status 101", resp.Status)
	return p
}

// seat connects a peer and expects that its registration succeeds.
func (r *run) seat(name string, p psxPairing) *peer {
	c := r.client(name)
	c.say(p.register())
	c.expectText(handshakeSuccess)
	return c
}

// couple connects two peers with one another.
func (r *run) couple(p psxPairing) (initiator, joiner *peer) {
	initiator = r.seat("A", p)
	joiner = r.seat("B", p)
	joiner.expectPeer(false, p)
	initiator.expectPeer(true, p)
	return initiator, joiner
}

// say sends a text message.
func (p *peer) say(text string) {
	p.writeFrame(frame{fin: true, op: opText, payload: []byte(text)})
}

// expectText expects a text message.
func (p *peer) expectText(want string) {
	f, err := p.next(deadline())
	p.run.expect(err == nil && f.op == opText && string(f.payload) == want, "for "+p.name, fmt.Sprintf("the text %q", want), describe(f, err))
}

// expectBytes expects a binary message.
func (p *peer) expectBytes(want []byte) {
	f, err := p.next(deadline())
	ok := err == nil && f.op == opBinary && string(f.payload) == string(want)
	actual := "other bytes"
	if err != nil || f.op != opBinary {
		actual = describe(f, err)
	}
	p.run.expect(ok, "for "+p.name, fmt.Sprintf("a binary message of %d bytes", len(want)), actual)
}

// expectPeer expects peer.connected.
func (p *peer) expectPeer(initiator bool, pairing psxPairing) {
	f, err := p.next(deadline())
	want := fmt.Sprintf(`§{"name":"peer.connected","data":{"isInitiator":%v,"pairing":{"code":%q,"hash":%q}}}`, initiator, pairing.Code, pairing.Hash)
	var m struct {
		Name string
		Data struct {
			IsInitiator bool
			Pairing     psxPairing
		}
	}
	ok := err == nil && f.op == opText
	if ok {
		text, internal := strings.CutPrefix(string(f.payload), "§")
		ok = internal && json.Unmarshal([]byte(text), &m) == nil && m.Name == "peer.connected" &&
			m.Data.IsInitiator == initiator && m.Data.Pairing == pairing
	}
	p.run.expect(ok, "for "+p.name, want, describe(f, err))
}

// expectEnd expects the end of the connection, with any close code or none.
func (p *peer) expectEnd() {
	f, err := p.next(deadline())
	isClose := err == nil && f.op == opClose
	p.run.expect(isClose || isEnd(err), "for "+p.name, "a close frame", describe(f, err))
	p.run.ended(isClose, "for "+p.name, "a close frame", describe(f, err))
	if !isClose {
		return
	}
	p.writeFrame(frame{fin: true, op: opClose, payload: f.payload})
	p.hangUp()
}

// expectSilence expects that nothing comes for a while.
func (p *peer) expectSilence() {
	p.barrier()
	f, err := p.next(time.Now().Add(quiet))
	p.run.expect(err != nil && describe(f, err) == "nothing", "for "+p.name, "nothing", describe(f, err))
}

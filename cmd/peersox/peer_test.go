package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
)

// fails has a command carried out, which fails with an error that has this text.
func (r *running) fails(cmd object, text string) {
	r.T.Helper()
	if got := r.Do(cmd); got["event"] != "error" || !strings.Contains(fmt.Sprint(got["message"]), text) {
		r.T.Fatalf("%v: %v", cmd, got)
	}
}

// Driven clients have sealed pairings, keep them, and say why one has ended (SEC-40, SEC-48, SEC-49).
func TestPeerSealed(t *testing.T) {
	url := startServer(t)
	store := t.TempDir() + "/pairing"
	a, b := start(t, "peer"), start(t, "peer")
	for _, p := range []*running{a, b} {
		p.OK(object{"cmd": "init", "url": url, "loopback": true, "autoUpgrade": false, "seal": p == a, "store": store})
	}
	made := a.Do(object{"cmd": "createPairing"})
	text := fmt.Sprintf("%s-%s", made["code"], made["secret"])
	if joined := b.Do(object{"cmd": "joinPairing", "code": text}); fmt.Sprint(joined) != fmt.Sprint(made) || made["secret"] == nil {
		t.Fatal(joined, made)
	}
	pairing := object{"code": made["code"], "hash": made["hash"], "secret": made["secret"]}
	with := func(cmd string, o object) object { o = maps.Clone(o); o["cmd"] = cmd; return o }
	b.OK(with("store", pairing))
	if got := b.Do(object{"cmd": "restore"}); fmt.Sprint(got) != fmt.Sprint(made) {
		t.Error(got)
	}
	for _, p := range []*running{a, b} {
		p.OK(with("connect", pairing))
	}
	a.Event(object{"event": "peerConnected"})
	b.Event(object{"event": "peerConnected"})
	a.OK(object{"cmd": "send", "text": "hello"})
	b.Event(object{"event": "message", "text": "hello"})
	a.OK(object{"cmd": "close"})
	if e := b.Event(object{"event": "connectionClosed"}); e["message"] != nil {
		t.Error(e)
	}
	delete(pairing, "secret")
	a.OK(with("connect", pairing))
	b.OK(with("connect", object{"code": made["code"], "hash": made["hash"], "secret": made["secret"]}))
	a.Event(object{"event": "connectionClosed"}) // of before
	if e := a.Event(object{"event": "connectionClosed"}); !strings.Contains(fmt.Sprint(e["message"]), "no secret") {
		t.Error(e)
	}
	if e := b.Event(object{"event": "connectionClosed"}); !strings.Contains(fmt.Sprint(e["message"]), "not sealed") {
		t.Error(e)
	}
	b.fails(with("connect", object{"code": made["code"], "hash": made["hash"], "secret": "mppair1"}), "not the secret")
}

// Two driven clients go through all commands and events of the drivers' page.
func TestPeer(t *testing.T) {
	url := startServer(t)
	store := t.TempDir() + "/pairing"
	a, b := start(t, "peer"), start(t, "peer")
	for _, p := range []*running{a, b} {
		p.Event(object{"event": "ready"})
		p.event2(object{"cmd": "init", "url": url, "loopback": true, "autoUpgrade": p == a, "store": store}, "serverReady")
	}
	made := a.Do(object{"cmd": "createPairing"})
	code, hash := made["code"], made["hash"]
	if joined := b.Do(object{"cmd": "joinPairing", "code": code}); joined["event"] != "pairing" || joined["hash"] != hash {
		t.Fatal(joined)
	}
	b.fails(object{"cmd": "joinPairing", "code": code}, "no client waits with this code")
	if e := b.Do(object{"cmd": "validate", "code": code, "hash": hash}); e["event"] != "valid" || e["valid"] != true {
		t.Error(e)
	}
	if e := b.Do(object{"cmd": "validate", "code": "654321", "hash": hash}); e["valid"] != false {
		t.Error(e)
	}
	a.fails(object{"cmd": "connect", "code": "654321", "hash": hash}, "refused")
	for _, p := range []*running{a, b} {
		p.event2(object{"cmd": "connect", "code": code, "hash": hash}, "connectionEstablished")
	}
	a.Event(object{"event": "peerConnected", "initiator": true})
	b.Event(object{"event": "peerConnected", "initiator": false})
	for range 2 {
		for _, text := range []string{"hello", "", "PING", "§"} {
			a.OK(object{"cmd": "send", "text": text})
			b.Event(object{"event": "message", "text": text})
			bytes := base64.StdEncoding.EncodeToString([]byte(text))
			b.OK(object{"cmd": "send", "base64": bytes})
			a.Event(object{"event": "message", "base64": bytes})
		}
		b.OK(object{"cmd": "upgrade"})
		b.Event(object{"event": "status", "n": b.number(object{"cmd": "status"}), "connected": true, "webrtc": true, "websocket": true, "initiator": false})
	}
	a.Event(object{"event": "upgraded"})
	b.Event(object{"event": "upgraded"})
	a.OK(object{"cmd": "break"})
	a.Event(object{"event": "peerRtcClosed"})
	b.Event(object{"event": "peerRtcClosed"})

	a.OK(object{"cmd": "store", "code": code, "hash": hash})
	if e := a.Do(object{"cmd": "restore"}); e["event"] != "pairing" || e["hash"] != hash {
		t.Error(e)
	}
	a.OK(object{"cmd": "delete"})
	if e := a.Do(object{"cmd": "restore"}); e["event"] != "pairing" || e["hash"] != nil {
		t.Error(e)
	}
	b.event2(object{"cmd": "close"}, "connectionClosed")
	a.Event(object{"event": "connectionClosed"})
	a.OK(object{"cmd": "close"})
	a.fails(object{"cmd": "send", "text": "x"}, "not connected")
	for _, p := range []*running{a, b} {
		p.End()
	}
}

// event2 has a command carried out that brings an event, which comes before the answer.
func (r *running) event2(cmd object, event string) {
	r.T.Helper()
	r.OK(cmd)
	for _, line := range r.Rest() {
		if strings.Contains(line, `"event":"`+event+`"`) {
			r.Event(object{"event": event})
			return
		}
	}
	r.T.Fatalf("%v: no %s came before the answer", cmd, event)
}

// number says a command and returns its number.
func (r *running) number(cmd object) int {
	r.T.Helper()
	cmd["n"] = 815
	b, _ := json.Marshal(cmd)
	r.Say(string(b))
	return 815
}

// What cannot be carried out is answered by an error and changes nothing.
func TestPeerAnswers(t *testing.T) {
	p := start(t, "peer")
	if line := p.Line("ready", func(string) bool { return true }); line != `{"event":"ready"}` {
		t.Fatalf("the first line is %s", line)
	}
	p.Say(`{"cmd":"status"}`)
	p.Line("the status", func(line string) bool {
		return line == `{"connected":false,"event":"status","initiator":false,"webrtc":false,"websocket":false}`
	})
	for _, test := range []struct{ line, say string }{
		{`nonsense`, "malformed line"},
		{`{"cmd":5,"n":7}`, "malformed line"},
		{`{"cmd":"send","base64":"?"}`, "malformed line"},
		{strings.Repeat("x", maxLine+1), "longer than"},
		{`null`, `needs \"cmd\"`},
		{`{"cmd":"dance"}`, "unknown command"},
		{`{"cmd":"connect"}`, "init first"},
		{`{"cmd":"init"}`, "no server"},
		{`{"cmd":"send","text":"x"}`, "not connected"},
		{`{"cmd":"send"}`, "needs"},
		{`{"cmd":"upgrade"}`, "not connected"},
	} {
		p.Say(test.line)
		p.Line(test.say, func(line string) bool {
			return strings.Contains(line, `"event":"error"`) && strings.Contains(line, test.say)
		})
	}
	p.Say("", "  ", `{"cmd":"close","n":1}`)
	p.Line("ok", func(line string) bool { return line == `{"event":"ok","n":1}` })
	p.End()
}

// The end of the input closes what is open.
func TestPeerInputEnds(t *testing.T) {
	url := startServer(t)
	a, b := start(t, "peer"), start(t, "peer")
	for _, p := range []*running{a, b} {
		p.OK(object{"cmd": "init", "url": url, "loopback": true})
	}
	made := a.Do(object{"cmd": "createPairing"})
	for _, p := range []*running{a, b} {
		p.OK(object{"cmd": "connect", "code": made["code"], "hash": made["hash"]})
	}
	b.Event(object{"event": "peerConnected"})
	a.End()
	a.Event(object{"event": "connectionClosed"})
	b.Event(object{"event": "connectionClosed"})
	b.Stop()
	b.Wait()
}

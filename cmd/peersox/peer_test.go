package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
)

// event waits for an event that has these fields, beside others.
func (r *running) event(want object) object {
	r.t.Helper()
	for k, v := range want { // as JSON has it
		b, _ := json.Marshal(v)
		want[k] = parse(r.t, string(b))
	}
	var got object
	r.line(fmt.Sprint(want), func(line string) bool {
		got, _ = parse(r.t, line).(map[string]any)
		for k, v := range want {
			if fmt.Sprintf("%#v", got[k]) != fmt.Sprintf("%#v", v) {
				return false
			}
		}
		return true
	})
	return got
}

func parse(t *testing.T, text string) (v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q is not JSON: %v", text, err)
	}
	return v
}

// do has a command carried out and returns what answers it.
func (r *running) do(cmd object) object {
	r.t.Helper()
	cmd = maps.Clone(cmd)
	cmd["n"] = 4711
	b, err := json.Marshal(cmd)
	if err != nil {
		r.t.Fatal(err)
	}
	r.say(string(b))
	return r.event(object{"n": 4711})
}

// ok has a command carried out, which succeeds.
func (r *running) ok(cmd object) {
	r.t.Helper()
	if got := r.do(cmd); got["event"] != "ok" {
		r.t.Fatalf("%v: %v", cmd, got)
	}
}

// fails has a command carried out, which fails with an error that has this text.
func (r *running) fails(cmd object, text string) {
	r.t.Helper()
	if got := r.do(cmd); got["event"] != "error" || !strings.Contains(fmt.Sprint(got["message"]), text) {
		r.t.Fatalf("%v: %v", cmd, got)
	}
}

// Driven clients have sealed pairings, keep them, and say why one has ended (SEC-40, SEC-48, SEC-49).
func TestPeerSealed(t *testing.T) {
	url := startServer(t)
	store := t.TempDir() + "/pairing"
	a, b := start(t, "peer"), start(t, "peer")
	for _, p := range []*running{a, b} {
		p.ok(object{"cmd": "init", "url": url, "loopback": true, "autoUpgrade": false, "seal": p == a, "store": store})
	}
	made := a.do(object{"cmd": "createPairing"})
	text := fmt.Sprintf("%s-%s", made["code"], made["secret"])
	if joined := b.do(object{"cmd": "joinPairing", "code": text}); fmt.Sprint(joined) != fmt.Sprint(made) || made["secret"] == nil {
		t.Fatal(joined, made)
	}
	pairing := object{"code": made["code"], "hash": made["hash"], "secret": made["secret"]}
	with := func(cmd string, o object) object { o = maps.Clone(o); o["cmd"] = cmd; return o }
	b.ok(with("store", pairing))
	if got := b.do(object{"cmd": "restore"}); fmt.Sprint(got) != fmt.Sprint(made) {
		t.Error(got)
	}
	for _, p := range []*running{a, b} {
		p.ok(with("connect", pairing))
	}
	a.event(object{"event": "peerConnected"})
	b.event(object{"event": "peerConnected"})
	a.ok(object{"cmd": "send", "text": "hello"})
	b.event(object{"event": "message", "text": "hello"})
	a.ok(object{"cmd": "close"})
	if e := b.event(object{"event": "connectionClosed"}); e["message"] != nil {
		t.Error(e)
	}
	delete(pairing, "secret")
	a.ok(with("connect", pairing))
	b.ok(with("connect", object{"code": made["code"], "hash": made["hash"], "secret": made["secret"]}))
	a.event(object{"event": "connectionClosed"}) // of before
	if e := a.event(object{"event": "connectionClosed"}); !strings.Contains(fmt.Sprint(e["message"]), "no secret") || e["reason"] != "missing" {
		t.Error(e)
	}
	if e := b.event(object{"event": "connectionClosed"}); !strings.Contains(fmt.Sprint(e["message"]), "not sealed") || e["reason"] != "unsealed" {
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
		p.event(object{"event": "ready"})
		p.event2(object{"cmd": "init", "url": url, "loopback": true, "autoUpgrade": p == a, "store": store}, "serverReady")
	}
	made := a.do(object{"cmd": "createPairing"})
	code, hash := made["code"], made["hash"]
	if joined := b.do(object{"cmd": "joinPairing", "code": code}); joined["event"] != "pairing" || joined["hash"] != hash {
		t.Fatal(joined)
	}
	b.fails(object{"cmd": "joinPairing", "code": code}, "no client waits with this code")
	if e := b.do(object{"cmd": "validate", "code": code, "hash": hash}); e["event"] != "valid" || e["valid"] != true {
		t.Error(e)
	}
	if e := b.do(object{"cmd": "validate", "code": "654321", "hash": hash}); e["valid"] != false {
		t.Error(e)
	}
	a.fails(object{"cmd": "connect", "code": "654321", "hash": hash}, "refused")
	for _, p := range []*running{a, b} {
		p.event2(object{"cmd": "connect", "code": code, "hash": hash}, "connectionEstablished")
	}
	a.event(object{"event": "peerConnected", "initiator": true})
	b.event(object{"event": "peerConnected", "initiator": false})
	for range 2 {
		for _, text := range []string{"hello", "", "PING", "§"} {
			a.ok(object{"cmd": "send", "text": text})
			b.event(object{"event": "message", "text": text})
			bytes := base64.StdEncoding.EncodeToString([]byte(text))
			b.ok(object{"cmd": "send", "base64": bytes})
			a.event(object{"event": "message", "base64": bytes})
		}
		b.ok(object{"cmd": "upgrade"})
		b.event(object{"event": "status", "n": b.number(object{"cmd": "status"}), "connected": true, "webrtc": true, "websocket": true, "initiator": false})
	}
	a.event(object{"event": "upgraded"})
	b.event(object{"event": "upgraded"})
	a.ok(object{"cmd": "break"})
	a.event(object{"event": "peerRtcClosed"})
	b.event(object{"event": "peerRtcClosed"})

	a.ok(object{"cmd": "store", "code": code, "hash": hash})
	if e := a.do(object{"cmd": "restore"}); e["event"] != "pairing" || e["hash"] != hash {
		t.Error(e)
	}
	a.ok(object{"cmd": "delete"})
	if e := a.do(object{"cmd": "restore"}); e["event"] != "pairing" || e["hash"] != nil {
		t.Error(e)
	}
	b.event2(object{"cmd": "close"}, "connectionClosed")
	a.event(object{"event": "connectionClosed"})
	a.ok(object{"cmd": "close"})
	a.fails(object{"cmd": "send", "text": "x"}, "not connected")
	for _, p := range []*running{a, b} {
		p.end()
	}
}

// event2 has a command carried out that brings an event, which comes before the answer.
func (r *running) event2(cmd object, event string) {
	r.t.Helper()
	r.ok(cmd)
	for _, line := range r.rest() {
		if strings.Contains(line, `"event":"`+event+`"`) {
			r.event(object{"event": event})
			return
		}
	}
	r.t.Fatalf("%v: no %s came before the answer", cmd, event)
}

// number says a command and returns its number.
func (r *running) number(cmd object) int {
	r.t.Helper()
	cmd["n"] = 815
	b, _ := json.Marshal(cmd)
	r.say(string(b))
	return 815
}

// What cannot be carried out is answered by an error and changes nothing.
func TestPeerAnswers(t *testing.T) {
	p := start(t, "peer")
	if line := p.line("ready", func(string) bool { return true }); line != `{"event":"ready"}` {
		t.Fatalf("the first line is %s", line)
	}
	p.say(`{"cmd":"status"}`)
	p.line("the status", func(line string) bool {
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
		p.say(test.line)
		p.line(test.say, func(line string) bool {
			return strings.Contains(line, `"event":"error"`) && strings.Contains(line, test.say)
		})
	}
	p.say("", "  ", `{"cmd":"close","n":1}`)
	p.line("ok", func(line string) bool { return line == `{"event":"ok","n":1}` })
	p.end()
}

// The end of the input closes what is open.
func TestPeerInputEnds(t *testing.T) {
	url := startServer(t)
	a, b := start(t, "peer"), start(t, "peer")
	for _, p := range []*running{a, b} {
		p.ok(object{"cmd": "init", "url": url, "loopback": true})
	}
	made := a.do(object{"cmd": "createPairing"})
	for _, p := range []*running{a, b} {
		p.ok(object{"cmd": "connect", "code": made["code"], "hash": made["hash"]})
	}
	b.event(object{"event": "peerConnected"})
	a.end()
	a.event(object{"event": "connectionClosed"})
	b.event(object{"event": "connectionClosed"})
	b.stop()
	b.wait()
}

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/turntest"
)

// idle is the status of a peer that is in no group.
const idle = `{"event":"status","group":0,"id":0,"key":"","members":[],"neighbors":[],"signaling":"CLOSED","state":"LEFT"}`

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

// startPeers starts peers that join one group, and returns their ids as well.
func startPeers(t *testing.T, url string, n int, args ...string) (peers []*running, ids []json.Number) {
	t.Helper()
	for range n {
		p := start(t, slices.Concat([]string{"peer"}, args)...)
		p.event(object{"event": "ready"})
		p.ok(object{"cmd": "join", "signaling": url, "key": "été 100%", "loopback": true})
		peers = append(peers, p)
		ids = append(ids, p.do(object{"cmd": "status"})["id"].(json.Number))
	}
	for i, p := range peers {
		for j := range ids {
			if i != j {
				p.event(object{"event": "join", "member": ids[j]})
			}
		}
	}
	return peers, ids
}

// What cannot be carried out is answered by an error and changes nothing. The answer has the command's number as it is.
func TestPeerAnswers(t *testing.T) {
	p := start(t, "peer")
	if line := p.line("ready", func(string) bool { return true }); line != `{"event":"ready"}` {
		t.Fatalf("the first line is %s", line)
	}
	p.say(`{"cmd":"status"}`)
	p.line("the status", func(line string) bool { return line == idle })
	for _, test := range []struct{ line, n, say string }{
		{`nonsense`, ``, "malformed line"},
		{`{"cmd":"join"`, ``, "malformed line"},
		{`{"cmd":"status"} {}`, ``, "malformed line"},
		{`[]`, ``, "malformed line"},
		{`{"cmd":5,"n":7}`, `7`, "malformed line"},
		{`{"cmd":"send","base64":"?","n":7}`, `7`, "malformed line"},
		{`{"cmd":"sendTo","to":-1,"text":"x","n":7}`, `7`, "malformed line"},
		{`{"cmd":"send","n":"seven"}`, ``, "malformed line"},
		{`null`, ``, `needs \"cmd\"`},
		{`{"n":7}`, `7`, `needs \"cmd\"`},
		{`{"cmd":"fly","n":7}`, `7`, `unknown command \"fly\"`},
		{`{"cmd":"send","text":"x","n":0}`, `0`, "join first"},
		{`{"cmd":"send","text":"x","n":1.5}`, `1.5`, "join first"},
		{`{"cmd":"sendTo","n":9007199254740993}`, `9007199254740993`, "join first"},
		{`{"cmd":"join","n":7}`, `7`, "no signaling server"},
		{`{"cmd":"join","signaling":"http://127.0.0.1","n":7}`, `7`, "no signaling server"},
		{`{"cmd":"join","signaling":"ws://127.0.0.1","key":"","n":7}`, `7`, "a key cannot be used"},
		{`{"cmd":"drop","member":1,"n":7}`, `7`, "not in a group"},
		{strings.Repeat("x", maxLine+1), ``, "longer than 16777216 bytes"},
	} {
		p.say("", test.line, "  ")
		line := p.line("the answer to "+test.line[:min(len(test.line), 100)], func(string) bool { return true })
		if !strings.HasPrefix(line, `{"event":"error","message":"`) || !strings.Contains(line, test.say) {
			t.Errorf("%.100s: %s, want an error with %q", test.line, line, test.say)
		}
		if strings.Contains(line, `,"unsupported":true`) != strings.Contains(test.line, "fly") { // DRV-1
			t.Errorf("%.100s: %s", test.line, line)
		}
		line = strings.Replace(line, `,"unsupported":true`, "", 1)
		if n := `,"n":` + test.n + `}`; test.n != "" && !strings.HasSuffix(line, n) || test.n == "" && strings.Contains(line, `"n":`) {
			t.Errorf("%.100s: %s, want n %q", test.line, line, test.n)
		}
	}
	longest := `{"cmd":"status","n":8,"text":"`
	p.say(longest + strings.Repeat("m", maxLine-len(longest)-2) + `"}`)
	p.event(object{"event": "status", "n": 8})
	p.say(`{"cmd":"leave","n":7}`)
	p.line("ok", func(line string) bool { return line == `{"event":"ok","n":7}` })
	p.say(`{"cmd":"status","n":7}`)
	p.line("the status", func(line string) bool { return line == strings.Replace(idle, `,"neigh`, `,"n":7,"neigh`, 1) })
	p.end()
	if rest := p.rest(); len(rest) > 0 {
		t.Errorf("it printed %q besides", rest)
	}
}

// Two peers send each other all kinds of messages, and errors change nothing.
func TestPeersTalk(t *testing.T) {
	peers, ids := startPeers(t, startSignaling(t), 2)
	a, b := peers[0], peers[1]
	for _, m := range []object{
		{"text": ""},
		{"base64": ""},
		{"text": "é\x00\n \"<&>\u2028"},
		{"base64": base64.StdEncoding.EncodeToString([]byte{0, 255, 128, 10})},
		{"text": strings.Repeat("m", 1<<20)},
	} {
		m["cmd"] = "send"
		a.ok(m)
		delete(m, "cmd")
		m["event"], m["from"] = "message", ids[0]
		b.event(m)
	}
	b.ok(object{"cmd": "sendTo", "to": ids[0], "text": "psst"})
	a.event(object{"event": "message", "from": ids[1], "text": "psst"})
	for _, cmd := range []object{
		{"cmd": "send"},
		{"cmd": "send", "text": "x", "base64": "eA=="},
		{"cmd": "sendTo", "text": "x"},
		{"cmd": "sendTo", "to": 1, "text": "x"},
		{"cmd": "join", "signaling": "ws://127.0.0.1:1", "key": "k"},
	} {
		if got := a.do(cmd); got["event"] != "error" {
			t.Errorf("%v: %v", cmd, got)
		}
	}
	status := a.do(object{"cmd": "status"})
	want := fmt.Sprintf("JOINED %s [%s %s] [%s]", ids[0], ids[0], ids[1], ids[1])
	if got := fmt.Sprint(status["state"], " ", status["id"], " ", status["members"], " ", status["neighbors"]); got != want {
		t.Errorf("status %s, want %s", got, want)
	}
	if rest := b.rest(); slices.ContainsFunc(rest, func(l string) bool { return strings.Contains(l, `"message"`) }) {
		t.Errorf("besides %q came", rest)
	}
}

// full waits until peers have a channel with each other one.
func full(peers []*running, ids []json.Number) {
	for i, p := range peers {
		p.neighbors(slices.Concat(ids[:i], ids[i+1:]))
	}
}

// neighbors waits until a peer has channels with these members and no others.
func (r *running) neighbors(want []json.Number) {
	r.t.Helper()
	less := func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	for end := time.Now().Add(timeout); ; time.Sleep(5 * time.Millisecond) {
		got := r.do(object{"cmd": "status"})["neighbors"].([]any)
		slices.SortFunc(got, less)
		want := slices.Clone(want)
		slices.SortFunc(want, func(a, b json.Number) int { return less(a, b) })
		if fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("neighbors %v, want %v", got, want)
		}
	}
}

// A channel that is dropped is built again; one that is blocked is not, and others pass on what the two send, until that
// is taken back. (MSH-16, MSH-19, MSH-24)
func TestPeerDropsAndBlocks(t *testing.T) {
	peers, ids := startPeers(t, startSignaling(t), 3, "-log", "info")
	a, b := peers[0], peers[1]
	full(peers, ids)
	for _, cmd := range []string{"drop", "block"} {
		a.ok(object{"cmd": cmd, "member": ids[1]})
		if cmd == "drop" {
			full(peers, ids)
		}
	}
	for i, p := range peers[:2] {
		p.ok(object{"cmd": "sendTo", "to": ids[1-i], "text": "private"})
		p.ok(object{"cmd": "send", "text": "to all"})
		peers[1-i].event(object{"event": "message", "from": ids[i], "text": "private"})
		peers[1-i].event(object{"event": "message", "from": ids[i], "text": "to all"})
		p.neighbors(ids[2:])
	}
	b.ok(object{"cmd": "unblock", "member": ids[0]}) // it has blocked nobody
	a.ok(object{"cmd": "unblock", "member": ids[1]})
	full(peers, ids)
	for _, cmd := range []string{"drop", "block"} {
		for _, id := range []any{7, 0, ids[0]} {
			if got := a.do(object{"cmd": cmd, "member": id}); got["event"] != "error" {
				t.Errorf("%s %v: %v", cmd, id, got)
			}
		}
	}
	for _, p := range peers {
		p.in.Close()
		p.wait()
	}
}

// A peer that has left can join again. The answer to a command follows the events that it brings.
func TestPeerLeavesAndReturns(t *testing.T) {
	url := startSignaling(t)
	peers, ids := startPeers(t, url, 2)
	a, b := peers[0], peers[1]
	b.ok(object{"cmd": "leave"})
	if rest := strings.Join(b.rest(), " "); !strings.Contains(rest, `"state":"LEFT"`) {
		t.Errorf("ok came before the state LEFT; before it came %s", rest)
	}
	a.event(object{"event": "leave", "member": ids[1]})
	b.event(object{"event": "state", "state": "LEFT"})
	b.ok(object{"cmd": "leave"}) // once more does no harm
	b.ok(object{"cmd": "join", "signaling": url, "key": "été 100%", "loopback": true})
	id := b.do(object{"cmd": "status"})["id"]
	if id == ids[1] {
		t.Errorf("it is again %s", id)
	}
	a.event(object{"event": "join", "member": id})
	b.ok(object{"cmd": "send", "text": "back"})
	a.event(object{"event": "message", "from": id, "text": "back"})
}

// A join that can never succeed ends at once when a leave follows, even in the same breath.
func TestPeerLeavesWhileJoining(t *testing.T) {
	l, url := listen(t) // that never answers
	defer l.Close()
	p := start(t, "peer")
	join := `{"cmd":"join","signaling":"` + url + `","key":"k","n":%d}`
	for i := range 20 {
		p.say(fmt.Sprintf(join, 3*i), fmt.Sprintf(`{"cmd":"send","text":"x","n":%d}`, 3*i+1), fmt.Sprintf(`{"cmd":"leave","n":%d}`, 3*i+2))
		p.event(object{"event": "error", "n": 3 * i})
		p.event(object{"event": "error", "n": 3*i + 1})
		p.event(object{"event": "ok", "n": 3*i + 2})
	}
	p.say(fmt.Sprintf(join, 100))
	p.event(object{"event": "state", "state": "JOINING"})
	p.say(`{"cmd":"leave","n":101}`)
	p.event(object{"event": "ok", "n": 101})
}

// The end of the input ends a join under way, and the peer with it.
func TestPeerInputEndsWhileJoining(t *testing.T) {
	l, url := listen(t) // that never answers
	defer l.Close()
	p := start(t, "peer")
	p.say(`{"cmd":"join","signaling":"` + url + `","key":"k"}`)
	p.end()
}

// At the end of its input a peer leaves, and tells so last.
func TestPeerInputEnds(t *testing.T) {
	peers, ids := startPeers(t, startSignaling(t), 2)
	peers[1].say(`{"cmd":"send","text":"last words"}`)
	peers[1].end()
	if rest := peers[1].rest(); len(rest) == 0 || rest[len(rest)-1] != `{"event":"state","state":"LEFT"}` {
		t.Errorf("it ended with %q", rest)
	}
	peers[0].event(object{"event": "message", "from": ids[1], "text": "last words"})
	peers[0].event(object{"event": "leave", "member": ids[1]})
}

// SIGTERM has the process leave the group and end with status 0.
func TestPeerSIGTERM(t *testing.T) {
	url := startSignaling(t)
	here := start(t, "peer")
	join := object{"cmd": "join", "signaling": url, "key": "k", "loopback": true}
	here.ok(join)

	there, cmd := startProcess(t, nil, "peer")
	there.event(object{"event": "ready"})
	b, _ := json.Marshal(join)
	there.say(string(b))
	there.event(object{"event": "ok"})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the process: %v", err)
	}
	there.event(object{"event": "state", "state": "LEFT"})
	here.event(object{"event": "leave"})
}

// Peers that may only use a TURN server meet through it, and one that it refuses says so.
func TestPeerICE(t *testing.T) {
	server, url := turntest.Start(t), startSignaling(t)
	join := func(user string) object {
		return object{
			"cmd": "join", "signaling": url, "key": "k", "loopback": true, "relayOnly": true,
			"ice": []object{{"urls": []string{server.UDP}, "username": user, "credential": turntest.Credential}},
		}
	}
	a, b := start(t, "peer"), start(t, "peer")
	a.ok(join(turntest.Username))
	b.ok(join(turntest.Username))
	b.ok(object{"cmd": "send", "text": "psst"})
	a.event(object{"event": "message", "text": "psst"})
	if server.Lent() != 2 || server.Relayed() == 0 {
		t.Errorf("%d addresses were lent, %d bytes went through", server.Lent(), server.Relayed())
	}
	c := start(t, "peer")
	line, _ := json.Marshal(join("stranger"))
	c.say(string(line))
	c.line("the failure", func(line string) bool {
		return line == `{"event":"error","message":"ICE server `+server.UDP+`: 400 Bad Request for user \"stranger\""}`
	})
	c.say(`{"cmd":"leave"}`)
}

// An invitation is answered at once, and its failure is told later. Leaving ends one that has no outcome.
func TestPeerInvites(t *testing.T) {
	peers, _ := startPeers(t, startSignaling(t), 1)
	p := peers[0]
	closed, nobody := listen(t)
	closed.Close()
	silent, url := listen(t)
	defer silent.Close()
	p.ok(object{"cmd": "invite", "url": nobody})
	p.line("a failure", func(line string) bool { return strings.Contains(line, `"error"`) && strings.Contains(line, nobody) })
	p.ok(object{"cmd": "invite", "url": url})
	p.end()
	p.line("a failure", func(line string) bool { return strings.Contains(line, `"error"`) && strings.Contains(line, url) })
}

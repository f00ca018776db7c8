package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/turntest"
	"github.com/meshpair/meshpair/netflux"
)

// idle is the status of a peer that is in no group.
const idle = `{"event":"status","group":0,"id":0,"key":"","members":[],"neighbors":[],"signaling":"CLOSED","state":"LEFT"}`

// startPeers starts peers that join one group, and returns their ids as well.
func startPeers(t *testing.T, url string, n int, args ...string) (peers []*running, ids []json.Number) {
	t.Helper()
	for range n {
		p := start(t, slices.Concat([]string{"peer"}, args)...)
		p.Event(object{"event": "ready"})
		p.OK(object{"cmd": "join", "signaling": url, "key": "été 100%", "loopback": true})
		peers = append(peers, p)
		ids = append(ids, p.Do(object{"cmd": "status"})["id"].(json.Number))
	}
	for i, p := range peers {
		for j := range ids {
			if i != j {
				p.Event(object{"event": "join", "member": ids[j]})
			}
		}
	}
	return peers, ids
}

// What cannot be carried out is answered by an error and changes nothing. The answer has the command's number as it is.
func TestPeerAnswers(t *testing.T) {
	p := start(t, "peer")
	if line := p.Line("ready", func(string) bool { return true }); line != `{"event":"ready"}` {
		t.Fatalf("the first line is %s", line)
	}
	p.Say(`{"cmd":"status"}`)
	p.Line("the status", func(line string) bool { return line == idle })
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
		p.Say("", test.line, "  ")
		line := p.Line("the answer to "+test.line[:min(len(test.line), 100)], func(string) bool { return true })
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
	p.Say(longest + strings.Repeat("m", maxLine-len(longest)-2) + `"}`)
	p.Event(object{"event": "status", "n": 8})
	p.Say(`{"cmd":"leave","n":7}`)
	p.Line("ok", func(line string) bool { return line == `{"event":"ok","n":7}` })
	p.Say(`{"cmd":"status","n":7}`)
	p.Line("the status", func(line string) bool { return line == strings.Replace(idle, `,"neigh`, `,"n":7,"neigh`, 1) })
	p.End()
	if rest := p.Rest(); len(rest) > 0 {
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
		a.OK(m)
		delete(m, "cmd")
		m["event"], m["from"] = "message", ids[0]
		b.Event(m)
	}
	b.OK(object{"cmd": "sendTo", "to": ids[0], "text": "psst"})
	a.Event(object{"event": "message", "from": ids[1], "text": "psst"})
	for _, cmd := range []object{
		{"cmd": "send"},
		{"cmd": "send", "text": "x", "base64": "eA=="},
		{"cmd": "sendTo", "text": "x"},
		{"cmd": "sendTo", "to": 1, "text": "x"},
		{"cmd": "join", "signaling": "ws://127.0.0.1:1", "key": "k"},
	} {
		if got := a.Do(cmd); got["event"] != "error" {
			t.Errorf("%v: %v", cmd, got)
		}
	}
	status := a.Do(object{"cmd": "status"})
	want := fmt.Sprintf("JOINED %s [%s %s] [%s]", ids[0], ids[0], ids[1], ids[1])
	if got := fmt.Sprint(status["state"], " ", status["id"], " ", status["members"], " ", status["neighbors"]); got != want {
		t.Errorf("status %s, want %s", got, want)
	}
	if rest := b.Rest(); slices.ContainsFunc(rest, func(l string) bool { return strings.Contains(l, `"message"`) }) {
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
	r.T.Helper()
	less := func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	for end := time.Now().Add(timeout); ; time.Sleep(5 * time.Millisecond) {
		got := r.Do(object{"cmd": "status"})["neighbors"].([]any)
		slices.SortFunc(got, less)
		want := slices.Clone(want)
		slices.SortFunc(want, func(a, b json.Number) int { return less(a, b) })
		if fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
		if time.Now().After(end) {
			r.T.Fatalf("neighbors %v, want %v", got, want)
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
		a.OK(object{"cmd": cmd, "member": ids[1]})
		if cmd == "drop" {
			full(peers, ids)
		}
	}
	for i, p := range peers[:2] {
		p.OK(object{"cmd": "sendTo", "to": ids[1-i], "text": "private"})
		p.OK(object{"cmd": "send", "text": "to all"})
		peers[1-i].Event(object{"event": "message", "from": ids[i], "text": "private"})
		peers[1-i].Event(object{"event": "message", "from": ids[i], "text": "to all"})
		p.neighbors(ids[2:])
	}
	b.OK(object{"cmd": "unblock", "member": ids[0]}) // it has blocked nobody
	a.OK(object{"cmd": "unblock", "member": ids[1]})
	full(peers, ids)
	for _, cmd := range []string{"drop", "block"} {
		for _, id := range []any{7, 0, ids[0]} {
			if got := a.Do(object{"cmd": cmd, "member": id}); got["event"] != "error" {
				t.Errorf("%s %v: %v", cmd, id, got)
			}
		}
	}
	for _, p := range peers {
		p.In.Close()
		p.Wait()
	}
}

// A peer that has left can join again. The answer to a command follows the events that it brings.
func TestPeerLeavesAndReturns(t *testing.T) {
	url := startSignaling(t)
	peers, ids := startPeers(t, url, 2)
	a, b := peers[0], peers[1]
	b.OK(object{"cmd": "leave"})
	if rest := strings.Join(b.Rest(), " "); !strings.Contains(rest, `"state":"LEFT"`) {
		t.Errorf("ok came before the state LEFT; before it came %s", rest)
	}
	a.Event(object{"event": "leave", "member": ids[1]})
	b.Event(object{"event": "state", "state": "LEFT"})
	b.OK(object{"cmd": "leave"}) // once more does no harm
	b.OK(object{"cmd": "join", "signaling": url, "key": "été 100%", "loopback": true})
	id := b.Do(object{"cmd": "status"})["id"]
	if id == ids[1] {
		t.Errorf("it is again %s", id)
	}
	a.Event(object{"event": "join", "member": id})
	b.OK(object{"cmd": "send", "text": "back"})
	a.Event(object{"event": "message", "from": id, "text": "back"})
}

// A join that can never succeed ends at once when a leave follows, even in the same breath.
func TestPeerLeavesWhileJoining(t *testing.T) {
	l, url := listen(t) // that never answers
	defer l.Close()
	p := start(t, "peer")
	join := `{"cmd":"join","signaling":"` + url + `","key":"k","n":%d}`
	for i := range 20 {
		p.Say(fmt.Sprintf(join, 3*i), fmt.Sprintf(`{"cmd":"send","text":"x","n":%d}`, 3*i+1), fmt.Sprintf(`{"cmd":"leave","n":%d}`, 3*i+2))
		p.Event(object{"event": "error", "n": 3 * i})
		p.Event(object{"event": "error", "n": 3*i + 1})
		p.Event(object{"event": "ok", "n": 3*i + 2})
	}
	p.Say(fmt.Sprintf(join, 100))
	p.Event(object{"event": "state", "state": "JOINING"})
	p.Say(`{"cmd":"leave","n":101}`)
	p.Event(object{"event": "ok", "n": 101})
}

// The end of the input ends a join under way, and the peer with it.
func TestPeerInputEndsWhileJoining(t *testing.T) {
	l, url := listen(t) // that never answers
	defer l.Close()
	p := start(t, "peer")
	p.Say(`{"cmd":"join","signaling":"` + url + `","key":"k"}`)
	p.End()
}

// At the end of its input a peer leaves, and tells so last.
func TestPeerInputEnds(t *testing.T) {
	peers, ids := startPeers(t, startSignaling(t), 2)
	peers[1].Say(`{"cmd":"send","text":"last words"}`)
	peers[1].End()
	if rest := peers[1].Rest(); len(rest) == 0 || rest[len(rest)-1] != `{"event":"state","state":"LEFT"}` {
		t.Errorf("it ended with %q", rest)
	}
	peers[0].Event(object{"event": "message", "from": ids[1], "text": "last words"})
	peers[0].Event(object{"event": "leave", "member": ids[1], "reason": "left"})
}

// TestLeaving: a driver tells why a member is gone (SEC-28, SEC-34).
func TestLeaving(t *testing.T) {
	for want, err := range map[string]error{
		"left": nil, "lost": netflux.ErrCutShort, "unsealed": netflux.ErrUnsealed, "identity": fmt.Errorf("x: %w", netflux.ErrIdentity),
	} {
		if o := eventObject(netflux.MemberLeft{ID: 1 << 31, Err: err}); o["reason"] != want || o["event"] != "leave" || o["member"] != uint32(1<<31) {
			t.Errorf("%v: %v, not %s", err, o, want)
		}
	}
	if o := eventObject(netflux.MemberLeft{Err: netflux.ErrSilent}); o["reason"] != "lost" {
		t.Error(o)
	}
}

// SIGTERM has the process leave the group and end with status 0.
func TestPeerSIGTERM(t *testing.T) {
	url := startSignaling(t)
	here := start(t, "peer")
	join := object{"cmd": "join", "signaling": url, "key": "k", "loopback": true}
	here.OK(join)

	there, cmd := startProcess(t, nil, "peer")
	there.Event(object{"event": "ready"})
	b, _ := json.Marshal(join)
	there.Say(string(b))
	there.Event(object{"event": "ok"})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the process: %v", err)
	}
	there.Event(object{"event": "state", "state": "LEFT"})
	here.Event(object{"event": "leave"})
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
	a.OK(join(turntest.Username))
	b.OK(join(turntest.Username))
	b.OK(object{"cmd": "send", "text": "psst"})
	a.Event(object{"event": "message", "text": "psst"})
	if server.Lent() != 2 || server.Relayed() == 0 {
		t.Errorf("%d addresses were lent, %d bytes went through", server.Lent(), server.Relayed())
	}
	c := start(t, "peer")
	line, _ := json.Marshal(join("stranger"))
	c.Say(string(line))
	c.Line("the failure", func(line string) bool {
		return line == `{"event":"error","message":"ICE server `+server.UDP+`: 400 Bad Request for user \"stranger\""}`
	})
	c.Say(`{"cmd":"leave"}`)
}

// An invitation is answered at once, and its failure is told later. Leaving ends one that has no outcome.
func TestPeerInvites(t *testing.T) {
	peers, _ := startPeers(t, startSignaling(t), 1)
	p := peers[0]
	closed, nobody := listen(t)
	closed.Close()
	silent, url := listen(t)
	defer silent.Close()
	p.OK(object{"cmd": "invite", "url": nobody})
	p.Line("a failure", func(line string) bool { return strings.Contains(line, `"error"`) && strings.Contains(line, nobody) })
	p.OK(object{"cmd": "invite", "url": url})
	p.End()
	p.Line("a failure", func(line string) bool { return strings.Contains(line, `"error"`) && strings.Contains(line, url) })
}

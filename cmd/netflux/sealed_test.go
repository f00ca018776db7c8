package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshpair/meshpair/internal/cli/clitest"
	"github.com/meshpair/meshpair/netflux"
)

// TestPeerSealed drives members of a sealed group: they see the same identities, a bot is invited by its URL with one, and who is
// not on the list is refused, with the reason (SEC-6, SEC-25, SEC-26, SEC-28).
func TestPeerSealed(t *testing.T) {
	url := startSignaling(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "identity")
	secret, a, b := netflux.NewSecret(), netflux.NewIdentity(), netflux.NewIdentity()
	list := []string{a.Public(), b.Public()}
	bot := start(t, "bot", "-listen", "127.0.0.1:0", "-loopback", "-signaling", url, "-identity", file, "-allow", strings.Join(list, ","))
	invite := clitest.Parse(t, bot.Line("ready", func(string) bool { return true })).(map[string]any)["invite"].(string)
	_, public, _ := strings.Cut(invite, "#")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 { // SEC-50
		t.Errorf("%v, %v", info, err)
	}
	list = append(list, public)
	join := object{"cmd": "join", "signaling": url, "key": "key", "loopback": true, "secret": string(secret)}
	with := func(o object, more object) object {
		all := object{}
		for _, o := range []object{o, more} {
			for k, v := range o {
				all[k] = v
			}
		}
		return all
	}
	var peers []*running
	for _, id := range []*netflux.Identity{a, b} {
		p := start(t, "peer")
		p.Event(object{"event": "ready"})
		p.OK(with(join, object{"identity": id.Text(), "allow": list}))
		peers = append(peers, p)
	}
	peers[0].OK(object{"cmd": "invite", "url": invite})
	bot.Event(object{"event": "state", "state": "JOINED"})
	group := peers[0].Do(object{"cmd": "status"})["group"]
	id := bot.Do(object{"cmd": "status", "group": group})["id"].(json.Number)
	for _, p := range peers {
		p.Event(object{"event": "join", "member": id})
	}
	status := peers[1].Do(object{"cmd": "status"})
	seen, _ := status["identities"].(map[string]any)
	if len(seen) != 3 || seen[id.String()] != public {
		t.Errorf("identities %v", status)
	}
	in := bot.Do(object{"cmd": "status", "group": group})
	if fmt.Sprint(in["identities"]) != fmt.Sprint(seen) || in["key"] != "key" {
		t.Errorf("the bot says %v", in)
	}
	x := start(t, "peer")
	x.Event(object{"event": "ready"})
	x.Say(`{"cmd":"join","signaling":"` + url + `","key":"key","loopback":true,"secret":"` + string(secret) + `"}`)
	refused := bot.Expect(`"refused"`) // the server leads to bots first
	if _, ok := clitest.Parse(t, refused).(map[string]any)["member"]; !ok || !strings.Contains(refused, `"reason":"list"`) {
		t.Errorf("%v", refused)
	}
	x.Say(`{"cmd":"leave"}`)
	for _, cmd := range []object{
		{"cmd": "join", "signaling": url, "key": "key", "secret": "mpsecret1x"},
		{"cmd": "join", "signaling": url, "key": "key", "secret": string(secret), "identity": "mpidsecret1x"},
		{"cmd": "join", "signaling": url, "key": "key", "secret": string(secret), "allow": []string{"mpid1x"}},
		{"cmd": "join", "signaling": url, "key": "key", "allow": list},
	} {
		p := start(t, "peer")
		p.Event(object{"event": "ready"})
		if got := p.Do(cmd); got["event"] != "error" || strings.Contains(fmt.Sprint(got), string(secret)) {
			t.Errorf("%v: %v", cmd, got)
		}
	}
	if got := peers[0].Do(object{"cmd": "invite", "url": strings.Split(invite, "#")[0]}); got["event"] != "ok" {
		t.Errorf("%v", got)
	}
	peers[0].Expect("its identity")
}

// TestBotKeepsIdentity starts a bot again, which has the same URL as before (SEC-6, SEC-50).
func TestBotKeepsIdentity(t *testing.T) {
	file := filepath.Join(t.TempDir(), "identity")
	var texts []string
	for range 2 {
		r := start(t, "bot", "-listen", "127.0.0.1:0", "-url", "wss://bot.example", "-identity", file)
		texts = append(texts, r.Line("ready", func(string) bool { return true }))
		r.End()
	}
	other := start(t, "bot", "-listen", "127.0.0.1:0", "-url", "wss://bot.example")
	if line := other.Line("ready", func(string) bool { return true }); texts[0] != texts[1] || line == texts[0] {
		t.Errorf("%q, and another one %s", texts, line)
	}
	if err := os.WriteFile(file, []byte("mpidsecret1"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, t.TempDir()} {
		if status, _, errs := runCommand("bot", "-listen", "127.0.0.1:0", "-identity", path); status == 0 || !strings.Contains(errs, "netflux bot: -identity: ") {
			t.Errorf("%s: status %d, %s", path, status, errs)
		}
	}
}

// TestChatSealed has chats with a secret from a file and from the input, and shows who is who (SEC-1, SEC-25).
func TestChatSealed(t *testing.T) {
	url := startSignaling(t)
	secret := string(netflux.NewSecret())
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("\n"+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ada := start(t, "chat", "-key", "k", "-signaling", url, "-loopback", "-secret-file", file)
	ada.Expect("through " + url + ", sealed")
	a := ada.joined()
	ben := start(t, "chat", "-key", "k", "-signaling", url, "-loopback", "-secret-file", "-")
	ben.Say(secret, "Hello")
	b := ben.joined()
	ada.Expect(b + "> Hello")
	for _, r := range []*running{ada, ben} {
		r.Say("/identities")
		r.Expect("* " + a + " is mpid1")
		r.Expect("* " + b + " is mpid1")
	}
	plain, _ := startChat(t, url, "k")
	plain.Say("/identities")
	plain.Expect("not sealed")
	for _, r := range []*running{ada, ben, plain} {
		r.End()
		if strings.Contains(strings.Join(r.Rest(), "\n")+r.Stderr.String(), secret[20:40]) {
			t.Error("it shows the secret")
		}
	}
	for _, args := range [][]string{
		{"-secret", secret, "-secret-file", file},
		{"-secret-file", file + "x"},
		{"-secret-file", os.DevNull},
		{"-secret-file", "-"},
		{"-secret-file", ""},
		{"-secret", ""}, // SEC-27
		{"-secret", " "},
	} {
		if status, _, errs := runCommand(append([]string{"chat", "-key", "k", "-signaling", url}, args...)...); status != 2 || strings.Contains(errs, secret[20:40]) {
			t.Errorf("%q: status %d, %s", args, status, errs)
		}
	}
}

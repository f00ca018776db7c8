package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/cli/clitest"
	"github.com/meshpair/meshpair/netflux"
)

// startBot starts a bot that listens on loopback, and returns its URL as well.
func startBot(t *testing.T, args ...string) (r *running, url string) {
	t.Helper()
	r = start(t, slices.Concat([]string{"bot", "-listen", "127.0.0.1:0", "-loopback"}, args)...)
	return r, r.ready()
}

// ready expects the first line of a bot, and returns its URL.
func (r *running) ready() string {
	r.T.Helper()
	first := r.Line("ready", func(string) bool { return true })
	got, _ := clitest.Parse(r.T, first).(map[string]any)
	url, ok := got["url"].(string)
	if !ok || got["event"] != "ready" || len(got) != 3 || !strings.HasPrefix(fmt.Sprint(got["invite"]), url+"#mpid1") { // SEC-6
		r.T.Fatalf("the first line is %s", first)
	}
	return url
}

// startPeer starts a peer that joins a group, and returns the ids of both.
func startPeer(t *testing.T, url, key string) (p *running, id, group json.Number) {
	t.Helper()
	p = start(t, "peer")
	p.Event(object{"event": "ready"})
	p.OK(object{"cmd": "join", "signaling": url, "key": key, "loopback": true})
	status := p.Do(object{"cmd": "status"})
	return p, status["id"].(json.Number), status["group"].(json.Number)
}

// invite has a bot join the group of a peer, and returns the bot's id in it.
func (r *running) invite(url string) json.Number {
	r.T.Helper()
	r.OK(object{"cmd": "invite", "url": url})
	return r.Event(object{"event": "join"})["member"].(json.Number)
}

// enters waits until a bot is in a group, and signaling knows it.
func (r *running) enters(group json.Number) {
	r.T.Helper()
	r.Event(object{"event": "state", "state": "JOINED", "group": group})
}

// A bot that is invited sends back what it is sent. One who joins the group later is led to it, and needs no channel
// for that but a WebSocket. When all have left it leaves, too.
func TestBot(t *testing.T) {
	url := startSignaling(t)
	bot, botURL := startBot(t, "-signaling", url, "-echo")
	if !strings.HasPrefix(botURL, "ws://127.0.0.1:") || strings.HasSuffix(botURL, ":0") {
		t.Errorf("it listens at %s", botURL)
	}
	ada, a, group := startPeer(t, url, "k ü%")
	id := ada.invite(botURL)
	bot.Event(object{"event": "join", "member": a, "group": group})
	bot.enters(group)
	for _, m := range []object{
		{"text": "é\n\"<&>"},
		{"text": ""},
		{"base64": base64.StdEncoding.EncodeToString([]byte{0, 255, 128})},
		{"base64": ""},
		{"text": strings.Repeat("m", 100<<10)},
	} {
		m["cmd"], m["to"] = "sendTo", id
		ada.OK(m)
		delete(m, "cmd")
		delete(m, "to")
		m["event"], m["from"] = "message", id
		ada.Event(m)
		m["from"], m["group"] = a, group
		bot.Event(m)
	}
	ada.OK(object{"cmd": "send", "base64": "AAAA"}) // has no echo
	ada.OK(object{"cmd": "send", "text": "hello"})
	if got := ada.Event(object{"event": "message"}); got["text"] != "echo:hello" {
		t.Errorf("the echo is %v", got)
	}

	ben, b, again := startPeer(t, url, "k ü%")
	if again != group {
		t.Fatalf("it is in the group %s, not %s", again, group)
	}
	bot.Event(object{"event": "join", "member": b, "group": group})
	ben.Event(object{"event": "join", "member": id})
	ben.OK(object{"cmd": "sendTo", "to": id, "text": "psst"})
	ben.Event(object{"event": "message", "from": id, "text": "psst"})
	status := bot.Do(object{"cmd": "status", "group": group})
	want := fmt.Sprintf("JOINED CHECKED %s %s k ü%% [%s %s %s]", id, group, id, a, b)
	if got := fmt.Sprint(status["state"], " ", status["signaling"], " ", status["id"], " ", status["group"], " ", status["key"], " ", status["members"]); got != want {
		t.Errorf("status %s, want %s", got, want)
	}

	ada.End()
	bot.Event(object{"event": "leave", "member": a, "group": group})
	ben.End()
	bot.Event(object{"event": "state", "state": "LEFT", "group": group})
	if got := bot.Do(object{"cmd": "send", "group": group, "text": "x"}); got["event"] != "error" {
		t.Errorf("it answers %v", got)
	}
	bot.End()
}

// What happens in one group of a bot is not seen in another. Its commands are for one group, and leave the other alone.
func TestBotGroups(t *testing.T) {
	url := startSignaling(t)
	bot, botURL := startBot(t, "-signaling", url, "-echo")
	ada, a, g := startPeer(t, url, "one")
	ben, b, h := startPeer(t, url, "two")
	inG := ada.invite(botURL)
	inH := ben.invite(botURL)
	bot.enters(g)
	bot.enters(h)
	for _, test := range []struct {
		peer        *running
		id, inGroup json.Number
		group       json.Number
		text        string
	}{{ada, a, inG, g, "in one"}, {ben, b, inH, h, "in two"}} {
		bot.OK(object{"cmd": "send", "group": test.group, "text": "all " + test.text})
		test.peer.Event(object{"event": "message", "from": test.inGroup, "text": "all " + test.text})
		bot.OK(object{"cmd": "sendTo", "group": test.group, "to": test.id, "base64": "AAAA"})
		test.peer.Event(object{"event": "message", "from": test.inGroup, "base64": "AAAA"})
		test.peer.OK(object{"cmd": "send", "text": test.text})
		test.peer.Event(object{"event": "message", "from": test.inGroup, "text": "echo:" + test.text})
		bot.Event(object{"event": "message", "from": test.id, "text": test.text, "group": test.group})
		status := bot.Do(object{"cmd": "status", "group": test.group})
		if got, want := fmt.Sprint(status["members"]), fmt.Sprintf("[%s %s]", test.inGroup, test.id); got != want {
			t.Errorf("members %s, want %s", got, want)
		}
	}
	for _, cmd := range []object{
		{"cmd": "sendTo", "group": g, "to": b, "text": "x"}, // it is in the other group
		{"cmd": "send", "group": g},
		{"cmd": "send", "text": "x"},
		{"cmd": "send", "group": 7, "text": "x"},
		{"cmd": "leave", "group": 7},
		{"cmd": "invite", "group": g, "url": botURL},
		{},
	} {
		if got := bot.Do(cmd); got["event"] != "error" {
			t.Errorf("%v: %v", cmd, got)
		}
	}
	bot.Say("nonsense")
	bot.Expect("malformed line")
	bot.OK(object{"cmd": "leave", "group": g})
	if rest := strings.Join(bot.Rest(), "\n"); !strings.Contains(rest, `{"event":"state","group":`+g.String()+`,"state":"LEFT"}`) {
		t.Errorf("ok came before the state LEFT; before it came %s", rest)
	}
	ada.Event(object{"event": "leave", "member": inG})
	if got := bot.Do(object{"cmd": "status", "group": g}); got["state"] != "LEFT" {
		t.Errorf("%v", got)
	}
	ben.OK(object{"cmd": "sendTo", "to": inH, "text": "still there?"})
	ben.Event(object{"event": "message", "from": inH, "text": "still there?"})
	again := ada.invite(botURL) // it may come back
	ada.OK(object{"cmd": "sendTo", "to": again, "text": "back"})
	ada.Event(object{"event": "message", "from": again, "text": "back"})
	for name, p := range map[string]*running{"ada": ada, "ben": ben} {
		if rest := p.Rest(); slices.ContainsFunc(rest, func(l string) bool { return strings.Contains(l, `"message"`) }) {
			t.Errorf("%s got %q besides", name, rest)
		}
	}
	bot.End() // and with it both groups
	ada.Event(object{"event": "leave", "member": again})
	ben.Event(object{"event": "leave", "member": inH})
	for _, group := range []json.Number{g, h} {
		bot.Event(object{"event": "state", "state": "LEFT", "group": group})
	}
}

// Two bots of one group that both send back do not go on for ever, whoever begins.
func TestBotsDoNotEchoEchoes(t *testing.T) {
	url := startSignaling(t)
	var bots []*running
	var ids []json.Number
	ada, a, group := startPeer(t, url, "k")
	for range 2 {
		bot, botURL := startBot(t, "-signaling", url, "-echo")
		id := ada.invite(botURL)
		bot.enters(group)
		bots, ids = append(bots, bot), append(ids, id)
	}
	bots[0].Event(object{"event": "join", "member": ids[1]})
	bots[1].Event(object{"event": "join", "member": ids[0]})

	ada.OK(object{"cmd": "send", "text": "x"})
	for i, id := range ids {
		ada.Event(object{"event": "message", "from": id, "text": "echo:x"})
		bots[i].Event(object{"event": "message", "from": a, "text": "x"})
		bots[i].Event(object{"event": "message", "from": ids[1-i], "text": "echo:x"})
	}
	for range 2 { // the second time, too
		bots[0].OK(object{"cmd": "sendTo", "group": group, "to": ids[1], "text": "psst"})
		bots[1].Event(object{"event": "message", "from": ids[0], "text": "psst"})
		bots[0].Event(object{"event": "message", "from": ids[1], "text": "psst"})
	}
	// What a bot sent on would arrive before this.
	for i, id := range ids {
		bots[1-i].OK(object{"cmd": "sendTo", "group": group, "to": id, "text": "end"})
		bots[i].Event(object{"event": "message", "from": ids[1-i], "text": "end"})
		bots[1-i].Event(object{"event": "message", "from": id, "text": "end"})
		ada.OK(object{"cmd": "sendTo", "to": id, "text": "end"})
		ada.Event(object{"event": "message", "from": id, "text": "end"})
	}
	for i, r := range append(bots, ada) {
		if rest := r.Rest(); slices.ContainsFunc(rest, func(l string) bool {
			return strings.Contains(l, `"message"`) && !strings.Contains(l, `"end"`)
		}) {
			t.Errorf("%d got %q besides", i, rest)
		}
	}
}

// So it is if the two have no direct channel, and what is for all comes like a private message.
func TestBotsDoNotEchoRelayedEchoes(t *testing.T) {
	url := startSignaling(t)
	ada, a, group := startPeer(t, url, "k")
	var bots []*running
	var groups []*netflux.Group
	for range 2 {
		r := &running{clitest.NewRunning(t)}
		d := newBotDriver(r, slog.New(slog.DiscardHandler), true)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { d.bot.ServeHTTP(w, r) }))
		defer server.Close()
		var err error
		botURL := "ws" + strings.TrimPrefix(server.URL, "http")
		d.bot, err = netflux.NewBot(netflux.BotConfig{
			URL: botURL, Group: netflux.Config{SignalingURL: url, Loopback: true}, OnEvent: d.event,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer d.bot.Shutdown(t.Context())
		ada.invite(botURL)
		r.enters(group)
		in, commands := io.Pipe()
		r.In = commands
		defer commands.Close()
		go d.requests(in, func(req request) bool {
			o, err := d.do(t.Context(), req)
			d.answer(req, o, err)
			return true
		})
		bots, groups = append(bots, r), append(groups, d.bot.Groups()[0])
	}
	ids := []uint32{groups[0].ID(), groups[1].ID()}
	for i, r := range bots {
		r.Event(object{"event": "join", "member": ids[1-i]})
	}
	if err := groups[0].Block(ids[1]); err != nil {
		t.Fatal(err)
	}
	for slices.Contains(groups[1].Neighbors(), ids[0]) {
		time.Sleep(time.Millisecond)
	}
	bots[0].OK(object{"cmd": "send", "group": group, "text": "x"})
	bots[1].Event(object{"event": "message", "from": ids[0], "text": "x"})
	bots[0].Event(object{"event": "message", "from": ids[1], "text": "echo:x"})
	ada.Event(object{"event": "message", "from": ids[0], "text": "x"})
	ada.OK(object{"cmd": "send", "text": "y"})
	for i, r := range bots {
		r.Event(object{"event": "message", "from": a, "text": "y"})
		r.Event(object{"event": "message", "from": ids[1-i], "text": "echo:y"})
	}
	for range 2 { // what a bot sent on would arrive before the second of these
		for i, r := range bots {
			r.OK(object{"cmd": "sendTo", "group": group, "to": ids[1-i], "text": "end"})
			bots[1-i].Event(object{"event": "message", "from": ids[i], "text": "end"})
			r.Event(object{"event": "message", "from": ids[1-i], "text": "end"})
		}
	}
	for i, r := range bots {
		if rest := r.Rest(); slices.ContainsFunc(rest, func(l string) bool { return strings.Contains(l, `"message"`) }) {
			t.Errorf("%d got %q besides", i, rest)
		}
	}
}

// With -stay a bot stays in a group that all others have left, and lets in who comes later.
func TestBotStays(t *testing.T) {
	url := startSignaling(t)
	bot, botURL := startBot(t, "-signaling", url, "-stay")
	ada, a, group := startPeer(t, url, "k")
	id := ada.invite(botURL)
	bot.enters(group)
	ada.End()
	bot.Event(object{"event": "leave", "member": a, "group": group})
	ben, b, same := startPeer(t, url, "k")
	if same != group {
		t.Errorf("the group is %s, it was %s", same, group)
	}
	bot.Event(object{"event": "join", "member": b, "group": group})
	ben.Event(object{"event": "join", "member": id})
	if rest := strings.Join(bot.Rest(), "\n"); strings.Contains(rest, "LEFT") {
		t.Errorf("it left:\n%s", rest)
	}
}

// A bot is in no more groups than it is told, and says so to who invites it.
func TestBotMaxGroups(t *testing.T) {
	url := startSignaling(t)
	bot, botURL := startBot(t, "-max-groups", "1", "-echo") // without a signaling server of its own
	ada, _, group := startPeer(t, url, "one")
	ben, _, _ := startPeer(t, url, "two")
	ada.invite(botURL)
	bot.enters(group)
	refused := func() {
		t.Helper()
		ben.OK(object{"cmd": "invite", "url": botURL})
		ben.Line("a refusal", func(line string) bool {
			return strings.Contains(line, `"error"`) && strings.Contains(line, "503") && strings.Contains(line, "the bot is in 1 groups")
		})
	}
	refused()
	bot.OK(object{"cmd": "leave", "group": group})
	id := ben.invite(botURL)
	ben.OK(object{"cmd": "sendTo", "to": id, "text": "there is room again"})
	ben.Event(object{"event": "message", "from": id, "text": "there is room again"})
}

// Without input a bot runs until SIGTERM, and leaves its groups then.
func TestBotSIGTERM(t *testing.T) {
	url := startSignaling(t)
	bot, cmd := startProcess(t, nil, "bot", "-listen", "127.0.0.1:0", "-signaling", url, "-loopback", "-no-input")
	botURL := bot.ready()
	bot.In.Close()
	ada, _, group := startPeer(t, url, "k")
	id := ada.invite(botURL)
	bot.enters(group)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the process: %v", err)
	}
	bot.Event(object{"event": "state", "state": "LEFT", "group": group})
	ada.Event(object{"event": "leave", "member": id})
}

// Members dial the URL that a bot is given; here that of a proxy. It is favored: who joins later does so through it.
// (SIG-3, BLD-9)
func TestBotURL(t *testing.T) {
	url := startSignaling(t)
	l, inner := listen(t)
	l.Close()
	host := strings.TrimPrefix(inner, "ws://")
	dialled := make(chan string, 10)
	proxy := httputil.NewSingleHostReverseProxy(&neturl.URL{Scheme: "http", Host: host})
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dialled <- r.URL.Path + " " + r.URL.Query().Get("type")
		proxy.ServeHTTP(w, r)
	}))
	defer outside.Close()
	address := "ws" + strings.TrimPrefix(outside.URL, "http") + "/to/bot"
	bot := start(t, "bot", "-listen", host, "-url", address, "-loopback", "-signaling", url)
	if got := bot.ready(); got != address {
		t.Errorf("it is at %s", got)
	}
	ada, _, group := startPeer(t, url, "k")
	ada.invite(inner)
	bot.enters(group)
	ben, b, _ := startPeer(t, url, "k")
	bot.Event(object{"event": "join", "member": b})
	select {
	case got := <-dialled:
		if got != "/to/bot/ 1" {
			t.Errorf("it is dialled at %s", got)
		}
	default:
		t.Error("it is not dialled")
	}
	ben.End()
	ada.End()
	bot.End()
}

// certificate makes a self-signed certificate for loopback, in PEM files.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name, kind string, der []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	pool = x509.NewCertPool()
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(made)
	return file("cert.pem", "CERTIFICATE", der), file("key.pem", "PRIVATE KEY", secret), pool
}

// With a certificate a bot is reached by wss. Members must trust it, by their configuration or, as commands, by what
// their system trusts, to which SSL_CERT_FILE leads on Unix systems.
func TestBotTLS(t *testing.T) {
	url := startSignaling(t)
	cert, key, pool := certificate(t)
	_, botURL := startBot(t, "-signaling", url, "-cert", cert, "-key", key, "-echo")
	if !strings.HasPrefix(botURL, "wss://127.0.0.1:") {
		t.Errorf("it is at %s", botURL)
	}
	ada, _, _ := startPeer(t, url, "k") // does not trust it
	ada.OK(object{"cmd": "invite", "url": botURL})
	ada.Line("distrust", func(line string) bool {
		return strings.Contains(line, `"error"`) && strings.Contains(line, "certificate")
	})

	ben, _ := startProcess(t, []string{"SSL_CERT_FILE=" + cert}, "peer")
	ben.OK(object{"cmd": "join", "signaling": url, "key": "k", "loopback": true})
	ben.Event(object{"event": "join"})
	id := ben.invite(botURL)
	ben.OK(object{"cmd": "sendTo", "to": id, "text": "psst"})
	ben.Event(object{"event": "message", "from": id, "text": "psst"})

	cleo := netflux.New(netflux.Config{SignalingURL: url, Loopback: true, TLS: &tls.Config{RootCAs: pool}})
	if err := cleo.Join(t.Context(), "another"); err != nil {
		t.Fatal(err)
	}
	defer cleo.Leave(t.Context())
	if err := cleo.Invite(t.Context(), botURL); err != nil {
		t.Error(err)
	}
}

// Status is answered at once, also when nobody has got round to what came before.
func TestBotStatusMeanwhile(t *testing.T) {
	bot, err := netflux.NewBot(netflux.BotConfig{URL: "ws://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	d := newBotDriver(&out, nil, false)
	d.bot = bot
	lines := make(chan request, 2)
	d.read(t.Context(), strings.NewReader(`{"cmd":"send","group":1,"text":"x"}`+"\n"+`{"cmd":"status","group":1,"n":7}`), lines)
	if want := strings.NewReplacer(`"group":0`, `"group":1`, `,"neigh`, `,"n":7,"neigh`).Replace(idle) + "\n"; out.String() != want {
		t.Errorf("it answers %s, want %s", &out, want)
	}
	if req := <-lines; req.Cmd != "send" {
		t.Errorf("%v waits", req)
	}
}

// A bot that listens for other machines without TLS warns of that, once (SEC-32).
func TestBotWarns(t *testing.T) {
	cert, key, _ := certificate(t)
	for _, c := range []struct {
		args  []string
		warns int
	}{
		{[]string{"-listen", "0.0.0.0:0", "-url", "ws://127.0.0.1:1"}, 1},
		{[]string{"-listen", "0.0.0.0:0", "-url", "wss://127.0.0.1:1", "-cert", cert, "-key", key}, 0},
		{[]string{"-listen", "127.0.0.1:0"}, 0},
	} {
		bot := start(t, append([]string{"bot"}, c.args...)...)
		bot.ready()
		bot.In.Close()
		bot.Wait()
		if n := strings.Count(bot.Stderr.String(), "without TLS"); n != c.warns || bot.Status != 0 {
			t.Errorf("%q: status %d, %d warnings: %s", c.args, bot.Status, n, &bot.Stderr)
		}
	}
}

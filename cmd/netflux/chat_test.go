package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/netflux"
)

// startChat starts a chat and waits until it is joined, and returns its name.
func startChat(t *testing.T, url, key string) (r *running, name string) {
	t.Helper()
	r = start(t, "chat", "-key", key, "-signaling", url, "-loopback")
	return r, r.joined()
}

var you = regexp.MustCompile(`^\* joined; you are ([0-9a-f]{4}), and (nobody else is here yet|\d+ members? beside you)$`)

func (r *running) joined() string {
	r.t.Helper()
	return you.FindStringSubmatch(r.line("joined", you.MatchString))[1]
}

// Two chats hear each other, and see each other come and go. What could do something to the terminal does not.
func TestChat(t *testing.T) {
	url := startSignaling(t)
	ada, a := startChat(t, url, "k")
	ben, b := startChat(t, url, "k")
	ada.expect("* " + b + " is here")
	ben.expect("* " + a + " is here")
	ada.say("Hello, Ben!", "", "été 🐻\r")
	ben.expect(a + "> Hello, Ben!")
	if line := ben.expect("été"); line != a+"> été 🐻" {
		t.Errorf("it shows %q", line)
	}
	ben.say("\x1b]0;title\x07\x1b[2J \x9b31m \u202eevil\rfake> hi\u2028")
	if line := ada.expect(b + "> "); line != b+`> \x1b]0;title\a\x1b[2J `+"\ufffd"+`31m \u202eevil\rfake> hi\u2028` {
		t.Errorf("it shows %q", line)
	}
	ben.say("bye")
	ben.end()
	ben.expect("* left")
	ada.expect(b + "> bye")
	ada.expect("* " + b + " has left")
	ada.say("is anybody here?")
	ada.expect("* nobody else is here")
	ada.stop() // Ctrl-C
	ada.end()
	ada.expect("* left")
	for name, lines := range map[string][]string{a: ada.rest(), b: ben.rest()} {
		if len(lines) != 1 || lines[0] != `* joining "k" through `+url {
			t.Errorf("%s saw %q besides", name, lines)
		}
	}
}

// Long lines are not sent, and are cut when they come from elsewhere. What else can come is named.
func TestChatShows(t *testing.T) {
	url := startSignaling(t)
	ada, a := startChat(t, url, "k")
	heard := make(chan netflux.Message, 1)
	guest := netflux.New(netflux.Config{SignalingURL: url, Loopback: true, OnEvent: func(e netflux.Event) {
		if m, ok := e.(netflux.Message); ok {
			heard <- m
		}
	}})
	if err := guest.Join(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { guest.Leave(t.Context()) })
	ada.expect(" is here")
	ada.say(strings.Repeat("y", maxChatLine+1), strings.Repeat("z", maxChatLine))
	ada.expect("* not sent: a line is longer than 8192 bytes")
	if m := <-heard; m.Kind != netflux.Text || string(m.Data) != strings.Repeat("z", maxChatLine) {
		t.Errorf("%v came, %.20q", m.Kind, m.Data)
	}
	for _, m := range []struct {
		to   bool
		kind netflux.Kind
		text string
		want string
	}{
		{false, netflux.Text, strings.Repeat("x", maxChatLine+5), strings.Repeat("x", maxChatLine) + "… (5 more bytes)"},
		{false, netflux.Binary, "\x00\x1b", "(2 bytes)"},
		{false, netflux.Text, "", ""},
		{true, netflux.Text, "psst", "psst"},
	} {
		err, who := error(nil), "> "
		if m.to {
			who = " (to you alone)> "
			err = guest.SendTo(t.Context(), guest.Members()[1], m.kind, []byte(m.text))
		} else {
			err = guest.Send(t.Context(), m.kind, []byte(m.text))
		}
		if err != nil {
			t.Fatal(err)
		}
		if line := ada.expect(who); line == a || line[4:] != who+m.want {
			t.Errorf("%.20q is shown as %q", m.text, line)
		}
	}
}

// A signaling server that cannot be reached is named once, and tried until it can. It is the same when it is lost.
func TestChatWithoutSignaling(t *testing.T) {
	t.Parallel()
	l, url := listen(t)
	refusing := make(chan struct{})
	go func() { // until the deadline below
		defer close(refusing)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	r := start(t, "chat", "-key", "k", "-signaling", url, "-loopback")
	r.expect("* the signaling server " + url + " cannot be reached (")
	l.SetDeadline(time.Now())
	<-refusing
	l.SetDeadline(time.Time{})
	stop := serve(t, l)
	r.expect("* the signaling server is reached again")
	r.joined()
	stop()
	r.expect("* the signaling server " + url + " is lost (")
	r.expect("* joining again")
	r.end()
	if rest := strings.Join(r.rest(), "\n"); strings.Contains(rest, "signaling server") {
		t.Errorf("besides it printed\n%s", rest)
	}
}

// What is typed before the group is joined is sent then, even if the input has ended meanwhile.
func TestChatPiped(t *testing.T) {
	url := startSignaling(t)
	ada, _ := startChat(t, url, "k")
	ben := start(t, "chat", "-key", "k", "-signaling", url, "-loopback")
	ben.say("first", "second")
	ben.end()
	first := ada.expect("> first")
	if second := ada.expect("> second"); second[:4] != first[:4] {
		t.Errorf("%q and %q", first, second)
	}
	ada.expect(" has left")
}

// Without a key a new one is made, and told with what others type to come in.
func TestChatMakesKey(t *testing.T) {
	url := startSignaling(t)
	for _, args := range [][]string{{}, {"-key"}, {"-key", "-loopback"}, {"-key", ""}} {
		r := start(t, slices.Concat([]string{"chat", "-signaling", url}, args)...)
		r.end()
		line := r.expect("* the group is new; others join it by: netflux chat -signaling " + url + " -key=")
		if _, key, _ := strings.Cut(line, "-key="); len(key) != 42 {
			t.Errorf("%v: the key is %q", args, key)
		}
	}
}

// Ctrl-C ends a chat that waits for its signaling server.
func TestChatInterruptedWhileJoining(t *testing.T) {
	l, url := listen(t) // that never answers
	defer l.Close()
	r := start(t, "chat", "-key", "k", "-signaling", url)
	r.expect("* joining")
	r.say("too early")
	r.stop()
	r.wait()
	if r.status != 0 {
		t.Errorf("status %d, %s", r.status, &r.stderr)
	}
	r.expect("* left")
}

// What seldom happens is told with its reason, which may hold what a stranger wrote.
func TestChatTrouble(t *testing.T) {
	var out strings.Builder
	c := &chat{out: &out, names: map[uint32]string{0x12ab0001: "12ab"}}
	for _, test := range []struct {
		event netflux.Event
		want  string
	}{
		{netflux.ConnectFailed{Err: netflux.ErrTimeout}, "* no way in through the member that the signaling server chose (" + netflux.ErrTimeout.Error() + ")"},
		{netflux.ConnectFailed{ID: 0x12ab0001, Err: netflux.ErrDenied}, "* no direct channel to 12ab for now: "},
		{netflux.ICEServerFailed{URL: "turn:127.0.0.1:9", Err: errors.New("401 \x1b")}, `* the ICE server turn:127.0.0.1:9 does not help: 401 \x1b`},
		{netflux.MessageRefused{From: 0x12ab0001, Err: netflux.ErrTooBig}, "* a message of 12ab was refused: " + netflux.ErrTooBig.Error()},
		{netflux.MemberLeft{ID: 0x12ab0001, Err: errors.New("\x1b[2J")}, `* 12ab is lost: \x1b[2J`},
		{netflux.Message{From: 0x12ab0001, Kind: netflux.Text, Data: []byte("late")}, "12ab0001> late"},
	} {
		out.Reset()
		c.event(test.event)
		if !strings.HasPrefix(out.String(), test.want) || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%#v: %q, want %q", test.event, out.String(), test.want)
		}
	}
}

func TestChatNames(t *testing.T) {
	c := &chat{names: make(map[uint32]string)}
	for _, test := range []struct {
		id   uint32
		want string
	}{{0x12ab0001, "12ab"}, {0x12ab0002, "12ab0002"}, {0x000000ff, "0000"}, {0x12ab0001, "12ab"}} {
		if got := c.know(test.id); got != test.want || c.name(test.id) != test.want {
			t.Errorf("%08x is %s and then %s, want %s", test.id, got, c.name(test.id), test.want)
		}
	}
	if got := c.name(0x12abffff); got != "12abffff" {
		t.Errorf("who is no member is %s", got)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain, été, 漢字, עברית": "plain, été, 漢字, עברית",
		"👩‍👩‍👧":                 "👩‍👩‍👧",
		"a\tb\nc\r":             `a\tb\nc\r`,
		"\x00\x7f\x1b[1m":       `\x00\x7f\x1b[1m`,
		"\u009b31m":             `\u009b31m`,
		"\u202a\u2066\u200f":    `\u202a\u2066\u200f`,
		"\u2028\ufeff":          `\u2028\ufeff`,
		"a\u00a0b\u3000c":       "a b c",
		"\xff\xc3(":             "\ufffd\ufffd(",
		"\U000e0041":            `\U000e0041`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

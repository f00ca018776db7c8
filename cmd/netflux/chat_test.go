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
	r.T.Helper()
	return you.FindStringSubmatch(r.Line("joined", you.MatchString))[1]
}

// Two chats hear each other, and see each other come and go. What could do something to the terminal does not.
func TestChat(t *testing.T) {
	url := startSignaling(t)
	ada, a := startChat(t, url, "k")
	ben, b := startChat(t, url, "k")
	ada.Expect("* " + b + " is here")
	ben.Expect("* " + a + " is here")
	ada.Say("Hello, Ben!", "", "été 🐻\r")
	ben.Expect(a + "> Hello, Ben!")
	if line := ben.Expect("été"); line != a+"> été 🐻" {
		t.Errorf("it shows %q", line)
	}
	ben.Say("\x1b]0;title\x07\x1b[2J \x9b31m \u202eevil\rfake> hi\u2028")
	if line := ada.Expect(b + "> "); line != b+`> \x1b]0;title\a\x1b[2J `+"\ufffd"+`31m \u202eevil\rfake> hi\u2028` {
		t.Errorf("it shows %q", line)
	}
	ben.Say("bye")
	ben.End()
	ben.Expect("* left")
	ada.Expect(b + "> bye")
	ada.Expect("* " + b + " has left")
	ada.Say("is anybody here?")
	ada.Expect("* nobody else is here")
	ada.Stop() // Ctrl-C
	ada.End()
	ada.Expect("* left")
	for name, lines := range map[string][]string{a: ada.Rest(), b: ben.Rest()} {
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
	ada.Expect(" is here")
	ada.Say(strings.Repeat("y", maxChatLine+1), strings.Repeat("z", maxChatLine))
	ada.Expect("* not sent: a line is longer than 8192 bytes")
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
		if line := ada.Expect(who); line == a || line[4:] != who+m.want {
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
	r.Expect("* the signaling server " + url + " cannot be reached (")
	l.SetDeadline(time.Now())
	<-refusing
	l.SetDeadline(time.Time{})
	stop := serve(t, l)
	r.Expect("* the signaling server is reached again")
	r.joined()
	stop()
	r.Expect("* the signaling server " + url + " is lost (")
	r.Expect("* joining again")
	r.End()
	if rest := strings.Join(r.Rest(), "\n"); strings.Contains(rest, "signaling server") {
		t.Errorf("besides it printed\n%s", rest)
	}
}

// What is typed before the group is joined is sent then, even if the input has ended meanwhile.
func TestChatPiped(t *testing.T) {
	url := startSignaling(t)
	ada, _ := startChat(t, url, "k")
	ben := start(t, "chat", "-key", "k", "-signaling", url, "-loopback")
	ben.Say("first", "second")
	ben.End()
	first := ada.Expect("> first")
	if second := ada.Expect("> second"); second[:4] != first[:4] {
		t.Errorf("%q and %q", first, second)
	}
	ada.Expect(" has left")
}

// Without a key a new one is made, and told with what others type to come in.
func TestChatMakesKey(t *testing.T) {
	url := startSignaling(t)
	for _, args := range [][]string{{}, {"-key"}, {"-key", "-loopback"}, {"-key", ""}} {
		r := start(t, slices.Concat([]string{"chat", "-signaling", url}, args)...)
		r.End()
		line := r.Expect("* the group is new; others join it by: netflux chat -signaling " + url + " -key=")
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
	r.Expect("* joining")
	r.Say("too early")
	r.Stop()
	r.Wait()
	if r.Status != 0 {
		t.Errorf("status %d, %s", r.Status, &r.Stderr)
	}
	r.Expect("* left")
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

package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/meshpair/meshpair/netflux"
)

// Commands show who is here, by names that private messages take. What is no command says so and is not sent.
func TestChatCommands(t *testing.T) {
	url := startSignaling(t)
	ada, a := startChat(t, url, "k")
	ben, b := startChat(t, url, "k")
	cleo, c := startChat(t, url, "k")
	for _, name := range []string{b, c} {
		ada.expect("* " + name + " is here")
	}
	ben.expect("* " + c + " is here")

	ada.say("/members")
	line := ada.expect("* 3 members: " + a + " (you), ")
	for _, want := range []string{b + " (direct)", c + " (direct)"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %s", line, want)
		}
	}

	ada.say("/to "+b+"  just for you ", "/to "+strings.ToUpper(c)+"\t//you, too")
	if line := ben.expect("just for you"); line != a+" (to you alone)> just for you" {
		t.Errorf("it shows %q", line)
	}
	if line := cleo.expect("//you"); line != a+" (to you alone)> //you, too" {
		t.Errorf("it shows %q", line)
	}

	ada.say("//slash", "//", "/help", "/", "/members of this group", "/fly there", "//end")
	for _, want := range []string{"/slash", "/", "/end"} {
		if line := ben.expect(a + "> "); line != a+"> "+want {
			t.Errorf("it shows %q, want %s", line, want)
		}
	}
	for help := range strings.Lines(chatCommands) {
		ada.expect("* " + strings.TrimSpace(help))
	}
	ada.expect("* nothing sent: there is no command /; /help lists them")
	ada.expect("* nothing sent: there is no command /fly; /help lists them")
	ada.expect("* 3 members: ")
	for cmd, want := range map[string]string{
		"/to":             "* nothing sent: it is /to NAME TEXT",
		"/to " + b + " ":  "* nothing sent: it is /to NAME TEXT",
		"/to nobody hi":   "* nothing sent: nobody here is named nobody",
		"/to " + a + " x": "* nothing sent: " + a + " is you",
		"/invite":         "* nobody invited: it is /invite URL",
	} {
		ada.say(cmd)
		ada.expect(want)
	}
	cleo.end()
	ada.expect("* " + c + " has left")
	ada.say("/to "+c+" are you there?", "/members")
	ada.expect("* nothing sent: nobody here is named " + c)
	ada.expect("* 2 members: " + a + " (you), " + b + " (direct)")
	if rest := ben.rest(); slices.ContainsFunc(rest, func(l string) bool { return strings.Contains(l, "> ") }) {
		t.Errorf("%q came besides", rest)
	}
}

// A member without a direct channel is shown as relayed, and messages find the way to it. (MSH-16)
func TestChatRelayed(t *testing.T) {
	url := startSignaling(t)
	ada, a := startChat(t, url, "k")
	_, _ = startChat(t, url, "k")
	heard := make(chan netflux.Message, 1)
	guest := netflux.New(netflux.Config{SignalingURL: url, Loopback: true, OnEvent: func(e netflux.Event) {
		if m, ok := e.(netflux.Message); ok {
			heard <- m
		}
	}})
	if err := guest.Join(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	defer guest.Leave(t.Context())
	name := regexp.MustCompile(`^\* ([0-9a-f]{4,8}) is here`)
	here := func() string {
		return name.FindStringSubmatch(ada.line("who came", name.MatchString))[1]
	}
	here()
	who := here()
	ada.say("/members")
	ada.expect(who + " (direct)")
	if err := guest.Block(guest.Members()[slices.IndexFunc(guest.Members(), named(a))]); err != nil {
		t.Fatal(err)
	}
	for relayed := false; !relayed; {
		ada.say("/members")
		relayed = strings.Contains(ada.expect(who+" ("), who+" (relayed)")
	}
	ada.say("/to " + who + " by another way")
	if m := <-heard; string(m.Data) != "by another way" || !m.Private {
		t.Errorf("%v", m)
	}
	if err := guest.Send(t.Context(), netflux.Text, []byte("to all")); err != nil {
		t.Fatal(err)
	}
	if line := ada.expect("to all"); line != who+"> to all" {
		t.Errorf("it shows %q", line)
	}
}

// named says whether an id has a name in chats.
func named(name string) func(uint32) bool {
	return func(id uint32) bool { return strings.HasPrefix((&chat{}).name(id), name) }
}

// A bot that is invited comes; what becomes of an invitation is said in one line, also when the input has ended.
func TestChatInvites(t *testing.T) {
	url := startSignaling(t)
	bot, botURL := startBot(t, "-signaling", url, "-max-groups", "1")
	closed, nobody := listen(t)
	closed.Close()
	ada, a := startChat(t, url, "k")
	ada.say("/invite " + botURL)
	ada.expect("* " + botURL + " has accepted the invitation")
	ada.expect(" is here")
	group := bot.event(object{"event": "state", "state": "JOINED"})["group"]
	ada.say("/invite "+nobody, "/invite http://127.0.0.1", "/invite "+botURL)
	ada.expect("* " + nobody + " has not been invited: ")
	ada.expect("* http://127.0.0.1 has not been invited: ")
	ada.expect("* " + botURL + " has not been invited: ")
	bot.do(object{"cmd": "send", "group": group, "text": "hello, " + a})
	ada.expect("> hello, " + a)
	ada.end()
	bot.event(object{"event": "state", "state": "LEFT", "group": group})

	ben := start(t, "chat", "-key", "another", "-signaling", url, "-loopback")
	ben.say("/invite " + botURL)
	ben.end()
	ben.expect("* " + botURL + " has accepted the invitation")
}

// Help needs no group; all else waits for it.
func TestChatHelpWhileJoining(t *testing.T) {
	l, url := listen(t) // that never answers
	defer l.Close()
	r := start(t, "chat", "-key", "k", "-signaling", url)
	r.say("/members", "/help")
	r.expect("* /help ")
	r.stop()
	r.expect("* 1 line not sent")
}

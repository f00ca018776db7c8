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
		ada.Expect("* " + name + " is here")
	}
	ben.Expect("* " + c + " is here")

	ada.Say("/members")
	line := ada.Expect("* 3 members: " + a + " (you), ")
	for _, want := range []string{b + " (direct)", c + " (direct)"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %s", line, want)
		}
	}

	ada.Say("/to "+b+"  just for you ", "/to "+strings.ToUpper(c)+"\t//you, too")
	if line := ben.Expect("just for you"); line != a+" (to you alone)> just for you" {
		t.Errorf("it shows %q", line)
	}
	if line := cleo.Expect("//you"); line != a+" (to you alone)> //you, too" {
		t.Errorf("it shows %q", line)
	}

	ada.Say("//slash", "//", "/help", "/", "/members of this group", "/fly there", "//end")
	for _, want := range []string{"/slash", "/", "/end"} {
		if line := ben.Expect(a + "> "); line != a+"> "+want {
			t.Errorf("it shows %q, want %s", line, want)
		}
	}
	for help := range strings.Lines(chatCommands) {
		ada.Expect("* " + strings.TrimSpace(help))
	}
	ada.Expect("* nothing sent: there is no command /; /help lists them")
	ada.Expect("* nothing sent: there is no command /fly; /help lists them")
	ada.Expect("* 3 members: ")
	for cmd, want := range map[string]string{
		"/to":             "* nothing sent: it is /to NAME TEXT",
		"/to " + b + " ":  "* nothing sent: it is /to NAME TEXT",
		"/to nobody hi":   "* nothing sent: nobody here is named nobody",
		"/to " + a + " x": "* nothing sent: " + a + " is you",
		"/invite":         "* nobody invited: it is /invite URL",
	} {
		ada.Say(cmd)
		ada.Expect(want)
	}
	cleo.End()
	ada.Expect("* " + c + " has left")
	ada.Say("/to "+c+" are you there?", "/members")
	ada.Expect("* nothing sent: nobody here is named " + c)
	ada.Expect("* 2 members: " + a + " (you), " + b + " (direct)")
	if rest := ben.Rest(); slices.ContainsFunc(rest, func(l string) bool { return strings.Contains(l, "> ") }) {
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
		return name.FindStringSubmatch(ada.Line("who came", name.MatchString))[1]
	}
	here()
	who := here()
	ada.Say("/members")
	ada.Expect(who + " (direct)")
	if err := guest.Block(guest.Members()[slices.IndexFunc(guest.Members(), named(a))]); err != nil {
		t.Fatal(err)
	}
	for relayed := false; !relayed; {
		ada.Say("/members")
		relayed = strings.Contains(ada.Expect(who+" ("), who+" (relayed)")
	}
	ada.Say("/to " + who + " by another way")
	if m := <-heard; string(m.Data) != "by another way" || !m.Private {
		t.Errorf("%v", m)
	}
	if err := guest.Send(t.Context(), netflux.Text, []byte("to all")); err != nil {
		t.Fatal(err)
	}
	if line := ada.Expect("to all"); line != who+"> to all" {
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
	ada.Say("/invite " + botURL)
	ada.Expect("* " + botURL + " has accepted the invitation")
	ada.Expect(" is here")
	group := bot.Event(object{"event": "state", "state": "JOINED"})["group"]
	ada.Say("/invite "+nobody, "/invite http://127.0.0.1", "/invite "+botURL)
	ada.Expect("* " + nobody + " has not been invited: ")
	ada.Expect("* http://127.0.0.1 has not been invited: ")
	ada.Expect("* " + botURL + " has not been invited: ")
	bot.Do(object{"cmd": "send", "group": group, "text": "hello, " + a})
	ada.Expect("> hello, " + a)
	ada.End()
	bot.Event(object{"event": "state", "state": "LEFT", "group": group})

	ben := start(t, "chat", "-key", "another", "-signaling", url, "-loopback")
	ben.Say("/invite " + botURL)
	ben.End()
	ben.Expect("* " + botURL + " has accepted the invitation")
}

// Help needs no group; all else waits for it.
func TestChatHelpWhileJoining(t *testing.T) {
	l, url := listen(t) // that never answers
	defer l.Close()
	r := start(t, "chat", "-key", "k", "-signaling", url)
	r.Say("/members", "/help")
	r.Expect("* /help ")
	r.Stop()
	r.Expect("* 1 line not sent")
}

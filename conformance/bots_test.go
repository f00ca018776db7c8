package conformance

import (
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// TestBots lets members of this implementation and an original page meet bots: those of the original, which have
// WebSockets alone, and those of this implementation. A bot is invited by the first of the group, before or after others
// are there; who comes later joins through it, as it is favored. All talk with all (chapters CHN, BLD, MSH and MSG;
// SIG-3, SIG-22).
func TestBots(t *testing.T) {
	url := startSigver(t)
	pages := startPages(t, 1)
	members := startMembers(t, 3)
	path, err := netfluxBinary()
	if err != nil {
		t.Fatal(err)
	}
	bots := map[rune]func(args ...string) *exec.Cmd{
		'B': func(args ...string) *exec.Cmd { return exec.Command(path, append([]string{"bot"}, args...)...) },
		'O': originalBot(t),
	}
	// G: a member of this implementation, P: a page, B: a bot of this implementation, O: an original one.
	for _, order := range []string{"GOGGP", "POGG", "PBG", "GPGOG", "GBGGP", "GPGBG", "GOBGP", "GPBOG"} {
		t.Run(order, func(t *testing.T) {
			b := &botted{next: map[rune][]*driver.Peer{'G': members, 'P': pages}, url: url, key: "bot " + order}
			for i, kind := range order {
				if bot := bots[kind]; bot != nil {
					b.invite(t, startDriver(t, "bot "+string(kind), bot("-listen", "127.0.0.1:0", "-signaling", url, "-loopback", "-echo")))
					if page := slices.Index([]rune(order[:i]), 'P'); kind == 'O' && page > 0 {
						b.apart = [2]uint32{b.all[page].id, b.all[i].id}
					}
				} else {
					b.join(t, kind)
				}
				b.whole(t)
			}
			for i, m := range b.all {
				if !m.bot {
					b.talk(t, i)
				}
			}
			b.leave(t)
		})
	}
}

// A botted is a group with bots in it.
type botted struct {
	next     map[rune][]*driver.Peer // who has not joined yet
	url, key string
	secret   string // of a sealed group; "" if it is not sealed
	group    uint32
	all      []seat
	apart    [2]uint32 // an original page and an original bot that find no way to each other (DEV-14); 0: none
}

// A seat is a member of a botted.
type seat struct {
	*driver.Peer
	id  uint32
	bot bool
}

func (b *botted) join(t *testing.T, kind rune) {
	t.Helper()
	p := b.next[kind][0]
	b.next[kind] = b.next[kind][1:]
	do(t, p, driver.Command{"cmd": "join", "signaling": b.url, "key": b.key, "secret": b.secret, "loopback": true})
	s := do(t, p, driver.Command{"cmd": "status"})
	b.group = s.Group
	b.all = append(b.all, seat{p, s.ID, false})
}

// invite has the first of the group invite a bot.
func (b *botted) invite(t *testing.T, bot *driver.Peer) {
	t.Helper()
	invite := bot.Ready.URL
	if b.secret != "" { // SEC-20
		invite = bot.Ready.Invite
	}
	do(t, b.all[0].Peer, driver.Command{"cmd": "invite", "url": invite})
	e, err := bot.Wait(pageTimeout, func(e driver.Event) bool { return e.State == "JOINED" })
	if err != nil {
		t.Fatal(err)
	}
	if e.Group != b.group {
		t.Errorf("%s is in the group %d, not in %d", bot.Name, e.Group, b.group)
	}
	id := do(t, bot, driver.Command{"cmd": "status", "group": b.group}).ID
	b.all = append(b.all, seat{bot, id, true})
}

// whole waits until all know all, and have channels.
func (b *botted) whole(t *testing.T) {
	t.Helper()
	var members []uint32
	for _, m := range b.all {
		members = append(members, m.id)
	}
	slices.Sort(members)
	for _, m := range b.all {
		neighbors := slices.DeleteFunc(slices.Clone(members), func(id uint32) bool { return id == m.id || b.areApart(id, m.id) })
		for deadline := time.Now().Add(pageTimeout); ; time.Sleep(20 * time.Millisecond) {
			s := do(t, m.Peer, driver.Command{"cmd": "status", "group": b.group})
			slices.Sort(s.Members)
			slices.Sort(s.Neighbors)
			if slices.Equal(s.Members, members) && slices.Equal(s.Neighbors, neighbors) && s.State == "JOINED" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s, %d, is %s: members %v, neighbors %v, want %v and %v", m.Name, m.id, s.State, s.Members, s.Neighbors, members, neighbors)
			}
		}
	}
}

func (b *botted) areApart(x, y uint32) bool {
	return b.apart == [2]uint32{x, y} || b.apart == [2]uint32{y, x}
}

// talk lets one of the group talk with the bots, which echo, and with all.
func (b *botted) talk(t *testing.T, i int) {
	t.Helper()
	me := b.all[i]
	all := fmt.Sprintf("to all: %s", greeting(i))
	do(t, me.Peer, driver.Command{"cmd": "send", "base64": encoded(bytesOf(i, 20_000))})
	do(t, me.Peer, driver.Command{"cmd": "send", "text": all})
	for _, m := range b.all {
		if m.id == me.id {
			continue
		}
		expectMessage(t, m.Peer, me.id, bytesOf(i, 20_000), false)
		expectMessage(t, m.Peer, me.id, []byte(all), true)
		if m.bot && !b.areApart(m.id, me.id) { // to a distant one it comes as a private one (MSH-15)
			b.hear(t, m, []byte("echo:"+all), true)
		}
		if m.bot {
			b.talkTo(t, i, m)
		}
	}
}

// talkTo lets one of the group talk with a bot.
func (b *botted) talkTo(t *testing.T, i int, bot seat) {
	t.Helper()
	me := b.all[i]
	for _, text := range []string{greeting(i), encoded(bytesOf(i, 12_000))} {
		do(t, me.Peer, driver.Command{"cmd": "sendTo", "to": bot.id, "text": text})
		expectMessage(t, bot.Peer, me.id, []byte(text), true)
		expectMessage(t, me.Peer, bot.id, []byte(text), true)
	}
	sizes := []int{1000}
	if i == 0 || isPage(me.Peer) {
		sizes = append(sizes, 1<<20)
	}
	for _, size := range sizes {
		do(t, me.Peer, driver.Command{"cmd": "sendTo", "to": bot.id, "base64": encoded(bytesOf(i, size))})
		expectMessage(t, bot.Peer, me.id, bytesOf(i, size), false)
		expectMessage(t, me.Peer, bot.id, bytesOf(i, size), false)
	}
	do(t, bot.Peer, driver.Command{"cmd": "sendTo", "group": b.group, "to": me.id, "text": "to you"})
	expectMessage(t, me.Peer, bot.id, []byte("to you"), true)
	if i == 0 {
		do(t, bot.Peer, driver.Command{"cmd": "send", "group": b.group, "base64": encoded(mebibyte(i))})
		b.hear(t, bot, mebibyte(i), false)
	}
}

// hear expects that all but bots get a message from a bot.
func (b *botted) hear(t *testing.T, bot seat, data []byte, text bool) {
	t.Helper()
	for _, m := range b.all {
		if !m.bot {
			expectMessage(t, m.Peer, bot.id, data, text)
		}
	}
}

// leave has all leave; a bot that is alone leaves by itself. With two there are two that are not.
func (b *botted) leave(t *testing.T) {
	t.Helper()
	var bots []seat
	for _, m := range b.all {
		if m.bot {
			bots = append(bots, m)
		} else {
			do(t, m.Peer, driver.Command{"cmd": "leave"})
		}
	}
	if b.apart[0] != 0 {
		return // the original bot believes that the page is there, and does not notice that it is alone (DEV-23)
	}
	for _, bot := range bots[1:] {
		do(t, bot.Peer, driver.Command{"cmd": "leave", "group": b.group})
	}
	if _, err := bots[0].Wait(pageTimeout, func(e driver.Event) bool { return e.State == "LEFT" && e.Group == b.group }); err != nil {
		t.Errorf("the bot, alone, does not leave: %v", err)
	}
}

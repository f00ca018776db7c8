package conformance

import (
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
	"github.com/meshpair/meshpair/internal/need"
)

// startOriginalBot starts a bot of npm netflux 4.3.1 that knows this signaling server.
func startOriginalBot(t testing.TB, signaling string, more ...string) *driver.Peer {
	t.Helper()
	cmd := exec.Command("node", append([]string{"netflux-bot.mjs", "-listen", "127.0.0.1:0", "-signaling", signaling}, more...)...)
	cmd.Dir = need.Originals(t)
	return startDriver(t, "original bot", cmd)
}

// TestOriginalBot lets members of this implementation and an original page meet an unmodified bot of the original, which
// has WebSockets alone. The bot is invited by the first of the group to join, before or after others are there; who comes
// later joins through it, as it is favored. All talk with all (chapters CHN, BLD, MSH and MSG; SIG-3, SIG-22).
func TestOriginalBot(t *testing.T) {
	url := startSigver(t)
	pages := startPages(t, 1)
	members := startMembers(t, 3)
	for _, test := range []struct {
		order string // B: the first one invites the bot
		apart bool   // the original page and the original bot find no way to each other (DEV-14)
	}{
		{"GBGGP", false},
		{"GGGB", false},
		{"PBGG", false},
		{"GPGBG", true},
	} {
		t.Run(test.order, func(t *testing.T) {
			bot := startOriginalBot(t, url, "-echo")
			withBot(t, test.order, map[rune][]*driver.Peer{'G': members, 'P': pages}, bot, url, test.apart)
		})
	}
}

// A botted is a group with a bot in it.
type botted struct {
	bot   *driver.Peer
	group uint32
	botID uint32
	page  uint32 // an original page that has no channel with the bot; 0: none
	peers []*driver.Peer
	ids   []uint32
}

func withBot(t *testing.T, order string, kinds map[rune][]*driver.Peer, bot *driver.Peer, url string, apart bool) {
	b := &botted{bot: bot}
	next := make(map[rune]int)
	for _, kind := range order {
		if kind == 'B' {
			b.invite(t)
			continue
		}
		p := kinds[kind][next[kind]]
		next[kind]++
		do(t, p, driver.Command{"cmd": "join", "signaling": url, "key": "bot " + order, "loopback": true})
		id := do(t, p, driver.Command{"cmd": "status"}).ID
		b.peers, b.ids = append(b.peers, p), append(b.ids, id)
		if kind == 'P' && apart {
			b.page = id
		}
		b.whole(t)
	}
	for i := range b.peers {
		b.talk(t, i)
	}
	for _, p := range b.peers {
		do(t, p, driver.Command{"cmd": "leave"})
	}
	if apart {
		return // the bot, which believes that the page is still there, does not notice that it is alone (DEV-23)
	}
	if _, err := bot.Wait(pageTimeout, func(e driver.Event) bool { return e.State == "LEFT" && e.Group == b.group }); err != nil {
		t.Errorf("the bot, alone, does not leave: %v", err)
	}
}

// invite has the first of the group invite the bot.
func (b *botted) invite(t *testing.T) {
	t.Helper()
	do(t, b.peers[0], driver.Command{"cmd": "invite", "url": b.bot.Ready.URL})
	e, err := b.bot.Wait(pageTimeout, func(e driver.Event) bool { return e.State == "JOINED" })
	if err != nil {
		t.Fatal(err)
	}
	b.group = e.Group
	b.botID = do(t, b.bot, driver.Command{"cmd": "status", "group": b.group}).ID
	b.whole(t)
}

// whole waits until all know all, and have channels.
func (b *botted) whole(t *testing.T) {
	t.Helper()
	peers, ids := b.peers, b.ids
	if b.botID != 0 {
		peers, ids = append(slices.Clone(peers), b.bot), append(slices.Clone(ids), b.botID)
	}
	for i, p := range peers {
		b.wait(t, p, ids[i], ids)
	}
}

// wait waits until one has channels with all; the page and the bot that are apart hear of each other through others.
func (b *botted) wait(t *testing.T, p *driver.Peer, id uint32, ids []uint32) {
	t.Helper()
	members := slices.Sorted(slices.Values(ids))
	neighbors := slices.DeleteFunc(slices.Clone(members), func(other uint32) bool {
		return other == id || b.page != 0 && (id == b.page && other == b.botID || id == b.botID && other == b.page)
	})
	for deadline := time.Now().Add(pageTimeout); ; time.Sleep(20 * time.Millisecond) {
		s := do(t, p, driver.Command{"cmd": "status", "group": b.group})
		slices.Sort(s.Members)
		slices.Sort(s.Neighbors)
		if slices.Equal(s.Members, members) && slices.Equal(s.Neighbors, neighbors) && s.State == "JOINED" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s, %d, is %s: members %v, neighbors %v, want %v and %v", p.Name, id, s.State, s.Members, s.Neighbors, members, neighbors)
		}
	}
}

// talk lets one of the group talk with the bot, which echoes, and with all.
func (b *botted) talk(t *testing.T, i int) {
	t.Helper()
	p, id := b.peers[i], b.ids[i]
	for _, text := range []string{"private " + greeting(i), string(bytes16K(i))} {
		do(t, p, driver.Command{"cmd": "sendTo", "to": b.botID, "text": text})
		expectMessage(t, b.bot, id, []byte(text), true)
		expectMessage(t, p, b.botID, []byte(text), true)
	}
	for _, size := range []int{1000, 1 << 20} {
		do(t, p, driver.Command{"cmd": "sendTo", "to": b.botID, "base64": encoded(bytesOf(i, size))})
		expectMessage(t, b.bot, id, bytesOf(i, size), false)
		expectMessage(t, p, b.botID, bytesOf(i, size), false)
	}
	do(t, p, driver.Command{"cmd": "send", "base64": encoded(bytesOf(i, 20_000))})
	do(t, p, driver.Command{"cmd": "send", "text": greeting(i)})
	expectMessage(t, b.bot, id, bytesOf(i, 20_000), false)
	expectMessage(t, b.bot, id, []byte(greeting(i)), true)
	echo := "echo:" + greeting(i)
	for j, q := range b.peers {
		if j != i {
			expectMessage(t, q, id, bytesOf(i, 20_000), false)
			expectMessage(t, q, id, []byte(greeting(i)), true)
		}
		if id != b.page { // to one that is apart from the bot its messages come as private ones (MSH-15)
			expectMessage(t, q, b.botID, []byte(echo), true)
		}
	}
	do(t, b.bot, driver.Command{"cmd": "sendTo", "group": b.group, "to": id, "text": "to you"})
	expectMessage(t, p, b.botID, []byte("to you"), true)
	do(t, b.bot, driver.Command{"cmd": "send", "group": b.group, "base64": encoded(mebibyte(i))})
	for _, q := range b.peers {
		expectMessage(t, q, b.botID, mebibyte(i), false)
	}
}

// bytes16K returns text that takes more than one chunk.
func bytes16K(i int) []byte { return []byte(encoded(bytesOf(i, 12_000))) }

package conformance

import (
	"fmt"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// A relayed is a group in which some pairs have no channel.
type relayed struct {
	all   []*driver.Peer
	ids   []uint32
	group uint32
	apart map[[2]int]bool // pairs without a channel, by their places in all
}

func (r *relayed) add(t testing.TB, p *driver.Peer, join driver.Command) {
	t.Helper()
	do(t, p, join)
	s := do(t, p, driver.Command{"cmd": "status"})
	r.all, r.ids, r.group = append(r.all, p), append(r.ids, s.ID), s.Group
}

func (r *relayed) block(t testing.TB, i, j int) {
	t.Helper()
	do(t, r.all[i], driver.Command{"cmd": "block", "member": r.ids[j]})
	r.part(i, j)
}

func (r *relayed) part(i, j int) { r.apart[[2]int{i, j}], r.apart[[2]int{j, i}] = true, true }

// whole waits until all know all, and have channels with those they can have one with.
func (r *relayed) whole(t testing.TB) {
	t.Helper()
	members := slices.Sorted(slices.Values(r.ids))
	for i, p := range r.all {
		var neighbors []uint32
		for j, id := range r.ids {
			if j != i && !r.apart[[2]int{i, j}] {
				neighbors = append(neighbors, id)
			}
		}
		slices.Sort(neighbors)
		for deadline := time.Now().Add(2 * pageTimeout); ; time.Sleep(20 * time.Millisecond) {
			s := do(t, p, driver.Command{"cmd": "status", "group": r.group})
			slices.Sort(s.Members)
			slices.Sort(s.Neighbors)
			if slices.Equal(s.Members, members) && slices.Equal(s.Neighbors, neighbors) && s.State == "JOINED" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s, %d, is %s: members %v, neighbors %v, want %v and %v", p.Name, r.ids[i], s.State, s.Members, s.Neighbors, members, neighbors)
			}
		}
	}
}

// talk has each send text, bytes and chunks to all and to each.
func (r *relayed) talk(t testing.TB) {
	t.Helper()
	for i, p := range r.all {
		all := greeting(i) + " to all"
		do(t, p, driver.Command{"cmd": "send", "group": r.group, "text": all})
		do(t, p, driver.Command{"cmd": "send", "group": r.group, "base64": encoded(bytesOf(i, 100_000))})
		for j, q := range r.all {
			if j == i {
				continue
			}
			one := fmt.Sprintf("%s to %d", greeting(i), j)
			do(t, p, driver.Command{"cmd": "sendTo", "group": r.group, "to": r.ids[j], "text": one})
			do(t, p, driver.Command{"cmd": "sendTo", "group": r.group, "to": r.ids[j], "base64": encoded(bytesOf(i*16+j, 300_000))})
			expectMessage(t, q, r.ids[i], []byte(all), true)
			expectMessage(t, q, r.ids[i], bytesOf(i, 100_000), false)
			expectMessage(t, q, r.ids[i], []byte(one), true)
			expectMessage(t, q, r.ids[i], bytesOf(i*16+j, 300_000), false)
		}
	}
}

func (r *relayed) leave(t testing.TB) {
	t.Helper()
	for _, p := range r.all {
		do(t, p, driver.Command{"cmd": "leave", "group": r.group})
	}
}

// TestRelays has pairs without a channel in groups of members of this implementation, original pages and a bot: all that
// is sent to all and to one arrives, whoever relays (MSH-15 to MSH-19).
func TestRelays(t *testing.T) {
	t.Parallel()
	url := startSigver(t)
	pages := startPages(t, 2)
	members := startMembers(t, 4)
	path, err := netfluxBinary()
	if err != nil {
		t.Fatal(err)
	}
	bot := startDriver(t, "bot", exec.Command(path, "bot", "-listen", "127.0.0.1:0", "-signaling", url, "-loopback"))
	join := func(key string) driver.Command {
		return driver.Command{"cmd": "join", "signaling": url, "key": key, "loopback": true}
	}

	t.Run("an original relays", func(t *testing.T) {
		r := &relayed{apart: make(map[[2]int]bool)}
		r.add(t, members[0], join("an original relays"))
		r.add(t, pages[0], join("an original relays"))
		r.add(t, members[1], join("an original relays"))
		r.whole(t)
		r.block(t, 0, 2)
		r.whole(t)
		r.talk(t)
		r.leave(t)
	})

	// Every second pair of 4 members and 2 pages, of which one page can have no data channel at all, and so reaches
	// nobody but the bot.
	t.Run("a bot and all others relay", func(t *testing.T) {
		r := &relayed{apart: make(map[[2]int]bool)}
		for _, p := range []*driver.Peer{members[0], pages[0], members[1]} {
			r.add(t, p, join("all relay"))
		}
		do(t, members[1], driver.Command{"cmd": "invite", "url": bot.Ready.URL})
		if _, err := bot.Wait(pageTimeout, func(e driver.Event) bool { return e.State == "JOINED" }); err != nil {
			t.Fatal(err)
		}
		s := do(t, bot, driver.Command{"cmd": "status", "group": r.group})
		r.all, r.ids = append(r.all, bot), append(r.ids, s.ID)
		r.add(t, members[2], join("all relay"))
		r.add(t, members[3], join("all relay"))
		r.whole(t)
		r.block(t, 0, 1) // a page
		r.block(t, 2, 4)
		r.block(t, 5, 3) // the bot
		r.whole(t)
		lonely := join("all relay")
		lonely["relayOnly"] = true
		r.add(t, pages[1], lonely)
		for i := range 6 {
			if i != 3 {
				r.part(i, 6)
			}
		}
		r.whole(t)
		r.talk(t)
		r.leave(t)
	})
}

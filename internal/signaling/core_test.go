package signaling

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

var epoch = time.Unix(0, 0)

func mustOpen(t *testing.T, c *Core, key string) *Peer {
	t.Helper()
	p, err := c.Open(epoch, key, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func connectMessage(id uint32, members ...uint32) *wire.Signaling {
	return &wire.Signaling{Kind: wire.SignalingConnect, Connect: wire.GroupData{ID: id, Members: members}}
}

// SIG-2: 1 to 512 characters, and the close code for anything else (SIG-38).
func TestKeyLength(t *testing.T) {
	c := New(Config{})
	for n, ok := range map[int]bool{0: false, 1: true, 512: true, 513: false} {
		p, err := c.Open(epoch, strings.Repeat("k", n), false)
		if (err == nil) != ok {
			t.Errorf("a key of %d characters: %v", n, err)
		}
		if err != nil && (!errors.Is(err, ErrKey) || CloseCode(err) != CloseKey) {
			t.Errorf("a key of %d characters: %v, close code %d", n, err, CloseCode(err))
		}
		if p != nil {
			c.Gone(epoch, p)
		}
	}
	checkEmpty(t, c)
}

// SIG-43: limits on groups and on peers of a group, which free themselves.
func TestLimits(t *testing.T) {
	c := New(Config{MaxGroups: 2, MaxGroupPeers: 2})
	a1 := mustOpen(t, c, "a")
	a2 := mustOpen(t, c, "a")
	if _, err := c.Open(epoch, "a", false); err != ErrGroupPeers || CloseCode(err) != CloseLimit {
		t.Errorf("a third peer of a group: %v", err)
	}
	b := mustOpen(t, c, "b")
	if _, err := c.Open(epoch, "c", false); err != ErrGroups || CloseCode(err) != CloseLimit {
		t.Errorf("a third group: %v", err)
	}
	c.Gone(epoch, b)
	d := mustOpen(t, c, "c")
	c.Gone(epoch, a1)
	a3 := mustOpen(t, c, "a")
	for _, p := range []*Peer{a2, a3, d} {
		c.Gone(epoch, p)
	}
	checkEmpty(t, c)
}

// SIG-26: a signaling id is not 0, below 2^31 and not in use with the member,
// whatever the source of randomness gives.
func TestSignalingIDs(t *testing.T) {
	draws := []uint32{0, 1 << 31, 5, 5, 1<<31 + 5, 1<<32 - 1}
	c := New(Config{Rand: func() uint32 {
		d := draws[0]
		draws = draws[1:]
		return d
	}})
	m := mustOpen(t, c, "k")
	c.Receive(epoch, m, connectMessage(1<<31))
	var got []uint32
	for range 2 {
		j := mustOpen(t, c, "k")
		c.Receive(epoch, j, connectMessage(1<<31+1))
		got = append(got, j.binding.id)
	}
	if got[0] != 5 || got[1] != 1<<31-1 {
		t.Errorf("signaling ids %v", got)
	}
}

// SIG-23: what a joiner remembers is bounded, even if the members of its group
// take new ids without end.
func TestTriesAreBounded(t *testing.T) {
	next := uint32(0)
	c := New(Config{Rand: func() uint32 { next++; return next }})
	a, b, j := mustOpen(t, c, "k"), mustOpen(t, c, "k"), mustOpen(t, c, "k")
	c.Receive(epoch, a, connectMessage(1))
	c.Receive(epoch, b, connectMessage(2, 1))
	for id := uint32(3); id < 3*maxTried; id++ {
		c.Receive(epoch, b, connectMessage(id, 1))
		c.Receive(epoch, j, connectMessage(9))
	}
	if n := len(j.tried); n > maxTried {
		t.Errorf("a joiner remembers %d tries", n)
	}
}

// Steps of a peer that is gone have no effect.
func TestGonePeer(t *testing.T) {
	c := New(Config{})
	p := mustOpen(t, c, "k")
	c.Gone(epoch, p)
	for name, actions := range map[string][]Action{
		"Receive": c.Receive(epoch, p, connectMessage(1)),
		"Expel":   c.Expel(epoch, p, CloseMessage, ""),
		"Gone":    c.Gone(epoch, p),
		"Tick":    c.Tick(epoch.Add(time.Hour)),
	} {
		if len(actions) != 0 {
			t.Errorf("%s gives %v", name, actions)
		}
	}
	checkEmpty(t, c)
}

// SIG-10, SIG-11: each peer has its own timer, which begins when it opens.
func TestTimersAreApart(t *testing.T) {
	c := New(Config{})
	mustOpen(t, c, "a")
	if _, err := c.Open(epoch.Add(2*time.Second), "b", false); err != nil {
		t.Fatal(err)
	}
	var ticks []time.Duration
	for next, ok := c.Next(); ok; next, ok = c.Next() {
		ticks = append(ticks, next.Sub(epoch)/time.Second)
		if n := len(c.Tick(next)); n != 1 {
			t.Fatalf("%d actions at %v", n, next)
		}
	}
	want := []time.Duration{5, 7, 10, 12, 15, 17}
	for i := range want {
		if len(ticks) != len(want) || ticks[i] != want[i] {
			t.Fatalf("ticks at %v, want %v seconds", ticks, want)
		}
	}
	checkEmpty(t, c)
}

package signaling

import (
	"slices"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// FuzzCore drives the core by arbitrary steps and checks after each that its
// parts agree with one another, and at the end that nothing is left.
func FuzzCore(f *testing.F) {
	f.Add([]byte("\x00\x00\x01\x10\x00\x00\x02\x21\x03\x10"))
	f.Add([]byte{0, 0, 1, 0, 0, 1, 1, 17, 1, 1, 2, 17, 1, 17, 3, 0, 4, 5, 4, 9})
	f.Fuzz(func(t *testing.T, ops []byte) {
		now := epoch
		next := uint32(0)
		c := New(Config{MaxGroups: 3, MaxGroupPeers: 5, Rand: func() uint32 { next++; return next & 7 }})
		var peers []*Peer
		for len(ops) >= 2 {
			op, arg := ops[0]%8, ops[1]
			ops = ops[2:]
			if op == 0 || len(peers) == 0 {
				if p, err := c.Open(now, string('a'+arg%4), arg&16 != 0); err == nil {
					peers = append(peers, p)
				}
				check(t, c, peers)
				continue
			}
			p := peers[int(arg>>4)%len(peers)]
			check(t, c, peers, step(t, c, p, op, uint32(arg&15), &now)...)
		}
		for _, p := range peers {
			c.Gone(now, p)
		}
		checkEmpty(t, c)
	})
}

func step(t *testing.T, c *Core, p *Peer, op byte, arg uint32, now *time.Time) []Action {
	open := p.room != nil
	switch op {
	case 1, 2:
		m := connectMessage(arg)
		if op == 2 {
			m.Connect.Members = []uint32{arg ^ 1, arg ^ 2}
		}
		actions := c.Receive(*now, p, m)
		answers := 0
		for _, a := range actions {
			if a.Message.Kind == wire.SignalingConnected && a.To == p {
				answers++
			}
		}
		if open && answers != 1 { // SIG-15
			t.Fatalf("%d answers to a connect", answers)
		}
		return actions
	case 3, 4:
		m := &wire.Signaling{Kind: wire.SignalingContent}
		m.Content = wire.Content{RecipientID: arg, LastData: op == 4, Data: []byte{1}}
		return c.Receive(*now, p, m)
	case 5:
		return c.Gone(*now, p)
	case 6:
		*now = now.Add(time.Duration(arg) * time.Second)
		return c.Tick(*now)
	default:
		return c.Receive(*now, p, &wire.Signaling{Kind: wire.SignalingKind(arg)})
	}
}

// check holds the parts of the core against one another.
func check(t *testing.T, c *Core, peers []*Peer, actions ...Action) {
	t.Helper()
	closed := make(map[*Peer]bool)
	for _, a := range actions {
		if closed[a.To] {
			t.Fatalf("action %+v for a peer that was closed before", a)
		}
		closed[a.To] = a.Kind == Close
	}
	open := 0
	perRoom := make(map[*room]int)
	for _, p := range peers {
		if p.room == nil {
			if p.member || p.binding != nil || len(p.joiners) > 0 {
				t.Fatal("a peer that is gone is a member or bound")
			}
			continue
		}
		open++
		perRoom[p.room]++
		if b := p.binding; b != nil && (b.joiner != p || b.member.room != p.room || b.member.joiners[b.id] != b) {
			t.Fatal("a binding that its member does not know")
		}
		for id, b := range p.joiners {
			if b.id != id || b.member != p || b.joiner.binding != b || id == 0 || id > maxSignalingID {
				t.Fatal("a binding that its joiner does not know, or with a bad id")
			}
		}
	}
	if open != c.Peers() || len(perRoom) != c.Groups() {
		t.Fatalf("%d peers in %d groups, counted as %d in %d", open, len(perRoom), c.Peers(), c.Groups())
	}
	checkRooms(t, c, perRoom)
	checkBeats(t, c, open)
}

func checkRooms(t *testing.T, c *Core, perRoom map[*room]int) {
	t.Helper()
	for r, n := range perRoom {
		ids := 0
		for _, m := range r.members {
			if !m.member || m.room != r || r.ids[m.id] == 0 {
				t.Fatal("a member that is none, or whose id is not known")
			}
		}
		for _, m := range r.members {
			// SIG-53
			if v := &m.view; !slices.IsSorted(v.knows) || len(v.knows) > n || len(v.lost) > n || len(v.own) > n || len(v.tried) > maxTried {
				t.Fatalf("a view %+v in a room of %d", v, n)
			}
		}
		for _, k := range r.ids {
			ids += k
		}
		if h := &r.heal; h.at.IsZero() && *h != (healing{}) || !h.at.IsZero() && (h.index >= len(c.looks) || c.looks[h.index] != r) {
			t.Fatal("a room that is not in the queue of looks, or remembers what is over")
		}
		if r.peers != n || ids != len(r.members) {
			t.Fatalf("%d peers counted as %d, %d ids for %d members", n, r.peers, ids, len(r.members))
		}
	}
}

func checkBeats(t *testing.T, c *Core, open int) {
	t.Helper()
	for p := c.beats.first; p != nil; p = p.next {
		open--
		if p.next != nil && p.tick.After(p.next.tick) || p.missed >= MaxMissed {
			t.Fatal("the queue of heartbeats is out of order, or holds a silent peer")
		}
	}
	if open != 0 {
		t.Fatalf("%d peers are missing in the queue of heartbeats", open)
	}
}

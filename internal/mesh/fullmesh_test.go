package mesh

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// TestAdjacencyNotices: MSH-9, MSH-10, MSH-3, MSH-4.
func TestAdjacencyNotices(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.distant(l, id(2), id(1))
	r.expect("joined #2")
	r.distant(l, id(2), id(1)) // once
	r.expect()
	r.step(Received{r.halfIn(), initPong(id(3))})
	r.expect("2< from=#500 to=#2 adjacentMembers=#1,#3", "joined #3")
	r.step(Closed{Link: 3})
	r.expect("gone #3: <nil>", "2< from=#500 to=#2 adjacentMembers=#1", "signaling CHECKING", "sig< connect id=#500 members=#1,#2")
	// Lists replace what was there, but not those of neighbors.
	r.distant(l, id(2), ids(8, 9)...)
	if got := r.core.members[id(2)].adjacent; !slices.Equal(got, ids(8, 9)) {
		t.Errorf("adjacent %d", got)
	}
	r.distant(l, id(1), id(2))
	if r.core.members[id(1)].adjacent != nil {
		t.Error("a list of a neighbor was taken")
	}
	r.distant(l, id(4)) // a list of nobody is one, too
	r.expect("joined #4")
	r.direct(l, id(2), id(1))
	if m := r.core.members[id(2)]; m.adjacent != nil || m.via != nil || m.ch == nil {
		t.Error("a neighbor is kept as a distant member")
	}
}

// TestListedOnly: one that is only named is no member yet, and is forgotten when it does not answer: MSH-4, MSH-12.
func TestListedOnly(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	list := wire.FullMesh{Kind: wire.FullMeshMembers, Members: []uint32{id(500), 0, MinID - 1, id(1), id(2), id(2), MinID}}
	r.mesh(l, id(1), list)
	r.expect("2< from=#500 to=#2 connectionRequest id=#500 adjacent=#1", "2< from=#500 to=#0 connectionRequest id=#500 adjacent=#1")
	if got := r.core.Members(); !slices.Equal(got, ids(500, 1)) {
		t.Errorf("members %d", got)
	}
	lines(t, r.quiet(2*time.Second, l))
	if len(r.core.order) != 1 || len(r.core.attempts) != 0 {
		t.Errorf("%d are kept", len(r.core.order))
	}
	r.mesh(l, id(1), wire.FullMesh{Kind: wire.FullMeshMembers})
	r.expect()
}

// TestDistantHeartbeats: MSH-13, MSH-14, STA-19.
func TestDistantHeartbeats(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1)) // at 0 s
	r.distant(l, id(2), id(1))
	r.distant(l, id(3), id(1))
	r.skip()
	for range 3 {
		r.pass(3 * time.Second)
		r.step(Received{l, nil})
		r.signaling(wire.Signaling{Kind: wire.SignalingHeartbeat, Heartbeat: true})
	}
	r.log = slices.DeleteFunc(r.log, func(s string) bool { return strings.HasPrefix(s, "sig<") || strings.Contains(s, "members=") })
	r.expect("2< from=#500 to=#1 heartbeat", "2< from=#500 to=#2 distant heartbeat", "2< from=#500 to=#3 distant heartbeat",
		"2< from=#500 to=#1 heartbeat", "2< from=#500 to=#2 distant heartbeat", "2< from=#500 to=#3 distant heartbeat",
		"2< from=#500 to=#1 heartbeat", "2< from=#500 to=#2 distant heartbeat", "2< from=#500 to=#3 distant heartbeat")
	r.mesh(l, id(3), wire.FullMesh{Kind: wire.FullMeshHeartbeat, Heartbeat: true})
	r.mesh(l, id(1), wire.FullMesh{Kind: wire.FullMeshHeartbeat, Heartbeat: true})  // a neighbor
	r.mesh(l, id(77), wire.FullMesh{Kind: wire.FullMeshHeartbeat, Heartbeat: true}) // a stranger
	r.says(l, id(2), wire.ServiceUserMessage, (&wire.UserMessage{Kind: wire.UserMessageFull}).Append(nil))
	r.skip()
	r.pass(3*time.Second - 1)
	r.log = slices.DeleteFunc(r.log, func(s string) bool { return strings.HasPrefix(s, "sig<") })
	r.expect()
	r.pass(1)
	r.expect("2< from=#500 to=#1 heartbeat", "2< from=#500 to=#3 distant heartbeat", "gone #2: silent for too long",
		"signaling CHECKING", "sig< connect id=#500 members=#1,#3")
}

// TestMembersRound: MSH-11.
func TestMembersRound(t *testing.T) {
	for _, c := range []struct {
		others []uint32
		want   uint32
	}{
		{[]uint32{1}, 1},
		{[]uint32{1, 499, 2}, 499},
		{[]uint32{499, 501, 502}, 499},
		{[]uint32{501, 502, 503}, 503},
		{[]uint32{503, 501}, 503},
		{[]uint32{600, 1, 2}, 2},
	} {
		r := newRig(t, Config{}).first()
		var links []Link
		for _, n := range c.others {
			links = append(links, r.letIn(id(n)))
		}
		lines(t, slices.DeleteFunc(r.quiet(20*time.Second-1, links...), func(s string) bool { return strings.Contains(s, "members=#500") }))
		want := fmt.Sprintf("< from=#500 to=#%d members=#500", c.want)
		for _, n := range c.others {
			want += fmt.Sprint(",#", n)
		}
		for range 2 {
			got := r.quiet(1, links...)
			if len(got) != 1 || !strings.HasSuffix(got[0], want) {
				t.Errorf("%d: %q, want %s", c.others, got, want)
			}
			r.quiet(20*time.Second-1, links...)
		}
	}
}

// TestIntroduction: those who join at about the same time are told of each other: MSH-11.
func TestIntroduction(t *testing.T) {
	r := newRig(t, Config{}).first()
	l1 := r.letIn(id(1))
	lines(t, r.quiet(FreshTime-time.Second, l1)) // one alone is not told
	l2 := r.letIn(id(2))
	lines(t, r.quiet(GossipDelay, l1, l2)) // #1 is old by now, so there is nobody to tell #2 of
	r.quiet(time.Second, l1, l2)
	l3 := r.letIn(id(3))
	r.quiet(GossipDelay-1, l1, l2, l3)
	l4 := r.letIn(id(4)) // another one: it begins anew
	r.distant(l4, id(5), id(4))
	r.skip()
	for _, s := range r.quiet(GossipDelay-1, l1, l2, l3, l4) {
		if !strings.Contains(s, "to=#5 members") { // the round
			t.Errorf("%q", s)
		}
	}
	got := r.quiet(1, l1, l2, l3, l4)
	lines(t, got, "3< from=#500 to=#2 members=#500,#3,#4,#5", "4< from=#500 to=#3 members=#500,#2,#4,#5",
		"5< from=#500 to=#4 members=#500,#2,#3,#5") // #5 is distant: others know it
	r.quiet(time.Minute, l1, l2, l3, l4)
	l6 := r.letIn(id(6))
	lines(t, slices.DeleteFunc(r.quiet(GossipDelay, l1, l2, l3, l4, l6), func(s string) bool { return strings.Contains(s, "to=#6 members") }))
}

// TestAlone: with the last channel all are gone: MSH-21, STA-12, MSH-23.
func TestAlone(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.distant(l, id(2), id(1))
	r.distant(l, id(3), id(2))
	r.mesh(l, id(1), wire.FullMesh{Kind: wire.FullMeshMembers, Members: ids(4)})
	r.says(l, id(3), wire.ServiceChannelBuilder, requestOf(id(3), id(1)))
	r.says(l, id(3), wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
	r.skip()
	r.step(Closed{Link: l, Err: errors.New("reset")})
	r.expect("gone #1: reset",
		"gone #2: the last channel of this member closed",
		"abort 3", "gone #3: the last channel of this member closed",
		"signaling CHECKING", "sig< connect id=#500 members=")
	if r.core.State() != StateJoined || r.core.ID() != id(500) || len(r.core.attempts) != 0 || r.core.beat != nil || r.core.round != nil {
		t.Error("not as a first member that is alone")
	}
	r.connected(true)
	r.expect("signaling CHECKED", "signaling CHECKING", "sig< connect id=#500 members=")
	r.connected(true)
	if r.core.topology != constructed || r.core.State() != StateJoined {
		t.Error("it is not a first member")
	}
	r.letIn(id(9)) // timers run again
	r.pass(3 * time.Second)
	r.expect("4< from=#500 to=#9 heartbeat")
}

// TestTooManyMembers: nobody can have more kept than may be in a group.
func TestTooManyMembers(t *testing.T) {
	r := newRig(t, Config{MaxMembers: 3}).first()
	l := r.letIn(id(1))
	r.letIn(id(2))
	r.step(Received{r.halfIn(), initPong(id(3))})
	r.expect("abort 4")
	r.distant(l, id(4), id(1))
	r.expect()
	r.mesh(l, id(1), wire.FullMesh{Kind: wire.FullMeshMembers, Members: ids(5, 6, 7, 8)})
	r.expect()
	if len(r.core.members) != 2 || len(r.core.order) != 2 {
		t.Errorf("%d members", len(r.core.members))
	}
	r.step(Closed{Link: 3})
	r.connected(true)
	r.skip()
	many := make([]uint32, 50)
	for i := range many {
		many[i] = id(uint32(i + 10))
	}
	r.distant(l, id(9), many...)
	r.expect("joined #9")
	if n := len(r.core.members[id(9)].adjacent); n != 3 {
		t.Errorf("%d ids are kept", n)
	}
	// An initPing by one more than fits.
	r = newRig(t, Config{MaxMembers: 1})
	o := r.opening()
	r.step(Received{o, initPing(id(1), id(1))})
	if len(r.core.Neighbors()) != 0 || r.core.State() != StateJoining {
		t.Errorf("%q", r.log)
	}
	if New(Config{MaxMembers: 1 << 30}).cfg.MaxMembers != maxListed {
		t.Error("a list of members may be longer than a message")
	}
	long := make([]uint32, maxListed)
	for i := range long {
		long[i] = 1<<32 - 1
	}
	ping := wire.Channel{Kind: wire.ChannelInitPing, InitPing: wire.ChannelData{GroupID: 1<<32 - 1, SenderID: 1<<32 - 1, Members: long,
		Key: strings.Repeat("k", MaxKey)}}
	if n := len(ping.Append(nil)); n > 65_535 { // CHN-4
		t.Errorf("an initPing of %d bytes", n)
	}
}

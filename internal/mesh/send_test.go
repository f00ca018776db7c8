package mesh

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// userFrame is the encoding of a user message in its envelope, made here by hand.
func userFrame(from, to uint32, inner []byte) []byte {
	varint := func(b []byte, v uint64) []byte {
		for ; v >= 0x80; v >>= 7 {
			b = append(b, byte(v)|0x80)
		}
		return append(b, byte(v))
	}
	b := varint([]byte{0x08}, uint64(from))
	b = varint(append(b, 0x10), uint64(to))
	b = append(b, 0x18, 0xe7, 0x05) // 743
	b = varint(append(b, 0x22), uint64(len(inner)))
	return append(b, inner...)
}

// TestFrames compares what is sent byte by byte: MSG-1, MSG-3, MSG-4, MSH-15, CHN-1.
func TestFrames(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.distant(l, id(2), id(1))
	r.skip()
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	me, one, two := id(500), id(1), id(2)
	data := pattern(2*ChunkSize + 1)
	full := append(unhex("08 98 75 10 01 1a 98 75"), data[:ChunkSize]...)
	longer := [][]byte{
		append(unhex("08 99 75 10 01 22 9f 75 08 01 10 00 22 98 75"), data[:ChunkSize]...),
		append(unhex("08 99 75 10 01 22 07 08 01 10 01 22 01"), data[ChunkSize]),
	}
	for i, c := range []struct {
		to   uint32
		text bool
		data []byte
		want [][]byte
	}{
		{one, true, nil, [][]byte{userFrame(me, one, unhex("08 00 10 00 1a 00"))}},
		{one, false, []byte{}, [][]byte{userFrame(me, one, unhex("08 00 10 01 1a 00"))}},
		{one, true, []byte("hi"), [][]byte{userFrame(me, one, unhex("08 02 10 00 1a 02 68 69"))}},
		{two, true, []byte("hi"), [][]byte{userFrame(me, two, unhex("08 02 10 00 1a 02 68 69"))}},
		{0, true, []byte("hi"), [][]byte{userFrame(me, 0, unhex("08 02 10 00 1a 02 68 69")), userFrame(me, two, unhex("08 02 10 00 1a 02 68 69"))}},
		{one, false, data[:ChunkSize], [][]byte{userFrame(me, one, full)}},
		{one, false, data[:ChunkSize+1], [][]byte{userFrame(me, one, longer[0]), userFrame(me, one, longer[1])}},
	} {
		r.frames[l] = nil
		r.step(Send{Token: uint64(i), To: c.to, Text: c.text, Data: c.data})
		if !slices.EqualFunc(r.frames[l], c.want, bytes.Equal) {
			t.Errorf("%d: sent %d\n%.80x\nwant %d\n%.80x", i, len(r.frames[l]), r.frames[l], len(c.want), c.want)
		}
	}
	r.skip()
	r.step(Send{Token: 9, To: one, Data: pattern(2 * ChunkSize)}) // a multiple of the size
	r.expect("2< from=#500 to=#1 user length=30000 type=1 chunk=2/0", "2< from=#500 to=#1 user length=30000 type=1 chunk=2/1", "done 9: <nil>")
	r.step(Send{Token: 10, To: one, Data: pattern(2*ChunkSize + 1)})
	r.expect("2< from=#500 to=#1 user length=30001 type=1 chunk=3/0", "2< from=#500 to=#1 user length=30001 type=1 chunk=3/1",
		"2< from=#500 to=#1 user length=30001 type=1 chunk=3/2", "done 10: <nil>")
}

// TestChunkIDs counts from 1 to 65,535 and again from 1: MSG-5.
func TestChunkIDs(t *testing.T) {
	c := newRig(t, Config{}).first()
	c.letIn(id(1))
	data := make([]byte, ChunkSize+1)
	var m wire.Message
	var u wire.UserMessage
	for i := range uint32(65_535 + 2) {
		c.core.Step(c.now, Send{Token: 1, To: id(1), Data: data})
		for n := range uint32(2) {
			b, _ := c.core.Pull(c.now, 2)
			if m.Decode(b) != nil || u.Decode(m.Content) != nil || u.Chunk.ID != i%65_535+1 || u.Chunk.Number != n {
				t.Fatalf("message %d: chunk %d/%d", i, u.Chunk.ID, u.Chunk.Number)
			}
		}
		if b, _ := c.core.Pull(c.now, 2); b != nil {
			t.Fatal("more than two chunks")
		}
	}
}

// TestRefusedSends: MSH-18, MSG-15.
func TestRefusedSends(t *testing.T) {
	r := newRig(t, Config{MaxMessage: 10})
	r.step(Send{Token: 1, Data: []byte("x")})
	r.expect("done 1: not in a group")
	r.first()
	r.step(Send{Token: 2})
	r.expect("done 2: <nil>") // alone
	r.step(Send{Token: 3, To: id(1)})
	r.step(Send{Token: 4, To: id(500)})
	r.step(Send{Token: 5, Data: make([]byte, 11)})
	r.expect("done 3: no such member", "done 4: no such member", "done 5: message too big")
	l := r.letIn(id(1))
	r.mesh(l, id(1), wire.FullMesh{Kind: wire.FullMeshMembers, Members: ids(1, 2)}) // #2 is only named
	r.skip()
	r.step(Send{Token: 6, To: id(2)})
	r.expect("done 6: no such member")
	r.step(Send{Token: 7, Data: make([]byte, 10)})
	r.expect(`2< from=#500 to=0 user length=10 type=1 full="\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"`, "done 7: <nil>")
	r.hold(l)
	r.step(Send{Token: 8, To: id(1)})
	r.step(Leave{})
	r.skip()
	r.step(Send{Token: 9, To: id(1)})
	r.expect("done 9: not in a group")
}

// TestQueue: a send waits while as much as the limit waits for its member; those after it to the same member wait
// behind it, those to others do not: CHN-5, MSG-6.
func TestQueue(t *testing.T) {
	r := newRig(t, Config{SendQueue: 1000}).first()
	l1, l2 := r.letIn(id(1)), r.letIn(id(2))
	r.hold(l1)
	r.step(Send{Token: 1, To: id(1), Text: true, Data: bytes.Repeat([]byte("a"), 1000-itemCost-1)})
	r.expect("done 1: <nil>")
	r.step(Send{Token: 2, To: id(1), Text: true, Data: []byte("b")}) // one byte less than the limit waits: it gets in
	r.expect("done 2: <nil>")
	r.step(Send{Token: 3, To: id(1), Text: true, Data: []byte("c")})
	r.step(Send{Token: 4, Text: true, Data: []byte("to all")})
	r.step(Send{Token: 5, To: id(2), Text: true, Data: []byte("behind 4")})
	r.expect()
	r.step(Send{Token: 6, To: id(1), Text: true, Try: true})
	r.step(Send{Token: 7, Text: true, Try: true})
	r.step(Send{Token: 8, To: id(2), Text: true, Try: true})
	r.expect("done 6: no room to send", "done 7: no room to send", "done 8: no room to send")
	r.step(Cancel{4})
	r.expect("done 4: canceled", `3< from=#500 to=#2 user length=8 type=0 full="behind 4"`, "done 5: <nil>")
	r.step(Cancel{4})
	r.step(Cancel{99})
	r.expect()
	r.free(l1)
	want := []string{`2< from=#500 to=#1 user length=935 type=0 full="` + strings.Repeat("a", 935) + `"`, "done 3: <nil>",
		`2< from=#500 to=#1 user length=1 type=0 full="b"`, `2< from=#500 to=#1 user length=1 type=0 full="c"`}
	r.expect(want...)
	if m := r.core.members[id(1)]; m.queued != 0 || len(m.queue) != 0 || len(r.core.waiting) != 0 {
		t.Errorf("%d bytes are queued", m.queued)
	}
	_ = l2
	if at, _ := r.core.Next(); at > r.now+HeartbeatInterval || r.core.timers.Len() != 4 { // two heartbeats, the round and the introduction
		t.Errorf("%d timers", r.core.timers.Len())
	}
}

// TestQueueIsExact: a member may have as much waiting as the limit says, to the byte.
func TestQueueIsExact(t *testing.T) {
	for size, waits := range map[int]bool{1000 - itemCost - 1: false, 1000 - itemCost: true} {
		r := newRig(t, Config{SendQueue: 1000}).first()
		r.hold(r.letIn(id(1)))
		r.step(Send{Token: 1, To: id(1), Data: make([]byte, size)})
		r.step(Send{Token: 2, To: id(1), Data: []byte{1}})
		if (len(r.core.waiting) == 1) != waits {
			t.Errorf("%d bytes: %q", size, r.log)
		}
	}
}

// TestOrder sends long and short messages to one and to all, from a queue that is always full: MSG-6.
func TestOrder(t *testing.T) {
	r := newRig(t, Config{SendQueue: 1}).first()
	l1, l2 := r.letIn(id(1)), r.letIn(id(2))
	r.hold(l1)
	r.hold(l2)
	want := map[Link][]string{}
	for i := range 9 {
		to := []uint32{0, id(1), id(2)}[i%3]
		size := (i + 1) * 5000
		r.step(Send{Token: uint64(i), To: to, Data: make([]byte, size)})
		for n, l := range []Link{l1, l2} {
			if i%3 != 2-n {
				want[l] = append(want[l], fmt.Sprint(size))
			}
		}
	}
	for i := 0; i < 100; i++ {
		r.pullOne(l1)
		if i%3 == 0 {
			r.pullOne(l2)
		}
	}
	for l, sizes := range want {
		var got []string
		for _, b := range r.frames[l] {
			var m wire.Message
			var u wire.UserMessage
			if m.Decode(b) == nil && m.ServiceID == wire.ServiceUserMessage && u.Decode(m.Content) == nil {
				if size := fmt.Sprint(u.Length); u.Kind == wire.UserMessageFull || u.Chunk.Number == 0 {
					got = append(got, size)
				} else if got[len(got)-1] != size {
					t.Errorf("a part of %s in the middle of %s", size, got[len(got)-1])
				}
			}
		}
		if !slices.Equal(got, sizes) {
			t.Errorf("%d: sent %v, want %v", l, got, sizes)
		}
	}
}

// TestBroadcastIsOfTheMoment: who comes later does not get it, who goes is not waited for: MSH-15, MSG-15.
func TestBroadcastIsOfTheMoment(t *testing.T) {
	r := newRig(t, Config{SendQueue: 10}).first()
	l1 := r.letIn(id(1))
	r.hold(l1)
	r.step(Send{Token: 1, Data: []byte("to fill it")})
	r.step(Send{Token: 2, Text: true, Data: []byte("waits")})
	r.step(Send{Token: 3, To: id(1), Text: true, Data: []byte("waits")})
	r.expect("done 1: <nil>")
	r.letIn(id(2))
	r.step(Send{Token: 4, Text: true, Data: []byte("waits too")})
	r.expect()
	r.step(Closed{Link: l1, Err: errors.New("reset")})
	r.expect("gone #1: reset", "done 2: <nil>", "done 3: no such member", `3< from=#500 to=0 user length=9 type=0 full="waits too"`, "done 4: <nil>",
		"signaling CHECKING", "sig< connect id=#500 members=#2")
}

// TestSlow drops a member that has taken nothing for SlowTimeout while a send waits for it, and no other: CHN-5.
func TestSlow(t *testing.T) {
	r := newRig(t, Config{SendQueue: 2 * ChunkSize, SlowTimeout: 5 * time.Second}).first()
	l1, l2, l3 := r.letIn(id(1)), r.letIn(id(2)), r.letIn(id(3))
	r.hold(l1)
	r.hold(l2)
	r.step(Send{Token: 1, Data: make([]byte, 5*ChunkSize)})
	r.quiet(4*time.Second, l1, l2, l3)
	r.skip()
	r.step(Send{Token: 2, Data: []byte("waits")})
	r.quiet(4*time.Second, l1, l2, l3)
	r.pullOne(l1) // what is there of heartbeats is no progress
	r.pullOne(l1)
	r.pullOne(l1)
	r.skip()
	lines(t, r.quiet(time.Second-1, l1, l2, l3)) // the send has waited for 5 s less 1 ns
	lines(t, r.quiet(1, l1, l2, l3), "abort 3", "gone #2: takes messages too slowly", "signaling CHECKING", "sig< connect id=#500 members=#1,#3")
	r.connected(true)
	lines(t, r.quiet(4*time.Second-1, l1, l3)) // #1 took something 1 s before
	lines(t, r.quiet(1, l1, l3), "abort 2", "gone #1: takes messages too slowly", `4< from=#500 to=0 user length=5 type=1 full="waits"`,
		"done 2: members [#2 #1] dropped: they take messages too slowly", "signaling CHECKING", "sig< connect id=#500 members=#3")
	r.skip()
}

// TestSlowAlone: a send to a member that is dropped says so; no send waits, no member is dropped.
func TestSlowAlone(t *testing.T) {
	r := newRig(t, Config{SendQueue: 10}).first()
	l := r.letIn(id(1))
	r.hold(l)
	r.step(Send{Token: 1, To: id(1), Data: make([]byte, 10)})
	lines(t, r.quiet(10*time.Minute, l))
	r.skip()
	var slow *SlowError
	var err error
	r.step(Send{Token: 2, To: id(1)})
	for range 31 {
		for _, o := range r.core.Step(r.now, Received{l, nil}) {
			if d, ok := o.(Done); ok {
				err = d.Err
			}
		}
		r.now += time.Second
	}
	if !errors.As(err, &slow) || !errors.Is(err, ErrSlow) || errors.Is(err, ErrSilent) || !slices.Equal(slow.IDs, ids(1)) {
		t.Errorf("send: %v", err)
	}
	if len(r.core.Members()) != 1 {
		t.Error("it is still there")
	}
}

// TestSlowDistant: a distant member that nothing goes to is dropped as well, and its neighbor is not.
func TestSlowDistant(t *testing.T) {
	r := newRig(t, Config{SendQueue: 10, SlowTimeout: 5 * time.Second}).first()
	l := r.letIn(id(1))
	r.distant(l, id(2), id(77)) // by way of #1, on which it was heard
	r.skip()
	r.hold(l)
	r.step(Send{Token: 1, To: id(2), Data: make([]byte, 10)})
	r.step(Send{Token: 2, To: id(2), Data: make([]byte, 10)})
	r.expect("done 1: <nil>")
	lines(t, r.quiet(5*time.Second, l), "gone #2: takes messages too slowly", "done 2: members [#2] dropped: they take messages too slowly")
	if !slices.Equal(r.core.Neighbors(), ids(1)) {
		t.Error("#1 is gone")
	}
}

// TestTurns: what goes to several members on one link goes in turns, so that a long message does not hold up others.
func TestTurns(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.distant(l, id(2), id(1))
	r.distant(l, id(3), id(1))
	r.hold(l)
	for i := range uint32(3) {
		r.step(Send{Token: uint64(i), To: id(i + 1), Data: make([]byte, 3*ChunkSize)})
	}
	r.step(Received{l, nil})
	r.skip()
	r.free(l)
	var got []string
	for _, line := range r.log {
		if _, to, ok := strings.Cut(line, "to="); ok {
			got = append(got, strings.Fields(to)[0])
		}
	}
	lines(t, got, "#1", "#2", "#3", "#1", "#2", "#3", "#1", "#2", "#3")
}

// TestControlFirst: what keeps the mesh goes before what the user sends.
func TestControlFirst(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.hold(l)
	r.step(Send{Token: 1, To: id(1), Data: make([]byte, 2*ChunkSize)})
	r.pullOne(l)
	r.pass(3 * time.Second)
	r.skip()
	r.free(l)
	r.expect("2< from=#500 to=#1 heartbeat", "2< from=#500 to=#1 user length=30000 type=1 chunk=1/1")
}

// TestReadyOnce: a link is to be pulled from until nothing comes, so that one Ready is enough.
func TestReadyOnce(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	for i := range 3 {
		ready := 0
		for _, o := range r.core.Step(r.now, Send{Token: 1, To: id(1)}) {
			if o == (Ready{l}) {
				ready++
			}
		}
		if (ready == 1) != (i == 0) {
			t.Errorf("send %d: %d", i, ready)
		}
	}
	r.pull(l)
	r.skip()
	r.step(Send{Token: 1, To: id(1)})
	if len(r.log) != 2 {
		t.Errorf("%q", r.log)
	}
	if b, outs := r.core.Pull(r.now, 99); b != nil || len(outs) != 0 {
		t.Error("something comes of a link that is none")
	}
	if b, _ := r.core.Pull(r.now, 0); b != nil {
		t.Error("something comes of no link")
	}
}

// TestTurnsGoOn with the member after the one whose turn it was, also when nothing is left for that one.
func TestTurnsGoOn(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.distant(l, id(2), id(1))
	r.distant(l, id(3), id(1))
	r.hold(l)
	for i, chunks := range []int{1, 2, 2} {
		r.step(Send{Token: uint64(i), To: id(uint32(i) + 1), Data: make([]byte, chunks*ChunkSize)})
	}
	r.skip()
	r.free(l)
	var got []string
	for _, line := range r.log {
		if _, to, ok := strings.Cut(line, "to="); ok {
			got = append(got, strings.Fields(to)[0])
		}
	}
	lines(t, got, "#1", "#2", "#3", "#2", "#3")
}

// TestReroute: what waits for a distant member goes another way when its route is lost, or found: CHN-5, MSH-16.
func TestReroute(t *testing.T) {
	r := newRig(t, Config{}).first()
	l1, l2 := r.letIn(id(1)), r.letIn(id(2))
	r.distant(l1, id(3), ids(1, 2)...)
	r.hold(l1)
	r.step(Send{Token: 1, To: id(3), Text: true, Data: []byte("x")})
	r.expect("joined #3", "done 1: <nil>")
	r.step(Closed{Link: l1})
	r.expect("gone #1: <nil>", "3< from=#500 to=#3 adjacentMembers=#2", `3< from=#500 to=#3 user length=1 type=0 full="x"`,
		"signaling CHECKING", "sig< connect id=#500 members=#2,#3")
	r.distant(l2, id(4), id(77)) // heard for the first time: there is no way to it yet
	r.step(Send{Token: 2, To: id(4), Text: true, Data: []byte("y")})
	r.expect("joined #4", "done 2: <nil>")
	r.distant(l2, id(4), id(2))
	r.expect(`3< from=#500 to=#4 user length=1 type=0 full="y"`)
}

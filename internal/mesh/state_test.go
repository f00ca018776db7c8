package mesh

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// TestFirst: STA-3, STA-4, STA-6, MSH-1.
func TestFirst(t *testing.T) {
	r := newRig(t, Config{})
	if r.core.State() != StateLeft || r.core.SignalingState() != SignalingClosed || r.core.Members() != nil || r.core.ID() != 0 {
		t.Error("not as it begins")
	}
	r.step(Join{Key: "key"})
	r.step(Opened{Link: 1})
	r.skip()
	r.connected(true)
	r.expect("signaling CHECKED", "JOINED", "signaling CHECKING", noMembers)
	r.connected(true)
	r.expect("signaling CHECKED")
	r.step(Join{Key: "other"}) // it is in a group
	r.expect()
	if r.core.Key() != "key" || !slices.Equal(r.core.Members(), ids(500)) || r.core.GroupID() != id(501) {
		t.Error("not the first member")
	}
}

// TestIDs: MSH-1: ids are drawn anew until they are different.
func TestIDs(t *testing.T) {
	draws := []uint32{5, 5, MinID + 5, 6}
	c := New(Config{Rand: func() uint32 { d := draws[0]; draws = draws[1:]; return d }})
	c.Step(0, Join{Key: "key"})
	if c.ID() != id(5) || c.GroupID() != id(6) {
		t.Errorf("ids %d, %d", c.ID(), c.GroupID())
	}
}

// TestLeaveInEveryState: STA-17, MSH-22.
func TestLeaveInEveryState(t *testing.T) {
	for name, prepare := range map[string]func(*rig){
		"left":        func(r *rig) {},
		"connecting":  func(r *rig) { r.dialing() },
		"checking":    func(r *rig) { r.dialing(); r.step(Opened{Link: 1}) },
		"asking":      func(r *rig) { r.asking() },
		"negotiating": func(r *rig) { r.asking(); r.content(0, wire.ServiceChannelBuilder, response(true)) },
		"answering": func(r *rig) {
			r.asking()
			r.content(0, wire.ServiceChannelBuilder, response(true))
			r.content(0, wire.ServiceDataChannelBuilder, offer("sdp"))
		},
		"opening":      func(r *rig) { r.opening() },
		"constructing": func(r *rig) { l := r.opening(); r.step(Received{l, initPing(id(1), ids(1, 2, 3)...)}) },
		"denied again": func(r *rig) {
			r.asking()
			for range 3 {
				r.content(0, wire.ServiceChannelBuilder, response(false))
				r.connected(false)
			}
		},
		"first":           func(r *rig) { r.first() },
		"with a member":   func(r *rig) { r.first().letIn(id(1)) },
		"letting in":      func(r *rig) { r.first().halfIn() },
		"inviting":        func(r *rig) { r.first(); r.step(Invite{Token: 1, URL: "ws://bot"}) },
		"signaling lost":  func(r *rig) { r.first().letIn(id(1)); r.step(Closed{1, nil}) },
		"signaling again": func(r *rig) { r.first().letIn(id(1)); r.step(Closed{1, nil}); r.pass(3 * time.Second) },
		"all lost":        func(r *rig) { r.dialing(); r.step(Closed{1, nil}) },
		"distant members": func(r *rig) { l := r.first().letIn(id(1)); r.distant(l, id(2), id(1)); r.agree(l, id(3)) },
		"replacing":       func(r *rig) { r.first().letIn(id(1)); r.letIn(id(1)) },
		"incomplete messages": func(r *rig) {
			l := r.first().letIn(id(1))
			r.step(Received{l, chunks(1, 1, make([]byte, 20_000))[0]})
		},
		"a send waits": func(r *rig) {
			r.hold(r.first().letIn(id(1)))
			r.step(Send{Token: 1, Data: make([]byte, DefaultSendQueue)})
			r.step(Send{Token: 2})
		},
	} {
		for _, twice := range []bool{false, true} {
			r := newRig(t, Config{})
			prepare(r)
			members := len(r.core.Members())
			r.closeAll()
			r.skip()
			r.step(Leave{})
			if twice { // at once
				r.step(Leave{Now: true})
				if r.core.State() != StateLeft {
					t.Errorf("%s: %v", name, r.core.State())
				}
			}
			for l := range r.held {
				r.free(l)
			}
			r.closeAll()
			if r.core.State() != StateLeft || r.core.SignalingState() != SignalingClosed || r.core.ID() != 0 || r.core.Key() != "" {
				t.Errorf("%s: %v, %v, %q", name, r.core.State(), r.core.SignalingState(), r.log)
			}
			gone := 0
			for _, line := range r.log {
				if len(line) > 4 && line[:4] == "gone" {
					gone++
				}
			}
			if gone != max(members-1, 0) {
				t.Errorf("%s: %d members, %d of them gone: %q", name, members, gone, r.log)
			}
			r.sum()
			r.skip()
			r.pass(time.Hour)
			r.expect()
			r.step(Join{Key: "again"})
			r.expect("JOINING", "signaling CONNECTING", fmt.Sprintf("dial signaling %d again", r.last))
		}
	}
}

// agree has #n ask for a channel and negotiate.
func (r *rig) agree(l Link, n uint32) {
	r.says(l, n, wire.ServiceChannelBuilder, requestOf(n, id(1)))
	r.says(l, n, wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
}

// TestLeaveSendsWhatWaits: what was accepted is sent before the channels are closed, each as it is done, and nothing is
// taken any more: CHN-5, STA-17.
func TestLeaveSendsWhatWaits(t *testing.T) {
	r := newRig(t, Config{SendQueue: 20_000}).first()
	l1, l2, l3 := r.letIn(id(1)), r.letIn(id(2)), r.letIn(id(3))
	r.hold(l1)
	r.hold(l2)
	r.step(Send{Token: 1, To: id(1), Text: true, Data: make([]byte, 20_000)})
	r.step(Send{Token: 2, To: id(2), Text: true, Data: []byte("x")})
	r.step(Send{Token: 3, To: id(1), Text: true, Data: []byte("not accepted")})
	r.expect("done 1: <nil>", "done 2: <nil>")
	r.step(Leave{})
	r.expect("LEAVING", "done 3: not in a group", "close 1", "signaling CLOSED")
	r.step(Closed{Link: 1}) // the server knows now
	r.expect(fmt.Sprint("close ", l3))
	r.free(l2)
	r.expect(fmt.Sprint(l2, `< from=#500 to=#2 user length=1 type=0 full="x"`), fmt.Sprint("close ", l2))
	r.closeAll()
	r.pass(4 * time.Second)
	r.step(Received{l1, (&wire.Message{SenderID: id(1), ServiceID: wire.ServiceUserMessage,
		Content: (&wire.UserMessage{Kind: wire.UserMessageFull}).Append(nil)}).Append(nil)}) // what still comes is delivered
	if len(r.got) != 1 {
		t.Error("not delivered")
	}
	r.skip()
	r.free(l1)
	lines(t, slices.DeleteFunc(r.log, func(s string) bool { return !strings.Contains(s, "user") && s != "close 2" }),
		"2< from=#500 to=#1 user length=20000 type=0 chunk=1/0", "2< from=#500 to=#1 user length=20000 type=0 chunk=1/1", "close 2")
	r.skip()
	r.closeAll()
	r.expect("gone #1: <nil>", "LEFT")
	r.sum()
}

// TestLeaveTimeout: STA-17.
func TestLeaveTimeout(t *testing.T) {
	r := newRig(t, Config{LeaveTimeout: 2 * time.Second}).first()
	r.hold(r.letIn(id(1)))
	r.step(Send{Token: 1, Text: true, Data: []byte("x")})
	r.step(Leave{})
	r.closeAll()
	r.skip()
	r.pass(2*time.Second - 1)
	if r.core.State() != StateLeaving {
		t.Errorf("%v", r.core.State())
	}
	r.pass(1)
	r.expect("abort 2", "gone #1: <nil>", "LEFT")
	r.step(Closed{Link: 2})
	r.expect()
	r.sum()
	// The signaling server that does not answer a closing does not keep anybody either.
	r = newRig(t, Config{}).first()
	r.step(Leave{})
	r.expect("LEAVING", "close 1", "signaling CLOSED")
	r.pass(5 * time.Second)
	r.expect("abort 1", "LEFT")
}

// TestNoRejoin: STA-16.
func TestNoRejoin(t *testing.T) {
	r := newRig(t, Config{NoRejoin: true}).dialing()
	r.step(Closed{1, errors.New("refused")})
	r.expect("signaling CLOSED: refused", "LEAVING", "LEFT: refused")
	r.sum()
	r.step(Join{Key: "key"})
	r.skip()
	r.step(Leave{})
	r.closeAll()
	if last := r.log[len(r.log)-1]; last != "LEFT" { // the reason of the last time is over
		t.Errorf("%q", r.log)
	}
}

// TestAloneInEveryStateOfSignaling: STA-12, STA-15.
func TestAloneInEveryStateOfSignaling(t *testing.T) {
	alone := func(signaling func(r *rig)) *rig {
		r := newRig(t, Config{}).first()
		l := r.letIn(id(1))
		signaling(r)
		r.skip()
		r.step(Closed{Link: l})
		return r
	}
	alone(func(*rig) {}).expect("gone #1: <nil>", "signaling CHECKING", noMembers)
	r := alone(func(r *rig) { r.step(Closed{1, nil}) })
	r.expect("gone #1: <nil>") // all is lost
	if r.core.ID() != 0 || r.core.State() != StateJoining {
		t.Errorf("id %d, %v", r.core.ID(), r.core.State())
	}
	r.pass(3 * time.Second)
	if r.core.ID() == id(500) || r.core.SignalingState() != SignalingConnecting {
		t.Error("it has not begun anew")
	}
	r = alone(func(r *rig) { r.step(Closed{1, nil}); r.pass(3 * time.Second) })
	r.expect("gone #1: <nil>")
	r.step(Opened{Link: r.last})
	r.expect("signaling OPEN", "signaling CHECKING", noMembers) // with the same id
	r = alone(func(r *rig) { r.step(Closed{Link: r.letIn(id(2))}) })
	r.expect("gone #1: <nil>", "JOINING")
	r.connected(true)
	r.expect("signaling CHECKED", "JOINED", "signaling CHECKING", noMembers)
}

// TestStates names them: STA-1.
func TestStates(t *testing.T) {
	for i, want := range []string{"JOINING", "JOINED", "LEFT", "LEAVING"} {
		if State(i).String() != want {
			t.Errorf("%v, want %s", State(i), want)
		}
	}
	for i, want := range []string{"CONNECTING", "OPEN", "CHECKING", "CLOSED", "CHECKED"} {
		if SignalingState(i).String() != want {
			t.Errorf("%v, want %s", SignalingState(i), want)
		}
	}
}

// TestServerRestart: a group outlives its server: STA-13, STA-18.
func TestServerRestart(t *testing.T) {
	s := newSim(t, 11)
	nodes := s.group(20, Config{})
	before := make([]uint32, len(nodes))
	for i, n := range nodes {
		before[i] = n.core.ID()
		n.states = nil
	}
	s.stopServer()
	s.run(20 * time.Second)
	for _, n := range nodes {
		if n.core.State() != StateJoining || len(n.members) != 19 {
			t.Errorf("%s: %v, %d members", n.name, n.core.State(), len(n.members))
		}
	}
	nodes[3].send(0, []byte("without a server"))
	s.startServer()
	s.until(10*time.Second, "JOINED again", func() bool { return full(nodes...) })
	for i, n := range nodes {
		if n.core.ID() != before[i] || !slices.Equal(n.states, []string{"JOINING", "JOINED"}) || len(n.got) != min(1, max(i-3, 3-i)) {
			t.Errorf("%s: id %d was %d, states %v, %d messages", n.name, n.core.ID(), before[i], n.states, len(n.got))
		}
	}
}

// TestCuts has some pairs unable to connect: what they say to each other and to all goes by way of others: MSH-15 to
// MSH-19, MSH-12.
func TestCuts(t *testing.T) {
	for seed := range uint64(4) {
		s := newSim(t, seed)
		cut := map[[2]*node]bool{}
		s.cut = func(a, b *node) bool { return cut[[2]*node{a, b}] }
		nodes := s.group(1, Config{})
		for range 5 {
			n := s.node(Config{})
			for _, other := range nodes[1:] { // all can reach the first
				if s.rand.IntN(3) == 0 {
					cut[[2]*node{n, other}], cut[[2]*node{other, n}] = true, true
				}
			}
			nodes = append(nodes, n)
			n.step(Join{Key: "key"})
			s.until(40*time.Second, "all JOINED and known", func() bool {
				return !slices.ContainsFunc(nodes, func(n *node) bool {
					return n.core.State() != StateJoined || len(n.core.Members()) != len(nodes)
				})
			})
		}
		s.run(30 * time.Second)
		texts := [][]byte{[]byte("short"), {}, pattern(3*ChunkSize + 7)}
		for _, from := range nodes {
			for i, data := range texts {
				from.lastToken++
				from.step(Send{Token: from.lastToken, Text: i == 0, Data: data})
				for _, to := range nodes {
					if to != from {
						from.send(to.core.ID(), data)
					}
				}
			}
		}
		s.run(5 * time.Second)
		for _, n := range nodes {
			count := map[string]int{}
			for _, d := range n.got {
				if !slices.ContainsFunc(texts, func(t []byte) bool { return bytes.Equal(t, d.Data) }) {
					t.Errorf("seed %d: %s got what nobody sent", seed, n.name)
				}
				count[fmt.Sprint(d.From, len(d.Data))]++
			}
			if len(n.got) != (len(nodes)-1)*len(texts)*2 || len(count) != (len(nodes)-1)*len(texts) || n.core.partial != 0 {
				t.Errorf("seed %d: %s got %d messages of %d kinds", seed, n.name, len(n.got), len(count))
			}
		}
	}
}

// TestNothingBeginsWhileLeaving: what comes before the links have ended begins nothing: STA-17.
func TestNothingBeginsWhileLeaving(t *testing.T) {
	r := newRig(t, Config{})
	l := r.opening()
	r.step(Leave{})
	r.expect("LEAVING", "close 1", "signaling CLOSED", "abort 2")
	r.step(Received{l, initPing(id(1), ids(1, 2)...)})
	r.expect()
	r.closeAll()
	r.expect("LEFT")
	r.sum()

	r = newRig(t, Config{}).first()
	l = r.letIn(id(1))
	half := r.halfIn()
	r.hold(l)
	r.step(Send{Token: 1})
	r.step(Leave{})
	r.skip()
	r.step(Received{half, initPong(id(2))})
	r.mesh(l, id(1), wire.FullMesh{Kind: wire.FullMeshMembers, Members: ids(1, 3)})
	r.distant(l, id(4), id(1))
	r.says(l, id(5), wire.ServiceChannelBuilder, requestOf(id(5), id(1)))
	r.expect()
	if len(r.core.attempts) != 0 || len(r.core.order) != 1 {
		t.Error("something has begun")
	}
	r.free(l)
	r.closeAll()
	if r.log[len(r.log)-1] != "LEFT" {
		t.Errorf("%q", r.log)
	}
	r.sum()
}

// TestLeaveServerFirst: the signaling server hears of a leaving before the members do, but is not waited for long
// (MSH-22).
func TestLeaveServerFirst(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.step(Leave{})
	r.expect("LEAVING", "close 1", "signaling CLOSED")
	r.pass(GoodbyeTimeout - 1)
	r.expect()
	r.pass(1)
	r.expect(fmt.Sprint("close ", l))
}

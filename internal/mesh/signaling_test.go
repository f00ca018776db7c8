package mesh

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

const noMembers = "sig< connect id=#500 members="

// TestSignalingHeartbeats: SIG-13.
func TestSignalingHeartbeats(t *testing.T) {
	r := newRig(t, Config{}).first()
	r.pass(5*time.Second - 1)
	r.expect()
	r.pass(1)
	r.expect("sig< heartbeat")
	r.pass(5 * time.Second)
	r.expect("sig< heartbeat")
	r.connected(true) // no heartbeat
	r.pass(5*time.Second - 1)
	r.expect()
	r.pass(1)
	r.expect("close 1", "signaling CLOSED: silent for too long", "JOINING")
	r.closeAll()
	r.expect()
	r = newRig(t, Config{}).first()
	for range 5 {
		r.pass(10 * time.Second)
		r.signaling(wire.Signaling{Kind: wire.SignalingHeartbeat})
	}
	if r.core.SignalingState() != SignalingChecked {
		t.Error("closed in spite of heartbeats")
	}
}

// TestSignalingTimeout: SIG-41, STA-11, STA-15.
func TestSignalingTimeout(t *testing.T) {
	r := newRig(t, Config{}).dialing()
	r.pass(10*time.Second - 1)
	r.expect()
	r.pass(1)
	r.expect("close 1", "signaling CLOSED: no channel in time")
	r.step(Opened{Link: 1}) // too late
	r.step(Received{1, []byte{0x28, 1}})
	r.step(Closed{1, nil})
	r.expect()
	r.pass(3 * time.Second)
	r.expect("signaling CONNECTING", "dial signaling 2 key")
	r.step(Closed{1, nil}) // late still
	r.expect()
}

// TestOneConnectAtATime: STA-8, STA-9.
func TestOneConnectAtATime(t *testing.T) {
	r := newRig(t, Config{}).first()
	l1, l2 := r.letIn(id(1)), r.letIn(id(2))
	r.letIn(id(3))
	r.step(Closed{Link: l1})
	r.expect("gone #1: <nil>", "signaling CHECKING", "sig< connect id=#500 members=#2,#3")
	r.step(Closed{Link: l2})
	r.expect("gone #2: <nil>") // due, but not sent
	r.connected(true)
	r.expect("signaling CHECKED", "signaling CHECKING", "sig< connect id=#500 members=#3")
	r.connected(true)
	r.expect("signaling CHECKED")
}

// TestNoConnectDuringAttempt: SIG-25, STA-5.
func TestNoConnectDuringAttempt(t *testing.T) {
	r := newRig(t, Config{}).first()
	l1, l2 := r.letIn(id(1)), r.letIn(id(2))
	r.quiet(21*time.Second, l1, l2) // nobody is introduced to anybody
	r.step(Closed{Link: l1})
	r.skip()
	r.connected(false) // the server has lost sight of us: we are led to another member
	r.expect("signaling CHECKED", "sig< content from=#500 to=0 connectionRequest")
	r.letIn(id(3)) // channels stay, and work
	r.step(Closed{Link: r.last})
	r.skip()
	r.step(Send{Token: 1, Text: true, Data: []byte("still here")})
	r.expect(`3< from=#500 to=0 user length=10 type=0 full="still here"`, "done 1: <nil>")
	r.pass(2 * time.Second)
	r.expect("unconnected 0: no response to the connection request", "signaling CHECKING", "sig< connect id=#500 members=#2")
	r.connected(true)
	r.expect("signaling CHECKED")
	_ = l2
}

// TestCheckLeadsToMember: a constructed mesh goes on with a channel of kind 2 to another member (STA-5, CHN-13).
func TestCheckLeadsToMember(t *testing.T) {
	r := newRig(t, Config{}).first()
	r.letIn(id(1))
	r.step(Closed{Link: r.letIn(id(2))})
	r.connected(false)
	r.content(0, wire.ServiceChannelBuilder, response(true))
	r.content(0, wire.ServiceDataChannelBuilder, offer("sdp"))
	l := r.last
	r.step(Opened{l, `{"id":2147483650,"type":2}`})
	r.skip()
	// Its list has our id, which is no reason to begin anew: we are in a group.
	r.step(Received{l, initPing(id(3), ids(3, 500, 1)...)})
	r.expect("4< initPong #500", "joined #3", "signaling CHECKING", "sig< connect id=#500 members=#1,#3")
	r.connected(true)
	r.expect("signaling CHECKED")
	if r.core.GroupID() != id(600) || r.core.ID() != id(500) {
		t.Error("not in the group of the other")
	}
}

// TestSignalingLost: STA-13, STA-18, STA-16, STA-6.
func TestSignalingLost(t *testing.T) {
	for draw, pause := range map[uint32]time.Duration{0: 1500 * time.Millisecond, 1<<32 - 1: 3 * time.Second} {
		r := newRig(t, Config{}).first()
		l := r.letIn(id(1))
		r.draws = draw - 1
		r.step(Closed{1, errors.New("reset")})
		r.expect("signaling CLOSED: reset", "JOINING")
		r.step(Send{Token: 1, Text: true, Data: []byte("x")})
		r.says(l, id(1), wire.ServiceUserMessage, (&wire.UserMessage{Kind: wire.UserMessageFull, Full: []byte("y")}).Append(nil))
		r.expect(`2< from=#500 to=0 user length=1 type=0 full="x"`, "done 1: <nil>", `deliver #1 text=true private=true "y"`)
		r.pass(pause - 2)
		if pause < 3*time.Second {
			r.expect()
		} else {
			r.skip() // a heartbeat may be due
		}
		r.pass(2)
		if r.core.SignalingState() != SignalingConnecting {
			t.Errorf("%v after %v", r.core.SignalingState(), pause)
		}
		r.skip()
		r.step(Closed{r.last, errors.New("refused")}) // the server is still away: again, and the pause does not grow
		r.expect("signaling CLOSED: refused")
		r.draws = draw - 1
		r.quiet(3*time.Second, l)
		r.skip()
		if r.core.SignalingState() != SignalingConnecting {
			t.Errorf("%v", r.core.SignalingState())
		}
		r.step(Opened{Link: r.last})
		r.expect("signaling OPEN", "signaling CHECKING", "sig< connect id=#500 members=#1")
		r.connected(true)
		r.expect("signaling CHECKED", "JOINED")
	}
	r := newRig(t, Config{NoRejoin: true}).first()
	l := r.letIn(id(1))
	r.step(Closed{1, errors.New("reset")})
	r.expect("signaling CLOSED: reset")
	lines(t, r.quiet(19*time.Second, l))
	r.step(Closed{Link: l})
	r.expect("gone #1: <nil>", "LEAVING", "LEFT: the other end is gone")
	r.sum()
}

// TestSignalingLostWhileConstructing: STA-14.
func TestSignalingLostWhileConstructing(t *testing.T) {
	r := newRig(t, Config{})
	l := r.opening()
	r.step(Received{l, initPing(id(1), ids(1, 2)...)})
	r.skip()
	r.step(Closed{1, errors.New("reset")})
	r.expect("signaling CLOSED: reset")
	r.pass(2*time.Second - 1)
	r.expect()
	r.pass(1)
	r.expect("signaling CONNECTING", "dial signaling 3 key")
	r.step(Opened{Link: 3})
	r.expect("signaling OPEN", "signaling CHECKING", "sig< connect id=#500 members=#1")
	r.connected(true)
	r.expect("signaling CHECKED", "JOINED")
}

// TestLostWhileConstructing: who loses its only channel on the way in is not JOINED by that: STA-2, STA-12.
func TestLostWhileConstructing(t *testing.T) {
	r := newRig(t, Config{})
	l := r.opening()
	r.step(Received{l, initPing(id(1), ids(1, 2)...)})
	r.skip()
	r.step(Closed{Link: l, Err: errors.New("reset")})
	r.expect("gone #1: reset", "signaling CHECKING", noMembers)
}

// TestRejoinPauses: STA-15, STA-18: from 1.5 to 3 s, doubled up to 30 s, until a join succeeds.
func TestRejoinPauses(t *testing.T) {
	for _, low := range []bool{true, false} {
		r := newRig(t, Config{}).dialing()
		for i, want := range []time.Duration{3, 6, 12, 24, 30, 30, 30, 30, 30, 30, 30, 30, 30} {
			d := want * time.Second
			r.draws = 1<<32 - 2
			if low {
				d /= 2
				r.draws = 1<<32 - 1
			}
			before := r.core.ID()
			r.step(Closed{r.last, errors.New("refused")})
			if r.core.ID() != 0 || r.core.State() != StateJoining {
				t.Fatalf("%d, %v", r.core.ID(), r.core.State())
			}
			r.pass(d - time.Millisecond)
			if r.core.SignalingState() != SignalingClosed {
				t.Errorf("pause %d is too short", i)
			}
			r.draws = 1000 + uint32(i)*10
			r.pass(time.Millisecond)
			if r.core.SignalingState() != SignalingConnecting || r.core.ID() == before || r.core.ID() < MinID || r.core.GroupID() < MinID {
				t.Errorf("pause %d is not %v", i, d)
			}
		}
		r.step(Opened{Link: r.last})
		r.connected(true)
		r.connected(true)
		r.draws = 1<<32 - 2
		r.step(Closed{r.last, nil})
		r.pass(3 * time.Second)
		if r.core.SignalingState() != SignalingConnecting {
			t.Error("a join has not ended the doubling")
		}
		r.step(Leave{})
		r.closeAll()
		r.sum()
	}
}

// TestNothingIsSaidToNobody: what is due while signaling is not open is not kept for later.
func TestNothingIsSaidToNobody(t *testing.T) {
	r := newRig(t, Config{}).dialing()
	if b, _ := r.core.Pull(r.now, 1); b != nil {
		t.Error("something waits")
	}
	r = newRig(t, Config{}).first()
	r.letIn(id(1))
	r.hold(1)
	r.content(9, wire.ServiceChannelBuilder, request(nil))
	r.content(10, wire.ServiceChannelBuilder, request(nil))
	r.step(Closed{1, nil})
	r.pass(3 * time.Second)
	r.step(Opened{Link: r.last})
	if log := strings.Join(r.log, "\n"); strings.Contains(log, "connectionResponse") {
		t.Errorf("%s", log)
	}
}

// TestRetryEndsWithSignaling: the pause before another member is asked for is none of the next connection: STA-17.
func TestRetryEndsWithSignaling(t *testing.T) {
	r := newRig(t, Config{}).asking()
	r.content(0, wire.ServiceChannelBuilder, response(false))
	r.connected(false) // the second attempt is under way
	r.skip()
	r.step(Closed{1, nil})
	r.expect("signaling CLOSED", "unconnected 0: the other end is gone")
	if r.core.timers.Len() != 1 { // the pause
		t.Errorf("%d timers", r.core.timers.Len())
	}
	r.step(Leave{})
	r.closeAll()
	r.sum()
}

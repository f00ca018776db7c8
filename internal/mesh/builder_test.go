package mesh

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// TestNoResponse: BLD-7, STA-5.
func TestNoResponse(t *testing.T) {
	r := newRig(t, Config{}).asking()
	r.pass(2*time.Second - 1)
	r.expect()
	r.pass(1)
	r.expect("unconnected 0: no response to the connection request", "signaling CHECKING", "sig< connect id=#500 members=")
	r.content(0, wire.ServiceChannelBuilder, response(true)) // too late
	r.expect()
	r.connected(false)
	r.expect("signaling CHECKED", "sig< content from=#500 to=0 connectionRequest")
	r.pass(2 * time.Second) // the second time it is asked after a pause
	r.expect("unconnected 0: no response to the connection request")
	r.pass(RetryPause - 1)
	r.expect()
	r.pass(1)
	r.expect("signaling CHECKING", "sig< connect id=#500 members=")
	for i := range 8 { // the pause grows to six times as much
		r.connected(false)
		r.pass(2 * time.Second)
		r.skip()
		for r.core.SignalingState() == SignalingChecked {
			r.now, _ = r.core.Next()
			r.step(Tick{})
			r.signaling(wire.Signaling{Kind: wire.SignalingHeartbeat, Heartbeat: true})
		}
		if r.core.sig.failed != i+3 {
			t.Fatalf("%d failed", r.core.sig.failed)
		}
	}
	r.connected(false)
	r.content(0, wire.ServiceChannelBuilder, response(false))
	r.skip()
	r.quiet(6*RetryPause - 1)
	if r.core.SignalingState() != SignalingChecked {
		t.Error("asked too early")
	}
	r.quiet(1)
	if r.core.SignalingState() != SignalingChecking {
		t.Error("asked too late")
	}
}

// TestDenied: BLD-7.
func TestDenied(t *testing.T) {
	r := newRig(t, Config{}).asking()
	r.content(0, wire.ServiceChannelBuilder, response(false))
	r.expect("unconnected 0: connection denied", "signaling CHECKING", "sig< connect id=#500 members=")
	r.content(0, wire.ServiceChannelBuilder, response(false))
	r.expect()
}

// TestConnectTimeout: BLD-16, from the response on, at either end.
func TestConnectTimeout(t *testing.T) {
	r := newRig(t, Config{}).asking()
	r.pass(time.Second)
	r.content(0, wire.ServiceChannelBuilder, response(true))
	r.skip()
	r.content(0, wire.ServiceChannelBuilder, response(true)) // a second one is nothing
	r.content(0, wire.ServiceChannelBuilder, response(false))
	r.expect()
	lines(t, r.quiet(14*time.Second-1))
	lines(t, r.quiet(1), "unconnected 0: no channel in time", "signaling CHECKING", "sig< connect id=#500 members=")

	r = newRig(t, Config{}).first()
	r.content(9, wire.ServiceChannelBuilder, request(nil))
	r.skip()
	r.quiet(14*time.Second - 1)
	if len(r.core.attempts) != 1 {
		t.Error("over too early")
	}
	lines(t, r.quiet(1))
	if len(r.core.attempts) != 0 {
		t.Error("not over")
	}
	r.content(9, wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo})) // BLD-10
	r.content(9, wire.ServiceDataChannelBuilder, offer("sdp"))
	r.expect()

	// An answering channel that opens too late is closed with its attempt, and so is a half-initialised one (BLD-17).
	r = newRig(t, Config{}).first()
	r.content(9, wire.ServiceChannelBuilder, request(nil))
	r.quiet(6 * time.Second)
	r.content(9, wire.ServiceDataChannelBuilder, offer("sdp"))
	r.quiet(8*time.Second - 1)
	r.skip()
	lines(t, r.quiet(1), "abort 2")
}

// TestDataChannelTimeout: BLD-16, BLD-12 (steps 4 and 5), BLD-14.
func TestDataChannelTimeout(t *testing.T) {
	r := newRig(t, Config{}).first()
	r.content(9, wire.ServiceChannelBuilder, request(nil))
	r.content(9, wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
	r.skip()
	lines(t, r.quiet(9*time.Second-1))
	lines(t, r.quiet(1), "abort 2", "sig< content from=0 to=9 negotiation initiator=9(group #501 ws dc) passive=0(group #501 ws dc dc-tried)")
}

// TestNegotiation goes through what an end does by what both can do and have tried: BLD-11 to BLD-14.
func TestNegotiation(t *testing.T) {
	for bits := range 1 << 8 {
		bit := func(n int) bool { return bits>>n&1 != 0 }
		info := func(n int, url string) wire.Info {
			i := wire.Info{GroupID: id(501), WSSupported: true, WSTried: bit(n + 1), DCSupported: bit(n + 2), DCTried: bit(n + 3)}
			if bit(n) {
				i.WSS = url
			}
			return i
		}
		me, other := info(0, "ws://me"), info(4, "ws://other")
		// What BLD-12 says, in its words.
		dc := me.DCSupported && other.DCSupported
		var want string
		switch {
		case !(me.WSS != "" && !other.WSTried || other.WSS != "" && !me.WSTried || dc && !(me.DCTried && other.DCTried)):
			want = "fail"
		case other.WSS != "" && !me.WSTried:
			want = "dial"
		case me.WSS != "" && !other.WSTried:
			want = "pass"
		case dc && !me.DCTried:
			want = "offer"
		default:
			want = "pass"
		}
		for _, first := range []bool{false, true} {
			r := newRig(t, Config{}).first()
			l := r.letIn(id(1))
			n := wire.Negotiation{HasPassive: true}
			other.ID, me.ID = id(2), id(500)
			if first { // this end asked
				r.mesh(l, id(1), wire.FullMesh{Kind: wire.FullMeshMembers, Members: ids(2)})
				r.says(l, id(2), wire.ServiceChannelBuilder, response(true))
				n.Initiator, n.Passive = me, other
				n.Initiator.ID = 12345 // it is the other end that made it up
			} else {
				r.says(l, id(2), wire.ServiceChannelBuilder, requestOf(id(2), id(1)))
				n.Initiator, n.Passive = other, me
			}
			r.skip()
			r.says(l, id(2), wire.ServiceChannelBuilder, negotiation(n))
			got := "nothing"
			log := strings.Join(r.log, "\n")
			switch {
			case strings.Contains(log, "dial 3 ws://other/?type=0&wcId=#501&senderId=#500") && len(r.log) == 1:
				got = "dial"
			case strings.Contains(log, "offer 3 ") && len(r.log) == 1:
				got = "offer"
			case strings.Contains(log, short("2< from=#500 to=#2 negotiation initiator="+info_(&n.Initiator)+" passive="+info_(&n.Passive))) && len(r.log) == 1:
				got = "pass"
			case len(r.core.attempts) == 0 && !strings.Contains(log, "2<"):
				got = "fail"
			}
			if got != want || (len(r.core.attempts) == 0) != (want == "fail") {
				t.Errorf("me %s, other %s, first %v: %s, want %s: %q", info_(&me), info_(&other), first, got, want, r.log)
			}
		}
	}
}

func info_(i *wire.Info) string { return short(info(i)) }

// TestLastStep: an end for which nothing is left says so once more, and fails (BLD-12, step 6).
func TestLastStep(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.says(l, id(2), wire.ServiceChannelBuilder, requestOf(id(2), id(1)))
	r.skip()
	other := canDo
	other.DCTried = true
	r.says(l, id(2), wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: other}))
	r.expect(`offer 3 {"id":#500,"type":0}`)
	r.step(Closed{3, errors.New("no ICE")})
	r.expect("2< from=#500 to=#2 negotiation initiator=#2(group #501 ws dc dc-tried) passive=#500(group #501 ws dc dc-tried)")
	if len(r.core.attempts) != 0 {
		t.Error("it has not failed")
	}
}

// TestOneAtATime: a negotiation that comes while something is tried is not followed, unless it says that nothing is left.
func TestOneAtATime(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.says(l, id(2), wire.ServiceChannelBuilder, requestOf(id(2), id(1)))
	r.says(l, id(2), wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
	r.skip()
	r.says(l, id(2), wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
	r.expect()
	bad := canDo
	bad.DCTried = true
	r.says(l, id(2), wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: bad, HasPassive: true, Passive: bad}))
	r.expect("abort 3") // BLD-17
	if len(r.core.attempts) != 0 || r.core.builds[id(2)] != nil {
		t.Error("it has not failed")
	}
}

// TestGlare: of two who ask each other the lower id is the initiator, and who waited for the other's request waits for
// this one: BLD-8, MSH-8.
func TestGlare(t *testing.T) {
	for _, other := range []uint32{499, 501} {
		r := newRig(t, Config{})
		l := r.opening()
		r.step(Received{l, initPing(id(1), id(1), id(other))}) // our request goes
		r.skip()
		r.says(l, id(other), wire.ServiceChannelBuilder, requestOf(id(other), id(1)))
		if other > 500 {
			r.expect() // dropped without an answer
			r.says(l, id(other), wire.ServiceChannelBuilder, response(true))
			r.expect("joined #501", "2< from=#500 to=#501 negotiation initiator=0(group #600 ws dc)")
			r.says(l, id(other), wire.ServiceChannelBuilder, requestOf(id(other), id(1)))
			r.expect()
			continue
		}
		r.expect("joined #499", "2< from=#500 to=#499 connectionResponse true")
		r.says(l, id(other), wire.ServiceChannelBuilder, response(true)) // to ours: it is over
		r.expect()
		r.says(l, id(other), wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
		r.expect(`offer 3 {"id":#500,"type":0}`)
		r.says(l, id(other), wire.ServiceChannelBuilder, requestOf(id(other), id(1))) // it begins anew (BLD-17)
		r.expect("abort 3", "2< from=#500 to=#499 connectionResponse true")
		r.says(l, id(other), wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
		r.expect(`offer 4 {"id":#500,"type":0}`)
		if r.core.State() != StateJoining {
			t.Error("nobody waits for the attempt")
		}
		r.step(Opened{Link: 4})
		r.expect("JOINED", "signaling CHECKING", "sig< connect id=#500 members=#1,#499")
	}
}

// TestAskedAnew: whoever asks again has given up what it asked before, unless it has gone on with it (BLD-8).
func TestAskedAnew(t *testing.T) {
	for _, other := range []uint32{499, 501} {
		r := newRig(t, Config{}).first()
		l := r.letIn(id(1))
		r.says(l, id(other), wire.ServiceChannelBuilder, requestOf(id(other), id(1)))
		r.skip()
		answer := fmt.Sprintf("2< from=#500 to=#%d connectionResponse true", other)
		r.quiet(2*time.Second, l) // this end was asleep, and its answer came too late
		r.says(l, id(other), wire.ServiceChannelBuilder, requestOf(id(other), id(1)))
		r.expect(answer)
		r.says(l, id(other), wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
		r.expect(`offer 3 {"id":#500,"type":0}`)
		r.says(l, id(other), wire.ServiceChannelBuilder, requestOf(id(other), id(1)))
		if other < 500 {
			r.expect("abort 3", answer)
		} else {
			r.expect()
		}
	}
}

// TestGlareTimers: the time of the attempt that was replaced is no longer the time of anything (BLD-16, BLD-17).
func TestGlareTimers(t *testing.T) {
	r := newRig(t, Config{})
	l := r.opening()
	r.step(Received{l, initPing(id(1), ids(1, 499)...)})
	r.quiet(time.Second, l)
	r.says(l, id(499), wire.ServiceChannelBuilder, requestOf(id(499), id(1)))
	beat := func(d time.Duration) {
		for end := r.now + d; r.now < end; {
			r.quiet(min(end-r.now, time.Second), l)
			r.mesh(l, id(499), wire.FullMesh{Kind: wire.FullMeshHeartbeat, Heartbeat: true})
		}
	}
	beat(14*time.Second - 1)
	if r.core.State() != StateJoining || len(r.core.attempts) != 1 {
		t.Error("over too early")
	}
	lines(t, r.quiet(1, l), "unconnected #499: no channel in time", "JOINED", "signaling CHECKING", "sig< connect id=#500 members=#1,#499")
}

// TestRequests: BLD-4 to BLD-6, MSH-7, MSH-4.
func TestRequests(t *testing.T) {
	r := newRig(t, Config{MaxMembers: 4}).first()
	l := r.letIn(id(1))
	no, yes := "2< from=#500 to=#2 connectionResponse false", "2< from=#500 to=#2 connectionResponse true"
	for _, c := range []struct {
		content []byte
		want    []string
	}{
		{request(nil), []string{no}},                                            // an id of 0 is not the sender's
		{request([]byte{0x0a}), []string{no}},                                   // malformed
		{requestOf(id(3), id(1)), []string{no}},                                 // not the sender's
		{requestOf(id(2), id(1)), []string{"joined #2", yes}},                   // a new one
		{requestOf(id(2), id(1)), []string{yes}},                                // anew
		{requestOf(id(2), ids(1, 3, 4, 5, 6, 7, 8, 9)...), []string{yes}},       // more than there can be
		{requestOf(id(2), []uint32{1, 2, 3, id(500), id(1)}...), []string{yes}}, // ids that are none
	} {
		r.says(l, id(2), wire.ServiceChannelBuilder, c.content)
		r.expect(c.want...)
	}
	r.says(l, id(1), wire.ServiceChannelBuilder, requestOf(id(1), id(2))) // it is adjacent
	r.expect("2< from=#500 to=#1 connectionResponse false")
	r.distant(l, id(3), id(1))
	r.distant(l, id(4), id(1)) // there is no room
	r.expect("joined #3")
	r.says(l, id(4), wire.ServiceChannelBuilder, requestOf(id(4), id(1)))
	r.expect("2< from=#500 to=#4 connectionResponse false")
	for i := range uint32(20) {
		r.content(i+1, wire.ServiceChannelBuilder, request(nil)) // joiners, however many
		r.expect(fmt.Sprintf("sig< content from=0 to=%d connectionResponse true", i+1))
	}
}

// TestAskedAgain: BLD-18.
func TestAskedAgain(t *testing.T) {
	negotiated := func(r *rig, l Link) {
		tried := canDo
		tried.DCTried = true
		r.says(l, id(2), wire.ServiceChannelBuilder, response(true))
		r.says(l, id(2), wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: tried, HasPassive: true, Passive: tried}))
	}
	for _, c := range []struct {
		name string
		fail func(r *rig, l Link)
		wait bool
	}{
		{"negotiation", negotiated, true},
		{"time-out", func(r *rig, l Link) {
			r.says(l, id(2), wire.ServiceChannelBuilder, response(true))
			for range 14 {
				r.quiet(time.Second, l)
				r.mesh(l, id(2), wire.FullMesh{Kind: wire.FullMeshHeartbeat, Heartbeat: true})
			}
		}, true},
		{"denial", func(r *rig, l Link) { r.says(l, id(2), wire.ServiceChannelBuilder, response(false)) }, false},
		{"no response", func(r *rig, l Link) { r.quiet(2*time.Second, l) }, false},
		{"it left and came again", func(r *rig, l Link) {
			negotiated(r, l)
			r.quiet(12*time.Second, l)
			r.distant(l, id(2), id(1))
		}, false},
		{"a channel came and went", func(r *rig, l Link) {
			negotiated(r, l)
			r.step(Closed{Link: r.direct(l, id(2), id(1))})
			r.distant(l, id(2), id(1))
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{}).first()
			l := r.letIn(id(1))
			r.distant(l, id(2), id(1))
			list := wire.FullMesh{Kind: wire.FullMeshMembers, Members: ids(1, 2, 500)}
			asked := "2< from=#500 to=#2 connectionRequest id=#500 adjacent=#1"
			r.skip()
			r.mesh(l, id(1), list)
			r.expect(asked)
			r.mesh(l, id(1), list)
			r.expect() // one at a time
			c.fail(r, l)
			r.skip()
			r.mesh(l, id(1), list)
			if !c.wait {
				r.expect(asked)
				return
			}
			r.expect()
			for range 299 {
				r.quiet(time.Second, l)
				r.mesh(l, id(2), wire.FullMesh{Kind: wire.FullMeshHeartbeat, Heartbeat: true})
			}
			r.skip()
			r.mesh(l, id(1), list)
			r.expect()
			r.says(l, id(2), wire.ServiceChannelBuilder, requestOf(id(2), id(1))) // its own request is answered
			r.expect("2< from=#500 to=#2 connectionResponse true")
			r.core.cancelAttempts()
			r.quiet(time.Second, l)
			r.mesh(l, id(1), list)
			r.expect(asked)
		})
	}
}

// TestNotice: STA-10, SIG-31.
func TestNotice(t *testing.T) {
	failed := []string{"unconnected 0: the other end is gone", "signaling CHECKING", "sig< connect id=#500 members="}
	r := newRig(t, Config{}).asking()
	r.notice(9) // not ours
	r.expect()
	r.notice(0)
	r.expect(failed...)
	r = newRig(t, Config{}).asking()
	r.content(0, wire.ServiceChannelBuilder, response(true))
	r.content(0, wire.ServiceDataChannelBuilder, offer("sdp"))
	r.skip()
	r.notice(0)
	r.expect(append([]string{"abort 2"}, failed...)...)
	r = newRig(t, Config{})
	l := r.opening() // what is open may yet succeed: a member that goes may have been put out by our coming
	r.notice(0)
	r.expect()
	r.step(Received{l, initPing(id(1), id(1))})
	if r.core.State() != StateJoined {
		t.Errorf("%q", r.log)
	}
	r = newRig(t, Config{}).first()
	r.content(9, wire.ServiceChannelBuilder, request(nil))
	r.notice(9)
	if len(r.core.attempts) != 0 {
		t.Error("the attempt with the joiner is not over")
	}
	r.content(9, wire.ServiceChannelBuilder, request(nil))
	r.content(9, wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
	r.notice(9)
	if len(r.core.attempts) != 1 {
		t.Error("what is offered may yet succeed")
	}
}

// TestStrangers: BLD-7, BLD-10, BLD-23.
func TestStrangers(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.distant(l, id(2), id(1))
	r.skip()
	n := negotiation(wire.Negotiation{Initiator: canDo})
	for _, b := range [][]byte{response(true), response(false), n} {
		r.content(9, wire.ServiceChannelBuilder, b)
		r.content(0, wire.ServiceChannelBuilder, b)
		r.says(l, id(2), wire.ServiceChannelBuilder, b)
	}
	r.expect()
	// An attempt on one way is none on the other.
	r.mesh(l, id(1), wire.FullMesh{Kind: wire.FullMeshMembers, Members: ids(2)})
	r.says(l, id(2), wire.ServiceChannelBuilder, n) // not before the response
	r.skip()
	r.says(l, id(1), wire.ServiceChannelBuilder, response(true)) // of somebody else
	r.expect()
}

package mesh

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// TestDial tries a WebSocket, then a data channel: BLD-12 (steps 2 to 5), BLD-16, CHN-9.
func TestDial(t *testing.T) {
	for name, fail := range map[string]func(*rig){
		"refused":  func(r *rig) { r.step(Closed{2, errors.New("refused")}) },
		"time-out": func(r *rig) { r.quiet(4*time.Second - 1); r.skip(); r.pass(1); r.log = r.log[1:] },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{})
			r.step(Join{Key: "a key/?&=%é"})
			r.step(Opened{Link: 1})
			r.connected(false)
			r.content(0, wire.ServiceChannelBuilder, response(true))
			r.skip()
			them := wire.Info{WSS: "ws://bot:1/", GroupID: id(600), WSSupported: true, DCSupported: true}
			r.content(0, wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo, HasPassive: true, Passive: them}))
			r.expect("dial 2 ws://bot:1/?type=1&wcId=#600&senderId=7&key=a%20key%2F%3F%26%3D%25%C3%A9")
			fail(r)
			r.expect(`offer 3 {"id":#500,"type":1}`)
			r.step(Closed{3, errors.New("no ICE")})
			r.expect("sig< content from=7 to=0 negotiation initiator=0(group #501 ws ws-tried dc dc-tried) passive=0(group #600 listens ws dc)")
			r.content(0, wire.ServiceDataChannelBuilder, offer("sdp")) // its turn
			r.expect("answer 4", "remote 4 sdp")
		})
	}
	r := newRig(t, Config{}).first()
	r.content(9, wire.ServiceChannelBuilder, request(nil))
	r.skip()
	joiner := wire.Info{WSS: "wss://joiner", WSSupported: true}
	r.content(9, wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: joiner}))
	r.expect("dial 2 wss://joiner/?type=2&wcId=#501&senderId=0&key=key")
	r.step(Opened{Link: 2})
	r.expect("2< initPing topology=0 group=#501 from=#500 members=#500 key=key")
	r.quiet(DialTimeout+time.Second, 2)
	r.step(Received{2, initPong(id(1))})
	if len(r.core.Neighbors()) != 1 {
		t.Error("not let in")
	}
	// What is no URL of a WebSocket counts as tried (BLD-9).
	for _, u := range []string{"http://x", "ws:/x", "x", "ws://" + strings.Repeat("x", 2048)} {
		r = newRig(t, Config{}).first()
		r.content(9, wire.ServiceChannelBuilder, request(nil))
		r.skip()
		r.content(9, wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: wire.Info{WSS: u, DCSupported: true}}))
		r.expect(`offer 2 {"id":#500,"type":2}`)
	}
}

// TestInvite: CHN-9, CHN-12, CHN-16.
func TestInvite(t *testing.T) {
	r := newRig(t, Config{})
	r.step(Invite{Token: 1, URL: "ws://bot"})
	r.expect("done 1: not in a group")
	r.first()
	r.step(Invite{Token: 2, URL: "http://bot"})
	r.step(Invite{Token: 3, URL: "ws://bot/"})
	r.step(Invite{Token: 4, URL: "wss://two"})
	r.step(Invite{Token: 5, URL: "wss://three"})
	r.expect(`done 2: not a URL of scheme ws or wss: "http://bot"`,
		"dial 2 ws://bot/?type=2&wcId=#501&senderId=-1&key=key", "dial 3 wss://two/?type=2&wcId=#501&senderId=-1&key=key",
		"dial 4 wss://three/?type=2&wcId=#501&senderId=-1&key=key")
	r.step(Closed{3, errors.New("401")})
	r.expect("done 4: 401")
	r.step(Cancel{5})
	r.expect("done 5: canceled", "abort 4")
	r.step(Opened{Link: 2})
	r.expect("2< initPing topology=0 group=#501 from=#500 members=#500 key=key")
	r.step(Received{2, initPong(id(1))})
	r.expect("done 3: <nil>", "joined #1")
	r.step(Cancel{3})
	r.step(Cancel{0}) // the token of no invitation
	r.expect()
	r.connected(true)
	r.step(Invite{Token: 6, URL: "ws://late"})
	r.skip()
	r.quiet(DialTimeout-1, 2)
	r.skip()
	r.pass(1)
	r.expect("done 6: no channel in time", "abort 5")
	r.step(Invite{Token: 7, URL: "ws://last"})
	r.step(Leave{})
	r.closeAll()
	if log := strings.Join(r.log, "\n"); strings.Count(log, "done 7: ") != 1 {
		t.Errorf("%q", r.log)
	}
	r.sum()
}

// TestInviteWithoutGroup: there is nothing to let anybody into between two groups.
func TestInviteWithoutGroup(t *testing.T) {
	r := newRig(t, Config{}).dialing()
	r.step(Closed{1, nil})
	r.skip()
	r.step(Invite{Token: 1, URL: "ws://bot"})
	r.expect("done 1: not in a group")
}

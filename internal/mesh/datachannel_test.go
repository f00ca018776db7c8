package mesh

import (
	"testing"

	"github.com/meshpair/meshpair/internal/wire"
)

// agreed has agreed with #2, which asked through #1, on a channel.
func agreed(t *testing.T, other uint32) (*rig, Link) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.says(l, id(other), wire.ServiceChannelBuilder, requestOf(id(other), id(1)))
	r.skip()
	return r, l
}

// TestCandidatesFirst: they may come before their offer, and begin what answers it: BLD-21.
func TestCandidatesFirst(t *testing.T) {
	r, l := agreed(t, 2)
	r.says(l, id(2), wire.ServiceDataChannelBuilder, candidate("early"))
	r.says(l, id(2), wire.ServiceDataChannelBuilder, candidate("too"))
	r.says(l, id(2), wire.ServiceDataChannelBuilder, offer("sdp"))
	r.says(l, id(2), wire.ServiceDataChannelBuilder, candidate("late"))
	r.says(l, id(2), wire.ServiceDataChannelBuilder, nil)
	r.expect("answer 3", "remote 3 early", "remote 3 too", "remote 3 sdp", "remote 3 late", "remote 3 ")
	r.step(Local{3, wire.DataChannelBuilder{Kind: wire.DataChannelBuilderAnswer, Answer: "sdp"}})
	r.step(Local{3, wire.DataChannelBuilder{Kind: wire.DataChannelBuilderCandidate}})
	r.step(Local{3, wire.DataChannelBuilder{}})
	r.expect("2< from=#500 to=#2 answer", "2< from=#500 to=#2 candidate", "2< from=#500 to=#2 end of candidates") // BLD-19, BLD-20
	r.step(Opened{3, `{"id":2147483650,"type":0}`})
	r.skip()
	r.says(3, id(2), wire.ServiceDataChannelBuilder, candidate("after all")) // what is open may get more of them
	r.expect("remote 3 after all")
	r.step(Local{3, wire.DataChannelBuilder{}})
	r.expect("3< from=#500 to=#2 end of candidates")
}

// TestNewOffer: one that is not open yet is closed: BLD-22.
func TestNewOffer(t *testing.T) {
	r, l := agreed(t, 2)
	r.says(l, id(2), wire.ServiceDataChannelBuilder, offer("one"))
	r.says(l, id(2), wire.ServiceDataChannelBuilder, offer("two"))
	r.expect("answer 3", "remote 3 one", "abort 3", "answer 4", "remote 4 two")
	r.step(Closed{Link: 3})
	if len(r.core.attempts) != 1 || r.core.builds[id(2)] == nil {
		t.Error("the end of the first one ended the second")
	}
	r.step(Opened{4, `{"id":2147483650,"type":0}`})
	r.says(l, id(2), wire.ServiceDataChannelBuilder, offer("three")) // the attempt is over: BLD-23
	r.skip()
	if len(r.core.Neighbors()) != 2 {
		t.Error("a late offer closed what is open")
	}
}

// TestBothOffer: the lower id's offer stands; a joiner's, and a member's, takes the place of ours.
func TestBothOffer(t *testing.T) {
	for other, theirs := range map[uint32]bool{499: true, 501: false} {
		r, l := agreed(t, other)
		r.says(l, id(other), wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
		r.expect(`offer 3 {"id":#500,"type":0}`)
		r.says(l, id(other), wire.ServiceDataChannelBuilder, offer("sdp"))
		if theirs {
			r.expect("abort 3", "answer 4", "remote 4 sdp")
			if len(r.core.attempts) != 1 || r.core.attempts[id(other)].channel != nil {
				t.Error("the attempt has not changed hands")
			}
		} else {
			r.expect()
		}
	}
	r := newRig(t, Config{}).first()
	r.content(9, wire.ServiceChannelBuilder, request(nil))
	r.content(9, wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
	r.skip()
	r.content(9, wire.ServiceDataChannelBuilder, offer("sdp"))
	r.expect("abort 2", "answer 3", "remote 3 sdp")
}

// TestOffersOfStrangers: BLD-23.
func TestOffersOfStrangers(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.distant(l, id(2), id(1))
	r.skip()
	for _, b := range [][]byte{offer("sdp"), answer("sdp"), candidate("c"), nil} {
		r.says(l, id(2), wire.ServiceDataChannelBuilder, b)
		r.content(9, wire.ServiceDataChannelBuilder, b)
	}
	r.expect()
	r.mesh(l, id(1), wire.FullMesh{Kind: wire.FullMeshMembers, Members: ids(2)}) // asked, but not answered
	r.skip()
	r.says(l, id(2), wire.ServiceDataChannelBuilder, offer("sdp"))
	r.expect()
	// An attempt through signaling is none in the group; the ids cannot be mixed up either (BLD-2).
	r, l = agreed(t, 2)
	r.content(2, wire.ServiceDataChannelBuilder, offer("sdp"))
	r.says(l, id(3), wire.ServiceDataChannelBuilder, offer("sdp"))
	r.expect()
}

// TestLocalWithoutWay: what cannot be said is noted, no more.
func TestLocalWithoutWay(t *testing.T) {
	r := newRig(t, Config{})
	r.opening()
	r.step(Closed{Link: 1}) // signaling is lost, and with it the attempt
	r.skip()
	r.step(Local{2, wire.DataChannelBuilder{}})
	r.expect()
}

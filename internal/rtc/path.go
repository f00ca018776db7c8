package rtc

import (
	"runtime"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/stun"
	"github.com/pion/webrtc/v3"
)

// holdStates keeps pion from hearing, before it has begun the secure handshake, that there is a path. It is called in
// the goroutine that would say so.
//
// When pion's ICETransport is stopped it marks itself closed, and when it then hears of a path it is marked connected
// again; its Start, which was waiting for that path, goes on to make what stopping has looked at already, without the
// lock. That is a data race in each hundredth connection or so that is aborted while it opens, and would be a nil
// pointer if it came at the worst moment.
func (c *Conn) holdStates() {
	timer := time.NewTimer(c.cfg.SilenceTimeout) // when pion gives up, and says so next
	defer timer.Stop()
	select {
	case <-c.found: // and Start has returned
	case <-timer.C:
	case <-c.over:
		runtime.Goexit() // no state has to be told any more; what waits for this goroutine does so by a defer
	}
}

// checked is called by pion, in the one goroutine of its ICE agent, when a check of the peer has come, and the answer
// to it has gone. It says that the peer's choice of a path is not to be changed.
//
// Where this end chooses the path (it offered), pion does so when a check comes on a pair of candidates that it has
// checked with success, if that pair is the best of all. If the best cannot be reached, or is the same pair by another
// name because a check came before the candidate did, it thinks of choosing another one only every 200 ms. It does so,
// too, when a candidate comes: so it gets one, of a kind that is counted and not used.
func (c *Conn) checked(_ *stun.Message, _, _ ice.Candidate, pair *ice.CandidatePair) bool {
	relayed := pair.Local.Type() == ice.CandidateTypeRelay || pair.Remote.Type() == ice.CandidateTypeRelay
	if relayed && !c.cfg.RelayOnly {
		return false // pion still hopes for another
	}
	if c.offer && pair.ResponsesReceived() > 0 && c.kicked.CompareAndSwap(false, true) {
		go c.tell(func() error {
			return c.pc.SCTP().Transport().ICETransport().AddRemoteCandidate(&webrtc.ICECandidate{
				Foundation: "0", Protocol: webrtc.ICEProtocolTCP, Address: "127.0.0.1", Port: 9,
				Typ: webrtc.ICECandidateTypeHost, Component: 1, TCPType: "passive",
			})
		})
	}
	return false
}

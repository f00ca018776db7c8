package conformance

import (
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// Cases of chapter SEC: what crosses a network, and what does not. 192.0.2.1 is nobody's
// (RFC 5737).
var sec = []*Case{
	{
		ID: "SEC-31/plaintext-signaling", Requirements: []string{"SEC-31"}, Level: Must,
		Sentence: "A member that is to join by a ws URL of another machine refuses at once.",
		run: onStage(func(s *stage) {
			begin := time.Now()
			e, err := s.peer.Do(timeout, driver.Command{"cmd": "join", "signaling": "ws://192.0.2.1:9", "key": s.key, "loopback": true, "autoRejoin": false})
			s.out = isAnswer(err)
			declined(err)
			s.expect(isAnswer(err), "to join by ws://192.0.2.1:9", "an error", e.Event)
			s.expect(time.Since(begin) < 3*time.Second, "the refusal", "at once, and not by a time-out", time.Since(begin))
		}),
	},
	{
		ID: "SEC-33/plaintext-member", Requirements: []string{"SEC-31", "SEC-33"}, Level: Must,
		Sentence: "A joiner whose member names a ws URL of another machine does not open it, and makes a data channel.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			i := h.agree()
			i.id = s.lastSig
			h.way.put(serviceBuilder, negotiation(i, info{wss: "ws://192.0.2.1:9", group: groupID, dcTried: true}))
			begin := time.Now()
			l := h.way.answer(h.way.expectOffer(deadline()))
			s.expect(time.Since(begin) < 3*time.Second, "the offer", "at once, and not after the 4 s of a WebSocket", time.Since(begin))
			h.greet(l)
			s.settled(deadline())
		}),
	},
}

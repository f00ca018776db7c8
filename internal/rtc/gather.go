package rtc

import (
	"strings"
	"time"

	"github.com/pion/webrtc/v3"
)

const (
	// GatherPatience is how long servers may take to give an address before Config.Missing tells.
	GatherPatience = time.Second
	// RelayTimeout is how long an end with Config.RelayOnly waits for an address of a TURN server. A server that answers
	// at all has then been asked five times. (pion goes on for 10 s.)
	RelayTimeout = 5 * time.Second
)

// gather is called when pion begins to look for our addresses.
func (c *Conn) gather() {
	if len(c.cfg.ICEServers) == 0 && !c.cfg.RelayOnly {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.timers = append(c.timers, time.AfterFunc(GatherPatience, c.tellMissing))
	if c.cfg.RelayOnly {
		c.timers = append(c.timers, time.AfterFunc(RelayTimeout, c.needRelay))
	}
}

// candidateFound passes a candidate of ours on, after our description, which the job that made pion look for it will
// have done.
func (c *Conn) candidateFound(candidate *webrtc.ICECandidate) {
	if candidate == nil {
		c.tellMissing()
		c.needRelay()
		c.post(func() { c.emit(Signal{Type: SignalEnd}) })
		return
	}
	if c.cfg.RelayOnly { // BLD-25: with TURN over TCP it would be an address of this machine; so says RFC 8839, section 5.1
		candidate.RelatedAddress, candidate.RelatedPort = "0.0.0.0", 9
	}
	line := candidate.ToJSON().Candidate
	c.mu.Lock()
	c.local = c.local.plus(kindOf(candidate.Typ))
	if candidate.Typ == webrtc.ICECandidateTypeSrflx && !strings.Contains(candidate.Address, ":") {
		c.shown++
	}
	c.mu.Unlock()
	c.post(func() {
		// pion says "" and 0, which is no section of a browser's.
		c.emit(Signal{Type: SignalCandidate, Candidate: line, SDPMid: c.section.mid, SDPMLineIndex: c.section.index})
	})
}

// needRelay ends a connection that may only use relays and has none: there can be no path (BLD-25).
func (c *Conn) needRelay() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cfg.RelayOnly && c.local.Relay == 0 {
		c.failLocked(ErrNoRelay)
	}
}

// tellMissing calls Config.Missing if it is due. pion does not say which server a candidate is from; but it makes one
// candidate at most for each URL, of a TURN server's address, and of what is seen of this machine over IPv4: for that it
// asks all servers, those for TURN too, whether they listen on UDP or not. So servers are missing where candidates are
// fewer than URLs; and maybe none is, which to find out is left to Probe.
func (c *Conn) tellMissing() {
	c.mu.Lock()
	told := c.missed
	c.missed = true
	relay, shown := c.local.Relay, c.shown
	c.mu.Unlock()
	if told || c.cfg.Missing == nil {
		return
	}
	lenders, all := 0, 0
	for _, s := range c.cfg.ICEServers {
		for _, u := range s.URLs {
			all++
			if IsTURN(u) {
				lenders++
			}
		}
	}
	if noRelay, noReflexive := relay < lenders, shown < all && !c.cfg.RelayOnly; noRelay || noReflexive {
		c.cfg.Missing(noRelay, noReflexive)
	}
}

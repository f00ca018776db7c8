package conformance

import "slices"

// MemberCases returns the cases that judge a member, which a driver steers: those
// of chapters CHN, BLD, MSH, MSG, STA, EXT and SEC, and of the clients in chapters SIG and WIR.
func MemberCases() []*Case {
	all := slices.Concat(chnInit, chnLife, chnSocket, bldJoiner, bldMember, mshJoin, mshRoutes, msgSend, msgReceive, staJoin, staTrouble, staParts, staServer, wir, ext, sec, secMember, secSealing, secInviter, secLeaving, drvPeer)
	slowFirst(all)
	return all
}

// slowFirst puts slow cases first: they wait side by side.
func slowFirst(all []*Case) {
	slices.SortStableFunc(all, func(a, b *Case) int {
		switch {
		case a.Slow == b.Slow:
			return 0
		case a.Slow:
			return -1
		}
		return 1
	})
}

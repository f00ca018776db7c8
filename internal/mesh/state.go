package mesh

import "fmt"

// A State is the state of a group as its member sees it (STA-1).
type State int

// The states of a group; the numbers are the original's, which lacks the last.
const (
	StateJoining State = iota // on the way in, or signaling is lost; messages flow if there are members
	StateJoined               // in the group, and the signaling server knows it
	StateLeft                 // not in a group
	StateLeaving              // sending what still waits
)

func (s State) String() string { return name(int(s), "JOINING", "JOINED", "LEFT", "LEAVING") }

func name(n int, names ...string) string {
	if n < 0 || n >= len(names) {
		return fmt.Sprintf("state %d", n)
	}
	return names[n]
}

// A SignalingState is the state of the connection to the signaling server (STA-1).
type SignalingState int

// The states of signaling; the numbers are the original's.
const (
	SignalingConnecting SignalingState = iota // the WebSocket opens
	SignalingOpen                             // it is open
	SignalingChecking                         // connect has been sent
	SignalingClosed                           // there is none
	SignalingChecked                          // connect has been answered
)

func (s SignalingState) String() string {
	return name(int(s), "CONNECTING", "OPEN", "CHECKING", "CLOSED", "CHECKED")
}

// A topology says how far the mesh is built.
type topology int

const (
	idle         topology = iota // there is none
	constructing                 // a member let us in, others are being connected to
	constructed
)

func (c *Core) setState(s State) {
	if c.state != s {
		c.state = s
		o := NewState{State: s}
		if s == StateLeft {
			o.Err = c.leftErr
		}
		c.emit(o)
	}
}

// join enters a group from Left.
func (c *Core) join(in Join) {
	if c.state != StateLeft {
		return
	}
	c.enter(in.Key, in.Listen)
	if in.Keys != nil {
		c.seal = newSeal(in.Keys)
	}
	c.start()
}

// enter begins with a group, from Left.
func (c *Core) enter(key, listen string) {
	c.key, c.listen, c.leftErr, c.rejoins = key, listen, nil, 0
}

// renew becomes somebody new (MSH-1).
func (c *Core) renew() {
	c.id = c.newID()
	if c.seal != nil {
		c.seal.begin(&c.cfg)
	}
	c.groupID = c.newID()
	c.setState(StateJoining)
}

// start begins to join as somebody new (STA-3, MSH-1).
func (c *Core) start() {
	c.pause.stop()
	c.renew()
	c.connectSignaling()
}

// becomeConstructing is entered when a member has let this one in (CHN-13). One that has members already is joined to a
// part of the group that these do not know: it stays what it is, and tells them (STA-20, MSH-25).
func (c *Core) becomeConstructing() {
	if c.topology == constructed {
		c.bridging, c.bridged = true, c.arrivals
	} else {
		c.setState(StateJoining)
	}
	c.topology = constructing
}

// becomeConstructed is entered when nothing is left to wait for: as the first member, or when all connections have been
// built or given up (MSH-8, STA-6).
func (c *Core) becomeConstructed() {
	c.topology = constructed
	c.wave = nil
	if c.cfg.NoSignaling {
		c.becomeJoined()
		return
	}
	switch c.sig.state { // STA-6
	case SignalingOpen, SignalingChecking:
		c.check()
	case SignalingChecked:
		c.becomeJoined()
		c.check()
	case SignalingClosed: // STA-14
		c.connectSignaling()
	}
}

// becomeJoined is entered when the mesh stands and the signaling server counts this peer as a member (STA-2).
func (c *Core) becomeJoined() {
	c.rejoins = 0
	c.setState(StateJoined)
}

// becomeIdle is entered when this member is alone (STA-12, STA-15).
func (c *Core) becomeIdle() {
	c.topology = idle
	c.wave = nil
	switch {
	case c.state == StateLeaving:
		return
	case c.cfg.LeaveAlone:
		c.leave(ErrAlone)
		return
	}
	switch c.sig.state {
	case SignalingClosed:
		c.lost(ErrGone)
	case SignalingConnecting:
		c.setState(StateJoining)
	case SignalingOpen, SignalingChecking:
		c.setState(StateJoining)
		c.check() // STA-12
	case SignalingChecked:
		c.check() // STA-12
	}
}

// lost is called when neither a mesh nor signaling is left: everything begins anew after a pause, with a new id, or the
// group is left (STA-15).
func (c *Core) lost(err error) {
	if c.cfg.NoRejoin || c.cfg.NoSignaling { // STA-16
		c.leave(err)
		return
	}
	c.setState(StateJoining)
	c.dropAll()
	c.id, c.groupID = 0, 0
	// STA-18
	d := ReconnectPause << min(c.rejoins, 10)
	c.rejoins++
	c.pause.stop()
	c.pause = c.after(c.jitter(min(d, MaxRejoinPause)), c.start)
}

// reconnect has signaling connected to again after a pause, while the mesh stands (STA-13).
func (c *Core) reconnect() {
	if c.cfg.NoRejoin { // STA-16
		return
	}
	c.setState(StateJoining)
	c.pause.stop()
	c.pause = c.after(c.jitter(ReconnectPause), c.connectSignaling) // STA-18
}

// leave leaves the group: signaling at once, then each member when it has been sent what waits for it, and all at once
// after LeaveTimeout (MSH-22, STA-17). err says why, if the user did not ask for it.
//
// The signaling server hears of it first: a member that is alone then asks it at once whether it is in the group, and
// would be led to the one who has just left.
func (c *Core) leave(err error) {
	if c.state == StateLeft || c.state == StateLeaving {
		return
	}
	c.leftErr = err
	c.setState(StateLeaving)
	c.pause.stop()
	for len(c.waiting) > 0 {
		c.finish(c.waiting[0], ErrNotInGroup)
	}
	c.closeSignaling(nil)
	c.cancelAttempts()
	c.leaveTime = c.after(c.cfg.LeaveTimeout, c.becomeLeft)
	if !c.sig.closing {
		c.leaveMembers()
		return
	}
	c.sig.goodbye = c.after(min(GoodbyeTimeout, c.cfg.LeaveTimeout), c.leaveMembers)
}

// leaveMembers closes the channels on which nothing waits, and has pull close the others.
func (c *Core) leaveMembers() {
	c.sig.goodbye.stop()
	c.departing = true
	for _, ch := range c.byLink() {
		switch {
		case ch.closing: // with its attempt
		case ch.member == nil:
			c.close(ch, true)
		case ch.ready || c.unsent(ch):
		case ch.member.keeps(): // it is told
			c.wake(ch)
		case !c.hasWork(ch):
			c.close(ch, false)
		}
	}
	c.maybeLeft()
}

// maybeLeft ends leaving once all links are closed.
func (c *Core) maybeLeft() {
	if c.state == StateLeaving && len(c.channels) == 0 && !c.sig.closing {
		c.becomeLeft()
	}
}

// becomeLeft is entered when nothing is left of the group (STA-17).
func (c *Core) becomeLeft() {
	c.leaveTime.stop()
	if c.sig.closing {
		c.emit(Close{c.sig.link, true})
	}
	c.sig.goodbye.stop()
	c.departing = false
	c.dropAll()
	c.id, c.groupID, c.key, c.listen, c.seal = 0, 0, "", "", nil
	c.sig = signalingLink{state: SignalingClosed}
	c.setState(StateLeft)
}

// dropAll drops the mesh and all that was to become part of it.
func (c *Core) dropAll() {
	c.topology = idle
	c.wave, c.invited = nil, nil
	clear(c.blocked)
	c.cancelAttempts()
	for _, ch := range c.byLink() {
		c.close(ch, true)
		delete(c.channels, ch.link)
	}
	for len(c.order) > 0 {
		c.forget(c.order[0], nil)
	}
	if c.seal != nil {
		c.seal.end()
	}
	c.stopTimers()
}

func (c *Core) stopTimers() {
	c.beat.stop()
	c.round.stop()
	c.gossip.stop()
	c.seeking.stop()
	c.probing.stop()
	c.notice.stop()
	c.notice = nil
	c.beat, c.round, c.probing, c.strayed, c.bridging = nil, nil, nil, nil, false
}

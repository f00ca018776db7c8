package mesh

import (
	"time"
)

// Accept decides whether a WebSocket is accepted that a peer opens to this member, or to a bot that is to become one. If
// it is, the link that it becomes is returned, whose end is told by [Closed] even if it never opened.
func (c *Core) Accept(now time.Duration, call Call) (Link, []Output, error) {
	c.begin(now)
	ch, err := c.accept(call)
	if err != nil {
		return 0, c.outputs, err
	}
	ch.accepted = true
	return ch.link, c.outputs, nil
}

// Invited is Accept for one that has left, and joins the group that it is invited to (CHN-26, STA-6). Listen is the URL at
// which it listens itself.
func (c *Core) Invited(now time.Duration, call Call, listen string) (Link, []Output, error) {
	c.begin(now)
	if c.state != StateLeft || !call.Invites() {
		return 0, c.outputs, refused("no invitation")
	}
	c.enter(call.Key, listen)
	ch := c.enterInvited()
	if call.Group >= MinID && call.Group < 1<<32 { // initPing has the last word
		c.groupID = uint32(call.Group)
	}
	return ch.link, c.outputs, nil
}

// enterInvited begins to join by a channel that another member has opened.
func (c *Core) enterInvited() *channel {
	c.renew()
	ch := c.newChannel(address{signaling: true}, withMember, DialTimeout)
	ch.apart, ch.accepted = true, true
	c.invited = ch
	return ch
}

// accept makes a channel of a call (CHN-10).
func (c *Core) accept(call Call) (*channel, error) {
	if c.state != StateJoining && c.state != StateJoined {
		return nil, refused("not in a group")
	}
	if c.seal != nil || call.Sealed {
		return c.acceptSealed(call)
	}
	var a *attempt
	if call.Sender >= 0 && call.Sender < 1<<32 {
		a = c.attempts[uint32(call.Sender)]
	}
	k := kind(call.Kind)
	if a != nil && (!a.negotiating || a.to.signaling != (k != internal)) {
		a = nil
	}
	switch {
	case k != internal && call.Key != c.key:
		return nil, refused("not the key of this group")
	case k == internal && a == nil: // CHN-30
		return nil, refused("no channel was agreed on")
	case k == internal && call.Group != int64(c.groupID) && call.Group != call.Sender: // DEV-14
		return nil, refused("not in that group")
	case k == withJoining && (c.topology != constructed || call.Group != int64(c.groupID)):
		return nil, refused("not a member of that group")
	case k == withMember && a == nil && c.topology != idle: // CHN-10, CHN-31
		return nil, refused("in the group already")
	case len(c.making) >= MaxMaking:
		return nil, ErrBusy
	}
	if a == nil {
		// With the key a joiner is welcome, and a group that is looked for is, whatever signaling has led to.
		ch := c.newChannel(address{signaling: true}, k, DialTimeout)
		ch.apart = true
		return ch, nil
	}
	ch := c.newChannel(a.to, k, DialTimeout)
	a.accepted = ch
	return ch, nil
}

// acceptSealed makes a channel of a call to a member of a sealed group: of an attempt, which its session tells (SEC-22).
func (c *Core) acceptSealed(call Call) (*channel, error) {
	var a *attempt
	k := kind(call.Kind)
	if c.seal != nil && call.Sealed && call.Sender >= 0 && call.Sender < 1<<32 {
		if s := c.seal.sessions[uint32(call.Sender)]; s != nil {
			a = c.attemptIn(s, k)
		}
	}
	switch {
	case a == nil || !a.negotiating:
		return nil, refused("no channel was agreed on")
	case k == withJoining && c.topology != constructed:
		return nil, refused("not a member of that group")
	case len(c.making) >= MaxMaking:
		return nil, ErrBusy
	}
	ch := c.newChannel(a.to, k, DialTimeout)
	a.accepted = ch
	return ch, nil
}

// attemptIn returns the attempt that goes on in a session, to get a channel of a kind.
func (c *Core) attemptIn(s *session, k kind) *attempt {
	if k == internal {
		if a := c.attempts[s.id]; a != nil && !a.to.signaling {
			return a
		}
		return nil
	}
	for id, b := range c.seal.behind {
		if a := c.attempts[id]; b == s && a != nil && a.to.signaling && (id == 0) == (k == withMember) {
			return a
		}
	}
	return nil
}

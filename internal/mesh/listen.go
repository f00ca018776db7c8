package mesh

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Call is what a peer says of itself that opens a WebSocket to a member which listens (CHN-9).
type Call struct {
	Kind   uint32 // what the peer is to be to the member
	Group  int64  // the group's id, or what originals send in its place
	Sender int64
	Key    string // "" for none
	Sealed bool   // by a member of a sealed group: Sender is the index of the session here (SEC-22)
}

// ErrCall says that a WebSocket is not accepted (CHN-10).
var ErrCall = errors.New("netflux: call refused")

func refused(why string) error { return fmt.Errorf("%w: %s", ErrCall, why) }

// ParseCall reads the query of a URL that was dialled (CHN-9, CHN-10).
func ParseCall(query string) (Call, error) {
	var call Call
	seen := make(map[string]string)
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		if _, again := seen[name]; !again {
			seen[name] = value
		}
	}
	var errs [3]error
	var k int64
	k, errs[0] = strconv.ParseInt(seen["type"], 10, 64)
	call.Group, errs[1] = strconv.ParseInt(seen["wcId"], 10, 64)
	call.Sender, errs[2] = strconv.ParseInt(seen["senderId"], 10, 64)
	plus := strings.Contains(seen["type"]+seen["wcId"]+seen["senderId"], "+") // ParseInt takes it for a sign
	if errors.Join(errs[:]...) != nil || plus || k < 0 || k > int64(withMember) {
		return call, refused("type, wcId or senderId is missing or malformed")
	}
	call.Kind = uint32(k)
	call.Sealed = seen["sealed"] == "1"
	// Originals do not encode the key, so that a + is one, and a % may stand alone.
	call.Key = seen["key"]
	if key, err := url.PathUnescape(call.Key); err == nil {
		call.Key = key
	}
	return call, nil
}

// Invites reports whether a call is one to join the caller's group.
func (c Call) Invites() bool { return !c.Sealed && kind(c.Kind) == withMember && c.Key != "" }

// InvitesSealed reports whether a call is to invite the one who is called into a sealed group: an [Anteroom] has to find out
// into which (SEC-22).
func (c Call) InvitesSealed() bool { return c.Sealed && kind(c.Kind) == withMember && c.Sender == -1 }

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

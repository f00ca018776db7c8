package mesh

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/wire"
)

// A visit is an invitation into a sealed group, on the channel that was opened for it, until the channel is initialised. The
// inviter hands the bot the secret, and then the two make a session (SEC-20). What a bot does before it knows the group is
// an [Anteroom].
type visit struct {
	peer       sealed.Public      // who has to be at the other end
	spent      time.Duration      // of the time for it, before the channel was given to this core
	invitation *sealed.Invitation // the inviter's; nil: not begun, or over
	handshake  *sealed.Handshake  // of the session; nil: the same
	index      uint32
	session    *session // nil: there is none yet
}

// visitError says in words of this package why a handshake failed.
func visitError(err error) error {
	switch {
	case errors.Is(err, sealed.ErrIdentity):
		return ErrIdentity
	case errors.Is(err, sealed.ErrSecret):
		return ErrSecret
	}
	return fmt.Errorf("%w: %w", ErrProtocol, err)
}

// strangers encodes a message of two ends that do not know each other's ids yet (SEC-20).
func strangers(kind wire.SealedKind, step uint32, data []byte) []byte {
	m := wire.Sealed{Kind: kind, Handshake: wire.Handshake{Step: step, Data: data}}
	return (&wire.Message{ServiceID: wire.ServiceSealed, Content: m.Append(nil)}).Append(nil)
}

// openStrangers decodes such a message (SEC-20, SEC-27).
func openStrangers(data []byte) (*wire.Sealed, error) {
	var m wire.Message
	var sm wire.Sealed
	switch {
	case m.Decode(data) != nil || m.ServiceID != wire.ServiceSealed || sm.Decode(m.Content) != nil:
		return nil, ErrUnsealed
	case m.SenderID != 0 || m.RecipientID != 0 || sm.Kind != wire.SealedInvitation && sm.Kind != wire.SealedHandshake:
		return nil, fmt.Errorf("%w: not a message of an invitation", ErrProtocol)
	}
	return &sm, nil
}

// beginVisit sends the first message of an invitation.
func (c *Core) beginVisit(ch *channel) error {
	i, first, err := sealed.Invite(c.seal.identity, c.cfg.Entropy)
	if err != nil {
		return err
	}
	ch.visit.invitation = i
	c.queue(ch, strangers(wire.SealedInvitation, 1, first))
	return nil
}

// visitMessage handles what comes on the channel of an invitation before there is a session.
func (c *Core) visitMessage(ch *channel, data []byte) error {
	m, err := openStrangers(data)
	if err != nil {
		return err
	}
	v, data := ch.visit, m.Handshake.Data
	inviter, is := ch.opens, func(kind wire.SealedKind, step uint32) bool { return m.Kind == kind && m.Handshake.Step == step }
	switch {
	case inviter && v.invitation != nil && is(wire.SealedInvitation, 2):
		return c.hand(ch, data)
	case inviter && v.handshake != nil && is(wire.SealedHandshake, 2):
		t, third, err := v.handshake.Finish(data)
		if err != nil {
			return visitError(err)
		}
		if err := c.meet(v, t, true); err != nil {
			return err
		}
		c.queue(ch, strangers(wire.SealedHandshake, 3, third))
		return c.letIn(ch)
	case !inviter && v.handshake == nil && is(wire.SealedHandshake, 1):
		v.index = c.newIndex()
		h, second, err := c.seal.keys.Respond(c.self(v.index), c.cfg.Entropy, data)
		if err != nil {
			return visitError(err)
		}
		v.handshake = h
		c.queue(ch, strangers(wire.SealedHandshake, 2, second))
		return nil
	case !inviter && v.handshake != nil && is(wire.SealedHandshake, 3):
		t, err := v.handshake.Complete(data)
		if err != nil {
			return visitError(err)
		}
		return c.meet(v, t, false)
	}
	return fmt.Errorf("%w: invitation out of order", ErrProtocol)
}

// hand gives the bot the secret, if it is the right one, and begins the handshake of the session (SEC-20).
func (c *Core) hand(ch *channel, second []byte) error {
	v := ch.visit
	secret, key := c.seal.keys.Shared()
	third, err := v.invitation.Hand(second, v.peer, secret, key)
	v.invitation = nil
	if err != nil {
		return visitError(err)
	}
	c.queue(ch, strangers(wire.SealedInvitation, 3, third))
	v.index = c.newIndex()
	h, first, err := c.seal.keys.Initiate(c.self(v.index), c.cfg.Entropy)
	if err != nil {
		return err
	}
	v.handshake = h
	c.queue(ch, strangers(wire.SealedHandshake, 1, first))
	return nil
}

// meet keeps the session that a visit has led to, if it is with the one who is to be there.
func (c *Core) meet(v *visit, t *sealed.Session, asked bool) error {
	public, _ := t.Peer()
	if public != v.peer { // SEC-20
		t.Erase() // SEC-10
		return ErrIdentity
	}
	if err := c.vouch(address{signaling: true}, t); err != nil {
		return err
	}
	v.session = c.establish(address{}, t, v.index, asked)
	v.handshake = nil
	return nil
}

// endVisit lets go of what an invitation has begun and not ended (SEC-10).
func (c *Core) endVisit(ch *channel) {
	v := ch.visit
	if v == nil || c.seal == nil {
		return
	}
	if v.invitation != nil {
		v.invitation.Erase()
	}
	if v.handshake != nil {
		v.handshake.Erase()
	}
	if v.session == nil && c.seal.sessions[v.index] == nil {
		delete(c.seal.sessions, v.index)
	}
	v.invitation, v.handshake = nil, nil
}

// An Invitation is what a bot is told that is invited into a sealed group.
type Invitation struct {
	Secret sealed.Secret
	Key    string        // in the form in which it stands in a URL
	From   sealed.Public // who says so, and will be the one at the other end
}

// An Anteroom is where one stands that has opened a WebSocket to a bot to invite it into a sealed group, until the bot knows
// into which (SEC-20). It takes what comes over the WebSocket, message by message.
type Anteroom struct {
	identity   *sealed.Identity // the bot's
	entropy    io.Reader
	invitation *sealed.Invitation // nil: nothing has come
}

// NewAnteroom returns one of a bot with an identity; a nil entropy is that of crypto/rand.
func NewAnteroom(identity *sealed.Identity, entropy io.Reader) *Anteroom {
	return &Anteroom{identity: identity, entropy: entropy}
}

// Receive takes a message. It returns what is to be sent back, or, in the end, the invitation. After an error the WebSocket
// is to be closed.
func (a *Anteroom) Receive(data []byte) (answer []byte, inv *Invitation, err error) {
	m, err := openStrangers(data)
	switch {
	case err != nil:
		return nil, nil, err
	case m.Kind == wire.SealedInvitation && m.Handshake.Step == 1 && a.invitation == nil:
		i, second, err := sealed.Invited(a.identity, a.entropy, m.Handshake.Data)
		if err != nil {
			return nil, nil, visitError(err)
		}
		a.invitation = i
		return strangers(wire.SealedInvitation, 2, second), nil, nil
	case m.Kind == wire.SealedInvitation && m.Handshake.Step == 3 && a.invitation != nil:
		secret, key, from, err := a.invitation.Accept(m.Handshake.Data)
		if err != nil {
			return nil, nil, visitError(err)
		}
		if len(key) > MaxKey { // SIG-2
			return nil, nil, fmt.Errorf("%w: a key of %d bytes", ErrProtocol, len(key))
		}
		return nil, &Invitation{secret, key, from}, nil
	}
	return nil, nil, fmt.Errorf("%w: invitation out of order", ErrProtocol)
}

// Close lets go of an invitation that has come to nothing (SEC-10).
func (a *Anteroom) Close() {
	if a.invitation != nil {
		a.invitation.Erase()
	}
}

// InvitedSealed is [Core.Invited] for the sealed group that an [Anteroom] has told of; spent is how long the WebSocket has been
// open, as the time for the whole invitation runs from there (CHN-16), and key is what users call the group's key.
func (c *Core) InvitedSealed(now time.Duration, inv *Invitation, spent time.Duration, key, listen string) (Link, []Output, error) {
	c.begin(now)
	switch {
	case c.state != StateLeft:
		return 0, c.outputs, refused("in a group")
	case !c.mayBe(inv.From): // SEC-26
		return 0, c.outputs, ErrNotListed
	}
	c.enter(key, listen)
	c.seal = newSeal(sealed.Derive(inv.Secret, inv.Key))
	ch := c.enterInvited()
	ch.visit = &visit{peer: inv.From, spent: spent}
	return ch.link, c.outputs, nil
}

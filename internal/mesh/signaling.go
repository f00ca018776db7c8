package mesh

import (
	"errors"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// A signalingLink is the connection to the signaling server.
type signalingLink struct {
	link    Link // 0: none
	state   SignalingState
	closing bool   // the last link is being closed
	goodbye *timer // how long that may take before members are left
	out     [][]byte
	ready   bool   // Pull is going to be called
	opening *timer // until it is open
	beat    *timer
	retry   *timer
	missed  int  // heartbeats of the server
	again   bool // connect is to be sent when the last one has been answered
	failed  int  // attempts to join through it, in a row
	led     bool // the last attempt to join through it was one to find others of a group in parts
}

func (s *signalingLink) pull() []byte {
	if len(s.out) == 0 {
		s.ready = false
		return nil
	}
	b := s.out[0]
	s.out = s.out[1:]
	return b
}

func (c *Core) setSignaling(s SignalingState, err error) {
	if c.sig.state != s {
		c.sig.state = s
		c.emit(NewSignalingState{s, err})
	}
}

// connectSignaling opens the WebSocket to the signaling server (SIG-41).
func (c *Core) connectSignaling() {
	c.pause.stop()
	c.sig.link = c.newLink()
	c.sig.out, c.sig.ready = nil, false
	c.sig.failed = 0
	c.setSignaling(SignalingConnecting, nil)
	c.emit(DialSignaling{c.sig.link, c.room()})
	c.sig.opening = c.after(SignalingTimeout, func() {
		c.closeSignaling(ErrTimeout)
		c.signalingLost(ErrTimeout)
	})
}

func (c *Core) signalingOpened() {
	c.sig.opening.stop()
	c.sig.missed, c.sig.again = 0, false
	c.sig.beat = c.after(SignalingInterval, c.signalingBeat)
	c.setSignaling(SignalingOpen, nil)
	if c.topology != constructing {
		c.check()
	}
}

// signalingBeat sends a heartbeat, or closes signaling if the server is silent (SIG-13).
func (c *Core) signalingBeat() {
	c.sig.missed++
	if c.sig.missed >= SignalingMaxMissed { // SIG-13
		c.closeSignaling(ErrSilent)
		c.signalingLost(ErrSilent)
		return
	}
	c.sig.beat = c.after(SignalingInterval, c.signalingBeat)
	c.post(&wire.Signaling{Kind: wire.SignalingHeartbeat, Heartbeat: true})
}

// closeSignaling closes the WebSocket with 1000 (SIG-39); it is of no concern from then on.
func (c *Core) closeSignaling(err error) {
	if c.sig.link == 0 {
		return
	}
	c.emit(Close{Link: c.sig.link})
	c.endSignaling(err)
	c.sig.closing = c.state == StateLeaving
}

// endSignaling notes that the WebSocket is no more.
func (c *Core) endSignaling(err error) {
	c.sig.opening.stop()
	c.sig.beat.stop()
	c.sig.retry.stop()
	c.sig.out = nil
	if c.state != StateLeaving {
		c.sig.link = 0
	}
	c.setSignaling(SignalingClosed, err)
}

// signalingLost does what the loss of signaling leads to; close codes are all alike (SIG-39, STA-13 to STA-15).
func (c *Core) signalingLost(err error) {
	for _, a := range c.attemptsBy(true) {
		c.fail(a, ErrGone)
	}
	switch c.topology {
	case idle:
		c.lost(err)
	case constructed:
		if len(c.others()) == 0 {
			c.becomeIdle()
		} else {
			c.reconnect()
		}
	}
}

// post sends a message to the signaling server.
func (c *Core) post(m *wire.Signaling) {
	if c.sig.link != 0 && c.sig.state != SignalingConnecting && c.sig.state != SignalingClosed {
		c.sig.out = append(c.sig.out, m.Append(nil))
		if !c.sig.ready {
			c.sig.ready = true
			c.emit(Ready{c.sig.link})
		}
	}
}

// check tells the server who this member is and whom it sees: it asks whether this is in the server's group
// (SIG-25, STA-7).
func (c *Core) check() {
	switch {
	case c.sig.state == SignalingChecking:
		c.sig.again = true // STA-8
		return
	case c.sig.state != SignalingChecked && c.sig.state != SignalingOpen:
		return
	case c.attempts[0] != nil:
		return // STA-5: it will lead to a check; a connect now could put the member out that lets us in
	}
	c.sig.retry.stop()
	c.sig.again = false
	c.setSignaling(SignalingChecking, nil)
	c.post(&wire.Signaling{Kind: wire.SignalingConnect, Connect: wire.GroupData{ID: c.id, Members: c.others()}})
}

// signalingReceived handles a message of the server (SIG-13, SIG-25).
func (c *Core) signalingReceived(data []byte) {
	var m wire.Signaling
	if err := m.Decode(data); err != nil {
		c.emit(Note{Text: "signaling message ignored", Err: err})
		return
	}
	switch m.Kind {
	case wire.SignalingHeartbeat:
		c.sig.missed = 0
	case wire.SignalingConnected:
		switch {
		case c.sig.state == SignalingChecking:
			c.checked(m.Connected)
		case c.sig.state == SignalingChecked && !m.Connected:
			c.led()
		}
	case wire.SignalingContent:
		c.content(&m.Content)
	}
}

// checked takes the answer to connect: this peer is a member, or is bound to one through which it can become one
// (STA-7).
func (c *Core) checked(member bool) {
	c.setSignaling(SignalingChecked, nil)
	defer func() {
		if c.sig.again { // STA-8
			c.check()
		}
	}()
	switch {
	case !member: // STA-5
		if c.topology == idle {
			c.setState(StateJoining)
		}
		c.sig.led = false
		c.request(address{signaling: true, me: c.id}, []byte{}, nil)
	case c.topology == idle: // STA-4
		c.becomeConstructed()
	case c.topology == constructed:
		c.becomeJoined()
	}
}

// led is called when the server, unasked, leads this member to another one, as it thinks that they are in parts of the
// group that do not know each other; or wants to know whom this one knows, which the connect tells it that follows an
// attempt without an answer (STA-20). The member stays what it is meanwhile.
func (c *Core) led() {
	if c.topology == constructed && c.attempts[0] == nil && len(c.others()) > 0 {
		c.sig.led = true
		c.request(address{signaling: true, me: c.id}, []byte{}, nil)
	}
}

// signalingFailed is called when no way in was found through the member that the server chose: it is asked again, which
// has it choose another one (STA-5). The first time at once, then after growing pauses.
func (c *Core) signalingFailed() {
	if c.sig.state == SignalingClosed {
		return // it begins anew
	}
	if c.sig.led { // STA-20
		c.check()
		return
	}
	n := min(c.sig.failed, 6)
	c.sig.failed++
	if n == 0 {
		c.check()
		return
	}
	c.sig.retry.stop()
	c.sig.retry = c.after(time.Duration(n)*RetryPause, c.check)
}

// content handles what a peer sends through the server (SIG-28, SIG-29, SIG-32).
func (c *Core) content(m *wire.Content) {
	from := address{signaling: true, id: m.SenderID, me: m.RecipientID}
	if m.SenderID >= MinID {
		return // no signaling id; the server never sends it
	}
	if m.Data == nil { // STA-10: the other end is gone
		if a := c.attempts[from.id]; a != nil {
			// What is open, or offered to a joiner, may yet succeed.
			if ch := c.building(a); ch == nil || a.asked && !ch.opened {
				c.fail(a, ErrGone)
			}
		}
		return
	}
	var inner wire.Message
	if err := inner.Decode(m.Data); err != nil {
		c.emit(Note{Text: "content ignored", Err: err})
		return
	}
	if c.seal != nil {
		c.sealedContent(from, &inner)
		return
	}
	c.service(from, inner.ServiceID, inner.Content)
}

// service handles a message by which a channel is built, whichever way it came.
func (c *Core) service(from address, id uint32, content []byte) {
	var err error
	switch id {
	case wire.ServiceChannelBuilder:
		var m wire.ChannelBuilder
		if err = m.Decode(content); err == nil {
			c.builder(from, &m)
		}
	case wire.ServiceDataChannelBuilder:
		var m wire.DataChannelBuilder
		if err = m.Decode(content); err == nil {
			c.dataChannel(from, m)
		}
	}
	if err != nil {
		c.emit(Note{Text: "message ignored", ID: from.id, Err: err})
	}
}

var errNoRoute = errors.New("no route")

// tell sends a service's message to the other end of a channel in the making, by the way in which that end is
// addressed, sealed if the group is (SEC-12).
func (c *Core) tell(to address, service uint32, content []byte) error {
	if c.seal != nil {
		s := c.session(to)
		if s == nil {
			return errNoSession
		}
		b, err := c.sealIn(s, &wire.Inner{ServiceID: service, Content: content}, nil)
		if err != nil {
			return err
		}
		service, content = wire.ServiceSealed, b
	}
	return c.carry(to, service, content)
}

// carry sends a message as it is.
func (c *Core) carry(to address, service uint32, content []byte) error {
	// BLD-1, BLD-2
	m := wire.Message{SenderID: to.me, RecipientID: to.id, ServiceID: service, Content: content}
	if to.signaling {
		c.post(&wire.Signaling{Kind: wire.SignalingContent, Content: wire.Content{
			SenderID: to.me, RecipientID: to.id, Data: m.Append(nil)}})
		return nil
	}
	ch := c.route(to.id)
	if ch == nil {
		ch = c.channels[to.via] // BLD-5: the answer to one that is no member goes as its request came
	}
	if ch == nil || ch.member == nil {
		return errNoRoute
	}
	c.queue(ch, m.Append(nil))
	return nil
}

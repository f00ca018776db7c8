package mesh

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/meshpair/meshpair/internal/wire"
)

// An address says where the other end of a channel in the making is found: in the group (BLD-1), or through signaling
// (BLD-2), where
// 0 is the member that the server chose and other ids are those of joining peers (SIG-26 to SIG-29).
type address struct {
	signaling bool
	id        uint32 // the other end's
	me        uint32 // this end's
	via       Link   // on which it was heard, in the group: the way to it if no other is known
}

// An attempt to build a channel. It is waiting for a response, or negotiating, until it settles: a channel is open and
// initialised, or there will be none. While it lasts it is in Core.attempts, by its address's id.
type attempt struct {
	to          address
	asked       bool   // by this end
	waits       bool   // for a session, before it asks (SEC-12)
	content     []byte // of the request
	negotiating bool
	timer       *timer
	settled     func(error) // called once when it is over; may be nil

	channel  *channel // that this end tries to open; nil: none
	accepted *channel // WebSocket that the other end has opened; nil: none
	offers   int      // of the other end
	neg      wire.Negotiation
	first    bool // this end is the initiator of neg
}

// building returns the channel that an attempt is about to have, whichever end opens it.
func (c *Core) building(a *attempt) *channel {
	if a.channel != nil {
		return a.channel
	}
	if ch := a.accepted; ch != nil && c.channels[ch.link] == ch && ch.member == nil {
		return ch
	}
	if ch := c.builds[a.to.id]; ch != nil && ch.member == nil {
		return ch
	}
	return nil
}

// attemptsBy returns the attempts that go through signaling, or those that do not, in a fixed order.
func (c *Core) attemptsBy(signaling bool) []*attempt {
	var all []*attempt
	for _, a := range c.attempts {
		if a.to.signaling == signaling {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b *attempt) int { return int(a.to.id) - int(b.to.id) })
	return all
}

// cancelAttempts gives all attempts up, and tells nobody.
func (c *Core) cancelAttempts() {
	for _, a := range append(c.attemptsBy(true), c.attemptsBy(false)...) {
		a.settled = nil
		c.fail(a, ErrCanceled)
	}
}

// request asks a peer for a channel (BLD-3, BLD-4, MSH-6).
func (c *Core) request(to address, content []byte, settled func(error)) {
	a := &attempt{to: to, asked: true, content: content, settled: settled}
	c.attempts[to.id] = a
	if a.waits = c.secure(a); !a.waits {
		c.ask(a)
		return
	}
	timeout := HandshakeTimeout
	if to.signaling { // where a server that only asks for this member's view (SIG-50) waits for the end of it
		timeout = ResponseTimeout
	}
	a.timer = c.after(timeout, func() { c.fail(a, ErrNoResponse) })
}

// ask sends the request of an attempt.
func (c *Core) ask(a *attempt) {
	a.timer.stop()
	a.timer = c.after(ResponseTimeout, func() { // BLD-7
		c.unanswered(a.to.id)
		c.fail(a, ErrNoResponse)
	})
	c.send74(a.to, &wire.ChannelBuilder{Kind: wire.ChannelBuilderConnectionRequest, ConnectionRequest: a.content})
}

// send74 sends a message of the channel builder.
func (c *Core) send74(to address, m *wire.ChannelBuilder) {
	if err := c.tell(to, wire.ServiceChannelBuilder, m.Append(nil)); err != nil {
		c.emit(Note{Text: "message not sent", ID: to.id, Err: err})
	}
}

// builder handles a message of the channel builder.
func (c *Core) builder(from address, m *wire.ChannelBuilder) {
	switch m.Kind {
	case wire.ChannelBuilderConnectionRequest:
		c.requested(from, m.ConnectionRequest)
	case wire.ChannelBuilderConnectionResponse:
		c.responded(from, m.ConnectionResponse)
	case wire.ChannelBuilderNegotiation:
		c.negotiate(from, m.Negotiation)
	}
}

// requested answers a connection request (BLD-5 to BLD-8).
func (c *Core) requested(from address, content []byte) {
	if c.state == StateLeaving || from.id == 0 {
		return
	}
	old := c.attempts[from.id]
	if old != nil && from.id >= c.id && (old.asked || old.neg.HasPassive) { // BLD-8: of two who ask each other the lower id wins
		return
	}
	ok := from.signaling
	switch {
	case old == nil && len(c.attempts) >= MaxAttempts: // BLD-6
		ok = false
	case !from.signaling:
		var r wire.ConnectionRequest
		if err := r.Decode(content); err != nil {
			c.emit(Note{Text: "connection request denied", ID: from.id, Err: err})
		} else {
			ok = r.ID == from.id && c.hearOf(r.ID, r.AdjacentIDs) // BLD-6, MSH-7
		}
	}
	if ok {
		a := &attempt{to: from, negotiating: true}
		if old != nil { // whoever waits for the old one gets this
			a.settled, old.settled = old.settled, nil
			c.fail(old, ErrCanceled)
		}
		a.timer = c.after(ConnectTimeout, func() { c.fail(a, ErrTimeout) }) // BLD-16
		c.attempts[from.id] = a
	}
	c.send74(from, &wire.ChannelBuilder{Kind: wire.ChannelBuilderConnectionResponse, ConnectionResponse: ok})
}

// responded begins the negotiation with a peer that agreed to have a channel (BLD-9).
func (c *Core) responded(from address, ok bool) {
	a := c.attempts[from.id]
	if a == nil || !a.asked || a.waits || a.negotiating || a.to.signaling != from.signaling {
		return
	}
	if !ok {
		c.fail(a, ErrDenied)
		return
	}
	a.to.me = from.me // over signaling it becomes known only now
	a.negotiating = true
	a.timer.stop()
	a.timer = c.after(ConnectTimeout, func() { c.fail(a, ErrTimeout) }) // BLD-16
	if !from.signaling {
		c.announce(c.members[from.id]) // MSH-4
	}
	c.send74(a.to, &wire.ChannelBuilder{Kind: wire.ChannelBuilderNegotiation, Negotiation: wire.Negotiation{Initiator: c.info(a.to)}})
	if c.isBlocked(a.to) {
		c.fail(a, ErrBlocked)
	}
}

// negotiate goes on with a negotiation (BLD-10 to BLD-12).
func (c *Core) negotiate(from address, n wire.Negotiation) {
	a := c.attempts[from.id]
	if a == nil || !a.negotiating || a.to.signaling != from.signaling { // BLD-10
		return
	}
	begins := !n.HasPassive
	if begins { // BLD-11
		n.Initiator.ID = from.id
		n.Passive = c.info(from)
		n.Passive.ID = from.me
		n.HasPassive = true
	}
	if !negotiable(&n) {
		if begins { // the other end cannot know
			c.send74(a.to, &wire.ChannelBuilder{Kind: wire.ChannelBuilderNegotiation, Negotiation: n})
		}
		c.fail(a, ErrNegotiation)
		return
	}
	if a.channel != nil {
		return // what is being tried may yet succeed
	}
	a.neg = n
	a.first = n.Passive.ID == from.id // BLD-11
	c.proceed(a)
}

// negotiable reports whether there is anything left to try (BLD-13).
func negotiable(n *wire.Negotiation) bool {
	i, p := &n.Initiator, &n.Passive
	return i.WSS != "" && !p.WSTried || p.WSS != "" && !i.WSTried ||
		i.DCSupported && p.DCSupported && (!i.DCTried || !p.DCTried)
}

// proceed takes the next step of a negotiation (BLD-12).
func (c *Core) proceed(a *attempt) {
	me, other := &a.neg.Passive, &a.neg.Initiator
	if a.first {
		me, other = other, me
	}
	dc := me.DCSupported && other.DCSupported
	switch {
	case other.WSS != "" && !me.WSTried && !c.cfg.NoDial:
		c.dial(a, other)
	case me.WSS != "" && !other.WSTried:
		c.passOn(a)
	case dc && !me.DCTried:
		c.offer(a)
	case dc && !other.DCTried:
		c.passOn(a)
	default:
		c.passOn(a) // once more, so that the other end knows (BLD-12)
		c.fail(a, ErrNegotiation)
	}
}

// passOn sends the negotiation to the other end (BLD-14).
func (c *Core) passOn(a *attempt) {
	c.send74(a.to, &wire.ChannelBuilder{Kind: wire.ChannelBuilderNegotiation, Negotiation: a.neg})
}

// isBlocked reports whether there is to be no channel with a peer.
func (c *Core) isBlocked(to address) bool {
	_, blocked := c.blocked[to.id]
	return blocked && !to.signaling
}

// drop ends a channel with a member as a failing network would.
func (c *Core) drop(in Drop) error {
	m := c.members[in.ID]
	switch {
	case c.state != StateJoining && c.state != StateJoined:
		return ErrNotInGroup
	case in.ID < MinID || in.ID == c.id:
		return ErrNoMember
	case in.Block: // also of one that has just been lost, and will be back
		c.blocked[in.ID] = struct{}{}
		if a := c.attempts[in.ID]; a != nil && !a.to.signaling {
			c.fail(a, ErrBlocked)
		}
		m = c.members[in.ID] // unless it has gone with its attempt
		if m == nil {
			return nil
		}
	case m == nil || !m.announced:
		return ErrNoMember
	}
	switch ch := m.ch; {
	case ch == nil:
	case in.Hole:
		ch.hole = true
	default:
		m.ch = nil
		c.close(ch, true)
		c.lose(m, ErrDropped)
	}
	return nil
}

// unblock lets channels with a member be built again, and asks for one.
func (c *Core) unblock(id uint32) {
	if _, blocked := c.blocked[id]; !blocked {
		return
	}
	delete(c.blocked, id)
	if m := c.members[id]; m != nil {
		m.retryAt = 0
		c.connectTo([]uint32{id}, 0, nil)
	}
}

// kind returns what the ends of an attempt's channel will be to each other (BLD-15).
func (a *attempt) kind() kind {
	switch {
	case !a.to.signaling:
		return internal
	case a.first:
		return withMember
	default:
		return withJoining
	}
}

// dial tries a WebSocket (BLD-16, CHN-9).
func (c *Core) dial(a *attempt, other *wire.Info) {
	if !isWebSocketURL(other.WSS) {
		c.tried(a, false, fmt.Errorf("%w: URL %.100q", ErrProtocol, other.WSS))
		return
	}
	k := a.kind()
	group := c.groupID
	if k == withMember {
		group = other.GroupID
	}
	if a.channel = c.newChannel(a.to, k, DialTimeout); a.channel == nil {
		c.tried(a, false, ErrBusy)
		return
	}
	a.channel.opens, a.channel.dials = true, true
	if c.seal != nil {
		s := c.session(a.to)
		if s == nil {
			c.tried(a, false, errNoSession)
			return
		}
		_, index := s.Indexes()
		c.emit(Dial{a.channel.link, dialSealedURL(other.WSS, k, int64(index))})
		return
	}
	c.emit(Dial{a.channel.link, dialURL(other.WSS, k, group, strconv.FormatUint(uint64(a.to.me), 10), c.key)})
}

// invite dials a member that listens and lets it join through this one (CHN-9).
func (c *Core) invite(in Invite) {
	switch {
	case c.state != StateJoining && c.state != StateJoined || c.id == 0:
		c.emit(Done{in.Token, ErrNotInGroup})
		return
	case c.seal != nil && in.Bot == nil: // SEC-20
		c.emit(Done{in.Token, ErrNoIdentity})
		return
	case c.seal != nil && !c.mayBe(*in.Bot): // SEC-26
		c.emit(Done{in.Token, ErrNotListed})
		return
	case !isWebSocketURL(in.URL):
		c.emit(Done{in.Token, fmt.Errorf("%w: %.100q", ErrURL, in.URL)})
		return
	}
	ch := c.newChannel(address{signaling: true}, withJoining, DialTimeout)
	if ch == nil {
		c.emit(Done{in.Token, ErrBusy})
		return
	}
	ch.opens, ch.dials = true, true
	ch.apart, ch.token = true, in.Token
	if c.seal != nil {
		ch.visit = &visit{peer: *in.Bot}
		c.emit(Dial{ch.link, dialSealedURL(in.URL, withJoining, -1)})
		return
	}
	c.emit(Dial{ch.link, dialURL(in.URL, withJoining, c.groupID, "-1", c.key)})
}

// offer tries a data channel (BLD-19, CHN-7).
func (c *Core) offer(a *attempt) {
	if old := c.builds[a.to.id]; old != nil && old.member == nil {
		c.close(old, true)
	}
	if a.channel = c.newChannel(a.to, a.kind(), DataChannelTimeout); a.channel == nil {
		c.tried(a, true, ErrBusy)
		return
	}
	a.channel.opens = true
	c.builds[a.to.id] = a.channel
	id := c.id
	if c.seal != nil { // SEC-22
		id = 0
	}
	c.emit(Offer{a.channel.link, label{id, a.channel.kind.remote()}.String()})
}

// unbuilt is called when a channel came to nothing.
func (c *Core) unbuilt(ch *channel, err error) {
	a := c.attempts[ch.to.id]
	switch {
	case ch == c.invited:
		c.leave(err)
	case a == nil || ch.apart:
	case ch.opened: // but not initialised
		c.fail(a, err)
	case a.channel == ch:
		a.channel = nil
		c.tried(a, !ch.dials, err)
	}
}

// tried goes on after a vain try (BLD-12).
func (c *Core) tried(a *attempt, dataChannel bool, err error) {
	c.emit(Note{Text: "no channel", ID: a.to.id, Err: err})
	me := &a.neg.Passive
	if a.first {
		me = &a.neg.Initiator
	}
	if dataChannel {
		me.DCTried = true
	} else {
		me.WSTried = true
	}
	c.proceed(a)
}

// succeed ends an attempt for which there is a channel now.
func (c *Core) succeed(id uint32) {
	if a := c.attempts[id]; a != nil {
		a.timer.stop()
		c.unshake(a)
		delete(c.attempts, id)
		if a.channel != nil && a.channel.member == nil { // another one came first
			c.close(a.channel, true)
		}
		if a.to.signaling && a.asked {
			c.sig.failed = 0
		}
		if a.settled != nil {
			a.settled(nil)
		}
	}
}

// fail gives an attempt up (BLD-17).
func (c *Core) fail(a *attempt, err error) {
	if c.attempts[a.to.id] != a {
		return
	}
	a.timer.stop()
	c.unshake(a)
	delete(c.attempts, a.to.id)
	if ch := c.building(a); ch != nil && !ch.closing {
		c.close(ch, true)
	}
	if a.settled != nil {
		a.settled(err)
	}
	if a.to.signaling && a.asked && err != ErrCanceled {
		if c.sig.led {
			c.emit(Note{Text: "led to nobody", Err: err})
		} else {
			c.emit(Unconnected{0, err})
		}
		if c.sig.state == SignalingChecked {
			c.signalingFailed()
		}
	}
}

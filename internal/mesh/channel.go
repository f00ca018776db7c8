package mesh

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// A kind says what the ends of a channel are to each other, as seen from this end (CHN-2).
type kind uint32

const (
	internal    kind = 0 // both are members
	withJoining kind = 1 // the other end joins through this one
	withMember  kind = 2 // this one joins through the other end
)

// remote returns the kind that the other end sees.
func (k kind) remote() kind { return [...]kind{internal, withMember, withJoining}[k] }

// A channel is a link to a peer: in the making, being initialised, or open. It is one of these as long as it is in
// Core.channels.
type channel struct {
	link    Link
	kind    kind
	to      address // where the other end is found while the channel is built
	opens   bool    // this end offered or dialled it; its kind is known then
	dials   bool    // by WebSocket
	offered bool    // the other end has offered it

	accepted bool   // a WebSocket that the other end dialled
	apart    bool   // of no attempt: for an invitation, or for who has the key
	visit    *visit // of an invitation into a sealed group
	opened   bool
	member   *member       // set once it is initialised
	old      *channel      // that this one replaces; it is closed when something has come over this one (CHN-25)
	listed   uint64        // how many members had been announced when initPing was sent
	token    uint64        // of the invitation, until its outcome has been told
	closing  bool          // closed by this end; kept only when leaving
	timer    *timer        // of the opening, then of the initialisation
	missed   int           // heartbeats
	stalled  bool          // nothing is read
	heard    time.Duration // when something came
	asked    time.Duration // when a sign of life was asked for since; 0: it was not
	hole     bool          // on demand all vanishes, as in a network that has failed silently
	suspect  bool          // nothing comes, and no sign of life
	lives    time.Duration // when a sign of life came another way since; 0: none did

	out     [][]byte // to be sent before the user's messages
	outSize int      // bytes in out
	beating bool     // a heartbeat is among them
	flooded bool     // too much waits in it
	ready   bool     // Pull is going to be called
	scratch []byte
	turn    uint32 // the member that was sent something last, of those whose route this is
}

// byLink returns all channels in the order in which they were begun.
func (c *Core) byLink() []*channel {
	all := make([]*channel, 0, len(c.channels))
	for _, ch := range c.channels {
		all = append(all, ch)
	}
	slices.SortFunc(all, func(a, b *channel) int { return int(a.link) - int(b.link) })
	return all
}

// newChannel begins a channel to a peer and gives it the time to open. It returns nil if too many are in the making.
func (c *Core) newChannel(to address, k kind, timeout time.Duration) *channel {
	if len(c.making) >= MaxMaking {
		c.emit(Note{Text: "no channel: too many are in the making", ID: to.id})
		return nil
	}
	ch := &channel{link: c.newLink(), kind: k, to: to}
	c.channels[ch.link] = ch
	c.making[ch.link] = struct{}{}
	ch.timer = c.after(timeout, func() { c.broken(ch, ErrTimeout) })
	return ch
}

// close closes a link, without a word before (CHN-21); it is of no concern from then on, except when leaving, which
// waits for its end.
func (c *Core) close(ch *channel, abort bool) {
	c.release(ch)
	ch.closing = true
	if c.state != StateLeaving {
		delete(c.channels, ch.link)
	}
	c.emit(Close{ch.link, abort})
}

// release takes from a channel whatever refers to it.
func (c *Core) release(ch *channel) {
	ch.timer.stop()
	ch.out, ch.outSize = nil, 0
	if c.builds[ch.to.id] == ch {
		delete(c.builds, ch.to.id)
	}
	c.replaced(ch)
	c.endVisit(ch)
	c.invitation(ch, ErrGone)
}

// replaced closes the channel that a channel has replaced.
func (c *Core) replaced(ch *channel) {
	old := ch.old
	ch.old = nil
	if old != nil && !old.closing { // as it is when leaving
		c.close(old, false)
	}
}

// opened handles a link that can be used now.
func (c *Core) opened(in Opened) {
	if in.Link == c.sig.link && c.sig.state == SignalingConnecting {
		c.signalingOpened()
		return
	}
	ch := c.channels[in.Link]
	if ch == nil || ch.opened || c.state == StateLeaving {
		return
	}
	ch.opened = true
	delete(c.making, ch.link)
	ch.timer.stop()
	if !ch.opens && !ch.accepted {
		if err := c.readLabel(ch, in.Label); err != nil {
			c.broken(ch, err)
			return
		}
	}
	switch ch.kind {
	case internal: // CHN-11
		c.adopt(ch, ch.to.id)
		return
	case withJoining:
		begin := c.letIn
		if ch.visit != nil {
			begin = c.beginVisit
		}
		if err := begin(ch); err != nil {
			c.broken(ch, err)
			return
		}
	}
	left := InitTimeout
	if ch.visit != nil {
		left -= ch.visit.spent
	}
	ch.timer = c.after(max(left, 0), func() { c.broken(ch, ErrTimeout) }) // CHN-16
}

// letIn tells a peer that joins through this member what it needs (CHN-12).
func (c *Core) letIn(ch *channel) error {
	ch.listed = c.arrivals
	members := c.Members()
	b, err := c.initial(ch, &wire.Channel{Kind: wire.ChannelInitPing, InitPing: wire.ChannelData{
		GroupID: c.groupID, SenderID: c.id, Members: members, Key: c.room(), Identities: c.identities(members)}})
	if err == nil {
		c.queue(ch, b)
	}
	return err
}

// A label is what the end that opens a data channel says of it (CHN-7).
type label struct {
	ID   uint32 `json:"id"`
	Type kind   `json:"type"`
}

func (l label) String() string {
	b, _ := json.Marshal(l) // numbers alone: it cannot fail
	return string(b)
}

// parseLabel reads a label (CHN-7). Its members are looked up one by one, as they must be there, and not under names
// that are merely similar.
func parseLabel(text string) (label, error) {
	var members map[string]json.RawMessage
	var id *uint32
	var k *kind
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		return label{}, err
	}
	if err := errors.Join(json.Unmarshal(members["id"], &id), json.Unmarshal(members["type"], &k)); err != nil {
		return label{}, err
	}
	if id == nil || k == nil {
		return label{}, errors.New("id or type is null")
	}
	return label{*id, *k}, nil
}

// readLabel learns the kind of a channel that the other end opened, and checks that this end can be what the other
// takes it for (CHN-7, CHN-8).
func (c *Core) readLabel(ch *channel, text string) error {
	l, err := parseLabel(text)
	if err != nil {
		return fmt.Errorf("%w: label: %v", ErrProtocol, err)
	}
	want := internal // CHN-8
	switch {
	case ch.to.signaling && ch.to.id == 0:
		want = withMember
	case ch.to.signaling:
		want = withJoining
	}
	id := ch.to.id
	if c.seal != nil { // SEC-22
		id = 0
	}
	if l.Type != want || want == internal && l.ID != id {
		return fmt.Errorf("%w: label %.100q", ErrProtocol, text)
	}
	ch.kind = l.Type
	return nil
}

// received handles a message of a link (CHN-1 to CHN-3).
func (c *Core) received(in Received) {
	if in.Link == c.sig.link && c.sig.link != 0 {
		if c.state != StateLeaving {
			c.signalingReceived(in.Data)
		}
		return
	}
	ch := c.channels[in.Link]
	if ch == nil || !ch.opened || ch.member == nil && c.state == StateLeaving {
		return
	}
	if ch.hole {
		return
	}
	if c.seal == nil {
		ch.missed = 0 // CHN-20
	}
	if ch.member == nil {
		c.initialise(ch, in.Data)
		return
	}
	if c.seal != nil {
		c.receivedSealed(ch, in.Data)
		return
	}
	c.heardOn(ch)
	c.replaced(ch)               // CHN-25
	if len(in.Data) > MaxFrame { // CHN-4
		c.emit(Note{Text: "message ignored: it is too long", ID: ch.member.id})
		return
	}
	var m wire.Message
	if err := m.Decode(in.Data); err != nil { // CHN-3
		c.emit(Note{Text: "message ignored", ID: ch.member.id, Err: err})
		return
	}
	switch m.RecipientID { // CHN-2
	case 0, c.id:
		c.handle(ch, &m)
	default:
		c.forward(ch, &m)
	}
}

// initialise handles the first message of a channel through which one end joins (CHN-12, CHN-15).
func (c *Core) initialise(ch *channel, data []byte) {
	var m wire.Channel
	var from uint32
	var err error
	if ch.visit != nil && ch.visit.session == nil { // SEC-20
		if err = c.visitMessage(ch, data); err != nil {
			c.broken(ch, err)
		}
		return
	}
	if c.seal != nil {
		if from, data, err = c.openInitial(ch, data); err != nil { // SEC-21
			c.broken(ch, err)
			return
		}
	}
	err = m.Decode(data)
	if c.seal != nil && err == nil && (m.Kind == wire.ChannelInitPing && m.InitPing.SenderID != from ||
		m.Kind == wire.ChannelInitPong && m.InitPong != from) { // SEC-11
		err = ErrIdentity
	}
	switch {
	case err != nil:
	case m.Kind == wire.ChannelInitPing && ch.kind == withMember:
		err = c.initPing(ch, &m.InitPing)
	case m.Kind == wire.ChannelInitPong && ch.kind == withJoining:
		err = c.initPong(ch, m.InitPong)
	default:
		return // CHN-15
	}
	if err != nil {
		c.broken(ch, fmt.Errorf("%w: initialisation: %w", ErrProtocol, err))
	}
}

// initPing learns the group that this member joins (CHN-13, CHN-14). The key stays the one that was asked for.
func (c *Core) initPing(ch *channel, d *wire.ChannelData) error {
	switch {
	case d.Topology != 0: // CHN-14
		return fmt.Errorf("topology %d", d.Topology)
	case d.SenderID < MinID || d.GroupID < MinID || d.SenderID == c.id: // CHN-17
		return fmt.Errorf("member %d, group %d", d.SenderID, d.GroupID)
	case c.isBlocked(address{id: d.SenderID}):
		return ErrBlocked
	case c.members[d.SenderID] == nil && len(c.order)+1 >= c.cfg.MaxMembers: // before anything changes
		return errMembers
	case len(c.others()) == 0 && slices.Contains(d.Members, c.id):
		// Somebody has drawn our id: begin anew with another one (CHN-13).
		c.closeSignaling(nil)
		c.lost(ErrGone)
		return nil
	}
	c.groupID = d.GroupID
	pong, err := c.initial(ch, &wire.Channel{Kind: wire.ChannelInitPong, InitPong: c.id})
	if err != nil {
		return err
	}
	c.queue(ch, pong)
	c.becomeConstructing()
	c.adopt(ch, d.SenderID)
	if ch.member == nil { // there are too many already, and the channel is closed
		return nil
	}
	c.wave = &wave{} // MSH-5, MSH-8
	c.connectTo(c.learn(d.Members, d.Identities, d.SenderID), d.SenderID, c.wave)
	c.settle(c.wave)
	return nil
}

// initPong learns the id of the peer that joins through this member (CHN-17).
func (c *Core) initPong(ch *channel, id uint32) error {
	switch {
	case id < MinID || id == c.id:
		return fmt.Errorf("member %d", id)
	case c.isBlocked(address{id: id}):
		return ErrBlocked
	}
	c.adopt(ch, id)
	if ch.member != nil { // who came since initPing was not in its list
		c.introduceTo(ch.member, c.arrivedSince(ch.listed))
	}
	return nil
}

// invitation tells the outcome of the invitation that a channel was dialled for, once.
func (c *Core) invitation(ch *channel, err error) {
	if token := ch.token; token != 0 {
		ch.token = 0
		c.emit(Done{token, err})
	}
}

// broken drops a channel that cannot be used, and tells the attempt that it was made for.
func (c *Core) broken(ch *channel, err error) {
	c.invitation(ch, err)
	c.close(ch, true)
	c.unbuilt(ch, err)
}

// closed handles the end of a link (CHN-22, STA-11).
func (c *Core) closed(in Closed) {
	if in.Link == c.sig.link && c.sig.link != 0 {
		if c.state == StateLeaving {
			c.sig.closing = false
			if !c.departing {
				c.leaveMembers()
			}
			c.maybeLeft()
			return
		}
		c.endSignaling(in.Err)
		c.signalingLost(in.Err)
		return
	}
	delete(c.making, in.Link)
	ch := c.channels[in.Link]
	if ch == nil {
		return
	}
	c.invitation(ch, cmp.Or(in.Err, ErrGone))
	c.release(ch)
	delete(c.channels, in.Link)
	if ch.member == nil {
		c.unbuilt(ch, in.Err)
	} else if ch.member.ch == ch { // CHN-22; CHN-24: of an old channel nobody takes notice
		ch.member.ch = nil
		c.lose(ch.member, in.Err)
	}
	c.maybeLeft()
}

// queue has a message sent on a channel before the user's messages. A peer that takes none, and makes us answer all the
// same, is dropped.
func (c *Core) queue(ch *channel, b []byte) {
	if b == nil { // there is no session to say it in
		return
	}
	if ch.outSize+len(b) > MaxControl {
		if !ch.flooded {
			ch.flooded = true
			c.after(0, func() { c.dropSlow(ch) })
		}
		return
	}
	ch.out = append(ch.out, b)
	ch.outSize += len(b) + itemCost
	c.wake(ch)
}

// dropSlow drops a channel that takes nothing.
func (c *Core) dropSlow(ch *channel) {
	m := ch.member
	switch {
	case c.channels[ch.link] != ch || ch.closing:
	case m == nil:
		c.broken(ch, ErrSlow)
	case m.ch == ch:
		m.ch = nil
		c.close(ch, true)
		c.lose(m, ErrSlow)
	default:
		c.close(ch, true)
	}
}

// wake has Pull called for a channel.
func (c *Core) wake(ch *channel) {
	if !ch.ready && ch.opened {
		ch.ready = true
		c.emit(Ready{ch.link})
	}
}

package mesh

import (
	"container/list"
	"errors"
	"slices"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// A member is another member of the group, or one that is believed to be: adjacent, with a channel of its own, or
// distant, reached through others (MSH-3). It is in Core.members and Core.order as long as it is one of these.
type member struct {
	id        uint32
	announced bool          // the user knows of it
	since     time.Duration // when it was announced
	arrival   uint64        // the how manieth to be announced it is
	ch        *channel      // nil: distant
	adjacent  []uint32      // those that a distant member has channels with, by its own word
	next      *channel      // the route to a distant member, found by findRoutes
	guessed   bool          // adjacent is but a guess
	via       *channel      // on which a distant member was heard last
	missed    int           // heartbeats of a distant member
	retryAt   time.Duration // it is not asked for a channel before
	linked    time.Duration // when it had a channel last
	tries     int           // for a channel, since one lasted
	again     *timer        // until the next one
	hopeless  bool          // the user knows that there is no channel

	delivery
	queue    []item // messages to be sent to it, or that have not been acknowledged
	queued   int    // what they cost
	progress time.Duration
	claimed  bool // by a send that waits, during admit

	partials map[uint32]*partial // incomplete messages of it, by the id of their chunks
	oldest   list.List           // of these, the one begun first in front
	partial  int                 // what they cost
}

// A wave is the connections that one list of members leads to. Joining ends with it (STA-6).
type wave struct{ pending int }

// settle ends joining when nothing is left to wait for.
func (c *Core) settle(w *wave) {
	if w.pending == 0 && c.wave == w {
		c.becomeConstructed()
	}
}

// add makes a member of an id, or returns nil if there are too many.
func (c *Core) add(id uint32) *member {
	if len(c.order)+1 >= c.cfg.MaxMembers || id < MinID || id == c.id {
		return nil
	}
	m := &member{id: id, delivery: delivery{session: c.newSession()}}
	c.members[id] = m
	c.order = append(c.order, m)
	c.reroute()
	return m
}

// announce tells the user of a member, once.
func (c *Core) announce(m *member) {
	if m == nil || m.announced {
		return
	}
	m.announced = true
	m.since = c.now
	c.arrivals++
	m.arrival = c.arrivals
	c.emit(Joined{m.id})
	if c.bridging || len(c.fresh()) > 1 {
		c.gossip.stop()
		c.gossip = c.after(GossipDelay, c.introduce)
	}
}

// fresh returns the members that came not long ago. Two that join at one time through different members may be told of
// each other by nobody, as each is missing in the list that the other was given.
func (c *Core) fresh() []*member {
	var all []*member
	for _, m := range c.order {
		if m.announced && c.now-m.since < FreshTime {
			all = append(all, m)
		}
	}
	return all
}

// introduce tells those who joined at about the same time of each other, so that they need not wait for the members
// round (MSH-11).
func (c *Core) introduce() {
	fresh := c.fresh()
	for _, m := range fresh {
		if m.ch != nil {
			c.introduceTo(m, fresh)
		}
	}
	if !c.bridging {
		return
	}
	c.bridging = false
	others := c.arrivedSince(c.bridged)
	for _, m := range c.order {
		if m.ch != nil && m.arrival <= c.bridged { // MSH-25
			c.introduceTo(m, others)
		}
	}
}

// introduceTo tells a member of others.
func (c *Core) introduceTo(m *member, others []*member) {
	ids := []uint32{c.id}
	for _, o := range others {
		if o != m {
			ids = append(ids, o.id)
		}
	}
	if len(ids) > 1 {
		c.tellMesh(m.id, &wire.FullMesh{Kind: wire.FullMeshMembers, Members: ids, Identities: c.identities(ids)})
	}
}

// arrivedSince returns the members that were announced after the first n.
func (c *Core) arrivedSince(n uint64) []*member {
	var all []*member
	for _, m := range c.order {
		if m.announced && m.arrival > n {
			all = append(all, m)
		}
	}
	return all
}

// adopt makes an initialised channel that of a member (MSH-3).
func (c *Core) adopt(ch *channel, id uint32) {
	m := c.members[id]
	if m == nil {
		m = c.add(id)
	}
	if m == nil {
		c.broken(ch, errMembers)
		return
	}
	ch.timer.stop()
	old := m.ch
	m.ch, ch.member = ch, m
	ch.heard, m.linked = c.now, c.now
	c.reroute()
	m.adjacent, m.via, m.missed, m.retryAt, m.guessed = nil, nil, 0, 0, false
	m.again.stop()
	m.hopeless = false
	switch {
	case old == nil:
	case ch.kind == withJoining: // CHN-23: the newest wins; its initPong has come
		c.close(old, false)
	default:
		ch.old = old // CHN-25
	}
	c.invitation(ch, nil)
	c.greet(m)
	c.rewind(m)
	c.startTimers()
	c.notifyDistant()
	c.announce(m)
	if !ch.apart {
		c.succeed(ch.to.id)
	}
	if ch.kind == withMember {
		c.invited = nil // whichever invitation it was
	}
	if id != ch.to.id {
		c.succeed(id) // it got in through signaling while it was being asked in the group
	}
	if len(m.queue) > 0 {
		c.wake(ch)
	}
}

var errMembers = errors.New("too many members")

// lose handles the end of a member's last channel (MSH-20).
func (c *Core) lose(m *member, err error) {
	if len(c.Neighbors()) == 0 {
		c.wave = nil // what ends with this member does not complete a mesh
	}
	if len(c.Neighbors()) > 0 && m.keeps() && !m.bye && err != ErrSlow && c.state != StateLeaving {
		c.strand(m, err)
		return
	}
	if err == nil {
		err = m.cutShort
	}
	if err == nil && c.seal != nil && !m.bye && c.state != StateLeaving { // SEC-34: whoever is on the way can close a WebSocket, too
		err = ErrUnreachable
	}
	c.forget(m, err)
	if c.state == StateLeaving {
		return
	}
	if len(c.Neighbors()) == 0 { // MSH-21: nobody else can be reached
		for len(c.order) > 0 {
			c.forget(c.order[0], ErrUnreachable)
		}
		c.stopTimers()
		c.becomeIdle()
		return
	}
	c.notifyDistant()
	c.rewake()
	if err != nil && err != ErrSlow {
		if len(c.strayed) == 0 {
			c.seeking = c.after(c.jitter(SeekDelay), c.seek)
		}
		c.strayed = append(c.strayed, m.id)
	}
	if c.topology == constructed {
		c.check() // STA-9
	}
}

// tryAgain has a member that keeps the contract asked for a channel after a pause, which is longer each time (EXT-12).
func (c *Core) tryAgain(m *member) {
	pause := c.jitter(min(SeekDelay<<min(m.tries, 20), RetryDelay))
	m.tries++
	m.retryAt = c.now + pause
	m.again.stop()
	m.again = c.after(pause, func() { c.connectTo([]uint32{m.id}, 0, nil) })
}

// seek asks members for a channel whose last one failed, through the others: they may be alive, and have lost this one
// (MSH-24).
func (c *Core) seek() {
	for _, id := range c.strayed {
		if c.members[id] != nil {
			continue // it is back
		}
		if m := c.add(id); m != nil {
			m.adjacent, m.guessed = c.Neighbors(), true // a guess
			c.reroute()
			c.connectTo([]uint32{id}, 0, nil)
		}
	}
	c.strayed = nil
}

// forget removes a member and all that is held for it (MSH-23).
func (c *Core) forget(m *member, err error) {
	delete(c.members, m.id)
	c.unpair(m.id)
	c.order = remove(c.order, m)
	c.reroute()
	c.partial -= m.partial // MSG-12
	m.partials, m.oldest, m.partial, m.queue, m.queued = nil, list.List{}, 0, nil, 0
	c.dropEarly(m)
	m.repeat.stop()
	m.again.stop()
	if a := c.attempts[m.id]; a != nil {
		c.fail(a, ErrGone)
	}
	if ch := c.builds[m.id]; ch != nil && ch.member == nil {
		c.close(ch, true)
	}
	if m.announced {
		c.emit(Gone{m.id, err})
	}
	c.unsend(m, err)
}

// hearOf notes a distant member and those that it has channels with; it refuses one with a channel here (MSH-7).
func (c *Core) hearOf(id uint32, adjacent []uint32) bool {
	m := c.members[id]
	if m == nil {
		m = c.add(id)
	}
	if m == nil || m.ch != nil { // MSH-10
		return false
	}
	if len(adjacent) > c.cfg.MaxMembers {
		adjacent = adjacent[:c.cfg.MaxMembers]
	}
	m.adjacent, m.guessed = adjacent, false
	c.reroute()
	if !m.announced {
		c.greet(m)
	}
	c.announce(m)
	c.rewake()
	return true
}

// connectTo asks those of a list for a channel with which there is none (MSH-5, MSH-12). from is who sent the list.
func (c *Core) connectTo(ids []uint32, from uint32, w *wave) {
	if len(ids) > c.cfg.MaxMembers {
		ids = ids[:c.cfg.MaxMembers]
	}
	request := (&wire.ConnectionRequest{ID: c.id, AdjacentIDs: c.leading()}).Append(nil)
	for _, id := range ids {
		m := c.members[id]
		if m == nil {
			if m = c.add(id); m == nil {
				continue
			}
			m.adjacent = []uint32{from}
			c.reroute()
		}
		if m.ch != nil || m.retryAt > c.now { // BLD-18
			continue
		}
		a := c.attempts[id]
		if a == nil {
			c.request(address{id: id, me: c.id}, request, nil)
			a = c.attempts[id]
		} else if w == nil || a.settled != nil {
			continue
		}
		if w != nil {
			w.pending++
		}
		a.settled = func(err error) { c.settledWith(id, err, w) }
	}
}

// settledWith is called when an attempt to connect to a member is over.
func (c *Core) settledWith(id uint32, err error, w *wave) {
	if m := c.members[id]; m != nil && err != nil {
		switch {
		case err == ErrBlocked, !m.keeps() && (err == ErrTimeout || err == ErrNegotiation): // BLD-18
			m.retryAt = c.now + RetryDelay
		case m.keeps() && err != ErrCanceled:
			c.tryAgain(m)
		}
		switch {
		case !m.announced:
			c.forget(m, nil)
			if errors.Is(err, ErrSecret) || errors.Is(err, ErrIdentity) || errors.Is(err, ErrNotListed) { // SEC-28
				c.emit(Unconnected{id, err})
			}
		case !m.hopeless:
			m.hopeless = m.keeps()
			c.emit(Unconnected{id, err})
		}
	}
	if w != nil {
		w.pending--
		c.settle(w)
	}
}

// handle handles a message for this member that came on a channel.
func (c *Core) handle(ch *channel, m *wire.Message) {
	from := c.members[m.SenderID]
	if from != nil && from.ch == nil {
		from.via = ch
		if from.keeps() {
			from.missed = 0 // EXT-10
		}
		if from.guessed { // EXT-10: by whom its word comes, it can be reached
			from.adjacent, from.guessed = []uint32{ch.member.id}, false
			c.reroute()
			c.rewakeOne(from)
		}
	}
	if c.state == StateLeaving && m.ServiceID != wire.ServiceUserMessage && m.ServiceID != wire.ServiceDelivery {
		return // STA-17: nothing is begun any more
	}
	switch m.ServiceID {
	case wire.ServiceUserMessage:
		if from != nil && from.announced { // MSG-14
			c.user(from, m.RecipientID != 0, m.Content)
		}
	case wire.ServiceDelivery:
		if from != nil {
			c.deliveryMessage(ch, from, m.Content)
		}
	case wire.ServiceChannelBuilder, wire.ServiceDataChannelBuilder:
		if m.SenderID >= MinID && m.SenderID != c.id {
			c.service(address{id: m.SenderID, me: c.id, via: ch.link}, m.ServiceID, m.Content)
		}
	case wire.ServiceFullMesh:
		if m.SenderID >= MinID && m.SenderID != c.id {
			c.fullMesh(m.SenderID, m.Content)
		}
	}
}

func (c *Core) fullMesh(from uint32, content []byte) {
	var m wire.FullMesh
	if err := m.Decode(content); err != nil {
		c.emit(Note{Text: "message ignored", ID: from, Err: err})
		return
	}
	switch m.Kind {
	case wire.FullMeshMembers: // MSH-12
		c.connectTo(c.learn(m.Members, m.Identities, from), from, nil)
	case wire.FullMeshAdjacentMembers: // MSH-9
		c.learn(m.AdjacentMembers, m.Identities, from)
		if !c.ledTo(c.members[from], m.AdjacentMembers) {
			c.hearOf(from, m.AdjacentMembers)
		}
	case wire.FullMeshHeartbeat: // MSH-13
		if d := c.members[from]; d != nil { // MSH-14
			d.missed = 0
		}
	}
}

// tellMesh sends a message of the full mesh to a member.
func (c *Core) tellMesh(id uint32, m *wire.FullMesh) {
	if c.seal != nil && c.sessionWith(id) == nil { // it is no member yet (SEC-35)
		return
	}
	if err := c.tell(address{id: id, me: c.id}, wire.ServiceFullMesh, m.Append(nil)); err != nil {
		c.emit(Note{Text: "message not sent", ID: id, Err: err})
	}
}

// notifyDistant tells distant members who can reach this one (MSH-9).
func (c *Core) notifyDistant() {
	for _, m := range c.order {
		if m.ch == nil {
			c.tellMesh(m.id, c.leadingHere())
		}
	}
}

func (c *Core) startTimers() {
	if c.beat == nil {
		c.beat = c.after(HeartbeatInterval, c.heartbeats)
	}
	if c.round == nil {
		c.round = c.after(MembersInterval, c.membersRound)
	}
	if c.probing == nil && !c.cfg.Original {
		c.probing = c.after(ProbeInterval, c.probe)
	}
}

// heartbeats sends a heartbeat to every member, and gives up those that are silent (CHN-18, CHN-19, MSH-13).
func (c *Core) heartbeats() {
	c.beat = c.after(HeartbeatInterval, c.heartbeats)
	for _, m := range slices.Clone(c.order) {
		if c.members[m.id] != m {
			continue // lost meanwhile
		}
		if m.ch != nil {
			c.heartbeat(m)
			continue
		}
		if ch := c.route(m.id); ch == nil || !ch.stalled {
			m.missed++
			c.guessAgain(m)
		}
		if m.missed >= MaxMissedDistant { // MSH-13
			c.forget(m, ErrSilent)
			if m.announced && c.topology == constructed {
				c.check() // STA-19
			}
			continue
		}
		c.tellMesh(m.id, &wire.FullMesh{Kind: wire.FullMeshHeartbeat, Heartbeat: true})
		if !m.keeps() && m.announced {
			c.greet(m) // EXT-2: it may be that the first hello, or the answer, was lost on the way
		}
	}
}

func (c *Core) heartbeat(m *member) {
	ch := m.ch
	if !ch.stalled {
		ch.missed++
	}
	if ch.missed >= MaxMissed { // CHN-19
		m.ch = nil
		c.close(ch, false)
		c.lose(m, ErrSilent)
		return
	}
	if !ch.beating { // CHN-18; one at a time, if the link takes none
		ch.beating = true
		c.queue(ch, c.message(m.id, wire.ServiceHeartbeat, nil))
	}
}

// membersRound sends the list of all members to the antecedent (MSH-11).
func (c *Core) membersRound() {
	c.round = c.after(MembersInterval, c.membersRound)
	if id := c.antecedent(); id != 0 {
		members := c.Members()
		c.tellMesh(id, &wire.FullMesh{Kind: wire.FullMeshMembers, Members: members, Identities: c.identities(members)})
	}
}

// antecedent returns the greatest id below this member's, else the greatest of all, 0 if there is none (MSH-11).
func (c *Core) antecedent() uint32 {
	var below, greatest uint32
	for _, id := range c.others() {
		greatest = max(greatest, id)
		if id < c.id {
			below = max(below, id)
		}
	}
	if below != 0 {
		return below
	}
	return greatest
}

// maxListed is how many members are named in one message at most, which keeps it below 65,536 bytes (CHN-4).
const maxListed = 10_000

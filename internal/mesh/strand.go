package mesh

import (
	"errors"
	"slices"

	"github.com/meshpair/meshpair/internal/wire"
)

// Channels that break or fall silent while the members at their ends live, and the ways round them (EXT-9 to EXT-11).

// sign sends a member a sign of life, or asks it for one, on a channel.
func (c *Core) sign(ch *channel, m *member, is bool) {
	d := wire.Delivery{Kind: wire.DeliveryProbe, Probe: is}
	c.queue(ch, c.message(m.id, wire.ServiceDelivery, d.Append(nil)))
}

// probe looks for channels on which nothing comes, and goes round them: their ends do not know of it (EXT-9). One whose
// other end answers by way of others is ended (EXT-11).
func (c *Core) probe() {
	c.probing = c.after(ProbeInterval, c.probe)
	var dead []*channel
	for _, m := range c.order {
		ch := m.ch
		if ch == nil || !m.keeps() {
			continue
		}
		if ch.stalled { // nor is it read there that a sign is asked for: what waits for the user here is no failure
			if len(ch.out) == 0 { // or signs would pile up where nobody reads at all
				c.sign(ch, m, true)
			}
			continue
		}
		if ch.suspect {
			if ch.lives > 0 && c.now-ch.lives >= ProbeInterval {
				dead = append(dead, ch)
			} else {
				c.askAround(m)
			}
			continue
		}
		silent := c.now - ch.heard
		switch {
		case silent >= SuspectAfter && ch.asked > 0 && c.now-ch.asked >= ProbeInterval:
			ch.suspect = true
			c.emit(Note{Text: "a channel is silent", ID: m.id})
			m.adjacent, m.guessed = remove(c.Neighbors(), m.id), true // a guess
			c.reroute()
			c.notifyDistant() // or they send by way of it what nobody gets
			c.shout(m)
			c.rewind(m)
			c.askAround(m)
		case silent >= ProbeAfter && ch.asked == 0:
			ch.asked = c.now
			c.sign(ch, m, false)
		}
	}
	for _, ch := range dead {
		if m := ch.member; m.ch == ch {
			m.ch = nil
			c.close(ch, true)
			c.lose(m, errDead)
		}
	}
}

// errDead is why a channel ends whose other end lives.
var errDead = errors.New("nothing comes on the channel, but by way of others")

// askAround asks a member for a sign of life by way of others, which may lead to it.
func (c *Core) askAround(m *member) {
	left := maxShout
	for _, id := range m.adjacent {
		if o := c.members[id]; o != nil && o.ch != nil && !o.ch.suspect && left > 0 {
			left--
			c.sign(o.ch, m, false)
		}
	}
	if n := len(m.adjacent); n > maxShout { // others the next time
		m.adjacent = append(slices.Clone(m.adjacent[maxShout:]), m.adjacent[:maxShout]...)
	}
}

// answered notes that a member whose channel is silent lives, and who leads to it.
func (c *Core) answered(m *member, on *channel) {
	if m.ch.lives == 0 {
		m.ch.lives = c.now
	}
	if !m.guessed {
		return
	}
	guess := c.route(m.id)
	m.adjacent, m.guessed = []uint32{on.member.id}, false
	c.reroute()
	if guess != on {
		c.rewind(m)
	}
}

// heardOn notes that something came on a channel.
func (c *Core) heardOn(ch *channel) {
	ch.heard, ch.asked, ch.lives = c.now, 0, 0
	if ch.suspect {
		ch.suspect = false
		ch.member.adjacent, ch.member.guessed = nil, false
		c.reroute()
		c.notifyDistant()
		ch.member.pause = 0
		c.repeatLater(ch.member) // what took the other way meanwhile may have been lost there; what was in this one was not
		c.rewakeOne(ch.member)
	}
}

// leading returns the ids of the members that lead to this one, as it tells others: those with a channel that is not
// silent (EXT-9), or with any if all are.
func (c *Core) leading() []uint32 {
	var ids []uint32
	for _, m := range c.order {
		if m.ch != nil && !m.ch.suspect {
			ids = append(ids, m.id)
		}
	}
	if len(ids) == 0 {
		return c.Neighbors() // MSH-6
	}
	return ids
}

// leadingHere is what others are told of them (MSH-9).
func (c *Core) leadingHere() *wire.FullMesh {
	ids := c.leading()
	return &wire.FullMesh{Kind: wire.FullMeshAdjacentMembers, AdjacentMembers: ids, Identities: c.identities(ids)}
}

// strand makes a member distant whose channel broke without a goodbye: it lives, as far as is known, and others lead
// to it (EXT-10).
func (c *Core) strand(m *member, err error) {
	if len(m.adjacent) == 0 || m.guessed {
		m.adjacent, m.guessed = c.Neighbors(), true // a guess
	}
	if c.now-m.linked >= SteadyTime {
		m.tries = 0
	}
	m.missed, m.via = 0, nil
	if err == ErrSilent { // nor has it answered by way of others: it has one tick of MSH-13 left (EXT-11)
		m.missed = MaxMissedDistant - 1
	}
	c.reroute()
	c.emit(Note{Text: "a channel broke", ID: m.id, Err: err})
	c.shout(m)
	if c.notice == nil { // once for all that break in one step
		c.notice = c.after(0, func() { c.notice = nil; c.notifyDistant() })
	}
	c.tryAgain(m)
	c.rewind(m)
	c.rewake()
}

// ledTo notes who leads to a member with which the channel is silent, and tells it the same if that was but a guess. It
// reports whether there is such a channel (EXT-9).
func (c *Core) ledTo(m *member, adjacent []uint32) bool {
	if m == nil || m.ch == nil || !m.ch.suspect {
		return false
	}
	guessed := m.guessed
	m.adjacent, m.guessed = adjacent[:min(len(adjacent), c.cfg.MaxMembers)], false
	c.reroute()
	if guessed {
		c.tellMesh(m.id, c.leadingHere())
	}
	c.rewakeOne(m)
	return true
}

// guessAgain tries another member as the way to one of which only a guess says who leads to it, and tells it along that
// who leads here.
func (c *Core) guessAgain(m *member) {
	if m.guessed && len(m.adjacent) > 1 {
		m.adjacent = append(m.adjacent[1:], m.adjacent[0])
		c.reroute()
		c.tellMesh(m.id, c.leadingHere())
		c.shout(m)
	}
}

// shout tells a member to which nobody knows the way who leads here, through others than the one that is the guess: one
// of them may know it.
func (c *Core) shout(m *member) {
	b := c.message(m.id, wire.ServiceFullMesh, c.leadingHere().Append(nil)) // sealed once: one will do
	guess, left := c.route(m.id), maxShout
	for _, id := range m.adjacent {
		if o := c.members[id]; o != nil && o.ch != nil && !o.ch.suspect && o.ch != guess && left > 0 {
			left--
			c.queue(o.ch, b)
		}
	}
}

// maxShout is through how many others a member is told at a time who leads here.
const maxShout = 8

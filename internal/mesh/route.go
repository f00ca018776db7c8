package mesh

import "github.com/meshpair/meshpair/internal/wire"

// maxDistance is how many distant members a route may go through, beside the first (MSH-17).
const maxDistance = 3

// route returns the channel on which messages for a member go, nil if there is none (MSH-16): its own; else that of a
// member which it has a channel with, one that we dialled first; else by way of other distant members; else the one on
// which it was last heard.
func (c *Core) route(id uint32) *channel {
	m := c.members[id]
	if m == nil {
		return nil
	}
	if m.ch != nil && !m.ch.suspect {
		return m.ch
	}
	if !c.routed {
		c.findRoutes()
	}
	if m.next != nil {
		return m.next
	}
	if m.ch != nil {
		return m.ch // for want of a better one
	}
	if m.via != nil && m.via.member != nil && m.via.member.ch == m.via {
		return m.via
	}
	return nil
}

// findRoutes finds the routes to all distant members at once, from the nearest ones on. What it costs is bounded by what
// the members have told of their channels; it is done anew only when that has changed, see reroute.
func (c *Core) findRoutes() {
	c.routed = true
	var left []*member // without a route
	for _, m := range c.order {
		m.next = nil
		if m.ch == nil || m.ch.suspect {
			left = append(left, m)
		}
	}
	for distance := 0; distance <= maxDistance && len(left) > 0; distance++ {
		var found []*channel
		rest := left[:0:0]
		for _, m := range left {
			found = append(found, c.nextHop(m, distance))
		}
		for i, m := range left { // only now, so that this round's do not count in this round
			if m.next = found[i]; m.next == nil {
				rest = append(rest, m)
			}
		}
		if len(rest) == len(left) {
			return
		}
		left = rest
	}
}

// nextHop returns the channel of an adjacent member, or the route of a distant one, among those a member is adjacent to.
func (c *Core) nextHop(m *member, distance int) *channel {
	var found *channel
	for _, id := range m.adjacent {
		a := c.members[id]
		if a == nil || a == m {
			continue
		}
		ch := a.next
		if distance == 0 {
			if ch = a.ch; ch != nil && ch.suspect {
				ch = nil
			}
		}
		switch {
		case ch == nil:
		case distance == 0 && (ch.dials || m.guessed):
			return ch
		case found == nil:
			found = ch
		}
	}
	return found
}

// reroute has routes found anew, after a change of members or of what they are adjacent to.
func (c *Core) reroute() { c.routed = false }

// forward passes a message on to the member that it is for (MSH-19).
func (c *Core) forward(from *channel, m *wire.Message) {
	to := c.route(m.RecipientID)
	if d := c.members[m.RecipientID]; d != nil && d.guessed && (d.ch == nil || d.ch.suspect) { // EXT-10
		to = nil // who guesses as well may send it back
	}
	switch {
	case m.SenderID == c.id: // it has gone round, by somebody's lie
	case to == nil: // MSH-18
		c.emit(Note{Text: "not forwarded: no route", ID: m.RecipientID})
	case to == from: // it would come back for ever
		c.emit(Note{Text: "not forwarded: it came from there", ID: m.RecipientID})
	case to.outSize+len(m.Content) > MaxRelayed:
		c.emit(Note{Text: "not forwarded: too much waits", ID: m.RecipientID})
	default:
		b := m.Append(nil)
		if len(b) > MaxFrame { // CHN-4
			c.emit(Note{Text: "not forwarded: too long", ID: m.RecipientID})
			return
		}
		c.queue(to, b)
	}
}

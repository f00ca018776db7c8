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
	if m.ch != nil {
		return m.ch
	}
	seen := map[uint32]bool{id: true}
	level := m.adjacent
	for range maxDistance + 1 {
		var found *channel
		var next []uint32
		for _, id := range level {
			a := c.members[id]
			if a == nil || seen[id] {
				continue
			}
			seen[id] = true
			switch {
			case a.ch == nil:
				next = append(next, a.adjacent...)
			case a.ch.dials:
				return a.ch
			case found == nil:
				found = a.ch
			}
		}
		if found != nil {
			return found
		}
		level = next
	}
	if m.via != nil && m.via.member != nil && m.via.member.ch == m.via {
		return m.via
	}
	return nil
}

// forward passes a message on to the member that it is for (MSH-19).
func (c *Core) forward(from *channel, m *wire.Message) {
	to := c.route(m.RecipientID)
	switch {
	case to == nil: // MSH-18
		c.emit(Note{Text: "not forwarded: no route", ID: m.RecipientID})
	case to == from: // it would come back for ever
		c.emit(Note{Text: "not forwarded: it came from there", ID: m.RecipientID})
	case to.outSize+len(m.Content) > MaxRelayed:
		c.emit(Note{Text: "not forwarded: too much waits", ID: m.RecipientID})
	default:
		c.queue(to, m.Append(nil))
	}
}

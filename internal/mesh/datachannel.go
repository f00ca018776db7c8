package mesh

import "github.com/meshpair/meshpair/internal/wire"

// dataChannel handles a message by which a data channel is set up (BLD-19 to BLD-24).
func (c *Core) dataChannel(from address, m wire.DataChannelBuilder) {
	ch := c.builds[from.id]
	switch m.Kind {
	case wire.DataChannelBuilderOffer:
		if ch = c.answer(from, ch); ch == nil {
			return
		}
	case wire.DataChannelBuilderCandidate: // it may come before the offer (BLD-21)
		if ch == nil {
			if ch = c.answer(from, nil); ch == nil {
				return
			}
		}
	default:
		if ch == nil {
			return
		}
	}
	if m.Kind == wire.DataChannelBuilderOffer {
		ch.offered = true
	}
	c.emit(Remote{ch.link, m})
}

// answer returns the channel with which an offer is answered: the one that its candidates have begun, or a new one
// (BLD-21, BLD-22). Without an attempt there is none (BLD-23).
func (c *Core) answer(from address, ch *channel) *channel {
	a := c.attempts[from.id]
	if a == nil || !a.negotiating || a.to.signaling != from.signaling { // BLD-23
		c.emit(Note{Text: "offer ignored", ID: from.id})
		return nil
	}
	if ch != nil && ch.member == nil {
		switch {
		case !ch.opens && !ch.offered:
			return ch
		case ch.opens && !from.signaling && c.id < from.id: // both offer: the lower id's offer stands
			return nil
		}
		if a.channel == ch {
			a.channel = nil // the other's offer takes its place
		}
		c.close(ch, true)
	}
	if a.offers++; a.offers > MaxOffers {
		return nil
	}
	if ch = c.newChannel(from, internal, DataChannelTimeout); ch == nil {
		return nil
	}
	c.builds[from.id] = ch
	c.emit(Answer{ch.link})
	return ch
}

// local passes on what the end here of a data channel has to say, as it comes (BLD-20).
func (c *Core) local(in Local) {
	if ch := c.channels[in.Link]; ch != nil && c.state != StateLeaving {
		if err := c.tell(ch.to, wire.ServiceDataChannelBuilder, in.Signal.Append(nil)); err != nil {
			c.emit(Note{Text: "message not sent", ID: ch.to.id, Err: err})
		}
	}
}

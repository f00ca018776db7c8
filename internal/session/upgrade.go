package session

import "time"

// An upgrader makes the data channel.
type upgrader struct {
	want     bool // the user wants a data channel
	offerAt  time.Duration
	attempts Attempt
	had      bool // there has been an attempt
	label    string
	why      error    // why the data channel is being aborted
	early    []Signal // an offer that came before a data channel was wanted, and its candidates
	offered  []Signal // what an original was told of the attempt and has not answered
	againAt  time.Duration
	upgrades []uint64 // tokens
}

// planOffer sets the time of the initiator's offer (PSX-65).
func (c *Core) planOffer() {
	if !c.want || !c.initiator || !c.paired || c.had || c.closing {
		return
	}
	c.offerAt = c.pairedAt + OfferDelay
	if c.kind == ours { // which takes an offer at any time
		c.offerAt = c.now
	}
}

func (c *Core) offer() {
	if p := &c.ways[Channel]; p.state == absent && c.ways[Relay].state == open && !c.closing {
		c.attempt()
		c.out(Offer{p.attempt})
	}
}

func (c *Core) attempt() {
	c.had = true
	c.why = nil
	c.label = ""
	c.offered, c.againAt = nil, 0
	c.attempts++
	c.ways[Channel] = connection{state: making, attempt: c.attempts}
}

// upgrade is the user's wish for a data channel (PSX-78).
func (c *Core) upgrade(token uint64) {
	p := c.ways[Channel]
	switch {
	case c.closing:
		c.done(token, ErrClosed)
		return
	case p.state == open:
		c.done(token, nil)
		return
	case !c.paired || c.ways[Relay].state != open:
		c.done(token, ErrNotConnected)
		return
	case p.state == absent && c.had && c.kind != ours && len(c.early) == 0: // an original has one peer connection in its life
		c.done(token, ErrNoUpgrade)
		return
	}
	c.want = true
	c.upgrades = append(c.upgrades, token)
	switch {
	case p.state == making:
	case c.initiator:
		c.offerAt = c.now
		if c.kind != ours {
			c.offerAt = max(c.now, c.pairedAt+OfferDelay)
		}
	case len(c.early) > 0:
		early := c.early
		c.early = nil
		c.answer(early[0])
		for _, s := range early[1:] {
			c.out(Remote{c.attempts, s})
		}
	case c.kind == ours:
		c.post(Relay, newInternal(nameUpgrade, struct{}{}))
	}
}

// asked takes the other client's wish for an offer (PSX-78).
func (c *Core) asked() {
	if c.initiator && c.want && c.ways[Channel].state == absent {
		c.offerAt = c.now
	}
}

func (c *Core) refuseUpgrades(err error) {
	for _, t := range c.upgrades {
		c.done(t, err)
	}
	c.upgrades = nil
}

// signal takes what the peer tells about its end of the data channel (PSX-66).
func (c *Core) signal(s Signal) {
	p := c.ways[Channel]
	if s.Type == SignalOffer && !c.initiator {
		c.offers++
	}
	switch {
	case c.closing:
	case s.Type == SignalOffer && c.initiator:
		c.out(Note{"an offer is ignored, as this end offers", nil})
	case s.Type == SignalOffer && !c.want:
		c.early = append(c.early[:0], s)
	case s.Type == SignalOffer:
		c.answer(s)
	case p.state != absent:
		if s.Type == SignalAnswer {
			c.offered, c.againAt = nil, 0
		}
		c.out(Remote{p.attempt, s})
	case len(c.early) > 0 && len(c.early) < MaxEarlySignals:
		c.early = append(c.early, s)
	}
}

// answer takes an offer. What there was is over at the other end.
func (c *Core) answer(s Signal) {
	if p := c.ways[Channel]; p.state != absent {
		c.abort(Channel)
		c.ways[Channel] = connection{attempt: p.attempt}
		if p.state == open {
			c.downgraded(ErrChannelLost, 0, false)
		}
	}
	c.attempt()
	c.ways[Channel].offer = c.offers // the last, as no other one is kept
	c.out(Answer{c.attempts})
	c.out(Remote{c.attempts, s})
}

// local passes on what this end has to tell (PSX-66).
func (c *Core) local(in Local) {
	if p := &c.ways[Channel]; p.attempt == in.Attempt && p.state != absent && in.Signal.Type != "" {
		if c.initiator && in.Signal.Type == SignalOffer {
			c.offers++
			p.offer = c.offers
		}
		c.post(Relay, in.Signal.message())
		if c.initiator && (in.Signal.Type == SignalOffer || len(c.offered) > 0 && len(c.offered) < MaxEarlySignals) {
			c.offered = append(c.offered, in.Signal)
		}
		if in.Signal.Type == SignalOffer && c.initiator {
			c.againAt = c.now + OfferAgain
		}
	}
}

// offerAgain says again what an original does not answer: one that is slow has dropped it (PSX-65).
func (c *Core) offerAgain() {
	c.againAt = 0
	if c.kind == ours || c.ways[Channel].state != making || c.closing {
		return
	}
	for _, s := range c.offered {
		c.post(Relay, s.message())
	}
	c.againAt = c.now + OfferAgain
}

// opened takes an open data channel (PSX-67).
func (c *Core) opened(in Opened) {
	p := &c.ways[Channel]
	if p.attempt != in.Attempt || p.state != making || c.closing {
		return
	}
	p.state = open
	p.pingAt = c.now + PingInterval
	c.label, c.maxSend = in.Label, in.MaxSend
	if c.roads != nil {
		if old := c.road[Channel]; old != nil {
			old.Erase() // SEC-10
		}
		c.road[Channel] = c.roads.Channel(p.offer)
	}
	if c.kind != ours { // its hello would have come before its signals
		c.isOriginal(true)
	}
	c.out(Upgraded{})
	for _, t := range c.upgrades {
		c.done(t, nil)
	}
	c.upgrades = nil
	c.wake()
}

// channelEnded takes the end of a data channel.
func (c *Core) channelEnded(was wayState, inOrder bool, in Ended) {
	err := in.Err
	if c.why != nil {
		err = c.why
	}
	if was == making {
		c.refuseUpgrades(orClosed(err))
		if !c.closing {
			c.out(NotUpgraded{orClosed(err)})
			if c.initiator && c.kind == ours {
				c.post(Relay, newInternal(nameClosed, closed{""})) // PSX-77
			}
		}
		return
	}
	c.downgraded(err, in.Unacked, inOrder)
}

func (c *Core) downgraded(err error, unacked int, inOrder bool) {
	c.out(Downgraded{err})
	if c.kind != ours {
		c.rescue(unacked, inOrder)
		return
	}
	if !c.closing {
		c.post(Relay, newInternal(nameClosed, closed{c.label})) // PSX-77
	}
	c.again(Channel)
}

// peerClosed says that the peer has no data channel of this label any more or, without one, that it has given up the offer
// that it made last (PSX-77).
func (c *Core) peerClosed(label string) {
	switch {
	case label == "" && !c.initiator:
		c.early = nil
		if c.ways[Channel].state == making {
			c.why = ErrChannelLost
			c.abort(Channel)
		}
	case label != "" && label == c.label:
		c.breakChannel(ErrChannelLost)
	}
}

// breakChannel aborts an open data channel.
func (c *Core) breakChannel(why error) {
	if c.ways[Channel].state == open && c.why == nil {
		c.why = why
		c.abort(Channel)
	}
}

func orClosed(err error) error {
	if err == nil {
		return ErrClosed
	}
	return err
}

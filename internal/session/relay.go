package session

import (
	"encoding/json"
	"fmt"
	"time"
)

// begin registers with the server (PSX-61).
func (c *Core) begin() {
	if c.begun {
		return
	}
	c.begun = true
	c.ways[Relay].state = registering
	c.postPlain(newInternal(nameRegister, pairing{c.cfg.Code, c.cfg.Hash}))
}

// received takes a message that came on either way.
func (c *Core) received(in Received) {
	p := &c.ways[in.Way]
	if p.attempt != in.Attempt || p.state == absent || p.state == making || c.reason != nil {
		return
	}
	if p.state == registering {
		c.handshake(in)
		return
	}
	if c.cfg.Seal != nil {
		var ok bool
		if in, ok = c.open(in); !ok {
			return
		}
	}
	switch {
	case in.Text && string(in.Data) == ping: // PSX-62
		c.deadline = c.now + c.cfg.PeerTimeout
	case in.Text:
		if m, ok := parseInternal(in.Data); ok {
			c.internal(m)
			return
		}
		c.user(in)
	default:
		c.user(in)
	}
}

// handshake takes the server's answer to the registration (PSX-61).
func (c *Core) handshake(in Received) {
	switch {
	case in.Text && string(in.Data) == handshakeSuccess:
		p := &c.ways[Relay]
		p.state = open
		p.pingAt = c.now + PingInterval
		c.out(Registered{})
	case in.Text && string(in.Data) == handshakeFailed:
		c.fail(ErrRefused)
	default:
		c.fail(fmt.Errorf("%w: no answer to the registration but something else", ErrProtocol))
	}
}

// internal takes a message of the protocol. Unknown ones are ignored, as originals do (PSX-64).
func (c *Core) internal(m internal) {
	if c.kind == unknown && m.Name == nameSignal {
		c.isOriginal(true)
	}
	switch m.Name {
	case namePeerConnected:
		var data peerConnected
		if json.Unmarshal(m.Data, &data) == nil {
			c.peerConnected(data.IsInitiator)
		}
	case nameSignal:
		if s, ok := parseSignal(m.Data); ok {
			c.signal(s)
		}
	case nameHello:
		if h, ok := parseHello(m.Data); ok {
			c.isOurs(h)
		}
	case nameFrames:
		var data frames
		if json.Unmarshal(m.Data, &data) == nil && c.kind == ours {
			c.framesBegin(data.After)
		}
	case nameUpgrade:
		if c.kind == ours {
			c.asked()
		}
	case nameClosed:
		var data closed
		if json.Unmarshal(m.Data, &data) == nil && c.kind == ours {
			c.peerClosed(data.Label)
		}
	case nameSealed:
		if c.cfg.Seal == nil && !c.certain { // SEC-47
			c.fail(ErrNoSecret)
		}
	case nameEnd:
		var data frames
		if json.Unmarshal(m.Data, &data) == nil && c.cfg.Seal != nil {
			c.peerEnds(data.After)
		}
	}
}

func (c *Core) hello() hello { return hello{1, c.cfg.Window, c.cfg.MaxMessage} }

func (c *Core) peerConnected(initiator bool) {
	if c.paired {
		return
	}
	c.paired, c.initiator, c.pairedAt = true, initiator, c.now
	c.out(Paired{initiator})
	c.post(Relay, newInternal(nameHello, c.hello())) // PSX-70
	c.planOffer()
	if c.kind == ours { // its hello was faster than the server
		c.beginFrames()
	}
}

// isOriginal says that the peer has not said hello although it should have.
func (c *Core) isOriginal(certain bool) {
	c.kind, c.certain = original, certain
	c.admit()
	c.wake()
}

// isOurs takes the peer's hello (PSX-70).
func (c *Core) isOurs(h hello) {
	if c.kind == ours || c.certain {
		return
	}
	c.kind, c.certain = ours, true
	c.window = min(c.cfg.Window, h.Window)
	c.maxMessage = min(c.cfg.MaxMessage, h.MaxMessage)
	if c.paired {
		c.beginFrames()
		c.planOffer()
	}
}

// beginFrames tells the peer that from here on the user's messages come in frames (PSX-71).
func (c *Core) beginFrames() {
	c.post(Relay, newInternal(nameFrames, frames{c.number}))
	c.admit()
	c.wake()
}

func (c *Core) relayEnded(err error) {
	if c.ways[Channel].state == making { // no signal goes to and fro any more
		c.abort(Channel)
	}
	if c.ways[Channel].state != open {
		return
	}
	if c.kind == ours && !c.framed { // what was sent before the frames may be missing, and would be waited for without end
		c.fail(fmt.Errorf("%w before all of it could be read", ErrClosed))
		return
	}
	c.out(Note{"the relay has ended; the data channel goes on", err})
	c.again(Relay)
	c.dropUnsendable()
}

// tick does what is due.
func (c *Core) tick() {
	for w := range c.ways {
		if p := &c.ways[w]; p.state == open && c.now >= p.pingAt { // PSX-62
			p.pingAt = c.now + PingInterval
			p.ping = true
			c.out(Ready{Way(w)})
		}
	}
	if c.deadline != 0 && c.now >= c.deadline && c.reason == nil { // PSX-63
		if c.Stalled() {
			c.deadline = c.now + c.cfg.PeerTimeout
		} else {
			c.deadline = 0
			c.out(Silent{})
			c.fail(ErrPeerTimeout)
		}
	}
	if c.kind == unknown && c.paired && c.now >= c.pairedAt+HelloTimeout {
		c.isOriginal(false)
	}
	if c.shakeBy != 0 && c.now >= c.shakeBy && c.reason == nil { // SEC-47
		c.refuse(fmt.Errorf("%w: it does not answer", ErrUnsealed))
	}
	if c.offerAt != 0 && c.now >= c.offerAt {
		c.offerAt = 0
		c.offer()
	}
	if c.againAt != 0 && c.now >= c.againAt {
		c.offerAgain()
	}
	if c.trimAt != 0 && c.now >= c.trimAt {
		c.trimAt = 0
		c.out(Ready{Channel}) // what is pulled comes with what is acknowledged
	}
	if c.ackAt != 0 && c.now >= c.ackAt {
		c.acknowledge()
	}
}

// Next returns when the core wants a [Tick], or something else, at the latest; 0 means that it does not.
func (c *Core) Next() time.Duration {
	if c.over {
		return 0
	}
	next := time.Duration(0)
	at := func(t time.Duration) {
		if t != 0 && (next == 0 || t < next) {
			next = t
		}
	}
	for _, p := range c.ways {
		if p.state == open {
			at(p.pingAt)
		}
	}
	if c.reason == nil {
		at(c.deadline)
		at(c.shakeBy)
	}
	if c.kind == unknown && c.paired {
		at(c.pairedAt + HelloTimeout)
	}
	at(c.offerAt)
	at(c.againAt)
	at(c.ackAt)
	at(c.trimAt)
	return next
}

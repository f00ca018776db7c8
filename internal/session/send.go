package session

import (
	"fmt"
	"time"
)

// An outgoing is a message of the user.
type outgoing struct {
	token uint64
	text  bool
	data  []byte
	sent  int // bytes of it that are in frames
}

func (o outgoing) cost() int { return frameCost + len(o.data) - o.sent }

// A flying is a frame that was sent and is not acknowledged.
type flying struct {
	frame
	last bool // of its message
	way  Way  // on which it was sent last
	wait bool // it waits to be sent again
	done bool // it is acknowledged
}

// A sent is a message to an original on its data channel, which may have to be sent again by the relay.
type sent struct {
	Message
	user  bool
	acked time.Duration // when its acknowledgement was seen; 0: it was not
}

func (s sent) size() int { return max(1, len(s.Data)) } // an empty message is sent as one byte

// A sender holds the user's messages that are not known to have arrived.
type sender struct {
	blocked []outgoing // not accepted yet
	outbox  []outgoing // accepted
	waiting int        // the cost of outbox

	number uint64 // of the last frame, or how many messages were sent before the frames

	// To one of ours:
	window     int
	maxMessage int
	flight     []*flying
	flying     int       // the cost of flight
	resend     []*flying // of flight

	// To an original:
	maxSend   int
	recent    []sent        // on the data channel: those not acknowledged, after some that are
	ackedSize int           // how many bytes of recent are acknowledged
	trimAt    time.Duration // when to look again for acknowledgements
	discarded int           // accepted, and then there was no connection for them
}

func (c *Core) send(in Send) {
	o := outgoing{in.Token, in.Text, in.Data, 0}
	wait, err := c.sendable(o)
	switch {
	case err != nil:
		c.done(in.Token, err)
	case !wait && len(c.blocked) == 0:
		c.accept(o)
		c.wake()
	case in.Try:
		c.done(in.Token, ErrFull)
	default:
		c.blocked = append(c.blocked, o)
	}
}

func (c *Core) accept(o outgoing) {
	c.outbox = append(c.outbox, o)
	c.waiting += o.cost()
	c.done(o.token, nil)
}

// sendable says whether a message has to wait, or cannot be sent.
func (c *Core) sendable(o outgoing) (wait bool, err error) {
	full := c.waiting+c.flying >= c.cfg.SendBuffer
	size := len(o.data)
	_, connected := c.route()
	switch {
	case c.closing:
		return false, ErrClosed
	case !connected:
		return false, ErrNotConnected
	case size > c.cfg.MaxMessage:
		return false, tooBig(size, c.cfg.MaxMessage)
	}
	switch c.kind {
	case ours:
		if size > c.maxMessage {
			return false, tooBig(size, c.maxMessage)
		}
	case original: // PSX-68
		if o.text && Reserved(o.data) {
			return false, ErrReserved
		}
		if limit := c.rawLimit(); size > limit {
			return false, fmt.Errorf("%w, as the peer is an original", tooBig(size, limit))
		}
	default: // what cannot be sent as it is waits until the peer is known
		if o.text && Reserved(o.data) || size > c.cfg.MaxRelay {
			return true, nil
		}
	}
	return full, nil
}

func tooBig(size, limit int) error {
	return fmt.Errorf("%w: %d bytes, of at most %d", ErrTooBig, size, limit)
}

// rawLimit returns how many bytes a message to an original may have (PSX-68).
func (c *Core) rawLimit() int {
	limit := 0
	if c.ways[Relay].state == open {
		limit = c.cfg.MaxRelay
	}
	if c.ways[Channel].state == open {
		limit = max(limit, c.maxSend)
	}
	return limit
}

// admit accepts sends that wait, as far as there is room.
func (c *Core) admit() {
	for len(c.blocked) > 0 {
		o := c.blocked[0]
		wait, err := c.sendable(o)
		if wait {
			return
		}
		c.blocked[0] = outgoing{}
		c.blocked = c.blocked[1:]
		if err != nil {
			c.done(o.token, err)
			continue
		}
		c.accept(o)
		c.wake()
	}
}

func (c *Core) refuseSends(err error) {
	for _, o := range c.blocked {
		c.done(o.token, err)
	}
	c.blocked = nil
}

// cancel takes back a send that waits, or the waiting for an upgrade.
func (c *Core) cancel(token uint64) {
	for i, o := range c.blocked {
		if o.token == token {
			c.blocked = append(c.blocked[:i:i], c.blocked[i+1:]...)
			c.done(token, ErrCanceled)
			c.admit()
			return
		}
	}
	for i, t := range c.upgrades {
		if t == token {
			c.upgrades = append(c.upgrades[:i:i], c.upgrades[i+1:]...)
			c.done(token, ErrCanceled)
			return
		}
	}
}

// pullRaw returns the next message as the user gave it.
func (c *Core) pullRaw(w Way) (Message, bool) {
	if len(c.outbox) == 0 {
		return Message{}, false
	}
	o := c.outbox[0]
	if to := c.rawWay(o); to != w {
		c.out(Ready{to})
		return Message{}, false
	}
	c.shift()
	c.number++ // PSX-71
	m := Message{o.text, o.data}
	if w == Channel {
		c.keep(m, true)
	}
	c.admit()
	return m, true
}

// rawWay returns the way of a message to an original.
func (c *Core) rawWay(o outgoing) Way {
	if c.ways[Channel].state == open && len(o.data) <= c.maxSend {
		return Channel
	}
	return Relay
}

func (c *Core) shift() {
	c.waiting -= c.outbox[0].cost()
	c.outbox[0] = outgoing{}
	c.outbox = c.outbox[1:]
}

// pullFrame returns the next frame (PSX-72).
func (c *Core) pullFrame(w Way) (Message, bool) {
	for len(c.resend) > 0 { // PSX-76
		f := c.resend[0]
		c.resend[0] = nil
		c.resend = c.resend[1:]
		if f.wait = false; !f.done {
			f.way = w
			return f.message(), true
		}
	}
	if len(c.outbox) == 0 {
		return Message{}, false
	}
	o := &c.outbox[0]
	f := frame{framePart, c.number + 1, o.data[o.sent:]}
	last := len(f.payload) <= MaxPayload
	switch {
	case !last:
		f.payload = f.payload[:MaxPayload:MaxPayload]
	case o.text:
		f.kind = frameText
	default:
		f.kind = frameBinary
	}
	if c.flying+f.cost() > c.window { // PSX-75
		return Message{}, false
	}
	c.number++
	if last {
		c.shift()
	} else {
		o.sent += MaxPayload
		c.waiting -= MaxPayload
	}
	c.flight = append(c.flight, &flying{frame: f, last: last, way: w})
	c.flying += f.cost()
	return f.message(), true
}

// acked takes an acknowledgement (PSX-74).
func (c *Core) acked(number uint64) {
	if number > c.number {
		c.broken("frame %d is acknowledged, and %d was the last", number, c.number)
		return
	}
	for len(c.flight) > 0 && c.flight[0].number <= number {
		f := c.flight[0]
		f.done = true
		c.flying -= f.cost()
		c.flight[0] = nil
		c.flight = c.flight[1:]
	}
	c.admit()
	c.wake()
}

// again has all sent once more that went by a way that has ended (PSX-76).
func (c *Core) again(w Way) {
	for _, f := range c.flight {
		if f.way == w {
			f.wait = true
		}
	}
	c.resend = c.resend[:0]
	for _, f := range c.flight {
		if f.wait {
			c.resend = append(c.resend, f)
		}
	}
	if c.kind == ours { // what was acknowledged that way may not be known
		c.unsent = true
		c.acknowledge()
	}
	c.wake()
}

// keep keeps what goes to an original on its data channel.
func (c *Core) keep(m Message, user bool) {
	if c.kind == original {
		c.recent = append(c.recent, sent{Message: m, user: user})
	}
}

// trim marks what the other end of the data channel has acknowledged, which is all but the last so many bytes, and drops
// what was for long enough.
func (c *Core) trim(bytes int) {
	i := len(c.recent)
	for ; i > 0 && bytes > 0; i-- {
		bytes -= c.recent[i-1].size()
	}
	for i--; i >= 0 && c.recent[i].acked == 0; i-- {
		c.recent[i].acked = c.now
		c.ackedSize += c.recent[i].size()
	}
	for len(c.recent) > 0 {
		s := c.recent[0]
		if s.acked == 0 || c.now-s.acked < Grace && c.ackedSize <= GraceBytes {
			break
		}
		c.ackedSize -= s.size()
		c.recent[0] = sent{}
		c.recent = c.recent[1:]
	}
	c.trimAt = 0
	if len(c.recent) > 0 {
		c.trimAt = c.now + Grace/2
	}
}

// rescue has the relay carry what the data channel to an original did not, or may not have (PSX-68). What is acknowledged
// has arrived if the channel was closed in order.
func (c *Core) rescue(bytes int, inOrder bool) {
	c.trim(bytes)
	c.trimAt = 0
	relay := c.ways[Relay].state == open
	var box []outgoing
	for _, s := range c.recent {
		if s.user && (s.acked == 0 || relay && !inOrder) {
			o := outgoing{text: s.Text, data: s.Data}
			box = append(box, o)
			c.waiting += o.cost()
		}
	}
	c.recent, c.ackedSize = nil, 0
	c.outbox = append(box, c.outbox...)
	c.wake()
}

// dropUnsendable drops what was accepted for the relay, which is gone, and is too big for the data channel to an original.
func (c *Core) dropUnsendable() {
	if c.kind == ours {
		return
	}
	box := c.outbox
	c.outbox, c.waiting = nil, 0
	for _, o := range box {
		if len(o.data) > c.maxSend {
			c.discarded++
			c.out(Note{"a message is lost", tooBig(len(o.data), c.maxSend)})
			continue
		}
		c.outbox = append(c.outbox, o)
		c.waiting += o.cost()
	}
	c.admit()
	c.wake()
}

// flushed reports whether nothing waits that could still arrive (PSX-80).
func (c *Core) flushed() bool {
	_, connected := c.route()
	return !connected || c.reason != nil || len(c.outbox) == 0 && len(c.flight) == 0
}

// lost returns how many accepted messages are not known to have arrived.
func (c *Core) lost() int {
	n := c.discarded + len(c.outbox)
	for _, f := range c.flight {
		if f.last {
			n++
		}
	}
	for _, s := range c.recent {
		if s.user && s.acked == 0 {
			n++
		}
	}
	return n
}

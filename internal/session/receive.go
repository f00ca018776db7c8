package session

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// A receiver holds what has come and is not the user's yet.
type receiver struct {
	framed bool   // the peer sends frames from now on (PSX-71)
	next   uint64 // the number of the next frame, or 1 and how many messages came before the frames

	ahead     map[uint64]frame // that came before their turn (PSX-73)
	aheadCost int
	message   []byte // what has come of a message of several frames

	held   int  // bytes that were delivered and not consumed
	taken  int  // the cost of frames since the last acknowledgement
	unsent bool // frames were taken, or came twice, since the last acknowledgement
	ackAt  time.Duration
	ackDue bool // an acknowledgement is to be sent
}

// user takes what is no message of the protocol.
func (c *Core) user(in Received) {
	if !c.paired {
		return
	}
	if c.kind == unknown {
		c.isOriginal(true)
	}
	if c.kind == ours && (c.framed || in.Way == Channel) {
		if in.Text {
			c.broken("a text outside a frame")
			return
		}
		c.frame(in.Data)
		return
	}
	c.next++ // PSX-71
	c.deliver(in.Text, bytes.Clone(in.Data))
}

func (c *Core) deliver(text bool, data []byte) {
	if data == nil {
		data = []byte{}
	}
	c.held += len(data) + frameCost
	c.out(Deliver{text, data})
}

// framesBegin takes the mark after which the peer sends frames (PSX-71).
func (c *Core) framesBegin(after uint64) {
	if c.framed {
		return
	}
	if after != c.next-1 {
		c.broken("%d messages came before the frames, of %d", c.next-1, after)
		return
	}
	c.framed = true
	c.takeAhead()
}

func (c *Core) frame(b []byte) {
	f, err := parseFrame(b)
	if err != nil {
		c.fail(err)
		return
	}
	switch {
	case f.kind == frameAck:
		c.acked(f.number)
	case f.number < c.next: // its acknowledgement has got lost
		c.acknowledgeSoon(AckBytes)
	case f.number == c.next && c.framed:
		c.take(f)
		c.takeAhead()
	default:
		c.keepAhead(f)
	}
}

// keepAhead keeps a frame whose turn has not come (PSX-73). The window bounds these.
func (c *Core) keepAhead(f frame) {
	if _, ok := c.ahead[f.number]; ok {
		return
	}
	if c.aheadCost+f.cost() > c.cfg.Window {
		c.broken("more than %d bytes without an acknowledgement", c.cfg.Window)
		return
	}
	f.payload = bytes.Clone(f.payload)
	if c.ahead == nil {
		c.ahead = make(map[uint64]frame)
	}
	c.ahead[f.number] = f
	c.aheadCost += f.cost()
}

func (c *Core) takeAhead() {
	for c.reason == nil {
		f, ok := c.ahead[c.next]
		if !ok {
			return
		}
		delete(c.ahead, c.next)
		c.aheadCost -= f.cost()
		c.take(f)
	}
}

// take takes the frame whose turn it is. Its payload is not kept.
func (c *Core) take(f frame) {
	if len(c.message)+len(f.payload) > c.cfg.MaxMessage {
		c.broken("a message of more than %d bytes", c.cfg.MaxMessage)
		return
	}
	c.next++
	c.message = append(c.message, f.payload...)
	if f.kind != framePart {
		data := c.message
		c.message = nil
		if f.kind == frameText && !utf8.Valid(data) {
			c.broken("a text that is not UTF-8")
			return
		}
		c.deliver(f.kind == frameText, data)
	}
	c.acknowledgeSoon(f.cost())
}

// acknowledgeSoon has frames acknowledged that count so many bytes, at once or with those that follow (PSX-74).
func (c *Core) acknowledgeSoon(cost int) {
	c.unsent = true
	if c.taken += cost; c.taken >= AckBytes {
		c.acknowledge()
	} else if c.ackAt == 0 {
		c.ackAt = c.now + AckDelay
	}
}

// acknowledge has an acknowledgement sent, unless the user has too much to take first (PSX-75).
func (c *Core) acknowledge() {
	c.ackAt = 0
	if c.held >= c.cfg.ReceiveBuffer {
		return
	}
	c.ackDue = true
	c.wake()
}

func (c *Core) ackWanted() bool { return c.unsent && c.kind == ours }

// ack returns the acknowledgement.
func (c *Core) ack() Message {
	c.ackDue, c.unsent, c.taken, c.ackAt = false, false, 0, 0
	return frame{kind: frameAck, number: c.next - 1}.message()
}

// consumed says that the user has taken a message.
func (c *Core) consumed(n int) {
	was := c.Stalled()
	full := c.held >= c.cfg.ReceiveBuffer
	c.held -= n + frameCost
	if full && c.held < c.cfg.ReceiveBuffer && c.unsent {
		c.acknowledge()
	}
	if was && !c.Stalled() && c.deadline != 0 {
		c.deadline = max(c.deadline, c.now+c.cfg.PeerTimeout) // the peer's PINGs may wait behind what was not read
	}
}

// Stalled reports whether nothing should be read: the user has too much to take, and the peer knows no window.
func (c *Core) Stalled() bool { return c.held >= c.cfg.ReceiveBuffer && !c.framed }

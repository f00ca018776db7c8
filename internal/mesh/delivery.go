package mesh

import (
	"bytes"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// Times and sizes of the contract of delivery (chapter EXT).
const (
	deliveryVersion = 1

	AckDelay      = 50 * time.Millisecond  // at most, from a message to its acknowledgement
	AckBytes      = 64 << 10               // that come before there is one at once
	MinRepeat     = 300 * time.Millisecond // at least, without an acknowledgement on a way over others, before messages are repeated
	MaxRepeat     = 4 * time.Second        // at most
	ProbeInterval = 500 * time.Millisecond // between two looks at the channels
	ProbeAfter    = 900 * time.Millisecond // of silence on a channel before a sign of life is asked for
	SuspectAfter  = 1900 * time.Millisecond
	RelayWindow   = 256 << 10 // bytes on their way over others, which drop what is too much for them
)

// A delivery is the state of both sequences between this member and another one that keeps the contract: of each all
// messages are delivered once and in order, whichever way they come.
type delivery struct {
	session  uint32 // with which the other marks its messages to this one
	theirs   uint32 // with which this one marks its; 0: the other has not said hello
	window   int    // bytes that may be on their way
	bye      bool   // it has said goodbye
	cutShort error  // not all has come that it had sent when it did
	parted   bool   // so has this one

	numbers  uint64 // messages that have a number
	acked    uint64 // those that have come
	sentTo   uint64 // the greatest number that was sent
	at       int    // in member.queue: the first that is not wholly on its way
	inflight int    // bytes on their way
	astray   bool   // what is on its way took one on which it may be lost, since the last rewind
	repeat   *timer // until what is on its way over others is repeated
	pause    time.Duration
	timed    uint64 // the number whose acknowledgement is timed; 0: none
	timedAt  time.Duration
	trip     time.Duration // the smoothed round trip

	came    uint64                   // up to this number all has come
	early   map[uint64]*earlyMessage // those after a gap
	held    int                      // their bytes
	unacked int                      // bytes that came since the last acknowledgement
	ack     *timer
}

// An earlyMessage is one of which an earlier one is missing.
type earlyMessage struct {
	private bool
	content []byte
}

// keeps reports whether a member keeps the contract, as far as is known.
func (m *member) keeps() bool { return m.theirs != 0 }

// greet says hello to a member, or tells it again what it does not know (EXT-2).
func (c *Core) greet(m *member) {
	if c.cfg.Original {
		return
	}
	c.say(m, &wire.Delivery{Kind: wire.DeliveryHello, Hello: wire.Hello{
		Version: deliveryVersion, Session: m.session, Echo: m.theirs, Window: uint32(c.cfg.Window)}})
}

// say sends a message of the contract.
func (c *Core) say(m *member, d *wire.Delivery) {
	if ch := c.route(m.id); ch != nil {
		c.queue(ch, c.message(m.id, wire.ServiceDelivery, d.Append(nil)))
	}
}

// deliveryMessage handles a message of the contract that came on a channel (EXT-1).
func (c *Core) deliveryMessage(on *channel, m *member, content []byte) {
	var d wire.Delivery
	if c.cfg.Original {
		return
	}
	if err := d.Decode(content); err != nil {
		c.emit(Note{Text: "message ignored", ID: m.id, Err: err})
		return
	}
	switch d.Kind {
	case wire.DeliveryHello:
		c.hello(m, d.Hello)
	case wire.DeliveryAck:
		if d.Ack.Session == m.theirs {
			c.acknowledged(m, d.Ack.Number)
		}
	case wire.DeliveryProbe:
		switch {
		case !d.Probe:
			c.sign(on, m, true) // EXT-9, EXT-11: by the way that it came
		case on != m.ch && m.ch != nil && m.ch.suspect && on.member != nil:
			c.answered(m, on)
		}
	case wire.DeliveryBye:
		m.bye = true
		if d.End > m.came { // SEC-34
			m.cutShort = ErrCutShort
		}
		if m.ch == nil {
			c.forget(m, m.cutShort)
		}
	}
}

// hello begins a sequence, or another one if the other end has lost the one there was (EXT-3).
func (c *Core) hello(m *member, h wire.Hello) {
	if h.Session == 0 || h.Version == 0 {
		return
	}
	m.window = int(min(h.Window, 1<<30))
	if h.Session != m.theirs {
		if m.theirs != 0 && (m.came > 0 || len(m.early) > 0) {
			m.session = c.newSession()
			m.came, m.unacked = 0, 0
			c.dropEarly(m)
		}
		c.restart(m)
		m.theirs = h.Session
		if len(c.waiting) > 0 {
			c.admit()
		}
		c.rewakeOne(m)
	}
	c.announce(m) // MSH-4: who greets counts this one as a member, and would find itself forgotten if an attempt failed now
	if h.Echo != m.session {
		c.greet(m)
	}
}

func (c *Core) newSession() uint32 { return max(1, c.cfg.Rand()) }

// restart begins the sequence to a member from 1. What was on its way may have come, and is given up (EXT-3).
func (c *Core) restart(m *member) {
	if m.theirs != 0 {
		keep := m.queue[:0]
		for i, it := range m.queue {
			if i < m.at || it.first != 0 || it.sent > 0 {
				m.queued -= it.left(m.acked) + itemCost
				if it.first == 0 {
					m.queued += it.sent
				}
				continue
			}
			it.first = 0
			keep = append(keep, it)
		}
		clear(m.queue[len(keep):])
		m.queue = keep
	}
	m.at, m.inflight, m.numbers, m.acked, m.sentTo, m.timed = 0, 0, 0, 0, 0, 0
	m.repeat.stop()
}

// frames returns in how many parts a message travels.
func (it *item) frames() uint64 { return uint64(max(1, (len(it.msg.data)+ChunkSize-1)/ChunkSize)) }

// left returns how many bytes of an item lie after a number.
func (it *item) left(acked uint64) int {
	if it.first == 0 || acked < it.first {
		return len(it.msg.data)
	}
	return max(0, len(it.msg.data)-int(acked-it.first+1)*ChunkSize)
}

// acknowledged frees what has come at a member (EXT-6).
func (c *Core) acknowledged(m *member, n uint64) {
	if n <= m.acked || n > m.numbers {
		return
	}
	if m.timed != 0 && n >= m.timed {
		trip := c.now - m.timedAt
		if m.trip == 0 {
			m.trip = trip
		}
		m.trip += (trip - m.trip) / 8
		m.timed = 0
	}
	freed := 0 // of what is on its way
	for len(m.queue) > 0 && m.queue[0].first != 0 && m.queue[0].first <= n {
		it := &m.queue[0]
		part := it.left(m.acked) - it.left(n)
		freed += part
		m.queued -= part
		if n < it.first+it.frames()-1 {
			if m.at == 0 { // what is repeated need not be before this
				it.sent = max(it.sent, len(it.msg.data)-it.left(n))
			}
			break
		}
		freed++
		m.queued -= itemCost
		m.queue[0] = item{}
		m.queue = m.queue[1:]
		m.at = max(0, m.at-1)
	}
	m.acked = n
	m.inflight = max(0, m.inflight-freed)
	m.progress = c.now
	m.pause = 0
	c.watchRepeat(m)
	if len(c.waiting) > 0 && m.queued < c.cfg.SendQueue {
		c.admit()
	}
	c.rewakeOne(m)
}

// watchRepeat has what is on its way to a member repeated when no acknowledgement comes. What went over a channel of its
// own is not lost as long as that lives (EXT-8).
func (c *Core) watchRepeat(m *member) {
	m.repeat.stop()
	if !m.keeps() || m.acked == m.numbers && m.at == len(m.queue) || m.ch != nil && !m.ch.suspect && !m.astray {
		return
	}
	c.repeatLater(m)
}

// repeatLater has what is on its way to a member repeated if no acknowledgement comes.
func (c *Core) repeatLater(m *member) {
	m.repeat.stop()
	if m.pause == 0 {
		m.pause = min(max(MinRepeat, 4*m.trip), MaxRepeat)
	}
	m.repeat = c.after(m.pause, func() {
		m.pause = min(2*m.pause, MaxRepeat)
		c.guessAgain(m)
		if m.acked < m.numbers {
			c.rewind(m)
		}
	})
}

// rewind has all that has no acknowledgement sent again, on what is the way now. Numbers remove the doubles (EXT-8).
func (c *Core) rewind(m *member) {
	if !m.keeps() {
		return
	}
	for i := range m.queue {
		it := &m.queue[i]
		if it.first == 0 {
			break
		}
		it.sent = len(it.msg.data) - it.left(m.acked)
		if it.first+it.frames()-1 <= m.acked {
			it.sent = len(it.msg.data)
		}
	}
	m.at, m.inflight, m.timed = 0, 0, 0
	m.astray = m.ch == nil || m.ch.suspect
	c.watchRepeat(m)
	c.rewakeOne(m)
}

// rewakeOne has what waits for a member sent.
func (c *Core) rewakeOne(m *member) {
	if c.sendable(m) {
		if ch := c.route(m.id); ch != nil {
			c.wake(ch)
		}
	}
}

// sendable reports whether something waits for a member that may be sent now (EXT-7).
func (c *Core) sendable(m *member) bool {
	if m.at >= len(m.queue) {
		return false
	}
	if !m.keeps() {
		return c.seal == nil // SEC-16
	}
	limit := min(m.window, c.cfg.SendQueue)
	if m.ch == nil || m.ch.suspect {
		limit = min(limit, RelayWindow)
	}
	it := &m.queue[m.at]
	next := min(len(it.msg.data)-it.sent, ChunkSize)
	return m.inflight == 0 || m.inflight+next <= limit // a part alone is in order, and so never beyond a window
}

// numbered takes a message of a sequence (EXT-5, EXT-6).
func (c *Core) numbered(m *member, private bool, u *wire.UserMessage, content []byte) {
	size := len(content)
	switch {
	case u.Number <= m.came:
		c.ackNow(m) // the acknowledgement may have been lost
		return
	case u.Number > m.came+1:
		if m.early[u.Number] == nil && m.held+size+itemCost <= c.cfg.Window && c.partial+c.held+size <= c.cfg.MaxPartialAll {
			if m.early == nil {
				m.early = make(map[uint64]*earlyMessage)
			}
			m.early[u.Number] = &earlyMessage{private, bytes.Clone(content)}
			m.held += size + itemCost
			c.held += size + itemCost
		}
		c.ackNow(m)
		return
	}
	c.userMessage(m, private, u)
	m.came++
	for len(m.early) > 0 {
		e := m.early[m.came+1]
		if e == nil {
			break
		}
		m.came++
		delete(m.early, m.came)
		m.held -= len(e.content) + itemCost
		c.held -= len(e.content) + itemCost
		var next wire.UserMessage
		if next.Decode(e.content) == nil {
			c.userMessage(m, e.private, &next)
		}
	}
	if m.unacked += size; m.unacked >= AckBytes {
		c.ackNow(m)
	} else if m.unacked == size {
		m.ack = c.after(AckDelay, func() { c.ackNow(m) })
	}
}

func (c *Core) ackNow(m *member) {
	m.ack.stop()
	m.unacked = 0
	c.say(m, &wire.Delivery{Kind: wire.DeliveryAck, Ack: wire.Ack{Session: m.session, Number: m.came}})
}

func (c *Core) dropEarly(m *member) {
	c.held -= m.held
	m.early, m.held = nil, 0
	m.ack.stop()
}

// part says goodbye to all that a channel leads to, when all has been sent that waits for them, and reports whether there
// was anybody (EXT-10).
func (c *Core) part(ch *channel) bool {
	said := false
	for _, m := range c.order {
		if m.keeps() && !m.parted && c.route(m.id) == ch {
			m.parted, said = true, true
			bye := wire.Delivery{Kind: wire.DeliveryBye}
			if c.seal != nil {
				bye.End = m.numbers // SEC-34
			}
			c.queue(ch, c.message(m.id, wire.ServiceDelivery, bye.Append(nil)))
		}
	}
	return said
}

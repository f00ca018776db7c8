package mesh

import (
	"math"
	"slices"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// itemCost is what a message costs in a queue beside its bytes.
const itemCost = 64

// An outgoing message of the user.
type outgoing struct {
	text      bool
	broadcast bool
	chunk     uint32 // id of its chunks
	data      []byte
	to        int     // how many get it
	bodies    *bodies // of a sealed group; nil: none has been sealed
}

// An item is a message on its way to one member.
type item struct {
	msg   *outgoing
	sent  int    // bytes of it
	first uint64 // number of its first part; 0: it has none yet, or the member keeps no contract
}

// A sending is a message that waits until there is room for it at all who are to get it.
type sending struct {
	token uint64
	msg   *outgoing
	to    []*member
	slow  []uint32 // those that were dropped for being slow
	timer *timer
}

// send takes a message of the user for one member or for all (MSG-1, MSH-15). Those who are to get it are the members at
// this moment.
func (c *Core) send(in Send) {
	s := &sending{token: in.Token, msg: &outgoing{text: in.Text, broadcast: in.To == 0, data: in.Data}}
	if in.To != 0 {
		if m := c.members[in.To]; m != nil && m.announced {
			s.to = append(s.to, m)
		}
	} else {
		for _, m := range c.order {
			if m.announced {
				s.to = append(s.to, m)
			}
		}
	}
	var err error
	switch {
	case c.state != StateJoining && c.state != StateJoined:
		err = ErrNotInGroup
	case len(in.Data) > c.cfg.MaxMessage || len(in.Data) > math.MaxUint32:
		err = ErrTooBig
	case in.To != 0 && len(s.to) == 0:
		err = ErrNoMember
	}
	if err != nil || len(s.to) == 0 { // MSG-15
		c.emit(Done{in.Token, err})
		return
	}
	s.msg.to = len(s.to)
	if len(in.Data) > ChunkSize {
		c.chunkID = c.chunkID%math.MaxUint16 + 1 // MSG-5
		s.msg.chunk = c.chunkID
	}
	c.waiting = append(c.waiting, s)
	c.admit()
	if slices.Contains(c.waiting, s) {
		if in.Try {
			c.finish(s, ErrFull)
			return
		}
		s.timer = c.after(c.cfg.SlowTimeout, func() { c.slow(s) })
	}
}

// admit queues the messages for which there is room. One that waits holds back later ones to the same members, so that
// each member gets all in the order of the calls (MSG-6).
func (c *Core) admit() {
	defer func() {
		for _, m := range c.order {
			m.claimed = false
		}
	}()
	for _, s := range slices.Clone(c.waiting) {
		room := true
		for _, m := range s.to {
			room = room && m.queued < c.cfg.SendQueue && !m.claimed
		}
		for _, m := range s.to {
			if !room {
				m.claimed = true
				continue
			}
			if m.at == len(m.queue) {
				m.progress = c.now
			}
			m.queue = append(m.queue, item{msg: s.msg})
			m.queued += len(s.msg.data) + itemCost
			c.rewakeOne(m)
		}
		if room {
			c.finish(s, nil)
		}
	}
}

// finish ends a send that waited.
func (c *Core) finish(s *sending, err error) {
	c.waiting = remove(c.waiting, s)
	s.timer.stop()
	if err == nil && len(s.slow) > 0 {
		err = &SlowError{s.slow}
	}
	c.emit(Done{s.token, err})
}

// cancel takes a send or an invitation back.
func (c *Core) cancel(token uint64) {
	for _, s := range c.waiting {
		if s.token == token {
			c.finish(s, ErrCanceled)
			c.admit()
			return
		}
	}
	for _, ch := range c.byLink() {
		if token != 0 && ch.token == token {
			c.invitation(ch, ErrCanceled)
			c.close(ch, true)
			return
		}
	}
}

// slow drops the members that a send has waited for and that have taken nothing for SlowTimeout (CHN-5).
func (c *Core) slow(s *sending) {
	next := c.cfg.SlowTimeout
	for _, m := range slices.Clone(s.to) {
		if c.members[m.id] != m || m.queued < c.cfg.SendQueue {
			continue
		}
		left := m.progress + c.cfg.SlowTimeout - c.now
		if left > 0 {
			next = min(next, left)
		} else if ch := m.ch; ch != nil {
			m.ch = nil
			c.close(ch, true)
			c.lose(m, ErrSlow)
		} else {
			c.forget(m, ErrSlow)
		}
	}
	if slices.Contains(c.waiting, s) {
		s.timer = c.after(max(next, time.Millisecond), func() { c.slow(s) })
	}
}

// unsend takes a member that is gone out of all sends that wait.
func (c *Core) unsend(m *member, err error) {
	for _, s := range slices.Clone(c.waiting) {
		if !slices.Contains(s.to, m) {
			continue
		}
		s.to = remove(s.to, m)
		if err == ErrSlow {
			s.slow = append(s.slow, m.id)
		}
		if len(s.to) == 0 {
			if s.msg.broadcast || err == ErrSlow {
				c.finish(s, nil)
			} else {
				c.finish(s, ErrNoMember)
			}
		}
	}
	if len(c.waiting) > 0 {
		c.admit()
	}
}

// rewake has messages to distant members sent on what is their route now.
func (c *Core) rewake() {
	for _, m := range c.order {
		if m.ch == nil {
			c.rewakeOne(m)
		}
	}
}

// unsent reports whether something is still to be sent on a channel, when what is on its way has been acknowledged.
func (c *Core) unsent(ch *channel) bool {
	for _, m := range c.order {
		if m.at < len(m.queue) && c.route(m.id) == ch {
			return true
		}
	}
	return false
}

// hasWork reports whether anything waits to be sent on a channel.
func (c *Core) hasWork(ch *channel) bool { return len(ch.out) > 0 || c.pick(ch) != nil }

// pick returns the member whose turn it is to be sent something on a channel: the one at its other end, and distant
// ones, by turns.
func (c *Core) pick(ch *channel) *member {
	own := ch.member
	if own == nil || own.ch != ch {
		return nil
	}
	var first *member // of those who wait
	next := false
	for _, m := range c.order {
		if !c.sendable(m) || c.route(m.id) != ch {
			next = next || m.id == ch.turn
			continue
		}
		if next {
			return m
		}
		if first == nil {
			first = m
		}
		next = next || m.id == ch.turn
	}
	return first
}

// pull returns the next message to be sent on a channel.
func (c *Core) pull(ch *channel) []byte {
	if ch.hole {
		ch.out, ch.outSize, ch.beating = nil, 0, false
		for m := c.pick(ch); m != nil; m = c.pick(ch) {
			c.frame(ch, m)
		}
	}
	if len(ch.out) > 0 {
		b := ch.out[0]
		ch.out[0] = nil
		ch.out = ch.out[1:]
		ch.outSize -= len(b) + itemCost
		if len(ch.out) == 0 {
			ch.beating = false
		}
		return b
	}
	if m := c.pick(ch); m != nil {
		ch.turn = m.id
		return c.frame(ch, m)
	}
	leaving := c.departing && ch.member != nil && !ch.closing && !c.unsent(ch)
	if leaving && c.part(ch) {
		return c.pull(ch)
	}
	ch.ready = false
	if leaving {
		c.close(ch, false) // STA-17
	}
	return nil
}

// frame encodes the next part of the first message that waits for a member (MSG-3, MSG-4).
func (c *Core) frame(ch *channel, m *member) []byte {
	it := &m.queue[m.at]
	msg := it.msg
	um := wire.UserMessage{Length: uint32(len(msg.data)), Type: wire.UserBytes}
	if m.keeps() && it.first == 0 && it.sent == 0 {
		it.first = m.numbers + 1
		m.numbers += it.frames()
	}
	if it.first != 0 { // EXT-4
		um.Number, um.Session, um.All = it.first+uint64(it.sent/ChunkSize), m.theirs, msg.broadcast
	}
	if msg.text {
		um.Type = wire.UserString
	}
	n := len(msg.data)
	if n <= ChunkSize {
		um.Kind, um.Full = wire.UserMessageFull, msg.data
	} else {
		n = min(ChunkSize, n-it.sent)
		um.Kind = wire.UserMessageChunk
		um.Chunk = wire.Chunk{ID: msg.chunk, Number: uint32(it.sent / ChunkSize), Content: msg.data[it.sent : it.sent+n]}
	}
	env := wire.Message{SenderID: c.id, RecipientID: m.id, ServiceID: wire.ServiceUserMessage}
	if msg.broadcast && m.ch == ch {
		env.RecipientID = 0 // MSH-15
	}
	if c.seal == nil {
		c.buf = um.Append(c.buf[:0])
		env.Content = c.buf
	} else {
		var err error
		env.RecipientID, env.ServiceID = m.id, wire.ServiceSealed // SEC-12
		if env.Content, err = c.sealUser(c.sessionWith(m.id), msg, &um); err != nil {
			c.emit(Note{Text: "message not sent", ID: m.id, Err: err})
			ch.ready = false
			return nil
		}
	}
	ch.scratch = env.Append(ch.scratch[:0])

	it.sent += n
	switch {
	case it.first != 0: // it is kept until it is acknowledged
		if m.inflight += n; m.timed == 0 && um.Number > m.sentTo { // of what is repeated it is not known which was acknowledged
			m.timed, m.timedAt = um.Number, c.now
		}
		m.sentTo = max(m.sentTo, um.Number)
		if it.sent == len(msg.data) {
			m.inflight += 1 // also an empty one is on its way
			m.at++
		}
		if m.repeat == nil || m.repeat.index < 0 {
			c.watchRepeat(m)
		}
	default:
		m.queued -= n
		m.progress = c.now
		if it.sent == len(msg.data) {
			m.queued -= itemCost
			m.queue = slices.Delete(m.queue, m.at, m.at+1)
		}
	}
	if len(c.waiting) > 0 && m.queued < c.cfg.SendQueue {
		c.admit()
	}
	return ch.scratch
}

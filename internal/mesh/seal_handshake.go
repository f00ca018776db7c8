package mesh

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/wire"
)

// newIndex draws an index and keeps it (SEC-11).
func (c *Core) newIndex() uint32 {
	for {
		index := c.cfg.Rand()
		if _, used := c.seal.sessions[index]; !used {
			c.seal.sessions[index] = nil
			return index
		}
	}
}

// self is this end of a handshake.
func (c *Core) self(index uint32) sealed.Self {
	return sealed.Self{Identity: c.seal.identity, ID: c.id, Index: index}
}

// secure begins a handshake with the peer of an attempt, unless there is a session with it, or it has begun one itself
// (SEC-12). It reports whether the attempt has to wait for that.
func (c *Core) secure(a *attempt) bool {
	s := c.seal
	if s == nil {
		return false
	}
	if a.to.signaling {
		delete(s.behind, a.to.id) // whoever it stood for: the server has chosen anew
	} else {
		if t := c.sessionWith(a.to.id); t != nil && !t.stale {
			return false
		}
		if a.to.id < c.id && slices.ContainsFunc(s.answers, func(an *answering) bool { return an.from.id == a.to.id && c.now-an.since < ResponseTimeout }) {
			return true // SEC-19
		}
	}
	index := c.newIndex()
	h, first, err := s.keys.Initiate(c.self(index), c.cfg.Entropy)
	if err != nil {
		panic(err) // an Entropy does not fail
	}
	k := &asking{to: a.to, handshake: h, index: index, first: first}
	s.asking[a.to.id] = k
	c.shake(a.to, 1, first, &k.repeat, 0)
	return true
}

// shake sends a message of a handshake, and has it sent again (SEC-19). Through signaling nothing is lost but with all.
func (c *Core) shake(to address, step uint32, data []byte, repeat **timer, times int) {
	m := wire.Sealed{Kind: wire.SealedHandshake, Handshake: wire.Handshake{Step: step, Data: data}}
	if err := c.carry(to, wire.ServiceSealed, m.Append(nil)); err != nil {
		c.emit(Note{Text: "handshake not sent", ID: to.id, Err: err})
	}
	if repeat != nil && !to.signaling && times < len(handshakeRepeats) {
		*repeat = c.after(handshakeRepeats[times], func() { c.shake(to, step, data, repeat, times+1) })
	}
}

// unshake gives up the handshake of an attempt that is over.
func (c *Core) unshake(a *attempt) {
	if c.seal == nil {
		return
	}
	if k := c.seal.asking[a.to.id]; k != nil {
		k.repeat.stop()
		k.handshake.Erase()
		delete(c.seal.asking, a.to.id)
		if c.seal.sessions[k.index] == nil {
			delete(c.seal.sessions, k.index)
		}
	}
}

// handshake handles a message of a handshake, whichever way it came.
func (c *Core) handshake(from address, m *wire.Handshake) {
	if c.state == StateLeaving || !from.signaling && (from.id < MinID || from.id == c.id) {
		return
	}
	switch m.Step {
	case 1:
		c.answerHandshake(from, m.Data)
	case 2:
		c.finishHandshake(from, m.Data)
	case 3:
		c.completeHandshake(from, m.Data)
	}
}

// answerHandshake answers the first message of a handshake, again if it is the same one.
func (c *Core) answerHandshake(from address, first []byte) {
	s := c.seal
	switch {
	case from.signaling && from.id == 0: // it is the joiner who begins
		return
	case !from.signaling && s.asking[from.id] != nil && from.id > c.id: // SEC-19
		return
	}
	same := 0 // SEC-52
	for _, an := range s.answers {
		if an.from.id != from.id {
			continue
		}
		if bytes.Equal(an.first, first) {
			an.from = from
			c.shake(from, 2, an.second, nil, 0)
			return
		}
		same++
	}
	index := c.newIndex()
	h, second, err := s.keys.Respond(c.self(index), c.cfg.Entropy, first)
	if err != nil { // SEC-9
		delete(s.sessions, index)
		c.emit(Note{Text: "handshake refused", ID: from.id, Err: err})
		return
	}
	for i := 0; i < len(s.answers); i++ {
		an := s.answers[i]
		old := c.now-an.since > AnswerTimeout
		if old || same >= MaxAnswersTo && an.from.id == from.id || len(s.answers) >= MaxAnswers {
			if an.from.id == from.id {
				same--
			}
			c.dropAnswer(an)
			i--
		}
	}
	s.answers = append(s.answers, &answering{from, c.now, h, index, bytes.Clone(first), second})
	c.startSweep()
	c.shake(from, 2, second, nil, 0)
}

func (c *Core) dropAnswer(an *answering) {
	an.handshake.Erase()
	c.seal.answers = remove(c.seal.answers, an)
	if c.seal.sessions[an.index] == nil {
		delete(c.seal.sessions, an.index)
	}
}

// finishHandshake takes the second message of a handshake that was begun here.
func (c *Core) finishHandshake(from address, second []byte) {
	k := c.seal.asking[from.id]
	if k == nil || k.to.signaling != from.signaling {
		return
	}
	t, third, err := k.handshake.Finish(second)
	if errors.Is(err, sealed.ErrHandshake) { // another one's, or altered: the right one may come yet
		c.emit(Note{Text: "handshake message ignored", ID: from.id, Err: err})
		return
	}
	a := c.attempts[from.id]
	if err == nil {
		err = c.vouch(from, t)
	} else {
		err = fmt.Errorf("%w: %w", ErrSecret, err) // SEC-28
	}
	if err != nil { // before message 3, which would tell who this one is (SEC-23)
		c.fail(a, err)
		return
	}
	delete(c.seal.asking, from.id)
	k.repeat.stop()
	to := k.to
	to.via = from.via
	s := c.establish(to, t, k.index, true)
	s.third = third
	c.shake(to, 3, third, &s.repeat, 0)
	c.secured(a)
}

// completeHandshake takes the third message of one that another end has begun.
func (c *Core) completeHandshake(from address, third []byte) {
	for _, an := range slices.Backward(c.seal.answers) {
		if an.from.id != from.id || an.from.signaling != from.signaling || c.now-an.since > AnswerTimeout {
			continue
		}
		t, err := an.handshake.Complete(third)
		if err != nil {
			continue // another one's
		}
		if err := c.vouch(from, t); err != nil {
			c.dropAnswer(an)
			_, id := t.Peer()
			c.emit(Unconnected{id, err}) // SEC-28
			return
		}
		c.establish(from, t, an.index, false)
		c.dropAnswer(an)
		c.secured(c.attempts[from.id])
		return
	}
}

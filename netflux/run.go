package netflux

import (
	"errors"
	"time"

	"github.com/meshpair/meshpair/internal/mesh"
)

// A link is a connection that the core has asked for.
type link interface {
	// trySend sends a message if that need not wait, and fails with errWait otherwise.
	trySend(b []byte) error
	// send waits until the message has been taken.
	send(b []byte) error
	// remote takes what the other end of a data channel in the making has to say. It does not wait.
	remote(m mesh.Remote)
	// close ends the link, at once or when all that was sent has arrived. It does not wait.
	close(abort bool)
	// state says whether the link is read.
	state() *reader
}

// A pump is a link on which messages wait that the core has for it.
type pump struct {
	id   mesh.Link
	link link
}

// run carries out what the core wants. The lock is held. What may take a while is left to unlock or to goroutines.
func (g *Group) run(outs []mesh.Output) {
	for _, o := range outs {
		switch o := o.(type) {
		case mesh.DialSignaling:
			g.start(o.Link, newSignalingLink(g, o.Link))
		case mesh.Dial:
			g.start(o.Link, newWebSocketLink(g, o.Link, o.URL))
		case mesh.Offer:
			g.start(o.Link, newOffer(g, o.Link, o.Label))
		case mesh.Answer:
			g.start(o.Link, newAnswer(g, o.Link))
		case mesh.Remote:
			if l := g.links[o.Link]; l != nil {
				l.remote(o)
			}
		case mesh.Ready:
			if l := g.links[o.Link]; l != nil {
				g.pumps = append(g.pumps, pump{o.Link, l})
			}
		case mesh.Close:
			if l := g.links[o.Link]; l != nil {
				l.close(o.Abort)
			}
		case mesh.Done:
			g.finish(o)
		case mesh.Note:
			g.cfg.Logger.Debug(o.Text, "key", g.key, "member", o.ID, "reason", o.Err)
		default:
			g.tell(o)
		}
	}
}

// finish hands the outcome of a send to whoever waits for it.
func (g *Group) finish(o mesh.Done) {
	if result := g.sends[o.Token]; result != nil {
		delete(g.sends, o.Token)
		result <- o.Err
	} else if o.Token == g.tokens {
		g.result, g.done = o.Err, true
	}
}

// tell puts an event into the mailbox.
func (g *Group) tell(o mesh.Output) {
	switch o := o.(type) {
	case mesh.Deliver:
		kind := Binary
		if o.Text {
			kind = Text
		}
		g.mail.put(Message{o.From, kind, o.Private, o.Data})
	case mesh.Joined:
		g.mail.put(MemberJoined(o))
	case mesh.Gone:
		g.mail.put(MemberLeft(o))
	case mesh.Refused:
		g.mail.put(MessageRefused(o))
	case mesh.Unconnected:
		g.mail.put(g.ice.unconnected(ConnectFailed(o)))
	case mesh.Disputed:
		g.mail.put(IdentityDisputed{o.ID, o.Known.String(), o.KnownBy, o.Other.String(), o.OtherBy})
	case mesh.NewSignalingState:
		if o.Err != nil {
			g.failure = o.Err
			g.cfg.Logger.Warn("signaling lost", "key", g.key, "reason", o.Err)
		}
		g.mail.put(SignalingChanged{SignalingState(o.State), o.Err})
	case mesh.NewState:
		g.mail.put(StateChanged{State(o.State), o.Err})
		g.entered(o)
	}
}

// entered lets those know who wait for a state.
func (g *Group) entered(o mesh.NewState) {
	var err error
	switch o.State {
	case mesh.StateJoined:
	case mesh.StateLeft:
		g.ice.end()
		err = &JoinError{o.Err, g.failure}
		if o.Err == nil {
			err = &JoinError{ErrNotInGroup, g.failure} // Leave was called meanwhile
		}
	default:
		return
	}
	if g.joins != nil {
		g.joins <- err
		g.joins = nil
	}
}

// start begins a link. It is in links until its goroutine has ended.
func (g *Group) start(id mesh.Link, l interface {
	link
	serve()
}) {
	g.links[id] = l
	go l.serve()
}

// ended tells the core that a link is no more; it is the last that a link does.
func (g *Group) ended(id mesh.Link, err error) {
	g.mu.Lock()
	if errors.Is(err, ErrNoRelay) {
		g.ice.noRelay = true
	}
	delete(g.links, id)
	g.run(g.core.Step(g.now(), mesh.Closed{Link: id, Err: err}))
	g.unlock(false)
}

// unlock ends a step: it sets the timer, gives up the lock, and has messages sent and events handled; here if the
// goroutine that calls may be held up by OnEvent.
func (g *Group) unlock(here bool) {
	g.arm()
	left := g.maybeLeft()
	pumps := g.pumps
	g.pumps = nil
	g.mu.Unlock()
	if left != nil {
		if g.onLeft != nil {
			g.onLeft()
		}
		close(left) // last, so that a bot that was left does not list the group any more
	}
	for _, p := range pumps {
		g.pump(p)
	}
	g.mail.deliver(here)
}

// maybeLeft ends the group when it has been left and no link and no probe remains. If this is so for the first time it
// returns what the caller has to close, else nil.
func (g *Group) maybeLeft() chan struct{} {
	if len(g.links) > 0 || g.ice.probes > 0 || g.core.State() != mesh.StateLeft || g.ending == g.left {
		return nil
	}
	if g.listener != nil {
		g.listener.Close()
		return nil // it is gone when its Serve returns
	}
	g.ending = g.left
	return g.left
}

// arm sets the timer for the core's next deadline. A timer that fires too early does no harm.
func (g *Group) arm() {
	next, ok := g.core.Next()
	switch {
	case !ok:
		if g.armed != 0 {
			g.timer.Stop()
			g.armed = 0
		}
	case g.armed == 0 || next < g.armed:
		g.armed = max(next, 1)
		d := max(next-g.now(), 0)
		if g.timer == nil {
			g.timer = time.AfterFunc(d, g.tick)
		} else {
			g.timer.Reset(d)
		}
	}
}

// stall tells the core of links from which nothing is read because their goroutine is in OnEvent: their silence is not
// the other end's. It is done before time passes, as it is of no interest else.
func (g *Group) stall() {
	for id, l := range g.links {
		if r := l.state(); r.busy.Load() {
			r.stalled = true
			g.run(g.core.Step(g.now(), mesh.Stalled{Link: id, On: true}))
		} else if r.stalled {
			r.stalled = false
			g.run(g.core.Step(g.now(), mesh.Stalled{Link: id}))
		}
	}
}

func (g *Group) tick() {
	g.mu.Lock()
	g.armed = 0
	g.stall()
	g.run(g.core.Step(g.now(), mesh.Tick{}))
	g.unlock(false)
}

// maxPump is how many messages a goroutine sends that has something else to do.
const maxPump = 16

// pump sends what waits on a link, as far as the link takes it at once, and leaves the rest to a goroutine, which lasts
// until nothing waits.
func (g *Group) pump(p pump) {
	for range maxPump {
		b := g.pull(p.id)
		if b == nil {
			return
		}
		if err := p.link.trySend(b); err == errWait {
			go g.pumpAll(p, b)
			return
		} else if err != nil {
			g.unsent(p, err)
			return
		}
	}
	go g.pumpAll(p, g.pull(p.id))
}

// pumpAll sends b and all that waits.
func (g *Group) pumpAll(p pump, b []byte) {
	for ; b != nil; b = g.pull(p.id) {
		if err := p.link.send(b); err != nil {
			g.unsent(p, err)
			return
		}
	}
}

// unsent closes a link that does not take a message, if it is not closed already: the core counts on its being sent.
func (g *Group) unsent(p pump, err error) {
	g.cfg.Logger.Debug("message not sent", "key", g.Key(), "reason", err)
	p.link.close(true)
}

// pull returns the next message to be sent on a link.
func (g *Group) pull(id mesh.Link) []byte {
	g.mu.Lock()
	b, outs := g.core.Pull(g.now(), id)
	g.run(outs)
	if len(outs) == 0 {
		g.mu.Unlock()
	} else {
		g.unlock(false)
	}
	return b
}

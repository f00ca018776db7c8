package session

import (
	"fmt"
	"time"

	"github.com/meshpair/meshpair/internal/sealed"
)

// Config holds the limits of a [Core], and what it registers with. A number that is zero or negative has its default.
type Config struct {
	Code, Hash string // the pairing

	// Seal seals the pairing (SEC-42). It is good for this core alone. A nil one does not.
	Seal *sealed.Pairing

	NoUpgrade     bool          // make a data channel only when asked to
	PeerTimeout   time.Duration // see DefaultPeerTimeout
	MaxMessage    int           // see DefaultMaxMessage
	MaxRelay      int           // see DefaultMaxRelay
	Window        int           // see DefaultWindow; at least MinWindow
	SendBuffer    int           // see DefaultSendBuffer
	ReceiveBuffer int           // see DefaultReceiveBuffer
}

func (c Config) withDefaults() Config {
	number := func(p *int, value int) {
		if *p <= 0 {
			*p = value
		}
	}
	number(&c.MaxMessage, DefaultMaxMessage)
	number(&c.MaxRelay, DefaultMaxRelay)
	number(&c.Window, DefaultWindow)
	number(&c.SendBuffer, DefaultSendBuffer)
	number(&c.ReceiveBuffer, DefaultReceiveBuffer)
	c.Window = max(c.Window, MinWindow)
	if c.PeerTimeout <= 0 {
		c.PeerTimeout = DefaultPeerTimeout
	}
	return c
}

// A wayState is the state of a connection.
type wayState byte

const (
	absent      wayState = iota // there is none: not yet, or not any more
	making                      // a data channel is being made
	registering                 // the relay is open; the server has not answered
	open                        // messages can be sent
)

// A connection is what the core knows of a way.
type connection struct {
	state   wayState
	attempt Attempt
	control []Message // what goes before the user's messages
	plain   int       // how many of these, the first, are not to be sealed
	ping    bool      // a PING is to be sent
	pingAt  time.Duration
	finish  bool   // it is to be closed when nothing waits for it any more
	offer   uint64 // which offer led to it (SEC-43)
}

// A peerKind says what the other client is.
type peerKind byte

const (
	unknown  peerKind = iota
	ours              // it has said hello
	original          // it has not, and should have
)

// A Core is the state of one session. Its methods must not be called concurrently.
type Core struct {
	cfg  Config
	now  time.Duration
	outs []Output // of the step under way

	ways      [2]connection
	begun     bool
	paired    bool
	initiator bool
	kind      peerKind
	certain   bool // kind does not change any more
	pairedAt  time.Duration
	deadline  time.Duration // for the peer's next PING; 0: none came yet

	closing bool
	over    bool
	reason  error // why the core closes; nil if the user asked for it

	sender
	receiver
	upgrader
	sealing
}

// New returns a core whose WebSocket is not open yet.
func New(cfg Config) *Core {
	c := &Core{cfg: cfg.withDefaults()}
	c.next = 1
	c.want = !cfg.NoUpgrade
	return c
}

// Step takes an input. Now is the time since any moment before the first step, and never decreases. The outputs are valid
// until the next call.
func (c *Core) Step(now time.Duration, in Input) []Output {
	c.now, c.outs = now, c.outs[:0]
	if c.over {
		c.late(in)
		return c.outs
	}
	switch in := in.(type) {
	case Begin:
		c.begin()
	case Received:
		c.received(in)
	case Opened:
		c.opened(in)
	case Ended:
		c.ended(in)
	case Local:
		c.local(in)
	case Send:
		c.send(in)
	case Upgrade:
		c.upgrade(in.Token)
	case Cancel:
		c.cancel(in.Token)
	case Consumed:
		c.consumed(in.Bytes)
	case Break:
		c.breakChannel(ErrBroken)
	case Close:
		c.close(in.Now)
	}
	c.tick()
	c.settle()
	return c.outs
}

// late answers what comes after the end.
func (c *Core) late(in Input) {
	switch in := in.(type) {
	case Send:
		c.done(in.Token, ErrNotConnected)
	case Upgrade:
		c.done(in.Token, ErrNotConnected)
	}
}

func (c *Core) out(o Output) { c.outs = append(c.outs, o) }

func (c *Core) done(token uint64, err error) { c.out(Done{token, err}) }

// A Verdict says what to do with a connection.
type Verdict byte

// The verdicts of [Core.Pull].
const (
	Nothing Verdict = iota // wait for the next Ready
	Take                   // send the message
	Finish                 // close the connection in order
)

// Pull returns what is to be sent next on a connection. Unacked is how many bytes of what was pulled before the other end
// of a data channel has not acknowledged yet; 0 for the relay.
func (c *Core) Pull(now time.Duration, w Way, a Attempt, unacked int) (Message, Verdict, []Output) {
	c.now, c.outs = now, c.outs[:0]
	p := &c.ways[w]
	if c.over || p.attempt != a || p.state != open && p.state != registering {
		return Message{}, Nothing, nil
	}
	if w == Channel {
		c.trim(unacked)
	}
	m, ok := c.pull(w)
	if ok && w == Channel && len(c.recent) > 0 && c.trimAt == 0 {
		c.trimAt = c.now + Grace/2
	}
	if ok {
		m, ok = c.seal(w, m)
	}
	c.settle()
	switch {
	case ok:
		return m, Take, c.outs
	case p.finish:
		return m, Finish, c.outs
	}
	return m, Nothing, c.outs
}

func (c *Core) pull(w Way) (Message, bool) {
	p := &c.ways[w]
	switch {
	case len(p.control) > 0:
		m := p.control[0]
		p.control[0] = Message{}
		p.control = p.control[1:]
		return m, true
	case p.ping:
		p.ping = false
		m := Message{true, []byte(ping)}
		if w == Channel {
			c.keep(m, false)
		}
		return m, true
	}
	switch route, ok := c.route(); {
	case !ok || c.reason != nil:
		return Message{}, false
	case c.kind != ours:
		return c.pullRaw(w)
	case route != w:
		return Message{}, false
	case c.ackDue:
		return c.ack(), true
	}
	return c.pullFrame(w)
}

// route returns the way that the user's messages take (PSX-67).
func (c *Core) route() (Way, bool) {
	switch {
	case c.ways[Channel].state == open:
		return Channel, true
	case c.paired && c.ways[Relay].state == open:
		return Relay, true
	}
	return 0, false
}

// post queues a message of the protocol.
func (c *Core) post(w Way, m Message) {
	p := &c.ways[w]
	if p.state == absent || p.state == making {
		return
	}
	p.control = append(p.control, m)
	c.out(Ready{w})
}

// wake has the user's messages pulled.
func (c *Core) wake() {
	if w, ok := c.route(); ok {
		c.out(Ready{w})
	}
}

// close ends the session on the user's demand (PSX-80).
func (c *Core) close(now bool) {
	if !c.begun {
		c.finish()
		return
	}
	c.closing = true
	c.refuseSends(ErrClosed)
	c.refuseUpgrades(ErrClosed)
	if c.ways[Channel].state == making {
		c.abort(Channel)
	}
	if now {
		c.abort(Relay)
		c.abort(Channel)
	}
}

// fail ends the session: the relay in order, as the server has done nothing wrong.
func (c *Core) fail(err error) {
	if c.reason != nil {
		return
	}
	c.reason = err
	c.closing = true
	c.refuseSends(err)
	c.refuseUpgrades(err)
	c.abort(Channel)
	c.hangUp(Relay)
}

func (c *Core) abort(w Way) {
	if p := c.ways[w]; p.state != absent {
		c.out(Abort{w, p.attempt})
	}
}

func (c *Core) hangUp(w Way) {
	if p := &c.ways[w]; p.state != absent && !p.finish {
		p.finish = true
		c.out(Ready{w})
	}
}

// settle hangs up when all has been said, and ends the session when nothing is open.
func (c *Core) settle() {
	if c.over || !c.begun {
		return
	}
	if c.closing && c.flushed() {
		if c.ackWanted() { // the peer is not to wait for it in vain
			c.ackDue = true
			c.wake()
		}
		c.sayEnd()
		c.hangUp(Channel)
		if c.kind == ours || c.ways[Channel].state == absent { // the relay may have to carry what the channel does not
			c.hangUp(Relay)
		}
	}
	if c.ways[Relay].state == absent && c.ways[Channel].state == absent {
		c.finish()
	}
}

// finish ends the session for good.
func (c *Core) finish() {
	c.over = true
	c.forget()
	c.refuseSends(ErrClosed)
	c.refuseUpgrades(ErrClosed)
	c.out(Over{c.reason, c.lost()})
}

// ended takes the end of a connection.
func (c *Core) ended(in Ended) {
	p := &c.ways[in.Way]
	if p.state == absent || p.attempt != in.Attempt {
		return
	}
	was, inOrder := p.state, p.finish
	*p = connection{attempt: p.attempt}
	if in.Way == Channel {
		c.channelEnded(was, inOrder, in)
	} else {
		c.relayEnded(in.Err)
	}
	if c.ways[Relay].state == absent && c.ways[Channel].state == absent && c.reason == nil && !c.closing {
		c.reason = c.whyEnded(in.Err)
	}
}

// broken ends the session with a peer that breaks the protocol (PSX-79).
func (c *Core) broken(format string, args ...any) {
	c.fail(fmt.Errorf("%w: "+format, append([]any{ErrProtocol}, args...)...))
}

// Status tells how a session stands.
type Status struct {
	Relay, Channel bool // which connections are open
	Paired         bool // the other client is there
	Initiator      bool // this client was the first of the two
	Ours           bool // the other client is one of ours
	Sealed         bool // all that the two say is sealed
}

// Status returns how the session stands.
func (c *Core) Status() Status {
	return Status{
		Relay:   c.ways[Relay].state == open,
		Channel: c.ways[Channel].state == open,
		Paired:  c.paired && !c.over, Initiator: c.initiator, Ours: c.kind == ours,
		Sealed: c.roads != nil && !c.over,
	}
}

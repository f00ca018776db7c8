package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/meshpair/meshpair/internal/sealed"
)

// maxStep is how many bytes a message of the handshake may have: those of this implementation have 200 at most (SEC-42).
const maxStep = 1024

// HandshakeTimeout is how long after peer.connected the handshake of a sealed pairing may take (SEC-47).
const HandshakeTimeout = 10 * time.Second

// Why a sealed pairing ends (SEC-48).
var (
	ErrSecret   = errors.New("peersox: the other end has not shown that it has the secret of this pairing")
	ErrUnsealed = errors.New("peersox: the other end is not sealed")
	ErrNoSecret = errors.New("peersox: the other end wants a sealed pairing, and this end has no secret")
	ErrForged   = errors.New("peersox: what came was forged or altered on the way")
	ErrCutShort = errors.New("peersox: the connection was cut short, without a goodbye of the other end")
)

// forget ends the keys of a connection that is over (SEC-10, SEC-42).
func (c *Core) forget() {
	if c.cfg.Seal == nil {
		return
	}
	c.cfg.Seal.Erase()
	if c.roads != nil {
		c.roads.Erase()
	}
	for _, r := range c.road {
		if r != nil {
			r.Erase()
		}
	}
}

// sealedText begins what is sealed and is no frame (SEC-43).
const sealedText = 0

// A sealing is what a core knows of the seal of its pairing.
type sealing struct {
	met      bool            // peer.connected has come: the handshake has begun
	await    int             // the step of the message that is waited for
	shakeBy  time.Duration   // when the handshake has failed; 0: there is none under way
	first    []byte          // message 1, if it was faster than peer.connected
	roads    *sealed.Roads   // nil until the handshake is over
	road     [2]*sealed.Road // by Way
	buf      []byte          // what was opened last; used again
	offers   uint64          // that were made, or have come (SEC-43)
	saidEnd  bool
	heardEnd bool // the peer has said its end (SEC-45)
}

// A handshakeStep is the data of a message of the handshake (SEC-42, SEC-47).
type handshakeStep struct {
	Step    int    `json:"step,omitempty"`
	Data    []byte `json:"data,omitempty"`
	Refused bool   `json:"refused,omitempty"`
}

// meet begins the handshake in place of the hello (SEC-42).
func (c *Core) meet(initiator bool) {
	if c.met || c.closing {
		return
	}
	c.met, c.initiator = true, initiator
	c.shakeBy = c.now + HandshakeTimeout
	switch {
	case initiator:
		c.shake(1, c.cfg.Seal.Initiate())
	case c.first != nil:
		c.await = 1
		c.respond(c.first)
		c.first = nil
	default:
		c.await = 1
	}
}

// shake sends a message of the handshake, and waits for the next one.
func (c *Core) shake(step int, data []byte) {
	c.await = step + 1
	c.postPlain(newInternal(nameSealed, handshakeStep{Step: step, Data: data}))
}

// shaken takes a message of the handshake.
func (c *Core) shaken(data []byte) {
	var s handshakeStep
	err := json.Unmarshal(data, &s)
	switch {
	case err == nil && s.Refused:
		c.fail(fmt.Errorf("%w: it refuses this end's", ErrSecret))
	case err != nil || len(s.Data) > maxStep:
		c.refuse(fmt.Errorf("%w: not a message of the handshake", ErrForged))
	case s.Step == 1 && !c.met:
		c.first = s.Data
	case s.Step == 0 || s.Step != c.await:
		c.refuse(fmt.Errorf("%w: not the message that the handshake waits for", ErrForged))
	case s.Step == 1:
		c.respond(s.Data)
	case s.Step == 2:
		message3, theirs, roads, err := c.cfg.Seal.Finish(s.Data, c.helloData())
		if err != nil {
			c.refuse(handshakeError(err))
			return
		}
		c.shake(3, message3)
		c.established(theirs, roads)
	default:
		theirs, roads, err := c.cfg.Seal.Complete(s.Data)
		if err != nil {
			c.refuse(handshakeError(err))
			return
		}
		c.established(theirs, roads)
	}
}

func (c *Core) respond(message1 []byte) {
	message2, err := c.cfg.Seal.Respond(message1, c.helloData())
	if err != nil {
		c.refuse(handshakeError(err))
		return
	}
	c.shake(2, message2)
}

func handshakeError(err error) error {
	if errors.Is(err, sealed.ErrSecret) {
		return ErrSecret
	}
	return fmt.Errorf("%w: the handshake", ErrForged)
}

func (c *Core) helloData() []byte {
	b, err := marshal(c.hello())
	if err != nil {
		panic("session: " + err.Error()) // it has numbers alone
	}
	return b
}

// established has all that follows sealed, and the user told that the peer is there (SEC-42 to SEC-44).
func (c *Core) established(theirs []byte, roads *sealed.Roads) {
	c.shakeBy = 0
	c.roads = roads
	c.road[Relay] = roads.Relay()
	h, ok := parseHello(theirs)
	if !ok {
		c.broken("no hello in the handshake")
		return
	}
	c.isOurs(h)
	c.framed = true
	c.paired, c.pairedAt = true, c.now
	c.deadline = c.now + c.cfg.PeerTimeout // it is one of ours, which says PING
	c.out(Paired{c.initiator})
	c.planOffer()
}

// refuse ends the session during the handshake (SEC-47).
func (c *Core) refuse(err error) {
	c.shakeBy = 0
	c.postPlain(newInternal(nameSealed, handshakeStep{Refused: true}))
	c.fail(err)
}

// unsealed ends the session with a peer that says something as it is (SEC-47).
func (c *Core) unsealed() {
	if c.roads == nil {
		c.refuse(ErrUnsealed)
		return
	}
	c.fail(ErrUnsealed)
}

// plainText takes a text that is not sealed: of the server, of the handshake, or of a peer that is not sealed (SEC-47).
func (c *Core) plainText(in Received) {
	m, internal := parseInternal(in.Data)
	switch {
	case in.Way == Relay && string(in.Data) == ping: // it may be from before peer.connected
	case in.Way == Channel || !internal:
		c.unsealed()
	case m.Name == namePeerConnected:
		var data peerConnected
		if json.Unmarshal(m.Data, &data) == nil {
			c.meet(data.IsInitiator)
		}
	case m.Name == nameSealed && c.roads == nil:
		c.shaken(m.Data)
	case m.Name == nameSealed, m.Name == nameHello, m.Name == nameFrames, m.Name == nameSignal, m.Name == nameUpgrade,
		m.Name == nameClosed, m.Name == nameEnd: // SEC-46: no offer, either
		c.unsealed()
	}
}

// open returns what a sealed message holds, whose data are valid until the next one; ok is false if there is nothing to
// take (SEC-43, SEC-44).
func (c *Core) open(in Received) (out Received, ok bool) {
	if in.Text {
		c.plainText(in)
		return in, false
	}
	road := c.road[in.Way]
	if road == nil {
		c.unsealed()
		return in, false
	}
	var err error
	if c.buf, err = road.Open(c.buf[:0], in.Data); err != nil {
		c.fail(ErrForged)
		return in, false
	}
	in.Data = c.buf
	if len(in.Data) > 0 && in.Data[0] == sealedText {
		in.Text, in.Data = true, in.Data[1:]
	}
	return in, true
}

// seal returns the form in which a message goes out (SEC-43).
func (c *Core) seal(w Way, m Message) (out Message, ok bool) {
	p := &c.ways[w]
	switch road := c.road[w]; {
	case c.cfg.Seal == nil:
		return m, true
	case p.plain > 0: // it was first in control
		p.plain--
		return m, true
	case road == nil: // there is nothing else to say yet, and nothing else is said
		return Message{true, []byte(ping)}, true
	default:
		data := m.Data
		if m.Text {
			data = append([]byte{sealedText}, data...)
		}
		b, err := road.Seal(make([]byte, 0, len(data)+sealedOverhead), data)
		if err != nil {
			c.fail(err)
			return Message{}, false
		}
		return Message{false, b}, true
	}
}

const sealedOverhead = sealed.Overhead

// postPlain queues a message for the server, or of the handshake. Nothing that is to be sealed is queued by then.
func (c *Core) postPlain(m Message) {
	if c.ways[Relay].state != absent {
		c.ways[Relay].plain++
	}
	c.post(Relay, m)
}

// sayEnd says that nothing follows (SEC-45).
func (c *Core) sayEnd() {
	if c.roads == nil || c.saidEnd || c.reason != nil {
		return
	}
	c.saidEnd = true
	m := newInternal(nameEnd, frames{c.number})
	c.post(Relay, m)
	c.post(Channel, m)
}

// peerEnds takes the peer's end (SEC-45).
func (c *Core) peerEnds(after uint64) {
	if after != c.next-1 {
		c.broken("it ends after frame %d, and %d came", after, c.next-1)
		return
	}
	c.heardEnd = true
}

// whyEnded returns why a connection has ended of whose end there is this to say (SEC-45).
func (c *Core) whyEnded(err error) error {
	switch {
	case c.cfg.Seal == nil || !c.met:
		return err
	case c.heardEnd:
		return nil
	case err == nil:
		return ErrCutShort
	}
	return fmt.Errorf("%w: %w", ErrCutShort, err)
}

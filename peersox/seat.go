package peersox

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshpair/meshpair/internal/pairing"
	"github.com/meshpair/meshpair/internal/ws"
)

const (
	// maxRegister is the most bytes of the message by which a client registers; a longer one is none.
	maxRegister = 1 << 10
	// seatTries is how often a client whose partner went at that moment is seated anew.
	seatTries = 5
	// postLimit is the size from which a message is written at once instead of being copied to a queue.
	postLimit = 64 << 10
	// closeTryAgain is the close code that asks a client to come again.
	closeTryAgain = 1013
)

// A client is one WebSocket connection. One goroutine reads it, and passes on what it reads.
type client struct {
	s       *socket
	node    Node
	ws      *ws.Conn
	id      string
	ready   chan struct{} // closed when HANDSHAKE_SUCCESS is on its way
	gone    chan struct{} // closed when the connection has ended
	peer    atomic.Pointer[mate]
	in      inbox           // what comes from a peer at another node
	pairing pairing.Pairing // what it registered; constant once ready

	// Owned by the reading goroutine.
	seated   bool
	due      mate // was sent something that is to be flushed
	deadline time.Time
}

// A mate is the other end of a pairing.
type mate interface {
	send(kind ws.Kind, data []byte) error // waits for a peer that reads slowly
	flush()
	leave() // tells it that this end has gone
}

// A refusal is why a client is closed.
type refusal struct {
	code   int
	reason string
}

func (r *refusal) Error() string { return r.reason }

func newClient(s *socket, node Node, w *ws.Conn, id string) *client {
	return &client{
		s: s, node: node, ws: w, id: id, ready: make(chan struct{}), gone: make(chan struct{}),
		in: inbox{limit: s.cfg.SendQueue + s.cfg.MaxMessage},
	}
}

func (c *client) mate() mate {
	if m := c.peer.Load(); m != nil {
		return *m
	}
	return nil
}

func (c *client) flush() {
	if c.due != nil {
		c.due.flush()
		c.due = nil
	}
}

// register waits for the client's registration and seats it (PSX-21 to PSX-25).
func (c *client) register() error {
	p, err := c.registration()
	if err != nil {
		return err
	}
	if err := c.check(p); err != nil {
		return err
	}
	for range seatTries {
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		initiator, err := c.node.Seat(ctx, p.Hash, c.id)
		cancel()
		if errors.Is(err, ErrSeatsTaken) { // PSX-24
			return c.failed("both seats of this pairing are taken")
		}
		if err != nil {
			return c.unavailable(err)
		}
		c.seated = true
		c.welcome(p)
		if initiator == nil || c.meet(*initiator) {
			return nil
		}
		c.unseat()
	}
	return &refusal{closeTryAgain, "the peer goes as it comes"}
}

// registration reads the client's first messages up to the one that registers it.
func (c *client) registration() (p pairing.Pairing, err error) {
	c.ws.SetReadDeadline(time.Now().Add(c.s.cfg.RegisterTimeout))
	for {
		kind, data, err := c.ws.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return p, &refusal{ws.ClosePolicy, "no registration within " + c.s.cfg.RegisterTimeout.String()} // PSX-22
		}
		if err != nil {
			return p, err
		}
		if kind != ws.Text || len(data) > maxRegister {
			continue // PSX-26: nobody is there to take it
		}
		if p, ok := pairing.ParseRegister(data); ok {
			return p, nil
		}
	}
}

// check looks whether a pairing is valid (PSX-23).
func (c *client) check(p pairing.Pairing) error {
	if !p.Valid() {
		return c.failed("this is no pairing")
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	ok, err := c.s.cfg.Store.CheckPairing(ctx, p.Code, p.Hash)
	if err != nil {
		return c.unavailable(err)
	}
	if !ok {
		return c.failed("the pairing is not valid")
	}
	return nil
}

// failed tells the client that its registration failed (PSX-23).
func (c *client) failed(reason string) error {
	c.ws.Post(ws.Text, []byte(pairing.HandshakeFailed))
	return &refusal{ws.ClosePolicy, reason}
}

func (c *client) unavailable(err error) error {
	c.s.cfg.Logger.Error("store", "error", err)
	c.failed("")
	return &refusal{closeTryAgain, "try again later"}
}

// welcome tells the client, once, that it is registered (PSX-23).
func (c *client) welcome(p pairing.Pairing) {
	select {
	case <-c.ready:
		return
	default:
	}
	c.pairing = p
	c.ws.Post(ws.Text, []byte(pairing.HandshakeSuccess))
	c.ws.Flush()
	close(c.ready)
}

// meet connects the client with the one that waited for it; false if that one has gone (PSX-25).
func (c *client) meet(initiator Address) bool {
	if initiator.Node != c.node.ID() {
		return c.meetRemote(initiator)
	}
	other := c.s.find(initiator.Client)
	if other == nil {
		return false
	}
	select {
	case <-other.ready:
	case <-other.gone:
		return false
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.clients[other.id] != other {
		return false // it has gone since
	}
	c.setMate(&localMate{other})
	// The one that came second is told first, so that it knows its peer when the other's first message comes.
	c.told(false)
	other.setMate(&localMate{c})
	other.told(true)
	return true
}

func (c *client) setMate(m mate) { c.peer.Store(&m) }

// told sends peer.connected (PSX-25).
func (c *client) told(initiator bool) {
	c.ws.Post(ws.Text, pairing.Connected(initiator, c.pairing))
	c.ws.Flush()
}

// pass passes on what the client sends until its connection ends (PSX-26).
func (c *client) pass() error {
	for {
		c.stayAwake()
		kind, data, err := c.ws.Read()
		if err != nil {
			return err
		}
		m := c.mate()
		if m == nil {
			continue // PSX-26: nobody is there to take it
		}
		if err := m.send(kind, data); err != nil {
			return err
		}
		c.due = m
	}
}

// stayAwake moves the time until which the client may be silent (PSX-34). It does so now and then only, as it costs more
// than passing a small message on.
func (c *client) stayAwake() {
	idle := c.s.cfg.IdleTimeout
	if now := time.Now(); c.deadline.Sub(now) < idle-idle/4 {
		c.deadline = now.Add(idle)
		c.ws.SetReadDeadline(c.deadline)
	}
}

// end takes a client whose connection has ended away, and closes its peer (PSX-30).
func (c *client) end() {
	c.flush()
	c.s.mu.Lock()
	delete(c.s.clients, c.id)
	c.s.mu.Unlock()
	close(c.gone)
	c.unseat() // first, so that the peer finds a free seat when it comes again
	if m := c.mate(); m != nil {
		m.leave()
	}
}

// unseat frees the client's seat.
func (c *client) unseat() {
	if !c.seated {
		return
	}
	c.seated = false
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := c.node.Leave(ctx, c.pairing.Hash, c.id); err != nil {
		c.s.cfg.Logger.Error("a seat is not free until this node is gone", "error", err)
	}
}

// A localMate is a peer that is a client of this process.
type localMate struct{ *client }

// send queues small messages, which flush sends together. What finds the queue full is written, which waits (PSX-33).
func (m *localMate) send(kind ws.Kind, data []byte) error {
	if len(data) < postLimit {
		if err := m.ws.Post(kind, data); !errors.Is(err, ws.ErrQueueFull) {
			return err
		}
	}
	return m.ws.Write(kind, data)
}

func (m *localMate) flush() { m.ws.Flush() }
func (m *localMate) leave() { go m.ws.Close(ws.CloseNormal, "the peer has gone") }

// An inbox keeps what comes from a peer at another node until the client has taken it. The sender's window bounds it.
type inbox struct {
	mu      sync.Mutex
	packets []Packet
	bytes   int
	limit   int           // of bytes, before one more packet
	wake    chan struct{} // of the goroutine that empties it; nil if there is none
}

package sigver

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/meshpair/meshpair/internal/signaling"
	"github.com/meshpair/meshpair/internal/wire"
	"github.com/meshpair/meshpair/internal/ws"
)

// closePolicy is the WebSocket close code for breaking a rule that no other
// code stands for.
const closePolicy = 1008

// A conn is the connection of one peer. Its goroutine, which is that of the HTTP
// request, reads; what it is to be sent waits in a queue that a second goroutine
// writes, which exists only while there is something to write: an idle
// connection costs one goroutine, and a peer that reads slowly delays nobody.
type conn struct {
	ws   *ws.Conn
	log  *slog.Logger
	peer *signaling.Peer

	mu      sync.Mutex // never held across I/O
	queue   *outbox    // messages to be written; nil when there are none
	closing *closing   // to be sent after them
	writing bool       // the writing goroutine exists
}

type closing struct {
	code   int
	reason string
}

// An outbox holds encoded messages, each after its length in 4 bytes.
type outbox struct{ b []byte }

var outboxes = sync.Pool{New: func() any { return new(outbox) }}

// maxPooled keeps an outbox that was large once from staying large.
const maxPooled = 16 << 10

func (o *outbox) free() {
	if cap(o.b) <= maxPooled {
		o.b = o.b[:0]
		outboxes.Put(o)
	}
}

// append adds a message.
func (o *outbox) append(m *wire.Signaling) {
	start := len(o.b)
	o.b = m.Append(append(o.b, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(o.b[start:], uint32(len(o.b)-start-4))
}

// serve is the life of one peer.
func (s *Server) serve(w *ws.Conn) {
	log := s.cfg.Logger.With("remote", w.RemoteAddr())
	key, favored := target(w.Request())
	c := &conn{ws: w, log: log}
	if err := s.open(c, key, favored); err != nil {
		code := signaling.CloseCode(err)
		if code == signaling.CloseLimit {
			log.Warn("peer refused", "reason", err)
		}
		w.Close(code, err.Error()) // SIG-2, SIG-43
		return
	}
	log.Debug("peer connected", "favored", favored)
	err := s.receive(c)
	s.mu.Lock()
	s.do(s.core.Gone(c.peer))
	s.mu.Unlock()
	log.Debug("peer gone", "reason", err)
}

func (s *Server) open(c *conn, key string, favored bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.core.Open(time.Now(), key, favored)
	if err != nil {
		return err
	}
	p.Handle = c
	c.peer = p
	s.arm()
	return nil
}

// receive reads the peer's messages until its connection ends. A peer that is
// expelled is read on until it has answered the closing handshake.
func (s *Server) receive(c *conn) error {
	if d := s.cfg.FirstMessageTimeout; d > 0 {
		c.ws.SetReadDeadline(time.Now().Add(d)) // SIG-45
	}
	for first := true; ; first = false {
		kind, data, err := c.ws.Read()
		if err != nil {
			if first && errors.Is(err, os.ErrDeadlineExceeded) {
				c.ws.Close(closePolicy, "no message within "+s.cfg.FirstMessageTimeout.String()) // SIG-45
			}
			return err
		}
		if first && s.cfg.FirstMessageTimeout > 0 {
			c.ws.SetReadDeadline(time.Time{})
		}
		s.message(c, kind, data)
	}
}

// message takes one message of a peer.
func (s *Server) message(c *conn, kind ws.Kind, data []byte) {
	var m wire.Signaling
	var bad string
	if kind != ws.Binary { // SIG-7
		bad = "signaling messages are binary"
	} else if err := m.Decode(data); err != nil { // SIG-7
		bad = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if bad != "" {
		s.do(s.core.Expel(c.peer, signaling.CloseMessage, bad))
		return
	}
	s.do(s.core.Receive(c.peer, &m))
}

// carryOut queues what an action asks for. It reports false, and forgets what
// was queued, if more would wait than may.
func (c *conn) carryOut(a *signaling.Action, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil {
		return true
	}
	if a.Kind == signaling.Close {
		c.closing = &closing{a.Code, a.Reason}
	} else {
		if c.queue == nil {
			c.queue = outboxes.Get().(*outbox)
		}
		c.queue.append(&a.Message)
		if len(c.queue.b) > limit { // SIG-46
			c.queue.free()
			c.queue = nil
			return false
		}
	}
	if !c.writing {
		c.writing = true
		go c.write()
	}
	return true
}

// write writes what is queued, and ends when there is nothing more.
func (c *conn) write() {
	for {
		queue, closing := c.take()
		if queue != nil {
			err := c.writeAll(queue.b)
			queue.free()
			if err != nil {
				// The reading goroutine sees the dead connection too.
				c.ws.Abort()
			}
			continue
		}
		if closing != nil {
			c.log.Debug("closing peer", "code", closing.code, "reason", closing.reason)
			c.ws.Close(closing.code, closing.reason)
		}
		return
	}
}

// take returns what is to be written next: messages, or else a closing, or else
// nothing, in which case the writing goroutine must end.
func (c *conn) take() (*outbox, *closing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	queue := c.queue
	c.queue = nil
	if queue == nil && c.closing == nil {
		c.writing = false
	}
	return queue, c.closing
}

func (c *conn) writeAll(b []byte) error {
	for len(b) > 0 {
		n := 4 + binary.BigEndian.Uint32(b)
		if err := c.ws.Write(ws.Binary, b[4:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

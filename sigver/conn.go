package sigver

import (
	"errors"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/meshpair/meshpair/internal/signaling"
	"github.com/meshpair/meshpair/internal/wire"
	"github.com/meshpair/meshpair/internal/ws"
)

// A conn is the connection of one peer. One goroutine reads it; what others have
// to send to it is posted to its queue, so that a peer that reads slowly delays
// nobody (SIG-46).
type conn struct {
	ws   *ws.Conn
	peer *signaling.Peer
	due  flushes // what this peer's messages have brought about; owned by the reading goroutine
}

// flushes are connections to which something was posted that is still to be sent.
type flushes []*ws.Conn

func (f *flushes) add(c *ws.Conn) {
	if !slices.Contains(*f, c) {
		*f = append(*f, c)
	}
}

func (f *flushes) flush() {
	for _, c := range *f {
		c.Flush()
	}
	clear(*f)
	*f = (*f)[:0]
}

// maxDue is how many connections may wait for a peer to stop sending before they
// get what it sent.
const maxDue = 16

// serve is the life of one peer.
func (s *Server) serve(w *ws.Conn, r *http.Request) {
	defer s.release(addrKey(w.RemoteAddr()))
	c := &conn{ws: w}
	// Of messages that came together, what they bring about is sent together.
	w.OnWait(c.due.flush)
	if err := s.open(c, r); err != nil {
		code := signaling.CloseCode(err)
		if code == signaling.CloseLimit {
			s.refused(w.RemoteAddr(), err.Error())
		}
		w.Close(code, err.Error()) // SIG-2, SIG-43
		return
	}
	defer s.gone(c)
	err := s.receive(c)
	s.cfg.Logger.Debug("peer gone", "remote", w.RemoteAddr(), "reason", err)
}

// gone takes a peer whose connection has ended out of the core.
func (s *Server) gone(c *conn) {
	s.mu.Lock()
	s.do(s.core.Gone(time.Now(), c.peer), &c.due)
	s.mu.Unlock()
	c.due.flush()
}

func (s *Server) open(c *conn, r *http.Request) error {
	key, favored := target(r)
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

// receive reads the peer's messages until its connection ends, which it does also
// by a broken frame (SIG-48) or a message that is too long (SIG-42, SIG-47). A peer
// that is expelled is read on until it has answered the closing handshake.
func (s *Server) receive(c *conn) error {
	if d := s.cfg.FirstMessageTimeout; d > 0 {
		c.ws.SetReadDeadline(time.Now().Add(d)) // SIG-45
	}
	for first := true; ; first = false {
		kind, data, err := c.ws.Read()
		if err != nil {
			if first && errors.Is(err, os.ErrDeadlineExceeded) {
				c.ws.Close(ws.ClosePolicy, "no message within "+s.cfg.FirstMessageTimeout.String()) // SIG-45
			}
			return err
		}
		if first && s.cfg.FirstMessageTimeout > 0 {
			c.ws.SetReadDeadline(time.Time{})
		}
		s.message(c, kind, data)
		if len(c.due) >= maxDue {
			c.due.flush()
		}
	}
}

// message takes one message of a peer.
func (s *Server) message(c *conn, kind ws.Kind, data []byte) {
	var m wire.Signaling
	var bad string
	if kind != ws.Binary { // SIG-7
		bad = "signaling messages are binary"
	} else if err := m.Decode(data); err != nil { // SIG-6, SIG-7
		bad = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if bad != "" {
		s.do(s.core.Expel(time.Now(), c.peer, signaling.CloseMessage, bad), &c.due)
		return
	}
	s.do(s.core.Receive(time.Now(), c.peer, &m), &c.due)
}

// do carries out the actions of one step of the core: what is to be sent is
// posted, and the connections are added to those to flush; the timer is set for
// what is due next. The caller holds s.mu.
func (s *Server) do(actions []signaling.Action, due *flushes) {
	var slow []*conn
	for i := range actions {
		a := &actions[i]
		c := a.To.Handle.(*conn)
		if a.Kind == signaling.Close {
			go s.close(c, a.Code, a.Reason)
			continue
		}
		// One queue for each peer, filled with s.mu held, keeps the order (SIG-37).
		s.scratch = a.Message.Append(s.scratch[:0])
		if err := c.ws.Post(ws.Binary, s.scratch); errors.Is(err, ws.ErrQueueFull) {
			slow = append(slow, c)
		}
		due.add(c.ws)
	}
	for _, c := range slow { // SIG-46
		s.do(s.core.Expel(time.Now(), c.peer, ws.ClosePolicy, "you do not read what you are sent"), due)
	}
	s.arm()
}

// close says goodbye to a peer that the core has let go.
func (s *Server) close(c *conn, code int, reason string) {
	s.cfg.Logger.Debug("closing peer", "remote", c.ws.RemoteAddr(), "code", code, "reason", reason)
	c.ws.Close(code, reason)
}

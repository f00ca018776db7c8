package ws

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
)

// A Server is an [http.Handler] that upgrades requests to WebSocket connections. It must not be copied.
//
// It serves HTTP/1.1 GET requests only. Whatever else comes, also over HTTP/2, is refused with an ordinary HTTP answer.
type Server struct {
	Config

	// Accept, if set, is called before the upgrade, and is the place to check the Origin header and to choose a
	// subprotocol. It returns the subprotocol, which must be one of Offered(r), or "" for none: browsers then fail a
	// connection for which they offered some. If it returns an error the upgrade is refused, with the status of a
	// *RejectError or else with 403.
	Accept func(r *http.Request) (subprotocol string, err error)

	// Serve owns the connection. When it returns the connection is closed with Close(CloseNormal, "") unless that
	// has been done before. It runs on a goroutine of its own: that of the request, with all that net/http keeps for
	// it, ends when the upgrade is done, and the request's context with it.
	Serve func(c *Conn, r *http.Request)

	mu       sync.Mutex
	conns    map[*Conn]struct{} // those not at their end
	requests int                // those past the check for shutdown, with or without a connection
	drained  chan struct{}      // non-nil once Shutdown has begun; closed when no request is left
	waiting  bool               // drained is not closed yet
}

// Offered returns the subprotocols that the client offers, in its order of preference.
func Offered(r *http.Request) []string {
	var all []string
	for _, line := range r.Header["Sec-Websocket-Protocol"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name != "" {
				all = append(all, name)
			}
		}
	}
	return all
}

// ServeHTTP upgrades the request, or refuses it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.Upgrade(w, r) }

// Upgrade does what ServeHTTP does, and reports whether Serve is called.
func (s *Server) Upgrade(w http.ResponseWriter, r *http.Request) bool {
	key, ok := checkUpgrade(w, r)
	if !ok {
		return false
	}
	if !s.enter() {
		http.Error(w, "shutting down", http.StatusServiceUnavailable)
		return false
	}
	var c *Conn
	defer func() {
		if c == nil { // also if Accept panicked
			s.leave()
		}
	}()
	if c = s.upgrade(w, r, key); c == nil {
		return false
	}
	added := s.add(c)
	go s.serve(c, r, added)
	return added
}

// upgrade answers a checked request; nil if no connection came of it.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, key string) *Conn {
	subprotocol, reject := s.accept(r)
	if reject != nil {
		http.Error(w, reject.Message, reject.Status)
		return nil
	}
	conn, brw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "the connection cannot be taken over", http.StatusInternalServerError)
		return nil
	}
	c, err := upgrade(conn, brw, r, key, subprotocol, s.Config)
	if err != nil {
		conn.Close()
		return nil
	}
	return c
}

// accept asks Accept, and makes of its answer one that can be sent.
func (s *Server) accept(r *http.Request) (string, *RejectError) {
	if s.Accept == nil {
		return "", nil
	}
	subprotocol, err := s.Accept(r)
	if err != nil {
		reject := &RejectError{Status: http.StatusForbidden}
		var chosen *RejectError
		if errors.As(err, &chosen) {
			*reject = *chosen
		}
		if reject.Status < 400 || reject.Status > 599 {
			reject.Status = http.StatusForbidden
		}
		if reject.Message == "" {
			reject.Message = http.StatusText(reject.Status)
		}
		return "", reject
	}
	if subprotocol != "" && !slices.Contains(Offered(r), subprotocol) {
		// The client would have to fail the connection: RFC 6455 section 4.1, step 6 of the answer's checks.
		return "", &RejectError{http.StatusInternalServerError, "no common subprotocol"}
	}
	return subprotocol, nil
}

// serve runs Serve, unless Shutdown was faster, and closes the connection also if Serve panics, which ends nothing
// else, as in net/http.
func (s *Server) serve(c *Conn, r *http.Request, added bool) {
	defer s.leave()
	defer c.Abort()
	defer s.remove(c)
	if !added {
		c.Close(CloseGoingAway, "")
		return
	}
	defer func() {
		if e := recover(); e != nil && e != http.ErrAbortHandler {
			slog.Error("ws: panic", "remote", c.RemoteAddr(), "panic", e, "stack", string(debug.Stack()))
		}
	}()
	s.Serve(c, r)
	c.Close(CloseNormal, "")
}

// Shutdown refuses new connections with 503, closes all others with CloseGoingAway and waits for their Serve calls to
// end. If ctx ends first it aborts the connections that are left and returns ctx.Err(), without waiting any longer. It
// must not be called from Serve.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if s.drained == nil {
		s.drained = make(chan struct{})
		s.waiting = true
		s.drainedLocked()
		for c := range s.conns {
			go c.Close(CloseGoingAway, "")
		}
	}
	drained := s.drained
	s.mu.Unlock()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	left := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		left = append(left, c)
	}
	s.mu.Unlock()
	for _, c := range left {
		c.Abort()
	}
	return ctx.Err()
}

// enter counts a request in, unless the server is shutting down.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drained != nil {
		return false
	}
	s.requests++
	return true
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests--
	s.drainedLocked()
}

// drainedLocked tells Shutdown when no request is left. The caller holds the mutex.
func (s *Server) drainedLocked() {
	if s.waiting && s.requests == 0 {
		s.waiting = false
		close(s.drained)
	}
}

// add makes c known to Shutdown; false says that Shutdown has begun and did not see c.
func (s *Server) add(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		s.conns = make(map[*Conn]struct{})
	}
	s.conns[c] = struct{}{}
	return s.drained == nil
}

func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

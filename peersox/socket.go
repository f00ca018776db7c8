package peersox

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/meshpair/meshpair/internal/ws"
)

const (
	// storeTimeout bounds what a client waits for the store and the relay.
	storeTimeout = 5 * time.Second
	// joinPause is the time between two attempts to join the relay.
	joinPause = time.Second
	// watchInterval is how often the nodes of clients' peers are looked after (PSX-37).
	watchInterval = 3 * time.Second
)

// A socket is the WebSocket part.
type socket struct {
	cfg  *ServerConfig
	ws   ws.Server
	done chan struct{} // closed when the goroutine of run has ended

	mu      sync.Mutex // guards the fields below; never held across I/O
	node    Node       // nil while there is none
	clients map[string]*client
	taken   int    // of MaxClients
	lastID  uint64 // of a client
}

func newSocket(ctx context.Context, cfg *ServerConfig) *socket {
	s := &socket{cfg: cfg, clients: make(map[string]*client), done: make(chan struct{})}
	s.ws.Config = ws.Config{MaxMessage: cfg.MaxMessage, MaxQueue: cfg.SendQueue, WriteTimeout: cfg.WriteTimeout}
	s.ws.Accept = s.accept
	s.ws.Serve = s.serve
	joining, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	s.join(joining)
	if _, alone := s.node.(*oneNode); alone {
		close(s.done) // nothing can be lost
	} else {
		go s.run(ctx)
	}
	return s
}

// join makes this process a node.
func (s *socket) join(ctx context.Context) {
	node, err := s.cfg.Relay.Join(ctx, s.deliver)
	if err != nil {
		if ctx.Err() == nil {
			s.cfg.Logger.Error("cannot join the other processes", "error", err)
		}
		return
	}
	s.mu.Lock()
	s.node = node
	s.mu.Unlock()
}

// run keeps this process a node, and looks after those of its clients' peers, until ctx ends.
func (s *socket) run(ctx context.Context) {
	defer close(s.done)
	watch := time.NewTicker(watchInterval)
	defer watch.Stop()
	for {
		s.mu.Lock()
		node := s.node
		s.mu.Unlock()
		if node == nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(joinPause):
				s.join(ctx)
			}
			continue
		}
		select {
		case <-ctx.Done():
			node.Close()
			return
		case <-node.Lost():
			s.lost(node)
		case <-watch.C:
			s.watch(ctx, node)
		}
	}
}

// lost closes all clients, since their seats and what they were sent may be lost (PSX-37).
func (s *socket) lost(node Node) {
	s.mu.Lock()
	s.node = nil
	all := make([]*client, 0, len(s.clients))
	for _, c := range s.clients {
		all = append(all, c)
	}
	s.mu.Unlock()
	s.cfg.Logger.Error("the connection to the other processes is lost", "clients", len(all))
	for _, c := range all {
		go c.ws.Close(closeTryAgain, "the server lost its connections")
	}
	node.Close()
}

// watch closes clients whose peer's node is gone (PSX-37).
func (s *socket) watch(ctx context.Context, node Node) {
	at := make(map[string][]*client)
	s.mu.Lock()
	for _, c := range s.clients {
		if m, ok := c.mate().(*remoteMate); ok {
			at[m.to.Node] = append(at[m.to.Node], c)
		}
	}
	s.mu.Unlock()
	for id, clients := range at {
		asking, cancel := context.WithTimeout(ctx, storeTimeout)
		alive, err := node.Alive(asking, id)
		cancel()
		if err != nil {
			return // the node sees to that
		}
		if !alive {
			for _, c := range clients {
				go c.ws.Close(ws.CloseNormal, "the peer is gone")
			}
		}
	}
}

// serveHTTP upgrades a request to a client's WebSocket.
func (s *socket) serveHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	ok := s.taken < s.cfg.MaxClients && s.node != nil
	if ok {
		s.taken++
	}
	s.mu.Unlock()
	if !ok { // PSX-32
		http.Error(w, "no place is free; try again later", http.StatusServiceUnavailable)
		return
	}
	served := false
	defer func() {
		if !served { // else serve does so at its end
			s.release()
		}
	}()
	served = s.ws.Upgrade(w, r)
}

func (s *socket) release() {
	s.mu.Lock()
	s.taken--
	s.mu.Unlock()
}

// accept checks a client before its upgrade: its origin and its token, which is the subprotocol that it asks for.
func (s *socket) accept(r *http.Request) (string, error) {
	if !s.cfg.originAllowed(r) { // PSX-13
		return "", &ws.RejectError{Status: http.StatusForbidden, Message: "this origin is not allowed"}
	}
	offered := ws.Offered(r)
	if len(offered) != 1 || len(offered[0]) != tokenLen { // PSX-11
		return "", &ws.RejectError{Status: http.StatusUnauthorized, Message: "a token is required as subprotocol"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	ok, err := s.cfg.Store.TakeToken(ctx, offered[0])
	switch {
	case err != nil: // PSX-9
		s.cfg.Logger.Error("store", "error", err)
		return "", &ws.RejectError{Status: http.StatusServiceUnavailable, Message: "try again later"}
	case !ok: // PSX-8
		return "", &ws.RejectError{Status: http.StatusUnauthorized, Message: "the token is not valid"}
	}
	return offered[0], nil
}

// tokenLen is the length of a token: 64 hexadecimal digits.
const tokenLen = 64

// add makes a client of a connection; nil if there is no node for it.
func (s *socket) add(w *ws.Conn) *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.node == nil {
		return nil
	}
	s.lastID++
	c := newClient(s, s.node, w, strconv.FormatUint(s.lastID, 36))
	s.clients[c.id] = c
	return c
}

// serve is the life of one client.
func (s *socket) serve(w *ws.Conn, _ *http.Request) {
	defer s.release()
	c := s.add(w)
	if c == nil {
		w.Close(closeTryAgain, "try again later")
		return
	}
	defer c.end()
	w.OnWait(c.flush)
	err := c.register()
	if err == nil {
		err = c.pass()
	}
	s.cfg.Logger.Debug("client gone", "remote", w.RemoteAddr(), "reason", err)
	var refused *refusal
	if errors.As(err, &refused) {
		w.Close(refused.code, refused.reason)
	}
}

// find returns a client of this process.
func (s *socket) find(id string) *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients[id]
}

func (s *socket) stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Clients: len(s.clients)}
	for _, c := range s.clients {
		if c.mate() != nil {
			st.Paired++
		}
	}
	return st
}

// shutdown closes all clients (PSX-35). What run keeps goes on until the context of newSocket ends.
func (s *socket) shutdown(ctx context.Context) error { return s.ws.Shutdown(ctx) }

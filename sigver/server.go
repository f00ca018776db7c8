// Package sigver is a signaling server for Netflux groups: the place where peers
// that want to be in one group find each other, and through which a peer that is
// not yet a member exchanges with one member what the two need to open a channel
// of their own. It is compatible with the original, the npm package sigver.
//
// The protocol is chapter SIG of SPEC.md. A [Server] is an http.Handler; to run
// it by itself call [Server.Serve].
package sigver

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/meshpair/meshpair/internal/seldom"
	"github.com/meshpair/meshpair/internal/signaling"
	"github.com/meshpair/meshpair/internal/ws"
)

// A Server is a signaling server. Make one with [New].
type Server struct {
	cfg Config
	ws  ws.Server

	mu      sync.Mutex // guards the fields below; never held across I/O
	core    *signaling.Core
	scratch []byte      // for encoding
	armed   time.Time   // when the timer for the core's next tick fires; zero: it does not run
	timer   *time.Timer // nil before it is armed first
	addrs   map[string]int
	https   map[*http.Server]struct{} // those of Serve, to be shut down
	down    bool

	refusals seldom.Log // for a limit
}

// New returns a server with the limits of cfg.
func New(cfg Config) *Server {
	cfg = cfg.withDefaults()
	s := &Server{
		cfg: cfg,
		core: signaling.New(signaling.Config{
			MaxGroups:     cfg.MaxGroups,
			MaxGroupPeers: cfg.MaxGroupPeers,
			Rand:          rand.Uint32,
		}),
		addrs: make(map[string]int),
		https: make(map[*http.Server]struct{}),
	}
	s.ws.Config = ws.Config{MaxMessage: cfg.MaxMessageSize, MaxQueue: cfg.SendQueueSize, WriteTimeout: cfg.WriteTimeout}
	s.ws.Serve = s.serve
	return s
}

// Stats are figures of a server at one moment.
type Stats struct {
	Groups int // keys for which a peer is connected
	Peers  int // connected peers, members and others
}

// Stats returns the server's figures.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Groups: s.core.Groups(), Peers: s.core.Peers()}
}

// ServeHTTP upgrades a request to the WebSocket of one peer and serves it until
// it ends. All of the request's path after the first slash is the key (SIG-1):
// do not put a mux before the server that cleans paths, such as http.ServeMux,
// unless keys are known to have no empty or dotted segments. Requests for
// anything but a WebSocket get 426 (SIG-5); any origin may connect (SIG-4).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	addr := addrKey(r.RemoteAddr)
	if !s.acquire(addr) { // SIG-44
		s.refused(r.RemoteAddr, "too many connections from one address")
		http.Error(w, "too many connections from this address", http.StatusTooManyRequests)
		return
	}
	served := false
	defer func() {
		if !served { // else serve does so at its end
			s.release(addr)
		}
	}()
	served = s.ws.Upgrade(w, r)
}

// Shutdown closes all peers with 1001 (SIG-40), refuses new ones, and waits for
// the connections to end. When ctx ends first it drops the rest and returns the
// context's error. Calls of [Server.Serve] return then.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.down = true
	servers := s.https
	s.https = make(map[*http.Server]struct{})
	s.mu.Unlock()
	for h := range servers {
		h.Close() // the listener, and what is not upgraded yet; no peer
	}
	return s.ws.Shutdown(ctx)
}

// refused logs that a peer is refused for a limit, now and then.
func (s *Server) refused(remote, reason string) {
	if n, due := s.refusals.Due(); due {
		s.cfg.Logger.Warn("peer refused", "remote", remote, "reason", reason, "refusals", n)
	}
}

// addrKey is what the limit of connections per address counts by.
func addrKey(remote string) string {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote // not TCP: a test, or a listener of the user's own
	}
	ip := a.Addr().Unmap()
	if ip.Is6() {
		// One subscriber commonly has a whole /64 to choose addresses from.
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}

func (s *Server) acquire(addr string) bool {
	if s.cfg.MaxPerAddr <= 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addrs[addr] >= s.cfg.MaxPerAddr {
		return false
	}
	s.addrs[addr]++
	return true
}

func (s *Server) release(addr string) {
	if s.cfg.MaxPerAddr <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addrs[addr]--; s.addrs[addr] == 0 {
		delete(s.addrs, addr)
	}
}

// arm sets the timer for what the core has to do next, unless it fires before. It
// may come too early, if the peer that it was for has gone, never too late. The
// caller holds s.mu.
func (s *Server) arm() {
	next, ok := s.core.Next()
	switch {
	case !ok || !s.armed.IsZero() && !next.Before(s.armed):
		return
	case s.timer == nil:
		s.timer = time.AfterFunc(time.Until(next), s.tick)
	default:
		s.timer.Reset(time.Until(next))
	}
	s.armed = next
}

func (s *Server) tick() {
	var due flushes
	s.mu.Lock()
	s.armed = time.Time{}
	s.do(s.core.Tick(time.Now()), &due)
	s.arm()
	s.mu.Unlock()
	due.flush()
}

var _ http.Handler = (*Server)(nil)

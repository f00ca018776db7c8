package peersox

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Defaults of the fields of [ServerConfig] that are zero.
const (
	DefaultMaxMessage      = 4 << 20 // bytes
	DefaultMaxClients      = 100_000
	DefaultSendQueue       = 1 << 20 // bytes
	DefaultRegisterTimeout = 10 * time.Second
	DefaultWriteTimeout    = 30 * time.Second
	DefaultIdleTimeout     = 3 * time.Minute
)

// ServerConfig says how a [Server] works. Its zero value is ready for use by one process.
type ServerConfig struct {
	// Store keeps pairings and tokens. nil means a new one in memory.
	Store Store

	// Relay lets several processes seat and connect clients together. nil means that there is one process.
	Relay Relay

	// ClientConfig is the JSON that clients get from `config`. nil means {"iceServers":[]} (PSX-3).
	ClientConfig json.RawMessage

	// Origins are the origins, as scheme://host[:port], that a browser's page may have beside the server's own. Others
	// get 403 (PSX-13). With none, any page may connect. What sends no Origin header, as no browser does, is let in.
	Origins []string

	// TrustProxy takes a client's address from the last entry of X-Forwarded-For. Set it if, and only if, all requests
	// come through a proxy that adds one (PSX-42).
	TrustProxy bool

	// Guesses are the limits on guessing codes, which NoGuessLimit switches off; Makes those on what is made for one
	// address. Counter counts; nil means one in memory.
	Guesses      GuessLimits
	NoGuessLimit bool
	Makes        MakeLimits
	Counter      Counter

	// Middleware is put around the REST API, the first outermost.
	Middleware []func(http.Handler) http.Handler

	// CodeLife, TokenLife and PairingLife are how long a code that nobody took, a token and a pairing whose code was
	// taken live (PSX-2). 0 means the defaults.
	CodeLife, TokenLife, PairingLife time.Duration

	// MaxMessage is the most bytes of a message that a client may send; a longer one closes its connection with 1009
	// (PSX-31). 0 means DefaultMaxMessage.
	MaxMessage int

	// MaxClients is the most WebSocket clients of this process; one more gets HTTP status 503 (PSX-32). 0 means
	// DefaultMaxClients.
	MaxClients int

	// SendQueue is the most bytes that wait to be sent to one client. When one more message would exceed it, its
	// sender is not read until the client has taken it, so that up to SendQueue plus two messages wait (PSX-33).
	// 0 means DefaultSendQueue.
	SendQueue int

	// RegisterTimeout is how long a client may take to register; a slower one is closed with 1008 (PSX-22).
	// WriteTimeout is how long a client may take nothing of what waits for it, before its connection is dropped
	// (PSX-33). IdleTimeout is how long a client may be silent before its connection is dropped; clients send a PING
	// every 20 s (PSX-34). 0 means the defaults.
	RegisterTimeout, WriteTimeout, IdleTimeout time.Duration

	// Logger gets what an operator may want to know: at level Debug each client, at level Warn addresses that guess,
	// one line in 10 s at most. nil means slog.Default().
	Logger *slog.Logger
}

func (c ServerConfig) withDefaults() ServerConfig {
	if c.Store == nil {
		c.Store = NewMemoryStore()
	}
	if c.Counter == nil {
		c.Counter = NewMemoryCounter()
	}
	if c.Relay == nil {
		c.Relay = oneProcess{}
	}
	if c.ClientConfig == nil {
		c.ClientConfig = json.RawMessage(`{"iceServers":[]}`)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Guesses = c.Guesses.withDefaults()
	c.Makes = c.Makes.withDefaults()
	setDefault(&c.CodeLife, DefaultCodeLife)
	setDefault(&c.TokenLife, DefaultTokenLife)
	setDefault(&c.PairingLife, DefaultPairingLife)
	setDefault(&c.MaxMessage, DefaultMaxMessage)
	setDefault(&c.MaxClients, DefaultMaxClients)
	setDefault(&c.SendQueue, DefaultSendQueue)
	setDefault(&c.RegisterTimeout, DefaultRegisterTimeout)
	setDefault(&c.WriteTimeout, DefaultWriteTimeout)
	setDefault(&c.IdleTimeout, DefaultIdleTimeout)
	return c
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// A Server pairs clients. Make one with [NewServer]. Its two parts, [Server.API] and [Server.Socket], may also be mounted
// apart, in one process or in several that share a store.
type Server struct {
	cfg    ServerConfig
	api    http.Handler
	socket *socket
	cancel context.CancelFunc
}

// NewServer returns a server. It must be ended by Shutdown. It panics if ClientConfig is not JSON.
func NewServer(cfg ServerConfig) *Server {
	cfg = cfg.withDefaults()
	if !json.Valid(cfg.ClientConfig) {
		panic("peersox: ClientConfig is not JSON")
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{cfg: cfg, cancel: cancel}
	s.api = newAPI(&s.cfg)
	s.socket = newSocket(ctx, &s.cfg)
	return s
}

// API returns the REST part. Its paths begin with /api/ (PSX-3).
func (s *Server) API() http.Handler { return s.api }

// Socket returns the WebSocket part. It takes whatever path it is mounted at, which clients expect to be /ws (PSX-10).
func (s *Server) Socket() http.Handler { return http.HandlerFunc(s.socket.serveHTTP) }

// ServeHTTP serves both parts: /api/… and /ws.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/api/"):
		s.api.ServeHTTP(w, r)
	case r.URL.Path == "/ws":
		s.socket.serveHTTP(w, r)
	case r.URL.Path == "/ws/": // PSX-10
		http.Error(w, "the WebSocket is at /ws", http.StatusBadRequest)
	default:
		http.NotFound(w, r)
	}
}

// Shutdown refuses new WebSocket clients with 503, closes all others with 1001 (PSX-35) and waits for their ends. If ctx
// ends first it drops the rest and returns the context's error. The REST part needs no end.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.socket.shutdown(ctx)
	s.cancel()
	<-s.socket.done
	return err
}

// Stats are figures of a server at one moment.
type Stats struct {
	Clients int // connected by WebSocket to this process
	Paired  int // of these, those that have a peer
}

// Stats returns the server's figures.
func (s *Server) Stats() Stats { return s.socket.stats() }

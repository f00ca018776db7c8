package netflux

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/meshpair/meshpair/internal/mesh"
	"github.com/meshpair/meshpair/internal/ws"
)

// Limits on what a stranger may send before its WebSocket is open.
const (
	readHeaderTimeout = 10 * time.Second
	maxHeaderBytes    = 16 << 10
)

// A door is an http.Handler through which peers open WebSockets to this one, pages of any origin too (CHN-9, CHN-10,
// CHN-28).
type door struct {
	admit func(r *http.Request, call mesh.Call) (taker, error)
	ws    ws.Server
}

func newDoor(cfg Config, admit func(r *http.Request, call mesh.Call) (taker, error)) *door {
	d := &door{admit: admit}
	d.ws.Config = cfg.webSocket()
	d.ws.Accept = d.accept
	d.ws.Serve = func(c *ws.Conn, r *http.Request) { visit(r).taker.use(c) }
	return d
}

// A taker is what a WebSocket is for that is let in.
type taker interface {
	use(c *ws.Conn)  // is its life from when it is open
	ended(err error) // is called instead if it does not open
}

// A visitor is a request that may become a WebSocket.
type visitor struct{ taker taker }

type visitorKey struct{}

func visit(r *http.Request) *visitor { return r.Context().Value(visitorKey{}).(*visitor) }

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v := new(visitor)
	r = r.WithContext(context.WithValue(r.Context(), visitorKey{}, v))
	if !d.ws.Upgrade(w, r) && v.taker != nil {
		v.taker.ended(errNoUpgrade)
	}
}

var errNoUpgrade = errors.New("netflux: the WebSocket was not opened")

// accept decides whether a request becomes a link.
func (d *door) accept(r *http.Request) (string, error) {
	call, err := mesh.ParseCall(r.URL.RawQuery)
	if err == nil {
		var t taker
		if t, err = d.admit(r, call); err == nil {
			visit(r).taker = t
			return "", nil
		}
	}
	status := http.StatusUnauthorized // CHN-10
	if errors.Is(err, ErrBusy) {
		status = http.StatusServiceUnavailable
	}
	return "", &ws.RejectError{Status: status, Message: err.Error()}
}

// accept lets in what is for this group.
func (g *Group) accept(call mesh.Call) (*webSocket, error) {
	g.mu.Lock()
	defer g.unlock(false)
	id, outs, err := g.core.Accept(g.now(), call)
	return g.enter(id, outs, err)
}

// invited has a group joined into which another member invites this one.
func (g *Group) invited(call mesh.Call) (*webSocket, error) {
	path, err := escapeKey(call.Key)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.unlock(false)
	if g.shut {
		return nil, errShut
	}
	id, outs, err := g.core.Invited(g.now(), call, g.url)
	if err == nil {
		g.entering(call.Key, path)
	}
	return g.enter(id, outs, err)
}

// entering begins with a group that this one is invited into. The lock is held.
func (g *Group) entering(key, path string) {
	g.key, g.path, g.failure = key, path, nil
	g.left = make(chan struct{})
	g.ice.begin(g.cfg)
}

// enter makes the link that was accepted.
func (g *Group) enter(id mesh.Link, outs []mesh.Output, err error) (*webSocket, error) {
	var l *webSocket
	if err == nil {
		l = newWebSocketLink(g, id, "")
		g.links[id] = l
	}
	g.run(outs)
	return l, err
}

// listen begins to listen at Config.Listen. The lock is held, but not while it waits, and not if it fails.
func (g *Group) listen(ctx context.Context) error {
	g.mu.Unlock()
	l, err := g.cfg.network.listen(ctx, g.cfg.Listen)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrListen, err)
	}
	u, err := g.cfg.listenURL(l.Addr())
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if g.cfg.ListenTLS != nil {
		l = tls.NewListener(l, g.cfg.ListenTLS)
	} else if host, _, _ := net.SplitHostPort(l.Addr().String()); !isLoopback(host) { // SEC-32
		g.cfg.Logger.Warn("other members reach this one without TLS, unless a proxy does it", "address", l.Addr())
	}
	h := &http.Server{
		Handler:           newDoor(g.cfg, func(_ *http.Request, call mesh.Call) (taker, error) { return g.accept(call) }),
		ReadHeaderTimeout: readHeaderTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(g.cfg.Logger.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),
	}
	h.Protocols.SetHTTP1(true)
	h.SetKeepAlivesEnabled(false)
	g.mu.Lock()
	if g.core.State() != mesh.StateLeft || g.listener != nil || len(g.links) > 0 { // another Join was faster
		g.mu.Unlock()
		l.Close()
		return ErrInGroup
	}
	g.listener, g.url = h, u
	go func() {
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			g.cfg.Logger.Error("other members cannot dial any more", "url", u, "reason", err)
		}
		g.mu.Lock()
		g.listener, g.url = nil, ""
		g.unlock(false)
	}()
	return nil
}

// listenURL returns the URL under which others reach what listens at an address.
func (c Config) listenURL(addr net.Addr) (string, error) {
	if c.ListenURL != "" {
		return c.ListenURL, checkListenURL(c.ListenURL)
	}
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || tcp.IP.IsUnspecified() {
		return "", fmt.Errorf("%w: %s is all interfaces: set ListenURL to the URL under which others reach it", ErrListen, addr)
	}
	if c.ListenTLS != nil {
		return "wss://" + addr.String(), nil
	}
	return "ws://" + addr.String(), nil
}

func checkListenURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("%w: %q is not ws://HOST:PORT or wss://HOST:PORT", ErrListen, s)
	}
	return nil
}

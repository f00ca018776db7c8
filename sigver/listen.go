package sigver

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Limits on what a stranger may send before its WebSocket is open.
const (
	readHeaderTimeout = 10 * time.Second
	maxHeaderBytes    = 16 << 10
)

// Serve accepts connections on l until [Server.Shutdown], and then returns
// http.ErrServerClosed. For TLS wrap the listener by tls.NewListener. Serve
// takes keys that net/http alone would refuse, those with a lone % (SIG-1).
func (s *Server) Serve(l net.Listener) error {
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: readHeaderTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, targetKey{}, c)
		},
	}
	h.Protocols.SetHTTP1(true)
	// Each connection carries one request, so that its target is the first line.
	h.SetKeepAlivesEnabled(false)
	s.mu.Lock()
	if s.down {
		s.mu.Unlock()
		return errors.Join(http.ErrServerClosed, l.Close())
	}
	s.https[h] = struct{}{}
	s.mu.Unlock()
	return h.Serve(targetListener{l})
}

// target returns what a peer asks for: the key, which is the path of the request
// target as it was sent, without its first slash (SIG-1), and whether it wants
// to be favored (SIG-3).
func target(r *http.Request) (key string, favored bool) {
	var path string
	if c, ok := r.Context().Value(targetKey{}).(*targetConn); ok {
		path = rawPath(c.target())
	} else {
		path = rawPath(r.RequestURI)
		if p, err := url.PathUnescape(path); err != nil || p != r.URL.Path {
			path = r.URL.EscapedPath() // a handler before us, such as http.StripPrefix, changed it
		}
	}
	return strings.TrimPrefix(path, "/"), r.URL.Query().Has("favored")
}

// rawPath cuts the path from a request target, which may be a whole URL.
func rawPath(target string) string {
	if !strings.HasPrefix(target, "/") {
		_, target, _ = strings.Cut(target, "://")
		_, path, _ := strings.Cut(target, "/")
		target = "/" + path
	}
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		target = target[:i]
	}
	return target
}

type targetKey struct{} // of the context value that is the request's *targetConn

type targetListener struct{ net.Listener }

func (l targetListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &targetConn{Conn: c}, nil
}

// A targetConn remembers the request line that passes through it and hides each
// % in it from net/http, which refuses a request with one that stands alone.
// Browsers send a key such as `100%` as it is.
type targetConn struct {
	net.Conn
	line []byte // the first line as it came
	past bool   // the first line is complete
}

func (c *targetConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.past && n > 0 {
		c.scan(p[:n])
	}
	return n, err
}

// scan takes a part of the first line into c.line and changes it in place.
func (c *targetConn) scan(p []byte) {
	line, _, past := bytes.Cut(p, []byte("\n"))
	c.past = past
	c.line = append(c.line, line...)
	for i := range line {
		if line[i] == '%' {
			line[i] = '_'
		}
	}
	if len(c.line) > maxHeaderBytes {
		c.past = true // net/http refuses the request
	}
}

// target returns the target of the request line, once.
func (c *targetConn) target() string {
	line := c.line
	c.line = nil // the connection outlives it by far
	_, target, _ := bytes.Cut(line, []byte(" "))
	target, _, _ = bytes.Cut(target, []byte(" "))
	return string(target)
}

// NetConn returns the connection below, as that of a tls.Conn does.
func (c *targetConn) NetConn() net.Conn { return c.Conn }

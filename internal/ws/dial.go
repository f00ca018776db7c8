package ws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/websocket"
)

// DialConfig says how to open a connection. The zero value works.
type DialConfig struct {
	Config

	// Header is added to the request. Host, Origin and the headers of the handshake itself may not be in it.
	Header http.Header

	// Subprotocols are offered to the server, the preferred one first. The server may choose none, which is no
	// error: see [Conn.Subprotocol].
	Subprotocols []string

	// Origin is sent as Origin header, in lower case: scheme://host[:port] or "null". By default it is the server's
	// own, http or https.
	Origin string

	// TLS is used for wss URLs; by default the system's roots verify the server. NextProtos is overwritten, as a
	// WebSocket needs HTTP/1.1, and an empty ServerName is filled in.
	TLS *tls.Config

	// Connect opens what the WebSocket goes over, to an address HOST:PORT; by default TCP.
	Connect func(ctx context.Context, addr string) (net.Conn, error)
}

// Dial opens a connection to a ws or wss URL. The context bounds it up to the end of the opening handshake, and has no
// influence later. Proxies are not used and redirects not followed.
//
// If the server was reached but did not upgrade, the error is a *HandshakeError; if the context ended, it is
// ctx.Err(). The caller must Close or Abort the connection, or Read it to its end.
func Dial(ctx context.Context, rawURL string, cfg DialConfig) (*Conn, error) {
	config, err := cfg.handshake(rawURL)
	if err != nil {
		return nil, err
	}
	conn, err := cfg.connect(ctx, config.Location)
	if err != nil {
		return nil, fmt.Errorf("ws: dial: %w", err)
	}
	c, err := open(ctx, conn, config, cfg.Config)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// handshake checks the arguments of Dial, for the library would write them to the network as they are.
func (cfg DialConfig) handshake(rawURL string) (*websocket.Config, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("ws: %w", err)
	}
	switch {
	case u.Scheme != "ws" && u.Scheme != "wss":
		return nil, fmt.Errorf("ws: URL %q has neither the scheme ws nor wss", u.Redacted())
	case u.Hostname() == "":
		return nil, fmt.Errorf("ws: URL %q has no host", u.Redacted())
	case u.User != nil || u.Fragment != "":
		return nil, fmt.Errorf("ws: URL %q has a user or a fragment", u.Redacted())
	}
	origin, err := cfg.origin(u)
	if err != nil {
		return nil, err
	}
	for i, name := range cfg.Subprotocols {
		if !isToken(name) || slices.Contains(cfg.Subprotocols[:i], name) {
			return nil, fmt.Errorf("ws: subprotocol %q is not a token or offered twice", name)
		}
	}
	for name := range cfg.Header {
		if reserved(name) {
			return nil, fmt.Errorf("ws: header %q belongs to the handshake", name)
		}
	}
	return &websocket.Config{
		Location: u,
		Origin:   origin,
		Protocol: slices.Clone(cfg.Subprotocols),
		Version:  websocket.ProtocolVersionHybi13,
		Header:   cfg.Header,
	}, nil
}

// parseURL parses a URL whose path and query are sent as they are written, even where the url package would write them
// differently or refuse them, as it does a lone % or |: the path may be something that servers compare byte by byte.
func parseURL(rawURL string) (*url.URL, error) {
	begin := strings.Index(rawURL, "://") + len("://")
	target := strings.IndexAny(rawURL[begin:], "/?#")
	if target < 0 || !strings.HasPrefix(rawURL[begin+target:], "/") || strings.HasPrefix(rawURL[begin+target:], "//") {
		return url.Parse(rawURL)
	}
	target += begin
	for _, ch := range []byte(rawURL[target:]) {
		if ch <= ' ' || ch >= 0x7f || ch == '#' {
			return url.Parse(rawURL)
		}
	}
	u, err := url.Parse(rawURL[:target])
	if err == nil {
		u.Opaque = rawURL[target:]
	}
	return u, err
}

// origin returns what to send as Origin; the library cannot do without.
func (cfg DialConfig) origin(u *url.URL) (*url.URL, error) {
	if cfg.Origin != "" {
		o, err := url.Parse(cfg.Origin)
		if err != nil {
			return nil, fmt.Errorf("ws: origin: %w", err)
		}
		if cfg.Origin != "null" && (o.Scheme == "" || o.Host == "" || o.Scheme+"://"+o.Host != cfg.Origin) {
			return nil, fmt.Errorf("ws: %q is not an origin", cfg.Origin)
		}
		return o, nil
	}
	o := &url.URL{Scheme: "http", Host: u.Host}
	if u.Scheme == "wss" {
		o.Scheme = "https"
	}
	if u.Port() == defaultPort(u.Scheme) {
		o.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return o, nil
}

// reserved says whether a header is the handshake's own, or the library drops it without a word.
func reserved(name string) bool {
	name = http.CanonicalHeaderKey(name)
	switch name {
	case "Host", "Origin", "Upgrade", "Connection", "Content-Length", "Transfer-Encoding":
		return true
	}
	return strings.HasPrefix(name, "Sec-Websocket-")
}

// isToken says whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", s[i]) >= 0 {
			return false
		}
	}
	return s != ""
}

func defaultPort(scheme string) string {
	if scheme == "wss" {
		return "443"
	}
	return "80"
}

// connect opens TCP, and TLS if the scheme is wss.
func (cfg DialConfig) connect(ctx context.Context, u *url.URL) (net.Conn, error) {
	port := u.Port()
	if port == "" {
		port = defaultPort(u.Scheme)
	}
	dial := cfg.Connect
	if dial == nil {
		dial = dialTCP
	}
	conn, err := dial(ctx, net.JoinHostPort(u.Hostname(), port))
	if err != nil || u.Scheme != "wss" {
		return conn, err
	}
	config := cfg.TLS.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	config.NextProtos = []string{"http/1.1"}
	if config.ServerName == "" {
		config.ServerName = u.Hostname()
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", addr)
}

// open does the opening handshake. After an error the connection is useless, and the caller closes it.
func open(ctx context.Context, conn net.Conn, config *websocket.Config, cfg Config) (*Conn, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	stream := &clientStream{Conn: conn}
	ws, err := websocket.NewClient(config, stream)
	if !stop() {
		return nil, fmt.Errorf("ws: handshake: %w", ctx.Err())
	}
	if err != nil {
		var refused *HandshakeError
		if errors.As(err, &refused) {
			return nil, refused
		}
		return nil, &HandshakeError{Status: stream.status, Err: err}
	}
	c := newConn(ws, conn, cfg.withDefaults())
	c.proto = stream.subprotocol
	c.remote = conn.RemoteAddr().String()
	return c, nil
}

package ws

import (
	"bufio"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/websocket"
)

// checkUpgrade returns the key of an opening handshake, or answers what is none and returns false: the library would
// panic, or write half an HTTP response.
func checkUpgrade(w http.ResponseWriter, r *http.Request) (key string, ok bool) {
	refuse := func(status int, message string) (string, bool) {
		http.Error(w, message, status)
		return "", false
	}
	switch {
	case r.ProtoMajor != 1 || r.ProtoMinor < 1:
		return refuse(http.StatusHTTPVersionNotSupported, "a WebSocket needs HTTP/1.1")
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		return refuse(http.StatusMethodNotAllowed, "a WebSocket needs a GET request")
	case !hasToken(r.Header, "Upgrade", "websocket") || !hasToken(r.Header, "Connection", "upgrade"):
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		return refuse(http.StatusUpgradeRequired, "a WebSocket upgrade is required")
	case strings.Join(r.Header["Sec-Websocket-Version"], ",") != "13":
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Version", websocket.SupportedProtocolVersion)
		return refuse(http.StatusUpgradeRequired, "WebSocket version 13 is required")
	case r.ContentLength != 0:
		// It would be read as frames.
		return refuse(http.StatusBadRequest, "a WebSocket upgrade has no body")
	}
	key = strings.Join(r.Header["Sec-Websocket-Key"], ",")
	if nonce, err := base64.StdEncoding.DecodeString(key); err != nil || len(nonce) != 16 {
		return refuse(http.StatusBadRequest, "Sec-WebSocket-Key is not the base64 of 16 bytes")
	}
	return key, true
}

// hasToken says whether a header whose value is a list, on one line or several, has the token. The name is in
// canonical form.
func hasToken(h http.Header, name, token string) bool {
	for _, line := range h[name] {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// upgrade answers a checked request on a connection that was taken over. After an error the connection is useless,
// and the caller closes it.
func upgrade(conn net.Conn, brw *bufio.ReadWriter, r *http.Request, key, subprotocol string, cfg Config) (*Conn, error) {
	cfg = cfg.withDefaults()
	conn.SetWriteDeadline(time.Now().Add(cfg.WriteTimeout))
	// The library sees a request with just what makes it accept: it would refuse a Connection header on two lines,
	// or a Host that is no part of a URL, and would echo the subprotocols as they were offered.
	reduced := &http.Request{
		Method: http.MethodGet,
		Host:   "localhost",
		URL:    &url.URL{Path: "/"},
		Header: http.Header{
			"Connection":            {"Upgrade"},
			"Upgrade":               {"websocket"},
			"Sec-Websocket-Key":     {key},
			"Sec-Websocket-Version": {websocket.SupportedProtocolVersion},
		},
	}
	var ws *websocket.Conn
	websocket.Server{
		Handshake: func(config *websocket.Config, _ *http.Request) error {
			if subprotocol != "" {
				config.Protocol = []string{subprotocol}
			}
			return nil
		},
		Handler: func(c *websocket.Conn) { ws = c },
	}.ServeHTTP(&hijacked{conn: conn, brw: brw}, reduced)
	if ws == nil {
		return nil, errors.New("ws: the upgrade could not be answered")
	}
	*reduced = http.Request{} // ws keeps it, to know its role
	conn.SetWriteDeadline(time.Time{})

	c := newConn(ws, conn, cfg)
	c.br = brw.Reader
	c.server = true
	c.remote = r.RemoteAddr
	c.proto = subprotocol
	return c, nil
}

// hijacked lets the library take over a connection that has been taken over already.
type hijacked struct {
	http.ResponseWriter // none; the library only asks for a Hijacker
	conn                net.Conn
	brw                 *bufio.ReadWriter
}

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return keptOpen{h.conn}, h.brw, nil
}

// keptOpen outlives the library's handler, which closes the connection when it returns.
type keptOpen struct{ net.Conn }

func (keptOpen) Close() error { return nil }

package ws

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
)

const (
	maxAnswer  = 64 << 10 // bytes of a server's answer to the opening handshake that are read, body included
	maxRefusal = 1 << 10  // bytes of a refusal's body that HandshakeError tells
)

// clientStream is what the library's client reads from: the connection, but for the head of the server's answer, which
// is read here and passed on in the only form that the library takes.
type clientStream struct {
	net.Conn
	answered    bool
	status      int
	subprotocol string
	pending     []byte // to be read before the connection
}

func (s *clientStream) Read(p []byte) (int, error) {
	if !s.answered {
		s.answered = true
		if err := s.answer(); err != nil {
			return 0, err
		}
	}
	if len(s.pending) > 0 {
		n := copy(p, s.pending)
		if s.pending = s.pending[n:]; len(s.pending) == 0 {
			s.pending = nil
		}
		return n, nil
	}
	return s.Conn.Read(p)
}

// answer reads the server's answer.
func (s *clientStream) answer() error {
	limited := &io.LimitedReader{R: s.Conn, N: maxAnswer}
	br := bufio.NewReader(limited)
	resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodGet})
	if err != nil {
		if limited.N == 0 {
			err = fmt.Errorf("answer is longer than %d bytes", maxAnswer)
		}
		return &HandshakeError{Err: err}
	}
	// The body is not closed: that would read it to its end, and holds nothing but the connection.
	s.status = resp.StatusCode
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return &HandshakeError{Status: resp.StatusCode, Message: refusal(resp)}
	}
	if !hasToken(resp.Header, "Upgrade", "websocket") || !hasToken(resp.Header, "Connection", "upgrade") {
		return &HandshakeError{Status: s.status, Err: errors.New("answer does not upgrade to websocket")}
	}
	s.subprotocol = resp.Header.Get("Sec-Websocket-Protocol")

	var head bytes.Buffer
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
	for _, name := range []string{"Sec-Websocket-Accept", "Sec-Websocket-Extensions", "Sec-Websocket-Protocol"} {
		if v := strings.Join(resp.Header[name], ", "); v != "" {
			head.WriteString(name + ": " + v + "\r\n")
		}
	}
	head.WriteString("\r\n")
	frames, _ := br.Peek(br.Buffered())
	head.Write(frames)
	s.pending = head.Bytes()
	return nil
}

// refusal returns what a server says about its refusal, if that is short, plain and of a known length: waiting for the
// end of TCP would be waiting for a stranger.
func refusal(resp *http.Response) string {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind != "text/plain" || resp.ContentLength < 0 || resp.ContentLength > maxRefusal {
		return ""
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(body))
}

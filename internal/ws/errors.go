package ws

import (
	"errors"
	"fmt"
	"net"
	"net/http"
)

// ErrClosed is returned by Write and Post once either side has closed the connection, and by Read, Write and Post after
// Abort. It is also [net.ErrClosed].
var ErrClosed = fmt.Errorf("ws: connection closed: %w", net.ErrClosed)

// ErrTooBig says that the peer sent a message larger than [Config].MaxMessage. Read returns it inside a *ProtocolError.
var ErrTooBig = errors.New("ws: message too big")

// ErrQueueFull is returned by Post when more would wait than [Config].MaxQueue allows; nothing was queued.
var ErrQueueFull = errors.New("ws: too much is waiting to be sent")

// ErrInvalidText is returned by Write and Post for a text message that is not UTF-8; nothing was sent.
var ErrInvalidText = errors.New("ws: text message is not UTF-8")

// A CloseError is the goodbye of the peer: what its close frame said. The connection is closed.
type CloseError struct {
	Code   int    // 1000 to 4999; CloseNoStatus if the frame had none
	Reason string // at most 123 bytes of UTF-8, often empty
}

func (e *CloseError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("ws: closed by the peer with code %d", e.Code)
	}
	return fmt.Sprintf("ws: closed by the peer with code %d: %s", e.Code, e.Reason)
}

// A ProtocolError says how the peer broke RFC 6455, or the limit of a message's size. The connection is closed; the
// peer was told Code and Reason, unless a close frame had been sent before.
type ProtocolError struct {
	Code   int    // CloseProtocolError, CloseInvalidData or CloseTooBig
	Reason string // which rule was broken
}

func (e *ProtocolError) Error() string {
	return fmt.Sprintf("ws: protocol error of the peer (%d): %s", e.Code, e.Reason)
}

// Is makes a ProtocolError with CloseTooBig an [ErrTooBig].
func (e *ProtocolError) Is(target error) bool {
	return target == ErrTooBig && e.Code == CloseTooBig
}

// A RejectError returned by [Server].Accept chooses the HTTP answer of a refused upgrade.
type RejectError struct {
	Status  int    // 400 to 599; anything else becomes 403
	Message string // the body, in plain text; by default the status text
}

func (e *RejectError) Error() string {
	return fmt.Sprintf("ws: upgrade rejected with %d: %s", e.Status, e.Message)
}

// A HandshakeError is returned by [Dial] if a server was reached and the upgrade failed.
type HandshakeError struct {
	Status  int    // of the HTTP answer; 0 if none came
	Message string // the answer's body if it is plain text of at most 1 KiB, without surrounding white space
	Err     error  // what failed, if it was not the status
}

func (e *HandshakeError) Error() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("ws: handshake: %v", e.Err)
	case e.Message != "":
		return fmt.Sprintf("ws: handshake: refused with %d %s: %s", e.Status, http.StatusText(e.Status), e.Message)
	}
	return fmt.Sprintf("ws: handshake: refused with %d %s", e.Status, http.StatusText(e.Status))
}

// Unwrap returns Err.
func (e *HandshakeError) Unwrap() error { return e.Err }

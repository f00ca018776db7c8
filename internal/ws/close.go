package ws

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// Close codes of RFC 6455 section 7.4.1 that this module uses or meets. Applications have 4000 to 4999.
const (
	CloseNormal        = 1000
	CloseGoingAway     = 1001
	CloseProtocolError = 1002
	CloseNoStatus      = 1005 // only in a CloseError: the peer's close frame had no code
	CloseInvalidData   = 1007
	ClosePolicy        = 1008
	CloseTooBig        = 1009
	CloseInternalError = 1011
)

// maxReason is the space for a reason: a control frame less the code.
const maxReason = maxControl - 2

// validCode says whether a close frame may carry the code.
func validCode(code int) bool {
	switch {
	case code >= 1000 && code <= 1014:
		return code < 1004 || code > 1006
	default:
		return code >= 3000 && code <= 4999
	}
}

// Close says goodbye: it sends a close frame with the code and the reason, makes later Writes and Posts fail, and waits
// for the peer's close frame for Config.CloseTimeout. A goroutine in Read goes on to do the waiting, and then returns its
// error; messages that still arrive are discarded. When Close returns, TCP is closed. What is being sent is waited for,
// and what is queued goes before the close frame, so all this takes Config.WriteTimeout twice and Config.CloseTimeout
// twice at most; Abort cuts it short.
//
// Of the reason as many whole characters are sent as fit 123 bytes. The code must be one that may be sent, which is
// 1000 to 1014 but for 1004, 1005 and 1006, or 3000 to 4999; else nothing is done and an error returned.
//
// Close returns nil if the peer's close frame came, be it as an answer or before, and otherwise what Read returns. The
// close frame is sent once; further calls wait for the end like the first.
func (c *Conn) Close(code int, reason string) error {
	if !validCode(code) {
		return fmt.Errorf("ws: close code %d may not be sent", code)
	}
	c.closing.Store(true)
	c.endReading(2*c.cfg.WriteTimeout + c.cfg.CloseTimeout) // a deadline of the user must not spoil the goodbye
	c.sendClose(closePayload(code, reason))
	c.endReading(c.cfg.CloseTimeout)

	c.rlock.lock()
	defer c.rlock.unlock()
	c.buf = nil // whoever called Read may still be using it
	for c.rerr == nil {
		_, c.rerr = c.message()
		c.release()
	}
	if errors.Is(c.rerr, os.ErrDeadlineExceeded) {
		c.drain() // the deadline may have been the user's
	}
	var answer *CloseError
	if errors.As(c.rerr, &answer) {
		return nil
	}
	return c.rerr
}

// closePayload makes the payload of a close frame.
func closePayload(code int, reason string) []byte {
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	if len(reason) > maxReason {
		n := maxReason
		for !utf8.RuneStart(reason[n]) {
			n--
		}
		reason = reason[:n]
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}

// parseClose reads the payload of a close frame.
func parseClose(payload []byte) (*CloseError, *ProtocolError) {
	switch {
	case len(payload) == 0:
		return &CloseError{Code: CloseNoStatus}, nil
	case len(payload) == 1:
		return nil, broken("close frame has half a code")
	}
	code := int(binary.BigEndian.Uint16(payload))
	if !validCode(code) {
		return nil, broken(fmt.Sprintf("close code %d may not be sent", code))
	}
	if !utf8.Valid(payload[2:]) {
		return nil, &ProtocolError{CloseInvalidData, "close reason is not UTF-8"}
	}
	return &CloseError{Code: code, Reason: string(payload[2:])}, nil
}

// sendClose sends the close frame of this connection if it has not been sent. A failure shows in Read.
func (c *Conn) sendClose(payload []byte) {
	c.wlock.lock()
	defer c.writeUnlock()
	if c.writeFrame(opClose, payload) == nil {
		c.werr = ErrClosed
	}
}

// closedByPeer answers the peer's close frame, with its code and once, closes TCP and returns what Read returns.
func (c *Conn) closedByPeer(payload []byte) error {
	said, wrong := parseClose(payload)
	if wrong != nil {
		return c.violated(wrong)
	}
	c.closing.Store(true)
	c.sendClose(payload[:min(2, len(payload))])
	c.conn.Close()
	return said
}

// violated tells the peer how it broke the protocol, closes TCP and returns what Read returns.
func (c *Conn) violated(p *ProtocolError) error {
	c.closing.Store(true)
	c.mayWait()
	c.sendClose(closePayload(p.Code, p.Reason))
	c.drain()
	return p
}

// drain closes TCP in a way that lets the peer read our close frame: closing while input is unread would send a
// reset, which takes back what the peer has not read yet.
func (c *Conn) drain() {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	c.endReading(c.cfg.CloseTimeout)
	io.Copy(io.Discard, c.conn)
	c.conn.Close()
}

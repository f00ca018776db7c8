//go:build unix

package benchmarks

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// A peer is a client that does as little as it can, and the same for each
// server: frames are made beforehand and written as they are.
type peer struct {
	net.Conn
	br   *bufio.Reader
	seen int // bytes at the head of br that the last message, still in use, takes
}

// request is an opening handshake with the headers that a browser sends.
const request = "GET %s HTTP/1.1\r\n" +
	"Host: %s\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: */*\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br\r\n" +
	"Sec-WebSocket-Version: 13\r\n" +
	"Origin: http://localhost\r\n%s" +
	"Sec-WebSocket-Extensions: permessage-deflate\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Connection: keep-alive, Upgrade\r\n" +
	"Pragma: no-cache\r\n" +
	"Cache-Control: no-cache\r\n" +
	"Upgrade: websocket\r\n\r\n"

// dial opens a WebSocket. The buffer must be larger than the largest frame.
func dial(addr, path string, buffer int) (*peer, error) { return dialWith(addr, path, "", buffer) }

// dialWith is dial with a further line in the request, or none.
func dialWith(addr, path, header string, buffer int) (*peer, error) {
	c, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(timeout)) // of all that is to come
	p := &peer{Conn: c, br: bufio.NewReaderSize(c, buffer)}
	if err := p.upgrade(addr, path, header); err != nil {
		c.Close()
		return nil, err
	}
	return p, nil
}

func (p *peer) upgrade(addr, path, header string) error {
	if _, err := fmt.Fprintf(p, request, path, addr, header); err != nil {
		return err
	}
	status, err := p.br.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(status, "HTTP/1.1 101 ") {
		return fmt.Errorf("upgrade is answered with %q", status)
	}
	for {
		line, err := p.br.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			return nil
		}
	}
}

// leave says goodbye, as a client should, and waits for the end of TCP.
func (p *peer) leave() error {
	defer p.Close()
	if _, err := p.Write(frame(opClose, []byte{1000 >> 8, 1000 & 0xff})); err != nil {
		return nil // the bare relay drops the second of a couple with the first
	}
	// Whether the end is clean is up to the server.
	_, err := io.Copy(io.Discard, p.br)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		return err
	}
	return nil
}

// next waits for the next message that is no heartbeat; it is valid until the
// next call.
func (p *peer) next() ([]byte, error) {
	for {
		p.br.Discard(p.seen)
		p.seen = 0
		head, err := p.br.Peek(2)
		if err != nil {
			return nil, err
		}
		if head[0] != 0x80|opBinary && head[0] != 0x80|opText {
			return nil, fmt.Errorf("frame begins with % x", head)
		}
		start, n := 2, int(head[1])
		if n == 126 {
			if head, err = p.br.Peek(4); err != nil {
				return nil, err
			}
			start, n = 4, int(binary.BigEndian.Uint16(head[2:]))
		}
		whole, err := p.br.Peek(start + n)
		if err != nil {
			return nil, err
		}
		p.seen = start + n
		if message := whole[start:]; !bytes.Equal(message, heartbeat) {
			return message, nil
		}
	}
}

// some waits for at least one message, and counts those that have come.
func (p *peer) some() (n int, err error) {
	for {
		if _, err := p.next(); err != nil {
			return 0, err
		}
		n++
		if p.br.Buffered() < 2*p.seen { // all are as long as this one
			return n, nil
		}
	}
}

// Opcodes of frames.
const (
	opText   = 1
	opBinary = 2
	opClose  = 8
)

// frame makes a frame of a client, whose mask is zero.
func frame(op byte, payload []byte) []byte {
	b := []byte{0x80 | op}
	if len(payload) < 126 {
		b = append(b, 0x80|byte(len(payload)))
	} else {
		b = append(b, 0x80|126)
		b = binary.BigEndian.AppendUint16(b, uint16(len(payload)))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}

// The messages of a signaling server (SPEC.md, chapter SIG) that are used here.
var (
	heartbeat      = []byte{0x08, 1}
	connectedTrue  = []byte{0x20, 1}
	connectedFalse = []byte{0x20, 0}
)

// connect is a connect of the member with the id, below 128, that knows nobody.
func connect(id byte) []byte { return []byte{0x1a, 2, 0x08, id} }

// content is a content without a sender.
func content(recipient uint32, data []byte) []byte {
	body := []byte{0x08, 0, 0x10}
	body = binary.AppendUvarint(body, uint64(recipient))
	body = append(body, 0x22)
	body = binary.AppendUvarint(body, uint64(len(data)))
	body = append(body, data...)
	return append(binary.AppendUvarint([]byte{0x12}, uint64(len(body))), body...)
}

// sender returns who a content is from.
func sender(message []byte) (uint32, error) {
	if len(message) > 0 && message[0] == 0x12 {
		_, n := binary.Uvarint(message[1:])
		if body := message[1+max(n, 0):]; len(body) > 0 && body[0] == 0x08 {
			if id, n := binary.Uvarint(body[1:]); n > 0 {
				return uint32(id), nil
			}
		}
	}
	return 0, fmt.Errorf("not a content: % x", message)
}

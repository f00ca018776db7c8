package conformance

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// timeout is how long an expected answer may take, on a busy machine too.
const timeout = 15 * time.Second

// quiet is how long a peer listens to find that nothing comes.
const quiet = 150 * time.Millisecond

func randomName() string { return rand.Text() }

// The opcodes of RFC 6455.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// A peer is a WebSocket client that shows every frame, and sends any.
type peer struct {
	run    *run
	name   string
	conn   net.Conn
	r      *bufio.Reader
	header http.Header // of the server's answer
	queue  []*frame    // messages that were read before they were asked for
	beats  int         // heartbeats that were read so
	server bool        // this is the server's end
}

// A frame is one WebSocket frame.
type frame struct {
	fin     bool
	rsv     byte // the three reserved bits
	op      byte
	masked  bool
	payload []byte
}

// header encodes the frame's header, without the masking key.
func (f frame) header() []byte {
	b := []byte{f.rsv<<4 | f.op, 0}
	if f.fin {
		b[0] |= 0x80
	}
	if f.masked {
		b[1] |= 0x80
	}
	switch n := len(f.payload); {
	case n < 126:
		b[1] |= byte(n)
	case n < 1<<16:
		b[1] |= 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] |= 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

// open connects a peer with a key of this run; what follows ? in key is the query.
func (r *run) open(name, key string) *peer {
	return r.openTarget(name, r.prefix+key, nil)
}

// openTarget connects a peer with this request target and these extra headers.
func (r *run) openTarget(name, target string, header http.Header) *peer {
	what := fmt.Sprintf("%s connects to %s", name, target)
	p, resp, err := r.request(name, target, header)
	if err != nil {
		r.fail(what, "an upgrade to WebSocket", err.Error())
	}
	r.expect(resp.StatusCode == http.StatusSwitchingProtocols, what, "HTTP status 101", resp.Status)
	p.header = resp.Header
	if !r.silent {
		go p.beat()
	}
	return p
}

// beat sends heartbeats as clients do, so that a case may take its time.
func (p *peer) beat() {
	ticks := time.NewTicker(4 * time.Second)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			p.send(heartbeatMessage)
		case <-p.run.over:
			return
		}
	}
}

const webSocketKey = "dGhlIHNhbXBsZSBub25jZQ=="

// request sends an upgrade request and returns the answer.
func (r *run) request(name, target string, header http.Header) (*peer, *http.Response, error) {
	p, err := r.dial(name)
	if err != nil {
		return nil, nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n", target, p.conn.RemoteAddr(), webSocketKey)
	header.Write(&b)
	b.WriteString("\r\n")
	p.write([]byte(b.String()))
	p.conn.SetReadDeadline(time.Now().Add(timeout))
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		return nil, nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		sum := sha1.Sum([]byte(webSocketKey + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		if got, want := resp.Header.Get("Sec-WebSocket-Accept"), base64.StdEncoding.EncodeToString(sum[:]); got != want {
			return nil, nil, fmt.Errorf("Sec-WebSocket-Accept is %q, not %q", got, want)
		}
	}
	return p, resp, nil
}

// dial opens the transport of a peer, TCP or TLS; certificates are not checked.
func (r *run) dial(name string) (*peer, error) {
	u, err := url.Parse(r.at)
	if err != nil {
		return nil, err
	}
	d := &net.Dialer{Timeout: timeout}
	var conn net.Conn
	switch u.Scheme {
	case "wss":
		conn, err = tls.DialWithDialer(d, "tcp", u.Host, &tls.Config{InsecureSkipVerify: true})
	case "ws":
		conn, err = d.Dial("tcp", u.Host)
	default:
		return nil, fmt.Errorf("%s is no ws or wss URL", r.at)
	}
	if err != nil {
		return nil, err
	}
	p := &peer{run: r, name: name, conn: conn, r: bufio.NewReader(conn)}
	r.peers = append(r.peers, p)
	return p, nil
}

// write writes bytes as they are. That the server may have closed shows in what
// is read.
func (p *peer) write(b []byte) {
	p.conn.SetWriteDeadline(time.Now().Add(timeout))
	p.conn.Write(b)
}

// writeFrame writes a frame, masked as a client must.
func (p *peer) writeFrame(f frame) {
	if p.server {
		p.write(append(f.header(), f.payload...))
		return
	}
	f.masked = true
	b := f.header()
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	b = append(b, mask[:]...)
	for i, c := range f.payload {
		b = append(b, c^mask[i&3])
	}
	p.write(b)
}

// send sends a binary message.
func (p *peer) send(message []byte) {
	p.writeFrame(frame{fin: true, op: opBinary, payload: message})
}

// readFrame reads a frame, whatever it is.
func (p *peer) readFrame(deadline time.Time) (*frame, error) {
	p.conn.SetReadDeadline(deadline)
	if _, err := p.r.Peek(1); err != nil {
		return nil, err // at a frame's boundary: nothing is lost by a time-out
	}
	p.conn.SetReadDeadline(time.Now().Add(timeout))
	var head [10]byte
	if _, err := io.ReadFull(p.r, head[:2]); err != nil {
		return nil, err
	}
	f := &frame{fin: head[0]&0x80 != 0, rsv: head[0] >> 4 & 7, op: head[0] & 15, masked: head[1]&0x80 != 0}
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		if _, err := io.ReadFull(p.r, head[:2]); err != nil {
			return nil, err
		}
		n = uint64(binary.BigEndian.Uint16(head[:]))
	case 127:
		if _, err := io.ReadFull(p.r, head[:8]); err != nil {
			return nil, err
		}
		n = binary.BigEndian.Uint64(head[:])
	}
	if n > 1<<20 {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	var mask [4]byte
	if f.masked {
		if _, err := io.ReadFull(p.r, mask[:]); err != nil {
			return nil, err
		}
	}
	f.payload = make([]byte, n)
	_, err := io.ReadFull(p.r, f.payload)
	for i := range f.payload {
		f.payload[i] ^= mask[i&3]
	}
	return f, err
}

// next reads the next message or close frame, not later than the deadline. A
// ping is answered.
func (p *peer) next(deadline time.Time) (*frame, error) {
	if len(p.queue) > 0 {
		f := p.queue[0]
		p.queue = p.queue[1:]
		return f, nil
	}
	for {
		f, err := p.readFrame(deadline)
		if err != nil {
			return nil, err
		}
		if f.masked || f.rsv != 0 || !f.fin {
			return nil, fmt.Errorf("a frame that is masked, in parts or has reserved bits: %+v", *f)
		}
		switch f.op {
		case opPing:
			p.writeFrame(frame{fin: true, op: opPong, payload: f.payload})
		case opPong, opBinary, opText, opClose:
			return f, nil
		default:
			return nil, fmt.Errorf("a frame with opcode %d", f.op)
		}
	}
}

// barrier returns when the server has read all that the peer sent: it answers a
// ping only then. Messages that come meanwhile are kept for later.
func (p *peer) barrier() {
	p.writeFrame(frame{fin: true, op: opPing, payload: []byte("barrier")})
	var kept []*frame
	for deadline := time.Now().Add(timeout); ; {
		f, err := p.next(deadline)
		if err != nil || f.op == opPong {
			break // an end of the connection shows in what is read next
		}
		kept = append(kept, f)
		if f.op == opClose {
			break
		}
	}
	p.queue = kept
}

// leave closes with 1000, as clients do, and waits for the answer.
func (p *peer) leave() {
	p.writeFrame(frame{fin: true, op: opClose, payload: []byte{0x03, 0xe8}})
	p.hangUp()
}

// hangUp ends TCP after the closing handshake: this side's half at once, so that
// a server has heard of the end before its own half ends, for which it waits.
func (p *peer) hangUp() {
	if c, ok := p.conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
	for until := time.Now().Add(timeout); ; {
		if _, err := p.readFrame(until); err != nil {
			break
		}
	}
	p.conn.Close()
}

// drop ends TCP without a goodbye.
func (p *peer) drop() { p.conn.Close() }

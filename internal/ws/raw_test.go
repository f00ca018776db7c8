package ws

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// This file is the other end of the tests: a peer that sends and reads literal frames and shares no code with the
// package.

// patience is how long a peer waits for what must come.
const patience = 20 * time.Second

// TestMain fails if a goroutine of the package is left when all tests have ended.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && !eventually(func() bool { return !strings.Contains(stacks(), "internal/ws.(*") }) {
		fmt.Fprintf(os.Stderr, "goroutines are left:\n%s\n", stacks())
		code = 1
	}
	os.Exit(code)
}

func stacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}

// eventually waits for a condition that nothing announces.
func eventually(cond func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-tick.C {
		if cond() {
			return true
		}
	}
	return false
}

// role is the role of the connection under test; its peer has the other one.
type role string

const (
	asServer role = "server"
	asClient role = "client"
)

// eachRole runs a test for both roles.
func eachRole(t *testing.T, f func(t *testing.T, r role)) {
	for _, r := range []role{asServer, asClient} {
		t.Run(string(r), func(t *testing.T) { f(t, r) })
	}
}

// peer is the raw end.
type peer struct {
	net.Conn
	t     testing.TB
	br    *bufio.Reader
	masks bool // it is a client
}

func newPeer(t testing.TB, conn net.Conn, masks bool) *peer {
	conn.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { conn.Close() })
	return &peer{Conn: conn, t: t, br: bufio.NewReader(conn), masks: masks}
}

// frame makes one frame whose first byte is b0, with the shortest length and the peer's masking.
func (p *peer) frame(b0 byte, payload string) []byte { return rawFrame(p.masks, b0, payload) }

func rawFrame(masked bool, b0 byte, payload string) []byte {
	b := []byte{b0}
	n := len(payload)
	switch {
	case n <= 125:
		b = append(b, byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	if !masked {
		return append(b, payload...)
	}
	b[1] |= 0x80
	key := []byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, key...)
	for i := range n {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

// closing makes a close frame.
func (p *peer) closing(code int, reason string) []byte {
	return p.frame(0x88, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

// send writes frames in one piece.
func (p *peer) send(frames ...[]byte) {
	p.t.Helper()
	if _, err := p.Write(bytes.Join(frames, nil)); err != nil {
		p.t.Fatalf("peer: send: %v", err)
	}
}

// rawRead reads one frame, checks its masking and returns its first byte and its payload.
func rawRead(r io.Reader, masked bool) (byte, string, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, "", err
	}
	n := int(head[1] & 0x7f)
	switch n {
	case 126:
		var ext uint16
		if err := binary.Read(r, binary.BigEndian, &ext); err != nil {
			return 0, "", err
		}
		n = int(ext)
	case 127:
		var ext uint64
		if err := binary.Read(r, binary.BigEndian, &ext); err != nil {
			return 0, "", err
		}
		n = int(ext)
	}
	if got := head[1]&0x80 != 0; got != masked {
		return 0, "", fmt.Errorf("masked = %v, want %v", got, masked)
	}
	var key [4]byte
	if masked {
		if _, err := io.ReadFull(r, key[:]); err != nil {
			return 0, "", err
		}
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, "", err
	}
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	return head[0], string(payload), nil
}

// want reads one frame and compares it.
func (p *peer) want(b0 byte, payload string) {
	p.t.Helper()
	gotB0, got, err := rawRead(p.br, !p.masks)
	if err != nil {
		p.t.Fatalf("peer: read: %v", err)
	}
	if gotB0 != b0 || got != payload {
		p.t.Fatalf("peer got frame %#x %.40q, want %#x %.40q", gotB0, got, b0, payload)
	}
}

// wantClose reads a close frame with the code, whatever its reason.
func (p *peer) wantClose(code int) (reason string) {
	p.t.Helper()
	b0, got, err := rawRead(p.br, !p.masks)
	if err != nil {
		p.t.Fatalf("peer: read: %v", err)
	}
	if b0 != 0x88 || len(got) < 2 || int(binary.BigEndian.Uint16([]byte(got))) != code {
		p.t.Fatalf("peer got frame %#x %q, want a close frame with %d", b0, got, code)
	}
	return got[2:]
}

// wantEOF checks that TCP ends here, in an orderly way, and closes it.
func (p *peer) wantEOF() {
	p.t.Helper()
	if b, err := p.br.ReadByte(); err != io.EOF {
		p.t.Fatalf("peer got byte %#x and error %v, want the end of TCP", b, err)
	}
	p.Close()
}

// accept computes Sec-WebSocket-Accept.
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

const rawKey = "dGhlIHNhbXBsZSBub25jZQ=="

// loopback returns the two ends of a TCP connection. The kernel has small buffers for what goes from ours to theirs, so
// that it soon shows that theirs does not read.
func loopback(t testing.TB) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if ours, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if theirs, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	ours.(*net.TCPConn).SetWriteBuffer(64 << 10)
	theirs.(*net.TCPConn).SetReadBuffer(64 << 10)
	return ours, theirs
}

// tcpPair returns a connection over TCP and its raw peer.
func tcpPair(t testing.TB, r role, cfg Config) (*Conn, *peer) {
	t.Helper()
	ours, theirs := loopback(t)
	return join(t, r, cfg, ours, theirs)
}

// pipePair is the like over a synchronous pipe, for tests in virtual time.
func pipePair(t testing.TB, r role, cfg Config) (*Conn, *peer) {
	t.Helper()
	ours, theirs := net.Pipe()
	return join(t, r, cfg, ours, theirs)
}

// join does the opening handshake between the two ends.
func join(t testing.TB, r role, cfg Config, ours, theirs net.Conn) (*Conn, *peer) {
	t.Helper()
	p := newPeer(t, theirs, r == asServer)
	type result struct {
		c   *Conn
		err error
	}
	done := make(chan result, 1)
	go func() {
		var res result
		if r == asServer {
			brw := bufio.NewReadWriter(bufio.NewReader(ours), bufio.NewWriter(ours))
			res.c, res.err = upgrade(ours, brw, &http.Request{RemoteAddr: "raw peer"}, rawKey, "", cfg)
		} else {
			config := &websocket.Config{
				Location: &url.URL{Scheme: "ws", Host: "localhost"},
				Origin:   &url.URL{Scheme: "http", Host: "localhost"},
				Version:  13,
			}
			res.c, res.err = open(context.Background(), ours, config, cfg)
		}
		done <- res
	}()
	if r == asServer {
		resp, err := http.ReadResponse(p.br, nil)
		if err != nil || resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") != accept(rawKey) {
			t.Fatalf("answer %v, error %v", resp, err)
		}
	} else {
		req, err := http.ReadRequest(p.br)
		if err != nil {
			t.Fatal(err)
		}
		p.send([]byte(answer(req.Header.Get("Sec-WebSocket-Key"), "Upgrade: websocket", "Connection: Upgrade")))
	}
	res := <-done
	if res.err != nil {
		t.Fatal(res.err)
	}
	t.Cleanup(res.c.Abort)
	return res.c, p
}

// answer makes the head of a 101 answer.
func answer(key string, lines ...string) string {
	return "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept(key) + "\r\n" +
		strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// wantMessage reads one message and compares it.
func wantMessage(t *testing.T, c *Conn, kind Kind, data string) {
	t.Helper()
	k, got, err := c.Read()
	if err != nil {
		t.Fatalf("Read: %v, want a message %.40q", err, data)
	}
	if k != kind || string(got) != data {
		t.Fatalf("Read: kind %d %.40q (%d bytes), want %d %.40q (%d bytes)", k, got, len(got), kind, data, len(data))
	}
}

// wantProtocolError checks that err is a ProtocolError with the code.
func wantProtocolError(t *testing.T, err error, code int) {
	t.Helper()
	var broken *ProtocolError
	if !errors.As(err, &broken) || broken.Code != code {
		t.Fatalf("error %v, want a ProtocolError with %d", err, code)
	}
}

// wantCloseError checks that err is a CloseError with the code and the reason.
func wantCloseError(t *testing.T, err error, code int, reason string) {
	t.Helper()
	var said *CloseError
	if !errors.As(err, &said) || said.Code != code || said.Reason != reason {
		t.Fatalf("error %v, want a CloseError with %d %q", err, code, reason)
	}
}

// readToEnd reads until the final error, which it returns, and gives each message to got unless that is nil.
func readToEnd(c *Conn, got func(k Kind, data string)) error {
	for {
		k, data, err := c.Read()
		if err != nil {
			return err
		}
		if got != nil {
			got(k, string(data))
		}
	}
}

package sigver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// A rawPeer writes its request target and its frames as they are.
type rawPeer struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func rawDial(t *testing.T, url, target string) *rawPeer {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(timeout))
	return upgrade(t, conn, target)
}

func upgrade(t *testing.T, conn net.Conn, target string) *rawPeer {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", target)
	p := &rawPeer{t, conn, bufio.NewReader(conn)}
	resp, err := http.ReadResponse(p.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("target %q: %s", target, resp.Status)
	}
	return p
}

func (p *rawPeer) send(m wire.Signaling) {
	payload := m.Append(nil)
	frame := append([]byte{0x82, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...) // mask 0
	if _, err := p.conn.Write(frame); err != nil {
		p.t.Error(err)
	}
}

// frame reads one frame of at most 125 bytes.
func (p *rawPeer) frame() (op byte, payload []byte) {
	var head [2]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		p.t.Fatal(err)
	}
	payload = make([]byte, head[1])
	if _, err := io.ReadFull(p.r, payload); err != nil {
		p.t.Fatal(err)
	}
	return head[0] & 15, payload
}

func (p *rawPeer) connect(id uint32) bool {
	p.t.Helper()
	p.send(wire.Signaling{Kind: wire.SignalingConnect, Connect: wire.GroupData{ID: id}})
	_, payload := p.frame()
	var m wire.Signaling
	if err := m.Decode(payload); err != nil || m.Kind != wire.SignalingConnected {
		p.t.Fatalf("the answer to connect is %+v, %v", m, err)
	}
	return m.Connected
}

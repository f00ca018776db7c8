package conformance

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// A counter is a TCP proxy before a signaling server that keeps what passes, of each connection a stream to the server
// and one from it.
type counter struct {
	net.Listener
	target string

	mu      sync.Mutex
	conns   []net.Conn
	streams [][2]*bytes.Buffer
}

// startCounter runs a counter and returns the URL at which it has the server with this URL.
func startCounter(t *testing.T, url string) (c *counter, proxied string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c = &counter{Listener: l, target: strings.TrimPrefix(url, "ws://")}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			done.Go(func() { c.pass(client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		c.mu.Lock()
		for _, conn := range c.conns {
			conn.Close()
		}
		c.mu.Unlock()
		done.Wait()
	})
	return c, "ws://" + l.Addr().String()
}

// pass passes a connection on until both ends have closed it.
func (c *counter) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	defer server.Close()
	c.mu.Lock()
	i := len(c.streams)
	c.conns = append(c.conns, client, server)
	c.streams = append(c.streams, [2]*bytes.Buffer{new(bytes.Buffer), new(bytes.Buffer)})
	c.mu.Unlock()
	var done sync.WaitGroup
	for dir, ends := range [2][2]net.Conn{{client, server}, {server, client}} {
		done.Go(func() {
			io.Copy(ends[1], io.TeeReader(ends[0], writer(func(b []byte) (int, error) {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.streams[i][dir].Write(b)
			})))
			ends[1].(*net.TCPConn).CloseWrite()
		})
	}
	done.Wait()
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// sizes returns how many bytes have passed to and from the server as payloads of messages, heartbeats left out.
func (c *counter) sizes(t *testing.T) (n [2]int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.streams {
		for dir, b := range s {
			p := &peer{conn: noDeadlines{}, r: bufio.NewReader(bytes.NewReader(b.Bytes()))}
			if _, err := p.r.Discard(1 + max(0, bytes.Index(b.Bytes(), []byte("\r\n\r\n"))+3)); err != nil {
				t.Fatal(err)
			}
			for {
				f, err := p.readFrame(time.Time{})
				if err == io.EOF || err == io.ErrUnexpectedEOF { // the rest has not passed yet
					break
				}
				if err != nil || f.rsv != 0 || !f.fin {
					t.Fatalf("a frame that is no whole message: %+v, %v", f, err)
				}
				if f.op == opBinary && !bytes.Equal(f.payload, heartbeat) {
					n[dir] += len(f.payload)
				}
			}
		}
	}
	return n
}

var heartbeat = []byte{8, 1}

// noDeadlines is what a peer that reads a buffer has as its connection.
type noDeadlines struct{ net.Conn }

func (noDeadlines) SetReadDeadline(time.Time) error { return nil }

// TestSignalingBytes counts what passes npm sigver from when an original page begins to join until it is a member there:
// the payloads of all messages of all connections, but for heartbeats. README gives the figures, with those of this
// implementation by the test of this name in package netflux.
func TestSignalingBytes(t *testing.T) {
	pages := startPages(t, 3)
	c, url := startCounter(t, startOriginalSigver(t))
	for i, p := range pages {
		before := c.sizes(t)
		do(t, p, driver.Command{"cmd": "join", "signaling": url, "key": "key"})
		for range 2 {
			if _, err := p.Wait(pageTimeout, func(e driver.Event) bool { return e.Event == "signaling" && e.State == "CHECKED" }); err != nil {
				t.Fatal(err)
			}
		}
		after := c.sizes(t)
		to, from := after[0]-before[0], after[1]-before[1]
		t.Logf("page %d: %d bytes to the signaling server, %d from it", i+1, to, from)
		if i > 0 && (to < 1000 || from < 1000) || to == 0 || from == 0 {
			t.Error("that is less than two descriptions have")
		}
	}
	for _, p := range pages {
		do(t, p, driver.Command{"cmd": "leave"})
	}
}

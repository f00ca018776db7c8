package rtc

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
)

// losingNet loses the packets that it is told to lose.
type losingNet struct {
	transport.Net
	lose func(packet []byte) bool
}

type losingConn struct {
	transport.UDPConn
	lose func(packet []byte) bool
}

func losing(t *testing.T, lose func(packet []byte) bool) transport.Net {
	t.Helper()
	n, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	return losingNet{n, lose}
}

func (n losingNet) ListenUDP(network string, addr *net.UDPAddr) (transport.UDPConn, error) {
	c, err := n.Net.ListenUDP(network, addr)
	return losingConn{c, n.lose}, err
}

func (c losingConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	if c.lose(b) {
		return len(b), nil
	}
	return c.UDPConn.WriteTo(b, addr)
}

// wantOpenWithin fails the test if not one of a few connections opens within limit. What it is to find takes longer
// each time; that all of them are slow for want of a processor is unlikely.
func wantOpenWithin(t *testing.T, limit time.Duration, begin func() (a, b *Conn)) {
	t.Helper()
	best := time.Hour
	for range 5 {
		start := time.Now()
		a, b := begin()
		wantOpen(t, a, b)
		best = min(best, time.Since(start))
		a.Abort()
		b.Abort()
		if best < limit {
			return
		}
	}
	t.Errorf("it takes %v to open, at best", best)
}

// A candidate that cannot be reached and is better than the one that can does not hold opening up. (It did for 200 ms.)
func TestUnreachableCandidate(t *testing.T) {
	wantOpenWithin(t, 150*time.Millisecond, func() (a, b *Conn) {
		var answer Signal
		return couple(t, Config{}, Config{}, func(to *Conn, s Signal) {
			switch {
			case to.offer && s.Type == SignalAnswer:
				answer = s
			case to.offer && s.Type == SignalCandidate: // in the description, as each that comes later speeds things up
				answer.SDP += "a=candidate:1 1 udp 2147483647 127.0.0.1 9 typ host\r\na=" + s.Candidate + "\r\n"
				to.Signal(answer)
			default:
				to.Signal(s)
			}
		})
	})
}

// A peer whose candidates never come cannot be reached, unless it finds us; then it takes no longer. (It took 1 s.)
func TestOneSidedCandidates(t *testing.T) {
	wantOpenWithin(t, 700*time.Millisecond, func() (a, b *Conn) {
		return couple(t, Config{}, Config{}, func(to *Conn, s Signal) {
			if s.Type != SignalCandidate || !to.offer {
				to.Signal(s)
			}
		})
	})
}

// A path to an address that a STUN server has seen is taken at once. (It took 600 ms.)
func TestReflexiveCandidate(t *testing.T) {
	wantOpenWithin(t, 400*time.Millisecond, func() (a, b *Conn) {
		var answer Signal
		return couple(t, Config{}, Config{}, func(to *Conn, s Signal) {
			switch {
			case !to.offer && s.Type == SignalCandidate: // so the answerer's checks do not show its address before
			case to.offer && s.Type == SignalAnswer:
				answer = s
			case to.offer && s.Type == SignalCandidate:
				answer.SDP += "a=" + strings.Replace(s.Candidate, "typ host", "typ srflx raddr 127.0.0.1 rport 9", 1) + "\r\n"
				to.Signal(answer)
			default:
				to.Signal(s)
			}
		})
	})
}

// A lost packet of the handshake is sent again soon. (It took 1 s.)
func TestHandshakeRetry(t *testing.T) {
	wantOpenWithin(t, 700*time.Millisecond, func() (a, b *Conn) {
		var lost atomic.Bool
		first := func(packet []byte) bool { return packet[0] == dtlsHandshake && lost.CompareAndSwap(false, true) }
		return couple(t, Config{}, Config{Net: losing(t, first)}, nil)
	})
}

const (
	dtlsHandshake   = 22 // content type
	dtlsHelloVerify = 3  // type of the message that begins at dtlsMessage
	dtlsMessage     = 13
)

// The handshake does without the round trip that proves an address.
func TestNoHelloVerify(t *testing.T) {
	var handshakes, verified atomic.Int32
	watch := func(packet []byte) bool {
		if packet[0] == dtlsHandshake && len(packet) > dtlsMessage {
			handshakes.Add(1)
			if packet[dtlsMessage] == dtlsHelloVerify {
				verified.Add(1)
			}
		}
		return false
	}
	pair(t, Config{Net: losing(t, watch)}, Config{Net: losing(t, watch)})
	if handshakes.Load() == 0 || verified.Load() > 0 {
		t.Errorf("%d of %d packets of the handshake verify an address", verified.Load(), handshakes.Load())
	}
}

// A TCP candidate of the peer is not dialed.
func TestNoTCP(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	var dialed atomic.Int32
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			dialed.Add(1)
			conn.Close()
		}
	}()
	a, b := couple(t, Config{}, Config{}, func(to *Conn, s Signal) {
		if s.Type == SignalCandidate {
			to.Signal(Signal{Type: SignalCandidate, Candidate: "candidate:1 1 tcp 1 127.0.0.1 " + port + " typ host tcptype passive"})
		}
		to.Signal(s)
	})
	wantOpen(t, a, b)
	a.Abort()
	b.Abort()
	l.Close()
	<-ended
	if n := dialed.Load(); n > 0 {
		t.Errorf("it was dialed %d times", n)
	}
}

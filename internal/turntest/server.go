// Package turntest has a STUN and TURN server on 127.0.0.1 for tests, which counts what goes through it.
package turntest

import (
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pion/logging"
	"github.com/pion/turn/v2"
)

// What the server asks of those to whom it lends addresses.
const (
	Username   = "user"
	Credential = "secret"
)

// A Server is a STUN and TURN server for UDP and TCP.
type Server struct {
	UDP  string // its URL as a TURN server by UDP
	TCP  string // the same by TCP
	STUN string // its URL as a STUN server

	Addrs []string // host:port, of UDP and of TCP

	lent, returned atomic.Int64
	relayed        atomic.Int64

	mu     sync.Mutex
	relays []string
}

// Start starts a server that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		UDP:   "turn:" + udp.LocalAddr().String() + "?transport=udp",
		TCP:   "turn:" + tcp.Addr().String() + "?transport=tcp",
		STUN:  "stun:" + udp.LocalAddr().String(),
		Addrs: []string{udp.LocalAddr().String(), tcp.Addr().String()},
	}
	lender := &lender{turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"}, s}
	server, err := turn.NewServer(turn.ServerConfig{
		Realm:         "test",
		LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard},
		AuthHandler: func(user, realm string, _ net.Addr) ([]byte, bool) {
			return turn.GenerateAuthKey(Username, realm, Credential), user == Username
		},
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: udp, RelayAddressGenerator: lender}},
		ListenerConfigs:   []turn.ListenerConfig{{Listener: tcp, RelayAddressGenerator: lender}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("TURN server: %v", err)
		}
	})
	return s
}

// Lent returns how many addresses were lent so far.
func (s *Server) Lent() int { return int(s.lent.Load()) }

// InUse returns how many addresses are lent now.
func (s *Server) InUse() int { return s.Lent() - int(s.returned.Load()) }

// Relays returns all addresses that were lent so far, as host:port.
func (s *Server) Relays() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.relays)
}

// Relayed returns how many bytes have gone out from addresses that were lent, and come in there. What goes from one to
// another counts twice.
func (s *Server) Relayed() int { return int(s.relayed.Load()) }

// A lender makes the sockets that are lent.
type lender struct {
	turn.RelayAddressGeneratorStatic
	s *Server
}

func (l *lender) AllocatePacketConn(network string, port int) (net.PacketConn, net.Addr, error) {
	conn, addr, err := l.RelayAddressGeneratorStatic.AllocatePacketConn(network, port)
	if err != nil {
		return nil, nil, err
	}
	l.s.lent.Add(1)
	l.s.mu.Lock()
	l.s.relays = append(l.s.relays, addr.String())
	l.s.mu.Unlock()
	return &relay{PacketConn: conn, s: l.s, said: make(map[int]net.IP)}, addr, nil
}

// A relay is a socket that is lent. It reaches everybody on 127.0.0.1, those too who say that they are at another
// address of this machine: a browser shows that one, and sends from 127.0.0.1, which TURN would take for a stranger.
type relay struct {
	net.PacketConn
	s      *Server
	closed atomic.Bool

	mu   sync.Mutex
	said map[int]net.IP // by port
}

func (r *relay) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := r.PacketConn.ReadFrom(b)
	r.s.relayed.Add(int64(n))
	if udp, ok := from.(*net.UDPAddr); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		if ip := r.said[udp.Port]; ip != nil {
			udp.IP = ip
		}
	}
	return n, from, err
}

func (r *relay) WriteTo(b []byte, to net.Addr) (int, error) {
	udp := *to.(*net.UDPAddr)
	if !udp.IP.IsLoopback() {
		r.mu.Lock()
		r.said[udp.Port] = udp.IP
		r.mu.Unlock()
		udp.IP = net.IPv4(127, 0, 0, 1)
	}
	n, err := r.PacketConn.WriteTo(b, &udp)
	r.s.relayed.Add(int64(n))
	return n, err
}

func (r *relay) Close() error {
	if r.closed.CompareAndSwap(false, true) {
		r.s.returned.Add(1)
	}
	return r.PacketConn.Close()
}

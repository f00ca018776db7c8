package rtc

import (
	"net"
	"time"

	"github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
)

// keepalive is how often the peer hears of us at least.
const keepalive = 2 * time.Second

// socketBuffer is the receive buffer asked of the kernel for each socket, in bytes; it gives what its own limit lets it
// (net.core.rmem_max on Linux). A burst of SCTP is up to a window long, and what does not fit is lost, which costs far
// more than the memory: the kernel uses it only while packets wait.
const socketBuffer = 4 << 20

// sockets is the network of this machine, with large receive buffers.
type sockets struct{ transport.Net }

func newSockets() (sockets, error) {
	n, err := stdnet.NewNet()
	return sockets{n}, err
}

// ListenUDP makes the socket of a host candidate.
func (s sockets) ListenUDP(network string, addr *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := s.Net.ListenUDP(network, addr)
	if err == nil {
		conn.SetReadBuffer(socketBuffer) // smaller is slower and nothing worse
	}
	return conn, err
}

// ListenPacket makes the socket of a candidate at a TURN server.
func (s sockets) ListenPacket(network, addr string) (net.PacketConn, error) {
	conn, err := s.Net.ListenPacket(network, addr)
	if buffered, ok := conn.(interface{ SetReadBuffer(int) error }); ok && err == nil {
		buffered.SetReadBuffer(socketBuffer)
	}
	return conn, err
}

func isLoopback(ip net.IP) bool { return ip.IsLoopback() }

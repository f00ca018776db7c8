package rtc

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"github.com/pion/stun"
	"github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
)

// keepalive is how often the peer hears of us at least.
const keepalive = 2 * time.Second

// socketBuffer is the receive buffer asked of the kernel for each socket, in bytes; it gives what its own limit lets it
// (net.core.rmem_max on Linux). A burst of SCTP is up to a window long, and what does not fit is lost, which costs far
// more than the memory: the kernel uses it only while packets wait.
const socketBuffer = 4 << 20

// dialTimeout is how long a connection to a TURN server may take.
const dialTimeout = 5 * time.Second

// sockets is the network of this machine for one connection, with large receive buffers. When ctx ends nothing more is
// waited for: pion, which does not close before it is done with the TURN servers, would wait for one that is silent
// for 10 s, and for the kernel as long as that likes to dial.
type sockets struct {
	transport.Net
	ctx      context.Context
	loopback bool
}

// sockets returns the network that c is to use.
func (c Config) sockets(ctx context.Context) (sockets, error) {
	s := sockets{c.Net, ctx, c.Loopback}
	if s.Net == nil {
		n, err := stdnet.NewNet()
		if err != nil {
			return s, fmt.Errorf("rtc: network: %w", err)
		}
		s.Net = n
	}
	return s, nil
}

// here is where to listen when pion leaves it open.
func (s sockets) here(ip net.IP) net.IP {
	if s.loopback && (ip == nil || ip.IsUnspecified()) {
		return net.IPv4(127, 0, 0, 1)
	}
	return ip
}

// ListenUDP makes the socket of a host candidate, or of one that a STUN server shows.
func (s sockets) ListenUDP(network string, addr *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := s.Net.ListenUDP(network, &net.UDPAddr{IP: s.here(addr.IP), Port: addr.Port, Zone: addr.Zone})
	if err == nil {
		conn.SetReadBuffer(socketBuffer) // smaller is slower and nothing worse
	}
	return conn, err
}

// ListenPacket makes the socket of a candidate at a TURN server.
func (s sockets) ListenPacket(network, addr string) (net.PacketConn, error) {
	if s.loopback {
		if udp, err := net.ResolveUDPAddr(network, addr); err == nil {
			addr = (&net.UDPAddr{IP: s.here(udp.IP), Port: udp.Port}).String()
		}
	}
	conn, err := s.Net.ListenPacket(network, addr)
	if err != nil {
		return nil, err
	}
	if buffered, ok := conn.(interface{ SetReadBuffer(int) error }); ok {
		buffered.SetReadBuffer(socketBuffer)
	}
	return turnSocket{conn, s.ctx}, nil
}

// DialTCP connects to a TURN server.
func (s sockets) DialTCP(network string, local, remote *net.TCPAddr) (transport.TCPConn, error) {
	if local == nil && s.loopback {
		local = &net.TCPAddr{IP: s.here(nil)}
	}
	if !s.isReal() {
		conn, err := s.Net.DialTCP(network, local, remote)
		return turnStream{conn, s.ctx}, err
	}
	d := &net.Dialer{Timeout: dialTimeout}
	if local != nil {
		d.LocalAddr = local
	}
	conn, err := d.DialContext(s.ctx, network, remote.String())
	if err != nil {
		return nil, err
	}
	return turnStream{conn.(*net.TCPConn), s.ctx}, nil
}

// isReal reports whether this is the network of the machine. Another one has its own names and dials as it does.
func (s sockets) isReal() bool {
	_, real := s.Net.(*stdnet.Net)
	return real
}

// ResolveUDPAddr finds the address of a STUN or TURN server.
func (s sockets) ResolveUDPAddr(network, addr string) (*net.UDPAddr, error) {
	addr, err := s.resolve(network, addr)
	if err != nil {
		return nil, err
	}
	return s.Net.ResolveUDPAddr(network, addr)
}

// ResolveTCPAddr finds the address of a TURN server.
func (s sockets) ResolveTCPAddr(network, addr string) (*net.TCPAddr, error) {
	addr, err := s.resolve(network, addr)
	if err != nil {
		return nil, err
	}
	return s.Net.ResolveTCPAddr(network, addr)
}

// resolve puts an IP address in the place of a host's name.
func (s sockets) resolve(network, addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || net.ParseIP(host) != nil || !s.isReal() {
		return addr, nil
	}
	family := "ip"
	if last := network[len(network)-1]; last == '4' || last == '6' {
		family += string(last)
	}
	ips, err := net.DefaultResolver.LookupIP(s.ctx, family, host)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(ips[0].String(), port), nil
}

// A turnSocket leads to a TURN server by UDP. When its context has ended it carries what is on its way and what gives
// addresses back, but nothing that is waited for.
type turnSocket struct {
	net.PacketConn
	ctx context.Context
}

func (c turnSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.ctx.Err() != nil && isAwaited(b) {
		return 0, net.ErrClosed
	}
	return c.PacketConn.WriteTo(b, to)
}

// A turnStream is a turnSocket by TCP. With TLS it cannot see what it carries.
type turnStream struct {
	transport.TCPConn
	ctx context.Context
}

func (c turnStream) Write(b []byte) (int, error) {
	if c.ctx.Err() != nil && isAwaited(b) {
		return 0, net.ErrClosed
	}
	return c.TCPConn.Write(b)
}

// isAwaited reports whether a packet is a request on whose answer pion waits.
func isAwaited(b []byte) bool {
	if !stun.IsMessage(b) {
		return false
	}
	var t stun.MessageType
	t.ReadValue(binary.BigEndian.Uint16(b))
	return t.Class == stun.ClassRequest && t.Method != stun.MethodRefresh
}

func isLoopback(ip net.IP) bool { return ip.IsLoopback() }

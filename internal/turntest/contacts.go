package turntest

import (
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
)

// Contacts is the network of this machine, which keeps a record of whom it is used to reach: the addresses that were
// dialled or sent to, and the names that were looked up.
type Contacts struct {
	transport.Net
	mu   sync.Mutex
	all  []string
	mine []string
}

// NewContacts returns a network with an empty record.
func NewContacts(t testing.TB) *Contacts {
	t.Helper()
	n, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	return &Contacts{Net: n}
}

// List returns the record, each address once, as host:port.
func (c *Contacts) List() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.all)
}

// Own returns the addresses, as host:port, of all sockets that were opened to be sent to.
func (c *Contacts) Own() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.mine)
}

func (c *Contacts) opened(conn transport.UDPConn) transport.UDPConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mine = append(c.mine, conn.LocalAddr().String())
	return contactsConn{conn, c}
}

func (c *Contacts) note(addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.all, addr) {
		c.all = append(c.all, addr)
	}
}

func (c *Contacts) ListenUDP(network string, local *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := c.Net.ListenUDP(network, local)
	if err != nil {
		return nil, err
	}
	return c.opened(conn), nil
}

func (c *Contacts) ListenPacket(network, addr string) (net.PacketConn, error) {
	conn, err := c.Net.ListenPacket(network, addr)
	if err != nil {
		return nil, err
	}
	return c.opened(conn.(transport.UDPConn)), nil
}

func (c *Contacts) Dial(network, addr string) (net.Conn, error) {
	c.note(addr)
	return c.Net.Dial(network, addr)
}

func (c *Contacts) DialUDP(network string, local, remote *net.UDPAddr) (transport.UDPConn, error) {
	c.note(remote.String())
	return c.Net.DialUDP(network, local, remote)
}

func (c *Contacts) DialTCP(network string, local, remote *net.TCPAddr) (transport.TCPConn, error) {
	c.note(remote.String())
	return c.Net.DialTCP(network, local, remote)
}

func (c *Contacts) ResolveIPAddr(network, addr string) (*net.IPAddr, error) {
	if net.ParseIP(addr) == nil {
		c.note(addr)
	}
	return c.Net.ResolveIPAddr(network, addr)
}

func (c *Contacts) ResolveUDPAddr(network, addr string) (*net.UDPAddr, error) {
	c.resolve(addr)
	return c.Net.ResolveUDPAddr(network, addr)
}

func (c *Contacts) ResolveTCPAddr(network, addr string) (*net.TCPAddr, error) {
	c.resolve(addr)
	return c.Net.ResolveTCPAddr(network, addr)
}

func (c *Contacts) resolve(addr string) {
	if host, _, err := net.SplitHostPort(addr); err != nil || net.ParseIP(host) == nil {
		c.note(addr)
	}
}

func (c *Contacts) CreateDialer(d *net.Dialer) transport.Dialer {
	return contactsDialer{c.Net.CreateDialer(d), c}
}

type contactsDialer struct {
	transport.Dialer
	c *Contacts
}

func (d contactsDialer) Dial(network, addr string) (net.Conn, error) {
	d.c.note(addr)
	return d.Dialer.Dial(network, addr)
}

type contactsConn struct {
	transport.UDPConn
	c *Contacts
}

func (c contactsConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.c.note(to.String())
	return c.UDPConn.WriteTo(b, to)
}

func (c contactsConn) WriteToUDP(b []byte, to *net.UDPAddr) (int, error) {
	c.c.note(to.String())
	return c.UDPConn.WriteToUDP(b, to)
}

func (c contactsConn) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (int, int, error) {
	c.c.note(to.String())
	return c.UDPConn.WriteMsgUDP(b, oob, to)
}

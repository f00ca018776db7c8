package netflux

import (
	"context"
	"net"

	"github.com/meshpair/meshpair/internal/rtc"
)

// SetNet gives data channels another network.
func (c *Config) SetNet(n rtc.Net) { c.network = machine{n} }

// SetDial gives data channels another network, if it is not nil, and has dial open what goes over TCP.
func (c *Config) SetDial(n rtc.Net, dial func(ctx context.Context, addr string) (net.Conn, error)) {
	c.network = dialed{machine{n}, dial}
}

type dialed struct {
	machine
	dial func(ctx context.Context, addr string) (net.Conn, error)
}

func (d dialed) connect(ctx context.Context, addr string) (net.Conn, error) { return d.dial(ctx, addr) }

package netflux

import (
	"context"
	"net"

	"github.com/meshpair/meshpair/internal/rtc"
)

// A network is what the links of a group are made of.
type network interface {
	// connect opens what a WebSocket goes over, to HOST:PORT.
	connect(ctx context.Context, addr string) (net.Conn, error)
	// listen listens for those that connect to HOST:PORT.
	listen(ctx context.Context, addr string) (net.Listener, error)
	// offer begins a data channel, as [rtc.Offer] does.
	offer(cfg rtc.Config, label string, send func(rtc.Signal)) (dataConn, error)
	// answer begins a data channel, as [rtc.Answer] does.
	answer(cfg rtc.Config, send func(rtc.Signal)) (dataConn, error)
}

// A dataConn is a data channel, with the methods of [rtc.Conn].
type dataConn interface {
	Signal(s rtc.Signal) error
	Open(ctx context.Context) error
	Label() string
	Read() (rtc.Kind, []byte, error)
	Send(ctx context.Context, k rtc.Kind, data []byte) error
	TrySend(k rtc.Kind, data []byte) error
	Close() error
	Abort()
	Done() <-chan struct{}
}

// A machine is the network of this machine.
type machine struct {
	net rtc.Net // what tests have in its place for data channels; nil: nothing
}

func (machine) connect(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

func (machine) listen(ctx context.Context, addr string) (net.Listener, error) {
	var l net.ListenConfig
	return l.Listen(ctx, "tcp", addr)
}

func (m machine) offer(cfg rtc.Config, label string, send func(rtc.Signal)) (dataConn, error) {
	cfg.Net = m.net
	c, err := rtc.Offer(cfg, label, send)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (m machine) answer(cfg rtc.Config, send func(rtc.Signal)) (dataConn, error) {
	cfg.Net = m.net
	c, err := rtc.Answer(cfg, send)
	if err != nil {
		return nil, err
	}
	return c, nil
}

package netflux

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/meshpair/meshpair/internal/rtc"
)

// MaxMemLatency is the longest that anything is on its way in a MemNet.
const MaxMemLatency = 20 * time.Millisecond

// A MemNet is a network in memory, for groups in a bubble of virtual time. Each direction of a connection has a latency
// of its own; what is not read is bounded, so that senders wait.
type MemNet struct {
	mu        sync.Mutex
	rand      *rand.Rand
	down      bool
	lastPort  int
	listeners map[string]*memListener
	taps      map[string]func() (toServer, toClient func([]byte))
	conns     map[*memConn]string // the clients' ends, and where they lead
	offers    map[string]*memChannel
	channels  map[*memChannel]struct{}
	dials     map[string][]time.Time
}

// NewMemNet returns a network without anything in it.
func NewMemNet() *MemNet {
	return &MemNet{
		rand:      rand.New(rand.NewPCG(1, 1)),
		listeners: make(map[string]*memListener),
		taps:      make(map[string]func() (toServer, toClient func([]byte))),
		conns:     make(map[*memConn]string),
		offers:    make(map[string]*memChannel),
		channels:  make(map[*memChannel]struct{}),
		dials:     make(map[string][]time.Time),
	}
}

// WithMemNet returns the configuration for a group in this network.
func WithMemNet(c Config, n *MemNet) Config {
	c.network = n
	return c
}

// Tap has f called for each connection to an address; what it returns gets all that passes there, in both directions.
func (n *MemNet) Tap(addr string, f func() (toServer, toClient func([]byte))) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taps[addr] = f
}

// Dials returns when somebody tried to connect to an address.
func (n *MemNet) Dials(addr string) []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]time.Time{}, n.dials[addr]...)
}

// Fail cuts all that is connected, and lets nobody connect until it is called with false.
func (n *MemNet) Fail(down bool) {
	n.mu.Lock()
	n.down = down
	conns, channels := maps.Clone(n.conns), maps.Clone(n.channels)
	n.mu.Unlock()
	if !down {
		return
	}
	for c := range conns {
		c.reset()
	}
	// Both ends of a channel lose it; none is told by the other.
	maps.DeleteFunc(channels, func(c *memChannel, _ struct{}) bool { return !c.fail(rtc.ErrLost) })
	for c := range channels {
		c.out.cut(rtc.ErrLost)
		c.forget()
	}
}

// CutConns resets all connections to an address.
func (n *MemNet) CutConns(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c, to := range n.conns {
		if to == addr {
			c.reset()
			delete(n.conns, c)
		}
	}
}

// Connect opens a connection to what listens at an address.
func (n *MemNet) Connect(ctx context.Context, addr string) (net.Conn, error) {
	return n.connect(ctx, addr)
}

func (n *MemNet) connect(ctx context.Context, addr string) (net.Conn, error) {
	n.mu.Lock()
	n.dials[addr] = append(n.dials[addr], time.Now())
	to, back := n.pipe(), n.pipe()
	n.mu.Unlock()
	select {
	case <-time.After(to.latency + back.latency):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.listeners[addr]
	if l == nil || n.down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	n.lastPort++
	client := &memConn{in: back, out: to, local: memAddr(n.lastPort), remote: l.addr}
	server := &memConn{in: to, out: back, local: l.addr, remote: client.local}
	if tap := n.taps[addr]; tap != nil {
		client.tap, server.tap = tap()
	}
	select {
	case l.conns <- server:
	default:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	n.conns[client] = addr
	return client, nil
}

// pipe returns one direction of a connection. The lock is held.
func (n *MemNet) pipe() *pipe {
	return &pipe{latency: time.Duration(1 + n.rand.Int64N(int64(MaxMemLatency-memTick)))}
}

func memAddr(port int) *net.TCPAddr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }

// Listen listens at an address, HOST:PORT; port 0 is one that is free.
func (n *MemNet) Listen(addr string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	if tcp.Port == 0 {
		n.lastPort++
		tcp.Port = n.lastPort
	}
	addr = tcp.String()
	if n.listeners[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: tcp, Err: syscall.EADDRINUSE}
	}
	l := &memListener{net: n, addr: tcp, conns: make(chan net.Conn, 1000), closed: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

func (n *MemNet) listen(_ context.Context, addr string) (net.Listener, error) { return n.Listen(addr) }

type memListener struct {
	net    *MemNet
	addr   *net.TCPAddr
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		delete(l.net.listeners, l.addr.String())
		l.net.mu.Unlock()
		close(l.closed)
	})
	return nil
}

func (l *memListener) Addr() net.Addr { return l.addr }

// A memChannel is one end of a data channel in memory.
type memChannel struct {
	net   *MemNet
	cfg   rtc.Config
	label string
	send  func(rtc.Signal)
	sdp   string
	out   *pipe

	opened  chan struct{}
	closing chan struct{}
	gone    chan struct{}

	mu      sync.Mutex
	peer    *memChannel // nil until it is known
	err     error       // why it is over
	isOpen  bool
	closed  bool // closing is closed
	offerer bool
}

func (n *MemNet) channel(cfg rtc.Config, label string, send func(rtc.Signal)) *memChannel {
	if cfg.CloseTimeout <= 0 {
		cfg.CloseTimeout = rtc.DefaultCloseTimeout
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lastPort++
	c := &memChannel{
		net: n, cfg: cfg, label: label, send: send, sdp: fmt.Sprint("description ", n.lastPort), out: n.pipe(),
		opened: make(chan struct{}), closing: make(chan struct{}), gone: make(chan struct{}),
	}
	n.channels[c] = struct{}{}
	n.offers[c.sdp] = c
	return c
}

func (n *MemNet) offer(cfg rtc.Config, label string, send func(rtc.Signal)) (dataConn, error) {
	c := n.channel(cfg, label, send)
	c.offerer = true
	go c.say(rtc.SignalOffer)
	return c, nil
}

func (n *MemNet) answer(cfg rtc.Config, send func(rtc.Signal)) (dataConn, error) {
	return n.channel(cfg, "", send), nil
}

// say tells the other end what it takes to connect.
func (c *memChannel) say(description rtc.SignalType) {
	for _, s := range []rtc.Signal{
		{Type: description, SDP: c.sdp},
		{Type: rtc.SignalCandidate, Candidate: "candidate of " + c.sdp, SDPMid: "0"},
		{Type: rtc.SignalEnd},
	} {
		time.Sleep(time.Millisecond) // what a WebRTC library takes
		if c.cause() != nil {
			return
		}
		c.send(s)
	}
}

// Signal takes an offer, which it answers, or an answer, after which both ends are open.
func (c *memChannel) Signal(s rtc.Signal) error {
	if s.Type != rtc.SignalOffer && s.Type != rtc.SignalAnswer {
		return nil
	}
	c.net.mu.Lock()
	peer, down := c.net.offers[s.SDP], c.net.down
	c.net.mu.Unlock()
	if peer == nil || down || (s.Type == rtc.SignalAnswer) != c.offerer {
		return rtc.ErrUnexpectedSignal
	}
	c.mu.Lock()
	again := c.peer != nil
	c.peer = peer
	c.mu.Unlock()
	switch {
	case again:
		return rtc.ErrUnexpectedSignal
	case c.offerer:
		trip := c.out.latency + peer.out.latency
		time.AfterFunc(trip, c.open)
		time.AfterFunc(trip+c.out.latency, peer.open)
	default:
		c.label = peer.label
		go c.say(rtc.SignalAnswer)
	}
	return nil
}

func (c *memChannel) open() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && !c.closed {
		c.isOpen = true
		close(c.opened)
	}
}

func (c *memChannel) Open(ctx context.Context) error {
	select {
	case <-c.opened:
		return nil
	case <-c.gone:
	case <-ctx.Done():
		c.end(ctx.Err())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isOpen {
		return nil
	}
	return &rtc.OpenError{Err: c.err}
}

func (c *memChannel) Label() string { return c.label }

func (c *memChannel) Read() (rtc.Kind, []byte, error) {
	for {
		b, err := c.other().out.get(never)
		if err != nil {
			c.end(err)
			return 0, nil, c.cause()
		}
		select {
		case <-c.closing:
		default:
			return rtc.Binary, b, nil
		}
	}
}

func never() time.Time { return time.Time{} }

func (c *memChannel) Send(ctx context.Context, k rtc.Kind, data []byte) error {
	return c.put(ctx, data, true)
}

func (c *memChannel) TrySend(k rtc.Kind, data []byte) error {
	if err := c.put(context.Background(), data, false); err != errWait {
		return err
	}
	return rtc.ErrFull
}

func (c *memChannel) put(ctx context.Context, data []byte, mayWait bool) error {
	select {
	case <-c.opened:
	default:
		return rtc.ErrNotOpen
	}
	if len(data) > 64<<10 {
		return rtc.ErrTooBig
	}
	err := c.out.put(ctx, data, mayWait, never)
	if err == syscall.EPIPE {
		return rtc.ErrClosed
	}
	return err
}

// Close closes the channel in this direction, after all that was sent, and waits until the other end has read that.
func (c *memChannel) Close() error {
	if !c.startClosing() {
		c.end(rtc.ErrClosed)
		return nil
	}
	timer := time.AfterFunc(c.cfg.CloseTimeout, func() { c.end(rtc.ErrClosed) })
	defer timer.Stop()
	c.out.close(io.EOF)
	for {
		if _, err := c.other().out.get(never); err != nil {
			c.end(err)
			return nil
		}
	}
}

func (c *memChannel) Abort() {
	c.startClosing()
	c.end(rtc.ErrClosed)
}

// startClosing reports whether the channel is open.
func (c *memChannel) startClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		close(c.closing)
	}
	return c.isOpen && c.err == nil
}

// end ends the channel, for which err is the reason. The other end hears of it.
func (c *memChannel) end(err error) {
	if !c.fail(err) {
		return
	}
	if err == io.EOF { // all has been read that the other end had sent
		c.out.close(io.EOF)
	} else {
		c.out.cut(io.EOF)
		if peer := c.other(); peer != nil {
			peer.out.cut(io.EOF)
		}
	}
	c.forget()
}

// fail sets why the channel is over, and reports whether it was not.
func (c *memChannel) fail(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false
	}
	if c.closed {
		err = rtc.ErrClosed
	}
	c.err = err
	return true
}

func (c *memChannel) forget() {
	c.net.mu.Lock()
	delete(c.net.channels, c)
	delete(c.net.offers, c.sdp)
	c.net.mu.Unlock()
	close(c.gone)
}

func (c *memChannel) other() *memChannel {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peer
}

func (c *memChannel) cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *memChannel) Done() <-chan struct{} { return c.gone }

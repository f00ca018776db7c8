package netflux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshpair/meshpair/internal/mesh"
	"github.com/meshpair/meshpair/internal/rtc"
	"github.com/meshpair/meshpair/internal/wire"
	"github.com/meshpair/meshpair/internal/ws"
)

// closeTimeout is how long a link that is closed may take for a message that is being sent.
const closeTimeout = 5 * time.Second

// errWait says that a link does not take a message at once.
var errWait = errors.New("netflux: the link is busy")

// received hands a message to the core. When more events wait than should, it waits, and so does the peer in the end,
// unless the link is closed. With a nil closed it does not wait.
func (g *Group) received(id mesh.Link, data []byte, closed <-chan struct{}) {
	g.mu.Lock()
	g.run(g.core.Step(g.now(), mesh.Received{Link: id, Data: data}))
	g.unlock(closed != nil)
	for room := g.mail.full(); room != nil && closed != nil; room = g.mail.full() {
		g.step(mesh.Stalled{Link: id, On: true})
		select {
		case <-room:
		case <-closed:
			return
		}
		g.step(mesh.Stalled{Link: id})
	}
}

// A closing is the way in which a link is closed.
type closing struct {
	done chan struct{} // closed when the core has closed the link
	once *sync.Once
	turn chan struct{} // of capacity 1; held while a message is sent
}

func newClosing() closing {
	return closing{make(chan struct{}), new(sync.Once), make(chan struct{}, 1)}
}

// sending calls f, which sends a message, such that the link is not closed before.
func (c closing) sending(f func() error) error {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	return f()
}

// close closes a link: at once by abort, or by bye when what is being sent has been taken, for which it has some time.
// It does not wait.
func (c closing) close(aborted bool, timeout time.Duration, bye, abort func()) {
	c.once.Do(func() { close(c.done) })
	if aborted {
		go abort()
		return
	}
	go func() {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		select {
		case c.turn <- struct{}{}:
			bye()
			<-c.turn
		case <-timer.C:
			abort()
		}
	}()
}

// A reader is what reads a link, whose goroutine calls OnEvent.
type reader struct {
	busy    atomic.Bool // nothing is read, as the goroutine is in OnEvent or waits for it
	stalled bool        // the core has been told so; guarded by the group's lock
}

func (r *reader) state() *reader { return r }

// A dataChannel is a link by WebRTC (CHN-6).
type dataChannel struct {
	reader
	g      *Group
	id     mesh.Link
	offer  bool
	label  string
	ctx    context.Context // until it is aborted
	end    context.CancelFunc
	closed closing

	mu    sync.Mutex // guards the fields below
	conn  dataConn   // nil as long as it is being made
	early []rtc.Signal
}

func newOffer(g *Group, id mesh.Link, label string) *dataChannel {
	l := newAnswer(g, id)
	l.offer, l.label = true, label
	return l
}

func newAnswer(g *Group, id mesh.Link) *dataChannel {
	l := &dataChannel{g: g, id: id, closed: newClosing()}
	l.ctx, l.end = context.WithCancel(context.Background())
	return l
}

// serve is the life of the link.
func (l *dataChannel) serve() {
	err := l.open()
	if err == nil {
		l.g.mu.Lock()
		l.g.ice.noRelay = false
		l.g.run(l.g.core.Step(l.g.now(), mesh.Opened{Link: l.id, Label: l.conn.Label()}))
		l.g.unlock(false)
		err = l.receive()
	}
	l.end()
	if l.conn != nil {
		<-l.conn.Done()
	}
	l.g.ended(l.id, err)
}

// open makes the connection and waits until it is open.
func (l *dataChannel) open() error {
	var conn dataConn
	var err error
	cfg := l.g.cfg.rtc()
	cfg.Missing = l.g.missing
	if l.offer {
		conn, err = l.g.cfg.network.offer(cfg, l.label, l.local)
	} else {
		conn, err = l.g.cfg.network.answer(cfg, l.local)
	}
	if err != nil {
		l.g.cfg.Logger.Error("no data channel can be made", "reason", err)
		return err
	}
	l.mu.Lock()
	l.conn = conn
	for _, s := range l.early {
		l.signal(s)
	}
	l.early = nil
	l.mu.Unlock()
	if l.ctx.Err() != nil { // closed before there was anything to close
		conn.Abort()
	}
	return conn.Open(l.ctx)
}

// receive hands all that comes to the core.
func (l *dataChannel) receive() error {
	for {
		kind, data, err := l.conn.Read()
		switch {
		case err == io.EOF || errors.Is(err, rtc.ErrClosed):
			return nil
		case err != nil:
			return err
		case kind == rtc.Binary: // WIR-1: text is not for members
			l.busy.Store(true)
			l.g.received(l.id, data, l.closed.done)
			l.busy.Store(false)
		}
	}
}

// local passes on what this end has to tell the other.
func (l *dataChannel) local(s rtc.Signal) {
	m := wire.DataChannelBuilder{}
	switch s.Type {
	case rtc.SignalOffer:
		m.Kind, m.Offer = wire.DataChannelBuilderOffer, s.SDP
	case rtc.SignalAnswer:
		m.Kind, m.Answer = wire.DataChannelBuilderAnswer, s.SDP
	case rtc.SignalCandidate:
		m.Kind = wire.DataChannelBuilderCandidate
		m.Candidate = wire.Candidate{Candidate: s.Candidate, SDPMid: s.SDPMid, SDPMLineIndex: uint32(s.SDPMLineIndex)}
	}
	l.g.mu.Lock()
	l.g.run(l.g.core.Step(l.g.now(), mesh.Local{Link: l.id, Signal: m}))
	l.g.unlock(false)
}

func (l *dataChannel) remote(m mesh.Remote) {
	s := rtc.Signal{Type: rtc.SignalEnd}
	switch m.Signal.Kind {
	case wire.DataChannelBuilderOffer:
		s = rtc.Signal{Type: rtc.SignalOffer, SDP: m.Signal.Offer}
	case wire.DataChannelBuilderAnswer:
		s = rtc.Signal{Type: rtc.SignalAnswer, SDP: m.Signal.Answer}
	case wire.DataChannelBuilderCandidate:
		c := m.Signal.Candidate
		s = rtc.Signal{Type: rtc.SignalCandidate, Candidate: c.Candidate, SDPMid: c.SDPMid, SDPMLineIndex: uint16(c.SDPMLineIndex)}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.signal(s)
	} else if len(l.early) < rtc.MaxCandidates {
		l.early = append(l.early, s)
	}
}

func (l *dataChannel) signal(s rtc.Signal) {
	if err := l.conn.Signal(s); err != nil {
		l.g.cfg.Logger.Debug("signal ignored", "type", s.Type, "reason", err)
	}
}

func (l *dataChannel) trySend(b []byte) error {
	return l.closed.sending(func() error {
		err := l.conn.TrySend(rtc.Binary, b)
		if errors.Is(err, rtc.ErrFull) {
			return errWait
		}
		return err
	})
}

func (l *dataChannel) send(b []byte) error {
	return l.closed.sending(func() error { return l.conn.Send(l.ctx, rtc.Binary, b) })
}

func (l *dataChannel) close(abort bool) {
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	if conn == nil || abort {
		l.end() // which ends opening, if it is still under way
	}
	l.closed.close(abort, closeTimeout, func() {
		if conn != nil {
			conn.Close()
		}
	}, func() {
		if conn != nil {
			conn.Abort()
		}
	})
}

// A webSocket is a link to the signaling server, to a member that listens, or of one that has dialled this one (CHN-9).
type webSocket struct {
	reader
	signaling bool // which brings nothing that is for the user, and must not fall silent
	g         *Group
	id        mesh.Link
	url       string
	ctx       context.Context // until it is closed before it was open
	end       context.CancelFunc
	closed    closing

	mu   sync.Mutex
	conn *ws.Conn // nil as long as it is being made
}

func newWebSocketLink(g *Group, id mesh.Link, url string) *webSocket {
	l := &webSocket{g: g, id: id, url: url, closed: newClosing()}
	l.ctx, l.end = context.WithCancel(context.Background())
	return l
}

func newSignalingLink(g *Group, id mesh.Link) *webSocket {
	u, _ := g.cfg.signalingURL(g.path) // it has been checked
	if g.url != "" {
		u += "?favored" // SIG-3: whoever joins through this member needs no more than a WebSocket
	}
	l := newWebSocketLink(g, id, u)
	l.signaling = true
	return l
}

// serve is the life of a link that is dialled.
func (l *webSocket) serve() {
	cfg, err := l.config()
	var conn *ws.Conn
	if err == nil {
		conn, err = ws.Dial(l.ctx, l.url, cfg)
	}
	if err != nil {
		l.ended(err)
		return
	}
	l.use(conn)
}

// use is the life of a link from when it is open.
func (l *webSocket) use(conn *ws.Conn) {
	l.mu.Lock()
	l.conn = conn
	l.mu.Unlock()
	if l.ctx.Err() != nil { // closed before there was anything to close
		conn.Abort()
	}
	l.g.step(mesh.Opened{Link: l.id})
	l.ended(l.receive())
}

func (l *webSocket) ended(err error) {
	l.end()
	l.g.ended(l.id, err)
}

// config returns how the WebSocket is dialled. The URL of a member is that member's choice: it gets none of the user's
// certificates, and with Config.Loopback it cannot lead away from this machine.
func (l *webSocket) config() (ws.DialConfig, error) {
	cfg := ws.DialConfig{Connect: l.g.cfg.network.connect}
	if l.signaling {
		cfg.TLS = l.g.cfg.TLS
		return cfg, nil
	}
	u, err := url.Parse(l.url)
	if err != nil {
		return cfg, fmt.Errorf("%w: %.100q", ErrURL, l.url)
	}
	if l.g.cfg.Loopback && !isLoopback(u.Hostname()) {
		return cfg, fmt.Errorf("%w: %.100q is not on this machine", ErrURL, l.url)
	}
	if err := l.g.cfg.checkPlaintext(u); err != nil { // SEC-33
		return cfg, err
	}
	cfg.Config = l.g.cfg.webSocket()
	if l.g.cfg.TLS != nil {
		cfg.TLS = l.g.cfg.TLS.Clone()
		cfg.TLS.Certificates, cfg.TLS.GetClientCertificate, cfg.TLS.ServerName = nil, nil, ""
	}
	return cfg, nil
}

// webSocket returns what is allowed on a WebSocket of a member.
func (c Config) webSocket() ws.Config {
	slow := c.SlowTimeout
	if slow <= 0 {
		slow = DefaultSlowTimeout
	}
	return ws.Config{MaxMessage: mesh.MaxFrame + 1, WriteTimeout: slow}
}

// checkPlaintext refuses a URL that leads to another machine without encryption, unless the user allows it (SEC-31).
func (c Config) checkPlaintext(u *url.URL) error {
	if u.Scheme == "wss" || c.AllowPlaintext || isLoopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%w: ws://%s", ErrPlaintext, u.Host)
}

// isLoopback reports whether a host in a URL is this machine, without asking anybody (SEC-31).
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (l *webSocket) receive() error {
	for {
		kind, data, err := l.conn.Read()
		var bye *ws.CloseError
		if errors.As(err, &bye) && bye.Code == ws.CloseNormal {
			return nil
		}
		if bye != nil && bye.Code == ws.ClosePolicy && !l.signaling { // SEC-20
			return fmt.Errorf("%w: %w", ErrDenied, err)
		}
		if err != nil {
			return err
		}
		switch {
		case kind != ws.Binary: // WIR-1
		case l.signaling:
			l.g.received(l.id, data, nil)
		default:
			l.busy.Store(true)
			l.g.received(l.id, data, l.closed.done)
			l.busy.Store(false)
		}
	}
}

func (l *webSocket) remote(mesh.Remote) {}

func (l *webSocket) trySend(b []byte) error {
	return l.closed.sending(func() error {
		switch err := l.conn.Post(ws.Binary, b); {
		case err == nil:
			l.conn.Flush()
			return nil
		case errors.Is(err, ws.ErrQueueFull):
			return errWait
		default:
			return err
		}
	})
}

func (l *webSocket) send(b []byte) error {
	return l.closed.sending(func() error { return l.conn.Write(ws.Binary, b) })
}

func (l *webSocket) close(abort bool) {
	l.mu.Lock()
	conn := l.conn
	if conn == nil {
		l.end() // before use can have looked, or it would find nothing to end, and nobody would end it
	}
	l.mu.Unlock()
	l.closed.close(abort, closeTimeout, func() {
		if conn != nil {
			conn.Close(ws.CloseNormal, "") // SIG-39, CHN-21
		}
	}, func() {
		if conn != nil {
			conn.Abort()
		}
	})
}

package peersox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/meshpair/meshpair/internal/rtc"
	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/session"
	"github.com/meshpair/meshpair/internal/ws"
)

// minSocketMessage is the least that is taken of a message of an original by way of the server, in bytes, whatever the
// user's limit: a frame of ours has to fit, and the server's own messages.
const minSocketMessage = 256 << 10

// maxChannels is how many data channels of one link there may be at a time, those that are ending included. A peer may
// offer as fast as it likes; what exceeds this waits, and all but the last attempt are over before their turn comes.
const maxChannels = 4

// goodbyeTime is how long the server may take to answer a close frame.
const goodbyeTime = 2 * time.Second

// A link is a connection of a client to the server and to its peer: the shell of a session.
type link struct {
	c       *Client
	pairing Pairing
	ice     []ICEServer // that the server has named
	epoch   time.Time
	ctx     context.Context // until it is over
	end     context.CancelFunc
	done    chan struct{}  // closed when nothing of it is left
	parts   sync.WaitGroup // goroutines that use the network
	slots   chan struct{}  // of capacity maxChannels: has one element for each data channel

	mu          sync.Mutex // guards the fields below; never held while waiting or while OnEvent runs
	core        *session.Core
	timer       *time.Timer
	socket      *way
	channels    map[session.Attempt]*channel
	tokens      uint64
	waits       map[uint64]chan error
	room        chan struct{} // closed when reading may go on; nil if nobody waits for that
	registered  chan error    // takes the outcome of connecting
	established bool
	over        bool
}

func newLink(c *Client, p Pairing, seal *sealed.Pairing, ice []ICEServer) *link {
	l := &link{
		c: c, pairing: p, ice: ice, epoch: time.Now(), done: make(chan struct{}), core: session.New(c.cfg.session(p, seal)),
		channels: make(map[session.Attempt]*channel), waits: make(map[uint64]chan error), registered: make(chan error, 1),
		slots: make(chan struct{}, maxChannels),
	}
	l.ctx, l.end = context.WithCancel(context.Background())
	return l
}

func (l *link) isDone() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// connect connects to the server and registers there. If it fails nothing is left.
func (l *link) connect(ctx context.Context, url string) error {
	stop := context.AfterFunc(ctx, l.end)
	defer stop()
	conn, err := l.dial(url)
	if err != nil {
		if l.giveUp() { // Close was called
			err = ErrClosed
		}
		<-l.done
		return err
	}
	if !l.begin(conn) { // Close was called
		conn.Abort()
		<-l.done
		return ErrClosed
	}
	select {
	case err = <-l.registered:
	case <-ctx.Done():
		err = ctx.Err()
		l.step(session.Close{Now: true})
	}
	if err != nil {
		<-l.done
	}
	return err
}

// dial opens the WebSocket with a token, which servers of ours check (PSX-60).
func (l *link) dial(url string) (*ws.Conn, error) {
	r, err := l.c.rest()
	if err != nil {
		return nil, err
	}
	token, err := r.token(l.ctx)
	if err != nil {
		return nil, err
	}
	conn, err := ws.Dial(l.ctx, url, ws.DialConfig{
		Config:       ws.Config{MaxMessage: max(l.c.cfg.MaxMessageSize, minSocketMessage), CloseTimeout: goodbyeTime},
		Subprotocols: []string{token}, Origin: l.c.cfg.Origin, TLS: l.c.cfg.TLS,
	})
	if err != nil {
		return nil, fmt.Errorf("peersox: %w", err)
	}
	return conn, nil
}

// giveUp ends what has not begun, and reports whether it had ended before.
func (l *link) giveUp() bool {
	l.mu.Lock()
	defer l.unlock()
	over := l.over
	l.run(l.core.Step(l.now(), session.Close{}))
	return over
}

// begin begins the session, unless it is over already.
func (l *link) begin(conn *ws.Conn) bool {
	l.mu.Lock()
	defer l.unlock()
	if l.over {
		return false
	}
	l.socket = newWay(conn.Abort)
	l.parts.Go(func() { l.serveSocket(conn) })
	l.run(l.core.Step(l.now(), session.Begin{}))
	return true
}

// close ends the session, and waits until nothing is left of it.
func (l *link) close(ctx context.Context) error {
	l.step(session.Close{})
	timer := time.NewTimer(l.c.cfg.CloseTimeout)
	defer timer.Stop()
	select {
	case <-l.done:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	l.step(session.Close{Now: true})
	l.end()
	<-l.done
	return ctx.Err()
}

// now returns the time of a step, which is never 0.
func (l *link) now() time.Duration { return time.Since(l.epoch) + 1 }

// step gives the core an input and carries out what follows.
func (l *link) step(in session.Input) {
	l.mu.Lock()
	l.run(l.core.Step(l.now(), in))
	l.unlock()
}

// unlock ends a step: it sets the timer and lets those know who wait for room.
func (l *link) unlock() {
	if l.room != nil && !l.core.Stalled() {
		close(l.room)
		l.room = nil
	}
	if l.timer != nil {
		l.timer.Stop()
	}
	if next := l.core.Next(); next != 0 && !l.over {
		l.timer = time.AfterFunc(next-l.now(), func() { l.step(session.Tick{}) })
	}
	l.mu.Unlock()
}

// await gives the core an input with a token and waits for its outcome, or takes it back when the context ends.
func (l *link) await(ctx context.Context, in func(token uint64) session.Input) error {
	result := make(chan error, 1)
	l.mu.Lock()
	l.tokens++
	token := l.tokens
	l.waits[token] = result
	l.run(l.core.Step(l.now(), in(token)))
	l.unlock()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	l.step(session.Cancel{Token: token})
	if err := <-result; err != session.ErrCanceled { // it was faster than the context
		return err
	}
	return ctx.Err()
}

// run carries out what the core wants. The lock is held; what may take a while is left to goroutines.
func (l *link) run(outs []session.Output) {
	for _, o := range outs {
		switch o := o.(type) {
		case session.Ready:
			l.wake(o.Way)
		case session.Offer:
			l.start(o.Attempt, true)
		case session.Answer:
			l.start(o.Attempt, false)
		case session.Remote:
			if ch := l.channels[o.Attempt]; ch != nil {
				ch.remote(o.Signal)
			}
		case session.Abort:
			l.abort(o)
		case session.Done:
			l.waits[o.Token] <- o.Err
			delete(l.waits, o.Token)
		case session.Note:
			l.c.cfg.Logger.Debug(o.Text, "reason", o.Err)
		case session.Over:
			l.ended(o)
		default:
			l.tell(o)
		}
	}
}

// tell has the user told.
func (l *link) tell(o session.Output) {
	mail := &l.c.mail
	switch o := o.(type) {
	case session.Registered:
		l.established = true
		l.registered <- nil
		mail.put(ConnectionEstablished{}, nil)
	case session.Paired:
		mail.put(PeerConnected{o.Initiator, l.pairing}, nil)
	case session.Upgraded:
		mail.put(Upgraded{}, nil)
	case session.NotUpgraded:
		l.c.cfg.Logger.Info("no data channel", "reason", o.Err)
		mail.put(UpgradeFailed{o.Err}, nil)
	case session.Downgraded:
		mail.put(PeerRTCClosed{o.Err}, nil)
	case session.Silent:
		mail.put(PeerTimeout{}, nil)
	case session.Deliver:
		kind := Binary
		if o.Text {
			kind = Text
		}
		n := len(o.Data)
		mail.put(Message{kind, o.Data}, func() { l.step(session.Consumed{Bytes: n}) })
	}
}

// ended is the end of the session; what is left of it ends by itself.
func (l *link) ended(o session.Over) {
	l.over = true
	l.end()
	if l.established {
		l.c.mail.put(ConnectionClosed{o.Err, o.Lost}, nil)
	} else if o.Err != nil {
		l.registered <- o.Err
	} else {
		l.registered <- ErrClosed
	}
	go func() {
		l.parts.Wait()
		close(l.done)
	}()
}

func (l *link) status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.core.Status()
	return Status{
		Connected: s.Relay || s.Channel, WebSocket: s.Relay, WebRTC: s.Channel, Paired: s.Paired, Initiator: s.Initiator,
		Extended: s.Ours, Sealed: s.Sealed, Pairing: l.pairing,
	}
}

// A way is what a link knows of a connection of either kind.
type way struct {
	ready  chan struct{} // of capacity 1: something waits to be sent
	ended  chan struct{} // closed when the connection is no more
	hungUp chan struct{} // closed when this end closes it
	once   sync.Once
	abort  func()
}

func newWay(abort func()) *way {
	return &way{ready: make(chan struct{}, 1), ended: make(chan struct{}), hungUp: make(chan struct{}), abort: abort}
}

func (w *way) wake() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

func (w *way) hangUp() { w.once.Do(func() { close(w.hungUp) }) }

func (l *link) wake(w session.Way) {
	if w == session.Relay {
		l.socket.wake()
		return
	}
	for _, ch := range l.channels {
		ch.wake()
	}
}

func (l *link) abort(o session.Abort) {
	w := l.socket
	if o.Way == session.Channel {
		ch := l.channels[o.Attempt]
		if ch == nil {
			return
		}
		ch.end()
		w = ch.way
	}
	w.hangUp()
	l.parts.Go(w.abort)
}

// pump sends what the core has for a connection, until that has ended, and closes it when the core has nothing more. It
// returns how many bytes were pulled and not sent.
func (l *link) pump(w *way, id session.Way, a session.Attempt, unacked func() int, send func(session.Message) error, bye func()) int {
	for {
		l.mu.Lock()
		m, verdict, outs := l.core.Pull(l.now(), id, a, unacked())
		l.run(outs)
		l.unlock()
		switch verdict {
		case session.Take:
			if err := send(m); err != nil {
				if errors.Is(err, rtc.ErrTooBig) { // the peer takes less than a frame: a channel of no use
					w.abort()
				}
				<-w.ended
				return max(1, len(m.Data))
			}
			continue
		case session.Finish:
			w.hangUp()
			bye()
			<-w.ended
			return 0
		}
		select {
		case <-w.ready:
		case <-w.ended:
			return 0
		}
	}
}

// read hands all that comes to the core, until the connection ends. While the core is stalled nothing is read.
func (l *link) read(w *way, id session.Way, a session.Attempt, next func() (ws.Kind, []byte, error)) error {
	for {
		kind, data, err := next()
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.run(l.core.Step(l.now(), session.Received{Way: id, Attempt: a, Text: kind == ws.Text, Data: data}))
		for l.core.Stalled() && !l.over {
			if l.room == nil {
				l.room = make(chan struct{})
			}
			room := l.room
			l.unlock()
			select {
			case <-room:
			case <-w.hungUp:
			}
			l.mu.Lock()
			if isHungUp(w) {
				break
			}
		}
		l.unlock()
	}
}

func isHungUp(w *way) bool {
	select {
	case <-w.hungUp:
		return true
	default:
		return false
	}
}

// serveSocket is the life of the WebSocket.
func (l *link) serveSocket(conn *ws.Conn) {
	w := l.socket
	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		l.pump(w, session.Relay, 0, func() int { return 0 }, func(m session.Message) error { return conn.Write(kindOf(m), m.Data) },
			func() { conn.Close(ws.CloseNormal, "") })
	}()
	err := l.read(w, session.Relay, 0, conn.Read)
	close(w.ended)
	<-pumped
	var bye *ws.CloseError
	switch {
	case errors.As(err, &bye) && (bye.Code == ws.CloseNormal || bye.Code == ws.CloseNoStatus):
		err = nil // the peer has left, and the server tells so
	case errors.Is(err, ws.ErrClosed):
		err = nil
	}
	l.step(session.Ended{Way: session.Relay, Err: err})
}

func kindOf(m session.Message) ws.Kind {
	if m.Text {
		return ws.Text
	}
	return ws.Binary
}

// ending returns why a data channel has ended.
func ending(err error) error {
	if err == io.EOF || errors.Is(err, rtc.ErrClosed) {
		return nil
	}
	return err
}

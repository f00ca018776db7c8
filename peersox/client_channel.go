package peersox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync"

	"github.com/meshpair/meshpair/internal/rtc"
	"github.com/meshpair/meshpair/internal/session"
)

// A channel is the data channel of a link, or one in the making.
type channel struct {
	*way
	l     *link
	id    session.Attempt
	offer bool
	ctx   context.Context // until it is aborted
	end   context.CancelFunc

	mu    sync.Mutex // guards the fields below
	conn  *rtc.Conn  // nil as long as it is being made
	early []rtc.Signal
}

// start begins a data channel. The lock is held.
func (l *link) start(id session.Attempt, offer bool) {
	ch := &channel{l: l, id: id, offer: offer}
	ch.ctx, ch.end = context.WithCancel(context.Background())
	ch.way = newWay(ch.drop)
	l.channels[id] = ch
	l.parts.Go(ch.serve)
}

// serve is the life of the data channel.
func (ch *channel) serve() {
	l := ch.l
	failed, err := 0, error(session.ErrClosed)
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
		failed, err = ch.talk()
	case <-ch.ctx.Done():
	}
	ch.end()
	unacked := 0
	if ch.conn != nil {
		<-ch.conn.Done()
		unacked = ch.conn.Buffered() + failed
	}
	l.mu.Lock()
	delete(l.channels, ch.id)
	l.run(l.core.Step(l.now(), session.Ended{Way: session.Channel, Attempt: ch.id, Unacked: unacked, Err: ending(err)}))
	l.unlock()
}

// talk makes the connection and uses it to its end. It returns how many bytes could not be sent.
func (ch *channel) talk() (failed int, err error) {
	if err := ch.open(); err != nil {
		return 0, err
	}
	conn, l := ch.conn, ch.l
	l.step(session.Opened{Attempt: ch.id, Label: conn.Label(), MaxSend: conn.MaxSend()})
	pumped := make(chan int)
	var refused error // why the last message could not be sent; owned by the pump until it has ended
	send := func(m session.Message) error {
		refused = conn.Send(ch.ctx, kindOf(m), m.Data)
		return refused
	}
	go func() {
		pumped <- l.pump(ch.way, session.Channel, ch.id, conn.Buffered, send, func() { conn.Close() })
	}()
	err = l.read(ch.way, session.Channel, ch.id, conn.Read)
	close(ch.ended)
	failed = <-pumped
	if errors.Is(refused, rtc.ErrTooBig) {
		err = refused
	}
	return failed, err
}

// open makes the connection and waits until it is open.
func (ch *channel) open() error {
	cfg := ch.l.c.cfg.rtc(ch.l.ice)
	var conn *rtc.Conn
	var err error
	if ch.offer {
		conn, err = rtc.Offer(cfg, newLabel(), ch.local)
	} else {
		conn, err = rtc.Answer(cfg, ch.local)
	}
	if err != nil {
		return err
	}
	ch.mu.Lock()
	ch.conn = conn
	for _, s := range ch.early {
		ch.signal(s)
	}
	ch.early = nil
	ch.mu.Unlock()
	return conn.Open(ch.ctx)
}

// newLabel returns a label as the original's have it: 20 random bytes in hexadecimal (PSX-65).
func newLabel() string {
	var b [20]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// drop aborts the connection, if there is one already.
func (ch *channel) drop() {
	ch.mu.Lock()
	conn := ch.conn
	ch.mu.Unlock()
	if conn != nil {
		conn.Abort()
	}
}

// local passes on what this end has to tell the other.
func (ch *channel) local(s rtc.Signal) {
	out := session.Signal{SDP: s.SDP, Candidate: s.Candidate, SDPMid: s.SDPMid, SDPMLineIndex: s.SDPMLineIndex}
	switch s.Type {
	case rtc.SignalOffer:
		out.Type = session.SignalOffer
	case rtc.SignalAnswer:
		out.Type = session.SignalAnswer
	case rtc.SignalCandidate:
		out.Type = session.SignalCandidate
	default:
		return // a null candidate would end an original's connection (PSX-66)
	}
	ch.l.step(session.Local{Attempt: ch.id, Signal: out})
}

// remote takes what the other end has to tell. It does not wait.
func (ch *channel) remote(s session.Signal) {
	in := rtc.Signal{SDP: s.SDP, Candidate: s.Candidate, SDPMid: s.SDPMid, SDPMLineIndex: s.SDPMLineIndex}
	switch s.Type {
	case session.SignalOffer:
		in.Type = rtc.SignalOffer
	case session.SignalAnswer:
		in.Type = rtc.SignalAnswer
	default:
		in.Type = rtc.SignalCandidate
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.conn != nil {
		ch.signal(in)
	} else if len(ch.early) < session.MaxEarlySignals {
		ch.early = append(ch.early, in)
	}
}

func (ch *channel) signal(s rtc.Signal) {
	if err := ch.conn.Signal(s); err != nil {
		ch.l.c.cfg.Logger.Debug("signal ignored", "type", s.Type, "reason", err)
	}
}

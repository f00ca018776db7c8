package rtc

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshpair/meshpair/internal/ws"
	"github.com/pion/datachannel"
	"github.com/pion/webrtc/v3"
)

// Kind says what a message holds. It is that of package ws, so that one interface fits the connections of both.
type Kind = ws.Kind

// The kinds of messages.
const (
	Text   = ws.Text   // UTF-8, checked in both directions
	Binary = ws.Binary // any bytes
)

// A Conn is a data channel to one peer, and all that it takes to have one.
//
// One goroutine may be in Read; all other methods may be called by any number of goroutines at once, and from the
// callback for signals. A Conn must be closed, with Close or Abort, unless Open, Read or Send has returned an error
// that ended it: see [Conn.Done].
//
// Its states are opening, open and over. The first failure, of whatever origin, leads to the last (see fail).
type Conn struct {
	cfg   Config
	offer bool         // we offered; constant
	send  func(Signal) // the caller's callback

	found   chan struct{} // closed when there is a path and the secure handshake begins
	opened  chan struct{} // closed when the channel is open, after dc, raw and label have been set
	closing chan struct{} // closed by Close and Abort: no message goes in or out any more
	over    chan struct{} // closed when err has been set
	gone    chan struct{} // closed when nothing of pion's is left

	cancel context.CancelFunc // has pion wait for no server any more

	dc    *webrtc.DataChannel
	raw   datachannel.ReadWriteCloser // dc's messages
	label string                      // constant at the end that offers

	mu        sync.Mutex
	err       error // why this is over
	confirmed bool  // the peer closed its direction after we had closed ours
	stage     Stage
	local     Candidates
	shown     int           // of local: IPv4 addresses that a server has seen
	missed    bool          // tellMissing has been called
	timers    []*time.Timer // for servers that do not answer
	remote    Candidates
	described bool // the peer's description has come
	maxSend   int  // bytes of one message; known once there is a path
	extra     int  // channels of the peer that were closed
	jobs      []func()
	working   bool // a goroutine does the jobs

	// What follows belongs to the goroutine that does the jobs.
	section section // of our description, for our candidates
	applied bool    // the peer's description has been given to pion
	early   []Signal

	pion  sync.Mutex // held while pc is told something, so that this does not cross its end; never during a callback
	pc    *webrtc.PeerConnection
	ended bool // guarded by pion

	kicked atomic.Bool // checked has had pion choose a path

	wlock lock          // held while a message is sent
	low   chan struct{} // of capacity 1: a token means that the buffered amount has sunk below the low-water mark

	rlock lock // held while reading; the fields below belong to its holder
	rerr  error
	buf   []byte
}

// A lock is a mutex that can be waited for together with other things.
type lock chan struct{}

func newLock() lock { return make(lock, 1) }

// Offer begins a connection as the end that offers and opens the channel, with a label of at most MaxLabel bytes. What
// the peer has to be told is given to send, first an offer, then candidates, last a SignalEnd, by one goroutine at a
// time and in the order in which the peer should hear of it. No lock is held, so send may block; it is not called any
// more once the connection is over, though a call under way may still be.
//
// It fails if the Config or the label cannot be used, or this machine has no network to look at.
func Offer(cfg Config, label string, send func(Signal)) (*Conn, error) {
	if len(label) > MaxLabel {
		return nil, fmt.Errorf("rtc: label of %d bytes, of at most %d: %w", len(label), MaxLabel, ErrTooBig)
	}
	c, err := newConn(cfg, send)
	if err != nil {
		return nil, err
	}
	c.offer = true
	c.label = label
	dc, err := c.pc.CreateDataChannel(label, nil)
	if err != nil {
		c.Abort()
		return nil, fmt.Errorf("rtc: channel: %w", err)
	}
	dc.OnOpen(func() { c.attach(dc) })
	c.post(c.makeOffer)
	return c, nil
}

// Answer begins a connection as the end that answers: the first signal that it needs is the peer's offer. The peer
// opens the channel; the first that is reliable and ordered is taken. In all else it is like [Offer].
func Answer(cfg Config, send func(Signal)) (*Conn, error) { return newConn(cfg, send) }

func newConn(cfg Config, send func(Signal)) (*Conn, error) {
	c := &Conn{
		cfg: cfg.withDefaults(), send: send,
		found: make(chan struct{}), opened: make(chan struct{}), closing: make(chan struct{}), over: make(chan struct{}),
		gone: make(chan struct{}), low: make(chan struct{}, 1), wlock: newLock(), rlock: newLock(),
	}
	var err error
	ctx, cancel := context.WithCancel(context.Background())
	if c.pc, err = c.cfg.newPeerConnection(ctx, c.checked); err != nil {
		cancel()
		return nil, err
	}
	c.cancel = cancel
	c.watch()
	return c, nil
}

// watch has pion's events come to this connection. But for one, its handlers do not block, so that pion's end can be
// waited for.
func (c *Conn) watch() {
	dtls := c.pc.SCTP().Transport()
	c.pc.OnICECandidate(c.candidateFound)
	c.pc.OnDataChannel(c.accept)
	dtls.ICETransport().OnConnectionStateChange(func(state webrtc.ICETransportState) {
		switch state {
		case webrtc.ICETransportStateChecking:
			c.holdStates()
		case webrtc.ICETransportStateFailed:
			c.pathFailed()
		}
	})
	dtls.OnStateChange(func(state webrtc.DTLSTransportState) {
		switch state {
		case webrtc.DTLSTransportStateConnecting:
			c.reach(StageHandshake)
			close(c.found)
		case webrtc.DTLSTransportStateConnected:
			c.reach(StageChannel)
		case webrtc.DTLSTransportStateFailed:
			c.fail(ErrHandshake)
		}
	})
	c.pc.SCTP().OnClose(func(err error) {
		if err == nil {
			c.peerEnded()
		} else if !c.isOpen() {
			// The peer opened a channel in a way that made pion accept none any more. An open channel lives on.
			c.fail(&ProtocolError{err})
		}
	})
}

// reach notes how far opening has got.
func (c *Conn) reach(stage Stage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stage = max(c.stage, stage)
}

// pathFailed ends a connection whose peer has not been heard for SilenceTimeout.
func (c *Conn) pathFailed() {
	c.mu.Lock()
	stage := c.stage
	c.mu.Unlock()
	if stage <= StagePath {
		c.fail(ErrNoPath)
	} else {
		c.fail(ErrLost)
	}
}

// peerEnded ends a connection because the peer did, by closing the channel or everything.
func (c *Conn) peerEnded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosing() {
		c.confirmed = c.confirmed || c.err == nil
		c.failLocked(ErrClosed)
	} else {
		c.failLocked(io.EOF)
	}
}

// accept takes the channel that the peer opened, if it is the one, and closes it otherwise.
func (c *Conn) accept(dc *webrtc.DataChannel) {
	reliable := dc.Ordered() && dc.MaxRetransmits() == nil && dc.MaxPacketLifeTime() == nil
	dc.OnOpen(func() {
		if !c.offer && reliable && c.attach(dc) {
			return
		}
		if raw, err := dc.Detach(); err == nil {
			raw.Close()
		}
		c.mu.Lock()
		c.extra++
		tooMany := c.extra > MaxChannels
		c.mu.Unlock()
		if tooMany {
			c.fail(&ProtocolError{ErrTooManyChannels})
		}
	})
}

// attach makes dc the channel of this connection, if it has none and has not been closed.
func (c *Conn) attach(dc *webrtc.DataChannel) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.raw != nil || c.isClosing() {
		return false
	}
	raw, err := dc.Detach()
	if err != nil {
		return false
	}
	dc.SetBufferedAmountLowThreshold(uint64(c.cfg.HighWater / 2))
	dc.OnBufferedAmountLow(func() {
		select {
		case c.low <- struct{}{}:
		default:
		}
	})
	c.dc, c.raw = dc, raw
	if !c.offer {
		c.label = dc.Label()
	}
	close(c.opened)
	return true
}

// fail ends the connection because of err, if it is not over: from here on nothing can be sent, and Read returns what
// has come and then err. It blocks on nothing, so that pion's callbacks can call it.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(err)
}

func (c *Conn) failLocked(err error) {
	if c.err != nil {
		return
	}
	if !c.isOpen() {
		err = &OpenError{Stage: c.stage, Local: c.local, Remote: c.remote, Err: err}
	}
	c.err = err
	close(c.over)
	c.cancel()
	for _, timer := range c.timers {
		timer.Stop()
	}
	go c.end()
}

// end closes all of pion's sockets and waits for all of its goroutines.
func (c *Conn) end() {
	c.pion.Lock()
	defer c.pion.Unlock()
	c.ended = true
	c.pc.GracefulClose()
	close(c.gone)
}

// cause returns why the connection is over, nil if it is not.
func (c *Conn) cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *Conn) isOpen() bool { return isClosed(c.opened) }

// isClosing says whether Close or Abort was called. While the mutex is held, or once it is so, it stays so.
func (c *Conn) isClosing() bool { return isClosed(c.closing) }

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

package peersox

import (
	"fmt"
	"sync"
)

// A Kind says what a message holds.
type Kind byte

// The kinds of messages.
const (
	Text   Kind = 1 // UTF-8; a string in browsers
	Binary Kind = 2 // any bytes; an ArrayBuffer in browsers
)

func (k Kind) String() string {
	switch k {
	case Text:
		return "text"
	case Binary:
		return "binary"
	}
	return fmt.Sprintf("Kind(%d)", byte(k))
}

// An Event is something that happened to a [Client]: a [ServerReady], [ConnectionEstablished], [PeerConnected],
// [Upgraded], [UpgradeFailed], [PeerRTCClosed], [PeerTimeout], [ConnectionClosed] or [Message]. The names are the
// original's where it has them. Further types may be added.
type Event interface{ event() }

type (
	// ServerReady tells that the server has said how to reach a peer.
	ServerReady struct{}

	// ConnectionEstablished tells that the server has accepted the pairing; the peer may not be there yet.
	ConnectionEstablished struct{}

	// PeerConnected tells that the peer is there. From now on there is something to send to.
	PeerConnected struct {
		Initiator bool // this client was the first of the two
		Pairing   Pairing
	}

	// Upgraded tells that a data channel is open, which messages take from now on.
	Upgraded struct{}

	// UpgradeFailed tells that no data channel could be made, and why: Err is, or wraps, ErrNoPath, ErrNoRelay,
	// ErrHandshake, or ErrChannelLost if the peer has given up. Messages go on by way of the server.
	UpgradeFailed struct{ Err error }

	// PeerRTCClosed tells that the data channel has ended; Err is nil if that was in order. Messages go by way of the
	// server again, as long as that is there.
	PeerRTCClosed struct{ Err error }

	// PeerTimeout tells that the peer was silent for too long. [ConnectionClosed] follows.
	PeerTimeout struct{}

	// ConnectionClosed tells that the connection has ended that was established.
	ConnectionClosed struct {
		Err  error // nil if either end has closed it; of a sealed pairing, if either end has said so (SEC-45)
		Lost int   // messages that Send has accepted and that are not known to have arrived
	}

	// Message came from the peer.
	Message struct {
		Kind Kind
		Data []byte // the receiver's to keep
	}
)

func (ServerReady) event()           {}
func (ConnectionEstablished) event() {}
func (PeerConnected) event()         {}
func (Upgraded) event()              {}
func (UpgradeFailed) event()         {}
func (PeerRTCClosed) event()         {}
func (PeerTimeout) event()           {}
func (ConnectionClosed) event()      {}
func (Message) event()               {}

// A mailbox holds the events that wait for OnEvent, and calls it. What it may hold is bounded by who puts messages in.
type mailbox struct {
	handle func(Event)

	mu    sync.Mutex
	queue []letter
	busy  bool // a goroutine calls handle
}

// A letter is an event and what to do when it has been handled.
type letter struct {
	event Event
	after func() // nil for nothing
}

// put has an event handled after those before; it never waits.
func (b *mailbox) put(e Event, after func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, letter{e, after})
	if !b.busy {
		b.busy = true
		go b.work()
	}
}

func (b *mailbox) work() {
	for {
		b.mu.Lock()
		if len(b.queue) == 0 {
			b.queue, b.busy = nil, false
			b.mu.Unlock()
			return
		}
		l := b.queue[0]
		b.queue[0] = letter{}
		b.queue = b.queue[1:]
		b.mu.Unlock()
		b.handle(l.event)
		if l.after != nil {
			l.after()
		}
	}
}

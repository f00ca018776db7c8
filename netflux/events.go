package netflux

import (
	"fmt"
	"sync"

	"github.com/meshpair/meshpair/internal/mesh"
)

// A Kind says what a message holds (MSG-2).
type Kind byte

// The kinds of messages.
const (
	Text   Kind = 1 // UTF-8; a string in browsers
	Binary Kind = 2 // any bytes; a Uint8Array in browsers
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

// A State is the state of a [Group] (STA-1). The first three numbers are those of the original.
type State int

// The states of a group.
const (
	Joining = State(mesh.StateJoining) // on the way in, or signaling is lost; messages flow if there are members
	Joined  = State(mesh.StateJoined)  // in the group, and the signaling server knows it
	Left    = State(mesh.StateLeft)    // not in a group
	Leaving = State(mesh.StateLeaving) // sending what still waits
)

func (s State) String() string { return mesh.State(s).String() }

// A SignalingState is the state of a group's connection to the signaling server (STA-1). The numbers are those of the
// original.
type SignalingState int

// The states of signaling.
const (
	SignalingConnecting = SignalingState(mesh.SignalingConnecting) // the WebSocket opens
	SignalingOpen       = SignalingState(mesh.SignalingOpen)       // it is open
	SignalingChecking   = SignalingState(mesh.SignalingChecking)   // the server was asked whether we are a member
	SignalingClosed     = SignalingState(mesh.SignalingClosed)     // there is none
	SignalingChecked    = SignalingState(mesh.SignalingChecked)    // the server has answered
)

func (s SignalingState) String() string { return mesh.SignalingState(s).String() }

// An Event is something that happened in a group: a [Message], [MemberJoined], [MemberLeft], [StateChanged],
// [SignalingChanged], [MessageRefused], [ConnectFailed], [ICEServerFailed] or [IdentityDisputed]. Further types may be added.
type Event interface{ event() }

type (
	// A Message came from another member.
	Message struct {
		From    uint32
		Kind    Kind
		Private bool   // it was sent to this member alone; or an original sent it to all, by way of another one (MSH-15)
		Data    []byte // the receiver's to keep
	}

	// MemberJoined tells of a new member. It is told of each member when this one joins.
	MemberJoined struct{ ID uint32 }

	// MemberLeft tells that a member has left, or was lost if Err is not nil: it may be ErrSilent, ErrSlow,
	// ErrUnreachable or an error of the network. It is told of each member when this one leaves.
	MemberLeft struct {
		ID  uint32
		Err error
	}

	// StateChanged tells of a new state. Err says why the group was left if Leave was not called.
	StateChanged struct {
		State State
		Err   error
	}

	// SignalingChanged tells of a new state of signaling, and why it was closed.
	SignalingChanged struct {
		State SignalingState
		Err   error
	}

	// MessageRefused tells of a message that is beyond a limit: ErrTooBig or ErrMemory.
	MessageRefused struct {
		From uint32
		Err  error
	}

	// ConnectFailed tells that there will be no direct channel to a member for a while, and why. Messages go through
	// others meanwhile. The ID is 0 for the member that the signaling server had chosen as the way in; it is asked
	// for another one.
	ConnectFailed struct {
		ID  uint32
		Err error
	}

	// IdentityDisputed tells that two identities of one member of a sealed group have been named or shown: somebody lies.
	// The first one stays. KnownBy and OtherBy are who said so; 0 is this member's own sight. (SEC-25)
	IdentityDisputed struct {
		ID      uint32
		Known   string
		KnownBy uint32
		Other   string
		OtherBy uint32
	}

	// ICEServerFailed tells that a server in [Config].ICEServers, which members may need to reach each other, gives no
	// address, and why: Err is ErrNoAnswer, ErrNoICEServer, an *[ICEServerError], or an error of the network or of TLS.
	// A server is looked at when a channel lacks its address; that is told for each URL, not for each channel: once
	// for each joining, and again when it fails for another reason, fails anew after it worked, or still fails an hour
	// later, but not within a minute. What it is missing for is tried all the same.
	ICEServerFailed struct {
		URL string // one of ICEServer.URLs
		Err error
	}
)

func (Message) event()          {}
func (MemberJoined) event()     {}
func (MemberLeft) event()       {}
func (StateChanged) event()     {}
func (SignalingChanged) event() {}
func (MessageRefused) event()   {}
func (ConnectFailed) event()    {}
func (IdentityDisputed) event() {}
func (ICEServerFailed) event()  {}

// eventCost is what an event that waits costs beside its message's bytes.
const eventCost = 64

func cost(e Event) int {
	if m, ok := e.(Message); ok {
		return eventCost + len(m.Data)
	}
	return eventCost
}

// A mailbox holds the events that wait for OnEvent, and calls it.
type mailbox struct {
	handle func(Event)
	limit  int

	mu    sync.Mutex
	queue []Event
	size  int
	busy  bool          // somebody calls handle
	room  chan struct{} // closed when there is room again; nil if nobody waits for that
}

// put appends an event; it never waits.
func (b *mailbox) put(e Event) {
	b.mu.Lock()
	b.queue = append(b.queue, e)
	b.size += cost(e)
	b.mu.Unlock()
}

// deliver has the events handled that wait, if nobody does it yet: by a goroutine that lasts until none is left, or here,
// for as many as there are now. That saves the way to another goroutine, for goroutines that nobody waits for.
func (b *mailbox) deliver(here bool) {
	b.mu.Lock()
	n := len(b.queue)
	if n == 0 || b.busy {
		b.mu.Unlock()
		return
	}
	b.busy = true
	b.mu.Unlock()
	if here && b.work(n) {
		return
	}
	go b.work(-1)
}

// work handles n events, or all, and reports whether none is left.
func (b *mailbox) work(n int) bool {
	for ; n != 0; n-- {
		b.mu.Lock()
		if len(b.queue) == 0 {
			b.queue = nil
			b.busy = false
			b.mu.Unlock()
			return true
		}
		e := b.queue[0]
		b.queue[0] = nil
		b.queue = b.queue[1:]
		b.mu.Unlock()
		b.handle(e)
		b.mu.Lock()
		b.size -= cost(e)
		if b.size < b.limit && b.room != nil {
			close(b.room)
			b.room = nil
		}
		b.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		b.queue = nil
		b.busy = false
		return true
	}
	return false
}

// full returns nil, or a channel that is closed when there is room, if more waits than should.
func (b *mailbox) full() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size < b.limit {
		return nil
	}
	if b.room == nil {
		b.room = make(chan struct{})
	}
	return b.room
}

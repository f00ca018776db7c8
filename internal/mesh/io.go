package mesh

import (
	"errors"
	"fmt"

	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/wire"
)

// A Link is a connection that the core has asked for: to the signaling server or to a peer. No two ever have the same
// number, so that what comes late from an old one is known for it.
type Link uint64

// An Input is what a [Core] is told.
type Input interface{ input() }

type (
	// Join begins to join a group. The state must be Left.
	Join struct {
		Key    string
		Keys   *sealed.Keys // of a sealed group; nil: it is not sealed
		Listen string       // the URL at which this member listens for WebSockets of others, "" for none
	}

	// Leave leaves the group: when all has been sent that waits, or now.
	Leave struct{ Now bool }

	// Send sends a message to a member, or to all if To is 0. Its outcome comes as a [Done] with the same token. Data is
	// kept until it has been sent.
	Send struct {
		Token uint64
		To    uint32
		Text  bool // Data is UTF-8
		Data  []byte
		Try   bool // fail rather than wait
	}

	// Cancel takes a send back that waits for room, or an invitation that has no outcome yet. A Done follows then.
	Cancel struct{ Token uint64 }

	// Invite dials a member that listens, which is to join through this one. Its outcome comes as a [Done].
	Invite struct {
		Token uint64
		URL   string         // ws or wss
		Bot   *sealed.Public // who has to listen there, for a sealed group (SEC-20); nil: nobody knows
	}

	// Drop ends the channel with a member as a failing network would; with Block it keeps any other from being built, and
	// with Hole it has the channel seem alive while all that goes over it vanishes. Its outcome comes as a [Done].
	Drop struct {
		Token       uint64
		ID          uint32
		Block, Hole bool
	}

	// Unblock takes a Block back.
	Unblock struct{ ID uint32 }

	// Opened says that a link can be used. Label is that of a data channel which the peer opened.
	Opened struct {
		Link  Link
		Label string
	}

	// Received is a message that came on a link. Data is not kept.
	Received struct {
		Link Link
		Data []byte
	}

	// Closed says that a link is no more, for whatever reason. It is the last of every link, and comes as well after
	// the core has closed it.
	Closed struct {
		Link Link
		Err  error // why; nil if the core or the peer closed it properly
	}

	// Local is what the end of a data channel in the making has to tell the other end.
	Local struct {
		Link   Link
		Signal wire.DataChannelBuilder
	}

	// Stalled says that nothing is read from a link for a while, or is again: its silence does not count then.
	Stalled struct {
		Link Link
		On   bool
	}

	// Tick says that time has passed.
	Tick struct{}
)

func (Join) input()     {}
func (Leave) input()    {}
func (Send) input()     {}
func (Cancel) input()   {}
func (Invite) input()   {}
func (Drop) input()     {}
func (Unblock) input()  {}
func (Opened) input()   {}
func (Received) input() {}
func (Closed) input()   {}
func (Local) input()    {}
func (Stalled) input()  {}
func (Tick) input()     {}

// An Output is what a [Core] wants done, or the user to know.
type Output interface{ output() }

type (
	// DialSignaling wants a WebSocket to the signaling server for a key.
	DialSignaling struct {
		Link Link
		Key  string // of a sealed group its room name (SEC-4)
	}

	// Dial wants a WebSocket to a member that listens.
	Dial struct {
		Link Link
		URL  string
	}

	// Offer wants a data channel with this label, to be offered to a peer.
	Offer struct {
		Link  Link
		Label string
	}

	// Answer wants a data channel that the peer offers.
	Answer struct{ Link Link }

	// Remote is what the other end of a data channel in the making has to say.
	Remote struct {
		Link   Link
		Signal wire.DataChannelBuilder
	}

	// Ready says that something waits to be sent on a link: see [Core.Pull].
	Ready struct{ Link Link }

	// Close wants a link closed: when all that was pulled has been sent, or at once.
	Close struct {
		Link  Link
		Abort bool
	}

	// Deliver is a message for the user.
	Deliver struct {
		From    uint32
		Text    bool
		Private bool   // it was sent to this member alone
		Data    []byte // the user's to keep
	}

	// Refused tells the user of a message that was not taken.
	Refused struct {
		From uint32
		Err  error
	}

	// Joined tells the user of a new member.
	Joined struct{ ID uint32 }

	// Gone tells the user of a member that left: Err is nil, or says how it was lost.
	Gone struct {
		ID  uint32
		Err error
	}

	// NewState tells the user of a new state: Err says why a group was left without the user's asking for it.
	NewState struct {
		State State
		Err   error
	}

	// NewSignalingState tells the user of a new state of signaling, and why it was closed.
	NewSignalingState struct {
		State SignalingState
		Err   error
	}

	// Unconnected tells the user of a member with which no channel could be built.
	Unconnected struct {
		ID  uint32
		Err error
	}

	// Done is the outcome of a [Send], an [Invite] or a [Drop].
	Done struct {
		Token uint64
		Err   error
	}

	// Disputed tells the user of a member of which two identities have been named, or shown: somebody lies (SEC-25). The
	// first one stays.
	Disputed struct {
		ID      uint32
		Known   sealed.Public
		KnownBy uint32 // who said so; 0: this member has been shown it
		Other   sealed.Public
		OtherBy uint32 // the same
	}

	// Note is for the log.
	Note struct {
		Text string
		ID   uint32 // whom it is about; 0: nobody
		Err  error
	}
)

func (DialSignaling) output()     {}
func (Dial) output()              {}
func (Offer) output()             {}
func (Answer) output()            {}
func (Remote) output()            {}
func (Ready) output()             {}
func (Close) output()             {}
func (Deliver) output()           {}
func (Refused) output()           {}
func (Joined) output()            {}
func (Gone) output()              {}
func (NewState) output()          {}
func (NewSignalingState) output() {}
func (Unconnected) output()       {}
func (Done) output()              {}
func (Disputed) output()          {}
func (Note) output()              {}

// Reasons for which a [Send] fails.
var (
	ErrNotInGroup = errors.New("netflux: not in a group")
	ErrNoMember   = errors.New("netflux: no such member")
	ErrTooBig     = errors.New("netflux: message too big")
	ErrFull       = errors.New("netflux: no room to send")
	ErrURL        = errors.New("netflux: not a URL of scheme ws or wss")
	ErrCanceled   = errors.New("netflux: canceled")
	ErrNoIdentity = errors.New("netflux: a bot is invited into a sealed group by a URL that ends with # and its identity")
)

// Reasons for which a channel is not built or a member is lost.
var (
	ErrNoResponse  = errors.New("netflux: no response to the connection request")
	ErrTimeout     = errors.New("netflux: no channel in time")
	ErrDenied      = errors.New("netflux: connection denied")
	ErrNegotiation = errors.New("netflux: no way to connect")
	ErrBusy        = errors.New("netflux: too many channels are in the making")
	ErrGone        = errors.New("netflux: the other end is gone")
	ErrSilent      = errors.New("netflux: silent for too long")
	ErrSlow        = errors.New("netflux: takes messages too slowly")
	ErrProtocol    = errors.New("netflux: breaks the protocol")
	ErrUnreachable = errors.New("netflux: the last channel of this member closed")
	ErrDropped     = errors.New("netflux: the channel was dropped on demand")
	ErrBlocked     = errors.New("netflux: channels with this member are blocked on demand")
	ErrAlone       = errors.New("netflux: all other members have left")
)

// Reasons of sealed groups alone for which a channel is not built or ends (SEC-28).
var (
	ErrSecret    = errors.New("netflux: the other end has not shown that it has the group's secret")
	ErrIdentity  = errors.New("netflux: the other end has another identity than it should")
	ErrNotListed = errors.New("netflux: the other end is not on the list of those who may be members")
	ErrUnsealed  = errors.New("netflux: what came was not sealed")
	ErrCutShort  = errors.New("netflux: left before all of what it had sent came")
)

// Reasons for which a message is not taken.
var (
	ErrMemory = errors.New("netflux: too much is held of incomplete messages")
)

// A SlowError says that members were dropped because they had not taken what was sent to them for too long. All others
// get the message.
type SlowError struct{ IDs []uint32 }

func (e *SlowError) Error() string {
	return fmt.Sprintf("netflux: members %d dropped: they take messages too slowly", e.IDs)
}

// Is makes a SlowError an ErrSlow.
func (e *SlowError) Is(target error) bool { return target == ErrSlow }

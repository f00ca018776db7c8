package session

import (
	"errors"
	"time"
)

// A Way is a connection to the other client.
type Way byte

// The ways.
const (
	Relay   Way = iota // the WebSocket to the server
	Channel            // the data channel
)

func (w Way) String() string {
	if w == Relay {
		return "relay"
	}
	return "channel"
}

// An Attempt is a data channel, from when it was asked for. No two have the same number, so that what comes late from an
// old one is known for it. The relay has the number 0.
type Attempt uint64

// A Signal is what one end of a data channel in the making has to tell the other: an offer or an answer, which have an
// SDP, or a candidate.
type Signal struct {
	Type          string // "offer", "answer" or "candidate"
	SDP           string
	Candidate     string
	SDPMid        string
	SDPMLineIndex uint16
}

// The types of signals.
const (
	SignalOffer     = "offer"
	SignalAnswer    = "answer"
	SignalCandidate = "candidate"
)

// An Input is what a [Core] is told.
type Input interface{ input() }

type (
	// Begin says that the WebSocket is open. It is the first input.
	Begin struct{}

	// Received is a message that came. Data is not kept.
	Received struct {
		Way     Way
		Attempt Attempt
		Text    bool
		Data    []byte
	}

	// Opened says that a data channel is open: MaxSend bytes are the largest message that may be sent on it.
	Opened struct {
		Attempt Attempt
		Label   string
		MaxSend int
	}

	// Ended says that a connection is no more, for whatever reason. It is the last of every one, and comes as well after
	// the core has closed it.
	Ended struct {
		Way     Way
		Attempt Attempt
		Unacked int   // how many bytes of what was sent the other end of a data channel has not acknowledged
		Err     error // why; nil if the core or the peer closed it properly
	}

	// Local is what the end of a data channel in the making has to tell the other end.
	Local struct {
		Attempt Attempt
		Signal  Signal
	}

	// Send sends a message. Its outcome comes as a [Done] with the same token. Data is kept until it has been sent.
	Send struct {
		Token uint64
		Text  bool // Data is UTF-8
		Data  []byte
		Try   bool // fail rather than wait
	}

	// Upgrade has a data channel made. Its outcome comes as a [Done] with the same token.
	Upgrade struct{ Token uint64 }

	// Cancel takes back a send that waits for room, or the waiting for an upgrade. A Done follows then.
	Cancel struct{ Token uint64 }

	// Consumed says that the user has taken a message of so many bytes that was delivered.
	Consumed struct{ Bytes int }

	// Break aborts the data channel, as a failing network would.
	Break struct{}

	// Close ends the session: when all has been sent that waits, or now.
	Close struct{ Now bool }

	// Tick says that time has passed.
	Tick struct{}
)

func (Begin) input()    {}
func (Received) input() {}
func (Opened) input()   {}
func (Ended) input()    {}
func (Local) input()    {}
func (Send) input()     {}
func (Upgrade) input()  {}
func (Cancel) input()   {}
func (Consumed) input() {}
func (Break) input()    {}
func (Close) input()    {}
func (Tick) input()     {}

// An Output is what a [Core] wants done, or the user to know.
type Output interface{ output() }

type (
	// Ready says that something waits to be sent: see [Core.Pull].
	Ready struct{ Way Way }

	// Offer wants a data channel to be offered to the peer.
	Offer struct{ Attempt Attempt }

	// Answer wants a data channel that the peer offers.
	Answer struct{ Attempt Attempt }

	// Remote is what the other end of a data channel in the making has to say.
	Remote struct {
		Attempt Attempt
		Signal  Signal
	}

	// Abort wants a connection ended at once.
	Abort struct {
		Way     Way
		Attempt Attempt
	}

	// Registered tells that the server has accepted the pairing.
	Registered struct{}

	// Paired tells the user that the other client is there.
	Paired struct{ Initiator bool }

	// Upgraded tells the user that the data channel is open.
	Upgraded struct{}

	// Downgraded tells the user that an open data channel has ended; Err is nil if that was in order.
	Downgraded struct{ Err error }

	// NotUpgraded tells the user that no data channel could be made.
	NotUpgraded struct{ Err error }

	// Silent tells the user that the peer was not heard for too long.
	Silent struct{}

	// Deliver is a message for the user, who has to say [Consumed] afterwards.
	Deliver struct {
		Text bool
		Data []byte // the user's to keep
	}

	// Over says that the session has ended. Lost is how many messages that were accepted for sending are not known to
	// have arrived.
	Over struct {
		Err  error // nil if either end closed it
		Lost int
	}

	// Done is the outcome of a [Send] or an [Upgrade].
	Done struct {
		Token uint64
		Err   error
	}

	// Note is for the log.
	Note struct {
		Text string
		Err  error
	}
)

func (Ready) output()       {}
func (Offer) output()       {}
func (Answer) output()      {}
func (Remote) output()      {}
func (Abort) output()       {}
func (Registered) output()  {}
func (Paired) output()      {}
func (Upgraded) output()    {}
func (Downgraded) output()  {}
func (NotUpgraded) output() {}
func (Silent) output()      {}
func (Deliver) output()     {}
func (Over) output()        {}
func (Done) output()        {}
func (Note) output()        {}

// Errors of sends and upgrades, and reasons for which a session is over.
var (
	ErrNotConnected = errors.New("peersox: not connected to a peer")
	ErrFull         = errors.New("peersox: no room to send")
	ErrTooBig       = errors.New("peersox: message too big")
	ErrReserved     = errors.New("peersox: the peer would take this text for the protocol's own")
	ErrCanceled     = errors.New("peersox: canceled")
	ErrClosed       = errors.New("peersox: connection closed")
	ErrRefused      = errors.New("peersox: the server refused the pairing")
	ErrProtocol     = errors.New("peersox: the peer breaks the protocol")
	ErrPeerTimeout  = errors.New("peersox: the peer was silent for too long")
	ErrNoUpgrade    = errors.New("peersox: the peer cannot be connected to again")
	ErrBroken       = errors.New("peersox: the data channel was broken on demand")
	ErrChannelLost  = errors.New("peersox: the peer has lost the data channel")
)

// Times of the protocol.
const (
	// PingInterval is the time between two PINGs on each open connection (PSX-62).
	PingInterval = 20 * time.Second
	// DefaultPeerTimeout is how long after a PING the next one may take (PSX-63).
	DefaultPeerTimeout = 30 * time.Second
	// OfferDelay is how long after peer.connected an original may be offered a data channel (PSX-65): it drops what
	// comes in its first second, which timers may stretch a little.
	OfferDelay = 1250 * time.Millisecond
	// OfferAgain is how long after an offer to an original it is sent again if no answer has come (PSX-65).
	OfferAgain = 2 * time.Second
	// HelloTimeout is how long after peer.connected a peer that has said nothing counts as an original (PSX-70).
	HelloTimeout = 3 * time.Second
	// Grace is how long what an original has acknowledged on its data channel is kept all the same (PSX-68): a browser
	// acknowledges before the page has it, and drops what the page has not got when the channel breaks.
	Grace = time.Second
	// AckDelay is how long an acknowledgement may wait (PSX-74).
	AckDelay = 50 * time.Millisecond
)

// Limits.
const (
	// MaxPayload is the most bytes of a message in one frame (PSX-72): with the header it fits a message of any data
	// channel.
	MaxPayload = 32 << 10
	// MinWindow is the smallest window that a hello may name (PSX-70).
	MinWindow = 64 << 10
	// DefaultWindow is how many bytes of frames may be on their way without acknowledgement.
	DefaultWindow = 4 << 20
	// AckBytes is how many bytes are acknowledged without delay (PSX-74).
	AckBytes = 64 << 10
	// DefaultMaxMessage is the largest message.
	DefaultMaxMessage = 64 << 20
	// DefaultMaxRelay is the largest message to an original by way of the server.
	DefaultMaxRelay = 1 << 20
	// DefaultSendBuffer is how many bytes may wait to be sent or acknowledged before sends wait.
	DefaultSendBuffer = 4 << 20
	// DefaultReceiveBuffer is how many bytes may be delivered and not consumed before the peer has to wait.
	DefaultReceiveBuffer = 4 << 20
	// GraceBytes is how many bytes are kept for that.
	GraceBytes = 4 << 20
	// MaxEarlySignals is how many signals are kept that come before a data channel is wanted.
	MaxEarlySignals = 130
)

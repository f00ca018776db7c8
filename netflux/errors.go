package netflux

import (
	"errors"
	"fmt"

	"github.com/meshpair/meshpair/internal/mesh"
	"github.com/meshpair/meshpair/internal/rtc"
)

// Errors of [Group.Join].
var (
	ErrNoSignaling = errors.New("netflux: no signaling server: set Config.SignalingURL to ws://HOST:PORT or wss://HOST:PORT")
	ErrICEServer   = errors.New("netflux: one of Config.ICEServers cannot be used")
	ErrListen      = errors.New("netflux: cannot listen for other members")
	ErrKey         = errors.New("netflux: a key cannot be used")
	ErrInGroup     = errors.New("netflux: already in a group: call Leave first")
)

// ErrPlaintext says that a URL of scheme ws is not one of this machine and Config.AllowPlaintext is not set; see
// [Group.Join], [Group.Invite] and [NewBot]. (SEC-31)
var ErrPlaintext = errors.New("netflux: not encrypted: use wss, or set Config.AllowPlaintext")

// Errors of [Group.Send] and its like.
var (
	ErrNotInGroup  = mesh.ErrNotInGroup // Join was not called, or Leave was
	ErrNoMember    = mesh.ErrNoMember   // the recipient is not a member, or not any more
	ErrTooBig      = mesh.ErrTooBig     // more than Config.MaxMessageSize
	ErrFull        = mesh.ErrFull       // there is no room, and waiting was not asked for
	ErrKind        = errors.New("netflux: a message is Text or Binary")
	ErrInvalidText = errors.New("netflux: text is not UTF-8")
)

// Reasons for which a member is lost or not connected to, see [MemberLeft] and [ConnectFailed].
var (
	ErrSilent      = mesh.ErrSilent      // nothing came from it for too long
	ErrSlow        = mesh.ErrSlow        // it took nothing for Config.SlowTimeout
	ErrUnreachable = mesh.ErrUnreachable // the last channel of this member closed, so that nobody can be reached, or, in a sealed group, that of one that had not said that it leaves (SEC-34)
	ErrNoResponse  = mesh.ErrNoResponse  // it did not answer the request for a channel
	ErrTimeout     = mesh.ErrTimeout     // no channel was there in time
	ErrDenied      = mesh.ErrDenied      // it wants no channel, or believes to have one
	ErrNegotiation = mesh.ErrNegotiation // every way to connect that both have was tried
	ErrGone        = mesh.ErrGone        // it left meanwhile
	ErrBusy        = mesh.ErrBusy        // too many channels are in the making
	ErrProtocol    = mesh.ErrProtocol    // it breaks the protocol
	ErrNoRelay     = rtc.ErrNoRelay      // Config.RelayOnly, and no TURN server lends this end an address; beside another one
	ErrDropped     = mesh.ErrDropped     // Drop or Block was called
	ErrBlocked     = mesh.ErrBlocked     // Block was called
	ErrAlone       = mesh.ErrAlone       // all others have left, and a Bot does not stay alone
)

// What may be wrong with a STUN or TURN server, beside errors of the network; see [ICEServerFailed].
var (
	ErrNoAnswer    = rtc.ErrNoAnswer    // it does not answer within 4 s
	ErrNoICEServer = rtc.ErrNoICEServer // what answers there is something else
)

// An ICEServerError is how a STUN or TURN server refuses a request: its field Code, of type int, is one of RFC 8489 or
// RFC 8656, such as 401, or 400 from some servers, for a wrong username or credential, and 486 when too many addresses
// are lent already; Reason, a string, is what the server says. See [ICEServerFailed].
type ICEServerError = rtc.ServerError

// ErrURL says that a URL to be dialled is not of scheme ws or wss, has a query or a fragment, or is not one of this machine
// although [Config].Loopback is set; see [Group.Invite].
var ErrURL = mesh.ErrURL

// ErrMemory says that more than Config.MaxPartial or MaxPartialAll would be held; see [MessageRefused].
var ErrMemory = mesh.ErrMemory

// A SlowError says that members were dropped because they had taken nothing for Config.SlowTimeout while a send waited
// for them: its field IDs, of type []uint32. All other recipients get the message. It is an [ErrSlow].
type SlowError = mesh.SlowError

// A JoinError says why a group was not joined.
type JoinError struct {
	Err       error // what ended it: the context's error, or why signaling was lost
	Signaling error // the last failure of signaling, if there was one
}

func (e *JoinError) Error() string {
	if e.Signaling == nil || e.Signaling == e.Err {
		return fmt.Sprintf("netflux: join: %v", e.Err)
	}
	return fmt.Sprintf("netflux: join: %v (signaling: %v)", e.Err, e.Signaling)
}

// Unwrap returns both errors.
func (e *JoinError) Unwrap() []error {
	if e.Signaling == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Signaling}
}

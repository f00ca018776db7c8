package netflux

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/meshpair/meshpair/internal/mesh"
	"github.com/meshpair/meshpair/internal/rtc"
	"github.com/meshpair/meshpair/internal/sealed"
)

// Defaults of [Config].
const (
	DefaultMaxMembers     = mesh.DefaultMaxMembers
	DefaultSendBuffer     = mesh.DefaultSendQueue
	DefaultSlowTimeout    = mesh.DefaultSlowTimeout
	DefaultLeaveTimeout   = mesh.DefaultLeaveTimeout
	DefaultMaxMessageSize = mesh.DefaultMaxMessage
	DefaultMaxPartial     = mesh.DefaultMaxPartial
	DefaultMaxPartialAll  = mesh.DefaultMaxPartialAll
	DefaultReceiveBuffer  = 4 << 20
)

// An ICEServer is a STUN or TURN server, as in a browser's RTCConfiguration.
type ICEServer struct {
	URLs       []string // such as stun:host:port, turn:host:port?transport=udp, turns:host:port?transport=tcp
	Username   string   // for TURN
	Credential string   // for TURN
}

// Config says how a [Group] finds its members and what it may hold. SignalingURL must be set to join; of everything
// else the zero value is safe. A number that is zero or negative has its default.
type Config struct {
	// SignalingURL is that of a signaling server, ws://HOST:PORT or wss://HOST:PORT. There is no default: no server is
	// ever contacted that was not named.
	SignalingURL string

	// Secret seals the group: only who has the same one, beside the key, can be a member, and neither the signaling server
	// nor a member that passes messages on can read or change what two members say. The server knows the group by a name
	// made from both. No original can be in a sealed group. By default groups are not sealed. (SEC-1, SEC-4)
	Secret Secret

	// Identity is that of this member in sealed groups, for others to recognise it by. By default it has a new one whenever
	// it begins to join. It is of no meaning in a group that is not sealed. (SEC-5)
	Identity *Identity

	// AllowIdentities are those who may be members of a sealed group, as [Identity.Public] returns them: with anybody else
	// this member has nothing to do, whoever has the secret, and says so by ErrNotListed. All members should have the same
	// list, in which each of them is. By default whoever has the secret may be a member. Join fails with ErrNotSealed
	// where the group is not sealed. (SEC-26)
	AllowIdentities []string

	// TLS is used for wss URLs, of signaling and of members; by default the system's roots verify these. Members are
	// shown none of its certificates. (SEC-30)
	TLS *tls.Config

	// AllowPlaintext lets ws URLs of other machines be dialled: of the signaling server, and of members. Who is on the way
	// can then be in the middle of all that the group says. By default only this machine is dialled without TLS, that is
	// localhost, 127.0.0.0/8 and ::1. (SEC-31)
	AllowPlaintext bool

	// ICEServers help to connect members that are not in one network. By default there are none, and only
	// addresses of this machine are tried. No other server is ever asked (BLD-26). One that does not do what it is there
	// for is told as [ICEServerFailed].
	ICEServers []ICEServer

	// RelayOnly uses the TURN servers among ICEServers only, of which there must be one, so that members do not learn
	// this machine's addresses (BLD-25). No WebSocket is opened to a member then, unless by Invite. Where no TURN server
	// lends an address within 5 s no channel can be, and the reason in [ConnectFailed] is ErrNoRelay, too.
	RelayOnly bool

	// Loopback uses 127.0.0.1 only, for groups on one machine.
	Loopback bool

	// Listen is a TCP address, HOST:PORT, at which others of the group can open WebSockets to this member, as long as it
	// is in the group: among services these are faster than data channels. Port 0 is one that is free. By default
	// nobody can. A program that has an HTTP server, or is in several groups, has a [Bot] instead.
	Listen string

	// ListenURL is the URL, of scheme ws or wss, under which others reach what listens at Listen, for instance through a
	// proxy. By default it is made from the address; one for all interfaces, such as ":8000", needs it.
	ListenURL string

	// ListenTLS makes WebSockets to Listen use TLS; it must have a certificate. Without it, and when Listen is no address of
	// this machine alone, Logger gets a warning (SEC-32).
	ListenTLS *tls.Config

	// NoRejoin has the group left when both the mesh and signaling are lost, and has lost signaling not connected to
	// again. By default both are tried again, after pauses of at most 3 s, which grow up to 30 s when everything is lost.
	NoRejoin bool

	// OnEvent is told what happens in the group; see [Event] and the documentation of this package for when and how.
	OnEvent func(Event)

	// Logger gets what may be of interest to who maintains the program; nothing if nil.
	Logger *slog.Logger

	// MaxMembers is how many members the group may have, this one included, by default 1000 and at most 10,000. More are
	// refused.
	MaxMembers int

	// MaxMessageSize is the largest message in bytes that is sent or taken, by default 64 MiB. A larger one that comes
	// is told as [MessageRefused].
	MaxMessageSize int

	// SendBuffer is how many bytes may wait for one member, or for its acknowledgement, before sends wait, by default 4 MiB. One message more
	// may wait, of whatever size.
	SendBuffer int

	// SlowTimeout is how long a send waits for a member that takes nothing, by default 30 s. Then the channel to that
	// member is closed and the send tells by a [SlowError].
	SlowTimeout time.Duration

	// LeaveTimeout is how long [Group.Leave] goes on sending what waits, by default 5 s.
	LeaveTimeout time.Duration

	// ReceiveBuffer is how many bytes of messages may wait for OnEvent, by default 4 MiB.
	ReceiveBuffer int

	// MaxPartial is how many bytes may be held of incomplete messages of one member, by default 64 MiB, or what one
	// message of MaxMessageSize needs if that is more; MaxPartialAll, by default 256 MiB, is the same for all members.
	// A message that is longer is refused, too.
	MaxPartial, MaxPartialAll int

	network network // what tests have in place of this machine's
}

func (c Config) withDefaults() Config {
	if c.OnEvent == nil {
		c.OnEvent = func(Event) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ReceiveBuffer <= 0 {
		c.ReceiveBuffer = DefaultReceiveBuffer
	}
	if c.network == nil {
		c.network = machine{}
	}
	return c
}

func (c Config) core(rand func() uint32) mesh.Config {
	var identity *sealed.Identity
	if c.Identity != nil {
		identity = c.Identity.key
	}
	allowed, _ := c.allowed() // whoever joins has checked it
	return mesh.Config{
		Rand:          rand,
		Identity:      identity,
		Allow:         allowed,
		NoDial:        c.RelayOnly, // a WebSocket would show this machine's address
		NoRejoin:      c.NoRejoin,
		MaxMembers:    c.MaxMembers,
		SendQueue:     c.SendBuffer,
		SlowTimeout:   c.SlowTimeout,
		LeaveTimeout:  c.LeaveTimeout,
		MaxMessage:    c.MaxMessageSize,
		MaxPartial:    c.MaxPartial,
		MaxPartialAll: c.MaxPartialAll,
	}
}

func (c Config) checkICE() error {
	if err := c.rtc().Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrICEServer, err)
	}
	return nil
}

func (c Config) rtc() rtc.Config {
	r := rtc.Config{RelayOnly: c.RelayOnly, Loopback: c.Loopback, Logger: c.Logger, CloseTimeout: c.LeaveTimeout}
	for _, s := range c.ICEServers {
		r.ICEServers = append(r.ICEServers, rtc.ICEServer(s))
	}
	return r
}

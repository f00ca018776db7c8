package peersox

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/meshpair/meshpair/internal/rtc"
	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/session"
)

// Defaults of [ClientConfig].
const (
	DefaultMaxMessageSize = session.DefaultMaxMessage
	DefaultMaxRelaySize   = session.DefaultMaxRelay
	DefaultSendBuffer     = session.DefaultSendBuffer
	DefaultReceiveBuffer  = session.DefaultReceiveBuffer
	DefaultPeerTimeout    = session.DefaultPeerTimeout
	DefaultConnectTimeout = 10 * time.Second
	DefaultCloseTimeout   = 10 * time.Second
	DefaultChannelTimeout = 15 * time.Second
)

// maxChannelMessage is the largest message that is taken on a data channel: what browsers send at most.
const maxChannelMessage = 256 << 10

// ClientConfig says how a [Client] reaches its server and its peer, and what it may hold. URL must be set; of everything
// else the zero value is safe. A number that is zero or negative has its default.
type ClientConfig struct {
	// URL is that of the server, http://HOST:PORT or https://HOST:PORT, under which /api and /ws are. There is no
	// default: no server is ever contacted that was not named.
	URL string

	// SocketURL is that of the WebSocket service, of scheme ws or wss, if it is not URL with /ws.
	SocketURL string

	// Origin is sent as the Origin header, for servers that allow some only; by default it is the server's own.
	Origin string

	// TLS is used for https and wss; by default the system's roots verify the server, and it is shown no certificate.
	// (SEC-30)
	TLS *tls.Config

	// AllowPlaintext lets URL and SocketURL be http and ws URLs of other machines. Who is on the way can then take the
	// code, and be in the middle of all that the two clients say. By default only this machine is reached without TLS, that
	// is localhost, 127.0.0.0/8 and ::1. (SEC-31)
	AllowPlaintext bool

	// ICEServers are asked for further addresses of this end, so that a data channel can be made between networks. If it
	// is nil, those are that the server names (PSX-65), but none if Loopback is set.
	ICEServers []ICEServer

	// RelayOnly uses the TURN servers among the ICE servers only, of which there must be one, so that the peer does not
	// learn this machine's addresses.
	RelayOnly bool

	// Loopback uses 127.0.0.1 only for data channels, for two clients on one machine.
	Loopback bool

	// Seal draws a secret for each pairing that CreatePairing and InitPairing make, which the other client has to be told with
	// the code. Whether a pairing that another client made is sealed depends on what its user tells. An original has no part
	// in a sealed pairing. (SEC-40)
	Seal bool

	// NoUpgrade makes no data channel, and takes none that the peer offers, until Upgrade is called.
	NoUpgrade bool

	// Pairings keeps a pairing for StorePairing and its like; by default a file of the user (see [PairingFile]).
	Pairings PairingStore

	// OnEvent is told what happens; see [Event] and the documentation of this package for when and how.
	OnEvent func(Event)

	// Logger gets what may be of interest to who maintains the program; nothing if nil.
	Logger *slog.Logger

	// MaxMessageSize is the largest message in bytes that is sent or taken, by default 64 MiB.
	MaxMessageSize int

	// MaxRelaySize is the largest message in bytes that is sent to an original by way of the server, by default 1 MiB,
	// which the servers of this module take.
	MaxRelaySize int

	// SendBuffer is how many bytes may wait to be sent, or acknowledged, before sends wait, by default 4 MiB. One message
	// more may wait, of whatever size.
	SendBuffer int

	// ReceiveBuffer is how many bytes of messages may wait for OnEvent, by default 4 MiB; then the peer has to wait. A
	// peer of ours may have sent 4 MiB more then, and part of a message of up to MaxMessageSize.
	ReceiveBuffer int

	// PeerTimeout is how long the peer may take to its next PING, which comes every 20 s, by default 30 s (PSX-63). In a sealed
	// pairing the first one is waited for, too (SEC-47).
	PeerTimeout time.Duration

	// ChannelTimeout is how long a data channel may take to open before UpgradeFailed, and how long nothing may come by
	// one until messages go by way of the server again, by default 15 s. Living ends are heard every sixth part of it, and
	// every 2 s at least.
	ChannelTimeout time.Duration

	// ConnectTimeout is how long the server may take to answer, by default 10 s.
	ConnectTimeout time.Duration

	// CloseTimeout is how long Close goes on sending what waits, by default 10 s.
	CloseTimeout time.Duration
}

// An ICEServer is a STUN or TURN server, as in a browser's RTCConfiguration.
type ICEServer struct {
	URLs       []string // such as stun:host:port, turn:host:port?transport=udp, turns:host:port?transport=tcp
	Username   string   // for TURN
	Credential string   // for TURN
}

func (c ClientConfig) withDefaults() ClientConfig {
	if c.OnEvent == nil {
		c.OnEvent = func(Event) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Pairings == nil {
		c.Pairings = PairingFile("")
	}
	if c.MaxMessageSize <= 0 {
		c.MaxMessageSize = DefaultMaxMessageSize
	}
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = DefaultConnectTimeout
	}
	if c.ChannelTimeout <= 0 {
		c.ChannelTimeout = DefaultChannelTimeout
	}
	if c.CloseTimeout <= 0 {
		c.CloseTimeout = DefaultCloseTimeout
	}
	return c
}

// urls returns where the REST API and the WebSocket service are (PSX-60).
func (c ClientConfig) urls() (api, socket string, err error) {
	base := strings.TrimSuffix(c.URL, "/")
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", "", ErrURL
	}
	socket = c.SocketURL
	if socket == "" {
		socket = "ws" + strings.TrimPrefix(u.Scheme, "http") + base[len(u.Scheme):] + "/ws"
	}
	s, err := url.Parse(socket)
	if err != nil || s.Scheme != "ws" && s.Scheme != "wss" || s.Host == "" {
		return "", "", fmt.Errorf("%w: SocketURL %q", ErrURL, socket)
	}
	for _, u := range []*url.URL{u, s} { // SEC-31
		if (u.Scheme == "http" || u.Scheme == "ws") && !c.AllowPlaintext && !isLoopback(u.String()) {
			return "", "", fmt.Errorf("%w: %s://%s", ErrPlaintext, u.Scheme, u.Host)
		}
	}
	return base + "/api", socket, nil
}

// rtc returns what data channels are made with; named are the servers that the server has named.
func (c ClientConfig) rtc(named []ICEServer) rtc.Config {
	r := rtc.Config{
		RelayOnly: c.RelayOnly, Loopback: c.Loopback, Logger: c.Logger, MaxMessage: maxChannelMessage,
		SilenceTimeout: c.ChannelTimeout, CloseTimeout: c.CloseTimeout,
	}
	servers := c.ICEServers
	if servers == nil && !c.Loopback {
		servers = named
	}
	for _, s := range servers {
		r.ICEServers = append(r.ICEServers, rtc.ICEServer(s))
	}
	return r
}

func (c ClientConfig) session(p Pairing, seal *sealed.Pairing) session.Config {
	return session.Config{
		Code: p.Code, Hash: p.Hash, Seal: seal, NoUpgrade: c.NoUpgrade, PeerTimeout: c.PeerTimeout, MaxMessage: c.MaxMessageSize,
		MaxRelay: c.MaxRelaySize, SendBuffer: c.SendBuffer, ReceiveBuffer: c.ReceiveBuffer,
	}
}

// isLoopback reports whether a URL's host is this machine, without asking anybody (SEC-31).
func isLoopback(rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// Errors of a [Client] before it is connected.
var (
	ErrURL       = errors.New("peersox: no server: set ClientConfig.URL to http://HOST:PORT or https://HOST:PORT")
	ErrPlaintext = errors.New("peersox: not encrypted: use https, or set ClientConfig.AllowPlaintext") // SEC-31
	ErrCode      = errors.New("peersox: no client waits with this code, or it was used before")
	ErrNoPairing = errors.New("peersox: no pairing is stored that is still valid")
	ErrConnected = errors.New("peersox: already connected: call Close first")
	ErrRefused   = session.ErrRefused // the pairing is unknown, or not any more, or both its clients are there
)

// Errors of a connected [Client], and reasons for which it is not any more.
var (
	ErrNotConnected = session.ErrNotConnected // there is no peer to send to
	ErrClosed       = session.ErrClosed       // either end has closed the connection
	ErrFull         = session.ErrFull         // there is no room, and waiting was not asked for
	ErrTooBig       = session.ErrTooBig       // a message is larger than MaxMessageSize, or than can be sent to this peer
	ErrReserved     = session.ErrReserved     // a text is PING or begins with §, and the peer is an original (PSX-68)
	ErrProtocol     = session.ErrProtocol     // the peer, or the server, breaks the protocol
	ErrPeerTimeout  = session.ErrPeerTimeout  // the peer was silent for PeerTimeout
	ErrNoUpgrade    = session.ErrNoUpgrade    // the peer is an original, which has one data channel in its life
	ErrChannelLost  = session.ErrChannelLost  // the peer has lost the data channel, or has given up making one
	ErrBroken       = session.ErrBroken       // Break was called
	ErrSecret       = session.ErrSecret       // the other end has not shown that it has the secret of the pairing: it has another one
	ErrUnsealed     = session.ErrUnsealed     // the other end is not sealed, as it was given the code alone, or is an original
	ErrNoSecret     = session.ErrNoSecret     // the other end wants a sealed pairing, and this one was given the code alone
	ErrForged       = session.ErrForged       // something was altered, left out, repeated or invented on the way to this end
	ErrCutShort     = session.ErrCutShort     // a sealed connection has ended without a goodbye: something may be missing
	ErrNoPath       = rtc.ErrNoPath           // UpgradeFailed: the two found no way to one another (ICE)
	ErrNoRelay      = rtc.ErrNoRelay          // UpgradeFailed: RelayOnly is set, and no TURN server has lent an address
	ErrHandshake    = rtc.ErrHandshake        // UpgradeFailed: who is at the other end is not the peer (DTLS)
	ErrKind         = errors.New("peersox: a message is Text or Binary")
	ErrInvalidText  = errors.New("peersox: text is not UTF-8")
)

// A StatusError is an answer of the REST API that is none of those that are expected.
type StatusError struct {
	Status     int           // of the HTTP answer, such as 422 for a code that has not six characters, or 429
	RetryAfter time.Duration // when to try again, after a 429; 0 if the server does not say
}

func (e *StatusError) Error() string {
	if e.RetryAfter > 0 {
		return fmt.Sprintf("peersox: the server answers with status %d: try again in %v", e.Status, e.RetryAfter)
	}
	return fmt.Sprintf("peersox: the server answers with status %d", e.Status)
}

package rtc

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pion/stun"
	"github.com/pion/transport/v2"
)

// Defaults of [Config].
const (
	DefaultMaxMessage     = 64 << 10
	DefaultHighWater      = 256 << 10
	DefaultSilenceTimeout = 30 * time.Second
	DefaultCloseTimeout   = 5 * time.Second
)

// Limits that are not configurable.
const (
	// MaxDescription is the largest description of the peer that is looked at, in bytes; browsers send about 500.
	MaxDescription = 64 << 10
	// MaxCandidate is the longest candidate of the peer that is looked at, in bytes.
	MaxCandidate = 1 << 10
	// MaxCandidates is how many candidates of the peer are taken, those in its description included.
	MaxCandidates = 128
	// MaxLabel is the longest label of a channel, in bytes. Peers that use pion take no longer one than about 8 KiB.
	MaxLabel = 4 << 10
	// MaxChannels is how many channels the peer may open beside the one, only to see them closed.
	MaxChannels = 16
)

const (
	// maxMessage is the largest MaxMessage.
	maxMessage = 256 << 20
	// maxSend is the largest message that pion sends.
	maxSend = 64 << 10
	// minWindow is the smallest receive window. A larger one lets a browser put more packets at once into its
	// network process than that takes: with 1 MiB, Chromium loses so many that a few MiB from a page come to a stop.
	minWindow = 256 << 10
)

// An ICEServer is a STUN or TURN server.
type ICEServer struct {
	URLs       []string // such as stun:host:port, turn:host:port?transport=udp, turns:host:port?transport=tcp
	Username   string   // for TURN
	Credential string   // for TURN
}

// Config says how a connection may reach its peer and what it may take. The zero value works, on a local network: it
// asks no server. A number that is zero or negative has its default.
type Config struct {
	// ICEServers are asked for further addresses of this end. No other server is ever contacted.
	ICEServers []ICEServer

	// RelayOnly hides all addresses of this end but those lent by the TURN servers among ICEServers.
	RelayOnly bool

	// Loopback uses 127.0.0.1 and no other address of this machine, for peers on this machine.
	Loopback bool

	// Logger gets what the WebRTC library has to say, at [slog.LevelDebug]; nothing if nil.
	Logger *slog.Logger

	// MaxMessage is the largest message that Read returns, in bytes; by default 64 KiB, at most 256 MiB. It is announced
	// to the peer, and a larger message ends the connection. The receive window, which bounds what is held of messages
	// that have come and are not read, is 64 KiB more than this and at least 256 KiB. It does not count the 150 bytes or so that
	// it takes to hold a message, so a peer that sends very small ones while no one reads can make this end hold many
	// times the window. It does not bound what Send sends: see MaxSend.
	MaxMessage int

	// HighWater is how many bytes may be on their way, sent but not acknowledged, before Send waits; by default
	// 256 KiB. It waits until half of that has been acknowledged. One message more may be on its way, so up to
	// HighWater and MaxSend bytes. Over a long path it bounds throughput: HighWater in a round trip.
	HighWater int

	// SilenceTimeout is how long the peer may be silent before it is given up, and how long a path is looked for; by
	// default 30 s. A living peer is heard every 2 s, or of SilenceTimeout every sixth part if that is less.
	SilenceTimeout time.Duration

	// CloseTimeout is how long Close waits for what has been sent to arrive; by default 5 s.
	CloseTimeout time.Duration

	// Missing, if set, is called when servers among ICEServers have not given an address that they should have: relay is
	// set if one of those that lend addresses has not, reflexive if one of those that show them. It is called once at
	// most, when no more addresses will come or after GatherPatience, and may be called when the connection is over.
	Missing func(relay, reflexive bool)

	// Net is used in place of this machine's network, by tests.
	Net Net
}

// Net is a network.
type Net = transport.Net

// withDefaults returns c with every number set.
func (c Config) withDefaults() Config {
	if c.MaxMessage <= 0 {
		c.MaxMessage = DefaultMaxMessage
	}
	c.MaxMessage = min(c.MaxMessage, maxMessage)
	if c.HighWater <= 0 {
		c.HighWater = DefaultHighWater
	}
	if c.SilenceTimeout <= 0 {
		c.SilenceTimeout = DefaultSilenceTimeout
	}
	if c.CloseTimeout <= 0 {
		c.CloseTimeout = DefaultCloseTimeout
	}
	return c
}

// window returns the receive window in bytes. A message larger than it would stall the connection for ever.
func (c Config) window() int { return max(minWindow, c.MaxMessage+minWindow/4) }

// Check returns an error that says which of the ICEServers cannot be used, and why, or that RelayOnly leaves none; nil if
// all can.
func (c Config) Check() error {
	relays := 0
	for _, s := range c.ICEServers {
		if len(s.URLs) == 0 {
			return errors.New("rtc: an ICE server without a URL")
		}
		for _, u := range s.URLs {
			uri, err := stun.ParseURI(u)
			if err != nil {
				return fmt.Errorf("rtc: ICE server %q: %w", u, err)
			}
			if isTURN(uri) {
				relays++
				if s.Username == "" || s.Credential == "" {
					return fmt.Errorf("rtc: ICE server %q needs a username and a credential", u)
				}
			}
		}
	}
	if c.RelayOnly && relays == 0 {
		return errors.New("rtc: only relays may be used, and no TURN server is named")
	}
	return nil
}

// IsTURN reports whether a URL is that of a TURN server, which lends addresses.
func IsTURN(url string) bool {
	uri, err := stun.ParseURI(url)
	return err == nil && isTURN(uri)
}

func isTURN(uri *stun.URI) bool {
	return uri.Scheme == stun.SchemeTypeTURN || uri.Scheme == stun.SchemeTypeTURNS
}

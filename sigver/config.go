package sigver

import (
	"log/slog"
	"time"
)

// Defaults of the fields of [Config] that are zero.
const (
	DefaultMaxMessageSize = 64 << 10 // bytes
	DefaultMaxGroups      = 100_000
	DefaultMaxGroupPeers  = 1000
	DefaultSendQueueSize  = 1 << 20 // bytes
	DefaultWriteTimeout   = 10 * time.Second
)

// Config holds the limits of a [Server]. Its zero value is ready for use.
type Config struct {
	// MaxMessageSize is the most bytes of one message of a peer; a longer one
	// closes its connection with 1009 (SIG-42). 0 means DefaultMaxMessageSize.
	MaxMessageSize int

	// MaxGroups is the most groups at one time: keys for which at least one peer
	// is connected. A peer with one more key is closed with 1013 (SIG-43).
	// 0 means DefaultMaxGroups.
	MaxGroups int

	// MaxGroupPeers is the most peers connected with one key, members and
	// joining peers together. One more is closed with 1013 (SIG-43).
	// 0 means DefaultMaxGroupPeers.
	MaxGroupPeers int

	// MaxPerAddr is the most connections from one address: an IPv4 address, or
	// the /64 network of an IPv6 address. One more gets HTTP status 429 (SIG-44).
	// 0 means no limit: behind a proxy all peers have the proxy's address.
	MaxPerAddr int

	// FirstMessageTimeout is how long a peer may take to its first message; a
	// slower one is closed with 1008 (SIG-45). 0 means no such limit: a peer
	// that stays silent is closed with 4742 after 15 s all the same (SIG-11).
	FirstMessageTimeout time.Duration

	// SendQueueSize is the most bytes that wait to be sent to one peer. A peer
	// that reads so slowly that more would wait is closed with 1008 (SIG-46).
	// 0 means DefaultSendQueueSize.
	SendQueueSize int

	// WriteTimeout is how long one message to a peer may take to be written
	// before its connection counts as dead. 0 means DefaultWriteTimeout.
	WriteTimeout time.Duration

	// Logger gets what an operator may want to know: at level Debug each peer,
	// at level Warn refusals for a limit, one line in 10 s at most. nil means slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	setDefault(&c.MaxMessageSize, DefaultMaxMessageSize)
	setDefault(&c.MaxGroups, DefaultMaxGroups)
	setDefault(&c.MaxGroupPeers, DefaultMaxGroupPeers)
	setDefault(&c.SendQueueSize, DefaultSendQueueSize)
	setDefault(&c.WriteTimeout, DefaultWriteTimeout)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

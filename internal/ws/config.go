package ws

import "time"

// Defaults of [Config].
const (
	DefaultMaxMessage   = 1 << 20
	DefaultMaxQueue     = 1 << 20
	DefaultWriteTimeout = 10 * time.Second
	DefaultCloseTimeout = 5 * time.Second
)

// Config bounds what a connection may take. The zero value works; a field that is zero or negative has its default.
type Config struct {
	// MaxMessage is the largest message that Read returns, in bytes, all fragments together; by default 1 MiB.
	// A larger one is answered with close code 1009 as soon as a frame header announces it, and Read returns an error
	// that is [ErrTooBig]. It does not bound what Write sends.
	MaxMessage int

	// MaxQueue is how many bytes may wait for the network after Post, by default 1 MiB. Each message counts for a few
	// bytes more than it has.
	MaxQueue int

	// WriteTimeout is how long sending one message, pong or close frame may take, together with all that was queued
	// before it; by default 10 s. Over plain TCP it may be up to a quarter longer, which saves setting a timer for
	// every message. After it the connection is aborted, since the peer may have received half a frame.
	WriteTimeout time.Duration

	// CloseTimeout is how long the peer may take to answer a close frame, and, after it broke the protocol, to end
	// TCP; by default 5 s.
	CloseTimeout time.Duration
}

// withDefaults returns c with every field set.
func (c Config) withDefaults() Config {
	if c.MaxMessage <= 0 {
		c.MaxMessage = DefaultMaxMessage
	}
	if c.MaxQueue <= 0 {
		c.MaxQueue = DefaultMaxQueue
	}
	if c.WriteTimeout <= 0 {
		c.WriteTimeout = DefaultWriteTimeout
	}
	if c.CloseTimeout <= 0 {
		c.CloseTimeout = DefaultCloseTimeout
	}
	return c
}

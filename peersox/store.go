package peersox

import (
	"context"
	"errors"
	"time"
)

// Lives are how long what a [Store] holds lives, unless [ServerConfig] says otherwise (PSX-2).
const (
	DefaultCodeLife    = 130 * time.Second
	DefaultTokenLife   = 10 * time.Second
	DefaultPairingLife = 7 * 24 * time.Hour
)

// ErrStoreFull is returned by a store that can hold no more.
var ErrStoreFull = errors.New("peersox: the store is full")

// A Store keeps pairings and tokens, each for a time. [NewMemoryStore] makes one for a single process; package
// redisstore has one for many. Its methods may be called at the same time, and each is atomic: of many calls that take
// the same thing, one gets it (PSX-5, PSX-8).
type Store interface {
	// AddPairing keeps code and hash for life. It returns false, and keeps nothing, if one of them is in use.
	AddPairing(ctx context.Context, code, hash string, life time.Duration) (bool, error)
	// TakeCode ends the life of a code and lets its hash live for another life from now. It returns "" if there is
	// no such code.
	TakeCode(ctx context.Context, code string, life time.Duration) (hash string, err error)
	// CheckPairing says whether the hash lives and belongs to the code.
	CheckPairing(ctx context.Context, code, hash string) (bool, error)
	// AddToken keeps a token for life.
	AddToken(ctx context.Context, token string, life time.Duration) error
	// TakeToken ends the life of a token. It returns false if there is no such token.
	TakeToken(ctx context.Context, token string) (bool, error)
}

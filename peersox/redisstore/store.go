// Package redisstore keeps pairings, tokens and counts of guesses of a PeerSox server in Redis, 6.2 or later, and
// connects the processes of such a server with one another. It is the only package that needs a Redis client.
//
// Redis must be a single server, or one that has all keys: the scripts use keys that they compute, which a Redis
// Cluster does not allow.
package redisstore

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/meshpair/meshpair/peersox"
)

// DefaultPrefix begins all keys and channels, unless told otherwise.
const DefaultPrefix = "peersox:"

// A Store is a [peersox.Store], a [peersox.Counter] and a [peersox.Relay] in Redis.
type Store struct {
	client *redis.Client
	prefix string
}

var (
	_ peersox.Store   = (*Store)(nil)
	_ peersox.Counter = (*Store)(nil)
	_ peersox.Relay   = (*Store)(nil)
)

// Open connects to a URL such as redis://user:password@host:port/db, rediss:// for TLS or unix://path. All keys begin
// with the prefix; "" means DefaultPrefix. It fails if Redis does not answer.
func Open(ctx context.Context, url, prefix string) (*Store, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	// The client would ask the server for features that nothing here uses.
	options.DisableIdentity = true
	options.DialerRetries = 1 // commands are tried again anyway
	s := New(redis.NewClient(options), prefix)
	if err := s.client.Ping(ctx).Err(); err != nil {
		s.Close()
		return nil, fmt.Errorf("redisstore: %s does not answer: %w", options.Addr, err)
	}
	return s, nil
}

// New returns a store on a client, which Close closes.
func New(client *redis.Client, prefix string) *Store {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	return &Store{client, prefix}
}

// Close closes the connections to Redis. End the servers that use the store first.
func (s *Store) Close() error { return s.client.Close() }

func (s *Store) key(kind, name string) string { return s.prefix + kind + ":" + name }

// Scripts run as a whole: nothing comes between their commands.
var (
	// KEYS code, hash; ARGV the code, the hash, the life in ms.
	addPairing = redis.NewScript(`
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
return 1`)

	// KEYS code; ARGV the prefix of hashes, the life in ms.
	takeCode = redis.NewScript(`
local hash = redis.call('GETDEL', KEYS[1])
if not hash then return '' end
redis.call('PEXPIRE', ARGV[1] .. hash, ARGV[2])
return hash`)
)

// AddPairing implements [peersox.Store].
func (s *Store) AddPairing(ctx context.Context, code, hash string, life time.Duration) (bool, error) {
	keys := []string{s.key("code", code), s.key("hash", hash)}
	n, err := addPairing.Run(ctx, s.client, keys, code, hash, life.Milliseconds()).Int()
	return n == 1, err
}

// TakeCode implements [peersox.Store].
func (s *Store) TakeCode(ctx context.Context, code string, life time.Duration) (string, error) {
	return takeCode.Run(ctx, s.client, []string{s.key("code", code)}, s.key("hash", ""), life.Milliseconds()).Text()
}

// CheckPairing implements [peersox.Store].
func (s *Store) CheckPairing(ctx context.Context, code, hash string) (bool, error) {
	got, err := s.client.Get(ctx, s.key("hash", hash)).Result()
	if err == redis.Nil {
		return false, nil
	}
	return err == nil && code != "" && got == code, err
}

// AddToken implements [peersox.Store].
func (s *Store) AddToken(ctx context.Context, token string, life time.Duration) error {
	return s.client.Set(ctx, s.key("token", token), "token", life).Err()
}

// TakeToken implements [peersox.Store].
func (s *Store) TakeToken(ctx context.Context, token string) (bool, error) {
	n, err := s.client.Del(ctx, s.key("token", token)).Result()
	return n == 1, err
}

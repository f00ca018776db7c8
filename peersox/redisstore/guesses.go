package redisstore

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/meshpair/meshpair/peersox"
)

// The rules are those of internal/pairing, by the clock of Redis, in microseconds.
var (
	// KEYS the address, all addresses; ARGV free, wait, longest wait, forget, total, window, the times in µs. It
	// returns how long to wait and the time.
	attempt = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local free, wait, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local total, window = tonumber(ARGV[5]), tonumber(ARGV[6])
local until_ = tonumber(redis.call('HGET', KEYS[1], 'until') or 0)
if now < until_ then return {until_ - now, now} end
if total > 0 then
	local oldest = redis.call('LINDEX', KEYS[2], total - 1)
	if oldest and now - tonumber(oldest) < window then return {tonumber(oldest) + window - now, now} end
end
local wrong = redis.call('HINCRBY', KEYS[1], 'wrong', 1)
local delay = 0
if wrong > free then delay = math.min(wait * 2 ^ (wrong - free - 1), longest) end
local at = string.format('%.0f', now)
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + delay), 'last', at)
redis.call('PEXPIRE', KEYS[1], math.ceil(tonumber(ARGV[4]) / 1000))
if total > 0 then
	redis.call('LPUSH', KEYS[2], at)
	redis.call('LTRIM', KEYS[2], 0, total - 1)
	redis.call('PEXPIRE', KEYS[2], math.ceil(window / 1000))
end
return {0, now}`)

	// KEYS as before; ARGV the time of the attempt.
	right = redis.NewScript(`
redis.call('LREM', KEYS[2], 1, ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if redis.call('HINCRBY', KEYS[1], 'wrong', -1) <= 0 then return redis.call('DEL', KEYS[1]) end
if redis.call('HGET', KEYS[1], 'last') == ARGV[1] then redis.call('HSET', KEYS[1], 'until', 0) end
return 0`)
)

// KEYS the address and kind; ARGV the limit, the window in ms. It returns how long to wait in ms.
var making = redis.NewScript(`
local n = tonumber(redis.call('GET', KEYS[1]) or 0)
if n >= tonumber(ARGV[1]) then return math.max(redis.call('PTTL', KEYS[1]), 1) end
if n == 0 then redis.call('SET', KEYS[1], 1, 'PX', ARGV[2]) else redis.call('INCR', KEYS[1]) end
return 0`)

// Make implements [peersox.Counter].
func (s *Store) Make(ctx context.Context, kind, addr string, limit int, window time.Duration) (time.Duration, error) {
	wait, err := making.Run(ctx, s.client, []string{s.key("made", kind+":"+addr)}, limit, window.Milliseconds()).Int64()
	return time.Duration(wait) * time.Millisecond, err
}

func (s *Store) guessKeys(addr string) []string {
	return []string{s.key("guesses", addr), s.prefix + "guesses"}
}

// Attempt implements [peersox.Counter].
func (s *Store) Attempt(ctx context.Context, addr string, l peersox.GuessLimits, window time.Duration) (peersox.Attempt, error) {
	got, err := attempt.Run(ctx, s.client, s.guessKeys(addr), l.Free, l.Wait.Microseconds(), l.MaxWait.Microseconds(),
		l.Forget.Microseconds(), l.Total, window.Microseconds()).Int64Slice()
	if err != nil {
		return peersox.Attempt{}, err
	}
	return peersox.Attempt{Wait: time.Duration(got[0]) * time.Microsecond, At: time.UnixMicro(got[1])}, nil
}

// Right implements [peersox.Counter].
func (s *Store) Right(ctx context.Context, addr string, a peersox.Attempt) error {
	return right.Run(ctx, s.client, s.guessKeys(addr), a.At.UnixMicro()).Err()
}

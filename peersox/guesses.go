package peersox

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/meshpair/meshpair/internal/pairing"
)

// Defaults of [GuessLimits]. The chance that somebody finds a given code while it lives is DefaultTotalGuesses in a
// million, from however many addresses (PSX-41), and 28 in a million from a single one (PSX-40).
const (
	DefaultFreeGuesses  = 20
	DefaultGuessWait    = time.Second
	DefaultMaxGuessWait = 15 * time.Minute
	DefaultForgetGuess  = time.Hour
	DefaultTotalGuesses = 90
)

// Defaults of [MakeLimits].
const (
	DefaultMaxCodes      = 200
	DefaultMaxCodesDaily = 2_000
	DefaultMaxTokens     = 1_000
)

// MakeLimits bound what is made for one address, so that a stranger does not fill the store (PSX-44). Each holds for
// windows of time that begin with the first that is made. A field that is zero has its default; a negative one is no limit.
type MakeLimits struct {
	Codes      int // codes while one of them lives
	CodesDaily int // codes in a day, each of which may become a pairing that lives for a week
	Tokens     int // tokens while one of them lives
}

func (l MakeLimits) withDefaults() MakeLimits {
	for field, value := range map[*int]int{
		&l.Codes: DefaultMaxCodes, &l.CodesDaily: DefaultMaxCodesDaily, &l.Tokens: DefaultMaxTokens,
	} {
		if *field == 0 {
			*field = value
		}
	}
	return l
}

// GuessLimits bound how often codes may be guessed. A field that is zero has its default.
type GuessLimits struct {
	Free    int           // wrong codes of one address that cost no wait
	Wait    time.Duration // after the next wrong code; it doubles with each further one (PSX-40)
	MaxWait time.Duration // the longest wait
	Forget  time.Duration // after how long without an attempt an address has its free ones again
	Total   int           // wrong codes of all addresses while a code lives (PSX-41); negative for any number
}

// A Counter counts attempts to guess a code, and what is made for each address. That of package redisstore counts for
// many processes together. Its methods may be called at the same time.
type Counter interface {
	// Attempt counts an attempt of an address, as a wrong one, before its outcome is known. It returns how long the
	// address has to wait: if that is not 0 the attempt is not allowed, and is not counted. Codes live for window.
	Attempt(ctx context.Context, addr string, limits GuessLimits, window time.Duration) (Attempt, error)
	// Right takes back an attempt that was right.
	Right(ctx context.Context, addr string, a Attempt) error
	// Make counts one thing more of a kind that is made for an address. It returns how long the address has to wait: if
	// that is not 0 there have been limit of that kind within a window of time, and this one is not counted.
	Make(ctx context.Context, kind, addr string, limit int, window time.Duration) (wait time.Duration, err error)
}

// An Attempt is one that was counted, or refused.
type Attempt struct {
	Wait time.Duration // how long to wait, if it was refused; 0 if not
	At   time.Time     // when it was counted
}

func (l GuessLimits) withDefaults() GuessLimits {
	setDefault(&l.Free, DefaultFreeGuesses)
	setDefault(&l.Wait, DefaultGuessWait)
	setDefault(&l.MaxWait, DefaultMaxGuessWait)
	setDefault(&l.Forget, DefaultForgetGuess)
	if l.Total == 0 {
		l.Total = DefaultTotalGuesses
	}
	l.Total = max(l.Total, 0) // 0 is no limit below
	return l
}

// NewMemoryCounter returns a counter for one process.
func NewMemoryCounter() Counter {
	return &memoryCounter{makings: make(map[string]*pairing.Makings)}
}

// memoryCounter counts for one process.
type memoryCounter struct {
	mu      sync.Mutex
	guesses pairing.Guesses
	makings map[string]*pairing.Makings // by kind
}

func (m *memoryCounter) Make(_ context.Context, kind, addr string, limit int, window time.Duration) (time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.makings[kind] == nil {
		m.makings[kind] = new(pairing.Makings)
	}
	return m.makings[kind].Make(addr, limit, window, time.Now()), nil
}

func (m *memoryCounter) Attempt(_ context.Context, addr string, l GuessLimits, window time.Duration) (Attempt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.guesses.Limits = pairing.Limits{
		Free: l.Free, Wait: l.Wait, MaxWait: l.MaxWait, Forget: l.Forget, Total: l.Total, Window: window,
	}
	now := time.Now()
	return Attempt{Wait: m.guesses.Attempt(addr, now), At: now}, nil
}

func (m *memoryCounter) Right(_ context.Context, addr string, a Attempt) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.guesses.Right(addr, a.At)
	return nil
}

// clientAddr returns what a client is counted by: its IPv4 address, or the /64 network of its IPv6 address. Behind a
// proxy it is the address that the proxy has seen, which it adds to X-Forwarded-For as the last one; those before it
// are the client's own words (PSX-42).
func clientAddr(r *http.Request, trustProxy bool) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if lines := r.Header.Values("X-Forwarded-For"); trustProxy && len(lines) > 0 {
		last := lines[len(lines)-1]
		host = strings.TrimSpace(last[strings.LastIndex(last, ",")+1:])
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	network, _ := ip.Prefix(64)
	return network.String()
}

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

// GuessLimits bound how often codes may be guessed. A field that is zero has its default.
type GuessLimits struct {
	Free    int           // wrong codes of one address that cost no wait
	Wait    time.Duration // after the next wrong code; it doubles with each further one (PSX-40)
	MaxWait time.Duration // the longest wait
	Forget  time.Duration // after how long without an attempt an address has its free ones again
	Total   int           // wrong codes of all addresses while a code lives (PSX-41); negative for any number
}

// A GuessCounter counts attempts to guess a code. Attempts of many processes are counted together by that of package
// redisstore. Its methods may be called at the same time.
type GuessCounter interface {
	// Attempt counts an attempt of an address, as a wrong one, before its outcome is known. It returns how long the
	// address has to wait: if that is not 0 the attempt is not allowed, and is not counted. Codes live for window.
	Attempt(ctx context.Context, addr string, limits GuessLimits, window time.Duration) (Attempt, error)
	// Right takes back an attempt that was right.
	Right(ctx context.Context, addr string, a Attempt) error
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

// NewMemoryGuesses returns a counter of the attempts of one process.
func NewMemoryGuesses() GuessCounter { return new(memoryGuesses) }

// memoryGuesses counts the attempts of one process.
type memoryGuesses struct {
	mu      sync.Mutex
	guesses pairing.Guesses
}

func (m *memoryGuesses) Attempt(_ context.Context, addr string, l GuessLimits, window time.Duration) (Attempt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.guesses.Limits = pairing.Limits{
		Free: l.Free, Wait: l.Wait, MaxWait: l.MaxWait, Forget: l.Forget, Total: l.Total, Window: window,
	}
	now := time.Now()
	return Attempt{Wait: m.guesses.Attempt(addr, now), At: now}, nil
}

func (m *memoryGuesses) Right(_ context.Context, addr string, a Attempt) error {
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

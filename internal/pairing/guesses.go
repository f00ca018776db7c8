package pairing

import "time"

// Limits bound how often codes may be guessed (PSX-40 to PSX-43). Each field must be set.
type Limits struct {
	Free    int           // wrong codes of one address without a wait
	Wait    time.Duration // after the next one; it doubles with each that follows
	MaxWait time.Duration
	Forget  time.Duration // without an attempt, until an address is free again
	Total   int           // wrong codes of all addresses within Window; 0 for any number
	Window  time.Duration // how long a code lives
}

// MaxGuessers is how many addresses are kept. Only without a Total, or with a large one, can there be so many.
const MaxGuessers = 1 << 16

// A Guesser is what is kept of one address.
type Guesser struct {
	Wrong int       // attempts that count
	Until time.Time // when the next one may come
	Last  time.Time // when the last one came
}

// Delay is the wait after a number of wrong codes.
func (l Limits) Delay(wrong int) time.Duration {
	if wrong <= l.Free {
		return 0
	}
	d := l.Wait
	for range wrong - l.Free - 1 {
		if d *= 2; d >= l.MaxWait {
			break
		}
	}
	return min(d, l.MaxWait)
}

// Guesses counts attempts. Each counts as wrong from its beginning, so that many at once do not pass together, and one
// that was right is taken back (PSX-43). It is not safe for concurrent use.
type Guesses struct {
	Limits  Limits
	byAddr  map[string]*Guesser
	recent  []time.Time // attempts of all addresses within the window, the oldest first
	cleaned time.Time
}

// Attempt counts an attempt and returns 0, or returns how long the address has to wait and counts nothing.
func (g *Guesses) Attempt(addr string, now time.Time) (wait time.Duration) {
	g.clean(now)
	a := g.byAddr[addr]
	if a != nil && now.Before(a.Until) { // PSX-40
		return a.Until.Sub(now)
	}
	for len(g.recent) > 0 && now.Sub(g.recent[0]) >= g.Limits.Window {
		g.recent = g.recent[1:]
	}
	if g.Limits.Total > 0 && len(g.recent) >= g.Limits.Total { // PSX-41
		return g.recent[0].Add(g.Limits.Window).Sub(now)
	}
	if a == nil && len(g.byAddr) >= MaxGuessers {
		return g.Limits.Window
	}
	if a == nil {
		a = new(Guesser)
		g.byAddr[addr] = a
	}
	a.Wrong++
	a.Last = now
	a.Until = now.Add(g.Limits.Delay(a.Wrong))
	if g.Limits.Total > 0 {
		g.recent = append(g.recent, now)
	}
	return 0
}

// Right takes back an attempt of the address, at the time that Attempt was given.
func (g *Guesses) Right(addr string, at time.Time) {
	if a := g.byAddr[addr]; a != nil && a.Wrong > 0 {
		if a.Wrong--; a.Wrong == 0 {
			delete(g.byAddr, addr)
		} else if a.Last.Equal(at) {
			a.Until = at
		}
	}
	for i, t := range g.recent {
		if t.Equal(at) {
			g.recent = append(g.recent[:i:i], g.recent[i+1:]...)
			break
		}
	}
}

// Wrong returns how many attempts of an address count now.
func (g *Guesses) Wrong(addr string) int {
	if a := g.byAddr[addr]; a != nil {
		return a.Wrong
	}
	return 0
}

// clean forgets addresses, now and then.
func (g *Guesses) clean(now time.Time) {
	if g.byAddr == nil {
		g.byAddr = make(map[string]*Guesser)
	}
	if now.Sub(g.cleaned) < g.Limits.Forget/60 {
		return
	}
	g.cleaned = now
	for addr, a := range g.byAddr {
		if now.Sub(a.Last) >= g.Limits.Forget {
			delete(g.byAddr, addr)
		}
	}
}

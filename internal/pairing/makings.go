package pairing

import "time"

// MaxMakers is how many addresses are counted at a time, for each kind of thing that is made. Beyond that one that has
// made little is forgotten for one that comes: who has many addresses is not to shut out all others.
const MaxMakers = 1 << 16

// Makings counts what is made for each address within windows that begin with the first of it (PSX-44): at most Limit in
// each, so twice as many in a time as long as a window. It is not safe for concurrent use.
type Makings struct {
	byAddr  map[string]making
	cleaned time.Time
}

type making struct {
	began time.Time
	n     int
}

// Make counts one and returns 0, or returns how long the address has to wait and counts nothing.
func (m *Makings) Make(addr string, limit int, window time.Duration, now time.Time) (wait time.Duration) {
	if m.byAddr == nil {
		m.byAddr = make(map[string]making)
	}
	if now.Sub(m.cleaned) >= window {
		m.cleaned = now
		for a, made := range m.byAddr {
			if now.Sub(made.began) >= window {
				delete(m.byAddr, a)
			}
		}
	}
	made, known := m.byAddr[addr]
	if !known && len(m.byAddr) >= MaxMakers {
		m.forget()
	}
	if !known || now.Sub(made.began) >= window {
		made = making{began: now}
	}
	if made.n >= limit {
		return made.began.Add(window).Sub(now)
	}
	made.n++
	m.byAddr[addr] = made
	return 0
}

// forget forgets the one of a few addresses, drawn by chance, that has made the least.
func (m *Makings) forget() {
	const few = 16
	var least string
	looked := 0
	for a, made := range m.byAddr {
		if looked == 0 || made.n < m.byAddr[least].n {
			least = a
		}
		if looked++; looked == few {
			break
		}
	}
	delete(m.byAddr, least)
}

// Package seldom bounds what strangers can have a server write to its log: they must not be able to fill a disk.
package seldom

import (
	"sync"
	"time"
)

// Interval is the least time between two lines of one [Log].
const Interval = 10 * time.Second

// A Log says when a line about something that happens again and again is due. Its zero value is ready, and it may be used
// by any number of goroutines.
type Log struct {
	mu     sync.Mutex
	times  int // that it happened since the last line
	logged time.Time
}

// Due notes that it has happened. It returns how often it has since the last line, and whether a line is due, which the
// caller then writes.
func (l *Log) Due() (times int, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times++
	times = l.times
	if now := time.Now(); now.Sub(l.logged) >= Interval {
		l.times, l.logged, due = 0, now, true
	}
	return times, due
}

package main

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/meshpair/meshpair/netflux"
)

// A letter is a message as one recipient should get it.
type letter struct {
	from, to string
	kind     netflux.Kind
	private  bool
	sum      [sha256.Size]byte // of the content
}

// A ledger compares what was sent with what arrived.
type ledger struct {
	due                 map[letter]int // how often it should arrive
	got                 map[letter]int
	at                  map[letter]time.Time         // when it arrived
	may                 map[letter]bool              // those that may arrive once, or not at all
	names               map[[sha256.Size]byte]string // of contents, for people
	order               []letter                     // in which they were sent or, unexpected, arrived
	sent                int                          // messages, each to one or more recipients
	copies, bytes, owed int                          // of messages, one per recipient: those that arrived, and how many should have
}

func newLedger() *ledger {
	return &ledger{
		due: make(map[letter]int), got: make(map[letter]int), at: make(map[letter]time.Time),
		may: make(map[letter]bool), names: make(map[[sha256.Size]byte]string),
	}
}

// send enters a message before it is sent, and returns what should arrive.
func (l *ledger) send(from string, to []string, private bool, kind netflux.Kind, data []byte, name string) []letter {
	sum := sha256.Sum256(data)
	l.names[sum] = name
	l.sent++
	var letters []letter
	for _, to := range to {
		x := letter{from, to, kind, private, sum}
		l.enter(x)
		l.due[x]++
		l.owed++
		letters = append(letters, x)
	}
	return letters
}

// allow enters a message to all of which these may get a copy, or not. Who has only just come to know its sender may
// get it as a private one: EXT-4 holds from hello on.
func (l *ledger) allow(from string, to []string, kind netflux.Kind, data []byte) {
	for _, to := range to {
		for _, private := range []bool{false, true} {
			l.may[letter{from, to, kind, private, sha256.Sum256(data)}] = true
		}
	}
}

// forgive allows that a letter does not arrive that should.
func (l *ledger) forgive(x letter) {
	l.due[x]--
	l.owed--
	l.may[x] = true
}

// arrive enters a message that arrived.
func (l *ledger) arrive(from, to string, m netflux.Message, at time.Time) {
	x := letter{from, to, m.Kind, m.Private, sha256.Sum256(m.Data)}
	l.enter(x)
	l.got[x]++
	l.at[x] = at
	if l.may[x] { // once
		l.due[x]++
		l.owed++
		delete(l.may, x)
		x.private = !x.private
		delete(l.may, x)
	}
	l.copies++
	l.bytes += len(m.Data)
}

func (l *ledger) enter(x letter) {
	if l.due[x] == 0 && l.got[x] == 0 {
		l.order = append(l.order, x)
	}
}

// arrived reports whether all of them have arrived, and when the last did.
func (l *ledger) arrived(letters []letter) (last time.Time, all bool) {
	for _, x := range letters {
		if l.got[x] < l.due[x] {
			return last, false
		}
		if at := l.at[x]; at.After(last) {
			last = at
		}
	}
	return last, true
}

// problems tells in what the messages that arrived differ from those that were sent, each exactly once.
func (l *ledger) problems() []error {
	var all []error
	for _, x := range l.order {
		name := l.names[x.sum]
		due, got := l.due[x], l.got[x]
		switch {
		case due == got:
		case due == 0:
			all = append(all, fmt.Errorf("%s got a message of %s that nobody sent like this (SHA-256 %x)", x.to, x.from, x.sum))
		case got == 0:
			all = append(all, fmt.Errorf("%s did not get %s from %s", x.to, name, x.from))
		default:
			all = append(all, fmt.Errorf("%s got %s from %s %d times instead of %d", x.to, name, x.from, got, due))
		}
	}
	return all
}

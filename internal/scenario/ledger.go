package scenario

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// MinSize is the size of the smallest message, in bytes: its number, when it was sent, and its size.
const MinSize = 20

// filling is what messages are filled with; each begins at another place of it, so that no two parts are the same.
var filling = func() []byte {
	b := make([]byte, MaxFilling+251)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}()

// MaxFilling is how many bytes of a message are compared at a time.
const MaxFilling = 1 << 20

// A Ledger notes who said what to whom, what came where, and who seemed to leave, and judges that in the end. Members are
// known by their ids. Its methods may be called by any number of goroutines at once; times are since the clock began.
type Ledger struct {
	mu       sync.Mutex
	number   uint64
	pairs    map[[2]uint32]*record // by sender and receiver
	names    map[uint32]string
	original map[uint32]bool
	ended    map[uint32]bool            // they left or died
	knows    map[uint32]map[uint32]bool // by whom
	greeted  map[[2]uint32]bool         // who has had a hello of whom; nil: nobody looks at that
	thawed   map[uint32]time.Duration   // after a member went on that had stopped: from when on messages from and to it can be late
	late     []time.Duration
	report   Report
	leaves   []string // the first false ones
	problems []string
	dropped  int // problems beyond the first ones
}

// A record is what one member sent another one, and what came.
type record struct {
	sent   []uint64        // numbers, which go up
	firm   int             // how many of these were sent while each knew the other
	last   uint64          // the greatest number that came
	have   map[uint64]bool // numbers that came
	parted bool            // for one of the two the other has left
}

// A Report is what a run came to.
type Report struct {
	Messages    int           // copies sent, one for each who is to get it
	Delivered   int           // of these
	Doubled     int           // that came twice
	Disordered  int           // that came after a later one
	FalseLeaves int           // times a member seemed to leave for one that it knew, and did not
	Heal        time.Duration // the longest from a mishap, without another one, until all agreed on who is there

	// Within what time half of the messages came, and 90 and 99 of a hundred, and all.
	P50, P90, P99, Max time.Duration
}

// String returns a line for each figure. What runs a scenario, wherever, reports in this form.
func (r Report) String() string {
	var b strings.Builder
	for _, line := range []struct {
		name  string
		value any
	}{
		{"sent", r.Messages},
		{"delivered", r.Delivered},
		{"twice", r.Doubled},
		{"out of order", r.Disordered},
		{"false leaves", r.FalseLeaves},
		{"heal", r.Heal.Round(time.Millisecond)},
		{"latency p50", r.P50.Round(time.Microsecond)},
		{"latency p90", r.P90.Round(time.Microsecond)},
		{"latency p99", r.P99.Round(time.Microsecond)},
		{"latency max", r.Max.Round(time.Microsecond)},
	} {
		fmt.Fprintf(&b, "%-14s%v\n", line.name, line.value)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Add adds another run: its messages and leaves, and where it was slower its times.
func (r *Report) Add(o Report) {
	r.Messages += o.Messages
	r.Delivered += o.Delivered
	r.Doubled += o.Doubled
	r.Disordered += o.Disordered
	r.FalseLeaves += o.FalseLeaves
	r.Heal = max(r.Heal, o.Heal)
	r.P50, r.P90, r.P99, r.Max = max(r.P50, o.P50), max(r.P90, o.P90), max(r.P99, o.P99), max(r.Max, o.Max)
}

// Exceeded returns which of its limits a scenario did not keep, by its report.
func (s *Scenario) Exceeded(r Report) (problems []string) {
	if s.WithinLatency > 0 && r.Max > s.WithinLatency {
		problems = append(problems, fmt.Sprintf("a message came after %v", r.Max))
	}
	if s.WithinHeal > 0 && r.Heal > s.WithinHeal {
		problems = append(problems, fmt.Sprintf("all agreed after %v", r.Heal))
	}
	return problems
}

// NewLedger returns an empty one.
func NewLedger() *Ledger {
	return &Ledger{pairs: make(map[[2]uint32]*record), names: make(map[uint32]string), original: make(map[uint32]bool),
		ended: make(map[uint32]bool), knows: make(map[uint32]map[uint32]bool),
		thawed: make(map[uint32]time.Duration)}
}

// Name gives the id of a member its name.
func (l *Ledger) Name(id uint32, name string, original bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names[id], l.original[id] = name, original
}

// Fail notes that something is wrong.
func (l *Ledger) Fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail(format, args...)
}

func (l *Ledger) fail(format string, args ...any) {
	if len(l.problems) >= 20 {
		l.dropped++
		return
	}
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

func (l *Ledger) name(id uint32) string {
	if n := l.names[id]; n != "" {
		return n
	}
	return fmt.Sprint(id)
}

func (l *Ledger) record(from, to uint32) *record {
	r := l.pairs[[2]uint32{from, to}]
	if r == nil {
		r = &record{have: make(map[uint64]bool)}
		l.pairs[[2]uint32{from, to}] = r
	}
	return r
}

// Say returns a new message of a size that a member sends, to one or, if to is 0, to all that it knows.
func (l *Ledger) Say(from, to uint32, size int, now time.Duration) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number++
	for id := range l.knows[from] {
		if to != 0 && id != to {
			continue
		}
		r := l.record(from, id)
		r.sent = append(r.sent, l.number)
		l.report.Messages++
		if l.knows[id][from] && (l.greeted == nil || l.greeted[[2]uint32{from, id}]) {
			r.firm++
		}
	}
	b := make([]byte, max(size, MinSize))
	binary.BigEndian.PutUint64(b, l.number)
	binary.BigEndian.PutUint64(b[8:], uint64(now))
	binary.BigEndian.PutUint32(b[16:], uint32(len(b)))
	fill(b[MinSize:], l.number, func(b, with []byte) bool { copy(b, with); return true })
	return b
}

// fill goes through a message, part by part, together with what is to stand there.
func fill(b []byte, number uint64, f func(b, with []byte) bool) bool {
	for n := number; len(b) > 0; n++ {
		part := min(len(b), MaxFilling)
		if !f(b[:part], filling[n%251:][:part]) {
			return false
		}
		b = b[part:]
	}
	return true
}

// Got notes a message that came at a member.
func (l *Ledger) Got(by, from uint32, b []byte, now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(b) < MinSize || binary.BigEndian.Uint32(b[16:]) != uint32(len(b)) {
		l.fail("%s got %d bytes of %s, which are no message", l.name(by), len(b), l.name(from))
		return
	}
	n := binary.BigEndian.Uint64(b)
	if !fill(b[MinSize:], n, bytes.Equal) {
		l.fail("%s got message %d of %s with other content", l.name(by), n, l.name(from))
	}
	if !l.knows[by][from] {
		l.fail("%s got message %d of %s, which is no member for it", l.name(by), n, l.name(from))
	}
	r := l.record(from, by)
	if _, ok := slices.BinarySearch(r.sent, n); !ok {
		l.fail("%s got message %d of %s, which was not for it", l.name(by), n, l.name(from))
		return
	}
	judged := !l.original[by] && !l.original[from] && !r.parted // nothing is promised across a leave
	switch {
	case r.have[n]:
		l.report.Doubled++
		if judged {
			l.fail("%s got message %d of %s twice", l.name(by), n, l.name(from))
		}
		return
	case n < r.last:
		l.report.Disordered++
		if judged {
			l.fail("%s got message %d of %s after %d", l.name(by), n, l.name(from), r.last)
		}
	}
	r.have[n], r.last = true, max(n, r.last)
	l.report.Delivered++
	if judged {
		l.late = append(l.late, max(0, now-max(time.Duration(binary.BigEndian.Uint64(b[8:])), l.thawed[by], l.thawed[from])))
	}
}

// Joined notes that a member hears of another one.
func (l *Ledger) Joined(by, id uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.knows[by][id] {
		l.fail("for %s %s joined twice", l.name(by), l.name(id))
	}
	if l.knows[by] == nil {
		l.knows[by] = make(map[uint32]bool)
	}
	l.knows[by][id] = true
}

// Gone notes that another one seems to have left for a member.
func (l *Ledger) Gone(by, id uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.knows[by][id] {
		l.fail("for %s %s left, and had not joined", l.name(by), l.name(id))
	}
	delete(l.knows[by], id)
	l.record(by, id).parted, l.record(id, by).parted = true, true
	// One that had not heard of the other was still on its way in.
	if l.knows[id][by] && !l.ended[by] && !l.ended[id] && !l.original[by] && !l.original[id] {
		l.report.FalseLeaves++
		if len(l.leaves) < 10 {
			l.leaves = append(l.leaves, l.name(id)+" for "+l.name(by))
		}
	}
}

// Greeted notes that the hello of another one has come at a member, which may count on the contract from then on (EXT-2).
// Who never calls this says that greetings are not looked at.
func (l *Ledger) Greeted(by, id uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.greeted == nil {
		l.greeted = make(map[[2]uint32]bool)
	}
	l.greeted[[2]uint32{by, id}] = true
}

// End notes that a member leaves or dies: nothing is promised to it any more.
func (l *Ledger) End(id uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended[id] = true
}

// wakeTime is how long after a member goes on what is for it may still come late, or from it: what others sent each other to
// pass on was dropped, as they had found it silent as well, and is repeated after 300 ms (EXT-8).
const wakeTime = 500 * time.Millisecond

// Thawed notes that a member goes on that had stopped.
func (l *Ledger) Thawed(id uint32, now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.thawed[id] = now + wakeTime
}

// Healed notes how long it took until all agreed on who is there.
func (l *Ledger) Healed(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Heal = max(l.report.Heal, d)
}

// Complete reports whether all has come that is promised: between two that keep the contract of delivery, are
// there to the end and never lost each other, all that was sent while each knew the other and after its hello (EXT-2 to
// EXT-10).
func (l *Ledger) Complete() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for pair, r := range l.pairs {
		if l.promised(pair, r) && len(r.have) < r.firm {
			return false
		}
	}
	return true
}

func (l *Ledger) promised(pair [2]uint32, r *record) bool {
	for _, id := range pair {
		if l.original[id] || l.ended[id] {
			return false
		}
	}
	return !r.parted
}

// Judge returns what the run came to, and what was wrong with it. Where the group stays whole nobody seems to leave who
// did not.
func (l *Ledger) Judge(parted bool) (Report, []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	problems := slices.Clone(l.problems)
	if l.dropped > 0 {
		problems = append(problems, fmt.Sprintf("and %d problems more", l.dropped))
	}
	var missing []string
	for pair, r := range l.pairs {
		if l.promised(pair, r) && len(r.have) < r.firm {
			missing = append(missing, fmt.Sprintf("%s got %d messages of %s, which sent %d", l.name(pair[1]), len(r.have), l.name(pair[0]), r.firm))
		}
	}
	slices.Sort(missing)
	problems = append(problems, missing...)
	if l.report.FalseLeaves > 0 && !parted {
		problems = append(problems, fmt.Sprintf("%d times a member seemed to leave and did not: %s",
			l.report.FalseLeaves, strings.Join(l.leaves, ", ")))
	}
	slices.Sort(l.late)
	if n := len(l.late); n > 0 {
		l.report.P50, l.report.P90, l.report.P99, l.report.Max = l.late[n/2], l.late[n*9/10], l.late[n*99/100], l.late[n-1]
	}
	return l.report, problems
}

package scenario

import (
	"strings"
	"testing"
	"time"
)

// TestReport: a report has a line for each figure, and these are what happened.
func TestReport(t *testing.T) {
	l := NewLedger()
	for _, pair := range [][2]uint32{{1, 2}, {2, 1}} {
		l.Joined(pair[0], pair[1])
	}
	var last []byte
	for i := range 100 {
		last = l.Say(1, 2, 0, 0)
		l.Got(2, 1, last, time.Duration(i+1)*time.Millisecond)
	}
	l.Got(2, 1, last, 0)
	first := l.Say(1, 2, 0, 0)
	l.Got(2, 1, l.Say(1, 2, 0, 0), time.Millisecond)
	l.Got(2, 1, first, time.Millisecond)
	l.Say(1, 2, 0, 0) // is lost
	l.Gone(1, 2)
	l.Healed(time.Second)
	l.Healed(2 * time.Second)
	r, _ := l.Judge(false)
	want := `sent          103
delivered     102
twice         1
out of order  1
false leaves  1
heal          2s
latency p50   50ms
latency p90   90ms
latency p99   99ms
latency max   100ms`
	if r.String() != want {
		t.Errorf("got\n%v\nwant\n%s", r, want)
	}
	sum := Report{Messages: 1, Heal: 3 * time.Second, Max: time.Millisecond}
	sum.Add(r)
	if sum.Messages != 104 || sum.Delivered != 102 || sum.Doubled != 1 || sum.Heal != 3*time.Second || sum.Max != r.Max || sum.P90 != r.P90 {
		t.Errorf("together\n%v", sum)
	}
}

// TestExceeded: a scenario's limits are judged by the report.
func TestExceeded(t *testing.T) {
	r := Report{Max: time.Second, Heal: 2 * time.Second}
	for text, want := range map[string]string{
		"":                       "",
		"\nexpect latency 1s":    "",
		"\nexpect latency 900ms": "a message came after 1s",
		"\nexpect heal 2s":       "",
		"\nexpect heal 1900ms":   "all agreed after 2s",
	} {
		s, err := Parse("members a b" + text)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(s.Exceeded(r), "\n"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

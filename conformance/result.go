package conformance

import (
	"fmt"
	"strings"
	"time"
)

// A Failure says how an implementation differs from what is required.
type Failure struct {
	What     string // where the case was, in words
	Expected string
	Actual   string
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s\nExpected: %s\nActual:   %s", f.What, f.Expected, f.Actual)
}

// A Verdict is what a case has found.
type Verdict string

// The verdicts. A case is skipped that was selected but not run.
const (
	Pass        Verdict = "pass"
	Fail        Verdict = "FAIL"
	Warning     Verdict = "warning" // a SHOULD that is not kept, unless that is to be a failure
	Unsupported Verdict = "unsupported"
	Skipped     Verdict = "skipped"
	Unjudged    Verdict = "-" // of closing, where the case looks at no end of a connection
)

// A Result is the outcome of one case. What a target does, and how it ends
// connections (the close code, a close frame at all), are judged apart: a wrong
// close code does not end a case.
type Result struct {
	Case        *Case
	Failure     *Failure // of what the target did; nil for none
	Closing     *Failure // of how it ended a connection; nil for none
	Closings    int      // how many ends of connections were judged
	Unsupported string   // what the target says that it cannot do; "" for nothing
	Skipped     string   // why the case was not run; "" if it was
	Time        time.Duration

	lenient bool // a SHOULD that is not kept is a warning
}

// Failed reports whether the case has found a fault of either kind.
func (r Result) Failed() bool { return r.Failure != nil || r.Closing != nil }

// Verdict is the one on all of the case.
func (r Result) Verdict() Verdict {
	if r.Closing != nil {
		return r.fault()
	}
	return r.Behaviour()
}

// Behaviour is the verdict on what the target did, closing aside.
func (r Result) Behaviour() Verdict {
	switch {
	case r.Failure != nil:
		return r.fault()
	case r.Unsupported != "":
		return Unsupported
	case r.Skipped != "":
		return Skipped
	}
	return Pass
}

// Close is the verdict on how the target ended connections.
func (r Result) Close() Verdict {
	switch {
	case r.Closing != nil:
		return r.fault()
	case r.Closings == 0:
		return Unjudged
	}
	return Pass
}

func (r Result) fault() Verdict {
	if r.lenient && r.Case.Level == Should {
		return Warning
	}
	return Fail
}

// reason says why the verdict is not Pass.
func (r Result) reason() string {
	var all []string
	for _, f := range []*Failure{r.Failure, r.Closing} {
		if f != nil {
			all = append(all, f.Error())
		}
	}
	if r.Closing != nil {
		all[len(all)-1] = "closing: " + all[len(all)-1]
	}
	for _, s := range []string{r.Unsupported, r.Skipped} {
		if s != "" {
			all = append(all, s)
		}
	}
	return strings.Join(all, "\n")
}

func (r Result) String() string {
	c := r.Case
	s := fmt.Sprintf("%s  %s  %s (%s, %s)", r.Verdict(), c.ID, c.Sentence, c.Level, strings.Join(c.Requirements, " "))
	if why := r.reason(); why != "" {
		s += "\n      " + strings.ReplaceAll(why, "\n", "\n      ")
	}
	return s
}

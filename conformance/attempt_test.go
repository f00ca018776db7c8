package conformance

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// An attempt is a test whose failure is a result, and fails nothing.
type attempt struct {
	testing.TB
	why []string
}

// try runs f, and returns why it has failed, or "".
func try(t testing.TB, f func(testing.TB)) string {
	a := &attempt{TB: t}
	done := make(chan struct{})
	go func() { // of which Fatal ends no more than this
		defer close(done)
		f(a)
	}()
	<-done
	return strings.Join(a.why, "; ")
}

func (a *attempt) Helper()      {}
func (a *attempt) Failed() bool { return len(a.why) > 0 }
func (a *attempt) Fail()        { a.why = append(a.why, "it failed") }

func (a *attempt) Error(args ...any) { a.why = append(a.why, strings.TrimSpace(fmt.Sprintln(args...))) }

func (a *attempt) Errorf(format string, args ...any) {
	a.why = append(a.why, fmt.Sprintf(format, args...))
}

func (a *attempt) FailNow() { a.Fail(); runtime.Goexit() }

func (a *attempt) Fatal(args ...any) { a.Error(args...); runtime.Goexit() }

func (a *attempt) Fatalf(format string, args ...any) { a.Errorf(format, args...); runtime.Goexit() }

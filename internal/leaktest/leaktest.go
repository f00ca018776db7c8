// Package leaktest looks for goroutines that the tests of a package leave.
package leaktest

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

// patience is how long goroutines may take to end on a slow and busy machine.
const patience = 20 * time.Second

// Run runs tests, whose status it returns: 1 also if more goroutines run in the end than before.
func Run(tests func() int) (status int) {
	before := runtime.NumGoroutine()
	status = tests()
	if f := flag.Lookup("test.fuzz"); f != nil && f.Value.String() != "" {
		return status // a fuzz run leaves a goroutine of its own, which waits for signals
	}
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			fmt.Printf("FAIL: %d goroutines are left\n", runtime.NumGoroutine()-before)
			pprof.Lookup("goroutine").WriteTo(os.Stdout, 1)
			return 1
		}
	}
	return status
}

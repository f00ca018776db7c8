package seldom_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshpair/meshpair/internal/seldom"
)

// TestDue has something happen 100 times, then nothing for the interval, and once more.
func TestDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log seldom.Log
		lines := 0
		for range 100 {
			if times, due := log.Due(); due {
				lines++
				if times != 1 {
					t.Errorf("the first line is about %d times", times)
				}
			}
		}
		time.Sleep(seldom.Interval)
		if times, due := log.Due(); lines != 1 || !due || times != 100 {
			t.Errorf("%d lines, then %v for %d times", lines, due, times)
		}
	})
}

package conformance

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/meshpair/meshpair/conformance/transcript"
)

// TestSlowReplay plays transcripts so slowly that the server finds their groups in parts, and asks and leads members unasked
// (SIG-50 to SIG-52): with a pause before one step, long enough for it to ask, or to lead, or with several.
func TestSlowReplay(t *testing.T) {
	t.Parallel()
	all, err := transcript.Load(transcripts)
	if err != nil {
		t.Fatal(err)
	}
	target := Target{Signaling: startSigver(t)}
	asked := make(chan bool, 1000)
	t.Run("plays", func(t *testing.T) {
		for _, tr := range all {
			for _, pauses := range pausesOf(len(tr.Steps)) {
				t.Run(fmt.Sprint(tr.Name, pauses), func(t *testing.T) {
					t.Parallel()
					r := playSlowly(tr, target, pauses, asked)
					if r.Failed() {
						t.Error(r)
					}
				})
			}
		}
	})
	if len(asked) < 5 {
		t.Errorf("in %d plays somebody was asked: the pauses are too short, or in the wrong places", len(asked))
	}
}

// pausesOf returns at which steps a transcript of so many is held up, and for how long: a short one not at all.
func pausesOf(steps int) []map[int]time.Duration {
	if steps < 50 {
		return nil
	}
	const some = 3500 * time.Millisecond // for a server to ask; in twice that it leads
	all := []map[int]time.Duration{{20: some, 40: some, steps - 5: some}}
	for at := 10; at < steps; at += 25 {
		all = append(all, map[int]time.Duration{at: some}, map[int]time.Duration{at + 5: 2*some + time.Second})
	}
	return all
}

// playSlowly plays a transcript, and tells whether the server asked somebody meanwhile.
func playSlowly(tr *transcript.Transcript, target Target, pauses map[int]time.Duration, asked chan<- bool) Result {
	c := &Case{ID: "SIG/" + filepath.Base(tr.Name), Requirements: tr.Requirements, Sentence: tr.Title, run: func(r *run) {
		y := newReplay(r)
		y.slow = func(step int) { time.Sleep(pauses[step]) }
		defer func() {
			if len(y.asked.void) > 0 {
				asked <- true
			}
		}()
		y.play(tr)
	}}
	return c.Run(target)
}

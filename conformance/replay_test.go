package conformance

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshpair/meshpair/conformance/transcript"
)

// TestSlowReplay plays transcripts so slowly that the server finds their groups in parts, and asks and leads members unasked
// (SIG-50 to SIG-52).
func TestSlowReplay(t *testing.T) {
	t.Parallel()
	all, err := transcript.Load(transcripts)
	if err != nil {
		t.Fatal(err)
	}
	target := Target{Signaling: startSigver(t)}
	asked := make(chan string, 1000)
	t.Run("plays", func(t *testing.T) {
		for _, tr := range all {
			for _, pauses := range pausesOf(len(tr.Steps)) {
				t.Run(fmt.Sprint(tr.Name, pauses), func(t *testing.T) {
					t.Parallel()
					r := playSlowly(tr, target, func(step int) { time.Sleep(pauses[step]) }, asked)
					if r.Failed() {
						t.Error(r)
					}
				})
			}
		}
	})
	if len(asked) < 3 {
		t.Errorf("in %d plays somebody was asked: the pauses are too short, or in the wrong places", len(asked))
	}
}

// TestSlowReplayJudges: what is wrong is noticed in a transcript that is played slowly, too, after members have been asked.
func TestSlowReplayJudges(t *testing.T) {
	t.Parallel()
	all, err := transcript.Load(transcripts)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*signaling){
		"other data": func(s *signaling) {
			if s.content != nil && s.content.data != nil {
				s.content.data = append(s.content.data, 1)
			}
		},
		"connected:true": func(s *signaling) {
			if s.connected != nil {
				*s.connected = true
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var late atomic.Bool
			how := onMessage(func(s *signaling) {
				if late.Load() {
					change(s)
				}
			})
			target := Target{Signaling: "ws://" + startTampered(t, strings.TrimPrefix(startSigver(t), "ws://"), how)}
			asked := make(chan string, 1)
			i := slices.IndexFunc(all, func(tr *transcript.Transcript) bool { return tr.Name == "random-5" })
			r := playSlowly(all[i], target, func(step int) {
				if step == 40 {
					time.Sleep(2*askedAfter + time.Second)
					late.Store(true)
				}
			}, asked)
			if !r.Failed() || len(asked) == 0 {
				t.Errorf("asked %v; %v", len(asked) > 0, r)
			}
			t.Log(r)
		})
	}
}

// TestSlowParts has the members of a group in parts tell whom they know so late that they have been asked before (SIG-50): the
// cases of chapter SIG see all the same that they are led then.
func TestSlowParts(t *testing.T) {
	t.Parallel()
	c := &Case{ID: "SIG-51/slow", run: func(r *run) {
		s := r.inParts(0, 0, 0, 1, 1)
		time.Sleep(askedAfter + time.Second)
		for i := range s.peers {
			s.tell(i)
		}
		i, _ := s.led(time.Now().Add(healWait))
		r.expect(i >= 0, "members say that they are in parts", "one of them is led", "nobody is")
	}}
	if r := c.Run(Target{Signaling: startSigver(t)}); r.Failed() {
		t.Error(r)
	}
}

// pausesOf returns at which steps a transcript of so many is held up, and for how long: a short one not at all. With -slow
// that is at many places.
func pausesOf(steps int) []map[int]time.Duration {
	if steps < 50 {
		return nil
	}
	const some = 3500 * time.Millisecond // for a server to ask; in twice that it leads
	all := []map[int]time.Duration{{20: some, 40: some, steps - 5: some}, {40: 2*some + time.Second}}
	if *slow {
		for at := 10; at < steps; at += 25 {
			all = append(all, map[int]time.Duration{at: some}, map[int]time.Duration{at + 5: 2*some + time.Second})
		}
	}
	return all
}

// playSlowly plays a transcript, and tells whether the server asked somebody meanwhile.
func playSlowly(tr *transcript.Transcript, target Target, slow func(step int), asked chan<- string) Result {
	c := &Case{ID: "SIG/" + tr.Name, Requirements: tr.Requirements, Sentence: tr.Title, run: func(r *run) {
		y := newReplay(r)
		y.slow = slow
		defer func() {
			if len(y.asked.void) > 0 {
				asked <- tr.Name
			}
		}()
		y.play(tr)
	}}
	return c.Run(target)
}

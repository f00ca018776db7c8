package mesh

import (
	"container/heap"
	"time"
)

// A timer fires once, unless it is stopped before.
type timer struct {
	at    time.Duration
	seq   uint64 // those for one time fire in the order in which they were set
	fire  func()
	index int // in the heap; -1 when not in it
	in    *timers
}

// stop makes sure that the timer does not fire any more. It may be nil.
func (t *timer) stop() {
	if t != nil && t.index >= 0 {
		heap.Remove(t.in, t.index)
	}
}

// timers is a heap of all timers that run.
type timers struct {
	heap []*timer
	seq  uint64
}

func (s *timers) add(at time.Duration, f func()) *timer {
	s.seq++
	t := &timer{at: at, seq: s.seq, fire: f, in: s}
	heap.Push(s, t)
	return t
}

// next returns when the first timer fires.
func (s *timers) next() (time.Duration, bool) {
	if len(s.heap) == 0 {
		return 0, false
	}
	return s.heap[0].at, true
}

// due takes out and returns the first timer if its time has come.
func (s *timers) due(now time.Duration) *timer {
	if len(s.heap) == 0 || s.heap[0].at > now {
		return nil
	}
	return heap.Pop(s).(*timer)
}

func (s *timers) Len() int { return len(s.heap) }

func (s *timers) Less(i, j int) bool {
	a, b := s.heap[i], s.heap[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (s *timers) Swap(i, j int) {
	s.heap[i], s.heap[j] = s.heap[j], s.heap[i]
	s.heap[i].index, s.heap[j].index = i, j
}

func (s *timers) Push(x any) {
	t := x.(*timer)
	t.index = len(s.heap)
	s.heap = append(s.heap, t)
}

func (s *timers) Pop() any {
	n := len(s.heap) - 1
	t := s.heap[n]
	s.heap[n] = nil
	s.heap = s.heap[:n]
	t.index = -1
	return t
}

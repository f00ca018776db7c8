//go:build unix

package benchmarks

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

const (
	joinPairs   = 400 // of a round
	joinWorkers = 8   // that open them
	joinBuffer  = 512 // bytes; the messages are a few
)

// BenchmarkJoin measures how peers come and go: TCP, upgrade and one message in
// each direction, all connections staying open; and then their leaving, by a
// close frame.
func BenchmarkJoin(b *testing.B) {
	targets := startBoth(b)
	for kind, t := range targets {
		if _, err := joins(t, joinPairs/4); err != nil {
			b.Fatalf("%s: %v", kind, err)
		}
	}
	figures := []figure{
		{"ns-cpu/join", "join-cpu-ratio"}, {"join/s", "join-rate-ratio"}, {"allocs/join", ""},
		{"ns-cpu/leave", "leave-cpu-ratio"},
	}
	compare(b, both, figures, func(kind string) (sample, error) { return joins(targets[kind], joinPairs) })
}

// joins is a round.
func joins(t *target, n int) (sample, error) {
	before, err := t.settle(0)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	pairs, err := t.joinAll(n)
	defer func() {
		for _, p := range pairs {
			p.drop()
		}
	}()
	if err != nil {
		return nil, err
	}
	took := time.Since(start)
	joined, err := t.settle(2 * n)
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		// The joiner first: what its member hears of it is part of the cost.
		if err := p.joiner.leave(); err != nil {
			return nil, err
		}
		if err := p.member.leave(); err != nil {
			return nil, err
		}
	}
	left, err := t.settle(0)
	if err != nil {
		return nil, err
	}
	conns := float64(2 * n)
	return sample{
		"ns-cpu/join":  float64(joined.CPU-before.CPU) / conns,
		"allocs/join":  float64(joined.Mallocs-before.Mallocs) / conns,
		"join/s":       conns / took.Seconds(),
		"ns-cpu/leave": float64(left.CPU-joined.CPU) / conns,
	}, nil
}

// joinAll opens pairs, several at a time. After an error it returns those that
// are open.
func (t *target) joinAll(n int) ([]*pair, error) {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex // guards the rest
		opened []*pair
		failed error
	)
	first := t.keys
	t.keys += n
	for worker := range joinWorkers {
		wg.Go(func() {
			for i := worker; i < n; i += joinWorkers {
				p, err := t.joinKey(fmt.Sprintf("/benchmark-%d", first+i+1), joinBuffer)
				mu.Lock()
				if err != nil {
					failed = err
				} else {
					opened = append(opened, p)
				}
				end := failed != nil
				mu.Unlock()
				if end {
					return
				}
			}
		})
	}
	wg.Wait()
	return opened, failed
}

//go:build unix

package benchmarks

import "testing"

// BenchmarkIdle measures the memory of connections that have joined and are
// silent, in pairs. Each round has a process of its own, since a heap that has
// been larger before tells little.
func BenchmarkIdle(b *testing.B) {
	pairs := *idleConns / 2
	if most := (int(min(fileLimit(), 1<<20)) - 100) / 2; pairs > most {
		b.Logf("%d connections instead of %d, as no more files may be open", 2*most, *idleConns)
		pairs = most
	}
	figures := []figure{
		{"bytes/idle-conn", "mem-ratio"}, {"stack-bytes/idle-conn", ""}, {"rss-bytes/idle-conn", "rss-ratio"},
	}
	compare(b, both, figures, func(kind string) (sample, error) { return idle(kind, pairs, b.Name()) })
}

// idle is a round.
func idle(kind string, pairs int, name string) (sample, error) {
	t, err := startTarget(kind, name)
	if err != nil {
		return nil, err
	}
	defer t.stop()
	before, err := t.ask(cmdClean)
	if err != nil {
		return nil, err
	}
	open, err := t.joinAll(pairs)
	defer func() {
		for _, p := range open {
			p.drop()
		}
	}()
	if err != nil {
		return nil, err
	}
	// A goroutine that has just written may not have ended yet.
	if _, err := t.settle(2 * pairs); err != nil {
		return nil, err
	}
	after, err := t.ask(cmdClean)
	if err != nil {
		return nil, err
	}
	perConn := func(before, after uint64) float64 { // it may have shrunk
		return (float64(after) - float64(before)) / float64(2*pairs)
	}
	heap, stacks := perConn(before.Heap, after.Heap), perConn(before.Stacks, after.Stacks)
	return sample{
		"bytes/idle-conn":       heap + stacks,
		"stack-bytes/idle-conn": stacks,
		"rss-bytes/idle-conn":   perConn(before.RSS, after.RSS),
	}, nil
}

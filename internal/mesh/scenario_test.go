package mesh

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// A scenario is a group that things happen to, all of which follow from a seed.
type scenario struct {
	*talk
	t     *testing.T
	log   []string
	alive []*node
}

func (x *scenario) note(format string, args ...any) {
	x.log = append(x.log, fmt.Sprintf("%7v  ", x.s.now.Round(time.Millisecond))+fmt.Sprintf(format, args...))
}

// do has something happen.
func (x *scenario) do() {
	s := x.s
	pick := func() *node { return x.alive[s.rand.IntN(len(x.alive))] }
	a, b := pick(), pick()
	switch p := s.rand.IntN(100); {
	case p < 40 && a != b:
		x.say(a, b, s.rand.IntN(35_000))
	case p < 80:
		x.say(a, nil, s.rand.IntN(3000))
	case p < 88:
		if a != b && sound(x.alive, a) > 2 && sound(x.alive, b) > 2 {
			silent := s.rand.IntN(3) == 0
			x.note("the channel between %s and %s breaks, silent %v", a.name, b.name, silent)
			s.sever(a, b, silent)
		}
	case p < 90:
		if s.down {
			x.note("signaling is back")
			s.startServer()
		} else {
			x.note("signaling ends")
			s.stopServer()
		}
	case p < 92 && len(x.alive) > 3:
		x.note("%s leaves", a.name)
		a.step(Leave{})
		x.drop(a)
	case p < 93 && len(x.alive) > 3:
		silent := s.rand.IntN(2) == 0
		x.note("%s dies, silent %v", a.name, silent)
		a.kill(silent)
		x.drop(a)
	case p < 95 && len(x.alive) < 9 && !s.down:
		n := s.node(Config{Original: x.s.rand.IntN(6) == 0})
		x.note("%s joins, original %v", n.name, n.core.cfg.Original)
		n.step(Join{Key: "key"})
		s.run(3 * time.Second)
		x.alive = append(x.alive, n)
		x.nodes = x.alive
	}
	s.run(time.Duration(s.rand.IntN(200)) * time.Millisecond)
}

func (x *scenario) drop(n *node) {
	x.alive = remove(x.alive, n)
	x.nodes = x.alive
}

// run runs a scenario of so many events, and checks that all comes right in the end.
func runScenario(t *testing.T, seed uint64, events int) {
	s := newSim(t, seed)
	nodes := s.group(3+s.rand.IntN(3), Config{})
	s.run(time.Second)
	x := &scenario{talk: newTalk(s, nodes), t: t, alive: slices.Clone(nodes)}
	x.nodes = x.alive
	defer func() {
		if t.Failed() {
			for _, line := range x.log {
				t.Log(line)
			}
			t.Fatalf("seed %d\n%s", seed, s.describe())
		}
	}()
	for range events {
		x.do()
	}
	if s.down {
		x.note("signaling is back")
		s.startServer()
	}
	x.note("the end")
	s.until(3*time.Minute, "one group again", func() bool { return whole(x.alive) && settled(x.alive) })
	x.checkOrder(t)
	for _, n := range x.alive {
		n.step(Leave{})
	}
	s.run(20 * time.Second)
	for _, n := range x.alive {
		if c := n.core; c.State() != StateLeft || c.timers.Len() != 0 || c.partial != 0 || len(c.channels) != 0 {
			t.Errorf("%s: %v, %d timers", n.name, c.State(), c.timers.Len())
		}
	}
}

// whole reports whether all know all.
func whole(nodes []*node) bool {
	for _, n := range nodes {
		if n.core.State() != StateJoined || len(n.core.Members()) != len(nodes) {
			return false
		}
		for _, o := range nodes {
			if o != n && n.core.members[o.core.ID()] == nil {
				return false
			}
		}
	}
	return true
}

// checkOrder expects that nothing came twice or out of order, and between two of which neither lost the other, all.
func (k *talk) checkOrder(t *testing.T) {
	t.Helper()
	for _, to := range k.nodes {
		if to.core.cfg.Original {
			continue
		}
		last, count := map[uint32]uint64{}, map[uint32]int{}
		for _, d := range to.got {
			n := number(d)
			if n <= last[d.From] && keeps(k.nodes, d.From) {
				t.Errorf("%s got message %d of %d after %d", to.name, n, d.From, last[d.From])
			}
			last[d.From] = n
			count[d.From]++
		}
		for _, from := range k.nodes {
			id := from.core.ID()
			if from == to || from.core.cfg.Original || from.lost[to.core.ID()] || to.lost[id] {
				continue
			}
			if want := k.sent[[2]uint32{id, to.core.ID()}]; count[id] < want { // it may not have known yet that it is heard
				t.Errorf("%s got %d messages of %s, which sent %d", to.name, count[id], from.name, want)
			}
		}
	}
}

func keeps(nodes []*node, id uint32) bool {
	i := slices.IndexFunc(nodes, func(n *node) bool { return n.core.ID() == id })
	return i >= 0 && !nodes[i].core.cfg.Original
}

// TestScenarios runs random scenarios. SCENARIO=n runs one.
func TestScenarios(t *testing.T) {
	if one := os.Getenv("SCENARIO"); one != "" {
		seed, err := strconv.ParseUint(one, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		runScenario(t, seed, 150)
		return
	}
	n := uint64(50) // SCENARIOS=1000 go test -run Scenarios takes a minute or two
	if v := os.Getenv("SCENARIOS"); v != "" {
		n, _ = strconv.ParseUint(v, 10, 64)
	}
	for seed := range n {
		if runScenario(t, seed, 150); t.Failed() {
			return
		}
	}
}

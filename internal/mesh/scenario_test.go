package mesh

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/scenario"
)

// settleTime is how long a group may take until it agrees after the last event.
const settleTime = 3 * time.Minute

// worstDelay is how late a message may come in a group that stays whole, and of which a scenario expects nothing better: it
// takes 2.4 s to notice that a channel is silent (EXT-9), and the ways round it may be silent, too (EXT-8).
const worstDelay = 12 * time.Second

// A trial runs a scenario in the simulator.
type trial struct {
	*scenario.Scenario
	cfg    Config
	s      *sim
	ledger *scenario.Ledger
	here   map[string]*node // by name
	alive  []*node
	gone   []*node // those that left
	cuts   map[[2]string]bool
	calm   time.Duration // the last mishap
	healed bool          // all have agreed since
}

// A verdict is what a trial found.
type verdict struct {
	scenario.Report
	problems []string
}

// A fakeTB takes the place of a test for a simulator, so that a scenario that fails can be run again.
type fakeTB struct {
	testing.TB
	ledger *scenario.Ledger
}

// A stopped is what fakeTB panics with.
type stopped struct{}

func (f *fakeTB) Helper()                      {}
func (f *fakeTB) Errorf(s string, args ...any) { f.ledger.Fail(s, args...) }
func (f *fakeTB) Error(args ...any)            { f.ledger.Fail("%s", fmt.Sprint(args...)) }
func (f *fakeTB) Fatal(args ...any)            { f.ledger.Fail("%s", fmt.Sprint(args...)); panic(stopped{}) }
func (f *fakeTB) Fatalf(s string, args ...any) { f.ledger.Fail(s, args...); panic(stopped{}) }

// try runs a scenario. trace may be nil.
func try(sc *scenario.Scenario, trace func(now time.Duration, from, to, what string)) verdict {
	return tryWith(sc, trace, Config{})
}

// tryWith runs a scenario with members of a configuration.
func tryWith(sc *scenario.Scenario, trace func(now time.Duration, from, to, what string), cfg Config) (v verdict) {
	ledger := scenario.NewLedger()
	s := newSim(&fakeTB{ledger: ledger}, sc.Seed)
	x := &trial{Scenario: sc, cfg: cfg, s: s, ledger: ledger, here: make(map[string]*node), cuts: make(map[[2]string]bool)}
	s.ledger = ledger
	s.watch = newWatch(s, ledger, sc.Window)
	if trace != nil {
		s.trace = func(from, to, what string) { trace(s.now, from, to, what) }
	}
	parted := sc.Parted()
	defer func() {
		switch p := recover().(type) {
		case nil, stopped:
		default:
			ledger.Fail("panic: %v\n%s", p, stack())
		}
		v.Report, v.problems = ledger.Judge(parted)
		x.judge(&v, parted)
	}()
	x.latencies()
	s.cut = func(a, b *node) bool { return x.cuts[nameOf(a, b)] }
	for _, name := range sc.Members {
		x.join(name)
		x.until(30*time.Second, name+" has joined", func() bool { return whole(x.alive) })
	}
	x.until(10*time.Second, "a full mesh", func() bool { return full(x.alive...) })
	s.run(time.Second)
	x.run()
	x.settle()
	x.leave()
	return v
}

// until lets time pass until a condition holds, which is looked at now and then, and fails if it does not in time.
func (x *trial) until(limit time.Duration, what string, ok func() bool) {
	for end := x.s.now + limit; !ok(); x.s.run(20 * time.Millisecond) {
		if x.s.now > end {
			x.s.t.Fatalf("after %v: not %s\n%s", limit, what, x.s.describe())
		}
	}
}

func stack() string {
	b := make([]byte, 4096)
	return string(b[:runtime.Stack(b, false)])
}

func nameOf(a, b *node) [2]string {
	if a.name > b.name {
		a, b = b, a
	}
	return [2]string{a.name, b.name}
}

// latencies gives each pair one of its own.
func (x *trial) latencies() {
	per := make(map[[2]string]time.Duration)
	x.s.latency = func(a, b *node) time.Duration {
		if a == nil || b == nil || x.MaxLatency == x.MinLatency {
			return x.MinLatency
		}
		pair := nameOf(a, b)
		d, ok := per[pair]
		if !ok {
			d = x.MinLatency + time.Duration(x.s.rand.Int64N(int64(x.MaxLatency-x.MinLatency)))
			per[pair] = d
		}
		return d
	}
}

func (x *trial) join(name string) {
	cfg := x.cfg
	cfg.Original = cfg.Original || x.IsOriginal(name)
	cfg.Window = x.Window
	n := x.s.node(cfg)
	n.name = name
	if x.DoesListen(name) {
		n.url = "ws://" + name
	}
	x.here[name] = n
	x.alive = append(x.alive, n)
	n.step(Join{Key: "key", Listen: n.url})
	x.ledger.Name(n.core.ID(), name, x.IsOriginal(name))
}

// run has all events happen in their time.
func (x *trial) run() {
	begin := x.s.now
	x.calm = begin
	for _, e := range x.Steps() {
		for end := begin + e.At; x.s.now < end; {
			x.look()
			x.s.run(min(end-x.s.now, 100*time.Millisecond))
		}
		x.do(e)
	}
}

// look notes whether all agree for the first time since the last mishap.
func (x *trial) look() {
	if !x.healed && whole(x.alive) {
		x.healed = true
		x.ledger.Healed(x.s.now - x.calm)
	}
}

// do has something happen.
func (x *trial) do(e scenario.Event) {
	s := x.s
	a, b := x.here[e.A], x.here[e.B]
	if e.Do != scenario.Say {
		s.watch.calm = false
		x.calm, x.healed = s.now, false
	}
	switch e.Do {
	case scenario.Join:
		x.join(e.A)
	case scenario.Leave:
		x.ledger.End(a.core.ID())
		a.step(Leave{})
		x.gone = append(x.gone, a)
		x.drop(a)
	case scenario.Die:
		x.ledger.End(a.core.ID())
		a.kill(e.Silently)
		x.drop(a)
	case scenario.Break:
		s.sever(a, b, false)
	case scenario.Blackhole:
		s.sever(a, b, true)
	case scenario.Freeze:
		a.freeze(e.For)
	case scenario.Cut:
		x.cuts[nameOf(a, b)] = true
		s.sever(a, b, false)
	case scenario.Split:
		for i, part := range e.Parts {
			for _, other := range e.Parts[:i] {
				for _, p := range part {
					for _, q := range other {
						x.do(scenario.Event{Do: scenario.Cut, A: q, B: p})
					}
				}
			}
		}
	case scenario.Heal:
		if e.A == "" {
			clear(x.cuts)
		} else {
			delete(x.cuts, nameOf(a, b))
		}
	case scenario.Signaling:
		if e.Up {
			s.startServer()
		} else {
			s.stopServer()
		}
	case scenario.Say:
		x.say(a, b, e.Size)
	}
}

func (x *trial) say(a, b *node, size int) {
	if a.frozen {
		return
	}
	var to uint32
	if b != nil {
		if to = b.core.ID(); to == 0 || !a.members[to] {
			return // MSG-1: it is no member for it now
		}
	}
	if s := a.core.State(); s != StateJoined && s != StateJoining || a.core.ID() == 0 {
		return
	}
	a.id = a.core.ID()
	a.send(to, x.ledger.Say(a.core.ID(), to, size, x.s.now))
}

func (x *trial) drop(n *node) {
	delete(x.here, n.name)
	x.alive = remove(x.alive, n)
}

// settle waits until all agree on who is there and all has come.
func (x *trial) settle() {
	s := x.s
	if s.down {
		s.startServer()
	}
	clear(x.cuts)
	x.until(settleTime, "all are awake", func() bool { return !slices.ContainsFunc(s.nodes, func(n *node) bool { return n.frozen && !n.dead }) })
	x.until(settleTime, "all agree, in one group", func() bool { return whole(x.alive) }) // also what was in parts: SIG-51
	if !x.healed {
		x.ledger.Healed(s.now - x.calm)
	}
	x.until(settleTime, "all has come", func() bool { return settled(x.alive) && x.ledger.Complete() })
	s.run(5 * time.Second) // what comes twice comes now
	for _, n := range append(slices.Clone(x.alive), x.gone...) {
		if int(n.lastToken) != len(n.done) {
			x.ledger.Fail("%s: %d of %d sends have no end", n.name, int(n.lastToken)-len(n.done), n.lastToken)
		}
		for token, err := range n.done {
			if err != nil && err != ErrNoMember && err != ErrNotInGroup {
				x.ledger.Fail("%s: send %d: %v", n.name, token, err)
			}
		}
	}
	x.until(settleTime, "nothing is under way", func() bool { return !slices.ContainsFunc(x.alive, x.busy) })
}

// busy reports whether something is still under way at a node.
func (x *trial) busy(n *node) bool {
	c := n.core
	for _, ch := range c.builds {
		if ch.member == nil {
			return true
		}
	}
	for _, m := range c.order {
		if len(m.queue) == 0 && m.queued != 0 {
			return true
		}
	}
	return len(c.attempts)+len(c.making)+len(c.waiting)+c.held > 0 || c.partial > 0 && len(x.Original) == 0
}

// leave has one leave, which the others hear at once, then all, and checks that nothing is left. Where a channel is missing
// all go at once, as the first may be the only one that leads from one to another.
func (x *trial) leave() {
	if n := x.alive[0]; len(x.alive) > 2 && !n.core.cfg.Original && meshed(x.alive) {
		id := n.core.ID()
		x.do(scenario.Event{Do: scenario.Leave, A: n.name})
		x.until(time.Second, n.name+" is gone for all", func() bool { // EXT-10
			return !slices.ContainsFunc(x.alive, func(o *node) bool { return o.members[id] && !o.core.cfg.Original })
		})
	}
	for _, n := range x.alive {
		x.ledger.End(n.core.ID())
	}
	for _, n := range x.alive {
		n.step(Leave{})
	}
	x.s.run(20 * time.Second)
	for _, n := range append(x.alive, x.gone...) {
		c := n.core
		left := c.timers.Len() + c.partial + c.held + len(c.channels) + len(c.members) + len(c.order) + len(c.attempts) + len(c.builds) +
			len(c.making) + len(c.waiting) + len(c.strayed)
		if c.State() != StateLeft || left != 0 {
			x.ledger.Fail("%s is %v, and has %d timers, %d+%d bytes, %d channels, %d in the making, %d members, %d attempts", n.name, c.State(),
				c.timers.Len(), c.partial, c.held, len(c.channels), len(c.making), len(c.members), len(c.attempts))
		}
	}
}

// judge adds what a report shows to be wrong.
func (x *trial) judge(v *verdict, parted bool) {
	limits := *x.Scenario
	if limits.WithinLatency == 0 && !parted && len(x.Original) == 0 {
		limits.WithinLatency = worstDelay
	}
	v.problems = append(v.problems, limits.Exceeded(v.Report)...)
}

// meshed reports whether all have channels to all.
func meshed(nodes []*node) bool {
	for _, n := range nodes {
		for _, m := range n.core.order {
			if m.ch == nil || m.ch.suspect {
				return false
			}
		}
	}
	return true
}

// whole reports whether all know all.
func whole(nodes []*node) bool {
	for _, n := range nodes {
		if n.core.State() != StateJoined || len(n.members) != len(nodes)-1 { // first what is cheap
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

// report fails a test with what it takes to see the failure again.
func report(t *testing.T, sc *scenario.Scenario, v verdict) {
	t.Helper()
	if os.Getenv("SCENARIO_SHRINK") != "0" {
		small := scenario.Shrink(sc, 300, func(c *scenario.Scenario) bool { return len(try(c, nil).problems) > 0 })
		if small.String() != sc.String() {
			t.Errorf("%s\n%s\nit shrinks to this, of which a file is run by SCENARIO=path:\n\n%s\n%s", strings.Join(v.problems, "\n"), sc, small,
				strings.Join(try(small, nil).problems, "\n"))
			return
		}
	}
	t.Errorf("%s\n%s", strings.Join(v.problems, "\n"), sc)
}

// TestScenarios runs random scenarios, SCENARIOS of them or 50. SCENARIO=N runs the one of a seed, SCENARIO=name one of
// testdata, SCENARIO=path that of a file, and with -v shows all messages but heartbeats. It is where one fails that it stops;
// the scenario is printed, and the smallest one found that fails as well (SCENARIO_SHRINK=0 for none). One that has not ended
// after SCENARIO_LIMIT ends all.
func TestScenarios(t *testing.T) {
	if one := os.Getenv("SCENARIO"); one != "" {
		runOne(t, one)
		return
	}
	n := uint64(50)
	if v := os.Getenv("SCENARIOS"); v != "" {
		var err error
		if n, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	runMany(t, n)
}

func runOne(t *testing.T, one string) {
	t.Helper()
	var sc *scenario.Scenario
	if seed, err := strconv.ParseUint(one, 10, 64); err == nil {
		sc = scenario.Random(seed)
	} else {
		if !strings.ContainsAny(one, "./") {
			one = filepath.Join("../../testdata/scenarios", one+".txt")
		}
		sc = readScenario(t, one)
	}
	var trace func(time.Duration, string, string, string)
	if testing.Verbose() {
		trace = func(now time.Duration, from, to, what string) {
			if !strings.HasSuffix(what, "heartbeat") {
				t.Logf("%v %s > %s %s", now, from, to, what)
			}
		}
	}
	v := try(sc, trace)
	t.Logf("\n%v", v.Report)
	if len(v.problems) > 0 {
		report(t, sc, v)
	}
}

func readScenario(t *testing.T, path string) *scenario.Scenario {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scenario.Parse(string(b))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return sc
}

// runMany runs the scenarios of the first n seeds, as many at a time as there are processors.
func runMany(t *testing.T, n uint64) {
	t.Helper()
	limit := 10 * time.Minute
	if v := os.Getenv("SCENARIO_LIMIT"); v != "" {
		var err error
		if limit, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	var next atomic.Uint64
	var failed atomic.Bool
	var mu sync.Mutex
	var all scenario.Report
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for seed := next.Add(1) - 1; seed < n && !failed.Load(); seed = next.Add(1) - 1 {
				sc := scenario.Random(seed)
				// A core that does not come back stops all: there is no other way to end it.
				hung := time.AfterFunc(limit, func() { panic(fmt.Sprintf("seed %d: no end after %v\n%s", seed, limit, sc)) })
				v := try(sc, nil)
				hung.Stop()
				mu.Lock()
				all.Add(v.Report)
				if len(v.problems) > 0 && !failed.Swap(true) {
					t.Logf("seed %d", seed)
					report(t, sc, v)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	t.Logf("%d scenarios, times of the slowest:\n%v", n, all)
}

// TestScenarioFiles runs the scenarios in testdata.
func TestScenarioFiles(t *testing.T) {
	paths, _ := filepath.Glob("../../testdata/scenarios/*.txt")
	if len(paths) < 10 {
		t.Fatalf("%d scenarios", len(paths))
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			sc := readScenario(t, path)
			v := try(sc, nil)
			t.Logf("\n%v", v.Report)
			if len(v.problems) > 0 {
				report(t, sc, v)
			}
		})
	}
}

// TestScenariosRepeat runs scenarios twice: what happens follows from the seed alone, so that a failure can be seen again.
func TestScenariosRepeat(t *testing.T) {
	for seed := range uint64(10) {
		var logs [2][]string
		for i := range logs {
			try(scenario.Random(seed), func(now time.Duration, from, to, what string) {
				logs[i] = append(logs[i], fmt.Sprint(now, from, to, what))
			})
		}
		if len(logs[0]) == 0 || !slices.Equal(logs[0], logs[1]) {
			t.Fatalf("seed %d: %d and %d messages, or not the same", seed, len(logs[0]), len(logs[1]))
		}
	}
}

// TestShrink breaks all rules of the contract at once: members keep none, and are judged as if they did. Random scenarios
// show it, and shrink to a few lines, which show it as well, also when they are read again.
func TestShrink(t *testing.T) {
	fails := func(sc *scenario.Scenario) bool { return len(tryWith(sc, nil, Config{Original: true}).problems) > 0 }
	found := 0
	for seed := range uint64(20) {
		sc := scenario.Random(seed)
		if len(sc.Original) > 0 || sc.Parted() || !fails(sc) {
			continue
		}
		found++
		small := scenario.Shrink(sc, 1000, fails)
		if len(small.Events) > 3 || len(small.Members) > 4 {
			t.Errorf("seed %d: of %d events and %d members these are left:\n%s", seed, len(sc.Events), len(sc.Members), small)
		}
		again, err := scenario.Parse(small.String())
		if err != nil || !fails(again) {
			t.Errorf("seed %d: what is printed does not fail when it is read: %v\n%s", seed, err, small)
		}
		if found == 3 {
			return
		}
	}
	t.Errorf("%d random scenarios show that there is no contract", found)
}

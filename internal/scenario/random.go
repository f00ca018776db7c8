package scenario

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// A maker makes a random scenario, event by event.
type maker struct {
	*Scenario
	rand  *rand.Rand
	now   time.Duration
	links *links
	down  bool // signaling
	names int
	over  int // over how many others members may have to reach each other
	most  int // members
}

// Random makes the scenario of a seed. Most have 3 to 12 members, one in a hundred has 50, one in 500
// has 100, and one in 1,000 has 200. In most
// of them the group stays whole ([Scenario.Parted]); in some it is cut into parts, and healed.
func Random(seed uint64) *Scenario {
	m := &maker{Scenario: &Scenario{Seed: seed + 1}, rand: rand.New(rand.NewPCG(seed, 1))}
	n, events := 3+m.rand.IntN(4), 60+m.rand.IntN(90)
	switch {
	case seed%1000 == 999:
		n, events = 200, 15
	case seed%500 == 399:
		n, events = 100, 20
	case seed%100 == 49:
		n, events = 50, 40
	case m.rand.IntN(3) == 0:
		n = 7 + m.rand.IntN(6)
	}
	m.About = []string{fmt.Sprintf("Random scenario %d.", seed)}
	m.most = n + 4
	for range n {
		m.Members = append(m.Members, m.name())
	}
	m.MinLatency = time.Duration(1+m.rand.IntN(20)) * time.Millisecond
	m.MaxLatency = m.MinLatency + time.Duration(m.rand.IntN(60))*time.Millisecond
	m.links = newLinks(m.Scenario)
	m.over = m.rand.IntN(3)
	if m.rand.IntN(8) == 0 {
		m.Window = 20_000 + m.rand.IntN(100_000)
	}
	if m.rand.IntN(4) == 0 {
		m.attribute(&m.Listens, m.Members)
	}
	if m.rand.IntN(6) == 0 && n < 20 {
		m.Original = append(m.Original, m.Members[m.rand.IntN(n)])
	}
	m.links.original = m.Original
	if seed%20 == 7 {
		m.oneFault()
		return m.Scenario
	}
	kind := m.rand.IntN(10)
	if kind == 0 && n > 3 && n < 20 {
		m.split(events / 3)
		return m.Scenario
	}
	if kind == 1 { // far from each other, and nothing fails
		m.MaxLatency += 300 * time.Millisecond
	}
	for range events {
		m.event(kind > 1)
	}
	m.end()
	m.expect()
	return m.Scenario
}

// expect says how late a message may come where only one channel fails: if it falls silent it takes up to 2.4 s to notice
// that (EXT-9), if it breaks others lead there at once (EXT-8).
func (m *maker) expect() {
	broken, silent, more := 0, 0, len(m.Original)
	for _, e := range m.Events {
		switch e.Do {
		case Blackhole:
			silent++
		case Break:
			broken++
		case Cut, Flap, Freeze, Die, Join, Leave:
			more++
		}
	}
	switch {
	case more > 0:
	case silent == 1:
		m.WithinLatency = 2500*time.Millisecond + 4*m.MaxLatency
	case silent == 0 && broken == 1:
		m.WithinLatency = 300*time.Millisecond + 4*m.MaxLatency
	}
}

func (m *maker) name() string {
	m.names++
	return fmt.Sprint("m", m.names)
}

func (m *maker) attribute(to *[]string, of []string) {
	for _, name := range of {
		if m.rand.IntN(3) == 0 {
			*to = append(*to, name)
		}
	}
}

func (m *maker) pick() string { return m.links.here[m.rand.IntN(len(m.links.here))] }

// add adds an event, if the group stays whole with it.
func (m *maker) add(e Event) {
	e.At = m.now
	next := *m.links
	next.here = slices.Clone(m.links.here)
	next.cut, next.down, next.new, next.frozen = maps.Clone(m.links.cut), maps.Clone(m.links.down), maps.Clone(m.links.new), maps.Clone(m.links.frozen)
	one := *m.Scenario
	one.Events = []Event{e}
	for _, step := range one.Steps() {
		if next.apply(step) && !next.whole(step.At, m.over) {
			return
		}
	}
	m.links = &next
	m.Events = append(m.Events, e)
}

// say has somebody say something.
func (m *maker) say() {
	e := Event{At: m.now, Do: Say, A: m.pick(), Size: MinSize}
	if m.rand.IntN(2) == 0 {
		e.Size = max(MinSize, m.rand.IntN(3000))
	} else if b := m.pick(); b != e.A {
		e.B = b
		e.Size = max(MinSize, m.rand.IntN(35_000))
	}
	if m.rand.IntN(8) == 0 && len(m.links.here) < 20 {
		e.Every, e.For = 5*time.Millisecond, time.Duration(5*(1+m.rand.IntN(30)))*time.Millisecond
		e.Size = min(e.Size, 1000)
	}
	m.Events = append(m.Events, e)
}

// event has something happen, and lets time pass.
func (m *maker) event(mishaps bool) {
	a, b := m.pick(), m.pick()
	p := m.rand.IntN(100)
	for a == b && p >= 75 && p < 89 {
		b = m.pick()
	}
	switch {
	case p < 75 || !mishaps && p < 93:
		m.say()
	case p < 80:
		m.add(Event{Do: Break, A: a, B: b})
	case p < 82:
		m.add(Event{Do: Blackhole, A: a, B: b})
	case p < 84:
		m.add(Event{Do: Freeze, A: a, For: time.Duration(100+m.rand.IntN(5900)) * time.Millisecond})
	case p < 86:
		m.add(Event{Do: Cut, A: a, B: b})
	case p < 87:
		m.add(Event{Do: Heal})
	case p < 89:
		m.add(Event{Do: Flap, A: a, B: b, Every: time.Duration(100+m.rand.IntN(900)) * time.Millisecond, For: 2 * time.Second})
	case p < 93:
		m.add(Event{Do: Signaling, Up: m.down})
		m.down = !m.down
	case p < 95 && len(m.links.here) > 3:
		m.add(Event{Do: Leave, A: a})
	case p < 96 && len(m.links.here) > 3 && mishaps:
		m.add(Event{Do: Die, A: a, Silently: m.rand.IntN(2) == 0})
	case p < 98 && len(m.links.here) < m.most && !m.down:
		name := m.name()
		if m.rand.IntN(6) == 0 {
			m.Original = append(m.Original, name)
			m.links.original = m.Original
		}
		m.add(Event{Do: Join, A: name})
	}
	m.now += time.Duration(m.rand.IntN(200)) * time.Millisecond
}

// end gives back what was taken away.
func (m *maker) end() {
	if m.down {
		m.add(Event{Do: Signaling, Up: true})
		m.down = false
	}
}

// oneFault has one channel fail while all talk all the time.
func (m *maker) oneFault() {
	m.Original, m.links.original, m.Window = nil, nil, 0
	m.MinLatency = time.Duration(1+m.rand.IntN(5)) * time.Millisecond
	m.MaxLatency = m.MinLatency + time.Duration(m.rand.IntN(5))*time.Millisecond
	for _, a := range m.Members {
		m.Events = append(m.Events, Event{At: m.now, Do: Say, A: a, Size: MinSize, Every: time.Duration(10+m.rand.IntN(20)) * time.Millisecond,
			For: 6 * time.Second})
		m.now += time.Duration(m.rand.IntN(10)) * time.Millisecond
	}
	m.now += time.Second
	a, b := m.pick(), m.pick()
	for a == b {
		b = m.pick()
	}
	if m.rand.IntN(2) == 0 {
		m.add(Event{Do: Break, A: a, B: b})
		m.WithinLatency = 150*time.Millisecond + 4*m.MaxLatency
	} else {
		m.add(Event{Do: Blackhole, A: a, B: b})
		m.WithinLatency = 2500*time.Millisecond + 4*m.MaxLatency
	}
	m.now += 5 * time.Second
}

// split has the group fall into two parts for some time, and healed.
func (m *maker) split(events int) {
	for range events {
		m.event(false)
	}
	m.end()
	all := slices.Clone(m.links.here)
	m.rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	n := 1 + m.rand.IntN(len(all)-1)
	m.Events = append(m.Events, Event{At: m.now, Do: Split, Parts: [][]string{all[:n], all[n:]}})
	end := m.now + time.Duration(500+m.rand.IntN(30_000))*time.Millisecond
	for range events {
		m.now += time.Duration(m.rand.IntN(200)) * time.Millisecond
		m.say()
	}
	m.now = max(m.now, end)
	m.Events = append(m.Events, Event{At: m.now, Do: Heal})
	for range events {
		m.say()
		m.now += time.Duration(m.rand.IntN(200)) * time.Millisecond
	}
}

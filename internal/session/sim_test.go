package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A sim is a server and two clients in one goroutine. Whatever can happen next is chosen by a source of numbers.
type sim struct {
	t    testing.TB
	pick func(n int) int
	now  time.Duration
	ends [2]*end
	pipe *pipe // the last data channel that was offered
	cuts int   // that may still come

	meddle func(to *end, m Message) []Message // what the server passes on in place of a message; nil: that
}

// upgradeToken is the token of all upgrades.
const upgradeToken = 1 << 40

// An end is a client: one of ours, or an original if there is no core.
type end struct {
	s    *sim
	side int
	core *Core

	toServer, toClient []Message
	hungUp             bool // the relay has been closed
	relayOver          bool // the core knows
	pipes              []*pipe
	held               []int // sizes of what was delivered and not consumed
	ended              *Over

	toSend   [][]byte // numbered by their content
	token    uint64   // how many of these were given to the core
	accepted int
	hold     func() bool // sends wait as long as it is true
	got      [][]byte
	events   []string
}

// A pipe is a data channel.
type pipe struct {
	id       string
	attempts [2]Attempt
	known    [2]bool // that end has it
	ready    bool    // offer and answer have crossed
	open     [2]bool
	cut      bool
	finish   [2]bool // it is to be closed when all has arrived
	told     [2]bool // of the end
	queue    [2][]Message
	cutWhile [2]int // bytes that were on their way when it was cut
}

func newSim(t testing.TB, pick func(n int) int, cfg Config, originalPeer bool) *sim {
	s := &sim{t: t, pick: pick, cuts: 3}
	for i := range s.ends {
		s.ends[i] = &end{s: s, side: i}
		if i == 1 && originalPeer {
			continue
		}
		cfg := cfg
		if cfg.Seal != nil { // each needs its own
			cfg.Seal = testSeal(t, testSecret, byte(i+1))
		}
		s.ends[i].core = New(cfg)
		s.ends[i].step(Begin{})
	}
	if originalPeer {
		s.ends[1].toServer = append(s.ends[1].toServer, newInternal(nameRegister, pairing{}))
	}
	return s
}

func (e *end) step(in Input) {
	if e.core == nil {
		return
	}
	e.do(e.core.Step(e.s.now, in))
	e.check()
}

func (e *end) other() *end { return e.s.ends[1-e.side] }

func (e *end) pipeOf(a Attempt) *pipe {
	for _, p := range e.pipes {
		if p.attempts[e.side] == a {
			return p
		}
	}
	return nil
}

func (e *end) do(outs []Output) {
	for _, o := range slices.Clone(outs) {
		switch o := o.(type) {
		case Offer:
			p := &pipe{id: fmt.Sprintf("%d-%d", e.side, o.Attempt)}
			p.attempts[e.side], p.known[e.side] = o.Attempt, true
			e.pipes = append(e.pipes, p)
			e.s.pipe = p
			e.step(Local{o.Attempt, Signal{Type: SignalOffer, SDP: p.id}})
			e.step(Local{o.Attempt, Signal{Type: SignalCandidate, Candidate: "candidate:1", SDPMid: "0"}})
		case Answer:
		case Remote:
			e.remote(o)
		case Abort:
			if o.Way == Relay {
				e.hungUp = true
			} else if p := e.pipeOf(o.Attempt); p != nil {
				p.end()
			}
		case Deliver:
			e.got = append(e.got, o.Data)
			e.held = append(e.held, len(o.Data))
		case Done:
			if o.Err == nil && o.Token != upgradeToken {
				e.accepted++
			}
		case Over:
			if e.ended != nil {
				e.s.t.Fatal("over twice")
			}
			e.ended = &o
		default:
			e.events = append(e.events, fmt.Sprintf("%T", o))
		}
	}
}

func (e *end) remote(o Remote) {
	switch o.Signal.Type {
	case SignalOffer:
		for _, p := range e.other().pipes {
			if p.id == o.Signal.SDP {
				p.attempts[e.side], p.known[e.side] = o.Attempt, true
				e.pipes = append(e.pipes, p)
			}
		}
		e.step(Local{o.Attempt, Signal{Type: SignalAnswer, SDP: o.Signal.SDP}})
	case SignalAnswer:
		if p := e.pipeOf(o.Attempt); p != nil && p.id == o.Signal.SDP {
			p.ready = true
		}
	}
}

// end ends a pipe; what is on its way is lost.
func (p *pipe) end() {
	if p.cut {
		return
	}
	p.cut = true
	for i, q := range p.queue {
		for _, m := range q {
			p.cutWhile[i] += max(1, len(m.Data))
		}
	}
}

func (p *pipe) unacked(side int) int {
	if p.cut {
		return p.cutWhile[side]
	}
	n := 0
	for _, m := range p.queue[side] {
		n += max(1, len(m.Data))
	}
	return n
}

// serve is the server: it takes one message of a client.
func (s *sim) serve(e *end) {
	m := e.toServer[0]
	e.toServer = e.toServer[1:]
	if in, ok := parseInternal(m.Data); ok && m.Text && in.Name == nameRegister {
		e.toClient = append(e.toClient, Message{true, []byte(handshakeSuccess)})
		e.events = append(e.events, "registered")
		if slices.Contains(e.other().events, "registered") {
			for _, e := range []*end{e, e.other()} {
				e.toClient = append(e.toClient, newInternal(namePeerConnected, peerConnected{e.side == 0}))
				e.events = append(e.events, "paired")
			}
		}
		return
	}
	if slices.Contains(e.events, "paired") {
		list := []Message{m}
		if s.meddle != nil {
			list = s.meddle(e.other(), m)
		}
		e.other().toClient = append(e.other().toClient, list...)
	}
}

// original is what an original does with a message; it answers offers.
func (e *end) original(m Message) {
	in, internal := parseInternal(m.Data)
	switch {
	case m.Text && string(m.Data) == ping:
	case m.Text && internal:
		if s, ok := parseSignal(in.Data); in.Name == nameSignal && ok && s.Type == SignalOffer {
			for _, p := range e.other().pipes {
				if p.id == s.SDP {
					p.attempts[1], p.known[1] = 1, true
					e.pipes = append(e.pipes, p)
				}
			}
			e.toServer = append(e.toServer, Signal{Type: SignalAnswer, SDP: s.SDP}.message())
		}
	case m.Text && m.Data[0] == '\xc2':
		e.s.t.Fatalf("an original got %q", m.Data)
	default:
		e.got = append(e.got, m.Data)
	}
}

// actions returns what can happen next.
func (s *sim) actions() (list []func()) {
	add := func(f func()) { list = append(list, f) }
	for _, e := range s.ends {
		if len(e.toServer) > 0 {
			add(func() { s.serve(e) })
		}
		if len(e.toClient) > 0 && !e.relayOver {
			add(func() {
				m := e.toClient[0]
				e.toClient = e.toClient[1:]
				if e.core == nil {
					e.original(m)
					return
				}
				e.step(Received{Relay, 0, m.Text, m.Data})
			})
		}
		if e.core == nil {
			continue
		}
		if !e.hungUp {
			add(func() { e.pull(Relay, nil) })
		} else if !e.relayOver && len(e.toServer) == 0 {
			add(func() { e.relayOver = true; e.step(Ended{Way: Relay}) })
		}
		if o := e.other(); o.hungUp && len(o.toServer) == 0 && len(e.toClient) == 0 && !e.hungUp { // the server closes the other, too
			add(func() { e.hungUp = true })
		}
		if len(e.held) > 0 {
			add(func() { n := e.held[0]; e.held = e.held[1:]; e.step(Consumed{n}) })
		}
		if int(e.token) < len(e.toSend) && e.core.paired && !e.core.closing && (e.hold == nil || !e.hold()) {
			add(func() {
				e.token++
				e.step(Send{Token: e.token - 1, Data: e.toSend[e.token-1]})
			})
		}
	}
	for _, e := range s.ends {
		for _, p := range e.pipes {
			s.pipeActions(e, p, add)
		}
	}
	if s.pipe != nil && s.pipe.ready && !s.pipe.cut && s.cuts > 0 && s.pick(40) == 0 {
		add(func() { s.cuts--; s.pipe.end() })
	}
	return list
}

func (s *sim) pipeActions(e *end, p *pipe, add func(func())) {
	if e.core == nil {
		if q := &p.queue[0]; len(*q) > 0 && !p.cut {
			add(func() { m := (*q)[0]; *q = (*q)[1:]; e.original(m) })
		}
		return
	}
	a := p.attempts[e.side]
	switch {
	case p.cut && !p.told[e.side]:
		add(func() {
			p.told[e.side] = true
			e.step(Ended{Channel, a, p.cutWhile[e.side], errTest})
		})
	case p.cut:
	case p.ready && !p.open[e.side]:
		add(func() { p.open[e.side] = true; e.step(Opened{a, p.id, 65_535}) })
	case p.finish[e.side] && len(p.queue[e.side]) == 0:
		add(p.end)
	case p.open[e.side]:
		if !p.finish[e.side] {
			add(func() { e.pull(Channel, p) })
		}
		if q := &p.queue[1-e.side]; len(*q) > 0 {
			add(func() {
				m := (*q)[0]
				*q = (*q)[1:]
				e.step(Received{Channel, a, m.Text, m.Data})
			})
		}
	}
}

var errTest = fmt.Errorf("test: cut")

func (e *end) pull(w Way, p *pipe) {
	a, unacked := Attempt(0), 0
	if p != nil {
		a, unacked = p.attempts[e.side], p.unacked(e.side)
	}
	m, verdict, outs := e.core.Pull(e.s.now, w, a, unacked)
	outs = slices.Clone(outs)
	switch {
	case verdict == Take && p != nil:
		p.queue[e.side] = append(p.queue[e.side], m)
	case verdict == Take:
		e.toServer = append(e.toServer, m)
	case verdict == Finish && p != nil:
		p.finish[e.side] = true
	case verdict == Finish:
		e.hungUp = true
	}
	e.do(outs)
	e.check()
}

// check holds the core's books against each other.
func (e *end) check() {
	c := e.core
	flying, waiting, ahead := 0, 0, 0
	for _, f := range c.flight {
		flying += f.cost()
	}
	for _, o := range c.outbox {
		waiting += o.cost()
	}
	for _, f := range c.ahead {
		ahead += f.cost()
	}
	if flying != c.flying || waiting != c.waiting || ahead != c.aheadCost {
		e.s.t.Fatalf("end %d: in flight %d and %d, waiting %d and %d, ahead %d and %d", e.side, flying, c.flying, waiting, c.waiting,
			ahead, c.aheadCost)
	}
	if c.window > 0 && c.flying > c.window || ahead > c.cfg.Window {
		e.s.t.Fatalf("end %d: %d bytes in flight, %d ahead", e.side, c.flying, ahead)
	}
	if c.held < 0 {
		e.s.t.Fatalf("end %d: held %d", e.side, c.held)
	}
}

// run lets things happen until ok, or until steps of them have.
func (s *sim) run(steps int, ok func() bool) {
	for range steps {
		if ok() {
			return
		}
		list := s.actions()
		if len(list) == 0 || s.pick(20) == 0 {
			s.now += time.Duration(1+s.pick(40)) * time.Millisecond
			for _, e := range s.ends {
				e.step(Tick{})
			}
			continue
		}
		list[s.pick(len(list))]()
	}
	if !ok() {
		for _, e := range s.ends {
			got, _ := json.Marshal(e.events)
			s.t.Logf("end %d: sent %d, got %d, over %v, events %s", e.side, e.accepted, len(e.got), e.ended, got)
		}
		s.t.Fatal("it does not come to its end")
	}
}

func bulk(side, n int, pick func(int) int) (list [][]byte) {
	for i := range n {
		size := 10 + pick(200)
		if pick(10) == 0 {
			size = pick(3 * MaxPayload)
		}
		m := fmt.Appendf(nil, "%d/%d/", side, i)
		list = append(list, append(m, bytes.Repeat([]byte{byte(i)}, size)...))
	}
	return list
}

// Between two of ours nothing is lost, doubled or out of order, however often the connection changes; and a close
// waits until all has arrived. (PSX-71 to PSX-77, PSX-80)
func TestSimulation(t *testing.T) {
	for seed := range uint64(400) {
		simulate(t, seed, Config{Window: MinWindow, SendBuffer: 50_000, ReceiveBuffer: 30_000})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func simulate(t testing.TB, seed uint64, cfg Config) *sim {
	pick := rand.New(rand.NewPCG(seed, 1)).IntN
	s := newSim(t, pick, cfg, false)
	a, b := s.ends[0], s.ends[1]
	a.toSend, b.toSend = bulk(0, 40, pick), bulk(1, 40, pick)
	upgrades := 3
	s.run(200_000, func() bool {
		for _, e := range s.ends { // the channel is made anew after a cut
			if st := e.core.Status(); st.Ours && !st.Channel && s.pipe != nil && s.pipe.cut && upgrades > 0 && pick(30) == 0 {
				upgrades--
				e.step(Upgrade{upgradeToken})
			}
		}
		return len(a.toSend) == int(a.token) && len(b.toSend) == int(b.token) && len(a.core.blocked)+len(b.core.blocked) == 0
	})
	a.step(Close{})
	s.run(200_000, func() bool { return a.ended != nil && len(a.held)+len(b.held) == 0 })
	if a.ended.Err != nil || a.ended.Lost != 0 {
		t.Fatalf("seed %d: a is over by %v, lost %d", seed, a.ended.Err, a.ended.Lost)
	}
	same(t, seed, "b", b.got, a.toSend)
	if n := len(a.got); n > len(b.toSend) || n < len(b.toSend)-len(b.core.outbox)-len(b.core.flight) {
		t.Fatalf("seed %d: a got %d", seed, n)
	}
	same(t, seed, "a", a.got, b.toSend[:len(a.got)])
	return s
}

func same(t testing.TB, seed uint64, who string, got, want [][]byte) {
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !bytes.Equal(got[i], want[i]) {
			t.Fatalf("seed %d: %s got %d messages of %d; number %d is wrong", seed, who, len(got), len(want), i)
		}
	}
}

// An original misses nothing of what is sent to it when the data channel ends (PSX-68).
func TestSimulationOriginal(t *testing.T) {
	for seed := range uint64(200) {
		pick := rand.New(rand.NewPCG(seed, 2)).IntN
		s := newSim(t, pick, Config{SendBuffer: 50_000}, true)
		a, b := s.ends[0], s.ends[1]
		a.toSend = bulk(0, 60, pick)
		s.cuts = 1
		a.hold = func() bool { return s.pipe == nil || !s.pipe.open[0] && !s.pipe.told[0] }
		s.run(200_000, func() bool {
			return len(a.toSend) == int(a.token) && len(a.core.blocked) == 0 && (s.cuts == 0 || s.now > 10*time.Second)
		})
		a.step(Close{})
		s.run(200_000, func() bool { return a.ended != nil })
		s.run(200_000, func() bool { return len(a.toServer)+len(b.toClient) == 0 })
		if a.ended.Err != nil {
			t.Fatalf("seed %d: %v", seed, a.ended.Err)
		}
		if a.ended.Lost > 0 && s.cuts == 0 { // the channel was cut while it was being closed
			continue
		}
		for i, m := range a.toSend {
			if !slices.ContainsFunc(b.got, func(g []byte) bool { return bytes.Equal(g, m) }) {
				t.Fatalf("seed %d: message %d of %d (%d bytes) is missing; %d came", seed, i, len(a.toSend), len(m), len(b.got))
			}
		}
	}
}

// FuzzSimulation has a fuzzer choose what happens.
func FuzzSimulation(f *testing.F) {
	f.Add([]byte("some choices to begin with"))
	f.Fuzz(func(t *testing.T, choices []byte) {
		i := 0
		var rest *rand.Rand
		pick := func(n int) int {
			if i < len(choices) {
				i++
				return int(choices[i-1]) % n
			}
			if rest == nil {
				rest = rand.New(rand.NewPCG(uint64(len(choices)), 3))
			}
			return rest.IntN(n)
		}
		s := newSim(t, pick, Config{Window: MinWindow, SendBuffer: 20_000, ReceiveBuffer: 10_000}, false)
		a, b := s.ends[0], s.ends[1]
		a.toSend, b.toSend = bulk(0, 10, pick), bulk(1, 10, pick)
		s.run(100_000, func() bool {
			return len(b.got) == len(a.toSend) && len(a.got) == len(b.toSend) || a.ended != nil || b.ended != nil
		})
		if a.ended != nil || b.ended != nil {
			t.Fatalf("over: %v, %v", a.ended, b.ended)
		}
		same(t, 0, "b", b.got, a.toSend)
		same(t, 0, "a", a.got, b.toSend)
	})
}

package mesh

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/scenario"
	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/signaling"
	"github.com/meshpair/meshpair/internal/wire"
)

// A sim is many cores, a signaling server and a network between them, in one goroutine and in virtual time. All that
// happens follows from the seed.
type sim struct {
	t       testing.TB
	rand    *rand.Rand
	now     time.Duration
	seq     uint64
	events  events
	server  *signaling.Core
	down    bool // the server
	nodes   []*node
	latency func(a, b *node) time.Duration // nil nodes are the server
	cut     func(a, b *node) bool          // no data channel can be built between them
	trace   func(from, to, what string)    // of each message, as it is sent; nil: nobody wants to know
	// tamper is what comes in place of a message that a node sends to another one, or that goes to or from the server,
	// which is a nil node; nil: nobody does that.
	tamper         func(from, to *node, b []byte) [][]byte
	named, dialled []string         // the groups that the server was asked for; URLs of members
	room           string           // that the server takes all peers to; "": the one that they name
	watch          *watch           // over what is on the wire; may be nil
	ledger         *scenario.Ledger // of who said what; may be nil
	steps          int
	offers         map[string]*simLink // the data channels on offer, by what stands for their SDP
	answers        map[*simLink]*simLink
}

// A node is a core and its links.
type node struct {
	frozen bool
	missed []func() // while it was
	thawAt time.Duration

	sim   *sim
	name  string
	core  *Core
	links map[Link]*simLink
	dead  bool
	url   string           // at which it listens; "" for none
	bot   bool             // it joins what it is invited to
	self  *sealed.Identity // of a bot that is invited into sealed groups
	wake  time.Duration    // of the tick that is under way; 0: none

	states    []string
	signals   []string
	members   map[uint32]bool
	gone      int             // members, by word of the core
	lost      map[uint32]bool // the same
	id        uint32          // that it had when it heard of others
	got       []Deliver
	done      map[uint64]error
	problems  []string
	notes     []error // the reasons among them
	lastToken uint64
	losses    []error // why members were gone
	refusals  []error // why channels were not built
	disputes  []Disputed
}

// A simLink is one end of a link. Its peer is the other end, or the server's side of it.
type simLink struct {
	id     Link
	node   *node
	peer   *simLink
	server *signaling.Peer
	open   bool
	closed bool
	busy   time.Duration // when what was sent last will have arrived
	down   time.Duration // the same, for what the server sent
	label  string
	hole   bool      // what is sent vanishes
	room   *Anteroom // of a bot that does not know yet into which sealed group it is invited; nil: it is no such link
}

// maxFlush is how many messages a node may send on a link at one time. What it may have on its way is bounded (EXT-7).
const maxFlush = 100_000

// maxSteps is how many events a simulation may take.
const maxSteps = 50_000_000

type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	n := len(*e) - 1
	x := (*e)[n]
	*e = (*e)[:n]
	return x
}

func newSim(t testing.TB, seed uint64) *sim {
	s := &sim{t: t, rand: rand.New(rand.NewPCG(seed, 0)), offers: make(map[string]*simLink), answers: make(map[*simLink]*simLink)}
	s.server = signaling.New(signaling.Config{Rand: s.rand.Uint32})
	s.latency = func(a, b *node) time.Duration { return 5 * time.Millisecond }
	s.cut = func(a, b *node) bool { return false }
	s.at(signaling.HeartbeatInterval, s.serverTick)
	return s
}

func (s *sim) at(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.events, event{s.now + d, s.seq, do})
}

// step carries out the next event, and reports whether there was one.
func (s *sim) step() bool {
	if len(s.events) == 0 {
		return false
	}
	e := heap.Pop(&s.events).(event)
	s.now = max(s.now, e.at)
	e.do()
	if s.steps++; s.steps > maxSteps {
		s.t.Fatalf("more than %d events: something goes round and round", maxSteps)
	}
	return true
}

// run lets time pass.
func (s *sim) run(d time.Duration) {
	end := s.now + d
	for len(s.events) > 0 && s.events[0].at <= end {
		s.step()
	}
	s.now = end
}

// until lets time pass until a condition holds, and fails if it does not in time.
func (s *sim) until(limit time.Duration, what string, ok func() bool) {
	s.t.Helper()
	for end := s.now + limit; !ok(); {
		if len(s.events) == 0 || s.events[0].at > end {
			s.t.Fatalf("after %v: not %s\n%s", limit, what, s.describe())
		}
		s.step()
	}
}

func (s *sim) describe() string {
	var b strings.Builder
	for _, n := range s.nodes {
		fmt.Fprintf(&b, "%s id=%d %v %v members=%v neighbors=%v dead=%v attempts=%d problems=%v\n", n.name, n.core.ID(), n.core.State(),
			n.core.SignalingState(), n.core.Members(), n.core.Neighbors(), n.dead, len(n.core.attempts), n.problems)
	}
	return b.String()
}

// node adds a peer.
func (s *sim) node(cfg Config) *node {
	n := &node{sim: s, name: string(rune('A' + len(s.nodes)%26)), links: make(map[Link]*simLink),
		members: make(map[uint32]bool), done: make(map[uint64]error)}
	cfg.Rand = s.rand.Uint32
	n.core = New(cfg)
	s.nodes = append(s.nodes, n)
	return n
}

// step gives a node an input and carries out what follows.
func (n *node) step(in Input) {
	switch {
	case n.dead:
		return
	case n.frozen:
		n.missed = append(n.missed, func() { n.step(in) })
		return
	}
	n.do(n.core.Step(n.sim.now, in))
}

// freeze stops a node for a while.
func (n *node) freeze(d time.Duration) {
	s := n.sim
	n.frozen, n.thawAt = true, max(n.thawAt, s.now+d)
	s.at(d, func() {
		if n.frozen && s.now >= n.thawAt {
			if s.ledger != nil {
				s.ledger.Thawed(n.core.ID(), s.now)
			}
			n.thaw()
		}
	})
}

// thaw lets a node go on that was frozen, as a process that was stopped: it finds all that came meanwhile.
func (n *node) thaw() {
	missed := n.missed
	n.frozen, n.missed = false, nil
	for _, do := range missed {
		do()
	}
	n.step(Tick{})
}

func (n *node) do(outs []Output) {
	for _, o := range slices.Clone(outs) {
		n.output(o)
	}
	if at, ok := n.core.Next(); ok && (n.wake == 0 || at < n.wake) {
		n.wake = max(at, n.sim.now+1)
		wake := n.wake
		n.sim.at(wake-n.sim.now, func() {
			if n.wake == wake {
				n.wake = 0
				n.step(Tick{})
			}
		})
	}
}

func (n *node) output(o Output) {
	s := n.sim
	switch o := o.(type) {
	case DialSignaling:
		l := &simLink{id: o.Link, node: n}
		n.links[o.Link] = l
		s.at(2*s.latency(n, nil), func() { s.connectServer(l, o.Key) })
	case Dial:
		l := &simLink{id: o.Link, node: n}
		n.links[o.Link] = l
		s.at(2*time.Millisecond, func() { s.connectMember(l, o.URL) })
	case Offer:
		l := &simLink{id: o.Link, node: n, label: o.Label}
		n.links[o.Link] = l
		sdp := fmt.Sprintf("%s/%d", n.name, o.Link)
		s.offers[sdp] = l
		n.say(l, wire.DataChannelBuilder{Kind: wire.DataChannelBuilderOffer, Offer: sdp})
		n.say(l, wire.DataChannelBuilder{Kind: wire.DataChannelBuilderCandidate})
		n.say(l, wire.DataChannelBuilder{})
	case Answer:
		n.links[o.Link] = &simLink{id: o.Link, node: n}
	case Remote:
		n.remote(o)
	case Ready:
		n.flush(n.links[o.Link])
	case Close:
		n.close(n.links[o.Link], o.Abort)
	case Deliver:
		if s.ledger != nil {
			s.ledger.Got(n.id, o.From, o.Data, s.now)
			break
		}
		n.got = append(n.got, o)
	case Joined:
		if n.members[o.ID] {
			s.t.Errorf("%s: %d joined twice", n.name, o.ID)
		}
		n.members[o.ID] = true
		if s.ledger != nil {
			n.id = n.core.ID()
			s.ledger.Joined(n.id, o.ID)
		}
	case Gone:
		if !n.members[o.ID] {
			s.t.Errorf("%s: %d is gone and had not joined", n.name, o.ID)
		}
		delete(n.members, o.ID)
		n.losses = append(n.losses, o.Err)
		n.gone++
		if n.lost == nil {
			n.lost = make(map[uint32]bool)
		}
		n.lost[o.ID] = true
		if s.ledger != nil {
			s.ledger.Gone(n.id, o.ID)
		}
	case NewState:
		n.states = append(n.states, o.State.String())
	case NewSignalingState:
		n.signals = append(n.signals, o.State.String())
	case Done:
		n.done[o.Token] = o.Err
	case Note:
		n.problems = append(n.problems, fmt.Sprint(o.Text, o.Err))
		n.notes = append(n.notes, o.Err)
	case Disputed:
		n.disputes = append(n.disputes, o)
	case Unconnected:
		n.refusals = append(n.refusals, o.Err)
		n.problems = append(n.problems, fmt.Sprint("unconnected ", o.Err))
	}
}

// say gives the core something that its end of a data channel has to tell, as a WebRTC library would do: later.
func (n *node) say(l *simLink, m wire.DataChannelBuilder) {
	n.sim.at(time.Millisecond, func() {
		if !l.closed {
			n.step(Local{l.id, m})
		}
	})
}

// remote takes what the other end of a data channel says: an offer is answered, an answer opens the channel.
func (n *node) remote(o Remote) {
	s, l := n.sim, n.links[o.Link]
	if l == nil || l.closed {
		return
	}
	switch o.Signal.Kind {
	case wire.DataChannelBuilderOffer:
		other := s.offers[o.Signal.Offer]
		if s.cut(n, other.node) {
			return
		}
		l.peer = other
		n.say(l, wire.DataChannelBuilder{Kind: wire.DataChannelBuilderAnswer, Answer: "answer"})
		n.say(l, wire.DataChannelBuilder{Kind: wire.DataChannelBuilderCandidate})
		n.say(l, wire.DataChannelBuilder{})
		s.answers[l.peer] = l
	case wire.DataChannelBuilderAnswer:
		l.peer = s.answers[l]
		s.at(s.latency(n, l.peer.node), func() { s.open(l) })
		s.at(s.latency(n, l.peer.node)+time.Millisecond, func() { s.open(l.peer) })
	}
}

func (s *sim) open(l *simLink) {
	if l.closed || l.peer == nil || l.peer.closed || l.open {
		return
	}
	l.open = true
	label := l.label
	if label == "" {
		label = l.peer.label
	}
	l.node.step(Opened{l.id, label})
}

// flush sends all that waits on a link.
func (n *node) flush(l *simLink) {
	for count := 0; l != nil && !l.closed && !n.dead; count++ {
		if count > maxFlush {
			n.sim.t.Fatalf("%s sends more than %d messages at one time: it does not end", n.name, maxFlush)
		}
		b, outs := n.core.Pull(n.sim.now, l.id)
		outs = slices.Clone(outs)
		if b != nil {
			n.sim.send(l, slices.Clone(b))
		}
		n.do(outs)
		if b == nil {
			return
		}
	}
}

// send carries a message to the other end of a link, or what somebody makes of it.
func (s *sim) send(l *simLink, b []byte) {
	if s.tamper == nil {
		s.carry(l, b)
		return
	}
	var to *node
	if l.server == nil {
		to = l.peer.node
	}
	for _, b := range s.tamper(l.node, to, b) {
		s.carry(l, b)
	}
}

func (s *sim) carry(l *simLink, b []byte) {
	if l.server != nil {
		if s.trace != nil {
			s.trace(l.node.name, "server", describe(b, true))
		}
		l.busy = max(l.busy, s.now+s.latency(l.node, nil))
		s.at(l.busy-s.now, func() {
			if l.server != nil && !s.down {
				var m wire.Signaling
				if err := m.Decode(b); err != nil {
					s.t.Errorf("%s sent the server what it does not understand: %v", l.node.name, err)
				}
				s.act(s.server.Receive(s.clock(), l.server, &m))
			}
		})
		return
	}
	p := l.peer
	if s.trace != nil {
		s.trace(l.node.name, p.node.name, describe(b, false))
	}
	s.watch.sent(l.node, p.node, b)
	if l.hole {
		return
	}
	l.busy = max(l.busy, s.now+s.latency(l.node, p.node))
	s.at(l.busy-s.now, func() {
		if !p.closed {
			if !p.open {
				s.open(p)
			}
			if p.room != nil {
				s.invites(p, b)
				return
			}
			s.watch.arrived(p.node, b)
			p.node.step(Received{p.id, b})
		}
	})
}

// close closes one end of a link, and the other when it hears of it.
func (n *node) close(l *simLink, abort bool) {
	if l == nil || l.closed {
		return
	}
	l.closed = true
	s := n.sim
	s.at(0, func() { n.step(Closed{l.id, nil}) })
	s.hangUp(l, nil)
}

// hangUp lets the other end of a link know that it is closed.
func (s *sim) hangUp(l *simLink, err error) {
	if l.server != nil {
		p := l.server
		l.server = nil
		s.at(s.latency(l.node, nil), func() { s.act(s.server.Gone(s.clock(), p)) })
		return
	}
	if p := l.peer; p != nil && p.peer == l && !l.hole {
		s.at(max(l.busy-s.now, s.latency(l.node, p.node)), func() {
			if !p.closed {
				p.closed = true
				p.node.step(Closed{p.id, err})
			}
		})
	}
}

// byLink returns the links of a node in the order in which they were begun, so that what follows does not depend on chance.
func (n *node) byLink() []*simLink {
	return slices.SortedFunc(maps.Values(n.links), func(a, b *simLink) int { return cmp.Compare(a.id, b.id) })
}

// between returns the open links between two nodes, both ends.
func (s *sim) between(a, b *node) []*simLink {
	var all []*simLink
	for _, l := range a.links {
		if l.open && !l.closed && l.peer != nil && l.peer.node == b {
			all = append(all, l, l.peer)
		}
	}
	slices.SortFunc(all, func(x, y *simLink) int { return int(x.id) - int(y.id) })
	return all
}

// sever breaks the channels between two nodes, with what is on its way: both ends see an error, or neither anything.
func (s *sim) sever(a, b *node, silent bool) {
	for _, l := range s.between(a, b) {
		if silent {
			l.hole = true
			continue
		}
		l.closed = true
		s.at(s.latency(a, b), func() { l.node.step(Closed{l.id, errors.New("reset")}) })
	}
}

// kill ends a node without a goodbye of its own. The transports notice: TCP by a reset, SCTP by an abort. If it is
// silent, none does.
func (n *node) kill(silent bool) {
	n.dead = true
	for _, l := range n.byLink() {
		if l.closed {
			continue
		}
		l.closed = true
		if !silent {
			n.sim.hangUp(l, errors.New("reset"))
		}
	}
}

// connectMember opens a WebSocket to a node that listens.
func (s *sim) connectMember(l *simLink, to string) {
	if l.closed {
		return
	}
	base, query, _ := strings.Cut(to, "/?")
	s.dialled = append(s.dialled, to)
	var call Call
	i := slices.IndexFunc(s.nodes, func(n *node) bool { return n.url == base && !n.dead })
	if i >= 0 && s.nodes[i].frozen { // the kernel takes the connection, and nobody answers
		n := s.nodes[i]
		n.missed = append(n.missed, func() { s.connectMember(l, to) })
		return
	}
	err := errors.New("nobody listens")
	if i >= 0 && !s.cut(l.node, s.nodes[i]) {
		call, err = ParseCall(query)
	}
	if err != nil {
		l.node.step(Closed{l.id, err})
		return
	}
	n := s.nodes[i]
	if n.self != nil && call.InvitesSealed() {
		l.open = true
		l.peer = &simLink{node: n, peer: l, open: true, room: NewAnteroom(n.self, n.core.cfg.Entropy)}
		l.node.step(Opened{Link: l.id})
		return
	}
	var link Link
	var outs []Output
	if n.bot && n.core.State() == StateLeft {
		link, outs, err = n.core.Invited(s.now, call, n.url)
	} else {
		link, outs, err = n.core.Accept(s.now, call)
	}
	other := &simLink{id: link, node: n, peer: l, open: true}
	if err == nil {
		n.links[link] = other
		l.peer, l.open = other, true
	}
	n.do(outs)
	if err != nil {
		if s.trace != nil {
			s.trace(l.node.name, n.name, err.Error())
		}
		l.node.step(Closed{l.id, err})
		return
	}
	s.at(s.latency(n, l.node), func() {
		if !l.closed {
			l.node.step(Opened{Link: l.id})
		}
	})
	n.step(Opened{Link: link})
}

// invites has a bot hear of what comes over a link by which it is invited into a sealed group.
func (s *sim) invites(l *simLink, b []byte) {
	answer, inv, err := l.room.Receive(b)
	if answer != nil {
		s.send(l, answer)
		return
	}
	var link Link
	var outs []Output
	if err == nil {
		link, outs, err = l.node.core.InvitedSealed(s.now, inv, 0, inv.Key, l.node.url)
	}
	if err != nil {
		l.closed = true
		s.hangUp(l, err)
		return
	}
	l.id, l.room = link, nil
	l.node.links[link] = l
	l.node.do(outs)
	l.node.step(Opened{Link: link})
}

// connectServer opens a link to the signaling server.
func (s *sim) connectServer(l *simLink, key string) {
	if l.closed || l.node.dead {
		return
	}
	if s.down {
		l.closed = true
		l.node.step(Closed{l.id, errors.New("refused")})
		return
	}
	s.named = append(s.named, key)
	if s.room != "" {
		key = s.room
	}
	p, err := s.server.Open(s.clock(), key, l.node.url != "")
	if err != nil {
		s.t.Fatal(err)
	}
	p.Handle = l
	l.server, l.open = p, true
	l.node.step(Opened{Link: l.id})
}

func (s *sim) clock() time.Time { return time.Unix(0, 0).Add(s.now) }

func (s *sim) serverTick() {
	if !s.down {
		s.act(s.server.Tick(s.clock()))
	}
	s.at(100*time.Millisecond, s.serverTick)
}

// act carries out what the server wants.
func (s *sim) act(acts []signaling.Action) {
	for _, a := range slices.Clone(acts) {
		l := a.To.Handle.(*simLink)
		switch a.Kind {
		case signaling.Send:
			b := a.Message.Append(nil)
			if s.trace != nil {
				s.trace("server", l.node.name, describe(b, true))
			}
			l.down = max(l.down, s.now+s.latency(l.node, nil))
			all := [][]byte{b}
			if s.tamper != nil {
				all = s.tamper(nil, l.node, b)
			}
			for _, b := range all {
				s.at(l.down-s.now, func() {
					if !l.closed {
						l.node.step(Received{l.id, b})
					}
				})
			}
		case signaling.Close:
			l.server = nil
			s.at(max(l.down-s.now, s.latency(l.node, nil)), func() {
				if !l.closed {
					l.closed = true
					l.node.step(Closed{l.id, fmt.Errorf("close %d", a.Code)})
				}
			})
		}
	}
}

// restart ends the server and starts it again after a while.
func (s *sim) stopServer() {
	s.down = true
	for _, n := range s.nodes {
		for _, l := range n.byLink() {
			if l.server != nil && !l.closed {
				l.server, l.closed = nil, true
				s.at(s.latency(n, nil), func() { n.step(Closed{l.id, errors.New("reset")}) })
			}
		}
	}
}

func (s *sim) startServer() {
	s.server = signaling.New(signaling.Config{Rand: s.rand.Uint32})
	s.down = false
}

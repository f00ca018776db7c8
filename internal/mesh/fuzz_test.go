package mesh

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// A driver gives a core inputs that a shell could give it, and checks after each that its parts agree with one another.
type driver struct {
	t      testing.TB
	core   *Core
	now    time.Duration
	links  []Link          // that have not ended
	closed map[Link]bool   // by the core
	known  map[uint32]bool // members that joined
	open   map[uint64]bool // tokens without an outcome
	token  uint64
	ready  map[Link]bool

	leaving  bool
	insiders *insiders // of a sealed group
}

func drive(t testing.TB) *driver {
	n := uint32(499)
	d := &driver{t: t, closed: map[Link]bool{}, known: map[uint32]bool{}, open: map[uint64]bool{}, ready: map[Link]bool{}}
	d.core = New(Config{Rand: func() uint32 { n++; return n }, MaxMembers: 6, SendQueue: 2000, MaxMessage: 100_000,
		MaxPartial: 120_000, MaxPartialAll: 200_000})
	return d
}

func (d *driver) step(in Input) {
	d.do(d.core.Step(d.now, in))
	d.check()
}

func (d *driver) do(outs []Output) {
	for _, o := range slices.Clone(outs) {
		switch o := o.(type) {
		case DialSignaling:
			d.links = append(d.links, o.Link)
		case Dial:
			d.links = append(d.links, o.Link)
		case Offer:
			d.links = append(d.links, o.Link)
		case Answer:
			d.links = append(d.links, o.Link)
		case Ready:
			d.ready[o.Link] = true
		case Close:
			if d.closed[o.Link] && !(o.Abort && d.leaving) { // what is being closed may be aborted when leaving takes too long
				d.t.Fatalf("link %d is closed twice", o.Link)
			}
			d.closed[o.Link] = true
		case NewState:
			d.leaving = o.State == StateLeaving
		case Joined:
			if d.known[o.ID] || o.ID < MinID || o.ID == d.core.ID() {
				d.t.Fatalf("%d joined", o.ID)
			}
			d.known[o.ID] = true
			if d.insiders != nil && !d.insiders.met(o.ID) { // SEC-35
				d.t.Fatalf("%d joined without a session", o.ID)
			}
		case Gone:
			if !d.known[o.ID] {
				d.t.Fatalf("%d is gone", o.ID)
			}
			delete(d.known, o.ID)
		case Deliver:
			if !d.known[o.From] || o.Data == nil {
				d.t.Fatalf("a message of %d", o.From)
			}
			if d.insiders != nil {
				d.insiders.delivered(o)
			}
		case Done:
			if !d.open[o.Token] {
				d.t.Fatalf("token %d has an outcome twice", o.Token)
			}
			delete(d.open, o.Token)
		}
	}
}

func (d *driver) pull(l Link, n int) {
	for range n {
		b, outs := d.core.Pull(d.now, l)
		if len(b) > 65_535 {
			d.t.Fatalf("a message of %d bytes", len(b)) // CHN-4
		}
		if b != nil && d.insiders != nil {
			d.insiders.hear(l, b)
		}
		d.do(outs)
		d.check()
		if b == nil {
			delete(d.ready, l)
			return
		}
	}
}

// ended tells the core of the end of a link.
func (d *driver) ended(l Link) {
	d.links = remove(d.links, l)
	delete(d.ready, l)
	d.step(Closed{Link: l})
}

func (d *driver) check() {
	c := d.core
	if c.seal != nil {
		d.checkSeal()
	}
	held, announced := 0, 0
	for _, m := range c.order {
		cost, n := 0, 0
		for _, p := range m.partials {
			cost += p.cost
			n++
			size := partialCost + cap(p.data)
			for _, b := range p.early {
				size += len(b)
			}
			if p.cost != size || p.from != m {
				d.t.Fatalf("%d bytes are held, %d accounted for", size, p.cost)
			}
		}
		if cost != m.partial || n != m.oldest.Len() || cost > c.cfg.MaxPartial+partialCost {
			d.t.Fatalf("%d bytes of %d messages, %d of %d accounted for", cost, n, m.partial, m.oldest.Len())
		}
		held += cost
		if c.members[m.id] != m || m.ch != nil && (c.channels[m.ch.link] != m.ch || m.ch.member != m || !m.announced) {
			d.t.Fatalf("member %d is not in order", m.id)
		}
		if m.announced {
			announced++
			if !d.known[m.id] {
				d.t.Fatalf("nobody was told of %d", m.id)
			}
		}
		if m.queued < 0 || m.claimed || len(m.queue) == 0 && m.queued != 0 {
			d.t.Fatalf("%d bytes are queued for %d", m.queued, m.id)
		}
		d.checkDelivery(m)
	}
	if held != c.partial || held > c.cfg.MaxPartialAll+partialCost || len(c.members) != len(c.order) || announced != len(d.known) ||
		len(c.order) >= c.cfg.MaxMembers {
		d.t.Fatalf("%d bytes, %d accounted for; %d members, %d in order, %d of %d known", held, c.partial, len(c.members), len(c.order), announced, len(d.known))
	}
	for l, ch := range c.channels {
		if d.closed[l] && c.state != StateLeaving || ch.link != l || !slices.Contains(d.links, l) || ch.outSize < 0 {
			d.t.Fatalf("channel %d is not in order", l)
		}
	}
	for id, a := range c.attempts {
		if a.to.id != id || a.timer.index < 0 {
			d.t.Fatalf("the attempt with %d is not in order", id)
		}
	}
	if c.state == StateLeft && len(c.channels)+len(c.order)+len(c.attempts)+len(c.builds)+c.timers.Len() != 0 {
		d.t.Fatalf("left: %d timers, %d members, %d attempts, %d builds, %d channels", c.timers.Len(), len(c.order), len(c.attempts), len(c.builds), len(c.channels))
	}
}

// checkDelivery checks that the sequences with a member are in order.
func (d *driver) checkDelivery(m *member) {
	size, queued := 0, 0
	for _, e := range m.early {
		size += len(e.content) + itemCost
	}
	for i := range m.queue {
		it := &m.queue[i]
		queued += itemCost
		if it.first == 0 {
			queued += len(it.msg.data) - it.sent
		} else {
			queued += it.left(m.acked)
		}
		if it.sent < 0 || it.sent > len(it.msg.data) || i < m.at && (it.sent != len(it.msg.data) || it.first == 0) {
			d.t.Fatalf("message %d of %d to %d, %d of %d bytes of it, is behind", i, m.at, m.id, it.sent, len(it.msg.data))
		}
	}
	if size != m.held || size > d.core.cfg.Window || queued != m.queued || m.at > len(m.queue) || m.inflight < 0 || m.acked > m.numbers {
		d.t.Fatalf("%d: %d bytes are held, %d accounted for; %d are queued, %d accounted for; at %d of %d; %d in flight; %d of %d acknowledged", m.id, size, m.held, queued, m.queued, m.at, len(m.queue), m.inflight, m.acked, m.numbers)
	}
}

// end leaves, and checks that nothing is left.
func (d *driver) end() {
	d.step(Leave{})
	for len(d.links) > 0 {
		d.ended(d.links[0])
	}
	if d.core.State() == StateLeaving {
		d.step(Leave{})
	}
	if c := d.core; c.State() != StateLeft || c.timers.Len() != 0 || c.partial != 0 || len(d.known)+len(d.open)+len(c.waiting) != 0 {
		d.t.Fatalf("%v, %d timers, %d bytes, %d members, %d sends", c.State(), c.timers.Len(), c.partial, len(d.known), len(d.open))
	}
}

// FuzzReceived feeds messages to a member that has a channel to another one, and knows a distant one: CHN-3, WIR-8 to
// WIR-12, MSG-11. The first byte of each says how long it is.
func FuzzReceived(f *testing.F) {
	for _, b := range [][]byte{
		(&wire.Message{SenderID: id(1)}).Append(nil),
		(&wire.Message{SenderID: id(2), ServiceID: wire.ServiceChannelBuilder, Content: requestOf(id(2), id(1))}).Append(nil),
		(&wire.Message{SenderID: id(2), ServiceID: wire.ServiceDataChannelBuilder, Content: offer("sdp")}).Append(nil),
		(&wire.Message{SenderID: id(1), ServiceID: wire.ServiceFullMesh, Content: (&wire.FullMesh{Kind: wire.FullMeshMembers, Members: ids(1, 2, 3)}).Append(nil)}).Append(nil),
		(&wire.Message{SenderID: id(1), ServiceID: wire.ServiceUserMessage, Content: (&wire.UserMessage{Kind: wire.UserMessageFull, Full: []byte("x")}).Append(nil)}).Append(nil),
		(&wire.Message{SenderID: id(1), ServiceID: wire.ServiceUserMessage, Content: (&wire.UserMessage{Length: 3, Kind: wire.UserMessageChunk, Chunk: wire.Chunk{ID: 1, Content: []byte("abc")}}).Append(nil)}).Append(nil),
		chunkOf{from: 1, length: 15_100, id: 1, nb: 1, size: 100}.message(),
	} {
		f.Add(append([]byte{byte(len(b))}, b...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := drive(t)
		d.step(Join{Key: "key"})
		d.step(Opened{Link: 1})
		for range 2 {
			d.step(Received{1, (&wire.Signaling{Kind: wire.SignalingConnected, Connected: true}).Append(nil)})
		}
		d.token = 1
		d.open[1] = true
		d.step(Invite{Token: 1, URL: "ws://bot"})
		d.step(Opened{Link: 2})
		d.step(Received{2, initPong(id(1))})
		for len(data) > 0 {
			n := min(int(data[0]), len(data)-1)
			d.step(Received{2, data[1 : n+1]})
			if !slices.Contains(d.core.Neighbors(), id(1)) {
				t.Fatal("a message ended the channel it came on")
			}
			data = data[n+1:]
			for l := range d.ready {
				d.pull(l, 3)
			}
		}
		d.end()
	})
}

// FuzzEvents feeds a core with inputs in arbitrary order.
func FuzzEvents(f *testing.F) {
	f.Add([]byte{0, 0, 2, 0, 6, 1, 6, 1, 7, 3, 7, 0x83, 2, 1, 8, 0x11, 13, 9, 14, 1})
	r := rand.New(rand.NewPCG(7, 7))
	for range 300 { // what a run of the tests alone goes through
		b := make([]byte, 600)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		copy(b, []byte{0, 0, 2, 0, 6, 1})
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		d := drive(t)
		for len(ops) >= 2 {
			d.event(ops[0]%kinds, ops[1], ops)
			ops = ops[2:]
		}
		d.end()
	})
}

// kinds is how many kinds of input there are.
const kinds = 25

// event gives one input, which two bytes make up.
func (d *driver) event(op, arg byte, rest []byte) {
	c := d.core
	var l Link
	if len(d.links) > 0 {
		l = d.links[int(arg>>4)%len(d.links)]
	}
	who := id(uint32(arg & 7))
	switch op {
	case 0:
		d.step(Join{Key: "key", Listen: []string{"", "ws://here"}[arg>>3&1]})
	case 1:
		if arg < 2 { // not so often
			d.step(Leave{})
		}
	case 2:
		text := label{who, kind(arg>>3) & 3}
		if ch := c.channels[l]; ch != nil && arg&3 != 0 { // a right one, mostly
			text = label{ch.to.id, internal}
			switch {
			case ch.to.signaling && ch.to.id == 0:
				text.Type = withMember
			case ch.to.signaling:
				text.Type = withJoining
			}
		}
		d.step(Opened{l, text.String()})
	case 3:
		if l != 0 && arg&7 == 0 {
			d.ended(l)
		}
	case 4:
		d.now += time.Duration(arg) * 5 * time.Millisecond
		d.step(Tick{})
	case 5:
		d.step(Stalled{l, arg&1 != 0})
	case 6:
		d.step(Received{c.sig.link, (&wire.Signaling{Kind: wire.SignalingConnected, Connected: arg&1 != 0}).Append(nil)})
	case 7, 8: // through signaling
		m := wire.Signaling{Kind: wire.SignalingContent, Content: wire.Content{SenderID: uint32(arg>>4) & 3}}
		if arg&8 == 0 || op == 8 {
			inner := d.building(arg&7, who)
			m.Content.Data = inner.Append(nil)
		}
		d.step(Received{c.sig.link, m.Append(nil)})
	case 9, 10: // on a channel
		m := d.building(arg&7, id(uint32(rest[len(rest)-1])&7))
		m.RecipientID = c.id
		d.step(Received{l, m.Append(nil)})
	case 11:
		d.step(Received{l, initPong(who)})
	case 12:
		d.step(Received{l, initPing(who, id(1), id(2), id(uint32(arg)&3), who)})
	case 13, 14:
		d.token++
		d.open[d.token] = true
		to := who
		if arg&8 != 0 {
			to = 0
		}
		d.step(Send{Token: d.token, To: to, Data: make([]byte, 300*int(arg>>4)), Try: op == 14})
	case 15:
		d.step(Cancel{d.token - uint64(arg&3)})
	case 16:
		d.token++
		d.open[d.token] = true
		d.step(Invite{Token: d.token, URL: "ws://bot"})
	case 17:
		d.pull(l, int(arg&15))
	case 18:
		k := chunkOf{from: uint32(arg & 7), length: 15_000*uint32(arg>>6) + 40, id: uint32(arg>>3) & 3, nb: uint32(rest[len(rest)-1]) & 3, size: ChunkSize}
		if int64(k.nb)*ChunkSize+40 == int64(k.length) {
			k.size = 40
		}
		d.step(Received{l, k.message()})
	case 19:
		d.step(Local{l, wire.DataChannelBuilder{}})
	case 20: // a WebSocket
		call := Call{Kind: uint32(arg & 3), Group: int64(c.groupID), Sender: int64(arg>>4) & 3, Key: "key"}
		if kind(call.Kind) == internal {
			call.Sender = int64(who)
		}
		call.Kind = min(call.Kind, 2)
		f := c.Accept
		if c.State() == StateLeft {
			f = func(now time.Duration, call Call) (Link, []Output, error) { return c.Invited(now, call, "ws://here") }
		}
		l, outs, err := f(d.now, call)
		if err == nil {
			d.links = append(d.links, l)
		}
		d.do(outs)
		d.check()
	case 21:
		if arg&0x60 != 0 { // not so often
			return
		}
		d.token++
		d.open[d.token] = true
		d.step(Drop{Token: d.token, ID: who, Block: arg&8 != 0, Hole: arg&0x80 != 0})
		if arg&16 != 0 {
			d.step(Unblock{who})
		}
	case 23: // of the contract of delivery
		m := wire.Message{SenderID: id(uint32(rest[len(rest)-1]) & 7), RecipientID: c.id, ServiceID: wire.ServiceDelivery}
		var say wire.Delivery
		switch arg & 3 {
		case 0:
			say = wire.Delivery{Kind: wire.DeliveryHello, Hello: wire.Hello{Version: 1, Session: uint32(arg>>4) + 1, Window: 40_000}}
		case 1:
			say = wire.Delivery{Kind: wire.DeliveryAck, Ack: wire.Ack{Session: uint32(arg>>4) + 1, Number: uint64(arg >> 2 & 3)}}
		case 2:
			say = wire.Delivery{Kind: wire.DeliveryProbe, Probe: arg&4 != 0}
		default:
			say = wire.Delivery{Kind: wire.DeliveryBye}
		}
		m.Content = say.Append(nil)
		d.step(Received{l, m.Append(nil)})
	case 24: // with a number
		from := c.members[who]
		if from == nil {
			return
		}
		um := wire.UserMessage{Length: 5, Type: wire.UserBytes, Kind: wire.UserMessageFull, Full: make([]byte, 5),
			Number: uint64(arg>>3)&7 + 1, Session: from.session}
		d.step(Received{l, (&wire.Message{SenderID: who, RecipientID: c.id, ServiceID: wire.ServiceUserMessage, Content: um.Append(nil)}).Append(nil)})
	case 22:
		if l != 0 && arg&7 == 0 {
			d.links = remove(d.links, l)
			delete(d.ready, l)
			d.step(Closed{l, errMembers})
		}
	}
}

// building is one of the messages by which channels are built or the mesh is kept.
func (d *driver) building(what byte, who uint32) wire.Message {
	m := wire.Message{SenderID: who, ServiceID: wire.ServiceChannelBuilder}
	switch what {
	case 0:
		m.Content = requestOf(who, id(1), id(2))
	case 1:
		m.Content = response(true)
	case 2:
		m.Content = negotiation(wire.Negotiation{Initiator: canDo})
	case 3:
		n := wire.Negotiation{Initiator: canDo, HasPassive: true, Passive: canDo}
		n.Passive.ID = who
		n.Passive.WSS = "ws://them"
		m.Content = negotiation(n)
	case 4:
		m.ServiceID, m.Content = wire.ServiceDataChannelBuilder, offer("sdp")
	case 5:
		m.ServiceID, m.Content = wire.ServiceDataChannelBuilder, candidate("c")
	case 6:
		m.ServiceID = wire.ServiceFullMesh
		m.Content = (&wire.FullMesh{Kind: wire.FullMeshMembers, Members: ids(1, 2, 3, 4, 5, 6, 7)}).Append(nil)
	default:
		m.ServiceID = wire.ServiceFullMesh
		m.Content = (&wire.FullMesh{Kind: wire.FullMeshAdjacentMembers, AdjacentMembers: ids(1, 2)}).Append(nil)
	}
	return m
}

// TestFuzzReachesWhatItShould: events at random do lead to members, distant ones, messages in parts and losses.
func TestFuzzReachesWhatItShould(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	joined, neighbors, waiting, partials, states := 0, 0, 0, 0, map[string]int{}
	for range 300 {
		d := drive(t)
		d.event(0, 0, nil)
		d.event(2, 0, nil)
		d.event(6, 1, nil)
		for range 300 {
			d.event(byte(r.IntN(kinds)), byte(r.Uint32()), []byte{byte(r.Uint32())})
			joined = max(joined, len(d.known))
			neighbors = max(neighbors, len(d.core.Neighbors()))
			waiting = max(waiting, len(d.core.waiting))
			partials = max(partials, d.core.partial)
			states[fmt.Sprint(d.core.State(), d.core.SignalingState(), d.core.topology)]++
		}
		d.end()
	}
	if joined < 4 || neighbors < 2 || waiting < 1 || partials == 0 || len(states) < 12 {
		t.Errorf("%d members, %d neighbors, %d sends that wait, %d bytes, states %v", joined, neighbors, waiting, partials, states)
	}
}

package mesh

import (
	"time"

	"github.com/meshpair/meshpair/internal/scenario"
	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/wire"
)

// A watch looks at what members that keep the contract of delivery send each other, and knows nothing of the state of
// their cores.
type watch struct {
	s                *sim
	ledger           *scenario.Ledger
	window           int
	calm             bool // no channel has been lost or built yet
	sealed           bool
	opened, unopened int // of what is sealed
	flows            map[[2]uint32]*flow
}

// A flow is the sequence from one member to another one, as seen on the wire.
type flow struct {
	session  uint32
	sent     uint64   // the greatest number
	sizes    []int    // of the parts after acked
	onWay    int      // their sum
	acked    uint64   // as the sender has heard
	came     uint64   // up to this number all has come
	early    []uint64 // what came after a gap
	due      time.Duration
	awaiting bool // something has come that no acknowledgement was sent for; it is due
}

func newWatch(s *sim, ledger *scenario.Ledger, window int) *watch {
	if window == 0 {
		window = DefaultWindow
	}
	return &watch{s: s, ledger: ledger, window: window, calm: true, flows: make(map[[2]uint32]*flow)}
}

func (w *watch) flow(from, to uint32) *flow {
	f := w.flows[[2]uint32{from, to}]
	if f == nil {
		f = &flow{}
		w.flows[[2]uint32{from, to}] = f
	}
	return f
}

// sent looks at a message that a node sends to another one.
func (w *watch) sent(n, to *node, b []byte) {
	var m wire.Message
	if w == nil || n.core.cfg.Original || m.Decode(b) != nil || m.SenderID != n.core.ID() {
		return
	}
	recipient := m.RecipientID
	if recipient == 0 {
		if recipient = to.core.ID(); recipient == 0 {
			recipient = to.id // it has left
		}
	}
	if !w.open(&m) {
		return
	}
	switch m.ServiceID {
	case wire.ServiceUserMessage:
		var u wire.UserMessage
		if err := u.Decode(m.Content); err != nil {
			w.ledger.Fail("%s sends what is no message: %v", n.name, err)
		} else if u.Number > 0 {
			w.part(n, w.flow(m.SenderID, recipient), &u, recipient)
		}
	case wire.ServiceDelivery:
		var d wire.Delivery
		if d.Decode(m.Content) == nil && d.Kind == wire.DeliveryAck {
			w.ack(n, w.flow(recipient, m.SenderID), d.Ack)
		}
	}
}

// open puts what is sealed in a message in its place, by the keys of the one that it is for, who notices nothing; it reports
// whether there is something to look at. Of a group that is sealed nothing else may be on the wire (SEC-12).
func (w *watch) open(m *wire.Message) bool {
	if !w.sealed {
		return true
	}
	var sm wire.Sealed
	if m.ServiceID != wire.ServiceSealed || sm.Decode(m.Content) != nil || m.RecipientID < MinID {
		w.ledger.Fail("%d sends %d what is not sealed: %x", m.SenderID, m.RecipientID, m.Content)
		return false
	}
	if sm.Kind != wire.SealedPart {
		return false
	}
	for _, n := range w.s.nodes {
		if n.core.id != m.RecipientID || n.core.seal == nil {
			continue
		}
		s := n.core.seal.sessions[sm.Part.Index]
		if s == nil || s.id != m.SenderID {
			break
		}
		look := *s.Session
		plain, err := look.Open(nil, sm.Part.Counter, sm.Part.Data)
		if err == sealed.ErrReplay { // it went several ways (EXT-9)
			return false
		}
		var inner wire.Inner
		if err != nil || inner.Decode(plain) != nil || inner.BodyKey != nil && new(Core).openBody(&inner, sm.Part.Body) != nil {
			break
		}
		m.ServiceID, m.Content = inner.ServiceID, inner.Content
		w.opened++
		return true
	}
	// The one that it is for has forgotten the sender, or is not there any more: what comes next begins anew.
	delete(w.flows, [2]uint32{m.SenderID, m.RecipientID})
	w.unopened++
	return false
}

// part looks at a part of a message that is sent.
func (w *watch) part(n *node, f *flow, u *wire.UserMessage, to uint32) {
	if u.Session != f.session {
		*f = flow{session: u.Session}
		if w.sealed && u.Number > 1 { // see open
			f.sent, f.came, f.acked = u.Number-1, u.Number-1, u.Number-1
		}
	}
	size := len(u.Full) + len(u.Chunk.Content)
	switch {
	case u.Number > f.sent+1: // EXT-4
		w.ledger.Fail("%s sends %d part %d after %d", n.name, to, u.Number, f.sent)
	case u.Number <= f.sent:
		if w.calm { // EXT-8
			w.ledger.Fail("%s repeats part %d for %d on a live channel", n.name, u.Number, to)
		}
		return
	}
	f.sent = u.Number
	f.sizes = append(f.sizes, size)
	if f.onWay += size; f.onWay > w.window+ChunkSize { // EXT-7
		w.ledger.Fail("%s has %d bytes on their way to %d, whose window is %d", n.name, f.onWay, to, w.window)
	}
}

// ack looks at an acknowledgement that is sent.
func (w *watch) ack(n *node, f *flow, a wire.Ack) {
	if a.Session != f.session {
		return
	}
	if a.Number > f.came { // EXT-6
		w.ledger.Fail("%s acknowledges %d, and only %d have come", n.name, a.Number, f.came)
	}
	if f.awaiting && w.calm && w.s.now > f.due { // EXT-6
		w.ledger.Fail("%s acknowledges %d later than 50 ms", n.name, a.Number)
	}
	f.awaiting = false
}

// arrived looks at a message that comes at a node.
func (w *watch) arrived(n *node, b []byte) {
	var m wire.Message
	if w == nil || n.dead || n.core.cfg.Original || m.Decode(b) != nil || m.RecipientID != 0 && m.RecipientID != n.core.ID() || !w.open(&m) {
		return
	}
	switch m.ServiceID {
	case wire.ServiceUserMessage:
		var u wire.UserMessage
		f := w.flow(m.SenderID, n.core.ID())
		if u.Decode(m.Content) == nil && u.Number > 0 && u.Session == f.session {
			f.take(u.Number)
			if !f.awaiting {
				f.awaiting, f.due = true, w.s.now+50*time.Millisecond // EXT-6
			}
		}
	case wire.ServiceDelivery:
		var d wire.Delivery
		f := w.flow(n.core.ID(), m.SenderID)
		err := d.Decode(m.Content)
		if err == nil && d.Kind == wire.DeliveryHello {
			w.ledger.Greeted(n.core.ID(), m.SenderID)
		}
		if err == nil && d.Kind == wire.DeliveryAck && d.Ack.Session == f.session {
			for ; f.acked < d.Ack.Number && len(f.sizes) > 0; f.acked++ {
				f.onWay -= f.sizes[0]
				f.sizes = f.sizes[1:]
			}
		}
	}
}

// take notes a part that came.
func (f *flow) take(n uint64) {
	if n > f.came+1 {
		f.early = append(f.early, n)
		return
	}
	f.came = max(f.came, n)
	for again := true; again; {
		again = false
		for i := 0; i < len(f.early); i++ {
			if f.early[i] == f.came+1 {
				f.came++
				again = true
			}
			if f.early[i] <= f.came {
				f.early = append(f.early[:i], f.early[i+1:]...)
				i--
			}
		}
	}
}

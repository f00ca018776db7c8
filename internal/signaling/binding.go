package signaling

import (
	"cmp"
	"slices"

	"github.com/meshpair/meshpair/internal/wire"
)

// maxSignalingID is the greatest signaling id; ids of members are greater, so
// that the two cannot be mistaken for one another (SIG-26).
const maxSignalingID = 1<<31 - 1

// A binding leads the content of a joining peer to one member, and back.
// Each direction ends for itself, by a content marked as the last.
type binding struct {
	id             uint32 // the signaling id, which stands for the joiner
	joiner, member *Peer
	seq            uint64 // order among all bindings
	toMemberEnded  bool
	toJoinerEnded  bool
}

// bindTo binds a joiner to a member under a fresh signaling id. An earlier
// binding is replaced, of which its member hears nothing (SIG-34).
func (c *Core) bindTo(joiner, member *Peer) {
	joiner.unbind()
	if member.joiners == nil {
		member.joiners = make(map[uint32]*binding)
	}
	c.bindings++
	b := &binding{id: c.signalingID(member), joiner: joiner, member: member, seq: c.bindings}
	joiner.binding = b
	member.joiners[b.id] = b
}

// signalingID draws an id that is non-zero, below 2^31 and not in use with the
// member (SIG-26).
func (c *Core) signalingID(member *Peer) uint32 {
	for {
		id := c.cfg.Rand() & maxSignalingID
		if _, used := member.joiners[id]; id != 0 && !used {
			return id
		}
	}
}

// unbind ends the binding of a joiner, of which its member hears nothing.
func (p *Peer) unbind() {
	if b := p.binding; b != nil {
		delete(b.member.joiners, b.id)
		p.binding = nil
	}
}

// content passes on a content: from a member to the joiner that it names, or
// else from a joiner to the member that it is bound to. Content that has
// nowhere to go is dropped (SIG-36).
func (c *Core) content(p *Peer, m *wire.Content) {
	data := m.Data
	if data == nil {
		data = []byte{} // SIG-29: only a disconnect notice lacks the field
	}
	// SIG-35: what a member sends to a joiner of its own goes nowhere else,
	// even if the member once joined through another and is bound to it still.
	if b := p.joiners[m.RecipientID]; b != nil {
		if !b.toJoinerEnded { // SIG-28
			c.send(b.joiner, forward(0, b.id, data))
			b.toJoinerEnded = m.LastData // SIG-30
		}
		return
	}
	if b := p.binding; b != nil && !b.toMemberEnded { // SIG-27
		c.send(b.member, forward(b.id, 0, data))
		b.toMemberEnded = m.LastData // SIG-30
	}
}

// unbindAll ends all bindings of a peer that goes, in the order in which they
// began; the other end of each direction that has not ended hears of it by a
// content without data (SIG-31, SIG-32).
func (c *Core) unbindAll(p *Peer) {
	var all []*binding
	if p.binding != nil {
		all = append(all, p.binding)
	}
	for _, b := range p.joiners {
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b *binding) int { return cmp.Compare(a.seq, b.seq) })
	for _, b := range all {
		delete(b.member.joiners, b.id)
		b.joiner.binding = nil
		switch {
		case b.joiner == p && !b.toMemberEnded:
			c.send(b.member, forward(b.id, 0, nil))
		case b.member == p && !b.toJoinerEnded:
			c.send(b.joiner, forward(0, b.id, nil))
		}
	}
}

// forward is a content as a server sends it; nil data is a disconnect notice.
func forward(sender, recipient uint32, data []byte) wire.Signaling {
	return wire.Signaling{
		Kind:    wire.SignalingContent,
		Content: wire.Content{SenderID: sender, RecipientID: recipient, Data: data},
	}
}

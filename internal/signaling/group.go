package signaling

import "slices"

// joined is the outcome of a connect.
type joined struct {
	ok       bool
	replaced *Peer // the member whose place the peer took; to be expelled
}

// connect is a peer's wish to be, or its claim to be still, a member of its
// group under an id, given the members that it has channels to.
func (c *Core) connect(p *Peer, id uint32, members []uint32) joined {
	r := p.room
	switch len(r.members) {
	case 0: // SIG-16
		p.join(id)
		return joined{ok: true}
	case 1:
		lone := r.members[0]
		switch {
		case lone == p: // SIG-17
			return joined{ok: true}
		case slices.Contains(members, lone.id): // SIG-18
			p.join(id)
			return joined{ok: true}
		case p.hasTried(lone): // SIG-19
			p.join(id)
			return joined{ok: true, replaced: lone}
		}
	default:
		if r.knows(members) { // SIG-20
			p.join(id)
			return joined{ok: true}
		}
	}
	p.leave() // SIG-21
	m := r.choose(p)
	p.try(m)
	c.bindTo(p, m)
	return joined{}
}

// join makes the peer a member under the id, or gives a member a new id. Bindings
// stay as they are (SIG-33).
func (p *Peer) join(id uint32) {
	if p.member {
		p.room.dropID(p.id)
	} else {
		p.room.members = append(p.room.members, p)
	}
	p.member = true
	p.id = id
	p.room.ids[id]++
	p.tried = nil
}

// leave makes the peer a non-member, which keeps its bindings (SIG-33). A group without members is no group any
// more: the next peer that connects founds it anew (SIG-24).
func (p *Peer) leave() {
	if !p.member {
		return
	}
	r := p.room
	i := slices.Index(r.members, p)
	r.members = slices.Delete(r.members, i, i+1)
	r.dropID(p.id)
	p.member = false
	p.view = view{}
}

func (r *room) dropID(id uint32) {
	if r.ids[id]--; r.ids[id] == 0 {
		delete(r.ids, id)
	}
}

// knows reports whether one of the ids is a member's.
func (r *room) knows(ids []uint32) bool {
	return slices.ContainsFunc(ids, func(id uint32) bool { return r.ids[id] > 0 })
}

// maxTried is how many tried members a peer remembers: many more than a group
// has unless its members change their ids all the time.
const maxTried = 1024

// try records that the peer is led to a member.
func (p *Peer) try(m *Peer) {
	if p.tried == nil || len(p.tried) >= maxTried {
		p.tried = make(map[uint32]struct{})
	}
	p.tried[m.id] = struct{}{}
}

func (p *Peer) hasTried(m *Peer) bool {
	_, ok := p.tried[m.id]
	return ok
}

// choose returns the member that a joining peer is to be bound to: the first
// favored one that it has not tried, else the first one that it has not tried,
// in joining order (SIG-22).
func (r *room) choose(p *Peer) *Peer {
	var first *Peer
	for _, m := range r.members {
		if p.hasTried(m) {
			continue
		}
		if m.favored {
			return m
		}
		if first == nil {
			first = m
		}
	}
	if first == nil { // SIG-23
		p.tried = nil
		return r.choose(p)
	}
	return first
}

package signaling

// beatQueue holds the peers in the order of their next heartbeat. As every
// interval is the same, a peer whose turn has come goes to the end.
type beatQueue struct{ first, last *Peer }

func (q *beatQueue) push(p *Peer) {
	p.prev, p.next = q.last, nil
	if q.last == nil {
		q.first = p
	} else {
		q.last.next = p
	}
	q.last = p
}

func (q *beatQueue) remove(p *Peer) {
	if p.prev == nil {
		q.first = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		q.last = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.prev, p.next = nil, nil
}

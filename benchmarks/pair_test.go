//go:build unix

package benchmarks

import (
	"bytes"
	"fmt"
)

// A pair is a member and a peer that joins through it; on the bare relay, the
// two connections of a path.
type pair struct{ member, joiner *peer }

// join opens a pair. Each of the two connects, upgrades, sends one connect and
// gets one message: from our server its answer, from the bare relay the connect
// of the other.
func (t *target) join(buffer int) (*pair, error) {
	t.keys++
	return t.joinKey(fmt.Sprintf("/benchmark-%d", t.keys), buffer)
}

// joinKey is join with a given path, for use by several goroutines at once.
func (t *target) joinKey(path string, buffer int) (*pair, error) {
	fromMember, fromJoiner := connectedTrue, connectedFalse
	if t.kind == bare {
		fromMember, fromJoiner = connect(2), connect(1)
	}
	p := new(pair)
	var err error
	if p.member, err = t.enter(path, buffer, 1); err != nil {
		return nil, err
	}
	if t.kind == ours { // the founder is to be the member
		err = p.member.expect(fromMember)
	}
	if err == nil {
		p.joiner, err = t.enter(path, buffer, 2)
	}
	if err == nil && t.kind == bare {
		err = p.member.expect(fromMember)
	}
	if err == nil {
		err = p.joiner.expect(fromJoiner)
	}
	if err != nil {
		p.drop()
		return nil, err
	}
	return p, nil
}

// enter is the first half of joining: up to the connect.
func (t *target) enter(path string, buffer int, id byte) (*peer, error) {
	p, err := dial(t.addr, path, buffer)
	if err != nil {
		return nil, err
	}
	if _, err := p.Write(frame(opBinary, connect(id))); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// expect is the second half: the one message.
func (p *peer) expect(want []byte) error {
	got, err := p.next()
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("got % x instead of % x", got, want)
	}
	return err
}

// drop ends both connections without a goodbye.
func (p *pair) drop() {
	for _, c := range []*peer{p.member, p.joiner} {
		if c != nil {
			c.Close()
		}
	}
}

// anyID takes as many bytes as a signaling id commonly does.
const anyID = 1 << 30

// signalingID has the joiner send its member a content, and returns the id that
// the member has to answer to.
func (p *pair) signalingID(kind string) (uint32, error) {
	if _, err := p.joiner.Write(frame(opBinary, content(0, nil))); err != nil {
		return 0, err
	}
	message, err := p.member.next()
	if err != nil || kind == bare {
		return anyID, err
	}
	return sender(message)
}

// A way is one direction of a pair, and the message that takes it.
type way struct {
	from, to *peer
	message  []byte
}

// ways returns both directions of a pair for contents with so many bytes of data.
func (p *pair) ways(kind string, size int) ([2]way, error) {
	id, err := p.signalingID(kind)
	if err != nil {
		return [2]way{}, err
	}
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i)
	}
	return [2]way{
		{p.joiner, p.member, content(0, data)},
		{p.member, p.joiner, content(id, data)},
	}, nil
}

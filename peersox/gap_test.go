package peersox_test

import (
	"context"
	"sync"
	"testing"

	"github.com/meshpair/meshpair/internal/ws"
	"github.com/meshpair/meshpair/peersox"
)

// A lossyRelay is a relay of two processes that loses the packets a test wants.
type lossyRelay struct {
	mu    sync.Mutex
	nodes map[string]func(string, peersox.Packet)
	seats map[string][]peersox.Address
	lose  func(peersox.Packet) bool
}

type lossyNode struct {
	r  *lossyRelay
	id string
}

func (r *lossyRelay) Join(_ context.Context, deliver func(string, peersox.Packet)) (peersox.Node, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := &lossyNode{r, string(rune('a' + len(r.nodes)))}
	r.nodes[n.id] = deliver
	return n, nil
}

func (n *lossyNode) ID() string { return n.id }

func (n *lossyNode) Seat(_ context.Context, hash, client string) (*peersox.Address, error) {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	seated := n.r.seats[hash]
	n.r.seats[hash] = append(seated, peersox.Address{Node: n.id, Client: client})
	if len(seated) == 0 {
		return nil, nil
	}
	return &seated[0], nil
}

func (n *lossyNode) Leave(_ context.Context, hash, _ string) error {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	delete(n.r.seats, hash)
	return nil
}

func (n *lossyNode) Send(_ context.Context, to peersox.Address, p peersox.Packet) error {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	if !n.r.lose(p) {
		n.r.nodes[to.Node](to.Client, p)
	}
	return nil
}

func (n *lossyNode) Alive(context.Context, string) (bool, error) { return true, nil }
func (n *lossyNode) Lost() <-chan struct{}                       { return nil }
func (n *lossyNode) Close() error                                { return nil }

// PSX-36: when a message between two processes is lost both clients are closed, and neither gets what comes after it.
func TestGap(t *testing.T) {
	r := &lossyRelay{nodes: make(map[string]func(string, peersox.Packet)), seats: make(map[string][]peersox.Address)}
	r.lose = func(p peersox.Packet) bool { return string(p.Data) == "two" }
	store := peersox.NewMemoryStore()
	one := start(t, peersox.ServerConfig{Store: store, Relay: r})
	other := start(t, peersox.ServerConfig{Store: store, Relay: r})
	p := one.pairing()
	a := one.register(p, success)
	b := other.register(p, success)
	b.want(connected(false, p))
	a.want(connected(true, p))
	a.say("one")
	b.want("one")
	b.say("zero")
	a.want("zero")
	a.say("two")
	a.say("three")
	b.wantClose(ws.CloseInternalError)
	a.wantClose(ws.CloseNormal)
}

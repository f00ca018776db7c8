package peersox

import (
	"context"
	"errors"
	"sync"

	"github.com/meshpair/meshpair/internal/pairing"
)

// ErrSeatsTaken is returned by [Node].Seat when both seats of a pairing are taken.
var ErrSeatsTaken = pairing.ErrFull

// ErrNodeGone is returned by [Node].Send when nobody listens there any more.
var ErrNodeGone = errors.New("peersox: the other process is gone")

// A Relay connects the processes that serve WebSocket clients together. Package redisstore has one.
type Relay interface {
	// Join makes this process a node. It calls deliver for each packet that other nodes send to a client of this one,
	// in the order in which they were sent, from one goroutine; deliver does not wait for anything.
	Join(ctx context.Context, deliver func(client string, p Packet)) (Node, error)
}

// A Node is one process among those of a [Relay]. Its methods may be called at the same time.
type Node interface {
	// ID names the node, and none that was before it.
	ID() string
	// Seat seats a client of this node at a pairing, by its hash. It returns the client that waited there; nil if this
	// one is the first; and ErrSeatsTaken if there are two (PSX-24). Clients of nodes that are gone hold no seat.
	Seat(ctx context.Context, hash, client string) (*Address, error)
	// Leave frees both seats of the pairing, if the client has one of them (PSX-30).
	Leave(ctx context.Context, hash, client string) error
	// Send sends a packet to a client of another node. Packets of one goroutine to one client keep their order.
	Send(ctx context.Context, to Address, p Packet) error
	// Alive says whether a node is there; it may notice late that one is not (PSX-37).
	Alive(ctx context.Context, node string) (bool, error)
	// Lost is closed when packets may have been lost, or others may hold this node for gone. All its clients are then
	// closed. It is nil if that cannot be.
	Lost() <-chan struct{}
	// Close ends the node.
	Close() error
}

// An Address names a client among all nodes.
type Address struct{ Node, Client string }

// PacketKind says what a [Packet] means.
type PacketKind byte

// The kinds of packets.
const (
	PacketConnected PacketKind = iota + 1 // the sender is the peer that the receiver waited for
	PacketText                            // a text message
	PacketBinary                          // a binary message
	PacketTaken                           // the receiver's client has taken Count bytes of messages
	PacketGone                            // the sender's client has gone
)

// A Packet is what one client's process tells that of its peer.
type Packet struct {
	From  Address
	Kind  PacketKind
	Count uint64 // of messages: how many there were before; of PacketTaken: bytes
	Data  []byte // valid until deliver returns
}

// oneProcess is the relay of a process that has no others.
type oneProcess struct{}

func (oneProcess) Join(context.Context, func(string, Packet)) (Node, error) { return new(oneNode), nil }

type oneNode struct {
	mu    sync.Mutex
	seats pairing.Seats[string]
}

func (n *oneNode) ID() string { return "" }

func (n *oneNode) Seat(_ context.Context, hash, client string) (*Address, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	initiator, ok, err := n.seats.Take(hash, client)
	if err != nil || !ok {
		return nil, err
	}
	return &Address{Client: initiator}, nil
}

func (n *oneNode) Leave(_ context.Context, hash, client string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seats.Leave(hash, client)
	return nil
}

func (n *oneNode) Send(context.Context, Address, Packet) error { return ErrNodeGone }
func (n *oneNode) Alive(context.Context, string) (bool, error) { return false, nil }
func (n *oneNode) Lost() <-chan struct{}                       { return nil }
func (n *oneNode) Close() error                                { return nil }

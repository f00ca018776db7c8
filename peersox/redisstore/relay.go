package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/meshpair/meshpair/peersox"
)

const (
	// lease is how long a node counts as alive after its last sign of life, and renewal how often it gives one. A node
	// that ends without a goodbye frees its clients' seats within lease (PSX-37).
	lease   = 10 * time.Second
	renewal = 3 * time.Second
	// seatsLife is how long the seats of a pairing are kept without a change; longer than any pairing is used.
	seatsLife = 30 * 24 * time.Hour
)

// A seat is "NODE CLIENT", in a list of at most two for each pairing. Its node's lease is a key.
var (
	// KEYS the seats; ARGV the prefix of leases, the seat, seatsLife in ms. It returns the seat of the initiator, an empty text if
	// there is none, 'full' if both are taken.
	takeSeat = redis.NewScript(`
local seated = {}
for _, seat in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
	if redis.call('EXISTS', ARGV[1] .. string.match(seat, '^[^ ]+')) == 1 then
		table.insert(seated, seat)
	else
		redis.call('LREM', KEYS[1], 0, seat)
	end
end
if #seated >= 2 then return 'full' end
redis.call('RPUSH', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return seated[1] or ''`)

	// KEYS the seats; ARGV the seat.
	leaveSeats = redis.NewScript(`
if redis.call('LPOS', KEYS[1], ARGV[1]) then redis.call('DEL', KEYS[1]) end
return 0`)
)

type node struct {
	s       *Store
	id      string
	sub     *redis.PubSub
	deliver func(string, peersox.Packet)
	cancel  context.CancelFunc
	lost    chan struct{}
	once    sync.Once // closes lost
	wg      sync.WaitGroup
}

// Join implements [peersox.Relay]. Packets travel by PUBLISH, each node having a channel of its own.
func (s *Store) Join(ctx context.Context, deliver func(string, peersox.Packet)) (peersox.Node, error) {
	n := &node{s: s, id: rand.Text(), deliver: deliver, lost: make(chan struct{})}
	n.sub = s.client.Subscribe(ctx, s.key("node", n.id))
	if _, err := n.sub.Receive(ctx); err != nil { // the confirmation
		n.sub.Close()
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	if err := s.client.Set(ctx, s.key("lease", n.id), "", lease).Err(); err != nil {
		n.sub.Close()
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	running, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.wg.Go(func() { n.receive(running) })
	n.wg.Go(func() { n.renew(running) })
	return n, nil
}

func (n *node) ID() string            { return n.id }
func (n *node) Lost() <-chan struct{} { return n.lost }
func (n *node) fail()                 { n.once.Do(func() { close(n.lost) }) }

// receive delivers packets. After any error some may have been lost, so it is the last one.
func (n *node) receive(ctx context.Context) {
	defer n.fail()
	for ctx.Err() == nil {
		m, err := n.sub.ReceiveTimeout(ctx, 0)
		if err != nil {
			return
		}
		switch m := m.(type) {
		case *redis.Message:
			if client, p, err := decode(m.Payload); err == nil {
				n.deliver(client, p)
			}
		case *redis.Subscription: // the client has connected anew
			return
		}
	}
}

// renew keeps the lease. When it has run out, others may have taken the seats of this node's clients.
func (n *node) renew(ctx context.Context) {
	defer n.fail()
	ticks := time.NewTicker(renewal)
	defer ticks.Stop()
	for until := time.Now().Add(lease); ; {
		select {
		case <-ctx.Done():
			return
		case <-n.lost:
			return
		case <-ticks.C:
		}
		now := time.Now()
		if now.After(until) {
			return
		}
		asking, cancel := context.WithDeadline(ctx, until)
		err := n.s.client.SetArgs(asking, n.s.key("lease", n.id), "", redis.SetArgs{Mode: "XX", TTL: lease}).Err()
		cancel()
		if errors.Is(err, redis.Nil) {
			return
		}
		if err == nil {
			until = now.Add(lease)
		}
	}
}

func (n *node) Seat(ctx context.Context, hash, client string) (*peersox.Address, error) {
	seat, err := takeSeat.Run(ctx, n.s.client, []string{n.s.key("seats", hash)},
		n.s.key("lease", ""), n.id+" "+client, seatsLife.Milliseconds()).Text()
	if err != nil || seat == "" {
		return nil, err
	}
	if seat == "full" {
		return nil, peersox.ErrSeatsTaken
	}
	var a peersox.Address
	a.Node, a.Client, _ = strings.Cut(seat, " ")
	return &a, nil
}

func (n *node) Leave(ctx context.Context, hash, client string) error {
	return leaveSeats.Run(ctx, n.s.client, []string{n.s.key("seats", hash)}, n.id+" "+client).Err()
}

func (n *node) Send(ctx context.Context, to peersox.Address, p peersox.Packet) error {
	receivers, err := n.s.client.Publish(ctx, n.s.key("node", to.Node), encode(to.Client, p)).Result()
	if err == nil && receivers == 0 {
		return peersox.ErrNodeGone
	}
	return err
}

func (n *node) Alive(ctx context.Context, id string) (bool, error) {
	channel := n.s.key("node", id)
	listening, err := n.s.client.PubSubNumSub(ctx, channel).Result()
	if err != nil || listening[channel] == 0 { // a killed process listens no more, long before its lease ends
		return false, err
	}
	leases, err := n.s.client.Exists(ctx, n.s.key("lease", id)).Result()
	return leases == 1, err
}

// Close ends the lease first: seats of this node are free from then on.
func (n *node) Close() error {
	n.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), renewal)
	defer cancel()
	err := n.s.client.Del(ctx, n.s.key("lease", n.id)).Err()
	n.sub.Close()
	n.wg.Wait()
	return err
}

// encode makes the bytes of a packet: kind, count, three texts with their lengths, data.
func encode(client string, p peersox.Packet) []byte {
	b := make([]byte, 0, len(p.Data)+len(client)+len(p.From.Node)+len(p.From.Client)+16)
	b = append(b, byte(p.Kind))
	b = binary.AppendUvarint(b, p.Count)
	for _, s := range []string{client, p.From.Node, p.From.Client} {
		b = append(append(b, byte(len(s))), s...)
	}
	return append(b, p.Data...)
}

var errPacket = errors.New("redisstore: not a packet")

func decode(payload string) (client string, p peersox.Packet, err error) {
	b := []byte(payload)
	if len(b) < 2 {
		return "", p, errPacket
	}
	p.Kind = peersox.PacketKind(b[0])
	count, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return "", p, errPacket
	}
	p.Count, b = count, b[1+n:]
	for _, s := range []*string{&client, &p.From.Node, &p.From.Client} {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return "", p, errPacket
		}
		*s, b = string(b[1:1+b[0]]), b[1+b[0]:]
	}
	p.Data = b
	return client, p, nil
}

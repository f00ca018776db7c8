package peersox

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/meshpair/meshpair/internal/ws"
)

// A remoteMate is a peer that is a client of another process.
//
// What was sent and not yet taken by it is counted; from half a window on its sender waits (PSX-33). The other side says
// so at least each quarter of a window, so that nobody waits for what has been taken.
type remoteMate struct {
	c      *client
	to     Address
	window int

	sent     uint64 // messages; owned by the reading goroutine
	received uint64 // messages; owned by deliver
	broken   bool   // some are lost; owned by deliver

	mu      sync.Mutex
	flying  int           // bytes
	granted chan struct{} // has room for one: flying has gone down
}

func newRemoteMate(c *client, to Address) *remoteMate {
	return &remoteMate{c: c, to: to, window: c.s.cfg.SendQueue, granted: make(chan struct{}, 1)}
}

func (m *remoteMate) packet(kind PacketKind, count uint64, data []byte) Packet {
	return Packet{From: Address{m.c.node.ID(), m.c.id}, Kind: kind, Count: count, Data: data}
}

func (m *remoteMate) post(p Packet) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return m.c.node.Send(ctx, m.to, p)
}

// cost is what a message counts for in a window.
func cost(data []byte) int { return len(data) + 16 }

func (m *remoteMate) send(kind ws.Kind, data []byte) error {
	if err := m.room(cost(data)); err != nil {
		return err
	}
	packet := PacketText
	if kind == ws.Binary {
		packet = PacketBinary
	}
	m.sent++
	return m.post(m.packet(packet, m.sent-1, data))
}

// room waits until the peer may be sent something more (PSX-33).
func (m *remoteMate) room(n int) error {
	var timeout <-chan time.Time
	for {
		m.mu.Lock()
		if m.flying < m.window/2 {
			m.flying += n
			m.mu.Unlock()
			return nil
		}
		m.mu.Unlock()
		if timeout == nil {
			t := time.NewTimer(m.c.s.cfg.WriteTimeout + storeTimeout)
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-m.granted:
		case <-timeout:
			return fmt.Errorf("peersox: the peer takes nothing")
		}
	}
}

// taken makes room for what the peer has taken.
func (m *remoteMate) taken(n uint64) {
	m.mu.Lock()
	m.flying -= int(min(n, uint64(m.flying)))
	m.mu.Unlock()
	select {
	case m.granted <- struct{}{}:
	default:
	}
}

func (m *remoteMate) flush() {}
func (m *remoteMate) leave() { m.post(m.packet(PacketGone, 0, nil)) }

// meetRemote connects the client with one that waited at another node; false if that has gone (PSX-36).
func (c *client) meetRemote(initiator Address) bool {
	m := newRemoteMate(c, initiator)
	c.setMate(m)
	if err := m.post(m.packet(PacketConnected, 0, []byte(c.id))); err != nil {
		c.peer.Store(nil)
		return false
	}
	// What its peer sends waits in the inbox until this is said.
	c.told(false)
	c.in.start(c)
	return true
}

// deliver takes a packet from another node (PSX-36).
func (s *socket) deliver(id string, p Packet) {
	c := s.find(id)
	if c == nil {
		if p.Kind != PacketGone && p.Kind != PacketTaken {
			s.notHere(id, p.From)
		}
		return
	}
	if p.Kind == PacketConnected {
		m := newRemoteMate(c, p.From)
		var connected mate = m
		if !c.peer.CompareAndSwap(nil, &connected) {
			s.notHere(id, p.From)
			return
		}
		c.in.add(p)
		c.in.start(c)
		return
	}
	m, ok := c.mate().(*remoteMate)
	if !ok || m.to != p.From {
		return // of a peer that was
	}
	switch p.Kind {
	case PacketTaken:
		m.taken(p.Count)
	case PacketText, PacketBinary:
		if m.broken {
			return
		}
		if p.Count != m.received || !c.in.add(p) {
			m.broken = true
			go c.ws.Close(ws.CloseInternalError, "messages of the peer are lost") // PSX-36
		}
		m.received++
	case PacketGone:
		c.in.add(p)
	}
}

// notHere tells a client of another node that its peer has gone.
func (s *socket) notHere(id string, to Address) {
	s.mu.Lock()
	node := s.node
	s.mu.Unlock()
	if node == nil {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		defer cancel()
		node.Send(ctx, to, Packet{From: Address{node.ID(), id}, Kind: PacketGone})
	}()
}

// add keeps a packet; false if it is more than a window may bring (PSX-33).
func (in *inbox) add(p Packet) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.bytes > in.limit {
		return false
	}
	p.Data = append([]byte(nil), p.Data...)
	in.packets = append(in.packets, p)
	in.bytes += cost(p.Data)
	if in.wake != nil {
		select {
		case in.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// start has a goroutine empty the inbox, until the client has gone.
func (in *inbox) start(c *client) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.wake != nil {
		return
	}
	in.wake = make(chan struct{}, 1)
	in.wake <- struct{}{}
	go c.empty(in.wake)
}

// empty gives the client what comes from its peer.
func (c *client) empty(wake chan struct{}) {
	select {
	case <-c.ready:
	case <-c.gone:
		return
	}
	m := c.mate().(*remoteMate)
	taken := 0
	for {
		select {
		case <-wake:
		case <-c.gone:
			return
		}
		c.in.mu.Lock()
		packets := c.in.packets
		c.in.packets, c.in.bytes = nil, 0
		c.in.mu.Unlock()
		for _, p := range packets {
			switch p.Kind {
			case PacketConnected:
				c.told(true)
				continue
			case PacketGone:
				c.ws.Close(ws.CloseNormal, "the peer has gone")
				return
			}
			kind := ws.Text
			if p.Kind == PacketBinary {
				kind = ws.Binary
			}
			if c.ws.Write(kind, p.Data) != nil {
				return // the client ends, or has ended
			}
			if taken += cost(p.Data); taken >= m.window/4 {
				m.post(m.packet(PacketTaken, uint64(taken), nil))
				taken = 0
			}
		}
	}
}

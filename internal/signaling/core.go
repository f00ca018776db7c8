// Package signaling is the pure core of a signaling server: which peers are
// members of which group, who is bound to whom, and when a silent peer is gone.
//
// It holds no goroutine, socket, clock or global source of randomness. Each
// method is one step: it takes an input and the time where that matters, and
// returns the actions that follow from it, in order. The caller serializes the
// steps and carries out the actions, so the same code serves a real server, a
// simulation of many peers and a fuzzer.
package signaling

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// Timers of the protocol.
const (
	// HeartbeatInterval is the time between two heartbeats to a peer (SIG-10).
	HeartbeatInterval = 5 * time.Second
	// MaxMissed is the tick without any heartbeat from the peer at which it is
	// closed (SIG-11): 15 s of silence.
	MaxMissed = 3
)

// MaxKey is the greatest length of a key, in bytes of the form in which it
// stands in the URL (SIG-2).
const MaxKey = 512

// Close codes (SIG-38).
const (
	CloseKey       = 4741 // the key is empty or too long
	CloseHeartbeat = 4742 // three heartbeats are missing
	CloseMessage   = 4743 // a message is no signaling message
	CloseBlocking  = 4744 // replaced by a peer that could not join through this member
	CloseURL       = 4745 // bad URL; clients know it, no server sends it

	CloseLimit = 1013 // a limit on groups or on peers of a group is reached (SIG-43)
)

// Errors of [Core.Open], each with the close code that the peer is to see.
var (
	ErrKey        = errors.New("signaling: the key must have 1 to 512 characters")
	ErrGroups     = errors.New("signaling: the server holds as many groups as it may")
	ErrGroupPeers = errors.New("signaling: the group has as many peers as it may")
)

// Config holds the limits of a [Core] and its source of randomness.
type Config struct {
	MaxGroups     int           // keys in use at one time; 0: no limit
	MaxGroupPeers int           // peers with one key, members and others; 0: no limit
	Rand          func() uint32 // uniform; signaling ids are drawn from it
}

// A Core is the state of one signaling server. Its methods must not be called
// concurrently.
type Core struct {
	cfg      Config
	rooms    map[string]*room
	peers    int
	bindings uint64 // that there have been, for their order
	beats    beatQueue
	looks    looks    // rooms that could be in parts
	actions  []Action // reused by each step
}

// A room is a key in use: its peers, and the group of those that are members.
// A group in the sense of the protocol exists while there are members.
type room struct {
	key     string
	peers   int
	members []*Peer        // in joining order
	ids     map[uint32]int // how many members have the id
	heal    healing
}

// A Peer is one connection, from [Core.Open] until it is closed by either side.
type Peer struct {
	// Handle is the caller's own: whom to carry out an [Action] on.
	Handle any

	room    *room // nil once the peer is gone
	favored bool
	member  bool
	id      uint32              // the member id, valid while member is set
	tried   map[uint32]struct{} // ids of the members it was bound to since it last was one
	view    view                // of the group, while member is set

	binding *binding            // of this peer as a joiner; nil without
	joiners map[uint32]*binding // of this peer as a member, by signaling id

	missed     int // heartbeats, counted at each tick
	tick       time.Time
	prev, next *Peer // in the queue of heartbeats
}

// IsMember reports whether the peer is a member of its group.
func (p *Peer) IsMember() bool { return p.member }

// An ActionKind tells what to do with a peer.
type ActionKind byte

// The kinds of action.
const (
	Send  ActionKind = iota + 1 // send Message
	Close                       // close with Code and Reason; the peer is gone already
)

// An Action is one consequence of a step.
type Action struct {
	Kind    ActionKind
	To      *Peer
	Message wire.Signaling // its Data is that of the step's input
	Code    int
	Reason  string
}

// New returns a core without peers.
func New(cfg Config) *Core {
	return &Core{cfg: cfg, rooms: make(map[string]*room)}
}

// Groups returns the number of keys in use.
func (c *Core) Groups() int { return len(c.rooms) }

// Peers returns the number of open peers.
func (c *Core) Peers() int { return c.peers }

// CloseCode returns the close code that stands for an error of [Core.Open].
func CloseCode(err error) int {
	if errors.Is(err, ErrKey) {
		return CloseKey // SIG-2
	}
	return CloseLimit // SIG-43
}

// Open admits a peer that asks for a group by its key, which is compared as it
// is (SIG-1). The errors are [ErrKey], [ErrGroups] and [ErrGroupPeers].
func (c *Core) Open(now time.Time, key string, favored bool) (*Peer, error) {
	if key == "" || len(key) > MaxKey { // SIG-2
		return nil, fmt.Errorf("%w, this one has %d", ErrKey, len(key))
	}
	r := c.rooms[key]
	switch {
	case r == nil && c.cfg.MaxGroups > 0 && len(c.rooms) >= c.cfg.MaxGroups: // SIG-43
		return nil, ErrGroups
	case r == nil:
		// The key is cut from a request that must not live as long as the group.
		key = strings.Clone(key)
		r = &room{key: key, ids: make(map[uint32]int)}
		c.rooms[key] = r
	case c.cfg.MaxGroupPeers > 0 && r.peers >= c.cfg.MaxGroupPeers: // SIG-43
		return nil, ErrGroupPeers
	}
	r.peers++
	c.peers++
	p := &Peer{room: r, favored: favored, tick: now.Add(HeartbeatInterval)}
	c.beats.push(p)
	return p, nil
}

// Receive takes a message from a peer. What it returns is valid until the next
// step. A message from a peer that is gone has no effect.
func (c *Core) Receive(now time.Time, p *Peer, m *wire.Signaling) []Action {
	c.actions = c.actions[:0]
	if p.room == nil {
		return nil
	}
	switch m.Kind {
	case wire.SignalingHeartbeat: // SIG-12
		p.missed = 0
	case wire.SignalingConnect: // SIG-15
		was := p.member
		joined := c.connect(p, m.Connect.ID, m.Connect.Members)
		c.send(p, wire.Signaling{Kind: wire.SignalingConnected, Connected: joined.ok})
		if joined.replaced != nil {
			c.expel(now, joined.replaced, CloseBlocking, "replaced by a peer that could not join through this member")
		}
		switch {
		case was && !joined.ok:
			c.suspect(now, p.room)
		case joined.ok:
			c.see(now, p, m.Connect.Members)
			if !p.view.led.IsZero() {
				c.ledTo(now, p)
			}
		}
	case wire.SignalingContent:
		c.content(p, &m.Content)
	case wire.SignalingConnected: // SIG-9: meaningless from a client
	default: // SIG-8
		c.expel(now, p, CloseMessage, "not a signaling message")
	}
	return c.actions
}

// Expel closes a peer: it is gone at once, and those it was bound with hear of
// it (SIG-14). What it returns is valid until the next step.
func (c *Core) Expel(now time.Time, p *Peer, code int, reason string) []Action {
	c.actions = c.actions[:0]
	if p.room != nil {
		c.expel(now, p, code, reason)
	}
	return c.actions
}

// Gone tells that a peer's connection has ended. What it returns is valid until
// the next step. Telling it twice, or of a peer that was expelled, is harmless.
func (c *Core) Gone(now time.Time, p *Peer) []Action {
	c.actions = c.actions[:0]
	if p.room != nil {
		c.remove(now, p)
	}
	return c.actions
}

// Tick sends the heartbeats that are due, expels the peers that missed theirs, and
// looks after groups that could be in parts. What it returns is valid until the next step.
func (c *Core) Tick(now time.Time) []Action {
	c.actions = c.actions[:0]
	for p := c.beats.first; p != nil && !p.tick.After(now); p = c.beats.first {
		p.missed++
		if p.missed >= MaxMissed { // SIG-11
			c.expel(now, p, CloseHeartbeat, "missed 3 heartbeats")
			continue
		}
		c.send(p, wire.Signaling{Kind: wire.SignalingHeartbeat, Heartbeat: true}) // SIG-10
		c.beats.remove(p)
		p.tick = now.Add(HeartbeatInterval) // never before the tick of the last in the queue
		c.beats.push(p)
	}
	for len(c.looks) > 0 && !c.looks[0].heal.at.After(now) {
		c.look(now, c.looks[0])
	}
	return c.actions
}

// Next returns when [Core.Tick] has something to do; false without peers. Each
// step but Tick may bring it forward.
func (c *Core) Next() (time.Time, bool) {
	if c.beats.first == nil {
		return time.Time{}, false
	}
	next := c.beats.first.tick
	if len(c.looks) > 0 && c.looks[0].heal.at.Before(next) {
		next = c.looks[0].heal.at
	}
	return next, true
}

func (c *Core) send(to *Peer, m wire.Signaling) {
	c.actions = append(c.actions, Action{Kind: Send, To: to, Message: m})
}

func (c *Core) expel(now time.Time, p *Peer, code int, reason string) {
	c.actions = append(c.actions, Action{Kind: Close, To: p, Code: code, Reason: reason})
	c.remove(now, p)
}

// remove takes a peer out of everything and tells those it was bound with.
func (c *Core) remove(now time.Time, p *Peer) {
	r := p.room
	if p.member {
		p.leave()
		c.suspect(now, r) // those whom it alone knew may not know each other
	}
	c.beats.remove(p)
	c.unbindAll(p)
	p.room = nil
	c.peers--
	r.peers--
	if r.peers == 0 {
		c.lookAt(r, time.Time{})
		delete(c.rooms, r.key)
	}
}

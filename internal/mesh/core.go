package mesh

import (
	"io"
	"math/bits"
	"slices"
	"time"

	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/wire"
)

// Times of the protocol.
const (
	HeartbeatInterval  = 3 * time.Second   // between two heartbeats to a member (CHN-18)
	MaxMissed          = 3                 // ticks without a sign of a member with a channel (CHN-19)
	MaxMissedDistant   = 4                 // ticks without a heartbeat of a member without (MSH-13)
	MembersInterval    = 20 * time.Second  // between two lists for the antecedent (MSH-11)
	GossipDelay        = 2 * time.Second   // from the last of several joins to telling them of each other (MSH-11)
	SeekDelay          = 1 * time.Second   // at most, from the break of a channel to asking its member for another (MSH-24)
	SteadyTime         = 10 * time.Second  // for which a channel lasts that came to something (EXT-12)
	FreshTime          = 16 * time.Second  // for how long a member counts as one who has just joined (MSH-11)
	ResponseTimeout    = 2 * time.Second   // for the answer to a connection request (BLD-7)
	ConnectTimeout     = 14 * time.Second  // from there to an initialised channel (BLD-16)
	DialTimeout        = 4 * time.Second   // to open a WebSocket (BLD-16)
	DataChannelTimeout = 9 * time.Second   // to open a data channel (BLD-16)
	InitTimeout        = 10 * time.Second  // from there to the end of its initialisation (CHN-16)
	RetryDelay         = 300 * time.Second // before a member that could not be connected to is asked again (BLD-18)

	SignalingInterval  = 5 * time.Second        // between two heartbeats to the signaling server (SIG-13)
	SignalingMaxMissed = 3                      // ticks without one of the server's (SIG-13)
	SignalingTimeout   = 10 * time.Second       // to open the WebSocket to it (SIG-41)
	GoodbyeTimeout     = 500 * time.Millisecond // for the signaling server to hear that this member leaves, before others do
	ReconnectPause     = 3 * time.Second        // the longest before signaling is connected to again
	MaxRejoinPause     = 30 * time.Second       // the longest before everything is begun anew
	// RetryPause is by how much the pause grows before the server is asked for another member to join through.
	RetryPause = 500 * time.Millisecond
)

// Sizes of the protocol, and what a stranger may at most make a member hold.
const (
	ChunkSize = 15_000  // bytes of a user message that travel at once (MSG-3)
	MinID     = 1 << 31 // the least member id
	MaxKey    = 512     // bytes of a key

	// MaxAttempts is how many channels may be in the making at a time before further requests are denied.
	MaxAttempts = 256
	// MaxMaking is how many channels may be opened, or be closed after that came to nothing, at a time.
	MaxMaking = 256
	// MaxOffers is how many data channels a peer may offer in one attempt.
	MaxOffers = 4
	// MaxFrame is the largest message on a channel, in bytes (CHN-4).
	MaxFrame = 65_535
	// MaxRelayed is how many bytes may wait on one link that others have sent through us.
	MaxRelayed = 1 << 20
	// MaxControl is how many bytes may wait on one link beside the user's; it is closed then.
	MaxControl = 2 << 20
)

// Defaults of [Config].
const (
	DefaultMaxMembers    = 1000
	DefaultSendQueue     = 4 << 20
	DefaultWindow        = 4 << 20
	DefaultSlowTimeout   = 30 * time.Second
	DefaultLeaveTimeout  = 5 * time.Second
	DefaultMaxMessage    = 64 << 20
	DefaultMaxPartial    = 64 << 20
	DefaultMaxPartialAll = 256 << 20
)

// Config holds what a [Core] may do and hold. A number that is zero has its default.
type Config struct {
	Rand func() uint32 // uniform; ids and pauses are drawn from it

	// Of sealed groups (chapter SEC):
	Identity *sealed.Identity // of this member; nil: another one for each id (SEC-5)
	Allow    []sealed.Public  // who may be a member; nil: whoever has the secret (SEC-26)
	Entropy  io.Reader        // of all keys, which must not fail; nil: that of crypto/rand

	NoDial       bool // open no WebSocket because a peer listens
	NoRejoin     bool // leave, rather than begin anew, when everything is lost
	NoSignaling  bool // there is no signaling server; groups are joined by invitation alone
	Original     bool // keep to what originals know: no chapter EXT; not in sealed groups, which need it (SEC-16)
	LeaveAlone   bool // leave when the last other member has left (CHN-29)
	MaxMembers   int  // of the group, this one included
	SendQueue    int  // bytes that may wait for one member, or for its acknowledgement, before sends wait
	Window       int  // bytes of a member that may wait for an earlier one
	SlowTimeout  time.Duration
	LeaveTimeout time.Duration // to send what waits before leaving

	MaxMessage    int // bytes of a message that is sent or taken
	MaxPartial    int // bytes held of incomplete messages of one member
	MaxPartialAll int // the same, of all members
}

func (c Config) withDefaults() Config {
	set(&c.MaxMembers, DefaultMaxMembers)
	c.MaxMembers = min(c.MaxMembers, maxListed)
	set(&c.SendQueue, DefaultSendQueue)
	set(&c.Window, DefaultWindow)
	set(&c.SlowTimeout, DefaultSlowTimeout)
	set(&c.LeaveTimeout, DefaultLeaveTimeout)
	set(&c.MaxMessage, DefaultMaxMessage)
	set(&c.MaxPartial, max(DefaultMaxPartial, c.MaxMessage+partialCost))
	set(&c.MaxPartialAll, max(DefaultMaxPartialAll, c.MaxPartial))
	return c
}

func set[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// A Core is one member, or a peer that wants to become one. Its methods must not be called concurrently.
type Core struct {
	cfg     Config
	now     time.Duration // of the step under way
	timers  timers
	outputs []Output // of the step under way; reused by the next
	lastID  Link

	state    State
	leftErr  error // why the group is about to be left
	topology topology
	key      string
	seal     *seal  // nil: the group is not sealed
	listen   string // the URL at which this member listens, "" for none
	id       uint32 // of this member; 0 when there is none
	groupID  uint32

	sig       signalingLink
	pause     *timer // before signaling is connected to, or everything begun anew
	rejoins   int    // in a row
	leaveTime *timer
	departing bool // leaving, and the signaling server knows: channels are closed when nothing waits on them

	channels map[Link]*channel
	members  map[uint32]*member
	order    []*member // all of members, in the order in which they were heard of
	routed   bool      // member.next is up to date
	arrivals uint64    // members that have ever been announced
	attempts map[uint32]*attempt
	builds   map[uint32]*channel // by the id under which its data channel messages go
	making   map[Link]struct{}   // channels that are not open yet, or came to nothing and have not ended
	wave     *wave               // the connections that joining waits for; nil: none
	invited  *channel            // by which this member is to join its group; nil: through signaling
	blocked  map[uint32]struct{} // members with which there is to be no channel

	beat    *timer // while there is a channel
	round   *timer
	gossip  *timer // after several have joined
	probing *timer // while there is a channel

	bridging bool   // those who came after the first bridged members are of another part of the group
	bridged  uint64 // members that had been announced when this one was let into that

	notice  *timer   // until distant members are told of all channels that broke in one step
	strayed []uint32 // members whose last channel failed
	seeking *timer   // until they are asked for another

	buf                   []byte     // scratch
	plain, secret, packed []byte     // the same, for what is being sealed, is sealed, and is the content of a message
	unsealing             []byte     // for what is opened
	body, whole           []byte     // for a part of a message to all, alone and in its message
	waiting               []*sending // sends without room, in the order of the calls
	chunkID               uint32
	partial               int // bytes of incomplete messages, of all members
	held                  int // bytes of messages that wait for earlier ones, of all members
}

// New returns a core that has left.
func New(cfg Config) *Core {
	return &Core{
		cfg:      cfg.withDefaults(),
		state:    StateLeft,
		sig:      signalingLink{state: SignalingClosed},
		channels: make(map[Link]*channel),
		members:  make(map[uint32]*member),
		attempts: make(map[uint32]*attempt),
		builds:   make(map[uint32]*channel),
		making:   make(map[Link]struct{}),
		blocked:  make(map[uint32]struct{}),
	}
}

// State returns the state of the group (STA-1).
func (c *Core) State() State { return c.state }

// SignalingState returns the state of the connection to the signaling server (STA-1).
func (c *Core) SignalingState() SignalingState { return c.sig.state }

// ID returns the id of this member, 0 when it has none.
func (c *Core) ID() uint32 { return c.id }

// GroupID returns the id of the group, 0 when there is none.
func (c *Core) GroupID() uint32 { return c.groupID }

// Key returns the key of the group, "" when there is none.
func (c *Core) Key() string { return c.key }

// Members returns the ids of all members, this one first.
func (c *Core) Members() []uint32 {
	if c.id == 0 {
		return nil
	}
	return append([]uint32{c.id}, c.others()...)
}

// Neighbors returns the ids of the members with which there is a channel.
func (c *Core) Neighbors() []uint32 {
	var ids []uint32
	for _, m := range c.order {
		if m.ch != nil {
			ids = append(ids, m.id)
		}
	}
	return ids
}

// others returns the ids of the members but this one.
func (c *Core) others() []uint32 {
	var ids []uint32
	for _, m := range c.order {
		if m.announced {
			ids = append(ids, m.id)
		}
	}
	return ids
}

// Next returns when the next timer is due: a [Tick] is wanted then.
func (c *Core) Next() (time.Duration, bool) { return c.timers.next() }

// Step takes an input at the time now, which must not go back, and returns what follows from it, in order. The slice is
// valid until the next call of any method.
func (c *Core) Step(now time.Duration, in Input) []Output {
	c.begin(now)
	switch in := in.(type) {
	case Join:
		c.join(in)
	case Leave:
		c.leave(nil)
		if in.Now && c.state == StateLeaving {
			c.becomeLeft()
		}
	case Invite:
		c.invite(in)
	case Drop:
		c.emit(Done{in.Token, c.drop(in)})
	case Unblock:
		c.unblock(in.ID)
	case Send:
		c.send(in)
	case Cancel:
		c.cancel(in.Token)
	case Opened:
		c.opened(in)
	case Received:
		c.received(in)
	case Closed:
		c.closed(in)
	case Local:
		c.local(in)
	case Stalled:
		if ch := c.channels[in.Link]; ch != nil {
			ch.stalled = in.On
			ch.missed = 0
		}
	case Tick:
	}
	return c.outputs
}

// Pull returns the next message to be sent on a link, or nil if nothing waits, and what follows from its being taken. It is
// called after a [Ready], until it returns nil, as fast as the link takes messages. The message is valid until the
// next Pull of the same link, the outputs until the next call of any method.
func (c *Core) Pull(now time.Duration, l Link) ([]byte, []Output) {
	c.begin(now)
	if l == c.sig.link && l != 0 {
		b := c.sig.pull()
		return b, c.outputs
	}
	if ch := c.channels[l]; ch != nil {
		b := c.pull(ch) // before the outputs are looked at
		return b, c.outputs
	}
	return nil, c.outputs
}

// begin starts a step: it forgets the outputs of the last one and lets all timers fire that are due.
func (c *Core) begin(now time.Duration) {
	clear(c.outputs)
	c.outputs = c.outputs[:0]
	for {
		t := c.timers.due(now)
		if t == nil {
			break
		}
		// Not as if it had been fired in time: who was held up must not take that for the silence of others.
		c.now = max(c.now, now)
		t.fire()
	}
	c.now = max(c.now, now)
}

func (c *Core) emit(o Output) { c.outputs = append(c.outputs, o) }

// after calls f when d has passed.
func (c *Core) after(d time.Duration, f func()) *timer { return c.timers.add(c.now+d, f) }

// newLink returns a link that has never been.
func (c *Core) newLink() Link {
	c.lastID++
	return c.lastID
}

// newID draws an id (MSH-1).
func (c *Core) newID() uint32 {
	for {
		if id := c.cfg.Rand() | MinID; id != c.id && c.members[id] == nil {
			return id
		}
	}
}

// jitter draws a time of at most d and at least half of it, so that those who lost the same thing at once do not all
// come back at once.
func (c *Core) jitter(d time.Duration) time.Duration {
	part, _ := bits.Mul64(uint64(d/2), uint64(c.cfg.Rand())<<32)
	return d/2 + time.Duration(part)
}

// info is what this member says of itself in a negotiation with a peer.
func (c *Core) info(to address) wire.Info {
	if c.isBlocked(to) {
		return wire.Info{GroupID: c.groupID, WSTried: true, DCTried: true}
	}
	return wire.Info{GroupID: c.groupID, WSS: c.listen, WSSupported: !c.cfg.NoDial, WSTried: c.cfg.NoDial, DCSupported: true}
}

func remove[T comparable](s []T, v T) []T {
	if i := slices.Index(s, v); i >= 0 {
		return slices.Delete(s, i, i+1)
	}
	return s
}

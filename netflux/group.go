package netflux

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	crand "crypto/rand"

	"github.com/meshpair/meshpair/internal/mesh"
)

// A Group is a membership in a group, or what is to become one. Make it with [New]; it can be joined, left and joined
// again, as another member each time. All methods may be called by any number of goroutines at once.
type Group struct {
	cfg   Config
	epoch time.Time
	mail  mailbox

	mu     sync.Mutex // guards the fields below; never held while waiting or while OnEvent runs
	core   *mesh.Core
	key    string // as it was given to Join
	path   string // the same in a URL
	url    string // at which others can dial this member; "" for none
	shut   bool   // it is not to be joined any more
	onLeft func() // called when the group has been left; nil for nothing; never changed

	listener *http.Server // of Config.Listen, as long as it serves
	links    map[mesh.Link]link
	timer    *time.Timer
	armed    time.Duration // when it fires; 0: not set
	pumps    []pump        // links that messages wait on, since the step under way
	tokens   uint64        // of sends
	sends    map[uint64]chan error
	result   error // of the send under way
	done     bool  // result is set
	joins    chan error
	left     chan struct{} // closed when the group has been left and nothing of it remains
	ending   chan struct{} // the last of these that was, or is being, closed
	failure  error         // the last one of signaling
	ice      iceWatch
}

// String tells nothing of the group: fmt would show all fields, the secret too, and read them without the lock (SEC-1).
func (g *Group) String() string { return "netflux.Group" }

// GoString is as String.
func (g *Group) GoString() string { return g.String() }

// New returns a group that is not joined.
func New(cfg Config) *Group { return newGroup(cfg, false, false) }

// newGroup returns a group, perhaps one that has no signaling server and can only be entered by invitation, or that is left
// when this member is alone.
func newGroup(cfg Config, noSignaling, leaveAlone bool) *Group {
	cfg = cfg.withDefaults()
	g := &Group{
		cfg:   cfg,
		epoch: time.Now(),
		links: make(map[mesh.Link]link),
		sends: make(map[uint64]chan error),
		left:  make(chan struct{}),
	}
	close(g.left)
	g.ending = g.left
	g.mail.handle, g.mail.limit = cfg.OnEvent, cfg.ReceiveBuffer
	var seed [32]byte
	crand.Read(seed[:]) // never fails
	source := rand.NewChaCha8(seed)
	core := cfg.core(func() uint32 { return uint32(source.Uint64()) })
	core.NoSignaling, core.LeaveAlone = noSignaling, leaveAlone
	g.core = mesh.New(core)
	return g
}

// Join enters the group with this key, which is made if there is none, and returns nil when it is [Joined]: signaling
// counts this peer as a member, and to each other member there is a channel, or building one was given up. The others
// may hear of it a moment later: who is to be sent something is known from MemberJoined.
//
// A key has 1 to 512 bytes, in the form in which it stands in a URL; [NewKey] makes one. As long as the signaling server
// cannot be reached Join tries again, unless [Config].NoRejoin is set, until ctx ends; ctx has no influence later. It
// fails with ErrNoSignaling, ErrPlaintext, ErrICEServer, ErrListen, ErrKey, ErrSecretText, ErrIdentityText, ErrNotSealed,
// ErrInGroup or a *[JoinError]; the group is left then.
func (g *Group) Join(ctx context.Context, key string) error {
	path, err := escapeKey(key)
	if err == nil {
		_, err = g.cfg.signalingURL(path)
	}
	if err == nil {
		err = g.cfg.checkICE()
	}
	if err != nil {
		return err
	}
	keys, err := g.cfg.keys(path)
	if err != nil {
		return err
	}
	if keys != nil {
		path = keys.Room() // SEC-4
	}
	if err := g.lockLeft(ctx); err != nil {
		return err
	}
	if g.shut {
		g.mu.Unlock()
		return errShut
	}
	if g.cfg.Listen != "" {
		if err := g.listen(ctx); err != nil { // the lock is not held then
			return err
		}
	}
	result := make(chan error, 1)
	g.key, g.path, g.joins, g.failure = key, path, result, nil
	g.left = make(chan struct{})
	g.ice.begin(g.cfg)
	g.run(g.core.Step(g.now(), mesh.Join{Key: key, Keys: keys, Listen: g.url}))
	g.unlock(false)
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	g.mu.Lock()
	if g.joins != result { // it was faster than the context
		g.mu.Unlock()
		return <-result
	}
	g.joins = nil
	failure, left := g.failure, g.left
	g.run(g.core.Step(g.now(), mesh.Leave{}))
	g.unlock(false)
	g.abort(left)
	return &JoinError{ctx.Err(), failure}
}

// lockLeft locks the group when it has been left and nothing of it remains, which may take a moment after the state is
// Left.
func (g *Group) lockLeft(ctx context.Context) error {
	for {
		g.mu.Lock()
		if g.core.State() != mesh.StateLeft {
			g.mu.Unlock()
			return ErrInGroup
		}
		if g.idle() {
			return nil
		}
		left := g.left
		g.mu.Unlock()
		select {
		case <-left:
		case <-ctx.Done():
			return &JoinError{Err: ctx.Err()}
		}
	}
}

// Leave leaves the group. What waits to be sent is sent, for [Config].LeaveTimeout at most, and until ctx ends, whose
// error Leave returns then. When it returns nil the group uses no network and no goroutine any more, but for events that
// OnEvent has not been told yet; the last is StateChanged{State: Left}. A group that is not joined is left already.
func (g *Group) Leave(ctx context.Context) error {
	g.mu.Lock()
	left := g.left
	g.run(g.core.Step(g.now(), mesh.Leave{}))
	g.unlock(false)
	select {
	case <-left:
		return nil
	case <-ctx.Done():
	}
	if g.abort(left) {
		return nil
	}
	return ctx.Err()
}

// abort ends leaving soon, unless this has been left and joined again meanwhile; left is of the leaving that is meant. It
// reports whether no more than the goodbyes was missing.
func (g *Group) abort(left chan struct{}) bool {
	select {
	case <-left:
		return true
	case <-time.After(goodbyeTime):
	}
	g.mu.Lock()
	if g.left == left {
		g.run(g.core.Step(g.now(), mesh.Leave{Now: true}))
	}
	g.unlock(false)
	select {
	case <-left:
	case <-time.After(abortTimeout): // OnEvent does not return
	}
	return false
}

// goodbyeTime is how long closing in order may take when the context of Leave has ended.
const goodbyeTime = 100 * time.Millisecond

// abortTimeout is how long links are waited for that were told to end at once.
const abortTimeout = time.Second

// Send sends a message to all members, which are those of this moment. Data may be used again when it returns.
//
// It waits until each recipient's queue has room ([Config].SendBuffer) and then returns nil; the message goes out in the
// background, in the order of the calls. If ctx ends before, nothing was sent to anybody and the error is the
// context's. A recipient that takes nothing for [Config].SlowTimeout meanwhile is dropped; the others get the message,
// and the error is a *[SlowError]. It fails as well, and nothing was sent, with ErrNotInGroup, ErrTooBig, ErrKind and
// ErrInvalidText. With nobody else in the group it does nothing. (CHN-5, MSG-1, MSG-6, MSG-15, MSH-15)
func (g *Group) Send(ctx context.Context, kind Kind, data []byte) error {
	return g.send(ctx, kind, mesh.Send{Data: data})
}

// SendTo sends a message to one member, and is like [Group.Send] in all else. It fails with ErrNoMember if the recipient
// is not a member, or leaves while SendTo waits.
func (g *Group) SendTo(ctx context.Context, id uint32, kind Kind, data []byte) error {
	if id == 0 {
		return ErrNoMember
	}
	return g.send(ctx, kind, mesh.Send{To: id, Data: data})
}

// TrySend sends a message to all members if it need not wait, and fails with ErrFull otherwise. In all else it is like
// [Group.Send].
func (g *Group) TrySend(kind Kind, data []byte) error {
	return g.send(context.Background(), kind, mesh.Send{Data: data, Try: true})
}

func (g *Group) send(ctx context.Context, kind Kind, in mesh.Send) error {
	in.Text = kind == Text
	if kind != Text && kind != Binary {
		return fmt.Errorf("%w, not %v", ErrKind, kind)
	}
	if in.Text && !utf8.Valid(in.Data) {
		return ErrInvalidText
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	in.Data = bytes.Clone(in.Data)
	g.mu.Lock()
	g.tokens++
	in.Token = g.tokens
	g.done = false
	g.run(g.core.Step(g.now(), in))
	if g.done {
		err := g.result
		g.unlock(false)
		return err
	}
	result := make(chan error, 1)
	g.sends[in.Token] = result
	g.unlock(false)
	return g.outcome(ctx, in.Token, result)
}

// Invite lets a [Bot] join the group, which listens at the URL, of scheme ws or wss. It returns nil when the
// bot is a member, and fails with ErrNotInGroup, ErrURL, ErrPlaintext, ErrBusy, ErrTimeout, ErrGone or an error of the
// network. (CHN-9)
//
// The bot is given the secret of a sealed group, so the URL has to say who may have it: it ends with # and the bot's identity,
// as [Bot.URL] returns it. Without that Invite fails with ErrNoIdentity, where somebody else answers with ErrIdentity,
// and if the bot is not in Config.AllowIdentities with ErrNotListed; the secret is not told then. It fails with ErrDenied
// when the bot refuses. In a group that is not sealed the identity cannot be checked, and is left out of account. (SEC-20)
func (g *Group) Invite(ctx context.Context, url string) error {
	base, bot, err := splitURL(url)
	if err != nil {
		return err
	}
	g.mu.Lock()
	token, result := g.newToken()
	g.run(g.core.Step(g.now(), mesh.Invite{Token: token, URL: base, Bot: bot}))
	g.unlock(false)
	return g.outcome(ctx, token, result)
}

// Drop ends the channel to a member as a failing network would: at once, and without a goodbye. The two find
// each other again through the other members. It is there to try out what an application makes of that. It fails with
// ErrNotInGroup or ErrNoMember.
func (g *Group) Drop(id uint32) error { return g.drop(mesh.Drop{ID: id}) }

// Block is [Group.Drop], and refuses any channel with that member from now on: as between two networks that cannot reach
// each other, messages go by way of other members. The id need not be that of a member. The group forgets it when it is left. It fails
// with ErrNotInGroup.
func (g *Group) Block(id uint32) error { return g.drop(mesh.Drop{ID: id, Block: true}) }

// Blackhole has all vanish that goes over the channel to a member, in both directions, while it seems to be open: as in a
// network that fails without a word. It is there to try out what comes of that. It fails with ErrNotInGroup or ErrNoMember.
func (g *Group) Blackhole(id uint32) error { return g.drop(mesh.Drop{ID: id, Hole: true}) }

// Unblock takes [Group.Block] back, and has a channel built. Of a member that is not blocked it does nothing.
func (g *Group) Unblock(id uint32) { g.step(mesh.Unblock{ID: id}) }

func (g *Group) drop(in mesh.Drop) error {
	g.mu.Lock()
	var result chan error
	in.Token, result = g.newToken()
	g.run(g.core.Step(g.now(), in))
	g.unlock(false)
	return <-result
}

// newToken returns a token and where its outcome will be found. The lock is held.
func (g *Group) newToken() (uint64, chan error) {
	g.tokens++
	result := make(chan error, 1)
	g.sends[g.tokens] = result
	return g.tokens, result
}

// outcome waits for an outcome, which it cancels when the context ends.
func (g *Group) outcome(ctx context.Context, token uint64, result chan error) error {
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	g.step(mesh.Cancel{Token: token})
	if err := <-result; err != mesh.ErrCanceled { // it was faster than the context
		return err
	}
	return ctx.Err()
}

// ID returns the id of this member, 0 if it is not in a group. Each joining gives a new one, a rejoining after
// everything was lost as well.
func (g *Group) ID() uint32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.core.ID()
}

// GroupID returns the id of the group, 0 after it was left. While Joining it may be one that this peer has drawn.
func (g *Group) GroupID() uint32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.core.GroupID()
}

// Key returns the key that Join was given, "" after the group was left.
func (g *Group) Key() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.core.Key()
}

// State returns the state of the group.
func (g *Group) State() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	return State(g.core.State())
}

// SignalingState returns the state of the connection to the signaling server.
func (g *Group) SignalingState() SignalingState {
	g.mu.Lock()
	defer g.mu.Unlock()
	return SignalingState(g.core.SignalingState())
}

// Members returns the ids of all members, this one first.
func (g *Group) Members() []uint32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.core.Members()
}

// Neighbors returns the ids of the members with which there is a direct channel.
func (g *Group) Neighbors() []uint32 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.core.Neighbors()
}

// idle reports whether nothing is under way any more.
func (g *Group) idle() bool { return len(g.links) == 0 && g.ice.probes == 0 && g.listener == nil }

// now returns the time of a step.
func (g *Group) now() time.Duration { return time.Since(g.epoch) }

// step gives the core an input and carries out what follows, on behalf of somebody who waits for it.
func (g *Group) step(in mesh.Input) {
	g.mu.Lock()
	g.run(g.core.Step(g.now(), in))
	g.unlock(false)
}

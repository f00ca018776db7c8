package netflux

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/meshpair/meshpair/internal/mesh"
)

// DefaultMaxGroups is how many groups a [Bot] is in at most, unless [BotConfig] says otherwise.
const DefaultMaxGroups = 1000

// BotConfig says how a [Bot] is reached and what it does in its groups. URL must be set.
type BotConfig struct {
	// URL is that under which members reach the bot's handler, of scheme ws or wss, such as wss://bot.example.org/group.
	URL string

	// Group is the configuration of each group. Its fields OnEvent, Listen, ListenURL and ListenTLS are of no
	// meaning. Without SignalingURL nobody can join through the bot, and it can only be invited.
	//
	// Who invites the bot into a sealed group tells it the secret; it needs none of its own. With a Secret it is in groups
	// that are sealed by this one alone, with AllowIdentities in sealed ones alone, and with those alone. Without an Identity
	// it has a new one, as long as it lives. (SEC-20, SEC-53)
	Group Config

	// OnEvent is told what happens in a group. Of two groups it may be told at the same time; else it is as
	// [Config].OnEvent.
	OnEvent func(*Group, Event)

	// Admit is asked before the bot joins a group to which it is invited, and refuses that by an error, of which the
	// other end is told the text. By default the bot joins all groups.
	Admit func(Invitation) error

	// StayAlone keeps the bot in a group when all others have left. By default it leaves.
	StayAlone bool

	// MaxGroups is how many groups the bot is in at most, by default 1000. Further invitations are refused.
	MaxGroups int
}

// An Invitation is what a [Bot] knows of a group to which it is invited.
type Invitation struct {
	Request *http.Request // by which the other end opened its WebSocket
	Key     string
	Sealed  bool
	Inviter string // the identity of who invites, as [Identity.Public] returns it; "" if the group is not sealed
}

// A place is what tells one group from another.
type place struct {
	key    string
	secret Secret
}

// A Bot is a member of any number of groups, to which it is invited ([Group.Invite]) or which it joins ([Bot.Join]). It is
// an http.Handler: members open WebSockets to it, wherever in an http.Server it is mounted. Those who join a group
// later are led to it first by the signaling server, so that they need no WebRTC to get in. (CHN-9, CHN-10, SIG-3)
//
// What happens in one group is not seen in another (CHN-27). All methods may be called by any number of goroutines at once.
type Bot struct {
	cfg  BotConfig
	door *door

	mu     sync.Mutex // guards the fields below; a group's may be taken while it is held, not the other way round
	places map[place]*Group
	groups map[*Group]struct{} // those in places, and others that are being left
	guests map[*guest]struct{} // who have not said yet into which sealed group they invite
	closed bool
}

// NewBot returns a bot that is in no group. It fails with ErrListen, ErrNoSignaling, ErrPlaintext, ErrSecretText,
// ErrIdentityText or ErrICEServer if the configuration cannot be used.
func NewBot(cfg BotConfig) (*Bot, error) {
	if err := checkListenURL(cfg.URL); err != nil {
		return nil, err
	}
	if cfg.Group.SignalingURL != "" {
		if _, err := cfg.Group.signalingURL("key"); err != nil {
			return nil, err
		}
	}
	if _, err := cfg.Group.keys("key"); err != nil && !errors.Is(err, ErrNotSealed) { // it may be invited
		return nil, err
	}
	if err := cfg.Group.checkICE(); err != nil {
		return nil, err
	}
	if cfg.MaxGroups <= 0 {
		cfg.MaxGroups = DefaultMaxGroups
	}
	if cfg.Group.Identity == nil {
		cfg.Group.Identity = NewIdentity()
	}
	b := &Bot{cfg: cfg, places: make(map[place]*Group), groups: make(map[*Group]struct{}), guests: make(map[*guest]struct{})}
	b.door = newDoor(cfg.Group, b.admit)
	return b, nil
}

// ServeHTTP upgrades a member's request to a WebSocket, or refuses it. The path is of no meaning.
func (b *Bot) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.door.ServeHTTP(w, r) }

// String tells nothing of the bot, as [Group.String] does of a group (SEC-1).
func (b *Bot) String() string { return "netflux.Bot" }

// GoString is as String.
func (b *Bot) GoString() string { return b.String() }

// URL returns the URL by which the bot is invited into sealed groups: that of its configuration, with # and the bot's
// identity behind it. Members of this implementation take it for other groups as well; the original takes it without that
// part only. (SEC-6)
func (b *Bot) URL() string { return b.cfg.URL + "#" + b.cfg.Group.Identity.Public() }

// Groups returns the groups that the bot is in, or on its way into or out of.
func (b *Bot) Groups() []*Group {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*Group, 0, len(b.groups))
	for g := range b.groups {
		all = append(all, g)
	}
	return all
}

// Join enters the group with this key as [Group.Join] does. It fails with ErrBusy as well, if the bot is in MaxGroups
// groups already, and with ErrInGroup if it is in this one.
func (b *Bot) Join(ctx context.Context, key string) (*Group, error) {
	at := place{key, b.cfg.Group.Secret}
	g, err := b.newGroup(at)
	if err != nil {
		return nil, err
	}
	if err := g.Join(ctx, key); err != nil {
		b.remove(g, at)
		return nil, err
	}
	return g, nil
}

// Shutdown leaves all groups, as [Group.Leave] does, and refuses whoever comes later. It returns ctx.Err() if that ends
// before.
func (b *Bot) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	for v := range b.guests {
		if v.conn != nil {
			v.conn.Abort()
		}
	}
	b.mu.Unlock()
	var all sync.WaitGroup
	groups := b.Groups()
	errs := make([]error, len(groups))
	for i, g := range groups {
		g.mu.Lock()
		g.shut = true // one that is just being joined is not any more
		g.mu.Unlock()
		all.Go(func() { errs[i] = g.Leave(ctx) })
	}
	all.Wait()
	if errors.Join(errs...) != nil {
		return ctx.Err()
	}
	return nil
}

var errShut = fmt.Errorf("%w: the bot is being shut down", ErrBusy)

// admit finds the group that a member means, or joins the one that it invites to.
func (b *Bot) admit(r *http.Request, call mesh.Call) (taker, error) {
	if call.InvitesSealed() {
		return b.newGuest(r)
	}
	err, in := mesh.ErrCall, false
	for _, g := range b.Groups() {
		var l *webSocket
		if l, err = g.accept(call); err == nil || errors.Is(err, ErrBusy) {
			return l, err
		}
		in = in || int64(g.GroupID()) == call.Group && !g.leaving()
	}
	if !call.Invites() || in || b.cfg.Group.Secret != "" || len(b.cfg.Group.AllowIdentities) > 0 { // CHN-10: nor if the key is another; SEC-53
		return nil, err
	}
	return b.enter(place{key: call.Key}, Invitation{Request: r, Key: call.Key}, func(g *Group) (*webSocket, error) { return g.invited(call) })
}

// enter joins a group to which the bot is invited, if it may.
func (b *Bot) enter(at place, inv Invitation, invited func(*Group) (*webSocket, error)) (taker, error) {
	if b.isIn(at) { // CHN-10: nobody need be asked
		return nil, ErrInGroup
	}
	if b.cfg.Admit != nil {
		if err := b.cfg.Admit(inv); err != nil {
			return nil, err
		}
	}
	g, err := b.newGroup(at)
	if err != nil {
		return nil, err
	}
	l, err := invited(g)
	if err != nil {
		b.remove(g, at)
		return nil, err
	}
	return l, nil
}

// newGroup makes a group that is to be joined.
func (b *Bot) newGroup(at place) (*Group, error) {
	if _, err := escapeKey(at.key); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errShut
	}
	if len(b.groups) >= b.cfg.MaxGroups {
		return nil, fmt.Errorf("%w: the bot is in %d groups", ErrBusy, len(b.groups))
	}
	if b.isInLocked(at) {
		return nil, ErrInGroup
	}
	var g *Group
	cfg := b.cfg.Group
	cfg.Secret = at.secret
	cfg.Listen, cfg.ListenURL, cfg.ListenTLS, cfg.OnEvent = "", "", nil, nil
	if on := b.cfg.OnEvent; on != nil {
		cfg.OnEvent = func(e Event) { on(g, e) }
	}
	g = newGroup(cfg, cfg.SignalingURL == "", !b.cfg.StayAlone)
	g.url = b.cfg.URL
	g.onLeft = func() { b.remove(g, at) }
	b.places[at] = g
	b.groups[g] = struct{}{}
	return g, nil
}

// isIn reports whether the bot is in a group, or on its way into it.
func (b *Bot) isIn(at place) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.isInLocked(at)
}

func (b *Bot) isInLocked(at place) bool {
	old := b.places[at]
	return old != nil && !old.leaving()
}

// leaving reports whether the group was entered and is left, or about to be.
func (g *Group) leaving() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.core.State()
	return s == mesh.StateLeaving || s == mesh.StateLeft && g.key != ""
}

// remove forgets a group.
func (b *Bot) remove(g *Group, at place) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.groups, g)
	if b.places[at] == g {
		delete(b.places, at)
	}
}

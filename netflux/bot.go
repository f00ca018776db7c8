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
	Group Config

	// OnEvent is told what happens in a group. Of two groups it may be told at the same time; else it is as
	// [Config].OnEvent.
	OnEvent func(*Group, Event)

	// Admit is asked before the bot joins a group to which it is invited, and refuses that by an error, of which the
	// other end is told the text. By default the bot joins all groups.
	Admit func(r *http.Request, key string) error

	// StayAlone keeps the bot in a group when all others have left. By default it leaves.
	StayAlone bool

	// MaxGroups is how many groups the bot is in at most, by default 1000. Further invitations are refused.
	MaxGroups int
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
	byKey  map[string]*Group
	groups map[*Group]struct{} // those in byKey, and others that are being left
	closed bool
}

// NewBot returns a bot that is in no group. It fails with ErrListen, ErrNoSignaling, ErrPlaintext, ErrSecretText or ErrICEServer if the
// configuration cannot be used.
func NewBot(cfg BotConfig) (*Bot, error) {
	if err := checkListenURL(cfg.URL); err != nil {
		return nil, err
	}
	if cfg.Group.SignalingURL != "" {
		if _, err := cfg.Group.signalingURL("key"); err != nil {
			return nil, err
		}
	}
	if _, err := cfg.Group.keys("key"); err != nil {
		return nil, err
	}
	if err := cfg.Group.checkICE(); err != nil {
		return nil, err
	}
	if cfg.MaxGroups <= 0 {
		cfg.MaxGroups = DefaultMaxGroups
	}
	b := &Bot{cfg: cfg, byKey: make(map[string]*Group), groups: make(map[*Group]struct{})}
	b.door = newDoor(cfg.Group, b.admit)
	return b, nil
}

// ServeHTTP upgrades a member's request to a WebSocket, or refuses it. The path is of no meaning.
func (b *Bot) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.door.ServeHTTP(w, r) }

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
	g, err := b.newGroup(key)
	if err != nil {
		return nil, err
	}
	if err := g.Join(ctx, key); err != nil {
		b.remove(g, key)
		return nil, err
	}
	return g, nil
}

// Shutdown leaves all groups, as [Group.Leave] does, and refuses whoever comes later. It returns ctx.Err() if that ends
// before.
func (b *Bot) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
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
func (b *Bot) admit(r *http.Request, call mesh.Call) (*webSocket, error) {
	err, in := mesh.ErrCall, false
	for _, g := range b.Groups() {
		var l *webSocket
		if l, err = g.accept(call); err == nil || errors.Is(err, ErrBusy) {
			return l, err
		}
		in = in || int64(g.GroupID()) == call.Group && !g.leaving()
	}
	if !call.Invites() || in || b.cfg.Group.Secret != "" { // CHN-10: nor if the key is another; SEC-27: nor by who is not sealed
		return nil, err
	}
	if b.cfg.Admit != nil {
		if err := b.cfg.Admit(r, call.Key); err != nil {
			return nil, err
		}
	}
	g, err := b.newGroup(call.Key)
	if err != nil {
		return nil, err
	}
	l, err := g.invited(call)
	if err != nil {
		b.remove(g, call.Key)
	}
	return l, err
}

// newGroup makes a group that is to be joined.
func (b *Bot) newGroup(key string) (*Group, error) {
	if _, err := escapeKey(key); err != nil {
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
	if old := b.byKey[key]; old != nil && !old.leaving() {
		return nil, ErrInGroup
	}
	var g *Group
	cfg := b.cfg.Group
	cfg.Listen, cfg.ListenURL, cfg.ListenTLS, cfg.OnEvent = "", "", nil, nil
	if on := b.cfg.OnEvent; on != nil {
		cfg.OnEvent = func(e Event) { on(g, e) }
	}
	g = newGroup(cfg, cfg.SignalingURL == "", !b.cfg.StayAlone)
	g.url = b.cfg.URL
	g.onLeft = func() { b.remove(g, key) }
	b.byKey[key] = g
	b.groups[g] = struct{}{}
	return g, nil
}

// leaving reports whether the group was entered and is left, or about to be.
func (g *Group) leaving() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.core.State()
	return s == mesh.StateLeaving || s == mesh.StateLeft && g.key != ""
}

// remove forgets a group.
func (b *Bot) remove(g *Group, key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.groups, g)
	if b.byKey[key] == g {
		delete(b.byKey, key)
	}
}

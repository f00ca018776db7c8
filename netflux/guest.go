package netflux

import (
	"net/http"
	"time"

	"github.com/meshpair/meshpair/internal/mesh"
	"github.com/meshpair/meshpair/internal/ws"
)

// A guest is one who has opened a WebSocket to a bot to invite it into a sealed group, until the bot knows into which
// (SEC-20).
type guest struct {
	bot     *Bot
	request *http.Request
	conn    *ws.Conn // nil: not open yet; guarded by the bot's lock
	opened  time.Time
	room    *mesh.Anteroom
}

// newGuest lets one in, if there are not too many.
func (b *Bot) newGuest(r *http.Request) (taker, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, errShut
	case len(b.guests) >= mesh.MaxMaking: // SEC-29
		return nil, ErrBusy
	}
	v := &guest{bot: b, request: r, room: mesh.NewAnteroom(b.cfg.Group.Identity.key, nil)}
	b.guests[v] = struct{}{}
	return v, nil
}

func (v *guest) ended(error) {
	v.bot.mu.Lock()
	defer v.bot.mu.Unlock()
	delete(v.bot.guests, v)
}

// use hears the invitation and enters the group, to which the WebSocket belongs then.
func (v *guest) use(c *ws.Conn) {
	b := v.bot
	v.opened = time.Now()
	b.mu.Lock()
	v.conn = c
	if b.closed {
		c.Abort()
	}
	b.mu.Unlock()
	inv, err := v.hear(c)
	var t taker
	if err == nil {
		t, err = v.enter(inv)
	}
	v.room.Close()
	if err != nil {
		b.cfg.Group.withDefaults().Logger.Debug("invitation refused", "reason", err)
		c.Close(ws.ClosePolicy, err.Error()) // SEC-20
	}
	v.ended(nil)
	if err == nil {
		t.use(c)
	}
}

// hear returns what the other end invites to. What it takes of the time for the whole, the group has not any more (CHN-16).
func (v *guest) hear(c *ws.Conn) (*mesh.Invitation, error) {
	if err := c.SetReadDeadline(v.opened.Add(mesh.InitTimeout)); err != nil {
		return nil, err
	}
	for {
		kind, data, err := c.Read()
		if err != nil {
			return nil, err
		}
		if kind != ws.Binary { // WIR-1
			return nil, ErrUnsealed
		}
		answer, inv, err := v.room.Receive(data)
		switch {
		case err != nil:
			return nil, err
		case inv != nil:
			return inv, c.SetReadDeadline(time.Time{})
		}
		if err := c.Write(ws.Binary, answer); err != nil {
			return nil, err
		}
	}
}

// enter joins the group, if the bot may and is not in it.
func (v *guest) enter(inv *mesh.Invitation) (taker, error) {
	b, secret := v.bot, Secret(inv.Secret.Text())
	if own := b.cfg.Group.Secret; own != "" { // SEC-53
		keys, err := b.cfg.Group.keys(inv.Key)
		if err != nil {
			return nil, err
		}
		if wanted, _ := keys.Shared(); wanted != inv.Secret {
			return nil, ErrSecret
		}
		secret = own // which may be written in another way
	}
	key, err := unescapeKey(inv.Key)
	if err != nil {
		return nil, err
	}
	return b.enter(place{key, secret}, Invitation{v.request, key, true, inv.From.String()}, func(g *Group) (*webSocket, error) {
		return g.invitedSealed(inv, v.opened, key)
	})
}

// invitedSealed is invited for a sealed group, by a WebSocket that was opened some time ago.
func (g *Group) invitedSealed(inv *mesh.Invitation, opened time.Time, key string) (*webSocket, error) {
	keys, err := g.cfg.keys(inv.Key)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.unlock(false)
	if g.shut {
		return nil, errShut
	}
	id, outs, err := g.core.InvitedSealed(g.now(), inv, time.Since(opened), key, g.url)
	if err == nil {
		g.entering(key, keys.Room()) // SEC-4
	}
	return g.enter(id, outs, err)
}

package netflux_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/netflux"
)

// inviteURL returns the URL by which a bot is invited into sealed groups.
func (b *guest) inviteURL() string {
	_, identity, _ := strings.Cut(b.URL(), "#")
	return b.url + "#" + identity
}

// TestSealedBot has a bot invited into two sealed groups with one key, and into an unsealed one: it keeps them apart, talks in
// each, lets others in, and comes into none twice (SEC-20, SEC-22, CHN-27).
func TestSealedBot(t *testing.T) {
	t.Parallel()
	url := startSignaling(t)
	invited := make(chan netflux.Invitation, 10)
	bot := startBot(t, netflux.BotConfig{Group: netflux.Config{SignalingURL: url, Identity: netflux.NewIdentity()}, Admit: func(inv netflux.Invitation) error {
		invited <- inv
		return nil
	}})
	const key = "a key/with %20 and é"
	for _, secret := range []netflux.Secret{netflux.NewSecret(), netflux.NewSecret(), ""} {
		p := newPeer(t, netflux.Config{SignalingURL: url, Secret: secret})
		p.join(key)
		if err := p.Invite(t.Context(), bot.inviteURL()); err != nil {
			t.Fatal(err)
		}
		inv := <-invited
		if inv.Request == nil || inv.Sealed != (secret != "") || inv.Inviter != p.Identities()[p.ID()] {
			t.Errorf("%+v, of %v", inv, p.Identities())
		}
		var in *peer
		for _, g := range bot.Groups() {
			if g.GroupID() == p.GroupID() {
				in = bot.group(t, g)
			}
		}
		if in == nil {
			t.Fatal("the bot is not in the group")
		}
		in.wait("joined", func(e []netflux.Event) bool { return told(e, netflux.StateChanged{State: netflux.Joined}) })
		if err := p.Invite(t.Context(), bot.inviteURL()); err == nil || secret != "" && !errors.Is(err, netflux.ErrDenied) {
			t.Errorf("invited twice: %v", err)
		}
		q := newPeer(t, netflux.Config{SignalingURL: url, Secret: secret}) // through the bot, which is favored
		q.join(key)
		for _, o := range []*peer{p, in} {
			o.wait("joining", func(e []netflux.Event) bool { return told(e, netflux.MemberJoined{ID: q.ID()}) })
		}
		if err := q.Send(t.Context(), netflux.Text, []byte("hello")); err != nil {
			t.Error(err)
		}
		for _, o := range []*peer{p, in} {
			if m := o.messages(1); string(m[0].Data) != "hello" || m[0].From != q.ID() {
				t.Errorf("%+v", m)
			}
		}
		if len(in.Members()) != 3 || secret != "" && in.Key() != key {
			t.Errorf("key %q, members %v", in.Key(), in.Members())
		}
	}
	if n := len(bot.Groups()); n != 3 {
		t.Errorf("the bot is in %d groups", n)
	}
}

// TestSealedBotRefuses has bots and groups refuse each other, each for its reason, over real sockets (SEC-20, SEC-28, SEC-53).
func TestSealedBotRefuses(t *testing.T) {
	t.Parallel()
	url := startSignaling(t)
	secret, other := netflux.NewSecret(), netflux.NewIdentity()
	plain := startBot(t, netflux.BotConfig{Group: netflux.Config{SignalingURL: url}})
	picky := startBot(t, netflux.BotConfig{Group: netflux.Config{SignalingURL: url}, MaxGroups: 1, Admit: func(inv netflux.Invitation) error {
		return errors.New("not on a sunday")
	}})
	listed := startBot(t, netflux.BotConfig{Group: netflux.Config{SignalingURL: url, AllowIdentities: []string{other.Public()}}})
	sealed := startBot(t, netflux.BotConfig{Group: netflux.Config{SignalingURL: url, Secret: netflux.NewSecret()}})
	same := startBot(t, netflux.BotConfig{Group: netflux.Config{SignalingURL: url, Secret: netflux.Secret(strings.ToUpper(string(secret)))}})
	slip := plain.inviteURL()
	slip = slip[:len(slip)-1] + string("qp"[strings.IndexByte("pq", slip[len(slip)-1])&1])
	p := newPeer(t, netflux.Config{SignalingURL: url, Secret: secret})
	p.join("key")
	for _, c := range []struct {
		name, url string
		want      error
		say       string
	}{
		{"no identity", plain.url, netflux.ErrNoIdentity, "identity"},
		{"another identity", plain.url + "#" + other.Public(), netflux.ErrIdentity, "another identity"},
		{"a slip in the identity", slip, netflux.ErrURL, "checksum"},
		{"no identity after #", plain.url + "#top", netflux.ErrURL, "mpid1"},
		{"a bot that has a list", listed.inviteURL(), netflux.ErrDenied, "not on the list"},
		{"a bot that wants another secret", sealed.inviteURL(), netflux.ErrDenied, "secret"},
		{"a bot that wants none", picky.inviteURL(), netflux.ErrDenied, "not on a sunday"},
		{"a bot that is not there", deadURL(t) + "#" + other.Public(), nil, "refused"},
	} {
		if err := p.Invite(t.Context(), c.url); err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	q := newPeer(t, netflux.Config{SignalingURL: url})
	q.join("key")
	for _, b := range []*guest{listed, sealed} { // SEC-53
		if err := q.Invite(t.Context(), b.url); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("invited into an unsealed group: %v", err)
		}
	}
	for _, b := range []*guest{plain, picky, listed, sealed} {
		if len(b.Groups()) != 0 {
			t.Error("a bot is in a group")
		}
	}
	if len(p.Members()) != 1 {
		t.Errorf("members %v", p.Members())
	}
	if err := p.Invite(t.Context(), same.inviteURL()); err != nil {
		t.Error(err)
	}
	if _, err := same.Join(t.Context(), "key"); !errors.Is(err, netflux.ErrInGroup) { // it is the same group
		t.Error(err)
	}
	for _, cfg := range []netflux.Config{{AllowIdentities: []string{"mpid1x"}}, {Secret: secret, AllowIdentities: []string{"mpid1x"}}} {
		cfg.SignalingURL = url
		if _, err := netflux.NewBot(netflux.BotConfig{URL: "ws://127.0.0.1:1", Group: cfg}); !errors.Is(err, netflux.ErrIdentityText) {
			t.Error(err)
		}
	}
}

// TestSealedGuests has strangers knock at a bot and say nothing, or nonsense: there are not too many of them, they do not stay,
// and Shutdown ends them (SEC-29, CHN-16).
func TestSealedGuests(t *testing.T) {
	t.Parallel()
	bot := startBot(t, netflux.BotConfig{})
	knock := func() *rawSocket { return dialRaw(t, bot.url+"/?type=2&wcId=0&senderId=-1&sealed=1") }
	for _, first := range [][]byte{nil, {}, {1, 2, 3}, {8, 0, 16, 0, 24, 149, 60, 34, 0}} {
		c := knock()
		c.send(first)
		if code, _ := c.closed(); code != 1008 {
			t.Errorf("%x: closed with %d", first, code)
		}
	}
	var all []*rawSocket
	for range 256 {
		all = append(all, knock())
	}
	if err := tryRaw(t, bot.url+"/?type=2&wcId=0&senderId=-1&sealed=1"); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("one too many: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := bot.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	for _, c := range all {
		c.closed()
	}
	if err := tryRaw(t, bot.url+"/?type=2&wcId=0&senderId=-1&sealed=1"); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("after Shutdown: %v", err)
	}
}

// TestSealedDoor has those who know the room name of a sealed group, as the signaling server does, try to get in without the
// secret, as a joiner, by dialling a member that listens, and by inviting: they hear nothing (SEC-4, SEC-22, SEC-27).
func TestSealedDoor(t *testing.T) {
	t.Parallel()
	url := startSignaling(t)
	room := make(chan string, 10)
	watched := watchPaths(t, url, room)
	a := newPeer(t, netflux.Config{SignalingURL: watched, Secret: netflux.NewSecret(), Listen: "127.0.0.1:0", ListenURL: ""})
	a.join("key")
	name := strings.TrimPrefix(<-room, "/")
	if len(name) != 64 || strings.Contains(name, "key") {
		t.Fatalf("the server is asked for %q", name)
	}
	x := newPeer(t, netflux.Config{SignalingURL: url, NoRejoin: true})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := x.Join(ctx, name); err == nil {
		t.Errorf("joined %v", x.Members())
	}
	failed := x.wait("LEFT", func(e []netflux.Event) bool { return told(e, netflux.StateChanged{State: netflux.Left}) })
	for _, e := range failed {
		if m, ok := e.(netflux.MemberJoined); ok {
			t.Errorf("met %v", m)
		}
	}
	if len(a.Members()) != 1 {
		t.Errorf("members %v", a.Members())
	}
}

var _ = http.StatusOK

package netflux_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/attacks"
	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/ws"
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
	const key = "a key/with &+% and é"
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
	sealing := startBot(t, netflux.BotConfig{Group: netflux.Config{SignalingURL: url, Secret: netflux.NewSecret()}})
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
		{"a bot that wants another secret", sealing.inviteURL(), netflux.ErrDenied, "secret"},
		{"a bot that wants none", picky.inviteURL(), netflux.ErrDenied, "not on a sunday"},
		{"a bot that is not there", deadURL(t) + "#" + other.Public(), nil, "refused"},
	} {
		if err := p.Invite(t.Context(), c.url); err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	q := newPeer(t, netflux.Config{SignalingURL: url})
	q.join("key")
	for _, b := range []*guest{listed, sealing} { // SEC-53
		if err := q.Invite(t.Context(), b.url); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("invited into an unsealed group: %v", err)
		}
	}
	for _, b := range []*guest{plain, picky, listed, sealing} {
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

// knock opens a WebSocket to a bot or a member by a query.
func knock(t *testing.T, url, query string) (*ws.Conn, error) {
	c, err := ws.Dial(t.Context(), url+"/?"+query, ws.DialConfig{})
	if err == nil {
		t.Cleanup(c.Abort)
	}
	return c, err
}

// closed waits until the other end has closed a WebSocket, and returns the code, 0 if there was none, and the reason.
func closed(t *testing.T, c *ws.Conn) (int, string) {
	t.Helper()
	for {
		_, b, err := c.Read()
		var bye *ws.CloseError
		switch {
		case errors.As(err, &bye):
			return bye.Code, bye.Reason
		case err != nil:
			return 0, ""
		}
		t.Errorf("%x came", b)
	}
}

const invitation = "type=2&wcId=0&senderId=-1&sealed=1"

// TestSealedGuests has strangers knock at a bot and say nothing, or nonsense: there are not too many of them, they do not stay,
// and Shutdown ends them (SEC-29, CHN-16).
func TestSealedGuests(t *testing.T) {
	t.Parallel()
	bot := startBot(t, netflux.BotConfig{})
	for _, first := range []struct {
		kind ws.Kind
		data []byte
		say  string
	}{
		{ws.Binary, nil, "not sealed"},
		{ws.Binary, []byte{1, 2, 3}, "not sealed"},
		{ws.Binary, []byte{8, 0, 16, 0, 24, 149, 60, 34, 0}, "not a message of an invitation"},
		{ws.Text, []byte("hello"), "not sealed"}, // WIR-1
	} {
		c, err := knock(t, bot.url, invitation)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Write(first.kind, first.data); err != nil {
			t.Error(err)
		}
		if code, reason := closed(t, c); code != ws.ClosePolicy || !strings.Contains(reason, first.say) {
			t.Errorf("%x: closed with %d: %s", first.data, code, reason)
		}
	}
	var all []*ws.Conn
	for {
		c, err := knock(t, bot.url, invitation)
		if err != nil {
			if len(all) != 256 || !strings.Contains(err.Error(), "503") {
				t.Errorf("after %d: %v", len(all), err)
			}
			break
		}
		all = append(all, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := bot.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	for _, c := range all {
		if code, reason := closed(t, c); code != 0 { // at once, and not because it has said nothing for too long
			t.Errorf("closed with %d: %s", code, reason)
		}
	}
	if _, err := knock(t, bot.url, invitation); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("after Shutdown: %v", err)
	}
}

// TestSealedDoor has one who knows the room name of a sealed group, as the signaling server does, try to get in without the
// secret: through that server, by dialling a member that listens, and a bot. It meets nobody (SEC-4, SEC-22, SEC-27).
func TestSealedDoor(t *testing.T) {
	t.Parallel()
	url := startSignaling(t)
	secret := netflux.NewSecret()
	shared, err := sealed.ParseSecret(string(secret))
	if err != nil {
		t.Fatal(err)
	}
	room := sealed.Derive(shared, "key").Room()
	at := deadURL(t)
	a := newPeer(t, netflux.Config{SignalingURL: url, Secret: secret, Listen: strings.TrimPrefix(at, "ws://")})
	a.join("key")
	bot := startBot(t, netflux.BotConfig{Group: netflux.Config{SignalingURL: url}})
	if err := a.Invite(t.Context(), bot.inviteURL()); err != nil {
		t.Fatal(err)
	}
	group := strconv.FormatUint(uint64(a.GroupID()), 10)
	for _, door := range []string{at, bot.url} {
		for _, query := range []string{
			"type=1&wcId=" + group + "&senderId=7&key=" + room,
			"type=1&wcId=0&senderId=7&sealed=1",
			"type=2&wcId=" + group + "&senderId=-1&key=" + room,
			"type=0&wcId=" + group + "&senderId=4000000000",
			"type=0&wcId=0&senderId=4000000000&sealed=1",
			"type=2&wcId=0&senderId=0&sealed=1",
		} {
			if _, err := knock(t, door, query); err == nil || !strings.Contains(err.Error(), "401") {
				t.Errorf("%s: %v", query, err)
			}
		}
	}
	if _, err := knock(t, at, invitation); err == nil || !strings.Contains(err.Error(), "401") { // it is no bot
		t.Error(err)
	}
	x := newPeer(t, netflux.Config{SignalingURL: url})
	ctx, cancel := context.WithCancel(t.Context())
	joined := make(chan error, 1)
	go func() { joined <- x.Join(ctx, room) }()
	var refusal error
	x.wait("two members that do not answer", func(e []netflux.Event) bool {
		n := 0
		for _, e := range e {
			if f, ok := e.(netflux.ConnectFailed); ok && f.ID == 0 && errors.Is(f.Err, netflux.ErrNoResponse) {
				n++
				refusal = f.Err
			}
		}
		return n == 2
	})
	cancel()
	if err := <-joined; err == nil || told(x.wait("events", func([]netflux.Event) bool { return true }), netflux.MemberJoined{ID: a.ID()}) {
		t.Errorf("joined: %v", err)
	}
	outcome := attacks.Refused
	if len(a.Members()) != 2 {
		t.Errorf("members %v", a.Members())
		outcome = attacks.Succeeds
	}
	attacks.Check(t, "server: a stranger to a sealed group", true, outcome, refusal)
}

package netflux_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshpair/meshpair/netflux"
)

// certified returns a certificate for 127.0.0.1 and a configuration that trusts it.
func certified(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	return s.TLS.Clone(), s.Client().Transport.(*http.Transport).TLSClientConfig
}

// TestListen has members listen by TLS: they talk by WebSocket, 5 MiB too, and with a member that does not listen
// (BLD-12, CHN-9). The address is free again when the group was left.
func TestListen(t *testing.T) {
	server, client := certified(t)
	var sockets atomic.Int32
	server.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		sockets.Add(1)
		return nil, nil
	}
	url := startSignaling(t)
	cfg := netflux.Config{SignalingURL: url, TLS: client}
	listening := cfg
	listening.Listen, listening.ListenTLS = "127.0.0.1:0", server
	all := []*peer{newPeer(t, listening), newPeer(t, listening), newPeer(t, cfg), newPeer(t, cfg)}
	long := bytes.Repeat([]byte("0123456789abcdef"), 5<<16)
	for _, again := range []bool{false, true} {
		sockets.Store(0)
		for i, p := range all {
			p.join("key")
			if got := len(p.Neighbors()); got != i {
				t.Fatalf("member %d has %d neighbors", i, got)
			}
			for _, q := range all[:i] {
				q.wait("joining", func(e []netflux.Event) bool { return told(e, netflux.MemberJoined{ID: p.ID()}) })
			}
		}
		if n := sockets.Load(); n != 5 {
			t.Errorf("%d channels by WebSocket, not 5", n)
		}
		n := 3
		if again {
			n = 6
		}
		for i, p := range all {
			data := long
			if i != 1 || again { // masking is slow in the race detector
				data = long[:1000+i]
			}
			if err := p.Send(t.Context(), netflux.Binary, data); err != nil {
				t.Fatal(err)
			}
		}
		for i, p := range all {
			for _, m := range p.messages(n) {
				if len(m.Data) < 1000 || !bytes.Equal(m.Data, long[:len(m.Data)]) {
					t.Errorf("member %d got another message", i)
				}
			}
		}
		for _, p := range all {
			if err := p.Leave(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestListenErrors: what is wrong with Listen and ListenURL is told by Join, and does not stay.
func TestListenErrors(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := busy.Addr().String()
	p := newPeer(t, netflux.Config{SignalingURL: startSignaling(t), Listen: addr})
	if err := p.Join(t.Context(), "key"); !errors.Is(err, netflux.ErrListen) || p.State() != netflux.Left {
		t.Errorf("%v, %v", err, p.State())
	}
	busy.Close()
	for range 2 { // the address is free when the group is left
		p.join("key")
		if c, err := net.Dial("tcp", addr); err != nil {
			t.Error(err)
		} else {
			c.Close()
		}
		if err := p.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ listen, url, say string }{
		{":0", "", "set ListenURL"},
		{"0.0.0.0:0", "", "set ListenURL"},
		{"127.0.0.1:0", "http://here", "http://here"},
		{"127.0.0.1:0", "ws://", "ws://"},
		{"127.0.0.1:0", "ws://here/?x", "here/?x"},
		{"127.0.0.1:x", "", "x"},
	} {
		p := newPeer(t, netflux.Config{SignalingURL: "ws://127.0.0.1:1", Listen: c.listen, ListenURL: c.url})
		if err := p.Join(t.Context(), "key"); !errors.Is(err, netflux.ErrListen) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestUnreachableURL: where nobody listens under the URL that was announced, a data channel is what is left (BLD-12).
func TestUnreachableURL(t *testing.T) {
	url := startSignaling(t)
	a := newPeer(t, netflux.Config{SignalingURL: url, Listen: "127.0.0.1:0", ListenURL: deadURL(t)})
	a.join("key")
	b := newPeer(t, netflux.Config{SignalingURL: url, Listen: "127.0.0.1:0", ListenURL: deadURL(t)})
	b.join("key")
	if n := b.Neighbors(); !slices.Equal(n, []uint32{a.ID()}) {
		t.Errorf("neighbors %v", n)
	}
}

// A guest is a bot and what its groups were told.
type guest struct {
	*netflux.Bot
	url string

	mu     sync.Mutex
	groups map[*netflux.Group]*peer
}

func startBot(t *testing.T, cfg netflux.BotConfig) *guest {
	t.Helper()
	b := &guest{groups: make(map[*netflux.Group]*peer)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.ServeHTTP(w, r) }))
	cfg.URL = "ws" + strings.TrimPrefix(server.URL, "http") + "/some/path"
	cfg.Group.Loopback = true
	cfg.OnEvent = func(g *netflux.Group, e netflux.Event) { b.group(t, g).note(e) }
	var err error
	if b.Bot, err = netflux.NewBot(cfg); err != nil {
		t.Fatal(err)
	}
	b.url = cfg.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Shutdown(ctx); err != nil || len(b.Groups()) != 0 {
			t.Errorf("Shutdown: %v, %d groups", err, len(b.Groups()))
		}
		server.Close()
	})
	return b
}

func (b *guest) group(t *testing.T, g *netflux.Group) *peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.groups[g] == nil {
		b.groups[g] = &peer{Group: g, t: t, changed: make(chan struct{})}
	}
	return b.groups[g]
}

// in returns the bot's part in a group.
func (b *guest) in(t *testing.T, key string) *peer {
	t.Helper()
	for _, g := range b.Groups() {
		if g.Key() == key {
			return b.group(t, g)
		}
	}
	t.Fatalf("the bot is not in %s", key)
	return nil
}

// TestBot is invited into two groups, which it keeps apart, lets others in, and leaves when it is alone: CHN-9, CHN-10,
// STA-6.
func TestBot(t *testing.T) {
	url := startSignaling(t)
	bot := startBot(t, netflux.BotConfig{Group: netflux.Config{SignalingURL: url}})
	keys := []string{"one", "a key/with &+% and é"}
	var hosts []*peer
	for _, key := range keys {
		p := newPeer(t, netflux.Config{SignalingURL: url})
		p.join(key)
		if err := p.Invite(t.Context(), bot.url); err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, p)
		in := bot.in(t, key)
		in.wait("joined", func(e []netflux.Event) bool { return told(e, netflux.StateChanged{State: netflux.Joined}) })
		if err := p.Invite(t.Context(), bot.url); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("invited twice: %v", err)
		}
		events := in.wait("events", func([]netflux.Event) bool { return true })
		if got := strings.Join(signalingStates(events), " "); !strings.HasPrefix(got, "CONNECTING OPEN CHECKING CHECKED") {
			t.Errorf("signaling %s", got)
		}
		if in.GroupID() != p.GroupID() || in.ID() == p.ID() {
			t.Errorf("group %d is not %d", in.GroupID(), p.GroupID())
		}
	}
	for i, key := range keys {
		in, late := bot.in(t, key), newPeer(t, netflux.Config{SignalingURL: url})
		late.join(key)
		if n := late.Neighbors(); len(n) != 2 {
			t.Errorf("neighbors %v", n)
		}
		if err := in.Send(t.Context(), netflux.Text, []byte(key)); err != nil {
			t.Fatal(err)
		}
		if err := hosts[i].SendTo(t.Context(), in.ID(), netflux.Binary, []byte(key)); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*peer{hosts[i], late, in} {
			if m := p.messages(1); string(m[0].Data) != key || len(m) != 1 {
				t.Errorf("%v", m)
			}
		}
		if err := late.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := hosts[i].Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		in.wait("left alone", func(e []netflux.Event) bool {
			return told(e, netflux.StateChanged{State: netflux.Left, Err: netflux.ErrAlone})
		})
	}
	// It is free to be invited again.
	p := hosts[0]
	p.join("one")
	if err := p.Invite(t.Context(), bot.url); err != nil {
		t.Fatal(err)
	}
	// And joins where it is not invited.
	g, err := bot.Join(t.Context(), "two")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bot.Join(t.Context(), "two"); !errors.Is(err, netflux.ErrInGroup) {
		t.Error(err)
	}
	if g.State() != netflux.Joined || len(bot.Groups()) != 2 {
		t.Errorf("%v, %d groups", g.State(), len(bot.Groups()))
	}
}

// TestBotAlone stays where it is told to, and joins without signaling.
func TestBotAlone(t *testing.T) {
	url := startSignaling(t)
	bot := startBot(t, netflux.BotConfig{StayAlone: true, Group: netflux.Config{SignalingURL: url}})
	mute := startBot(t, netflux.BotConfig{StayAlone: true})
	p := newPeer(t, netflux.Config{SignalingURL: url})
	p.join("key")
	for _, b := range []*guest{bot, mute} {
		if err := p.Invite(t.Context(), b.url); err != nil {
			t.Fatal(err)
		}
		in := b.in(t, "key")
		in.wait("joined", func(e []netflux.Event) bool { return told(e, netflux.StateChanged{State: netflux.Joined}) })
	}
	in, silent := bot.in(t, "key"), mute.in(t, "key")
	in.wait("the other bot", func(e []netflux.Event) bool { return told(e, netflux.MemberJoined{ID: silent.ID()}) })
	if s := silent.SignalingState(); s != netflux.SignalingClosed {
		t.Errorf("signaling %v of a bot that has none", s)
	}
	if err := p.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := silent.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	in.wait("alone", func(e []netflux.Event) bool { return len(in.Members()) == 1 })
	p.join("key")
	if n := p.Neighbors(); !slices.Equal(n, []uint32{in.ID()}) {
		t.Errorf("neighbors %v", n)
	}
}

// TestBotRefuses: CHN-10, and limits.
func TestBotRefuses(t *testing.T) {
	url := startSignaling(t)
	refuse := errors.New("not on a sunday")
	var asked atomic.Int32
	bot := startBot(t, netflux.BotConfig{MaxGroups: 1, Group: netflux.Config{SignalingURL: url}, Admit: func(inv netflux.Invitation) error {
		asked.Add(1)
		if inv.Key == "sunday" {
			return refuse
		}
		return nil
	}})
	p := newPeer(t, netflux.Config{SignalingURL: url})
	p.join("sunday")
	if err := p.Invite(t.Context(), bot.url); err == nil || !strings.Contains(err.Error(), "not on a sunday") || len(bot.Groups()) != 0 {
		t.Error(err)
	}
	q := newPeer(t, netflux.Config{SignalingURL: url})
	q.join("key")
	if err := q.Invite(t.Context(), bot.url); err != nil {
		t.Fatal(err)
	}
	other := newPeer(t, netflux.Config{SignalingURL: url})
	other.join("other")
	if err := other.Invite(t.Context(), bot.url); err == nil || !strings.Contains(err.Error(), "503") {
		t.Error(err)
	}
	for _, c := range []struct {
		query  string
		status int
	}{
		{"", 401},
		{"?type=2&wcId=1&senderId=-1", 401},
		{"?type=2&wcId=1&senderId=-1&key=", 401},
		{"?type=2&wcId=1&senderId=-1&key=sunday", 401},
		{"?type=2&wcId=1&senderId=-1&key=what%3F", 401},
		{"?type=1&wcId=1&senderId=7&key=key", 401},
		{"?type=0&wcId=1&senderId=2147483649", 401},
		{"?type=2&wcId=1&senderId=-1&key=monday", 503},
	} {
		r, err := http.NewRequest("GET", "http"+strings.TrimPrefix(bot.url, "ws")+"/"+c.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-WebSocket-Version": {"13"}, "Sec-WebSocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d", c.query, resp.StatusCode, c.status)
		}
	}
	if len(bot.Groups()) != 1 {
		t.Errorf("%d groups", len(bot.Groups()))
	}
	for _, cfg := range []netflux.BotConfig{
		{},
		{URL: "http://here"},
		{URL: "ws://here", Group: netflux.Config{SignalingURL: "here"}},
		{URL: "ws://here", Group: netflux.Config{ICEServers: []netflux.ICEServer{{URLs: []string{"bogus"}}}}},
	} {
		if _, err := netflux.NewBot(cfg); err == nil {
			t.Errorf("%+v makes a bot", cfg)
		}
	}
}

// TestBlock has two members talk through a third one, and directly again (MSH-16).
func TestBlock(t *testing.T) {
	all := groupOf(t, 3, netflux.Config{})
	a, b := all[0], all[1]
	id := b.ID()
	if err := a.Block(id); err != nil {
		t.Fatal(err)
	}
	for slices.Contains(b.Neighbors(), a.ID()) {
		time.Sleep(time.Millisecond)
	}
	if n := a.Neighbors(); slices.Contains(n, id) {
		t.Errorf("neighbors %v", n)
	}
	data := make([]byte, 1<<20)
	for _, p := range []*peer{a, b} {
		if err := p.Send(t.Context(), netflux.Binary, data); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []*peer{a, b} {
		p.messages(1)
	}
	for _, p := range all {
		if e := p.wait("events", func([]netflux.Event) bool { return true }); slices.ContainsFunc(e, func(e netflux.Event) bool {
			_, left := e.(netflux.MemberLeft)
			return left
		}) {
			t.Errorf("somebody seemed to leave: %s", brief(e))
		}
	}
	a.Unblock(id)
	for len(a.Neighbors()) != 2 {
		time.Sleep(time.Millisecond)
	}
	if err := a.Drop(7); !errors.Is(err, netflux.ErrNoMember) {
		t.Error(err)
	}
}

// TestBotForgets: a group that has been left is not among a bot's when Leave returns.
func TestBotForgets(t *testing.T) {
	bot := startBot(t, netflux.BotConfig{StayAlone: true, Group: netflux.Config{SignalingURL: startSignaling(t)}})
	for range 100 {
		g, err := bot.Join(t.Context(), "key")
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Leave(t.Context()); err != nil || len(bot.Groups()) > 0 {
			t.Fatalf("Leave: %v, then in %d groups", err, len(bot.Groups()))
		}
	}
}

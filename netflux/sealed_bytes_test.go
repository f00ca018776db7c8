package netflux_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/wire"
	"github.com/meshpair/meshpair/netflux"
	"github.com/meshpair/meshpair/sigver"
)

// tappedSignaling runs a signaling server all connections of which are tapped, and returns what stops it.
func tappedSignaling(t *testing.T, passed *tap) (url string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, served := sigver.New(sigver.Config{Logger: slog.New(slog.DiscardHandler)}), make(chan error, 1)
	go func() { served <- s.Serve(tappedListener{l, passed}) }()
	stop = sync.OnceFunc(func() {
		s.Shutdown(context.Background())
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return "ws://" + l.Addr().String(), stop
}

// TestSealedOnTheWire keeps every byte that passes the signaling server of a busy sealed group, and every byte on WebSockets
// between its members, over which a bot is invited and two members that have no channel are relayed. Nothing is in them of
// what members say, of the secret and what follows from it, of identities and of what two tell each other to connect; and no
// ids but those that chapter SEC lets be seen (SEC-4, SEC-7, SEC-12, SEC-20 to SEC-22).
func TestSealedOnTheWire(t *testing.T) {
	t.Parallel()
	atServer, atBot := new(tap), new(tap)
	url, stop := tappedSignaling(t, atServer)
	secret := netflux.NewSecret()
	const key = "a key that nobody is told"

	var bot *netflux.Bot
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { bot.ServeHTTP(w, r) }))
	server.Listener = tappedListener{server.Listener, atBot}
	server.Start()
	defer server.Close()
	in := make(chan netflux.Event, 10_000)
	bot, err := netflux.NewBot(netflux.BotConfig{
		URL:     "ws" + strings.TrimPrefix(server.URL, "http"),
		Group:   netflux.Config{SignalingURL: url, Loopback: true},
		OnEvent: func(_ *netflux.Group, e netflux.Event) { in <- e },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer bot.Shutdown(context.Background())

	var all []*peer
	for range 3 {
		p := newPeer(t, netflux.Config{SignalingURL: url, Secret: secret})
		p.join(key)
		for _, o := range all {
			o.wait("joining", func(e []netflux.Event) bool { return told(e, netflux.MemberJoined{ID: p.ID()}) })
		}
		if all = append(all, p); len(all) == 1 {
			if err := p.Invite(t.Context(), bot.URL()); err != nil {
				t.Fatal(err)
			}
		}
	}
	a, b := all[0], all[1]
	if err := a.Block(b.ID()); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var said [][]byte
	say := func(from *peer, to uint32, size int) {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		said = append(said, data)
		var err error
		if to == 0 {
			err = from.Send(t.Context(), netflux.Binary, data)
		} else {
			err = from.SendTo(t.Context(), to, netflux.Binary, data)
		}
		if err != nil {
			t.Error(err)
		}
	}
	for range 10 {
		for _, p := range all {
			say(p, 0, 300)
			say(p, 0, 20_000)
		}
		say(a, b.ID(), 5000)
		say(b, a.ID(), 5000)
	}
	for i, p := range all {
		n := 40
		if i < 2 {
			n = 50
		}
		if got := p.messages(n); len(got) != n {
			t.Errorf("%d messages", len(got))
		}
	}
	identities := a.Identities()
	for _, p := range all {
		if err := p.Leave(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := bot.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	server.Close()
	stop() // nothing passes any more

	parsed, err := sealed.ParseSecret(string(secret))
	if err != nil {
		t.Fatal(err)
	}
	hidden := map[string][]byte{"the secret": parsed[:], "its text": []byte(secret), "the key": []byte(key), "the key in a URL": []byte("a%20key%20that%20nobody")}
	for id, text := range identities {
		public, err := sealed.ParsePublic(text)
		if err != nil {
			t.Fatal(err)
		}
		hidden["an identity"+string(rune(id))] = public[:]
		hidden["the text of one"+string(rune(id))] = []byte(text)
	}
	room := sealed.Derive(parsed, strings.ReplaceAll(key, " ", "%20")).Room() // SEC-3
	for name, passed := range map[string]*tap{"signaling": atServer, "a WebSocket": atBot} {
		found, err := passed.patterns()
		if err != nil {
			t.Fatal(err)
		}
		has := func(b []byte) (n int) {
			patterns(b, func(p pattern) {
				if _, ok := found[p]; ok {
					n++
				}
			})
			return n
		}
		if passes := has([]byte("Sec-WebSocket-Key: ")); passes == 0 || (has([]byte(room)) > 0) != (name == "signaling") { // SEC-4
			t.Errorf("%s: the search does not find what does pass, or the room name", name)
		}
		for _, data := range said {
			if has(data) > 0 {
				t.Errorf("%s: something that was said has passed", name)
			}
		}
		for what, b := range hidden {
			if has(b) > 0 {
				t.Errorf("%s: %s has passed", name, what)
			}
		}
		total := 0
		for _, s := range passed.streams {
			total += len(s.b)
			for _, text := range []string{"candidate", "fingerprint", "ufrag", "mpsecret", "mpid1", "webrtc-datachannel"} {
				if bytes.Contains(s.b, []byte(text)) {
					t.Errorf("%s: %q has passed", name, text)
				}
			}
		}
		for _, toServer := range []bool{true, false} {
			streams, err := passed.messages(toServer)
			if err != nil {
				t.Fatal(err)
			}
			for _, messages := range streams {
				for _, m := range messages {
					checkSealed(t, name == "signaling", m)
				}
			}
		}
		t.Logf("%s: %d bytes", name, total)
		if name != "signaling" && total < 1_000_000 {
			t.Errorf("only %d bytes over WebSockets", total)
		}
	}
}

// checkSealed looks at a message that has passed.
func checkSealed(t *testing.T, signaling bool, b []byte) {
	t.Helper()
	var m wire.Message
	if signaling {
		var sig wire.Signaling
		if err := sig.Decode(b); err != nil {
			t.Fatal(err)
		}
		if sig.Kind != wire.SignalingContent || sig.Content.Data == nil {
			return
		}
		if m.Decode(sig.Content.Data) != nil || m.ServiceID != wire.ServiceSealed || m.RecipientID >= 1<<31 { // SEC-7
			t.Errorf("through signaling: %+v", m)
		}
		return
	}
	var s wire.Sealed
	if m.Decode(b) != nil || m.ServiceID != wire.ServiceSealed || s.Decode(m.Content) != nil ||
		(m.SenderID == 0) != (m.RecipientID == 0) || s.Kind == wire.SealedInvitation && m.SenderID != 0 || s.Kind == wire.SealedPart && m.SenderID == 0 { // SEC-12, SEC-20
		t.Errorf("on a WebSocket: %d to %d, service %d, kind %d", m.SenderID, m.RecipientID, m.ServiceID, s.Kind)
	}
}

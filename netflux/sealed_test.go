package netflux_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/meshpair/meshpair/netflux"
)

// TestSealedGroup has members of a sealed group meet at a real signaling server, by data channels and by a WebSocket, and
// talk; all see the same identities (SEC-4, SEC-16, SEC-22, SEC-25).
func TestSealedGroup(t *testing.T) {
	t.Parallel()
	secret := netflux.NewSecret()
	url := startSignaling(t)
	var all []*peer
	for i, listen := range []string{"", "", "127.0.0.1:0"} {
		p := newPeer(t, netflux.Config{SignalingURL: url, Secret: secret, Listen: listen})
		p.join("key")
		for _, o := range all {
			o.wait("joining", func(e []netflux.Event) bool { return told(e, netflux.MemberJoined{ID: p.ID()}) })
		}
		if got := len(p.Neighbors()); got != i {
			t.Errorf("member %d has %d channels", i, got)
		}
		all = append(all, p)
	}
	big := bytes.Repeat([]byte("many words"), 50_000)
	for _, p := range all {
		if err := p.Send(t.Context(), netflux.Binary, big); err != nil {
			t.Error(err)
		}
	}
	for _, p := range all {
		got := p.wait("all messages", func(e []netflux.Event) bool { return len(messages(e)) == len(all)-1 })
		for _, m := range messages(got) {
			if !bytes.Equal(m.Data, big) || m.Private {
				t.Errorf("%d bytes, private %v", len(m.Data), m.Private)
			}
		}
		if p.Key() != "key" || len(p.Identities()) != len(all) || fmt.Sprint(p.Identities()) != fmt.Sprint(all[0].Identities()) {
			t.Errorf("key %q, identities %v", p.Key(), p.Identities())
		}
	}
	// Who has the key alone, or another secret, meets nobody (SEC-4).
	for _, cfg := range []netflux.Config{{}, {Secret: netflux.NewSecret()}} {
		cfg.SignalingURL = url
		p := newPeer(t, cfg)
		p.join("key")
		if len(p.Members()) != 1 || len(all[0].Members()) != len(all) {
			t.Errorf("members %v, %v", p.Members(), all[0].Members())
		}
	}
	if err := all[0].Invite(t.Context(), "ws://127.0.0.1:1"); !errors.Is(err, netflux.ErrNoIdentity) {
		t.Error(err)
	}
}

// TestSecretHides tries to have a secret shown (SEC-1), and one with a slip taken (SEC-2).
func TestSecretHides(t *testing.T) {
	secret := netflux.NewSecret()
	text := string(secret)
	var log bytes.Buffer
	cfg := netflux.Config{SignalingURL: "ws://127.0.0.1:1", Secret: secret[:len(secret)-1]}
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", secret)
	err := newPeer(t, cfg).Join(t.Context(), "key")
	if !errors.Is(err, netflux.ErrSecretText) {
		t.Error(err)
	}
	if _, err := netflux.NewBot(netflux.BotConfig{URL: "ws://127.0.0.1:1", Group: cfg}); !errors.Is(err, netflux.ErrSecretText) {
		t.Error(err)
	}
	cfg.Secret = secret
	bot, err2 := netflux.NewBot(netflux.BotConfig{URL: "ws://127.0.0.1:1", Group: cfg})
	if err2 != nil {
		t.Fatal(err2)
	}
	for _, holder := range []any{netflux.New(cfg), bot} {
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "holder", holder)
		fmt.Fprintf(&log, "%v %+v %#v %s %q", holder, holder, holder, holder, holder)
	}
	shown := fmt.Sprintf("%v %+v %#v %s %q %v %s", cfg, cfg, cfg.Secret, secret, secret, err, log.String())
	if len(text) != 67 || strings.Contains(shown, text[10:40]) {
		t.Errorf("%d characters, shown in %s", len(text), shown)
	}
}

package netflux

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/meshpair/meshpair/internal/mesh"
)

// TestBotShutdownMeetsInvitation shuts a bot down that is just about to join a group: it does not any more.
func TestBotShutdownMeetsInvitation(t *testing.T) {
	b, err := NewBot(BotConfig{URL: "ws://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	g, err := b.newGroup(place{key: "key"}) // admit has come so far
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if l, err := g.invited(mesh.Call{Kind: 2, Group: 1 << 31, Sender: -1, Key: "key"}); err == nil {
		t.Errorf("in a group after Shutdown: %v", g.State())
		l.ended(nil)
	}
}

// TestBotWithoutUpgrade invites a bot by a request that cannot become a WebSocket: nothing stays.
func TestBotWithoutUpgrade(t *testing.T) {
	b, err := NewBot(BotConfig{URL: "ws://127.0.0.1:1", MaxGroups: 2})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/?type=2&wcId=2147483649&senderId=-1&key=k", nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	if n := len(b.Groups()); n != 0 {
		t.Errorf("%d groups, %d", n, w.Code)
	}
}

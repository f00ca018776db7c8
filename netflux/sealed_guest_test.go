package netflux_test

import (
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/wire"
	"github.com/meshpair/meshpair/internal/ws"
	"github.com/meshpair/meshpair/netflux"
)

// TestSealedGuestStays has an inviter take its time before it hands a bot the secret, and then stop: the whole has the 10 s of one
// initialisation, and not that before the bot knows the group and that after it each (SEC-20, CHN-16).
func TestSealedGuestStays(t *testing.T) {
	for _, late := range []time.Duration{0, 6 * time.Second, 9 * time.Second} {
		inWorld(t, func(t *testing.T, w *world) {
			l, err := w.Listen("127.0.0.1:9000")
			if err != nil {
				t.Fatal(err)
			}
			_, text, _ := strings.Cut(w.bot(l, netflux.BotConfig{}).URL(), "#")
			bot, err := sealed.ParsePublic(text)
			if err != nil {
				t.Fatal(err)
			}
			c, err := ws.Dial(t.Context(), "ws://127.0.0.1:9000/?"+invitation, ws.DialConfig{Connect: w.Connect})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Abort()
			begin := time.Now()
			say := func(step uint32, data []byte) {
				m := wire.Sealed{Kind: wire.SealedInvitation, Handshake: wire.Handshake{Step: step, Data: data}}
				if err := c.Write(ws.Binary, (&wire.Message{ServiceID: wire.ServiceSealed, Content: m.Append(nil)}).Append(nil)); err != nil {
					t.Error(err)
				}
			}
			i, first, err := sealed.Invite(sealed.IdentityOf([32]byte{1: 1}), nil)
			if err != nil {
				t.Fatal(err)
			}
			say(1, first)
			_, b, err := c.Read()
			var m wire.Message
			var answer wire.Sealed
			if err != nil || m.Decode(b) != nil || answer.Decode(m.Content) != nil {
				t.Fatalf("%x, %v", b, err)
			}
			time.Sleep(late) // of virtual time
			third, err := i.Hand(answer.Handshake.Data, bot, sealed.Secret{1}, "key")
			if err != nil {
				t.Fatal(err)
			}
			say(3, third)
			closed(t, c)
			if d := time.Since(begin); d < 9900*time.Millisecond || d > 10100*time.Millisecond {
				t.Errorf("after message 3 at %v: closed at %v", late, d)
			}
		})
	}
}

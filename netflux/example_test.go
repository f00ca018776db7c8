package netflux_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http/httptest"
	"strings"

	"github.com/meshpair/meshpair/netflux"
	"github.com/meshpair/meshpair/sigver"
)

// Two members of a group meet through a signaling server, here in the same program, and the first one greets the other.
func Example() {
	server := httptest.NewServer(sigver.New(sigver.Config{Logger: slog.New(slog.DiscardHandler)}))
	defer server.Close()
	url := "ws" + strings.TrimPrefix(server.URL, "http")
	ctx := context.Background()

	var alice *netflux.Group
	alice = netflux.New(netflux.Config{SignalingURL: url, Loopback: true, OnEvent: func(e netflux.Event) {
		if m, ok := e.(netflux.MemberJoined); ok {
			if err := alice.SendTo(ctx, m.ID, netflux.Text, []byte("welcome")); err != nil {
				log.Print(err)
			}
		}
	}})
	messages := make(chan netflux.Message, 1)
	bob := netflux.New(netflux.Config{SignalingURL: url, Loopback: true, OnEvent: func(e netflux.Event) {
		if m, ok := e.(netflux.Message); ok {
			messages <- m
		}
	}})

	key := netflux.NewKey()
	for _, g := range []*netflux.Group{alice, bob} {
		if err := g.Join(ctx, key); err != nil {
			log.Fatal(err)
		}
		defer g.Leave(ctx)
	}
	m := <-messages
	fmt.Printf("%s, from alice: %v, to bob alone: %v\n", m.Data, m.From == alice.ID(), m.Private)
	// Output:
	// welcome, from alice: true, to bob alone: true
}

// The errors of Join say what to do.
func ExampleGroup_Join() {
	g := netflux.New(netflux.Config{})
	err := g.Join(context.Background(), "our key")
	fmt.Println(errors.Is(err, netflux.ErrNoSignaling))
	fmt.Println(err)
	// Output:
	// true
	// netflux: no signaling server: set Config.SignalingURL to ws://HOST:PORT or wss://HOST:PORT
}

// A send to a group that was not joined.
func ExampleGroup_Send() {
	g := netflux.New(netflux.Config{SignalingURL: "ws://127.0.0.1:8000"})
	fmt.Println(g.State(), g.Send(context.Background(), netflux.Text, []byte("hello")))
	// Output:
	// LEFT netflux: not in a group
}

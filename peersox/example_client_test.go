package peersox_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/meshpair/meshpair/peersox"
)

// startServer runs a server in this process.
func startServer() (url string, stop func()) {
	server := peersox.NewServer(peersox.ServerConfig{Logger: slog.New(slog.DiscardHandler)})
	web := httptest.NewServer(server)
	return web.URL, func() {
		server.Shutdown(context.Background())
		web.Close()
	}
}

// Two devices meet by a code, and the first one greets the other.
func ExampleClient() {
	url, stop := startServer()
	defer stop()
	ctx := context.Background()

	var phone *peersox.Client
	phone = peersox.NewClient(peersox.ClientConfig{URL: url, Loopback: true, OnEvent: func(e peersox.Event) {
		if _, ok := e.(peersox.PeerConnected); ok {
			if err := phone.Send(ctx, peersox.Text, []byte("welcome")); err != nil {
				log.Print(err)
			}
		}
	}})
	messages := make(chan string, 1)
	laptop := peersox.NewClient(peersox.ClientConfig{URL: url, Loopback: true, OnEvent: func(e peersox.Event) {
		if m, ok := e.(peersox.Message); ok {
			messages <- string(m.Data)
		}
	}})
	defer phone.Close(ctx)
	defer laptop.Close(ctx)

	pairing, err := phone.InitPairing(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the code has", len(pairing.Code), "digits")
	if _, err := laptop.Pair(ctx, pairing.Code); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-messages)
	// Output:
	// the code has 6 digits
	// welcome
}

// A sealed pairing: the server carries what the two say, and can neither read nor change it.
func ExamplePairing_Text() {
	url, stop := startServer()
	defer stop()
	ctx := context.Background()

	phone := peersox.NewClient(peersox.ClientConfig{URL: url, Loopback: true, Seal: true})
	heard := make(chan peersox.Event, 100)
	laptop := peersox.NewClient(peersox.ClientConfig{URL: url, Loopback: true, OnEvent: func(e peersox.Event) { heard <- e }})
	defer phone.Close(ctx)
	defer laptop.Close(ctx)

	pairing, err := phone.InitPairing(ctx)
	if err != nil {
		log.Fatal(err)
	}
	text := pairing.Text() // to be shown, or pairing.Link("https://app.example") as a QR code
	fmt.Println("the text has", len(text), "characters")
	if _, err := laptop.Pair(ctx, text); err != nil {
		log.Fatal(err)
	}
	for e := range heard {
		if _, ok := e.(peersox.PeerConnected); ok {
			fmt.Println("sealed:", laptop.Status().Sealed)
			return
		}
	}
	// Output:
	// the text has 46 characters
	// sealed: true
}

// A code that nobody has got.
func ExampleClient_Pair() {
	url, stop := startServer()
	defer stop()
	client := peersox.NewClient(peersox.ClientConfig{URL: url})
	_, err := client.Pair(context.Background(), "123456")
	fmt.Println(errors.Is(err, peersox.ErrCode))
	fmt.Println(err)
	// Output:
	// true
	// peersox: no client waits with this code, or it was used before
}

// A pairing that is kept need not be made again.
func ExampleClient_RestorePairing() {
	url, stop := startServer()
	defer stop()
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cfg := peersox.ClientConfig{URL: url, Pairings: peersox.PairingFile(filepath.Join(dir, "pairing"))}

	client := peersox.NewClient(cfg)
	pairing, err := client.CreatePairing(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if err := client.StorePairing(pairing); err != nil {
		log.Fatal(err)
	}
	again, err := peersox.NewClient(cfg).RestorePairing(ctx) // perhaps another day
	fmt.Println(again == pairing, err)
	// Output:
	// true <nil>
}

// A message before there is anybody to send it to.
func ExampleClient_Send() {
	client := peersox.NewClient(peersox.ClientConfig{URL: "http://127.0.0.1:3000"})
	err := client.Send(context.Background(), peersox.Text, []byte("hello"))
	fmt.Println(errors.Is(err, peersox.ErrNotConnected), err)
	// Output:
	// true peersox: not connected to a peer
}

//go:build unix

package benchmarks

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/meshpair/meshpair/peersox"
)

// BenchmarkPeerSoxSealed compares sealed pairings with others, by way of the server and by a data channel.
func BenchmarkPeerSoxSealed(b *testing.B) {
	duos := func(b *testing.B, direct bool) map[string]*duo {
		server := startPairings(b)
		all := make(map[string]*duo)
		for _, kind := range sealings {
			d := &duo{came: make(chan int, 1)}
			if err := server.pair(d, kind, direct, server.url); err != nil {
				b.Fatal(err)
			}
			b.Cleanup(d.close)
			all[kind] = d
		}
		return all
	}
	for _, way := range []struct {
		name   string
		direct bool
	}{{"Relay", false}, {"WebRTC", true}} {
		b.Run(way.name+"RoundTrip", func(b *testing.B) {
			all := duos(b, way.direct)
			compare(b, sealings, []figure{{"p50-ns", "rtt-ratio"}}, func(kind string) (sample, error) { return roundTrips(all[kind], *roundTime) })
		})
		b.Run(way.name+"Throughput", func(b *testing.B) {
			all := duos(b, way.direct)
			compare(b, sealings, []figure{{"MB/s", "throughput-ratio"}}, func(kind string) (sample, error) {
				return oneWay(all[kind], 1<<20, false, *roundTime)
			})
		})
	}
	b.Run("Pair", func(b *testing.B) {
		server := startPairings(b)
		compare(b, sealings, []figure{{"pair-ms", "pair-ratio"}}, func(kind string) (sample, error) { return server.pairs(kind, 5) })
	})
	b.Run("Bytes", func(b *testing.B) {
		server := startPairings(b)
		all := make(map[string]*counted)
		for _, kind := range sealings {
			all[kind] = server.counted(b, kind)
		}
		compare(b, sealings, []figure{{"B/msg", "size-ratio"}}, func(kind string) (sample, error) { return all[kind].sizes(100, 1000) })
	})
}

// A pairings is a PeerSox server in this process.
type pairings struct{ url, addr string }

func startPairings(tb testing.TB) *pairings {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := peersox.NewServer(peersox.ServerConfig{})
	mux := http.NewServeMux()
	mux.Handle("/api/", s.API())
	mux.Handle("/ws", s.Socket())
	server := &http.Server{Handler: mux}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
		defer cancel()
		s.Shutdown(ctx)
		server.Shutdown(ctx)
		<-served
	})
	addr := l.Addr().String()
	return &pairings{url: "http://" + addr, addr: addr}
}

// pair makes the ends of a duo two clients of a new pairing, of which the first reaches the server at a URL. It ends when both
// know the other one, and, if they are to be connected directly, have a data channel.
func (p *pairings) pair(d *duo, kind string, direct bool, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	met, upgraded := make(chan bool, 2), make(chan bool, 2)
	ended := make(chan error, 2)
	client := func(url string, message func(peersox.Message)) *peersox.Client {
		return peersox.NewClient(peersox.ClientConfig{URL: url, Loopback: true, NoUpgrade: !direct, Seal: kind == "sealed", OnEvent: func(e peersox.Event) {
			switch e := e.(type) {
			case peersox.Message:
				message(e)
			case peersox.PeerConnected:
				met <- true
			case peersox.Upgraded:
				upgraded <- true
			case peersox.ConnectionClosed:
				ended <- e.Err
			}
		}})
	}
	x := client(url, func(m peersox.Message) { d.came <- len(m.Data) })
	var y *peersox.Client
	y = client(p.url, func(m peersox.Message) {
		d.got.Add(int64(len(m.Data)))
		if d.echo.Load() {
			y.Send(context.Background(), m.Kind, m.Data)
		}
	})
	d.send = func(b []byte) error { return x.Send(context.Background(), peersox.Binary, b) }
	d.close = func() {
		ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
		defer cancel()
		x.Close(ctx)
		y.Close(ctx)
	}
	made, err := x.InitPairing(ctx)
	if err == nil {
		_, err = y.Pair(ctx, made.Text())
	}
	wait := 2
	if direct {
		wait = 4
	}
	for n := 0; n < wait && err == nil; n++ {
		select {
		case <-met:
		case <-upgraded:
		case err = <-ended:
			err = fmt.Errorf("ended: %w", err)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if sealed := x.Status().Sealed && y.Status().Sealed; err == nil && sealed != (kind == "sealed") {
		err = fmt.Errorf("sealed: %v", sealed)
	}
	if err != nil {
		d.close()
	}
	return err
}

// pairs has two new clients meet and part n times.
func (p *pairings) pairs(kind string, n int) (sample, error) {
	var took []float64
	for range n {
		d := &duo{came: make(chan int, 1)}
		start := time.Now()
		if err := p.pair(d, kind, false, p.url); err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(start))/1e6)
		d.close()
	}
	return sample{"pair-ms": median(took)}, nil
}

// counted makes a pairing whose first client reaches the server through something that counts the bytes.
func (p *pairings) counted(tb testing.TB, kind string) *counted {
	c := newCounted(tb, p.addr)
	if err := p.pair(c.duo, kind, false, "http://"+c.proxy.Addr().String()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.close)
	if _, err := c.sizes(100, 1); err != nil { // what the ends have to say to each other at first is not of a message
		tb.Fatal(err)
	}
	return c
}

// TestPeerSoxSealedRounds runs each kind of round of BenchmarkPeerSoxSealed once, small, and checks that its figures can be
// true.
func TestPeerSoxSealedRounds(t *testing.T) {
	server := startPairings(t)
	perMessage := make(map[string]float64)
	for _, kind := range sealings {
		rounds := map[string]func() (sample, error){
			"Pair":  func() (sample, error) { return server.pairs(kind, 1) },
			"Bytes": func() (sample, error) { return server.counted(t, kind).sizes(100, 200) },
		}
		for name, direct := range map[string]bool{"Relay": false, "WebRTC": true} {
			d := &duo{came: make(chan int, 1)}
			if err := server.pair(d, kind, direct, server.url); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(d.close)
			rounds[name+"RoundTrip"] = func() (sample, error) { return roundTrips(d, 10*time.Millisecond) }
			rounds[name+"Throughput"] = func() (sample, error) { return oneWay(d, 100_000, false, 10*time.Millisecond) }
		}
		for name, round := range rounds {
			s, err := round()
			if err != nil {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
			for unit, value := range s {
				if value <= 0 || unit == "B/msg" && value <= 100 {
					t.Errorf("%s, %s: %v %s", kind, name, value, unit)
				}
			}
			if name == "Bytes" {
				perMessage[kind] = s["B/msg"]
			}
		}
	}
	if more := perMessage["sealed"] - perMessage["unsealed"]; more < 8 { // SEC-43 adds 16 to each; how many acknowledgements there are varies
		t.Errorf("a sealed message has %v bytes more", more)
	}
}

//go:build unix

package benchmarks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshpair/meshpair/netflux"
)

// sealings are the kinds of groups that are compared.
var sealings = []string{"sealed", "unsealed"}

// secretOf returns what members of a kind of group share.
func secretOf(kind string) netflux.Secret {
	if kind == "sealed" {
		return netflux.NewSecret()
	}
	return ""
}

// BenchmarkSealed compares members of sealed groups with those of others.
func BenchmarkSealed(b *testing.B) {
	duos := func(b *testing.B) map[string]*duo {
		all := make(map[string]*duo)
		for _, kind := range sealings {
			d := &duo{came: make(chan int, 1)}
			if err := d.ours(false, secretOf(kind)); err != nil {
				b.Fatal(err)
			}
			b.Cleanup(d.close)
			all[kind] = d
		}
		return all
	}
	b.Run("RoundTrip", func(b *testing.B) {
		all := duos(b)
		compare(b, sealings, []figure{{"p50-ns", "rtt-ratio"}}, func(kind string) (sample, error) { return roundTrips(all[kind], *roundTime) })
	})
	b.Run("Throughput", func(b *testing.B) {
		all := duos(b)
		compare(b, sealings, []figure{{"MB/s", "throughput-ratio"}}, func(kind string) (sample, error) {
			return oneWay(all[kind], 1<<20, false, *roundTime)
		})
	})
	b.Run("Broadcast", func(b *testing.B) {
		all := make(map[string]*crowd)
		for _, kind := range sealings {
			all[kind] = startCrowd(b, secretOf(kind), 4)
		}
		compare(b, sealings, []figure{{"MB/s", "throughput-ratio"}}, func(kind string) (sample, error) {
			return all[kind].broadcast(1<<20, *roundTime)
		})
	})
	b.Run("Third", func(b *testing.B) {
		all := make(map[string]*mesh)
		for _, kind := range sealings {
			all[kind] = startThird(b, secretOf(kind))
		}
		compare(b, sealings, []figure{{"join-ms", "join-ratio"}}, func(kind string) (sample, error) { return all[kind].thirds(5) })
	})
	b.Run("Bytes", func(b *testing.B) {
		all := make(map[string]*counted)
		for _, kind := range sealings {
			all[kind] = startCounted(b, secretOf(kind))
		}
		compare(b, sealings, []figure{{"B/msg", "size-ratio"}}, func(kind string) (sample, error) { return all[kind].sizes(100, 1000) })
	})
}

// A crowd is a member, and others that count what it sends to all.
type crowd struct {
	*mesh
	n   int
	got atomic.Int64
}

func startCrowd(tb testing.TB, secret netflux.Secret, n int) *crowd {
	m, err := newMesh()
	if err != nil {
		tb.Fatal(err)
	}
	c := &crowd{mesh: m, n: n}
	m.secret = secret
	tb.Cleanup(m.close)
	for i := range n + 1 {
		g := m.group(func(e netflux.Event) {
			if e, ok := e.(netflux.Message); ok {
				c.got.Add(int64(len(e.Data)))
			}
		})
		if err := m.join(g); err != nil {
			tb.Fatal(i, err)
		}
	}
	until(tb, func() bool { return len(m.groups[0].Neighbors()) == n })
	return c
}

// until waits for a condition.
func until(tb testing.TB, ok func() bool) {
	tb.Helper()
	for begin := time.Now(); !ok(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > openTimeout {
			tb.Fatal("it takes too long")
		}
	}
}

// broadcast sends messages to all, until all have them. The figure is that of the sender's messages: each goes out n times.
func (c *crowd) broadcast(size int, limit time.Duration) (sample, error) {
	data := make([]byte, size)
	c.got.Store(0)
	begin := time.Now()
	sent := 0
	for time.Since(begin) < limit {
		if err := c.groups[0].Send(context.Background(), netflux.Binary, data); err != nil {
			return nil, err
		}
		sent += size
	}
	for c.got.Load() < int64(sent*c.n) {
		if time.Since(begin) > limit+openTimeout {
			return nil, fmt.Errorf("%d bytes came of %d", c.got.Load(), sent*c.n)
		}
		time.Sleep(100 * time.Microsecond)
	}
	return sample{"MB/s": float64(sent) / 1e6 / time.Since(begin).Seconds()}, nil
}

// startThird makes a group of two that waits for a third.
func startThird(tb testing.TB, secret netflux.Secret) *mesh {
	m, err := newMesh()
	if err != nil {
		tb.Fatal(err)
	}
	m.secret = secret
	tb.Cleanup(m.close)
	for range 2 {
		if err := m.join(m.group(nil)); err != nil {
			tb.Fatal(err)
		}
	}
	return m
}

// thirds has a third member join and leave n times.
func (m *mesh) thirds(n int) (sample, error) {
	var took []float64
	for range n {
		start := time.Now()
		stop, err := m.third()
		if err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(start))/1e6)
		stop()
	}
	return sample{"join-ms": median(took)}, nil
}

// A counted is two ends that talk over a WebSocket through something that counts its bytes: those of TCP, in both
// directions, acknowledgements of the ends included.
type counted struct {
	*duo
	bytes atomic.Int64
	proxy net.Listener
	conns sync.WaitGroup
}

func startCounted(tb testing.TB, secret netflux.Secret) *counted {
	free, err := net.Listen("tcp", "127.0.0.1:0") // for the member, which does not tell its port
	if err != nil {
		tb.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	c := newCounted(tb, addr)
	m, err := newMesh()
	if err != nil {
		tb.Fatal(err)
	}
	m.listen, m.listenURL = addr, "ws://"+c.proxy.Addr().String()
	err = c.meet(m, secret)
	tb.Cleanup(m.close)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// newCounted returns a duo without ends yet, and the proxy to an address. What is cleaned up later has to end its connections.
func newCounted(tb testing.TB, addr string) *counted {
	c := &counted{duo: &duo{came: make(chan int, 1)}}
	var err error
	if c.proxy, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		tb.Fatal(err)
	}
	c.conns.Go(func() {
		for {
			in, err := c.proxy.Accept()
			if err != nil {
				return
			}
			c.conns.Go(func() { c.carry(in, addr) })
		}
	})
	tb.Cleanup(func() {
		c.proxy.Close()
		c.conns.Wait()
	})
	return c
}

// carry passes on what goes over a connection.
func (c *counted) carry(in net.Conn, addr string) {
	defer in.Close()
	out, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer out.Close()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		both.Go(func() {
			io.Copy(counter{way[0], &c.bytes}, way[1])
			way[0].Close()
		})
	}
	both.Wait()
}

type counter struct {
	io.Writer
	n *atomic.Int64
}

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return c.Writer.Write(b)
}

// sizes sends n messages of a size and takes what a message cost in bytes.
func (c *counted) sizes(size, n int) (sample, error) {
	data := make([]byte, size)
	c.got.Store(0)
	before := c.bytes.Load()
	if before == 0 {
		return nil, errors.New("nothing has gone through the proxy")
	}
	begin := time.Now()
	for range n {
		if err := c.send(data); err != nil {
			return nil, err
		}
	}
	for c.got.Load() < int64(size*n) {
		if time.Since(begin) > openTimeout {
			return nil, errors.New("not all has come")
		}
		time.Sleep(100 * time.Microsecond)
	}
	return sample{"B/msg": float64(c.bytes.Load()-before) / float64(n)}, nil
}

// TestSealedRounds runs each kind of round of BenchmarkSealed once, small, and checks that its figures can be true.
func TestSealedRounds(t *testing.T) {
	for _, kind := range sealings {
		secret := secretOf(kind)
		d := &duo{came: make(chan int, 1)}
		if err := d.ours(false, secret); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.close)
		c := startCounted(t, secret)
		for name, round := range map[string]func() (sample, error){
			"RoundTrip":  func() (sample, error) { return roundTrips(d, 10*time.Millisecond) },
			"Throughput": func() (sample, error) { return oneWay(d, 100_000, false, 10*time.Millisecond) },
			"Broadcast":  func() (sample, error) { return startCrowd(t, secret, 2).broadcast(100_000, 10*time.Millisecond) },
			"Third":      func() (sample, error) { return startThird(t, secret).thirds(1) },
			"Bytes":      func() (sample, error) { return c.sizes(100, 10) },
		} {
			s, err := round()
			if err != nil {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
			least := 0.0
			if name == "Bytes" {
				least = 100
			}
			for unit, value := range s {
				if value <= least {
					t.Errorf("%s, %s: %v %s", kind, name, value, unit)
				}
			}
		}
	}
}

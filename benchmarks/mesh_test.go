//go:build unix

package benchmarks

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"github.com/meshpair/meshpair/netflux"
	"github.com/meshpair/meshpair/sigver"
)

// A duo is two ends that talk over one direct channel: two members of a group, or two bare ends.
type duo struct {
	send  func([]byte) error // from the first to the second
	came  chan int           // sizes of what came at the first
	got   atomic.Int64       // bytes that came at the second
	echo  atomic.Bool        // the second sends everything back
	close func()
}

// newDuo opens a duo by WebRTC, or by a WebSocket to the first.
func newDuo(kind string, socket bool) (*duo, error) {
	d := &duo{came: make(chan int, 1)}
	switch {
	case kind == ours:
		return d, d.ours(socket, "")
	case socket:
		return d, d.bareSocket()
	default:
		return d, d.bare()
	}
}

// bareSocket is golang.org/x/net/websocket alone.
func (d *duo) bareSocket() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	opened := make(chan *websocket.Conn)
	over := make(chan struct{})
	server := &http.Server{Handler: websocket.Server{Handler: func(c *websocket.Conn) {
		opened <- c
		<-over
	}}}
	go server.Serve(l)
	y, err := websocket.Dial("ws://"+l.Addr().String(), "", "http://127.0.0.1")
	if err != nil {
		return err
	}
	x := <-opened
	d.send = func(b []byte) error { return websocket.Message.Send(x, b) }
	d.close = func() { x.Close(); y.Close(); close(over); server.Close() }
	read := func(c *websocket.Conn, f func([]byte)) {
		for {
			var b []byte
			if websocket.Message.Receive(c, &b) != nil {
				return
			}
			f(b)
		}
	}
	go read(x, func(b []byte) { d.came <- len(b) })
	go read(y, func(b []byte) {
		d.got.Add(int64(len(b)))
		if d.echo.Load() {
			websocket.Message.Send(y, b)
		}
	})
	return nil
}

func (d *duo) bare() error {
	x, y, err := barePair()
	if err != nil {
		return err
	}
	d.send = x.send
	d.close = func() { x.close(); y.close() }
	read := func(e *bareEnd, f func([]byte)) {
		for buf := make([]byte, 64<<10); ; {
			n, err := e.raw.Read(buf)
			if err != nil {
				return
			}
			f(buf[:n])
		}
	}
	go read(x, func(b []byte) { d.came <- len(b) })
	go read(y, func(b []byte) {
		d.got.Add(int64(len(b)))
		if d.echo.Load() {
			y.raw.Write(b)
		}
	})
	return nil
}

func (d *duo) ours(socket bool, secret netflux.Secret) error {
	m, err := newMesh()
	if err != nil {
		return err
	}
	if socket {
		m.listen = "127.0.0.1:0"
	}
	if err := d.meet(m, secret); err != nil {
		m.close()
		return err
	}
	return nil
}

// meet has the two join.
func (d *duo) meet(m *mesh, secret netflux.Secret) error {
	m.secret = secret
	ctx := context.Background()
	x := m.group(func(e netflux.Event) {
		if e, ok := e.(netflux.Message); ok {
			d.came <- len(e.Data)
		}
	})
	m.listen = "" // the first alone
	var y *netflux.Group
	y = m.group(func(e netflux.Event) {
		if e, ok := e.(netflux.Message); ok {
			d.got.Add(int64(len(e.Data)))
			if d.echo.Load() {
				y.SendTo(ctx, e.From, e.Kind, e.Data)
			}
		}
	})
	d.close = m.close
	for _, g := range []*netflux.Group{x, y} {
		if err := m.join(g); err != nil {
			return err
		}
	}
	for len(x.Members()) < 2 { // it may hear of the other a moment later
		time.Sleep(time.Millisecond)
	}
	to := y.ID()
	d.send = func(b []byte) error { return x.SendTo(ctx, to, netflux.Binary, b) }
	return nil
}

// BenchmarkMeshRoundTrip measures a message of 100 bytes to the other end and back.
func BenchmarkMeshRoundTrip(b *testing.B) { benchmarkRoundTrip(b, false) }

// BenchmarkMeshSocketRoundTrip is the same over a WebSocket.
func BenchmarkMeshSocketRoundTrip(b *testing.B) { benchmarkRoundTrip(b, true) }

func benchmarkRoundTrip(b *testing.B, socket bool) {
	duos := startDuos(b, socket)
	compare(b, both, []figure{{"p50-ns", "rtt-ratio"}}, func(kind string) (sample, error) {
		return roundTrips(duos[kind], *roundTime)
	})
}

func startDuos(b testing.TB, socket bool) map[string]*duo {
	duos := map[string]*duo{}
	for _, kind := range []string{ours, bare} {
		d, err := newDuo(kind, socket)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(d.close)
		duos[kind] = d
	}
	return duos
}

func roundTrips(d *duo, limit time.Duration) (sample, error) {
	d.echo.Store(true)
	defer d.echo.Store(false)
	data := make([]byte, 100)
	var took []float64
	for begin := time.Now(); time.Since(begin) < limit; {
		start := time.Now()
		if err := d.send(data); err != nil {
			return nil, err
		}
		if n := <-d.came; n != len(data) {
			return nil, fmt.Errorf("%d bytes came back of %d", n, len(data))
		}
		took = append(took, float64(time.Since(start)))
	}
	return sample{"p50-ns": median(took)}, nil
}

// BenchmarkMeshThroughput measures messages in one direction; the bare channel gets them in the chunks in which ours
// travel.
func BenchmarkMeshThroughput(b *testing.B) { benchmarkThroughput(b, false) }

// BenchmarkMeshSocketThroughput is the same over a WebSocket, from the end that was dialled.
func BenchmarkMeshSocketThroughput(b *testing.B) { benchmarkThroughput(b, true) }

func benchmarkThroughput(b *testing.B, socket bool) {
	for _, size := range []int{1 << 10, 15_000, 1 << 20} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			duos := startDuos(b, socket)
			compare(b, both, []figure{{"MB/s", "throughput-ratio"}}, func(kind string) (sample, error) {
				return oneWay(duos[kind], size, kind == bare, *roundTime)
			})
		})
	}
}

func oneWay(d *duo, size int, chunked bool, limit time.Duration) (sample, error) {
	data := make([]byte, size)
	d.got.Store(0)
	begin := time.Now()
	var sent int64
	for time.Since(begin) < limit {
		for chunk := range slices.Chunk(data, 15_000) {
			if !chunked {
				chunk = data
			}
			if err := d.send(chunk); err != nil {
				return nil, err
			}
			sent += int64(len(chunk))
			if !chunked {
				break
			}
		}
	}
	for d.got.Load() < sent {
		if time.Since(begin) > limit+openTimeout {
			return nil, fmt.Errorf("%d bytes came of %d", d.got.Load(), sent)
		}
		time.Sleep(100 * time.Microsecond)
	}
	return sample{"MB/s": float64(sent) / 1e6 / time.Since(begin).Seconds()}, nil
}

// BenchmarkMeshThird measures from Join to Joined of a third member, beside opening two bare channels one after the other.
func BenchmarkMeshThird(b *testing.B) {
	m, err := newMesh()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(m.close)
	for range 2 {
		if err := m.join(m.group(nil)); err != nil {
			b.Fatal(err)
		}
	}
	compare(b, both, []figure{{"join-ms", "join-ratio"}}, func(kind string) (sample, error) {
		const n = 5
		var took []float64
		for range n {
			start := time.Now()
			end, err := m.third, error(nil)
			if kind == bare {
				end = openTwo
			}
			stop, err := end()
			if err != nil {
				return nil, err
			}
			took = append(took, float64(time.Since(start))/1e6)
			stop()
		}
		return sample{"join-ms": median(took)}, nil
	})
}

func openTwo() (func(), error) {
	var ends []*bareEnd
	for range 2 {
		x, y, err := barePair()
		if err != nil {
			return nil, err
		}
		ends = append(ends, x, y)
	}
	return func() {
		for _, e := range ends {
			e.close()
		}
	}, nil
}

// BenchmarkMeshForm measures how long n members take to form a full mesh that all join at once, beside opening as many
// bare channels, all at once.
func BenchmarkMeshForm(b *testing.B) {
	for _, n := range []int{5, 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			compare(b, both, []figure{{"form-ms", "form-ratio"}}, func(kind string) (sample, error) {
				if kind == bare {
					return formBare(n * (n - 1) / 2)
				}
				return formOurs(n)
			})
		})
	}
}

func formOurs(n int) (sample, error) {
	m, err := newMesh()
	if err != nil {
		return nil, err
	}
	defer m.close()
	start := time.Now()
	failed := make(chan error, n)
	for range n {
		g := m.group(nil)
		go func() { failed <- m.join(g) }()
	}
	for range n {
		if err := <-failed; err != nil {
			return nil, err
		}
	}
	for _, g := range m.groups {
		for len(g.Neighbors()) < n-1 {
			if time.Since(start) > openTimeout {
				return nil, fmt.Errorf("a member has %d neighbors of %d", len(g.Neighbors()), n-1)
			}
			time.Sleep(time.Millisecond)
		}
	}
	return sample{"form-ms": float64(time.Since(start)) / 1e6}, nil
}

func formBare(n int) (sample, error) {
	type pair struct {
		x, y *bareEnd
		err  error
	}
	start := time.Now()
	pairs := make(chan pair, n)
	for range n {
		go func() {
			x, y, err := barePair()
			pairs <- pair{x, y, err}
		}()
	}
	var err error
	var took time.Duration
	for range n {
		p := <-pairs
		took = time.Since(start)
		if p.err != nil {
			err = p.err
			continue
		}
		defer p.x.close()
		defer p.y.close()
	}
	return sample{"form-ms": float64(took) / 1e6}, err
}

// A mesh is a signaling server and groups that use it.
type mesh struct {
	listen, listenURL string // see netflux.Config
	secret            netflux.Secret

	server *sigver.Server
	served chan error
	url    string
	groups []*netflux.Group
}

func newMesh() (*mesh, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &mesh{
		server: sigver.New(sigver.Config{Logger: slog.New(slog.DiscardHandler)}),
		served: make(chan error, 1),
		url:    "ws://" + l.Addr().String(),
	}
	go func() { m.served <- m.server.Serve(l) }()
	return m, nil
}

func (m *mesh) group(onEvent func(netflux.Event)) *netflux.Group {
	g := netflux.New(netflux.Config{SignalingURL: m.url, Loopback: true, Listen: m.listen, ListenURL: m.listenURL, Secret: m.secret, OnEvent: onEvent})
	m.groups = append(m.groups, g)
	return g
}

func (m *mesh) join(g *netflux.Group) error {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	return g.Join(ctx, "key")
}

// third lets a member join and returns what makes it leave.
func (m *mesh) third() (func(), error) {
	g := netflux.New(netflux.Config{SignalingURL: m.url, Loopback: true, Secret: m.secret})
	if err := m.join(g); err != nil {
		return nil, err
	}
	if n := len(g.Neighbors()); n != 2 {
		return nil, fmt.Errorf("joined with %d neighbors", n)
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
		defer cancel()
		g.Leave(ctx)
	}, nil
}

func (m *mesh) close() {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	for _, g := range m.groups {
		g.Leave(ctx)
	}
	m.server.Shutdown(ctx)
	<-m.served
}

// TestMeshRounds runs each kind of round once, small, and checks that its figures can be true.
func TestMeshRounds(t *testing.T) {
	duos, sockets := startDuos(t, false), startDuos(t, true)
	for _, kind := range []string{ours, bare} {
		for name, round := range map[string]func() (sample, error){
			"RoundTrip":       func() (sample, error) { return roundTrips(duos[kind], 10*time.Millisecond) },
			"Throughput":      func() (sample, error) { return oneWay(duos[kind], 100_000, kind == bare, 10*time.Millisecond) },
			"SocketRoundTrip": func() (sample, error) { return roundTrips(sockets[kind], 10*time.Millisecond) },
			"SocketThroughput": func() (sample, error) {
				return oneWay(sockets[kind], 100_000, kind == bare, 10*time.Millisecond)
			},
			"Form": func() (sample, error) {
				if kind == bare {
					return formBare(3)
				}
				return formOurs(3)
			},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				s, err := round()
				if err != nil {
					t.Fatal(err)
				}
				for unit, value := range s {
					if value <= 0 {
						t.Errorf("%v %s", value, unit)
					}
				}
			})
		}
	}
}

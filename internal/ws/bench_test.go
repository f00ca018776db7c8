//go:build unix

package ws

import (
	"io"
	"net/http"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// bareEcho echoes with the library alone.
func bareEcho(c *websocket.Conn) {
	for {
		var data []byte
		if websocket.Message.Receive(c, &data) != nil || websocket.Message.Send(c, data) != nil {
			return
		}
	}
}

var echoServers = []struct {
	name    string
	handler http.Handler
}{
	{"ours", &Server{Serve: func(c *Conn, _ *http.Request) { echo(c) }}},
	{"bare", websocket.Server{Handler: bareEcho}},
}

// cpu returns the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEcho measures a message received and sent by a server, beside the same on the library alone. The client
// sends and reads literal bytes, so what differs is the server's cost: see cpu-ns/op. One message is in flight at a
// time, for otherwise the faster server would find fewer messages at each read, and pay more reads for that.
func BenchmarkEcho(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"100B", 100}, {"64KiB", 64 << 10}} {
		for _, server := range echoServers {
			b.Run(size.name+"/"+server.name, func(b *testing.B) {
				p := connected(b, listen(b, server.handler))
				p.SetDeadline(time.Time{})
				frame := rawFrame(true, 0x82, string(make([]byte, size.n)))
				answer := len(rawFrame(false, 0x82, string(make([]byte, size.n))))
				in := make([]byte, answer)
				b.SetBytes(int64(2 * size.n))
				b.ReportAllocs()
				before := cpu()
				for b.Loop() {
					p.Write(frame)
					if _, err := io.ReadFull(p.br, in); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// BenchmarkBothEnds measures a round trip between two ends of the same kind.
func BenchmarkBothEnds(b *testing.B) {
	data := make([]byte, 100)
	b.Run("ours", func(b *testing.B) {
		c, err := Dial(b.Context(), "ws://"+listen(b, echoServers[0].handler), DialConfig{})
		if err != nil {
			b.Fatal(err)
		}
		defer c.Abort()
		b.ReportAllocs()
		before := cpu()
		for b.Loop() {
			c.Write(Binary, data)
			if _, _, err := c.Read(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
	})
	b.Run("bare", func(b *testing.B) {
		c, err := websocket.Dial("ws://"+listen(b, echoServers[1].handler), "", "http://localhost")
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		b.ReportAllocs()
		before := cpu()
		for b.Loop() {
			websocket.Message.Send(c, data)
			var got []byte
			if err := websocket.Message.Receive(c, &got); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
	})
}

// BenchmarkIdle measures what an idle connection of a server holds after it has echoed a message: heap and stack, with
// the raw client's end of 4.5 KiB in it.
func BenchmarkIdle(b *testing.B) {
	const conns = 1000
	for _, server := range echoServers {
		b.Run(server.name, func(b *testing.B) {
			for b.Loop() {
				addr := listen(b, server.handler)
				heap, stack := inUse()
				peers := make([]*peer, conns)
				for i := range peers {
					peers[i] = connected(b, addr)
					peers[i].send(peers[i].frame(0x82, "hello"))
					peers[i].want(0x82, "hello")
				}
				heapAfter, stackAfter := inUse()
				b.ReportMetric(float64(heapAfter-heap)/conns, "heap-B/conn")
				b.ReportMetric(float64(stackAfter-stack)/conns, "stack-B/conn")
				b.ReportMetric(float64(heapAfter-heap+stackAfter-stack)/conns, "B/conn")
				for _, p := range peers {
					p.Close()
				}
			}
		})
	}
}

func inUse() (heap, stack int64) {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse), int64(m.StackInuse)
}

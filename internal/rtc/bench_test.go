package rtc

import (
	"context"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/webrtc/v3"
)

// bareEnd is an open channel of pion's alone, with our settings and its own sockets.
type bareEnd struct {
	pc  *webrtc.PeerConnection
	dc  *webrtc.DataChannel
	raw datachannel.ReadWriteCloser
}

func barePair(b *testing.B) (x, y bareEnd) {
	b.Helper()
	ends := [2]bareEnd{}
	open := make(chan int, 2)
	for i := range ends {
		cfg := Config{Loopback: true}.withDefaults()
		settings, err := cfg.engine(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		settings.SetNet(nil)
		if ends[i].pc, err = webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{}); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { ends[i].pc.GracefulClose() })
	}
	attach := func(i int, dc *webrtc.DataChannel) {
		ends[i].dc = dc
		dc.OnOpen(func() {
			ends[i].raw, _ = dc.Detach()
			open <- i
		})
	}
	dc, err := ends[0].pc.CreateDataChannel("", nil)
	if err != nil {
		b.Fatal(err)
	}
	attach(0, dc)
	ends[1].pc.OnDataChannel(func(dc *webrtc.DataChannel) { attach(1, dc) })
	describe := func(from, to *webrtc.PeerConnection, make func() (webrtc.SessionDescription, error)) {
		gathered := webrtc.GatheringCompletePromise(from)
		d, err := make()
		if err == nil {
			err = from.SetLocalDescription(d)
		}
		<-gathered
		if err == nil {
			err = to.SetRemoteDescription(*from.LocalDescription())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	describe(ends[0].pc, ends[1].pc, func() (webrtc.SessionDescription, error) { return ends[0].pc.CreateOffer(nil) })
	describe(ends[1].pc, ends[0].pc, func() (webrtc.SessionDescription, error) { return ends[1].pc.CreateAnswer(nil) })
	<-open
	<-open
	return ends[0], ends[1]
}

// read returns the size of the next message.
func (e bareEnd) read(buf []byte) int {
	n, _ := e.raw.Read(buf)
	return n
}

// BenchmarkOpen measures from the beginning of an offer until both ends are open, with signals that take no time and
// such as take a while.
func BenchmarkOpen(b *testing.B) {
	for _, delay := range []time.Duration{0, 100 * time.Microsecond, time.Millisecond} {
		b.Run("delay="+delay.String(), func(b *testing.B) {
			var took durations
			for b.Loop() {
				start := time.Now()
				x, y := couple(b, Config{}, Config{}, func(to *Conn, s Signal) {
					time.Sleep(delay)
					to.Signal(s)
				})
				wantOpen(b, x, y)
				took = append(took, time.Since(start))
				b.StopTimer()
				x.Abort()
				y.Abort()
				b.StartTimer()
			}
			took.report(b)
		})
	}
}

type durations []time.Duration

// report reports the median and others.
func (d durations) report(b *testing.B) {
	slices.Sort(d)
	b.ReportMetric(float64(d[len(d)/2]), "p50-ns")
	b.ReportMetric(float64(d[len(d)*99/100]), "p99-ns")
	b.ReportMetric(float64(d[len(d)-1]), "max-ns")
}

// BenchmarkRoundTrip measures the round trip of 100 bytes; p50-ns is its median.
func BenchmarkRoundTrip(b *testing.B) {
	run := func(b *testing.B, roundTrip func()) {
		var took durations
		b.ReportAllocs()
		for b.Loop() {
			start := time.Now()
			roundTrip()
			took = append(took, time.Since(start))
		}
		took.report(b)
	}
	data := pattern(100, 1)
	b.Run("ours", func(b *testing.B) {
		x, y := pair(b, Config{}, Config{})
		go func() {
			for {
				k, got, err := y.Read()
				if err != nil || y.Send(b.Context(), k, got) != nil {
					return
				}
			}
		}()
		run(b, func() {
			x.Send(b.Context(), Binary, data)
			x.Read()
		})
	})
	b.Run("bare", func(b *testing.B) {
		x, y := barePair(b)
		go func() {
			for buf := make([]byte, maxSend); ; {
				n, err := y.raw.Read(buf)
				if err != nil {
					return
				}
				y.raw.Write(buf[:n])
			}
		}()
		buf := make([]byte, maxSend)
		run(b, func() {
			x.raw.Write(data)
			x.read(buf)
		})
	})
}

// BenchmarkThroughput measures 64 KiB messages in one direction, with different amounts under way, beside pion alone
// with the 1 MiB that its examples use.
func BenchmarkThroughput(b *testing.B) {
	data := pattern(maxSend, 1)
	for _, water := range []struct {
		name string
		n    int
	}{{"64KiB", 64 << 10}, {"256KiB", 256 << 10}, {"1MiB", 1 << 20}} {
		b.Run("ours/"+water.name, func(b *testing.B) {
			x, y := pair(b, Config{HighWater: water.n}, Config{})
			b.SetBytes(maxSend)
			go func() {
				for range b.N {
					x.Send(b.Context(), Binary, data)
				}
			}()
			for range b.N {
				if _, _, err := y.Read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("bare/1MiB", func(b *testing.B) {
		x, y := barePair(b)
		low := make(chan struct{}, 1)
		x.dc.SetBufferedAmountLowThreshold(512 << 10)
		x.dc.OnBufferedAmountLow(func() {
			select {
			case low <- struct{}{}:
			default:
			}
		})
		b.SetBytes(maxSend)
		b.ResetTimer()
		go func() {
			for range b.N {
				for x.dc.BufferedAmount() >= 1<<20 {
					<-low
				}
				x.raw.Write(data)
			}
		}()
		buf := make([]byte, maxSend)
		for range b.N {
			if y.read(buf) == 0 {
				b.Fatal(io.ErrUnexpectedEOF)
			}
		}
	})
}

// BenchmarkIdle measures what one end of an idle connection holds, with a goroutine in Read.
func BenchmarkIdle(b *testing.B) {
	const pairs = 50
	for b.Loop() {
		heap, stack, goroutines := inUse()
		var conns []*Conn
		for range pairs {
			x, y := pair(b, Config{}, Config{})
			conns = append(conns, x, y)
			go x.Read()
			go y.Read()
		}
		heapAfter, stackAfter, goroutinesAfter := inUse()
		b.ReportMetric(float64(heapAfter-heap)/(2*pairs), "heap-B/conn")
		b.ReportMetric(float64(stackAfter-stack)/(2*pairs), "stack-B/conn")
		b.ReportMetric(float64(goroutinesAfter-goroutines)/(2*pairs), "goroutines/conn")
		for _, c := range conns {
			c.Abort()
		}
	}
}

func inUse() (heap, stack int64, goroutines int) {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse), int64(m.StackInuse), runtime.NumGoroutine()
}

package rtc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"
)

// patience is how long a test waits for what has to happen.
const patience = 10 * time.Second

// A leak of any test fails here, so that each test need not look.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := ours(); left != "" {
		fmt.Fprintf(os.Stderr, "goroutines are left:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// ours waits until no goroutine is in this package or in pion, but for servers, and returns the stacks of those that do
// not end.
func ours() string {
	var left []string
	for end := time.Now().Add(patience / 5); time.Now().Before(end); time.Sleep(time.Millisecond) {
		left = nil
		for _, stack := range strings.Split(stacks(), "\n\n") {
			server := strings.Contains(stack, "pion/turn/v2.(*Server)") || strings.Contains(stack, "pion/turn/v2/internal/allocation")
			if strings.Contains(stack, "pion/") && !server || strings.Contains(stack, "rtc.(*Conn)") {
				left = append(left, stack)
			}
		}
		if left == nil {
			break
		}
	}
	return strings.Join(left, "\n\n")
}

// stacks returns the stacks of all goroutines.
func stacks() string {
	buf := make([]byte, 1<<22)
	return string(buf[:runtime.Stack(buf, true)])
}

// wantNothingLeft fails the test if goroutines are left when it ends. It is called first, so that what other functions
// clean up is gone by then.
func wantNothingLeft(t testing.TB) {
	t.Cleanup(func() {
		if left := ours(); left != "" {
			t.Errorf("goroutines are left:\n%s", left)
		}
	})
}

// couple begins a connection between two ends, without waiting. Each signal goes through via, which may be nil.
func couple(t testing.TB, offerer, answerer Config, via func(to *Conn, s Signal)) (a, b *Conn) {
	t.Helper()
	wantNothingLeft(t)
	if via == nil {
		via = func(to *Conn, s Signal) { to.Signal(s) }
	}
	offerer.Loopback, answerer.Loopback = true, true
	ready := make(chan struct{})
	b, err := Answer(answerer, func(s Signal) { <-ready; via(a, s) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Abort)
	a, err = Offer(offerer, "label", func(s Signal) { <-ready; via(b, s) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Abort)
	close(ready)
	return a, b
}

// pair returns the two ends of an open connection.
func pair(t testing.TB, offerer, answerer Config) (a, b *Conn) {
	t.Helper()
	a, b = couple(t, offerer, answerer, nil)
	wantOpen(t, a, b)
	return a, b
}

func wantOpen(t testing.TB, conns ...*Conn) {
	t.Helper()
	for _, c := range conns {
		if err := c.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func wantMessage(t testing.TB, c *Conn, kind Kind, data []byte) {
	t.Helper()
	k, got, err := c.Read()
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	if k != kind || !bytes.Equal(got, data) {
		t.Fatalf("got %d bytes of kind %d, want %d of kind %d", len(got), k, len(data), kind)
	}
}

// wantEnd reads to the end and compares the error with want.
func wantEnd(t testing.TB, c *Conn, want error) {
	t.Helper()
	for {
		_, _, err := c.Read()
		if err == nil {
			continue
		}
		if !errors.Is(err, want) {
			t.Errorf("Read: %v, want %v", err, want)
		}
		return
	}
}

// await fails the test if ch is not closed in time.
func await(t testing.TB, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
	}
}

// pattern returns n bytes that differ from those of other seeds.
func pattern(n, seed int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((i*7 + seed) % 251)
	}
	return b
}

// Both ends send and receive; labels, limits and errors are as documented.
func TestPair(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	if a.Label() != "label" || b.Label() != "label" {
		t.Errorf("labels %q and %q", a.Label(), b.Label())
	}
	if a.MaxSend() != maxSend || b.MaxSend() != maxSend {
		t.Errorf("limits %d and %d", a.MaxSend(), b.MaxSend())
	}
	for _, way := range []struct{ from, to *Conn }{{a, b}, {b, a}} {
		for _, n := range []int{0, 1, 100, firstBuffer, firstBuffer + 1, 16 << 10, 65535, 65536} {
			for _, kind := range []Kind{Text, Binary} {
				data := pattern(n, n)
				if kind == Text {
					data = bytes.Repeat([]byte("x"), n)
				}
				if err := way.from.Send(t.Context(), kind, data); err != nil {
					t.Fatal(err)
				}
				wantMessage(t, way.to, kind, data)
			}
		}
	}
	wantOpen(t, a, b)
	if err := a.Signal(Signal{Type: SignalAnswer}); !errors.Is(err, ErrUnexpectedSignal) {
		t.Errorf("a second answer: %v", err)
	}
}

// Two ends that get their first message before they read keep it.
func TestEarlyMessage(t *testing.T) {
	a, b := couple(t, Config{}, Config{}, nil)
	wantOpen(t, a)
	if err := a.Send(t.Context(), Text, []byte("first")); err != nil {
		t.Fatal(err)
	}
	wantOpen(t, b)
	wantMessage(t, b, Text, []byte("first"))
}

// Messages of 1 MiB, cut into pieces, 64 in both directions at once; fewer under the race detector, which is slow.
func TestManyMegabytes(t *testing.T) {
	const size, piece = 1 << 20, 64 << 10
	messages := 32 // each way
	if raceEnabled {
		messages = 4
	}
	a, b := pair(t, Config{}, Config{})
	var wg sync.WaitGroup
	for seed, way := range []struct{ from, to *Conn }{{a, b}, {b, a}} {
		wg.Go(func() {
			data := pattern(size, seed)
			for range messages {
				for i := 0; i < size; i += piece {
					if err := way.from.Send(t.Context(), Binary, data[i:i+piece]); err != nil {
						t.Errorf("Send: %v", err)
						return
					}
				}
			}
		})
		wg.Go(func() {
			data := pattern(size, seed)
			for n := 0; n < messages*size; {
				_, got, err := way.to.Read()
				if err != nil || !bytes.Equal(got, data[n%size:n%size+len(got)]) {
					t.Errorf("after %d bytes: %d bytes, error %v", n, len(got), err)
					return
				}
				n += len(got)
			}
		})
	}
	wg.Wait()
}

// openOther opens a channel at the peer of a beside the first, by pion.
func openOther(t *testing.T, a *Conn, init *webrtc.DataChannelInit) *webrtc.DataChannel {
	t.Helper()
	dc, err := a.pc.CreateDataChannel("other", init)
	if err != nil {
		t.Fatal(err)
	}
	return dc
}

// Further channels of the peer are closed and the first goes on; too many end the connection, at either end.
func TestFurtherChannels(t *testing.T) {
	for name, roles := range map[string]func(a, b *Conn) (peer, us *Conn){
		"answerer": func(a, b *Conn) (*Conn, *Conn) { return a, b },
		"offerer":  func(a, b *Conn) (*Conn, *Conn) { return b, a },
	} {
		t.Run(name, func(t *testing.T) {
			peer, us := roles(pair(t, Config{}, Config{}))
			for range MaxChannels {
				dc := openOther(t, peer, nil)
				raw, err := dc.Detach()
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := raw.ReadDataChannel(make([]byte, 100)); !errors.Is(err, io.EOF) {
					t.Fatalf("a further channel ends with %v, want io.EOF", err)
				}
			}
			go peer.Send(t.Context(), Text, []byte("still here"))
			wantMessage(t, us, Text, []byte("still here"))
			openOther(t, peer, nil)
			var broken *ProtocolError
			_, _, err := us.Read()
			if !errors.As(err, &broken) || !errors.Is(err, ErrTooManyChannels) {
				t.Errorf("Read: %v", err)
			}
			wantEnd(t, peer, io.EOF)
		})
	}
}

// A channel that may lose messages, or reorder them, is not the one.
func TestUnreliableChannel(t *testing.T) {
	ordered, none := false, uint16(0)
	for name, init := range map[string]*webrtc.DataChannelInit{
		"unordered": {Ordered: &ordered}, "retransmits": {MaxRetransmits: &none}, "lifetime": {MaxPacketLifeTime: &none},
	} {
		t.Run(name, func(t *testing.T) {
			offered := make(chan struct{})
			a, b := couple(t, Config{}, Config{}, func(to *Conn, s Signal) {
				if s.Type == SignalOffer {
					<-offered
				}
				to.Signal(s)
			})
			dc := openOther(t, a, init)
			close(offered)
			wantOpen(t, a, b)
			if b.Label() != "label" {
				t.Errorf("the channel is %q", b.Label())
			}
			_ = dc
		})
	}
}

// A peer that begins with a message on no channel, after which pion accepts none, is dropped.
func TestNoChannel(t *testing.T) {
	wantNothingLeft(t)
	cfg := Config{Loopback: true}.withDefaults()
	peer, err := cfg.newPeerConnection(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer peer.GracefulClose()
	negotiated, id := true, uint16(5)
	dc, err := peer.CreateDataChannel("", &webrtc.DataChannelInit{Negotiated: &negotiated, ID: &id})
	if err != nil {
		t.Fatal(err)
	}
	dc.OnOpen(func() {
		if raw, err := dc.Detach(); err == nil {
			raw.Write([]byte("hello"))
		}
	})
	c, err := Answer(cfg, func(s Signal) {
		if s.Type == SignalAnswer {
			peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: s.SDP})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort()
	gathered := webrtc.GatheringCompletePromise(peer)
	offer, err := peer.CreateOffer(nil)
	if err == nil {
		err = peer.SetLocalDescription(offer)
	}
	if err != nil {
		t.Fatal(err)
	}
	<-gathered
	c.Signal(Signal{Type: SignalOffer, SDP: peer.LocalDescription().SDP})
	var failed *OpenError
	var broken *ProtocolError
	if err := c.Open(t.Context()); !errors.As(err, &failed) || failed.Stage != StageChannel || !errors.As(err, &broken) {
		t.Errorf("Open: %v", err)
	}
}

// No port is opened for mDNS, and no socket that reaches other machines.
func TestLoopbackOnly(t *testing.T) {
	before := udpSockets(t)
	a, b := pair(t, Config{}, Config{})
	opened := 0
	for inode, addr := range udpSockets(t) {
		if _, old := before[inode]; old {
			continue
		}
		opened++
		if !addr.IP.IsLoopback() || addr.Port == 5353 {
			t.Errorf("a socket is at %v", addr)
		}
	}
	if opened != 2 {
		t.Errorf("%d sockets for two ends", opened)
	}
	a.Abort()
	b.Abort()
	for inode, addr := range udpSockets(t) {
		if _, old := before[inode]; !old {
			t.Errorf("the socket at %v is left", addr)
		}
	}
}

// Without Loopback there is no port for mDNS either.
func TestNoMulticast(t *testing.T) {
	before := udpSockets(t)
	done := make(chan struct{})
	a, err := Offer(Config{}, "", func(s Signal) {
		if s.Type == SignalEnd {
			close(done)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Abort()
	await(t, done, "end of candidates")
	for inode, addr := range udpSockets(t) {
		if _, old := before[inode]; !old && (addr.Port == 5353 || addr.IP.IsUnspecified()) {
			t.Errorf("a socket is at %v", addr)
		}
	}
}

// udpSockets returns the addresses of this process' UDP sockets by inode.
func udpSockets(t *testing.T) map[string]net.UDPAddr {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux's /proc")
	}
	mine := map[string]bool{}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil {
			if inode, ok := strings.CutPrefix(target, "socket:["); ok {
				mine[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	found := map[string]net.UDPAddr{}
	for _, table := range []string{"/proc/self/net/udp", "/proc/self/net/udp6"} {
		lines, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(lines), "\n") {
			fields := strings.Fields(line)
			if len(fields) > 9 && mine[fields[9]] {
				found[fields[9]] = procAddr(t, fields[1])
			}
		}
	}
	return found
}

// procAddr reads an address of /proc, whose words are in the machine's order.
func procAddr(t *testing.T, s string) net.UDPAddr {
	t.Helper()
	host, port, _ := strings.Cut(s, ":")
	var addr net.UDPAddr
	var raw []byte
	if _, err := fmt.Sscanf(host, "%x", &raw); err != nil {
		t.Fatal(err)
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		addr.IP = append(addr.IP, raw[i+3], raw[i+2], raw[i+1], raw[i])
	}
	if _, err := fmt.Sscanf(port, "%x", &addr.Port); err != nil {
		t.Fatal(err)
	}
	return addr
}

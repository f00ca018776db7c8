//go:build unix

package benchmarks

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/meshpair/meshpair/internal/need"
)

// BenchmarkPeerSox measures the relay between two clients of a PeerSox server beside that of npm peersox and a bare relay.
func BenchmarkPeerSox(b *testing.B) {
	forEach := func(figures []figure, measure func(*target, int) (sample, error)) func(*testing.B) {
		return func(b *testing.B) {
			for _, size := range sizes {
				b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
					targets := startPeerSoxes(b)
					for kind, t := range targets {
						if _, err := measure(t, size); err != nil { // just-in-time compilers need a while
							b.Fatalf("%s: %v", kind, err)
						}
					}
					compare(b, peerSoxes, figures, func(kind string) (sample, error) { return measure(targets[kind], size) })
				})
			}
		}
	}
	b.Run("PingPong", forEach([]figure{{"us-p50/trip", "latency-ratio"}, {"ns-cpu/msg", "cpu-ratio"}},
		func(t *target, size int) (sample, error) { return pingPong(t, size, *roundTime) }))
	b.Run("Stream", forEach([]figure{{"ns-cpu/msg", "cpu-ratio"}, {"msg/s", "throughput-ratio"}},
		func(t *target, size int) (sample, error) { return stream(t, size, *roundTime) }))
	b.Run("Waiting", benchmarkWaiting)
}

// peerSoxes are the servers that are compared; the last one needs what conformance/originals installs.
var peerSoxes = []string{peersoxKind, bare, npmKind}

func startPeerSoxes(tb testing.TB) map[string]*target {
	tb.Helper()
	targets := make(map[string]*target)
	for _, kind := range peerSoxes {
		targets[kind] = startPeerSox(tb, kind)
		endWith(tb, targets[kind])
	}
	return targets
}

func startPeerSox(tb testing.TB, kind string) *target {
	tb.Helper()
	var t *target
	var err error
	if kind == npmKind {
		cmd := exec.Command("node", "--expose-gc", "peersox-server.mjs", "-stats")
		cmd.Dir = need.Originals(tb)
		t, err = startCommand(kind, tb.Name(), cmd)
	} else {
		t, err = startTarget(kind, tb.Name())
	}
	if err != nil {
		tb.Fatal(err)
	}
	t.plain = true
	return t
}

// get asks the REST API.
func (t *target) get(path string, answer any) error {
	resp, err := http.Get("http://" + t.addr + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// A code is a pairing.
type code struct{ Code, Hash string }

// seat connects a client and registers it.
func (t *target) seat(c code, buffer int) (*peer, error) {
	var token struct{ Token string }
	if err := t.get("/api/token/get", &token); err != nil {
		return nil, err
	}
	p, err := dialWith(t.addr, "/ws", "Sec-WebSocket-Protocol: "+token.Token+"\r\n", buffer)
	if err != nil {
		return nil, err
	}
	register := fmt.Sprintf(`§{"name":"client.register","data":{"code":%q,"hash":%q}}`, c.Code, c.Hash)
	if _, err = p.Write(frame(opText, []byte(register))); err == nil {
		err = p.expect([]byte("HANDSHAKE_SUCCESS"))
	}
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// meet connects two clients with one another.
func (t *target) meet(buffer int) (*pair, error) {
	var c code
	if err := t.get("/api/code/get", &c); err != nil {
		return nil, err
	}
	p := new(pair)
	var err error
	if p.member, err = t.seat(c, buffer); err == nil {
		p.joiner, err = t.seat(c, buffer)
	}
	for _, end := range []*peer{p.joiner, p.member} {
		var message []byte
		if err == nil {
			message, err = end.next()
		}
		if err == nil && !strings.Contains(string(message), "peer.connected") {
			err = fmt.Errorf("got %q", message)
		}
	}
	if err != nil {
		p.drop()
		return nil, err
	}
	return p, nil
}

// waiting is a round: so many clients are connected and wait, each for its peer; on the bare relay they are coupled, as
// it does not look at what has no other side.
func waiting(tb testing.TB, kind string, n int) (sample, error) {
	t := startPeerSox(tb, kind)
	defer t.stop()
	before, err := t.ask(cmdClean)
	if err != nil {
		return nil, err
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		open []*peer
	)
	if kind == bare {
		pairs, failed := t.joinAll(n / 2)
		for _, p := range pairs {
			open = append(open, p.member, p.joiner)
		}
		err = failed
	} else {
		for worker := range joinWorkers {
			wg.Go(func() {
				for i := worker; i < n; i += joinWorkers {
					var c code
					var p *peer
					failed := t.get("/api/code/get", &c)
					if failed == nil {
						p, failed = t.seat(c, joinBuffer)
					}
					mu.Lock()
					if failed != nil {
						err = failed
					} else {
						open = append(open, p)
					}
					end := err != nil
					mu.Unlock()
					if end {
						return
					}
				}
			})
		}
	}
	wg.Wait()
	defer func() {
		for _, p := range open {
			p.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	http.DefaultClient.CloseIdleConnections()
	if _, err := t.settle(n); err != nil {
		return nil, err
	}
	after, err := t.ask(cmdClean)
	if err != nil {
		return nil, err
	}
	per := func(before, after uint64) float64 { return (float64(after) - float64(before)) / float64(n) }
	s := sample{"rss-bytes/client": per(before.RSS, after.RSS), "bytes/client": per(before.Heap+before.Stacks, after.Heap+after.Stacks)}
	return s, nil
}

// benchmarkWaiting measures the memory of clients that wait, in a process of its own each round.
func benchmarkWaiting(b *testing.B) {
	n := min(*waitingClients, int(min(fileLimit(), 1<<20))-200)
	if n < *waitingClients {
		b.Logf("%d clients instead of %d, as no more files may be open", n, *waitingClients)
	}
	figures := []figure{{"bytes/client", "mem-ratio"}, {"rss-bytes/client", "rss-ratio"}}
	compare(b, peerSoxes, figures, func(kind string) (sample, error) { return waiting(b, kind, n) })
}

// TestPeerSoxRounds runs each kind of round once, small, and checks that its figures can be true.
func TestPeerSoxRounds(t *testing.T) {
	for kind, server := range startPeerSoxes(t) {
		for name, round := range map[string]func() (sample, error){
			"PingPong": func() (sample, error) { return pingPong(server, sizes[0], testRound) },
			"Stream":   func() (sample, error) { return stream(server, sizes[1], testRound) },
			"Waiting":  func() (sample, error) { return waiting(t, kind, 200) },
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				s, err := round()
				if err != nil {
					t.Fatal(err)
				}
				for _, unit := range []string{"us-p50/trip", "ns-cpu/msg", "msg/s", "bytes/client"} {
					if value, ok := s[unit]; ok && value <= 0 && !(kind == npmKind && unit == "bytes/client") {
						t.Errorf("%v %s", value, unit)
					}
				}
			})
		}
	}
}

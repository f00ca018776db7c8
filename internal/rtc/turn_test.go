package rtc

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/turntest"
	"github.com/pion/stun"
)

// lentBy is the configuration of an end that may use a TURN server.
func lentBy(urls ...string) Config {
	return Config{ICEServers: []ICEServer{{URLs: urls, Username: turntest.Username, Credential: turntest.Credential}}}
}

// awaitNothingLent waits until all addresses have been given back.
func awaitNothingLent(t *testing.T, s *turntest.Server) {
	t.Helper()
	for end := time.Now().Add(patience); s.InUse() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d addresses of %d are still lent", s.InUse(), s.Lent())
		}
	}
}

// Two ends that may only use relays find each other through a TURN server, and do not wait for a better path. (It took
// 2 s.) Neither shows an address of its own, not even as the one to which the relay's is related (BLD-25), and what was
// lent is given back.
func TestTURN(t *testing.T) {
	for _, proto := range []string{"udp", "tcp"} {
		t.Run(proto, func(t *testing.T) {
			wantNothingLeft(t)
			s := turntest.Start(t)
			cfg := lentBy(map[string]string{"udp": s.UDP, "tcp": s.TCP}[proto])
			cfg.RelayOnly = true
			wantOpenWithin(t, 1500*time.Millisecond, func() (a, b *Conn) {
				return couple(t, cfg, cfg, func(to *Conn, s Signal) {
					if s.Type == SignalCandidate && !strings.Contains(s.Candidate, "typ relay raddr 0.0.0.0 rport 9") {
						t.Errorf("it says %q", s.Candidate)
					}
					if strings.Contains(s.SDP, "a=candidate") {
						t.Errorf("it says %q", s.SDP)
					}
					to.Signal(s)
				})
			})
			awaitNothingLent(t, s)
			if s.Lent() < 2 || s.Relayed() == 0 {
				t.Errorf("%d addresses were lent, %d bytes went through", s.Lent(), s.Relayed())
			}
		})
	}
}

// An end that may only use relays and one that has no server find each other.
func TestTURNOneSided(t *testing.T) {
	wantNothingLeft(t)
	s := turntest.Start(t)
	hidden := lentBy(s.UDP)
	hidden.RelayOnly = true
	for _, ends := range [][2]Config{{hidden, {}}, {{}, hidden}} {
		start := time.Now()
		a, b := pair(t, ends[0], ends[1])
		t.Log(time.Since(start))
		before := s.Relayed()
		data := pattern(maxSend, 1)
		if err := a.Send(t.Context(), Binary, data); err != nil {
			t.Fatal(err)
		}
		wantMessage(t, b, Binary, data)
		if n := s.Relayed() - before; n < len(data) {
			t.Errorf("%d bytes went through the server", n)
		}
		a.Abort()
		b.Abort()
	}
	awaitNothingLent(t, s)
}

// silentServers returns URLs of TURN servers that take everything and say nothing, by UDP and TCP.
func silentServers(t testing.TB) (udp, tcp string) {
	t.Helper()
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	listener, err := net.Listen("tcp4", "127.0.0.1:0") // the kernel accepts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return "turn:" + packets.LocalAddr().String() + "?transport=udp", "turn:" + listener.Addr().String() + "?transport=tcp"
}

// An end whose servers are silent ends as fast as any. (It took 10 s.)
func TestAbortSilentServer(t *testing.T) {
	udp, tcp := silentServers(t)
	for _, u := range []string{udp, tcp, strings.Replace(tcp, "turn:", "turns:", 1)} {
		a, b := couple(t, lentBy(u), Config{}, nil)
		wantOpen(t, a, b)
		start := time.Now()
		a.Abort()
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("%s: it takes %v to end", u, d)
		}
	}
}

// Config.Missing tells once which kind of servers gave no address, as soon as that is known; not if all gave one.
func TestMissing(t *testing.T) {
	s := turntest.Start(t)
	silent, _ := silentServers(t)
	silent = strings.TrimSuffix(strings.Replace(silent, "turn:", "stun:", 1), "?transport=udp")
	stranger := lentBy(s.UDP)
	stranger.ICEServers[0].Username = "stranger"
	hidden := stranger
	hidden.RelayOnly = true
	for _, test := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"no servers", Config{}, ""},
		{"all well", lentBy(s.STUN, s.UDP), ""},
		{"wrong user", stranger, "relay"},
		{"wrong user, relays only", hidden, "relay"},
		{"silent", lentBy(s.STUN, silent), "reflexive"},
	} {
		t.Run(test.name, func(t *testing.T) {
			told := make(chan string, 10)
			test.cfg.Missing = func(relay, reflexive bool) {
				told <- strings.Join(append(map[bool][]string{true: {"relay"}}[relay], map[bool][]string{true: {"reflexive"}}[reflexive]...), " ")
			}
			c, said := started(t, true, test.cfg)
			if test.want == "" {
				for (<-said).Type != SignalEnd {
				}
				select {
				case got := <-told:
					t.Errorf("%q is missing", got)
				default:
				}
			} else {
				select {
				case got := <-told:
					if got != test.want {
						t.Errorf("%q is missing, want %q", got, test.want)
					}
				case <-time.After(patience):
					t.Fatal("nothing is missing")
				}
			}
			c.tellMissing()
			if len(told) > 0 {
				t.Errorf("%q is missing once more", <-told)
			}
		})
	}
}

// Nobody is contacted but the servers that were named and the addresses that the peer gives, by whatever setting; and
// all of these are, which shows that the record is complete (BLD-26).
func TestContacts(t *testing.T) {
	wantNothingLeft(t)
	s := turntest.Start(t)
	hidden := lentBy(s.TCP)
	hidden.RelayOnly = true
	for _, test := range []struct {
		name string
		a, b Config
	}{
		{"no servers", Config{}, Config{}},
		{"STUN", lentBy(s.STUN), lentBy(s.STUN)},
		{"TURN", lentBy(s.UDP), Config{}},
		{"TURN by TCP", lentBy(s.TCP), lentBy(s.UDP)},
		{"relays only", hidden, hidden},
		{"one relay", hidden, Config{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var mu sync.Mutex
			given := map[bool][]string{} // by whether they are of the end that answers
			atA, atB := turntest.NewContacts(t), turntest.NewContacts(t)
			test.a.Net, test.b.Net = atA, atB
			a, b := couple(t, test.a, test.b, func(to *Conn, s Signal) {
				if f := strings.Fields(s.Candidate); len(f) > 5 {
					mu.Lock()
					given[to.offer] = append(given[to.offer], net.JoinHostPort(f[4], f[5]))
					mu.Unlock()
				}
				to.Signal(s)
			})
			wantOpen(t, a, b)
			wantOnly(t, test.a, atA, func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(given[true]) })
			wantOnly(t, test.b, atB, func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(given[false]) })
		})
	}
}

// wantOnly waits until an end has contacted its servers and its peer, and fails the test if it has contacted others.
func wantOnly(t *testing.T, cfg Config, at *turntest.Contacts, peer func() []string) {
	t.Helper()
	var servers []string
	for _, s := range cfg.ICEServers {
		uri, _ := stun.ParseURI(s.URLs[0])
		servers = append(servers, net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port)))
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		list := at.List()
		missing := slices.DeleteFunc(slices.Clone(servers), func(addr string) bool { return slices.Contains(list, addr) })
		if len(missing) == 0 && len(list) > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%v are not contacted", missing)
		}
	}
	candidates := peer()
	for _, addr := range at.List() {
		if !slices.Contains(servers, addr) && !slices.Contains(candidates, addr) {
			t.Errorf("%s is contacted, beside %v and %v", addr, servers, candidates)
		}
	}
}

// With Config.Loopback no socket can be reached from elsewhere, those for servers included.
func TestLoopbackSockets(t *testing.T) {
	s, err := Config{Loopback: true}.sockets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	udp, err := s.ListenUDP("udp4", &net.UDPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	packet, err := s.ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packet.Close()
	for _, addr := range []net.Addr{udp.LocalAddr(), packet.LocalAddr()} {
		if !addr.(*net.UDPAddr).IP.IsLoopback() {
			t.Errorf("it listens on %v", addr)
		}
	}
}

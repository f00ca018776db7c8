package netflux_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/meshpair/meshpair/netflux"
	"github.com/pion/logging"
	"github.com/pion/transport/v2/vnet"
)

// A virtualNet is a network in which each member is a host of its own, for data channels: with a latency, with packets that
// are lost, and with members that cannot reach each other. WebSockets to the signaling server go over the machine's.
type virtualNet struct {
	t      *testing.T
	router *vnet.Router

	mu      sync.Mutex
	rand    *rand.Rand
	loss    float64 // the share of packets that are lost
	hosts   map[*peer]string
	cuts    map[[2]string]bool // two hosts between which nothing goes
	sockets map[[2]string]bool // two sockets between which something has gone, each as HOST:PORT
	holes   map[[2]string]bool // those of them between which nothing goes any more

	passed, lost int // packets
}

// making is held while a router or host is made: vnet counts them without a lock.
var making sync.Mutex

func newVirtualNet(t *testing.T, seed uint64, latency time.Duration, loss float64) *virtualNet {
	t.Helper()
	making.Lock()
	defer making.Unlock()
	router, err := vnet.NewRouter(&vnet.RouterConfig{CIDR: "10.0.0.0/24", MinDelay: latency, LoggerFactory: logging.NewDefaultLoggerFactory()})
	if err != nil {
		t.Fatal(err)
	}
	n := &virtualNet{t: t, router: router, rand: rand.New(rand.NewPCG(seed, 0)), loss: loss, hosts: make(map[*peer]string),
		cuts: make(map[[2]string]bool), sockets: make(map[[2]string]bool), holes: make(map[[2]string]bool)}
	router.AddChunkFilter(n.passes)
	if err := router.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := router.Stop(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// peer adds a host with a peer that has not joined.
func (n *virtualNet) peer(cfg netflux.Config) *peer {
	n.t.Helper()
	making.Lock()
	defer making.Unlock()
	addr := fmt.Sprintf("10.0.0.%d", len(n.hosts)+1)
	host, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{addr}})
	if err == nil {
		err = n.router.AddNet(host)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	cfg.SetNet(host)
	p := newPeerAt(n.t, cfg)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[p] = addr
	return p
}

// two returns two names in one order.
func two(a, b string) [2]string {
	if a > b {
		a, b = b, a
	}
	return [2]string{a, b}
}

// hostsOf returns the hosts of two sockets.
func hostsOf(sockets [2]string) [2]string {
	a, _, _ := net.SplitHostPort(sockets[0])
	b, _, _ := net.SplitHostPort(sockets[1])
	return two(a, b)
}

// passes is the router's filter.
func (n *virtualNet) passes(c vnet.Chunk) bool {
	from, to := c.SourceAddr().String(), c.DestinationAddr().String()
	n.mu.Lock()
	defer n.mu.Unlock()
	sockets := two(from, to)
	n.sockets[sockets] = true
	if n.cuts[hostsOf(sockets)] || n.holes[sockets] || n.rand.Float64() < n.loss {
		n.lost++
		return false
	}
	n.passed++
	return true
}

func (n *virtualNet) count() (passed, lost int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.passed, n.lost
}

// cut has nothing go between two hosts, or takes that back. Nobody is told.
func (n *virtualNet) cut(a, b *peer, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[two(n.hosts[a], n.hosts[b])] = cut
}

// blackhole has nothing go between the sockets of two hosts that they have now; others work.
func (n *virtualNet) blackhole(a, b *peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	hosts := two(n.hosts[a], n.hosts[b])
	for s := range n.sockets {
		if hostsOf(s) == hosts {
			n.holes[s] = true
		}
	}
}

// TestScenariosInVirtualNet runs some of the scenarios in testdata over WebRTC data channels in a virtual network with a
// latency, in which some packets are lost. What is cut or falls silent does so without a word: packets vanish.
func TestScenariosInVirtualNet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		loss float64
		slow bool
	}{
		{"broken-channel", 0.01, false}, {"silent-channel", 0.01, false}, {"flapping", 0, false}, {"short-split", 0.005, false},
		{"cut-pair", 0, false}, {"split", 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.slow && os.Getenv("MESHPAIR_TEST_SLOW") != "1" {
				t.Skip("takes a minute; run with MESHPAIR_TEST_SLOW=1")
			}
			sc := readScenario(t, c.name)
			url := startSignaling(t)
			n := newVirtualNet(t, sc.Seed, sc.MinLatency, c.loss)
			s := &stage{t: t, sc: sc, key: "vnet-" + c.name, net: n, peer: func(cfg netflux.Config) *peer {
				cfg.SignalingURL = url
				return n.peer(cfg)
			}}
			s.run()
			passed, lost := n.count()
			t.Logf("%d packets, %d lost", passed+lost, lost)
			if passed == 0 || c.loss > 0 && lost == 0 {
				t.Errorf("%d packets went through the network, %d were lost", passed, lost)
			}
		})
	}
}

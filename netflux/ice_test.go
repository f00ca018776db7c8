package netflux_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/rtc"
	"github.com/meshpair/meshpair/internal/turntest"
	"github.com/meshpair/meshpair/netflux"
)

// servers are servers with the user of the tests.
func servers(urls ...string) []netflux.ICEServer {
	return []netflux.ICEServer{{URLs: urls, Username: turntest.Username, Credential: turntest.Credential}}
}

// iceFailures returns what was told of servers.
func iceFailures(events []netflux.Event) (all []netflux.ICEServerFailed) {
	for _, e := range events {
		if e, ok := e.(netflux.ICEServerFailed); ok {
			all = append(all, e)
		}
	}
	return all
}

func (p *peer) iceFailures(n int) []netflux.ICEServerFailed {
	p.t.Helper()
	return iceFailures(p.wait("failure of a server", func(e []netflux.Event) bool { return len(iceFailures(e)) >= n }))
}

// talk lets two members send each other messages, as text and as bytes, to one and to all, half of them of a size and half
// of 1 KiB, and returns how many bytes that are.
func talk(t *testing.T, a, b *peer, size int) (sent int) {
	t.Helper()
	text := bytes.Repeat([]byte("é €!"), size/7)
	raw := make([]byte, size)
	for i := range raw {
		raw[i] = byte(i * i >> 8)
	}
	messages := []netflux.Message{
		{Kind: netflux.Text, Data: text}, {Kind: netflux.Binary, Data: raw[:1<<10]},
		{Kind: netflux.Text, Private: true, Data: text[:7<<7]}, {Kind: netflux.Binary, Private: true, Data: raw},
	}
	ways := [][2]*peer{{a, b}, {b, a}}
	for _, way := range ways {
		from, to := way[0], way[1].ID()
		for _, m := range messages {
			err := error(nil)
			if m.Private {
				err = from.SendTo(t.Context(), to, m.Kind, m.Data)
			} else {
				err = from.Send(t.Context(), m.Kind, m.Data)
			}
			if err != nil {
				t.Fatal(err)
			}
			sent += len(m.Data)
		}
	}
	for _, way := range ways {
		for i, m := range way[1].messages(len(messages)) {
			want := messages[i]
			if m.From != way[0].ID() || m.Kind != want.Kind || m.Private != want.Private || !bytes.Equal(m.Data, want.Data) {
				t.Errorf("message %d: %d bytes of %v, private %v", i, len(m.Data), m.Kind, m.Private)
			}
		}
	}
	return sent
}

// TestTURN lets members meet of which one may only use relays, or both, by UDP and TCP, whoever comes first. All that
// they send goes through the server, and what it lent is given back. STUN serves, too.
func TestTURN(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		relays [2]string // the transports of the relays that the members may only use; "" if they may use all
		size   int
	}{
		{"both by UDP", [2]string{"udp", "udp"}, 5 << 20},
		{"both by TCP", [2]string{"tcp", "tcp"}, 5 << 20},
		{"the first alone", [2]string{"udp", ""}, 100_000},
		{"the second alone, by TCP", [2]string{"", "tcp"}, 100_000},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, signaling := turntest.Start(t), startSignaling(t)
			var all []*peer
			relays := 0
			for _, transport := range test.relays {
				cfg := netflux.Config{SignalingURL: signaling}
				if transport != "" {
					relays++
					cfg.RelayOnly = true
					cfg.ICEServers = servers(s.STUN, map[string]string{"udp": s.UDP, "tcp": s.TCP}[transport])
				}
				p := newPeer(t, cfg)
				p.join("key")
				all = append(all, p)
			}
			all[0].wait("joining", func(e []netflux.Event) bool { return told(e, netflux.MemberJoined{ID: all[1].ID()}) })
			before := s.Relayed()
			sent := talk(t, all[0], all[1], test.size)
			// Between two relays all goes out of one and into the other.
			if n := s.Relayed() - before; n < relays*sent {
				t.Errorf("%d bytes were sent, %d were relayed", sent, n)
			}
			for _, p := range all {
				if err := p.Leave(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := iceFailures(p.wait("event", func([]netflux.Event) bool { return true })); got != nil {
					t.Errorf("failures %v", got)
				}
			}
			for end := time.Now().Add(10 * time.Second); s.InUse() > 0; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d addresses of %d are still lent", s.InUse(), s.Lent())
				}
			}
			if s.Lent() != relays {
				t.Errorf("%d addresses were lent", s.Lent())
			}
		})
	}
}

// TestSTUN lets members use a STUN server. As long as it answers there is nothing to tell.
func TestSTUN(t *testing.T) {
	s := turntest.Start(t)
	all := groupOf(t, 3, netflux.Config{ICEServers: []netflux.ICEServer{{URLs: []string{s.STUN}}}})
	talk(t, all[0], all[2], 100_000)
	for _, p := range all {
		if got := iceFailures(p.wait("event", func([]netflux.Event) bool { return true })); got != nil {
			t.Errorf("failures %v", got)
		}
	}
}

// TestContacts checks who is contacted for data channels: the servers that the user named and nobody else, but for the
// addresses that the other member's sockets have (BLD-26).
func TestContacts(t *testing.T) {
	s, signaling := turntest.Start(t), startSignaling(t)
	for _, test := range []struct {
		name    string
		servers []netflux.ICEServer
		want    []string
	}{
		{"none named", nil, nil},
		{"STUN and TURN", servers(s.STUN, s.UDP, s.TCP), s.Addrs},
	} {
		t.Run(test.name, func(t *testing.T) {
			var nets []*turntest.Contacts
			var all []*peer
			for range 2 {
				n := turntest.NewContacts(t)
				cfg := netflux.Config{SignalingURL: signaling, ICEServers: test.servers}
				cfg.SetNet(n)
				p := newPeer(t, cfg)
				p.join(test.name)
				nets, all = append(nets, n), append(all, p)
			}
			if err := all[1].Send(t.Context(), netflux.Text, []byte("hello")); err != nil {
				t.Fatal(err)
			}
			all[0].messages(1)
			for i, n := range nets {
				theirs := nets[1-i].Own()
				for _, addr := range n.List() {
					if !slices.Contains(test.want, addr) && !slices.Contains(theirs, addr) && !slices.Contains(s.Relays(), addr) {
						t.Errorf("member %d contacts %s, beside %v and %v", i, addr, test.want, theirs)
					}
				}
				if len(n.List()) == 0 {
					t.Errorf("member %d contacts nobody", i)
				}
				for _, addr := range test.want {
					if !slices.Contains(n.List(), addr) {
						t.Errorf("member %d does not contact %s", i, addr)
					}
				}
			}
		})
	}
}

// TestICEServerFailed gives members servers that fail. They meet directly, and each hears once of each such server and
// why, however many channels they make.
func TestICEServerFailed(t *testing.T) {
	t.Parallel()
	s := turntest.Start(t)
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	refuses := s.UDP
	dead := "turn:" + closed.Addr().String() + "?transport=tcp"
	mute := "stun:" + silent.LocalAddr().String()
	cfg := netflux.Config{SignalingURL: startSignaling(t), ICEServers: []netflux.ICEServer{
		{URLs: []string{s.STUN, mute}},
		{URLs: []string{refuses, dead}, Username: "stranger", Credential: "wrong"},
		servers(s.TCP)[0],
	}}
	all := groupOf(t, 4, cfg)
	for i, p := range all {
		got := p.iceFailures(3)
		reasons := map[string]error{}
		for _, f := range got {
			reasons[f.URL] = f.Err
		}
		var refused *netflux.ICEServerError
		if !errors.As(reasons[refuses], &refused) || refused.Code != 400 {
			t.Errorf("member %d: %s: %v", i, refuses, reasons[refuses])
		}
		if err := reasons[dead]; err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("member %d: %s: %v", i, dead, err)
		}
		if err := reasons[mute]; !errors.Is(err, netflux.ErrNoAnswer) {
			t.Errorf("member %d: %s: %v", i, mute, err)
		}
		if len(got) != 3 {
			t.Errorf("member %d hears of %v", i, got)
		}
	}
	// Another joining makes another channel, and the new one hears of them, too.
	late := newPeer(t, cfg)
	late.join(all[0].Key())
	late.iceFailures(2) // the silent one takes longer
	for i, p := range all {
		if got := iceFailures(p.wait("event", func([]netflux.Event) bool { return true })); len(got) != 3 {
			t.Errorf("member %d hears again of %v", i, got)
		}
	}
}

// TestNoRelay lets one who may only use relays join though its TURN server refuses it: it hears so at once, and the
// failure of the attempt has the reason, too (BLD-25).
func TestNoRelay(t *testing.T) {
	t.Parallel()
	s, signaling := turntest.Start(t), startSignaling(t)
	first := newPeer(t, netflux.Config{SignalingURL: signaling})
	first.join("key")
	stranger := []netflux.ICEServer{{URLs: []string{s.UDP}, Username: "stranger", Credential: "wrong"}}
	p := newPeer(t, netflux.Config{SignalingURL: signaling, RelayOnly: true, ICEServers: stranger})
	ctx, cancel := context.WithCancel(t.Context())
	joined := make(chan error, 1)
	start := time.Now()
	go func() { joined <- p.Join(ctx, "key") }()
	f := p.iceFailures(1)[0]
	var refused *netflux.ICEServerError
	if f.URL != s.UDP || !errors.As(f.Err, &refused) || refused.User != "stranger" {
		t.Errorf("failure %v", f)
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("it takes %v", d)
	}
	failed := func(e netflux.Event) bool {
		c, ok := e.(netflux.ConnectFailed)
		return ok && errors.Is(c.Err, netflux.ErrNoRelay) && errors.Is(c.Err, netflux.ErrNegotiation)
	}
	p.wait("failed attempt", func(e []netflux.Event) bool { return slices.ContainsFunc(e, failed) })
	if d := time.Since(start); d > 13*time.Second {
		t.Errorf("the attempt fails after %v", d)
	}
	cancel()
	<-joined

	none := newPeer(t, netflux.Config{SignalingURL: signaling, RelayOnly: true, ICEServers: servers(s.STUN)})
	if err := none.Join(t.Context(), "key"); !errors.Is(err, netflux.ErrICEServer) || !strings.Contains(err.Error(), "no TURN server") {
		t.Errorf("with no TURN server: %v", err)
	}
}

// TestLeaveSilentServer leaves at once though a TURN server is silent, and is asked for the reason meanwhile.
func TestLeaveSilentServer(t *testing.T) {
	t.Parallel()
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	all := groupOf(t, 2, netflux.Config{ICEServers: servers("turn:" + silent.LocalAddr().String())})
	<-time.After(rtc.GatherPatience + 200*time.Millisecond) // from then on the server is being asked
	for _, p := range all {
		start := time.Now()
		if err := p.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 2500*time.Millisecond {
			t.Errorf("it takes %v to leave", d)
		}
		events := p.wait("LEFT", func(e []netflux.Event) bool { return e[len(e)-1] == netflux.StateChanged{State: netflux.Left} })
		if got := iceFailures(events); got != nil {
			t.Errorf("it hears of %v", got)
		}
	}
}

package netflux_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/attacks"
	"github.com/meshpair/meshpair/internal/leaktest"
	"github.com/meshpair/meshpair/internal/rtc"
	"github.com/meshpair/meshpair/internal/wire"
	"github.com/meshpair/meshpair/internal/ws"
	"github.com/meshpair/meshpair/netflux"
)

func TestMain(m *testing.M) {
	os.Exit(leaktest.Run(func() int {
		return attacks.Main(m, map[string]error{"netflux.ErrNoResponse": netflux.ErrNoResponse})
	}))
}

// A badServer is a signaling server that answers offers of SDP itself, in the place of those for whom they are.
type badServer struct {
	t    *testing.T
	real string
	mu   sync.Mutex
	ends map[uint32]*rtc.Conn // by the signaling id for which it answers
	mine chan *rtc.Conn       // the same
}

// startBadServer starts one, and returns its URL.
func startBadServer(t *testing.T) (*badServer, string) {
	s := &badServer{t: t, real: startSignaling(t), ends: make(map[uint32]*rtc.Conn), mine: make(chan *rtc.Conn, 10)}
	socket := &ws.Server{Serve: s.serve}
	server := httptest.NewServer(socket)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		socket.Shutdown(ctx)
		server.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.ends {
			c.Abort()
		}
	})
	return s, "ws" + strings.TrimPrefix(server.URL, "http")
}

// serve passes on what a peer and the real server say, but for what is about SDP.
func (s *badServer) serve(c *ws.Conn, r *http.Request) {
	up, err := ws.Dial(context.Background(), s.real+r.URL.String(), ws.DialConfig{})
	if err != nil {
		c.Abort()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		pass(up, c, func([]byte) bool { return false })
	}()
	pass(c, up, func(data []byte) bool { return s.take(c, data) })
	<-done
}

// pass passes on what one end says, but for what is taken, until either ends.
func pass(one, other *ws.Conn, take func([]byte) bool) {
	for {
		kind, data, err := one.Read()
		if err != nil {
			other.Abort()
			return
		}
		if data = bytes.Clone(data); !take(data) {
			other.Write(kind, data)
		}
	}
}

// take takes a message of a peer, if it is about SDP, and answers it.
func (s *badServer) take(c *ws.Conn, data []byte) bool {
	var sig wire.Signaling
	var m wire.Message
	var dc wire.DataChannelBuilder
	if sig.Decode(data) != nil || sig.Kind != wire.SignalingContent || m.Decode(sig.Content.Data) != nil ||
		m.ServiceID != wire.ServiceDataChannelBuilder || dc.Decode(m.Content) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := sig.Content.RecipientID
	end := s.ends[id]
	switch {
	case dc.Kind == wire.DataChannelBuilderOffer:
		var err error
		end, err = rtc.Answer(rtc.Config{Loopback: true}, func(sent rtc.Signal) {
			var dc wire.DataChannelBuilder
			switch sent.Type {
			case rtc.SignalAnswer:
				dc = wire.DataChannelBuilder{Kind: wire.DataChannelBuilderAnswer, Answer: sent.SDP}
			case rtc.SignalCandidate:
				dc = wire.DataChannelBuilder{Kind: wire.DataChannelBuilderCandidate, Candidate: wire.Candidate{
					Candidate: sent.Candidate, SDPMid: sent.SDPMid, SDPMLineIndex: uint32(sent.SDPMLineIndex)}}
			default:
				return
			}
			m := wire.Message{ServiceID: wire.ServiceDataChannelBuilder, Content: dc.Append(nil)}
			c.Write(ws.Binary, (&wire.Signaling{Kind: wire.SignalingContent, Content: wire.Content{SenderID: id, Data: m.Append(nil)}}).Append(nil))
		})
		if err != nil {
			s.t.Error(err)
			return true
		}
		s.ends[id] = end
		end.Signal(rtc.Signal{Type: rtc.SignalOffer, SDP: dc.Offer})
		s.mine <- end
	case dc.Kind == wire.DataChannelBuilderCandidate && end != nil:
		end.Signal(rtc.Signal{Type: rtc.SignalCandidate, Candidate: dc.Candidate.Candidate, SDPMid: dc.Candidate.SDPMid, SDPMLineIndex: uint16(dc.Candidate.SDPMLineIndex)})
	}
	return true
}

// TestServerInTheMiddle has the signaling server swap the SDP of somebody who joins for its own: of a group that is not sealed
// it becomes a member in that one's place, with the key, and reads what is said. In a sealed group it finds no SDP, and
// the two meet (SEC-7, SEC-12).
func TestServerInTheMiddle(t *testing.T) {
	const row = "server: takes the place of a member"
	said := []byte("what the two say to each other")
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, url := startBadServer(t)
	a, b := newPeer(t, netflux.Config{SignalingURL: url}), newPeer(t, netflux.Config{SignalingURL: url})
	a.join("key")
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		b.Join(ctx, "key")
	}()
	defer func() { cancel(); <-joined }()
	c := <-s.mine
	if err := c.Open(ctx); err != nil {
		t.Fatal(err)
	}
	var ping wire.Channel
	if _, data, err := c.Read(); err != nil || ping.Decode(data) != nil || ping.Kind != wire.ChannelInitPing || ping.InitPing.Key != "key" {
		t.Fatalf("%v, %+v", err, ping)
	}
	const id = 1<<31 + 77
	if err := c.Send(ctx, rtc.Binary, (&wire.Channel{Kind: wire.ChannelInitPong, InitPong: id}).Append(nil)); err != nil {
		t.Fatal(err)
	}
	a.wait("a member", func(e []netflux.Event) bool { return told(e, netflux.MemberJoined{ID: id}) })
	if err := a.SendTo(ctx, id, netflux.Binary, said); err != nil {
		t.Fatal(err)
	}
	for {
		_, data, err := c.Read()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, said) {
			attacks.Check(t, row, false, attacks.Succeeds, nil)
			break
		}
	}

	secret := netflux.NewSecret()
	s, url = startBadServer(t)
	a, b = newPeer(t, netflux.Config{SignalingURL: url, Secret: secret}), newPeer(t, netflux.Config{SignalingURL: url, Secret: secret})
	a.join("key")
	b.join("key")
	if err := b.Send(ctx, netflux.Binary, said); err != nil {
		t.Fatal(err)
	}
	outcome := attacks.Mended
	if m := a.messages(1); !bytes.Equal(m[0].Data, said) || len(s.mine) > 0 {
		outcome = attacks.Succeeds
	}
	attacks.Check(t, row, true, outcome, nil)
}

package sigver

import (
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/signaling"
	"github.com/meshpair/meshpair/internal/wire"
)

// TestArm: the timer that runs for a heartbeat is brought forward for what is due before (SIG-50).
func TestArm(t *testing.T) {
	s := New(Config{})
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	connect := func(p *signaling.Peer, id uint32, members ...uint32) {
		s.core.Receive(now, p, &wire.Signaling{Kind: wire.SignalingConnect, Connect: wire.GroupData{ID: id, Members: members}})
	}
	var all []*signaling.Peer
	for id := range uint32(3) {
		p, err := s.core.Open(now, "key", false)
		if err != nil {
			t.Fatal(err)
		}
		connect(p, id+1, 1, 2)
		all = append(all, p)
	}
	s.arm()
	if at := s.armed.Sub(now); at != signaling.HeartbeatInterval {
		t.Errorf("armed for %v", at)
	}
	connect(all[2], 3, 1) // it has lost 2
	s.do(nil, nil)
	if at := s.armed.Sub(now); at != signaling.HealDelay {
		t.Errorf("armed for %v", at)
	}
	for _, p := range all {
		s.core.Gone(now, p)
	}
	s.timer.Stop()
}

package netflux

import (
	"net"
	"testing"
	"time"
)

// A server that fails is asked once a minute at most, and the same failure told once an hour; another one, or one after it
// worked, at once.
func TestICEWatch(t *testing.T) {
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	events := make(chan Event, 10)
	g := New(Config{
		ICEServers: []ICEServer{{URLs: []string{"turn:" + closed.Addr().String() + "?transport=tcp"}, Username: "u", Credential: "c"}},
		Loopback:   true,
		OnEvent:    func(e Event) { events <- e },
	})
	g.ice.begin(g.cfg)
	s := g.ice.servers[0]
	for _, step := range []struct {
		name   string
		passes time.Duration
		change func()
		asked  bool
		told   bool
	}{
		{"first", 0, nil, true, true},
		{"at once", 0, nil, false, false},
		{"soon", probePause - 10*time.Second, nil, false, false},
		{"later", 20 * time.Second, nil, true, false},
		{"an hour later", repeatICE, nil, true, true},
		{"for another reason", probePause, func() { s.failure = "another one" }, true, true},
		{"after it worked", probePause, func() { s.failure = "" }, true, true},
		{"once more", probePause, nil, true, false},
	} {
		g.epoch = g.epoch.Add(-step.passes)
		if step.change != nil {
			step.change()
		}
		before := s.probed
		for range 3 {
			g.missing(false, true) // nothing that concerns a TURN server
			g.missing(true, false)
		}
		for busy := true; busy; time.Sleep(time.Millisecond) {
			g.mu.Lock()
			busy = g.ice.probes > 0
			g.mu.Unlock()
		}
		if asked := s.probed != before; asked != step.asked {
			t.Errorf("%s: asked: %v", step.name, asked)
		}
		if step.told {
			if e, ok := (<-events).(ICEServerFailed); !ok || e.URL != s.url || e.Err.Error() != s.failure {
				t.Errorf("%s: %v", step.name, e)
			}
		}
		if len(events) > 0 {
			t.Errorf("%s: told %v", step.name, <-events)
		}
	}
	g.ice.end()
	g.epoch = g.epoch.Add(-repeatICE)
	if g.missing(true, false); g.ice.probes > 0 {
		t.Error("it is asked after the group was left")
	}
}

package netflux

import (
	"context"
	"time"

	"github.com/meshpair/meshpair/internal/mesh"
	"github.com/meshpair/meshpair/internal/rtc"
)

const (
	// probePause is how long a server is not asked again for what is wrong with it. So there is an event for it once a
	// minute at most.
	probePause = time.Minute
	// repeatICE is after what time it is told again that a server fails as it did before.
	repeatICE = time.Hour
)

// An iceServer is one URL of a STUN or TURN server, and what has been seen of it since the group was joined.
type iceServer struct {
	rtc.ICEServer
	url string

	probing bool
	probed  time.Duration // when, if it was
	failure string        // what was told last; "" if it worked afterwards
	told    time.Duration
}

// An iceWatch finds out which servers fail, and why. It is part of a Group, whose lock guards it.
//
// It does nothing as long as connections get an address from each server that gives one. If one does not, each server
// that may be the reason is asked (see rtc.Probe), once for however many connections miss it at a time.
type iceWatch struct {
	servers []*iceServer
	noRelay bool // the last data channel lacked a relay
	probes  int  // under way
	ctx     context.Context
	cancel  context.CancelFunc
}

// begin is called when the group is joined.
func (w *iceWatch) begin(cfg Config) {
	*w = iceWatch{}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	for _, s := range cfg.rtc().ICEServers {
		for _, u := range s.URLs {
			w.servers = append(w.servers, &iceServer{ICEServer: s, url: u})
		}
	}
}

// end is called when the group was left.
func (w *iceWatch) end() {
	if w.cancel != nil {
		w.cancel()
	}
}

// missing is called when a connection has no address of some TURN server, or of some STUN server.
func (g *Group) missing(relay, reflexive bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ice.ctx.Err() != nil {
		return
	}
	for _, s := range g.ice.servers {
		wanted := reflexive
		if rtc.IsTURN(s.url) {
			wanted = relay
		}
		if wanted && !s.probing && (s.probed == 0 || g.now()-s.probed >= probePause) {
			s.probing = true
			g.ice.probes++
			go g.probe(g.ice.ctx, s)
		}
	}
}

// probe asks a server and tells if it fails.
func (g *Group) probe(ctx context.Context, s *iceServer) {
	err := g.cfg.rtc().Probe(ctx, s.ICEServer, s.url)
	g.mu.Lock()
	g.ice.probes--
	s.probing, s.probed = false, g.now()
	switch {
	case ctx.Err() != nil:
	case err == nil:
		s.failure = ""
	case err.Error() != s.failure || g.now()-s.told >= repeatICE:
		s.failure, s.told = err.Error(), g.now()
		g.cfg.Logger.Warn("ICE server fails", "url", s.url, "reason", err)
		g.mail.put(ICEServerFailed{s.url, err})
	}
	g.unlock(false)
}

// unconnected adds to the reason for which there is no channel what is known of it here.
func (w *iceWatch) unconnected(e ConnectFailed) ConnectFailed {
	if w.noRelay && (e.Err == mesh.ErrTimeout || e.Err == mesh.ErrNegotiation) {
		e.Err = &noRelayError{e.Err}
	}
	return e
}

// A noRelayError is what came of it that this end may only use relays and has none.
type noRelayError struct{ err error }

func (e *noRelayError) Error() string   { return e.err.Error() + " (" + ErrNoRelay.Error() + ")" }
func (e *noRelayError) Unwrap() []error { return []error{e.err, ErrNoRelay} }

package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/meshpair/meshpair/netflux"
	"github.com/meshpair/meshpair/sigver"
)

// How long the signaling server is away, and how often somebody says something meanwhile.
const (
	outageTime = 500 * time.Millisecond
	outagePace = 20 * time.Millisecond
)

// relay takes the channel of two members away, so that others pass on what they send each other, and gives it back.
func (d *demo) relay(ctx context.Context) error {
	a, b := d.actors[0], d.actors[1]
	idA, idB := a.group.ID(), b.group.ID()
	began := time.Now()
	if err := a.group.Block(idB); err != nil {
		return fmt.Errorf("%s and %s cannot do without a channel: %w", a.name, b.name, err)
	}
	err := d.wait(ctx, fmt.Sprintf("until %s and %s have no channel", a.name, b.name), func() bool {
		return !slices.Contains(a.group.Neighbors(), idB) && !slices.Contains(b.group.Neighbors(), idA)
	})
	if err != nil {
		return err
	}
	took := time.Since(began)
	relays, err := d.relays(a, b)
	if err != nil {
		return err
	}
	d.show.Line(a.name, "has no channel to %s any more, after %s; what they say goes through %s", b.name, ms(took), either(relays))
	for _, say := range []func() error{
		func() error { return d.whisper(ctx, a, b, "Do you hear me, "+b.name+"?") },
		func() error { return d.whisper(ctx, b, a, "I do, "+a.name+".") },
		func() error { return d.say(ctx, a, "We two are relayed.") },
		func() error { return d.say(ctx, b, "It works.") },
	} {
		if err := say(); err != nil {
			return err
		}
	}
	if _, err := d.relays(a, b); err != nil { // all of it was relayed
		return err
	}
	began = time.Now()
	a.group.Unblock(idB)
	err = d.wait(ctx, fmt.Sprintf("until %s and %s have a channel again", a.name, b.name), func() bool {
		return slices.Contains(a.group.Neighbors(), idB) && slices.Contains(b.group.Neighbors(), idA)
	})
	if err == nil {
		d.show.Line(a.name, "has a channel to %s again, after %s", b.name, ms(time.Since(began)))
	}
	return err
}

// relays returns the names of those that can pass on what two members send each other, who have no channel: which of
// them does it, a sender does not tell.
func (d *demo) relays(a, b *actor) ([]string, error) {
	ofA, ofB := a.group.Neighbors(), b.group.Neighbors()
	if slices.Contains(ofA, b.group.ID()) || slices.Contains(ofB, a.group.ID()) {
		return nil, fmt.Errorf("%s and %s have a channel, which was to be blocked", a.name, b.name)
	}
	var names []string
	for _, c := range d.actors {
		if id := c.group.ID(); slices.Contains(ofA, id) && slices.Contains(ofB, id) {
			names = append(names, c.name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is nobody between %s and %s", a.name, b.name)
	}
	return names, nil
}

// outage stops the signaling server for a while, and has the members go on talking until all have found it again.
func (d *demo) outage(ctx context.Context) error {
	if err := d.server.stop(); err != nil {
		return err
	}
	d.show.Line("Sigver", "stops; the members need it no more")
	stopped := time.Now()
	if err := d.wait(ctx, "until all notice that the signaling server is gone", func() bool { return d.all(netflux.Joining) }); err != nil {
		return err
	}
	if err := d.say(ctx, d.actors[1], "We go on without it."); err != nil {
		return err
	}
	var talk chatter
	if err := d.chat(ctx, &talk, func() (bool, error) { return time.Since(stopped) >= outageTime, nil }); err != nil {
		return err
	}
	if err := d.server.start(); err != nil {
		return err
	}
	back := time.Now()
	d.show.Line("Sigver", "is back on %s after %s", d.server.url(), sec(back.Sub(stopped)))
	err := d.chat(ctx, &talk, func() (bool, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if all := d.all(netflux.Joined); all || time.Since(back) < d.patience {
			return all, nil
		}
		return false, fmt.Errorf("waited %v in vain until all have found the signaling server again", d.patience)
	})
	if err != nil {
		return err
	}
	d.show.Line("All", "are JOINED again, %s after it came back", sec(time.Since(back)))
	d.show.Line("All", "sent %s to all meanwhile; none is missing, and the slowest took %s", count(talk.n, "message"), ms(talk.slowest))
	return nil
}

// A chatter is many messages in a row.
type chatter struct {
	n       int
	slowest time.Duration
}

// chat has the members say something to all in turn, until that is done.
func (d *demo) chat(ctx context.Context, c *chatter, done func() (bool, error)) error {
	pace := time.NewTicker(outagePace)
	defer pace.Stop()
	for {
		a := d.actors[c.n%len(d.actors)]
		c.n++
		text := fmt.Sprintf("Message %d.", c.n)
		took, err := d.deliver(ctx, a, nil, netflux.Text, []byte(text), fmt.Sprintf("“%s”", text))
		if err != nil {
			return err
		}
		c.slowest = max(c.slowest, took)
		if over, err := done(); over || err != nil {
			return err
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// all reports whether all members have been told this state last. The lock is held.
func (d *demo) all(s netflux.State) bool {
	return !slices.ContainsFunc(d.actors, func(a *actor) bool { return a.state != s })
}

// A demoServer is a signaling server that can be stopped and started again.
type demoServer struct {
	config sigver.Config
	addr   string // once it has been started
	server *sigver.Server
	done   chan error
}

// start has it listen, at the address that it had before.
func (s *demoServer) start() error {
	addr := s.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		return fmt.Errorf("the signaling server does not start: %w", err)
	}
	s.addr, s.server, s.done = l.Addr().String(), sigver.New(s.config), make(chan error, 1)
	go func() { s.done <- s.server.Serve(l) }()
	return nil
}

func (s *demoServer) url() string { return "ws://" + s.addr }

// stop ends it, if it runs.
func (s *demoServer) stop() error {
	if s.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := s.server.Shutdown(ctx)
	<-s.done
	s.server = nil
	if err != nil {
		return fmt.Errorf("the signaling server does not stop: %w", err)
	}
	return nil
}

// either joins names for people.
func either(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " or " + names[n-1]
	}
	return strings.Join(names, "")
}

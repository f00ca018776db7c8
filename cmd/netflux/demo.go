package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshpair/meshpair/internal/cli"
	"github.com/meshpair/meshpair/netflux"
	"github.com/meshpair/meshpair/sigver"
)

// Limits on the time that the demo takes.
const (
	demoTime     = 120 * time.Second // to the moment when all leave
	demoPatience = 20 * time.Second  // until something that was sent has arrived
)

const demoHelp = `Usage: netflux demo [flags]

Runs a signaling server and several members of a group in this process. They connect to each other
by WebRTC data channels on 127.0.0.1, talk, and part, and you see how long each step takes. Two of
them lose their channel and talk through the others (with 3 members or more). The signaling server
stops for a while, which nobody minds who is there already. Then all talk without a pause, while
a channel breaks, another one falls silent, and the group falls apart and becomes one again: a line
for each second says how much of what they say came late, and by how much.

The exit status is 0 if all that was sent arrived unchanged and exactly once at everybody to whom
it was sent. Otherwise, and when it is interrupted, it is 1, and a line says what is missing.
`

var demoNames = strings.Fields("Ada Ben Cleo Dan Eve Finn Gus Hana Ivo Jun Kim Lea Max Nia Oli Pia Quin Rosa Sam Tara")

// A demo is a group whose members all are here.
type demo struct {
	show     *cli.Timeline
	logger   *slog.Logger
	patience time.Duration
	bulk     int                                                  // how many bytes are many
	sealed   bool                                                 // the group is
	calm     bool                                                 // without faults
	meddle   func(to string, m netflux.Message) []netflux.Message // for tests, or nil: what arrives in place of a message

	server   *demoServer
	key      string
	secret   netflux.Secret
	actors   []*actor
	channels int

	mu      sync.Mutex // guards the fields below and those of the actors that say so
	changed chan struct{}
	ids     map[uint32]string
	ledger  *ledger
}

// An actor is a member of the group.
type actor struct {
	name    string
	group   *netflux.Group
	out     bool                 // it has left
	state   netflux.State        // the last that it was told; guarded by demo.mu
	through uint32               // the first member that it saw; guarded by demo.mu
	here    map[uint32]time.Time // when members joined last; guarded by demo.mu
	gone    map[uint32]time.Time // when members left; guarded by demo.mu
}

var errInterrupted = errors.New("interrupted")

func demoCommand(ctx context.Context, e *cli.Env, args []string) error {
	return runDemo(ctx, e, args, &demo{patience: demoPatience, bulk: 4 << 20})
}

func runDemo(ctx context.Context, e *cli.Env, args []string, d *demo) error {
	n := e.Flags.Int("members", 5, "how many `members` the group has, 2 to 20")
	e.Flags.BoolVar(&d.calm, "calm", d.calm, "leave out the part in which channels fail while all talk, and the group falls apart")
	e.Flags.BoolVar(&d.sealed, "sealed", d.sealed, "seal the group: neither the signaling server nor who passes messages on can read them")
	if err := e.Parse(args, demoHelp); err != nil {
		return err
	}
	if *n < 2 || *n > len(demoNames) {
		return e.Wrong("-members must be from 2 to %d", len(demoNames))
	}
	d.show, d.logger, d.key = cli.NewTimeline(e.Stdout), e.Logger(), netflux.NewKey()
	if d.sealed {
		d.secret = netflux.NewSecret()
	}
	d.changed, d.ids, d.ledger = make(chan struct{}), make(map[uint32]string), newLedger()
	playing, cancel := context.WithTimeoutCause(ctx, demoTime, fmt.Errorf("it took longer than %v", demoTime))
	defer cancel()
	err := d.play(playing, demoNames[:*n])
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// play shows all of the demo.
func (d *demo) play(ctx context.Context, names []string) error {
	fmt.Fprintf(d.show.W, "A signaling server and %d members in this process, over WebRTC data channels on 127.0.0.1.\n\n", len(names))
	if d.sealed {
		fmt.Fprint(d.show.W, "The group is sealed: what two of them say, no other one and no server can read.\n\n")
	}
	d.server = &demoServer{config: sigver.Config{Logger: d.logger}}
	if err := d.server.start(); err != nil {
		return err
	}
	d.show.Line("Sigver", "listens on %s", d.server.url())
	for _, name := range names {
		d.actors = append(d.actors, d.newActor(name))
	}
	err := d.acts(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	err = errors.Join(err, d.part(), d.server.stop())
	d.mu.Lock()
	problems := d.ledger.problems()
	switch {
	case ctx.Err() != nil || len(problems) == 0 && err != nil:
		d.summary("the demo did not come to its end")
	case len(problems) > 0:
		d.summary("NOT as they were sent")
	default:
		d.summary("all intact, each exactly once")
	}
	d.mu.Unlock()
	return errors.Join(append(problems, err)...)
}

// acts are what happens between the start of the signaling server and the end.
func (d *demo) acts(ctx context.Context) error {
	acts := []func(context.Context) error{d.join, d.talk}
	if len(d.actors) > 2 { // or nobody can relay
		acts = append(acts, d.relay)
	}
	acts = append(acts, d.outage)
	if len(d.actors) > 2 && !d.calm {
		acts = append(acts, d.faults)
	}
	acts = append(acts, d.leave)
	for _, act := range acts {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// join lets all members join, one after the other.
func (d *demo) join(ctx context.Context) error {
	for i, a := range d.actors {
		began := time.Now()
		if err := a.group.Join(ctx, d.key); err != nil {
			return fmt.Errorf("%s cannot join: %w", a.name, err)
		}
		took := time.Since(began)
		d.mu.Lock()
		d.ids[a.group.ID()] = a.name
		d.mu.Unlock()
		if i == 0 {
			d.show.Line(a.name, "opens the group, joined in %s, id %08x", ms(took), a.group.ID())
			continue
		}
		if err := d.wait(ctx, "until all see "+a.name, func() bool { return d.allSee(i) }); err != nil {
			return err
		}
		d.mu.Lock()
		through := d.ids[a.through]
		d.mu.Unlock()
		d.show.Line(a.name, "joins through %s in %s, id %08x, %s", through, ms(took), a.group.ID(), count(len(a.group.Neighbors()), "channel"))
	}
	for _, a := range d.actors {
		d.channels += len(a.group.Neighbors())
	}
	d.channels /= 2
	return nil
}

// allSee reports whether the members so far all see n others. The lock is held.
func (d *demo) allSee(n int) bool {
	return !slices.ContainsFunc(d.actors[:n+1], func(a *actor) bool { return len(a.here) < n })
}

// leave lets the last member leave, and shows how fast the others notice.
func (d *demo) leave(ctx context.Context) error {
	a := d.actors[len(d.actors)-1]
	rest := d.actors[:len(d.actors)-1]
	id, began := a.group.ID(), time.Now()
	a.out = true
	if err := a.group.Leave(ctx); err != nil {
		return fmt.Errorf("%s cannot leave: %w", a.name, err)
	}
	var last time.Time
	err := d.wait(ctx, "until all notice that "+a.name+" has left", func() bool {
		for _, b := range rest {
			at, ok := b.gone[id]
			if !ok {
				return false
			}
			if at.After(last) {
				last = at
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	d.show.Line(a.name, "leaves; %s within %s", noticed(len(rest)), ms(last.Sub(began)))
	return nil
}

// part has all leave who are still there.
func (d *demo) part() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	began := time.Now()
	errs := make(chan error)
	for _, a := range d.actors {
		go func() {
			err := a.group.Leave(ctx)
			if err != nil {
				err = fmt.Errorf("%s cannot leave: %w", a.name, err)
			}
			errs <- err
		}()
	}
	var all error
	for range d.actors {
		all = errors.Join(all, <-errs)
	}
	d.show.Line("All", "have left, in %s", ms(time.Since(began)))
	told := d.wait(context.Background(), "until all have been told everything", func() bool {
		return d.all(netflux.Left)
	})
	return errors.Join(all, told)
}

func (d *demo) newActor(name string) *actor {
	a := &actor{name: name, state: netflux.Left, here: make(map[uint32]time.Time), gone: make(map[uint32]time.Time)}
	a.group = netflux.New(netflux.Config{
		SignalingURL: d.server.url(), Secret: d.secret, Loopback: true, Logger: d.logger.With("who", name), OnEvent: func(e netflux.Event) { d.event(a, e) },
	})
	return a
}

// event takes down what a member sees.
func (d *demo) event(a *actor, e netflux.Event) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch e := e.(type) {
	case netflux.Message:
		all := []netflux.Message{e}
		if d.meddle != nil {
			all = d.meddle(a.name, e)
		}
		for _, m := range all {
			d.ledger.arrive(d.name(m.From), a.name, m, now)
		}
	case netflux.StateChanged:
		a.state = e.State
	case netflux.MemberJoined:
		if len(a.here) == 0 {
			a.through = e.ID
		}
		a.here[e.ID] = now
	case netflux.MemberLeft:
		a.gone[e.ID] = now
	}
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *demo) name(id uint32) string {
	if name := d.ids[id]; name != "" {
		return name
	}
	return fmt.Sprintf("%08x", id)
}

// wait waits until a condition is fulfilled, which is called with the lock held.
func (d *demo) wait(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d.patience, fmt.Errorf("waited %v in vain %s", d.patience, what))
	defer cancel()
	poll := time.NewTicker(2 * time.Millisecond) // for what no event tells: a channel to a member that is known
	defer poll.Stop()
	for {
		d.mu.Lock()
		done, changed := ok(), d.changed
		d.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-poll.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// summary prints the last line. The lock is held.
func (d *demo) summary(verdict string) {
	l := d.ledger
	fmt.Fprintf(d.show.W, "\n%s, %s; %s sent, %d of %d copies arrived (%s): %s.\n", count(len(d.actors), "member"),
		count(d.channels, "channel"), count(l.sent, "message"), l.copies, l.owed, size(l.bytes), verdict)
}

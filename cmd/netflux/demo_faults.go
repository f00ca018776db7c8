package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshpair/meshpair/netflux"
)

const (
	loadPace  = 10 * time.Millisecond // between messages to all
	loadLine  = time.Second           // between lines
	lateTime  = 50 * time.Millisecond // after which a message is called late
	faultTime = time.Second           // that is given to each thing to be seen
)

// faults has links fail, and the group fall apart, while all talk.
func (d *demo) faults(ctx context.Context) error {
	l := &load{d: d, pending: make(map[letter]time.Time)}
	loading, stop := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() { failed <- l.run(loading) }()
	d.show.Line("All", "talk from now on: in turn, %d messages to all in a second", time.Second/loadPace)
	err := d.pause(ctx)
	for _, fault := range []func(context.Context) error{
		d.cut,
		d.hole,
		func(ctx context.Context) error { return d.split(ctx, l) },
		d.pause,
	} {
		if err == nil {
			err = fault(ctx)
		}
	}
	stop()
	err = errors.Join(err, <-failed)
	if err == nil {
		err = d.wait(ctx, "until all that was said has arrived", func() bool { l.settle(); return len(l.pending) == 0 })
	}
	if err == nil {
		d.show.Line("All", "said %s meanwhile; none is missing, none came twice", count(l.n, "thing"))
	}
	return err
}

// pause leaves the load time to be seen.
func (d *demo) pause(ctx context.Context) error {
	select {
	case <-time.After(faultTime):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cut breaks the channel of two members: both notice at once.
func (d *demo) cut(ctx context.Context) error {
	a, b := d.actors[0], d.actors[1]
	began := time.Now()
	if err := a.group.Drop(b.group.ID()); err != nil {
		return fmt.Errorf("the channel of %s and %s cannot be cut: %w", a.name, b.name, err)
	}
	d.show.Line(a.name, "and %s lose their channel: it breaks", b.name)
	if err := d.wait(ctx, fmt.Sprintf("until %s and %s have a channel again", a.name, b.name), d.linked(a, b)); err != nil {
		return err
	}
	d.show.Line(a.name, "has a channel to %s again, after %s", b.name, ms(time.Since(began)))
	return errors.Join(d.pause(ctx), d.nobodyLeft(began))
}

// hole has all vanish that goes over the channel of two members, of which they are told nothing.
func (d *demo) hole(ctx context.Context) error {
	a, b := d.actors[0], d.actors[2]
	began := time.Now()
	if err := a.group.Blackhole(b.group.ID()); err != nil {
		return fmt.Errorf("the channel of %s and %s cannot fall silent: %w", a.name, b.name, err)
	}
	d.show.Line(a.name, "and %s: all that goes over their channel vanishes from now on, without an error", b.name)
	linked := d.linked(a, b)
	if err := d.wait(ctx, fmt.Sprintf("until %s and %s notice that their channel is dead", a.name, b.name), func() bool { return !linked() }); err != nil {
		return err
	}
	d.show.Line(a.name, "and %s have found out, after %s", b.name, sec(time.Since(began)))
	if err := d.wait(ctx, fmt.Sprintf("until %s and %s have a channel again", a.name, b.name), linked); err != nil {
		return err
	}
	d.show.Line(a.name, "has a channel to %s again, %s after it fell silent", b.name, sec(time.Since(began)))
	return errors.Join(d.pause(ctx), d.nobodyLeft(began))
}

// linked returns a condition: that two members have a channel.
func (d *demo) linked(a, b *actor) func() bool {
	return func() bool {
		return slices.Contains(a.group.Neighbors(), b.group.ID()) && slices.Contains(b.group.Neighbors(), a.group.ID())
	}
}

// nobodyLeft fails if a member was told since then that another one has left.
func (d *demo) nobodyLeft(since time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.actors {
		for id, at := range a.gone {
			if at.After(since) {
				return fmt.Errorf("%s was told that %s has left, who was there all the time", a.name, d.name(id))
			}
		}
	}
	return nil
}

// split parts the group in two, as a network does that is cut, and lets it become one again.
func (d *demo) split(ctx context.Context, l *load) error {
	parts := [2][]*actor{d.actors[:len(d.actors)/2], d.actors[len(d.actors)/2:]}
	l.part(parts)
	began := time.Now()
	for _, a := range parts[0] {
		for _, b := range parts[1] {
			if err := errors.Join(a.group.Block(b.group.ID()), b.group.Block(a.group.ID())); err != nil {
				return fmt.Errorf("%s and %s cannot be parted: %w", a.name, b.name, err)
			}
		}
	}
	d.show.Line("All", "are parted: no channel leads from %s to %s", list(parts[0]), list(parts[1]))
	apart := func() bool {
		return d.see(parts[0], len(parts[0])) && d.see(parts[1], len(parts[1]))
	}
	if err := d.wait(ctx, "until each part sees that it is alone", apart); err != nil {
		return err
	}
	d.show.Line("All", "see it, after %s; each part goes on", sec(time.Since(began)))
	if err := d.pause(ctx); err != nil {
		return err
	}
	began = time.Now()
	for _, a := range parts[0] {
		for _, b := range parts[1] {
			a.group.Unblock(b.group.ID())
			b.group.Unblock(a.group.ID())
		}
	}
	d.show.Line("All", "could have channels to each other again")
	if err := d.wait(ctx, "until the parts are one group again", func() bool { return d.see(d.actors, len(d.actors)) }); err != nil {
		return err
	}
	took := time.Since(began)
	if err := d.wait(ctx, "until all have channels to all", func() bool {
		return !slices.ContainsFunc(d.actors, func(a *actor) bool { return len(a.group.Neighbors()) != len(d.actors)-1 })
	}); err != nil {
		return err
	}
	l.part([2][]*actor{})
	d.show.Line("All", "are one group again, after %s, with the ids that they had, and channels to all after %s", sec(took), sec(time.Since(began)))
	return nil
}

// see reports whether each of them sees so many members, itself among them.
func (d *demo) see(all []*actor, n int) bool {
	return !slices.ContainsFunc(all, func(a *actor) bool { return len(a.group.Members()) != n })
}

// list gives names for people.
func list(all []*actor) string {
	names := make([]string, len(all))
	for i, a := range all {
		names[i] = a.name
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return names[0]
}

// A load is what the members say all the time, and a line in each second about how late it came.
type load struct {
	d *demo

	// Guarded by d.mu.
	n       int // messages
	parts   [2][]*actor
	pending map[letter]time.Time // when those were sent that have to arrive still

	// Since the last line.
	sent, copies, late int
	slowest            time.Duration
	worst              letter
}

// run has the members talk in turn until the context ends.
func (l *load) run(ctx context.Context) error {
	pace, line := time.NewTicker(loadPace), time.NewTicker(loadLine)
	defer pace.Stop()
	defer line.Stop()
	for {
		select {
		case <-pace.C:
			if err := l.say(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		case <-line.C:
			l.report()
		case <-ctx.Done():
			return nil
		}
	}
}

// say has the next member say something to all.
func (l *load) say(ctx context.Context) error {
	d := l.d
	d.mu.Lock()
	a := d.actors[l.n%len(d.actors)]
	l.n++
	l.sent++
	text := fmt.Sprintf("Thing %d.", l.n)
	var to, perhaps []string
	for _, b := range d.actors {
		switch {
		case b == a:
		case l.apart(a.name, b.name):
			perhaps = append(perhaps, b.name)
		default:
			to = append(to, b.name)
		}
	}
	now := time.Now()
	for _, x := range d.ledger.send(a.name, to, false, netflux.Text, []byte(text), fmt.Sprintf("“%s”", text)) {
		l.pending[x] = now
	}
	d.ledger.allow(a.name, perhaps, netflux.Text, []byte(text))
	d.mu.Unlock()
	if err := a.group.Send(ctx, netflux.Text, []byte(text)); err != nil {
		return fmt.Errorf("%s cannot send: %w", a.name, err)
	}
	return nil
}

// apart reports whether two are in different parts.
func (l *load) apart(a, b string) bool {
	in := func(name string) bool {
		return slices.ContainsFunc(l.parts[0], func(c *actor) bool { return c.name == name })
	}
	return l.parts[0] != nil && in(a) != in(b)
}

// part says which parts the group is in from now on. What is under way from one to the other may arrive or not.
func (l *load) part(parts [2][]*actor) {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	l.parts = parts
	l.settle()
	for x := range l.pending {
		if l.apart(x.from, x.to) {
			l.d.ledger.forgive(x)
			delete(l.pending, x)
		}
	}
}

// settle takes note of what has arrived. The lock is held.
func (l *load) settle() {
	for x, sent := range l.pending {
		if l.d.ledger.got[x] == 0 {
			continue
		}
		delete(l.pending, x)
		took := l.d.ledger.at[x].Sub(sent)
		l.copies++
		if took > lateTime {
			l.late++
		}
		if took > l.slowest {
			l.slowest, l.worst = took, x
		}
	}
}

// report prints a line.
func (l *load) report() {
	l.d.mu.Lock()
	l.settle()
	text := fmt.Sprintf("%s to all, %d copies arrived; ", count(l.sent, "message"), l.copies)
	if l.late == 0 {
		text += "none late, the slowest took " + ms(l.slowest)
	} else {
		text += fmt.Sprintf("%d late, the slowest took %s, from %s to %s", l.late, ms(l.slowest), l.worst.from, l.worst.to)
	}
	if n := len(l.pending); n > 0 {
		text += fmt.Sprintf("; %d on their way", n)
	}
	l.sent, l.copies, l.late, l.slowest = 0, 0, 0, 0
	l.d.mu.Unlock()
	l.d.show.Line("Load", "%s", text)
}

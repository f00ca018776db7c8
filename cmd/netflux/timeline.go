package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/meshpair/meshpair/netflux"
)

// talk has the members send text to all and to one, and bytes.
func (d *demo) talk(ctx context.Context) error {
	for _, a := range d.actors {
		if err := d.say(ctx, a, "Hello, I am "+a.name+"."); err != nil {
			return err
		}
	}
	first, last := d.actors[0], d.actors[len(d.actors)-1]
	if err := d.whisper(ctx, last, first, "Just for you, "+first.name+"."); err != nil {
		return err
	}
	return d.pour(ctx, d.actors[1], d.bulk)
}

// say sends text to all.
func (d *demo) say(ctx context.Context, a *actor, text string) error {
	took, err := d.deliver(ctx, a, nil, netflux.Text, []byte(text), fmt.Sprintf("“%s”", text))
	if err == nil {
		d.show.Line(a.name, "to all: “%s” %s in %s", text, heard(len(d.others(a))), ms(took))
	}
	return err
}

// whisper sends text to one member.
func (d *demo) whisper(ctx context.Context, a, to *actor, text string) error {
	took, err := d.deliver(ctx, a, to, netflux.Text, []byte(text), fmt.Sprintf("“%s”", text))
	if err == nil {
		d.show.Line(a.name, "to %s alone: “%s” Heard in %s", to.name, text, ms(took))
	}
	return err
}

// pour sends many bytes to all.
func (d *demo) pour(ctx context.Context, a *actor, n int) error {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(data)
	took, err := d.deliver(ctx, a, nil, netflux.Binary, data, size(n)+" of bytes")
	if err == nil {
		all := n * len(d.others(a))
		d.show.Line(a.name, "to all: %s of bytes. %s in %s, %.0f MiB/s", size(n), size(all), ms(took), float64(all)/(1<<20)/took.Seconds())
	}
	return err
}

// deliver sends a message to one member, or to all if that is nil, and returns how long it took until all had it.
func (d *demo) deliver(ctx context.Context, a, to *actor, kind netflux.Kind, data []byte, name string) (time.Duration, error) {
	names := d.others(a)
	if to != nil {
		names = []string{to.name}
	}
	d.mu.Lock()
	letters := d.ledger.send(a.name, names, to != nil, kind, data, name)
	d.mu.Unlock()
	began := time.Now()
	var err error
	if to == nil {
		err = a.group.Send(ctx, kind, data)
	} else {
		err = a.group.SendTo(ctx, to.group.ID(), kind, data)
	}
	if err != nil {
		return 0, fmt.Errorf("%s cannot send: %w", a.name, err)
	}
	var last time.Time
	err = d.wait(ctx, "for "+name+" to arrive", func() (all bool) {
		last, all = d.ledger.arrived(letters)
		return all
	})
	return last.Sub(began), err
}

// others returns the names of the members beside one.
func (d *demo) others(a *actor) []string {
	var names []string
	for _, b := range d.actors {
		if b != a && !b.out {
			names = append(names, b.name)
		}
	}
	return names
}

func heard(n int) string {
	if n == 1 {
		return "Heard by 1"
	}
	return fmt.Sprintf("Heard by all %d", n)
}

func noticed(n int) string {
	if n == 1 {
		return "the other notices"
	}
	return fmt.Sprintf("the %d others notice", n)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func ms(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

func sec(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func size(n int) string {
	if n < 1<<20 {
		return count(n, "byte")
	}
	return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/meshpair/meshpair/internal/cli"
	"github.com/meshpair/meshpair/peersox"
)

// Limits on the time that the demo takes.
const (
	demoTime     = 20 * time.Second // in all
	demoPatience = 10 * time.Second // until something that was sent has arrived
)

const lastWords = "We go on without it."

const demoHelp = `Usage: peersox demo [flags]

Runs a pairing server and two clients in this process. They meet by a code with a secret, talk by way
of the server, which cannot read them, and then directly, by WebRTC on 127.0.0.1, and you see how
long each step takes.

The exit status is 0 if all that was sent arrived unchanged, in order and exactly once. Otherwise,
and when it is interrupted, it is 1, and a line says what went wrong.
`

// A demo is a server and two clients.
type demo struct {
	show     *cli.Timeline
	logger   *slog.Logger
	patience time.Duration
	rounds   int                              // round trips that are measured each time
	bulk     int                              // how many bytes are many
	meddle   func(m []byte) (copies [][]byte) // for tests, or nil: what arrives in place of a message

	url      string
	ada, ben *actor
	sent     int // messages
}

// An actor is a client.
type actor struct {
	name   string
	client *peersox.Client
	events chan peersox.Event // but for messages
	inbox  chan []byte

	connected bool // it was, once
}

func demoCommand(ctx context.Context, e *cli.Env, args []string) error {
	return runDemo(ctx, e, args, &demo{patience: demoPatience, rounds: 500, bulk: 16 << 20})
}

func runDemo(ctx context.Context, e *cli.Env, args []string, d *demo) error {
	if err := e.Parse(args, demoHelp); err != nil {
		return err
	}
	d.show, d.logger = cli.NewTimeline(e.Stdout), e.Logger()
	playing, cancel := context.WithTimeoutCause(ctx, demoTime, fmt.Errorf("it took longer than %v", demoTime))
	defer cancel()
	fmt.Fprint(d.show.W, "A pairing server and two clients in this process, on 127.0.0.1.\n\n")
	err := d.play(playing)
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if err != nil {
		if playing.Err() != nil {
			err = context.Cause(playing)
		}
		return err
	}
	fmt.Fprintf(d.show.W, "\n%d messages sent: all intact, in order, each exactly once.\n", d.sent)
	return nil
}

// play shows all of the demo.
func (d *demo) play(ctx context.Context) (err error) {
	stopServer, err := d.serve()
	if err != nil {
		return err
	}
	d.ada, d.ben = d.newActor("Ada"), d.newActor("Ben")
	defer func() { err = errors.Join(err, d.part(), stopServer()) }()
	for _, act := range []func(context.Context) error{d.pair, d.talk, d.upgrade, d.talk, d.pour, d.stumble} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	if err := stopServer(); err != nil {
		return err
	}
	d.show.Line("Server", "stops; the two need it no more")
	return d.say(ctx, d.ben, d.ada, lastWords)
}

// serve starts the server and returns what stops it, once.
func (d *demo) serve() (stop func() error, err error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := peersox.NewServer(peersox.ServerConfig{Logger: d.logger})
	web := &http.Server{Handler: server}
	done := make(chan error, 1)
	go func() { done <- web.Serve(l) }()
	d.url = "http://" + l.Addr().String()
	d.show.Line("Server", "listens on %s", d.url)
	return sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		err := errors.Join(web.Shutdown(ctx), server.Shutdown(ctx))
		<-done
		return err
	}), nil
}

func (d *demo) newActor(name string) *actor {
	a := &actor{name: name, events: make(chan peersox.Event, 100), inbox: make(chan []byte, 10_000)}
	a.client = peersox.NewClient(peersox.ClientConfig{
		URL: d.url, Seal: true, Loopback: true, NoUpgrade: true, Logger: d.logger.With("who", name),
		OnEvent: func(e peersox.Event) {
			m, ok := e.(peersox.Message)
			if !ok {
				a.events <- e
				return
			}
			all := [][]byte{m.Data}
			if d.meddle != nil {
				all = d.meddle(m.Data)
			}
			for _, data := range all {
				a.inbox <- data
			}
		},
	})
	return a
}

// pair has the two meet.
func (d *demo) pair(ctx context.Context) error {
	began := time.Now()
	p, err := d.ada.client.InitPairing(ctx)
	if err != nil {
		return err
	}
	d.ada.connected = true
	d.show.Line("Ada", "asks for a pairing, and gets the code %s, in %s; she adds a secret", p.Code, ms(time.Since(began)))
	began = time.Now()
	if _, err := d.ben.client.Pair(ctx, p.Text()); err != nil {
		return err
	}
	d.ben.connected = true
	for _, a := range []*actor{d.ada, d.ben} {
		if err := await[peersox.PeerConnected](ctx, d, a); err != nil {
			return err
		}
	}
	if !d.ada.client.Status().Sealed || !d.ben.client.Status().Sealed {
		return errors.New("the pairing is not sealed")
	}
	d.show.Line("Ben", "enters both; the two are connected by way of the server, and sealed, in %s", ms(time.Since(began)))
	return d.say(ctx, d.ada, d.ben, "Hello, I am Ada.")
}

// talk measures round trips.
func (d *demo) talk(ctx context.Context) error {
	trips := make([]time.Duration, d.rounds)
	for i := range trips {
		data := bytes.Repeat([]byte{byte(i)}, 100)
		began := time.Now()
		if err := d.pass(ctx, d.ada, d.ben, data); err != nil {
			return err
		}
		if err := d.pass(ctx, d.ben, d.ada, data); err != nil {
			return err
		}
		trips[i] = time.Since(began)
	}
	slices.Sort(trips)
	d.show.Line("Both", "to and fro %d times: half of them took less than %s, all but 1 %% less than %s",
		d.rounds, ms(trips[len(trips)/2]), ms(trips[len(trips)*99/100]))
	return nil
}

// upgrade has the two connected directly.
func (d *demo) upgrade(ctx context.Context) error {
	began := time.Now()
	errs := make(chan error, 1)
	go func() { errs <- d.ben.client.Upgrade(ctx) }()
	if err := errors.Join(d.ada.client.Upgrade(ctx), <-errs); err != nil {
		return err
	}
	d.show.Line("Both", "have a data channel in %s", ms(time.Since(began)))
	return nil
}

// pour sends many bytes in one message.
func (d *demo) pour(ctx context.Context) error {
	data := make([]byte, d.bulk)
	rand.NewChaCha8([32]byte{}).Read(data)
	began := time.Now()
	if err := d.pass(ctx, d.ben, d.ada, data); err != nil {
		return err
	}
	took := time.Since(began)
	d.show.Line("Ben", "sends %s in one message in %s, %s/s", bytesOf(int64(d.bulk)), ms(took), bytesOf(int64(float64(d.bulk)/took.Seconds())))
	return nil
}

// stumble breaks the data channel when much is on its way.
func (d *demo) stumble(ctx context.Context) error {
	const n = 200
	message := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 10_000+i) }
	for i := range n {
		if i == n/2 {
			d.ada.client.Break()
		}
		if err := d.send(ctx, d.ada, message(i)); err != nil {
			return err
		}
	}
	for i := range n {
		if err := d.hear(ctx, d.ben, message(i)); err != nil {
			return err
		}
	}
	d.show.Line("Ada", "sends %d messages, and the data channel breaks: all arrive all the same", n)
	return d.upgrade(ctx)
}

// say has one tell the other something.
func (d *demo) say(ctx context.Context, from, to *actor, text string) error {
	began := time.Now()
	if err := d.pass(ctx, from, to, []byte(text)); err != nil {
		return err
	}
	d.show.Line(from.name, "to %s: “%s” Heard in %s", to.name, text, ms(time.Since(began)))
	return nil
}

// pass sends a message and waits until it has arrived.
func (d *demo) pass(ctx context.Context, from, to *actor, data []byte) error {
	if err := d.send(ctx, from, data); err != nil {
		return err
	}
	return d.hear(ctx, to, data)
}

func (d *demo) send(ctx context.Context, from *actor, data []byte) error {
	d.sent++
	if err := from.client.Send(ctx, peersox.Binary, data); err != nil {
		return fmt.Errorf("%s cannot send: %w", from.name, err)
	}
	return nil
}

// hear waits for a message.
func (d *demo) hear(ctx context.Context, to *actor, want []byte) error {
	late := time.NewTimer(d.patience)
	defer late.Stop()
	select {
	case got := <-to.inbox:
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s got %d bytes that were not sent like this, or not now", to.name, len(got))
		}
		return nil
	case <-late.C:
		return fmt.Errorf("%s waited %v in vain for a message of %d bytes", to.name, d.patience, len(want))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// await waits for an event.
func await[E peersox.Event](ctx context.Context, d *demo, a *actor) error {
	late := time.NewTimer(d.patience)
	defer late.Stop()
	for {
		select {
		case e := <-a.events:
			if _, ok := e.(E); ok {
				return nil
			}
		case <-late.C:
			return fmt.Errorf("%s waited %v in vain for %T", a.name, d.patience, *new(E))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// part closes the connection, and sees that nothing came that was not awaited.
func (d *demo) part() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	began := time.Now()
	err := errors.Join(d.ada.client.Close(ctx), d.ben.client.Close(ctx))
	for _, a := range []*actor{d.ada, d.ben} {
		if a.connected {
			err = errors.Join(err, await[peersox.ConnectionClosed](ctx, d, a))
		}
		if n := len(a.inbox); n > 0 {
			err = errors.Join(err, fmt.Errorf("%s got %d messages too many", a.name, n))
		}
	}
	d.show.Line("Both", "have parted, in %s", ms(time.Since(began)))
	return err
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }

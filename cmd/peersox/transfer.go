package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/meshpair/meshpair/internal/cli"
	"github.com/meshpair/meshpair/peersox"
)

const (
	// defaultServer is where a server listens that was started without flags.
	defaultServer = "http://127.0.0.1:3000"
	// chunkSize is how many bytes of a file are in one message.
	chunkSize = 256 << 10
	// codeTime is how long the other end has to enter the code, which the server forgets then.
	codeTime = 130 * time.Second
	// maxCode is the longest line with a code, or a link, in bytes.
	maxCode = 4096
	// answerTime is how long the other end may take to say something.
	answerTime = 30 * time.Second
)

// A note is what the two ends of a transfer tell each other, as texts. The receiver begins with Ready; then come the
// sender's Name and Size, the file as bytes, the sender's SHA256, and the receiver's Done. Error may come at any time.
type note struct {
	Ready  bool   `json:"ready,omitempty"`
	Name   string `json:"name,omitempty"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256,omitempty"`
	Done   bool   `json:"done,omitempty"`
	Error  string `json:"error,omitempty"`
}

// A transfer is one end of sending a file.
type transfer struct {
	client *peersox.Client
	events chan peersox.Event
	answer time.Duration
	show   *progress
	sends  bool
}

// newTransfer returns an end that seals the pairings that it makes, or not.
func newTransfer(ctx context.Context, e *cli.Env, to *connection, seal bool) *transfer {
	t := &transfer{events: make(chan peersox.Event), answer: answerTime, show: newProgress(e.Stderr)}
	t.client = peersox.NewClient(peersox.ClientConfig{
		URL: to.server, Seal: seal, Loopback: to.loopback, AllowPlaintext: to.insecure, Logger: e.Logger(),
		OnEvent: func(ev peersox.Event) {
			select {
			case t.events <- ev:
			case <-ctx.Done():
			}
		},
	})
	return t
}

// A connection is what both ends are told of how to reach each other.
type connection struct {
	server             string
	loopback, insecure bool
}

// connectionFlags defines the flags that both ends have.
func connectionFlags(e *cli.Env) *connection {
	c := new(connection)
	e.Flags.StringVar(&c.server, "server", defaultServer, "the `URL` of the server, the same at both ends")
	e.Flags.BoolVar(&c.loopback, "loopback", false, "use 127.0.0.1 only, for two ends on one machine")
	e.Flags.BoolVar(&c.insecure, "insecure", false, insecureUsage)
	return c
}

// flags returns what the other end is to be told.
func (c *connection) flags() (s string) {
	if c.server != defaultServer {
		s = " -server " + c.server
	}
	if c.insecure {
		s += " -insecure"
	}
	return s
}

// link takes the server from a link, unless the user has named one.
func (c *connection) link(text string) {
	if at := strings.LastIndexByte(text, '/'); at > 0 && c.server == defaultServer {
		c.server = strings.TrimSpace(text[:at])
	}
}

// explain says which flag a refused server needs.
func (c *connection) explain(err error) error {
	if errors.Is(err, peersox.ErrPlaintext) {
		return fmt.Errorf("-server %s is not encrypted: use https://, or say -insecure", c.server)
	}
	return err
}

// insecureUsage is what the flag -insecure does (SEC-31).
const insecureUsage = "reach a server on another machine by an http:// URL too, without encryption"

// trusting is how a transfer without a secret is labelled.
const trusting = "trusting the server, which could read or change it"

var (
	errStranger = errors.New("the other end is not peersox send or receive, or one of another version")
	errNobody   = errors.New("nobody has entered the code in time")
	errLost     = errors.New("the connection was lost")
	errAnswer   = errors.New("the other end says nothing more")
)

// lost says why there is no connection any more, in one line.
func lost(e peersox.ConnectionClosed) error {
	if e.Err != nil {
		return fmt.Errorf("%w: %w", errLost, e.Err)
	}
	return errLost
}

// An otherError is what the other end has said of a failure.
type otherError struct{ text string }

func (e *otherError) Error() string { return "the other end: " + printable(e.text) }

// explain says that it was the user who ended it, or what the two users have to do about a pairing that is sealed at one
// end alone, or by two secrets.
func (t *transfer) explain(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case errors.Is(err, peersox.ErrSecret):
		return fmt.Errorf("%w; nothing was sent. Somebody else may have used the code, or the server is between you: try again", err)
	case errors.Is(err, peersox.ErrUnsealed) && t.sends:
		return fmt.Errorf("%w; nothing was sent. The other end needs the whole code with its secret: try again", err)
	case errors.Is(err, peersox.ErrUnsealed): // no word of going on without: it may be somebody else who is not sealed
		return fmt.Errorf("%w; nothing came. If the sender has said -code-only, its code is six digits without a secret; if not, "+
			"somebody else is in its place. The sender has to begin again, best without -code-only: enter what it shows then", err)
	case errors.Is(err, peersox.ErrNoSecret) && t.sends:
		return fmt.Errorf("%w; nothing was sent. A code with a secret was entered, and with -code-only there is none: "+
			"try again without -code-only, or have the six digits alone entered that are shown then", err)
	case errors.Is(err, peersox.ErrNoSecret):
		return fmt.Errorf("%w: enter the whole code, not its six digits alone; the sender has to begin again", err)
	}
	return err
}

// paired waits for the other end.
func (t *transfer) paired(ctx context.Context, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case e := <-t.events:
			switch e := e.(type) {
			case peersox.PeerConnected:
				return nil
			case peersox.ConnectionClosed:
				return lost(e)
			}
		case <-timer.C:
			return errNobody
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// message waits for the next message.
func (t *transfer) message(ctx context.Context, patience time.Duration) (peersox.Message, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case e := <-t.events:
			switch e := e.(type) {
			case peersox.Message:
				return e, nil
			case peersox.ConnectionClosed:
				return peersox.Message{}, lost(e)
			}
		case <-timer.C:
			return peersox.Message{}, errAnswer
		case <-ctx.Done():
			return peersox.Message{}, ctx.Err()
		}
	}
}

// watch waits for a note, or the end of the connection, or until it is stopped.
func (t *transfer) watch(stop <-chan struct{}) (*note, error) {
	for {
		select {
		case e := <-t.events:
			switch e := e.(type) {
			case peersox.Message:
				n, err := parseNote(e)
				return &n, err
			case peersox.ConnectionClosed:
				return nil, lost(e)
			}
		case <-stop:
			return nil, nil
		}
	}
}

// note waits for what the other end says.
func (t *transfer) note(ctx context.Context) (note, error) {
	m, err := t.message(ctx, t.answer)
	if err != nil {
		return note{}, err
	}
	return parseNote(m)
}

func parseNote(m peersox.Message) (n note, err error) {
	switch {
	case m.Kind != peersox.Text || json.Unmarshal(m.Data, &n) != nil:
		return note{}, errStranger
	case n.Error != "":
		return note{}, &otherError{n.Error}
	}
	return n, nil
}

func (t *transfer) tell(ctx context.Context, n note) error {
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return t.client.Send(ctx, peersox.Text, b)
}

// close closes the connection, and hears of events no more.
func (t *transfer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.client.Close(ctx)
	}()
	for {
		select {
		case <-t.events:
		case <-done:
			return
		}
	}
}

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
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

const sendHelp = `Usage: peersox send [flags] FILE

Sends a file to another machine. It prints a line to be entered there, "peersox receive CODE-SECRET",
within two minutes. Both need a server that both reach ("peersox serve"); where the network lets
them, the bytes go from one to the other directly.

The transfer is sealed by the secret, which the server never gets: whoever runs it, or is on the way,
can neither read nor change the file, nor its name. Who has the whole line can take the file in the
receiver's place, so pass it on by a way that you trust. With -code-only there is a code of six
digits and no secret, short enough to be read aloud, and the server is trusted.
`

func sendCommand(ctx context.Context, e *cli.Env, args []string) error {
	to := connectionFlags(e)
	codeOnly := e.Flags.Bool("code-only", false, "make a code without a secret, and trust the server with the file")
	path, err := e.ParseOne(args, "FILE", sendHelp)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := newTransfer(ctx, e, to, !*codeOnly)
	t.sends = true
	defer t.close()
	p, err := t.client.InitPairing(ctx)
	if err != nil {
		return to.explain(err)
	}
	label := "On the other machine, enter all of this (sealed: the server cannot read the file):"
	if *codeOnly {
		label = fmt.Sprintf("The code is %s (%s). On the other machine:", p.Code, trusting)
	}
	fmt.Fprintf(e.Stdout, "%s\n\n  peersox receive%s %s\n\n", label, to.flags(), p.Text())
	if err := t.send(ctx, file, info.Name(), info.Size()); err != nil {
		return t.explain(ctx, err)
	}
	fmt.Fprintf(e.Stdout, "%s has arrived.\n", printable(info.Name()))
	return nil
}

// send is the sender's part.
func (t *transfer) send(ctx context.Context, file io.Reader, name string, size int64) error {
	if err := t.paired(ctx, codeTime); err != nil {
		return err
	}
	if n, err := t.note(ctx); err != nil {
		return err
	} else if !n.Ready {
		return errStranger
	}
	if err := t.tell(ctx, note{Name: name, Size: size}); err != nil {
		return err
	}
	t.show.begin(name, size)
	defer t.show.end()
	sum := sha256.New()
	if err := t.pour(ctx, io.TeeReader(io.LimitReader(file, size), sum), size); err != nil {
		return err
	}
	if err := t.tell(ctx, note{SHA256: hex.EncodeToString(sum.Sum(nil))}); err != nil {
		return err
	}
	n, err := t.note(ctx)
	if err == nil && !n.Done {
		err = errStranger
	}
	return err
}

// pour sends the bytes of the file. What the other end says meanwhile, or that it is gone, ends it.
func (t *transfer) pour(ctx context.Context, file io.Reader, size int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(watched)
		if n, err := t.watch(stop); err != nil {
			cancel(err)
		} else if n != nil {
			cancel(errStranger)
		}
	}()
	defer func() { close(stop); <-watched; cancel(nil) }()
	buf := make([]byte, chunkSize)
	for sent := int64(0); sent < size; {
		n, err := io.ReadFull(file, buf[:min(chunkSize, size-sent)])
		if err != nil {
			return fmt.Errorf("the file has become shorter: %w", err)
		}
		if err := t.client.Send(ctx, peersox.Binary, buf[:n]); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return err
		}
		sent += int64(n)
		t.show.at(sent)
	}
	return nil
}

// trusting is how a transfer without a secret is labelled.
const trusting = "trusting the server, which could read or change it"

const receiveHelp = `Usage: peersox receive [flags] CODE

Fetches the file that another machine sends with "peersox send FILE", which prints the code. The file
keeps its name, and no file is ever overwritten: if there is one of that name, the new one gets a
number. It appears when all of it is there and its SHA-256 is right.

The CODE is six digits with a secret, such as 123456-mppair1…, or a link that ends so,
https://SERVER/123456#mppair1…, whose server is then asked unless -server names another one. The
transfer is sealed then. By six digits alone the server is trusted, and it is said so. With - the CODE
is read from standard input, where it is kept from other users of this machine.
`

func receiveCommand(ctx context.Context, e *cli.Env, args []string) error {
	to := connectionFlags(e)
	dir := e.Flags.String("dir", ".", "the `FOLDER` in which to put the file")
	text, err := e.ParseOne(args, "CODE", receiveHelp)
	if err != nil {
		return err
	}
	if text == "-" {
		line, err := cli.ReadLine(bufio.NewReader(e.Stdin), maxCode)
		if err != nil {
			return fmt.Errorf("no code on standard input: %w", err)
		}
		text = string(line)
	}
	_, secret, err := peersox.ParseCode(text) // SEC-40: before the server is asked anything
	if err != nil {
		return err
	}
	to.link(text)
	if info, err := os.Stat(*dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is no folder", *dir)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if secret == "" {
		fmt.Fprintf(e.Stderr, "Without a secret: %s.\n", trusting)
	}
	t := newTransfer(ctx, e, to, false)
	defer t.close()
	if _, err := t.client.Pair(ctx, text); err != nil {
		return to.explain(err)
	}
	path, err := t.receive(ctx, *dir)
	if err != nil {
		return t.explain(ctx, err)
	}
	fmt.Fprintf(e.Stdout, "%s\n", printable(path))
	return nil
}

// receive is the receiver's part. It returns the path of the file.
func (t *transfer) receive(ctx context.Context, dir string) (path string, err error) {
	if err := t.paired(ctx, answerTime); err != nil {
		return "", err
	}
	if err := t.tell(ctx, note{Ready: true}); err != nil {
		return "", err
	}
	n, err := t.note(ctx)
	if err != nil {
		return "", err
	}
	if n.Name == "" || n.Size < 0 {
		return "", errStranger
	}
	defer func() {
		if err != nil && ctx.Err() == nil {
			t.tell(ctx, note{Error: "the receiver cannot keep the file"})
		}
	}()
	tmp, err := os.CreateTemp(dir, ".peersox-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	t.show.begin(n.Name, n.Size)
	defer t.show.end()
	sum := sha256.New()
	if err := t.drain(ctx, io.MultiWriter(tmp, sum), n.Size); err != nil {
		return "", err
	}
	if err := t.verify(ctx, sum); err != nil {
		return "", err
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return "", err
	}
	if path, err = place(tmp.Name(), dir, safeName(n.Name)); err != nil {
		return "", err
	}
	return path, t.tell(ctx, note{Done: true})
}

// drain takes the bytes of the file.
func (t *transfer) drain(ctx context.Context, w io.Writer, size int64) error {
	for got := int64(0); got < size; {
		m, err := t.message(ctx, t.answer)
		if err != nil {
			return err
		}
		if m.Kind != peersox.Binary {
			_, err := parseNote(m)
			return errors.Join(errStranger, err)
		}
		if got += int64(len(m.Data)); got > size || len(m.Data) == 0 {
			return errStranger
		}
		if _, err := w.Write(m.Data); err != nil {
			return err
		}
		t.show.at(got)
	}
	return nil
}

var errSum = errors.New("what came is not what was sent: its SHA-256 is wrong")

// verify compares the checksums.
func (t *transfer) verify(ctx context.Context, sum hash.Hash) error {
	n, err := t.note(ctx)
	if err == nil && n.SHA256 != hex.EncodeToString(sum.Sum(nil)) {
		err = errSum
	}
	return err
}

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

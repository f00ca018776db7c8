package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/meshpair/meshpair/internal/cli"
	"github.com/meshpair/meshpair/netflux"
)

// maxChatLine is how much of a line is sent and shown, in bytes.
const maxChatLine = 8 << 10

// maxPending is how many lines are read before there is a group to send them to.
const maxPending = 100

const chatHelp = `Usage: netflux chat [-key KEY] [-signaling URL] [flags]

Sends the lines that you type to all who are in the group with the same key and the same signaling
server, and shows what they say. Ctrl-C or the end of the input leaves. Without a key it
makes one that nobody guesses. For example, each in a terminal of its own:

  sigver                        # the signaling server (go run ./cmd/sigver)
  netflux chat -key chat
  netflux chat -key chat

conformance/originals/chat.html, with the original library in a browser, takes part by the same key.

Lines that begin with a slash are commands:

`

// A chat is a group and the terminal in front of it.
type chat struct {
	url, key string
	made     bool // the key is new
	sealed   bool
	group    *netflux.Group
	left     chan struct{} // closed when that has been told

	invitations sync.WaitGroup

	mu    sync.Mutex // guards the fields below, and the order of what is printed
	out   io.Writer
	names map[uint32]string // of members, this one included
	self  uint32
	in    bool // it has been in the group
	down  bool // the signaling server is lost, and that has been told
	over  bool // leaving has begun; all that follows from it goes without saying
}

func chatCommand(ctx context.Context, e *cli.Env, args []string) error {
	c := &chat{out: e.Stdout, names: make(map[uint32]string), left: make(chan struct{})}
	var servers ice
	var loopback, insecure bool
	var sealing secretFlags
	e.Flags.StringVar(&c.key, "key", "", "`KEY` of the group; if it is left out, a new one is made and printed")
	e.Flags.StringVar(&c.url, "signaling", "ws://127.0.0.1:8000", "`URL` of the signaling server, ws:// or wss://")
	e.Flags.BoolVar(&loopback, "loopback", false, "use 127.0.0.1 only, for a group on one machine")
	e.Flags.BoolVar(&insecure, "insecure", false, insecureUsage)
	sealing.add(e.Flags)
	iceFlag(e.Flags, &servers)
	if err := e.Parse(keyless(args), chatHelp+chatCommands); err != nil {
		return err
	}
	secret, err := sealing.read(e.Stdin)
	if err != nil {
		return e.Wrong("%v", err)
	}
	c.sealed = secret != ""
	c.group = netflux.New(netflux.Config{
		SignalingURL: c.url, Secret: secret, Loopback: loopback, AllowPlaintext: insecure, ICEServers: servers.servers(), OnEvent: c.event, Logger: e.Logger(),
	})
	if c.key == "" {
		c.key, c.made = netflux.NewKey(), true
	}
	err = c.run(ctx, e.Stdin)
	switch {
	case errors.Is(err, netflux.ErrKey):
		return e.Wrong("%v; choose another -key", err)
	case errors.Is(err, netflux.ErrSecretText):
		return e.Wrong("%v", err)
	case errors.Is(err, netflux.ErrPlaintext):
		return e.Wrong("-signaling %s is not encrypted: use wss://, or say -insecure", c.url)
	case errors.Is(err, netflux.ErrNoSignaling):
		return e.Wrong("-signaling must be ws://HOST:PORT or wss://HOST:PORT, not %q", c.url)
	}
	return err
}

// keyless has a flag -key without a value mean no key. A key that begins with - is written -key=KEY.
func keyless(args []string) []string {
	var all []string
	for i, a := range args {
		if (a == "-key" || a == "--key") && (i+1 == len(args) || strings.HasPrefix(args[i+1], "-")) {
			a += "="
		}
		all = append(all, a)
	}
	return all
}

// run chats until the input or ctx ends.
func (c *chat) run(ctx context.Context, stdin io.Reader) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	joined := make(chan error, 1)
	go func() {
		joined <- c.group.Join(ctx, c.key)
		close(joined)
	}()
	lines := make(chan string)
	go c.read(ctx, stdin, lines)
	err := c.talk(ctx, lines, joined)
	c.invitations.Wait() // they end with ctx
	stop()
	if failure, ok := <-joined; ok {
		err = failure
	}
	var ended *netflux.JoinError // by ctx: as long as that lives, joining is tried again and again
	if err != nil && !errors.As(err, &ended) {
		return err
	}
	leaving, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := c.group.Leave(leaving); err != nil {
		return fmt.Errorf("leaving: %w", err)
	}
	<-c.left // is told last
	return nil
}

// read reads what is typed.
func (c *chat) read(ctx context.Context, r io.Reader, lines chan<- string) {
	defer close(lines)
	in := bufio.NewReader(r)
	for {
		line, err := cli.ReadLine(in, maxChatLine)
		if err == io.EOF {
			return
		}
		text := strings.TrimSuffix(strings.ToValidUTF8(string(line), "\uFFFD"), "\r")
		switch {
		case err != nil:
			c.note("not sent: %v", err)
			continue
		case text == "":
			continue
		}
		select {
		case lines <- text:
		case <-ctx.Done():
			return
		}
	}
}

// talk sends the lines, those that come before the group is joined when it is. It returns when the lines or ctx have
// ended, or with the error of joining.
func (c *chat) talk(ctx context.Context, lines <-chan string, joined <-chan error) error {
	var pending []string
	inside, ended := false, false
	for {
		in := lines
		if ended || len(pending) == maxPending {
			in = nil
		}
		select {
		case <-ctx.Done():
			if len(pending) > 0 {
				c.note("%s not sent", count(len(pending), "line"))
			}
			return nil
		case err := <-joined:
			if err != nil {
				return err
			}
			inside, joined = true, nil
		case line, ok := <-in:
			switch {
			case !ok:
				ended = true
			case urgent(line):
				c.enter(ctx, line)
			default:
				pending = append(pending, line)
			}
		}
		if inside {
			for _, line := range pending {
				c.enter(ctx, line)
			}
			pending = nil
		}
		switch {
		case ended && len(pending) == 0:
			return nil
		case ended:
			c.note("what you typed is sent as soon as the group is joined; Ctrl-C gives up")
		}
	}
}

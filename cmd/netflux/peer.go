package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/meshpair/meshpair/internal/cli"
	"github.com/meshpair/meshpair/netflux"
)

// maxLine is the longest line of input, in bytes.
const maxLine = 16 << 20

// maxWaiting is how many commands are read while one is under way, so that leaving can end a join.
const maxWaiting = 64

// leaveTimeout is how long it may take to leave when the input has ended.
const leaveTimeout = 10 * time.Second

const peerHelp = `Usage: netflux peer [flags]

Runs one member of a group, steered by one JSON object per line on standard input, and writes
what happens as one JSON object per line to standard output. It leaves the group and ends when its
input ends. The commands and events are in SPEC.md, appendix "Peer drivers". For example:

  {"cmd":"join","signaling":"ws://127.0.0.1:8000","key":"our key","loopback":true}
  {"cmd":"send","text":"hello"}
`

// A request is a line of input.
type request struct {
	Cmd        string       `json:"cmd"`
	N          *json.Number `json:"n"`
	Signaling  string       `json:"signaling"`
	Key        *string      `json:"key"`
	Secret     string       `json:"secret"`
	Identity   string       `json:"identity"`
	Allow      []string     `json:"allow"`
	ICE        ice          `json:"ice"`
	RelayOnly  bool         `json:"relayOnly"`
	AutoRejoin *bool        `json:"autoRejoin"`
	Loopback   bool         `json:"loopback"`
	To         uint32       `json:"to"`
	Member     uint32       `json:"member"`
	Group      uint32       `json:"group"`
	URL        string       `json:"url"`
	Text       *string      `json:"text"`
	Base64     *[]byte      `json:"base64"`

	joining context.Context // ends a join, when a leave or the end of the input follows
}

// An object is a line of output.
type object map[string]any

// An output is where a driver writes its events.
type output struct {
	mu sync.Mutex
	w  *json.Encoder
}

func newOutput(w io.Writer) *output {
	o := &output{w: json.NewEncoder(w)}
	o.w.SetEscapeHTML(false)
	return o
}

func (w *output) emit(o object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.w.Encode(o)
}

// errUnknown is of a command that this driver does not have.
var errUnknown = errors.New("unknown command")

// answer writes the answer to a command.
func (w *output) answer(req request, o object, err error) {
	if err != nil {
		o = object{"event": "error", "message": err.Error()}
		if errors.Is(err, errUnknown) {
			o["unsupported"] = true // DRV-1
		}
		if why := reason(err); why != "" {
			o["reason"] = why
		}
	}
	if req.N != nil && *req.N != "" { // "" stands for what is no number
		o["n"] = *req.N
	}
	w.emit(o)
}

// requests reads commands, and answers lines that are none, until the input has ended or do returns false.
func (w *output) requests(r io.Reader, do func(request) bool) {
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := cli.ReadLine(in, maxLine)
		if err == io.EOF {
			return
		}
		var req request
		if err == nil && len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if err == nil {
			err = json.Unmarshal(line, &req)
		}
		if err != nil {
			w.answer(req, nil, fmt.Errorf("malformed line: %w", err)) // DRV-2
		} else if !do(req) {
			return
		}
	}
}

// A driven peer is a group and those who steer it.
type driven struct {
	*output
	log *slog.Logger

	insecure bool

	stop context.CancelFunc // ends the joins that were read; owned by read

	invitations sync.WaitGroup

	mu      sync.Mutex
	group   *netflux.Group // set by work, which needs no lock to read it
	told    netflux.State  // the last one that was written
	changed chan struct{}  // closed at the next one
}

func peerCommand(ctx context.Context, e *cli.Env, args []string) error {
	insecure := e.Flags.Bool("insecure", false, insecureUsage)
	if err := e.Parse(args, peerHelp); err != nil {
		return err
	}
	d := &driven{output: newOutput(e.Stdout), log: e.Logger(), insecure: *insecure, told: netflux.Left, changed: make(chan struct{})}
	d.emit(object{"event": "ready"})

	lines := make(chan request, maxWaiting)
	go d.read(ctx, e.Stdin, lines)
	d.work(ctx, lines, func(ctx context.Context, req request) (object, error) { return object{"event": "ok"}, d.do(ctx, req) })
	if d.group == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	err := d.group.Leave(ctx) // DRV-3
	d.invitations.Wait()      // leaving has ended them
	d.await(netflux.Left)
	return err
}

// read reads the input. Status is answered at once, and leaving ends a join under way; all else is left to work.
func (d *driven) read(ctx context.Context, r io.Reader, lines chan<- request) {
	defer close(lines)
	var joining context.Context
	joining, d.stop = context.WithCancel(ctx)
	defer func() { d.stop() }()
	d.requests(r, func(req request) bool {
		req.joining = joining
		switch req.Cmd {
		case "status":
			d.answer(req, d.status(), nil)
			return true
		case "leave":
			d.stop()
			joining, d.stop = context.WithCancel(ctx)
		}
		select {
		case lines <- req:
			return true
		case <-ctx.Done():
			return false
		}
	})
}

// work carries out commands one after the other, until there are no more or ctx ends.
func (w *output) work(ctx context.Context, lines <-chan request, do func(context.Context, request) (object, error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case req, ok := <-lines:
			if !ok {
				return
			}
			o, err := do(ctx, req)
			w.answer(req, o, err)
		}
	}
}

// do carries out a command.
func (d *driven) do(ctx context.Context, req request) error {
	switch req.Cmd {
	case "join":
		return d.join(req)
	case "send", "sendTo", "invite", "drop", "block", "unblock", "blackhole", "leave":
	case "":
		return errors.New("a command needs \"cmd\"")
	default:
		return fmt.Errorf("%w %q", errUnknown, req.Cmd)
	}
	switch {
	case d.group == nil && req.Cmd == "leave":
		return nil
	case d.group == nil:
		return errors.New("join first")
	case req.Cmd == "invite":
		g := d.group
		d.invitations.Go(func() { d.invite(ctx, g, req.URL) })
		return nil
	case req.Cmd == "leave":
		err := d.group.Leave(ctx)
		d.await(netflux.Left)
		return err
	case req.Cmd == "drop":
		return d.group.Drop(req.Member)
	case req.Cmd == "block":
		return d.group.Block(req.Member)
	case req.Cmd == "blackhole":
		return d.group.Blackhole(req.Member)
	case req.Cmd == "unblock":
		d.group.Unblock(req.Member)
		return nil
	}
	return req.send(ctx, d.group)
}

// content returns what a command sends.
func (req request) content() (netflux.Kind, []byte, error) {
	switch {
	case (req.Text == nil) == (req.Base64 == nil):
		return 0, nil, fmt.Errorf("%s needs \"text\" or \"base64\"", req.Cmd)
	case req.Text != nil:
		return netflux.Text, []byte(*req.Text), nil
	default:
		return netflux.Binary, *req.Base64, nil
	}
}

// send carries out a command that sends.
func (req request) send(ctx context.Context, g *netflux.Group) error {
	kind, data, err := req.content()
	switch {
	case err != nil:
		return err
	case req.Cmd == "send":
		return g.Send(ctx, kind, data)
	default:
		return g.SendTo(ctx, req.To, kind, data)
	}
}

func (d *driven) join(req request) error {
	if d.group != nil {
		if d.group.State() != netflux.Left {
			return netflux.ErrInGroup
		}
		d.await(netflux.Left)
	}
	var identity *netflux.Identity
	if req.Identity != "" {
		var err error
		if identity, err = netflux.ParseIdentity(req.Identity); err != nil {
			return err
		}
	}
	cfg := netflux.Config{
		SignalingURL:    req.Signaling,
		Secret:          netflux.Secret(req.Secret),
		Identity:        identity,
		AllowIdentities: req.Allow,
		AllowPlaintext:  d.insecure,
		ICEServers:      req.ICE.servers(),
		RelayOnly:       req.RelayOnly,
		Loopback:        req.Loopback,
		NoRejoin:        req.AutoRejoin != nil && !*req.AutoRejoin,
		OnEvent:         d.event,
		Logger:          d.log,
	}
	key := netflux.NewKey()
	if req.Key != nil {
		key = *req.Key
	}
	g := netflux.New(cfg)
	d.mu.Lock()
	d.group = g
	d.mu.Unlock()
	if err := g.Join(req.joining, key); err != nil {
		if g.State() == netflux.Left {
			d.await(netflux.Left)
		}
		return err
	}
	d.await(netflux.Joined)
	return nil
}

// invite invites a bot. Its joining is told like that of any member, its not doing so as an error.
func (d *driven) invite(ctx context.Context, g *netflux.Group, url string) {
	if err := g.Invite(ctx, url); err != nil {
		d.answer(request{}, nil, fmt.Errorf("invite %s: %w", url, err))
	}
}

// await waits until a state has been written, so that the answer to a command comes after it.
func (d *driven) await(s netflux.State) {
	for {
		d.mu.Lock()
		told, changed := d.told, d.changed
		d.mu.Unlock()
		if told == s || d.group.State() != s {
			return
		}
		<-changed
	}
}

func (d *driven) status() object {
	d.mu.Lock()
	g := d.group
	d.mu.Unlock()
	if g == nil {
		g = netflux.New(netflux.Config{})
	}
	return statusOf(g)
}

// statusOf tells all about a group.
func statusOf(g *netflux.Group) object {
	ids := func(ids []uint32) []uint32 { return append([]uint32{}, ids...) } // never null
	o := object{
		"event": "status", "state": g.State().String(), "signaling": g.SignalingState().String(),
		"id": g.ID(), "group": g.GroupID(), "key": g.Key(),
		"members": ids(g.Members()), "neighbors": ids(g.Neighbors()),
	}
	if known := g.Identities(); known != nil { // SEC-25
		o["identities"] = known
	}
	return o
}

// event writes what happened in the group.
func (d *driven) event(e netflux.Event) {
	if o := eventObject(e); o != nil {
		d.emit(o)
	}
	switch e := e.(type) {
	case netflux.StateChanged:
		d.mu.Lock()
		d.told = e.State
		close(d.changed)
		d.changed = make(chan struct{})
		d.mu.Unlock()
	case netflux.ConnectFailed:
		d.log.Info("no direct channel", "member", e.ID, "reason", e.Err)
	}
}

// reason is the name under which a driver tells why there is no contact with a member of a sealed group, "" for all else
// (SEC-28).
func reason(err error) string {
	for _, r := range []struct {
		err  error
		name string
	}{{netflux.ErrSecret, "secret"}, {netflux.ErrIdentity, "identity"}, {netflux.ErrNotListed, "list"}, {netflux.ErrUnsealed, "unsealed"}} {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return ""
}

// leaving is the name under which a driver tells why a member is gone (SEC-28, SEC-34).
func leaving(err error) string {
	switch why := reason(err); {
	case err == nil:
		return "left"
	case why != "":
		return why
	}
	return "lost"
}

// eventObject returns the line for an event, nil if it has none.
func eventObject(e netflux.Event) object {
	switch e := e.(type) {
	case netflux.Message:
		if e.Kind == netflux.Text {
			return object{"event": "message", "from": e.From, "text": string(e.Data)}
		}
		return object{"event": "message", "from": e.From, "base64": append([]byte{}, e.Data...)} // never null
	case netflux.MemberJoined:
		return object{"event": "join", "member": e.ID}
	case netflux.MemberLeft:
		return object{"event": "leave", "member": e.ID, "reason": leaving(e.Err)}
	case netflux.StateChanged:
		return object{"event": "state", "state": e.State.String()}
	case netflux.SignalingChanged:
		return object{"event": "signaling", "state": e.State.String()}
	case netflux.MessageRefused:
		return object{"event": "error", "message": fmt.Sprintf("a message from %d was refused: %v", e.From, e.Err)}
	case netflux.ConnectFailed:
		if why := reason(e.Err); why != "" {
			return object{"event": "refused", "member": e.ID, "reason": why}
		}
	case netflux.IdentityDisputed:
		return object{"event": "disputed", "member": e.ID, "known": e.Known, "knownBy": e.KnownBy, "other": e.Other, "otherBy": e.OtherBy}
	case netflux.ICEServerFailed:
		return object{"event": "error", "message": fmt.Sprintf("ICE server %s: %v", e.URL, e.Err)}
	}
	return nil
}

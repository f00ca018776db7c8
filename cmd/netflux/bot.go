package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshpair/meshpair/internal/cli"
	"github.com/meshpair/meshpair/netflux"
)

const botHelp = `Usage: netflux bot -listen HOST:PORT [-url URL] [-signaling URL] [-echo] [flags]

Listens for WebSockets of members of Netflux groups, and joins every group to which one of them invites
it; where all others have left it leaves. It runs until its input ends, unless -no-input is given, or
it is told to end (SIGTERM, Ctrl-C), and leaves its groups before.

What happens is written to standard output, one JSON object per line, each with the group's id. The
first is {"event":"ready","url":URL}. The commands send, sendTo, status and leave may be given as
JSON lines on standard input, with the group. All is in SPEC.md, appendix "Peer drivers". For example:

  netflux bot -listen 127.0.0.1:9000 -signaling ws://127.0.0.1:8000 -echo -loopback
  {"cmd":"send","group":3405691582,"text":"hello"}
`

// Limits on what a stranger may send before its WebSocket is open.
const (
	readHeaderTimeout = 10 * time.Second
	maxHeaderBytes    = 16 << 10
)

// A botDriver is a bot and those who steer it.
type botDriver struct {
	*output
	log  *slog.Logger
	bot  *netflux.Bot
	echo bool

	mu      sync.Mutex
	ids     map[*netflux.Group]uint32 // the last that was seen, of each group until it is written that it has been left
	changed chan struct{}             // closed when one is removed
	echoes  map[parcel]int            // that are expected
}

// A parcel is what was sent on command and addressed to one member. What comes back like it is an echo: it is not sent back once
// more, or two bots would go on for ever.
type parcel struct {
	group *netflux.Group
	to    uint32
	kind  netflux.Kind
	sum   [sha256.Size]byte // of the content
}

func newBotDriver(w io.Writer, log *slog.Logger, echo bool) *botDriver {
	return &botDriver{
		output: newOutput(w), log: log, echo: echo,
		ids: make(map[*netflux.Group]uint32), changed: make(chan struct{}), echoes: make(map[parcel]int),
	}
}

// botFlags are what a bot is told on its command line.
type botFlags struct {
	listen, url, signaling, cert, key string
	echo, noInput, stay, loopback     bool
	insecure                          bool
	maxGroups                         int
	servers                           ice
	identity                          string
	allow                             texts
}

func (b *botFlags) parse(e *cli.Env, args []string) error {
	f := e.Flags
	f.StringVar(&b.listen, "listen", "", "`HOST:PORT` to listen at; port 0 is one that is free (required)")
	f.StringVar(&b.url, "url", "", "`URL` under which members reach it, ws:// or wss://; by default made from -listen")
	f.StringVar(&b.signaling, "signaling", "", "`URL` of the signaling server, ws:// or wss://; by default none, and nobody can join through the bot")
	f.BoolVar(&b.echo, "echo", false, "send back each private message, and to all each text to all, with echo: before it")
	f.StringVar(&b.cert, "cert", "", "PEM `file` with the certificate; with -key it turns on TLS (1.2 or later)")
	f.StringVar(&b.key, "key", "", "PEM `file` with the private key of the certificate")
	f.BoolVar(&b.noInput, "no-input", false, "read no commands, and do not end with the input: to run as a service")
	f.BoolVar(&b.stay, "stay", false, "stay in a group when all others have left; needs -signaling")
	f.IntVar(&b.maxGroups, "max-groups", netflux.DefaultMaxGroups, "refuse invitations when in `N` groups")
	f.BoolVar(&b.loopback, "loopback", false, "use 127.0.0.1 only for data channels, and dial members on this machine only")
	f.BoolVar(&b.insecure, "insecure", false, insecureUsage)
	f.StringVar(&b.identity, "identity", "", "`FILE` with the bot's identity, so that its URL for sealed groups stays the same; made if it is missing.\nIt has the private key in it: let nobody else read it")
	f.Var(&b.allow, "allow", allowUsage)
	iceFlag(f, &b.servers)
	if err := e.Parse(args, botHelp); err != nil {
		return err
	}
	switch {
	case b.listen == "":
		return wrongBot(e, "-listen HOST:PORT is missing")
	case (b.cert == "") != (b.key == ""):
		return wrongBot(e, "-cert and -key belong together")
	case b.maxGroups < 1:
		return wrongBot(e, "-max-groups must be positive, not %d", b.maxGroups)
	case b.stay && b.signaling == "":
		return wrongBot(e, "-stay needs -signaling: without it nobody finds the way back to the bot")
	}
	return nil
}

// wrongBot says what is wrong with the command line.
func wrongBot(e *cli.Env, format string, args ...any) error {
	return e.Wrong(format+"; -h lists the flags", args...)
}

// open listens, with TLS if there is a certificate, and finds out under which URL.
func (b *botFlags) open(e *cli.Env) (net.Listener, error) {
	l, err := net.Listen("tcp", b.listen)
	if err != nil {
		return nil, fmt.Errorf("-listen: %w", err)
	}
	addr, scheme := l.Addr(), "ws://"
	if b.cert != "" {
		pair, err := tls.LoadX509KeyPair(b.cert, b.key)
		if err != nil {
			l.Close()
			return nil, fmt.Errorf("-cert, -key: %w", err)
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}})
		scheme = "wss://"
	}
	if b.url == "" {
		if a, ok := addr.(*net.TCPAddr); ok && a.IP.IsUnspecified() {
			l.Close()
			return nil, wrongBot(e, "-listen %s is all interfaces: -url must say under which URL members reach it", b.listen)
		}
		b.url = scheme + addr.String()
	}
	return l, nil
}

func botCommand(ctx context.Context, e *cli.Env, args []string) error {
	var b botFlags
	if err := b.parse(e, args); err != nil {
		return err
	}
	l, err := b.open(e)
	if err != nil {
		return err
	}
	defer l.Close()
	var identity *netflux.Identity
	if b.identity != "" {
		if identity, err = keptIdentity(b.identity); err != nil {
			return fmt.Errorf("-identity: %w", err)
		}
	}
	d := newBotDriver(e.Stdout, e.Logger(), b.echo)
	if a, ok := l.Addr().(*net.TCPAddr); ok && b.cert == "" && !a.IP.IsLoopback() { // SEC-32
		d.log.Warn("members reach this bot without TLS, unless a proxy does it; -cert and -key turn it on", "address", a)
	}
	d.bot, err = netflux.NewBot(netflux.BotConfig{
		URL: b.url,
		Group: netflux.Config{
			SignalingURL: b.signaling, ICEServers: b.servers.servers(), Loopback: b.loopback, AllowPlaintext: b.insecure, Logger: d.log,
			Identity: identity, AllowIdentities: b.allow,
		},
		OnEvent:   d.event,
		StayAlone: b.stay,
		MaxGroups: b.maxGroups,
	})
	switch {
	case errors.Is(err, netflux.ErrNoSignaling):
		return wrongBot(e, "-signaling must be ws://HOST:PORT or wss://HOST:PORT, not %q", b.signaling)
	case errors.Is(err, netflux.ErrPlaintext):
		return wrongBot(e, "-signaling %s is not encrypted: use wss://, or say -insecure", b.signaling)
	case errors.Is(err, netflux.ErrListen):
		return wrongBot(e, "-url must be ws://HOST:PORT or wss://HOST:PORT, perhaps with a path, not %q", b.url)
	case err != nil:
		return wrongBot(e, "%v", err)
	}
	if b.noInput {
		return d.serve(ctx, nil, l)
	}
	return d.serve(ctx, e.Stdin, l)
}

// serve runs the bot until the context or the input ends, if there is an input.
func (d *botDriver) serve(ctx context.Context, in io.Reader, l net.Listener) error {
	h := &http.Server{
		Handler:           d.bot,
		ReadHeaderTimeout: readHeaderTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),
	}
	h.Protocols.SetHTTP1(true)
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(l) }()
	url, _, _ := strings.Cut(d.bot.URL(), "#")
	d.emit(object{"event": "ready", "url": url, "invite": d.bot.URL()})

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ended chan struct{} // for ever open without an input
	if in != nil {
		ended = make(chan struct{})
		lines := make(chan request, maxWaiting)
		go d.read(ctx, in, lines)
		go func() {
			defer close(ended)
			d.work(ctx, lines, d.do)
		}()
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	case <-ended:
	}
	cancel() // what is being sent
	if ended != nil {
		<-ended
	}
	leaving, stop := context.WithTimeout(context.Background(), leaveTimeout)
	defer stop()
	err = errors.Join(err, d.leave(leaving, d.bot.Shutdown, d.bot.Groups()...))
	h.Close()
	return err
}

// read reads the commands. Status is answered at once, all else is left to work.
func (d *botDriver) read(ctx context.Context, r io.Reader, lines chan<- request) {
	defer close(lines)
	d.requests(r, func(req request) bool {
		if req.Cmd == "status" {
			o, err := d.do(ctx, req)
			d.answer(req, o, err)
			return true
		}
		select {
		case lines <- req:
			return true
		case <-ctx.Done():
			return false
		}
	})
}

// do carries out a command.
func (d *botDriver) do(ctx context.Context, req request) (object, error) {
	switch req.Cmd {
	case "send", "sendTo", "status", "leave":
	case "":
		return nil, errors.New("a command needs \"cmd\"")
	default:
		return nil, fmt.Errorf("%w %q", errUnknown, req.Cmd)
	}
	g := d.group(req.Group)
	ok := object{"event": "ok", "group": req.Group}
	switch {
	case g == nil && req.Cmd == "status":
		o := statusOf(netflux.New(netflux.Config{}))
		o["group"] = req.Group
		return o, nil
	case g == nil:
		return nil, fmt.Errorf("not in the group %d", req.Group)
	case req.Cmd == "status":
		return statusOf(g), nil
	case req.Cmd == "leave":
		return ok, d.leave(ctx, g.Leave, g)
	case d.echo && req.Cmd == "send":
		d.expect(g, req, d.distant(g)...)
	case d.echo:
		d.expect(g, req, req.To)
	}
	return ok, req.send(ctx, g)
}

// leave has groups left by a function, and returns when that has been written, so that it comes before the answer.
func (d *botDriver) leave(ctx context.Context, leave func(context.Context) error, groups ...*netflux.Group) error {
	d.mu.Lock()
	for _, g := range groups {
		if _, known := d.ids[g]; !known && g.State() != netflux.Left { // else it has been written
			d.ids[g] = 0
		}
	}
	d.mu.Unlock()
	err := leave(ctx)
	for {
		d.mu.Lock()
		waiting := slices.ContainsFunc(groups, func(g *netflux.Group) bool { _, known := d.ids[g]; return known })
		changed := d.changed
		d.mu.Unlock()
		if !waiting || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// group returns the group with an id, nil if there is none.
func (d *botDriver) group(id uint32) *netflux.Group {
	for _, g := range d.bot.Groups() {
		if id != 0 && g.GroupID() == id {
			return g
		}
	}
	return nil
}

// event writes what happened in a group, and sends echoes.
func (d *botDriver) event(g *netflux.Group, e netflux.Event) {
	id := g.GroupID()
	d.mu.Lock()
	if id == 0 {
		id = d.ids[g]
	}
	d.ids[g] = id
	d.mu.Unlock()
	if o := eventObject(e); o != nil {
		o["group"] = id
		d.emit(o)
	}
	switch e := e.(type) {
	case netflux.StateChanged:
		if e.State == netflux.Left {
			d.forget(g)
		}
	case netflux.MemberLeft:
		d.mu.Lock()
		d.expectNone(g, e.ID)
		d.mu.Unlock()
	case netflux.ConnectFailed:
		d.log.Info("no direct channel", "group", id, "member", e.ID, "reason", e.Err)
	case netflux.Message:
		if d.echo {
			d.answerMessage(g, e)
		}
	}
}

// forget removes what is kept of a group that has been left.
func (d *botDriver) forget(g *netflux.Group) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.ids, g)
	d.expectNone(g, 0)
	close(d.changed)
	d.changed = make(chan struct{})
}

// expect notes what is about to be sent to members, one by one, and may come back.
func (d *botDriver) expect(g *netflux.Group, req request, to ...uint32) {
	kind, data, err := req.content()
	if err != nil {
		return
	}
	sum := sha256.Sum256(data)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range to {
		d.echoes[parcel{g, id, kind, sum}]++
	}
}

// distant returns the members to which there is no direct channel. What is sent to all is addressed to each of them, and
// they cannot tell it from a private message (MSH-15).
func (d *botDriver) distant(g *netflux.Group) []uint32 {
	direct := append(g.Neighbors(), g.ID())
	return slices.DeleteFunc(g.Members(), func(id uint32) bool { return slices.Contains(direct, id) })
}

// expectNone forgets what was to come back of a member, or of all if that is 0. The lock is held.
func (d *botDriver) expectNone(g *netflux.Group, id uint32) {
	maps.DeleteFunc(d.echoes, func(p parcel, _ int) bool { return p.group == g && (p.to == id || id == 0) })
}

// expected reports whether a private message is one that came back.
func (d *botDriver) expected(g *netflux.Group, m netflux.Message) bool {
	p := parcel{g, m.From, m.Kind, sha256.Sum256(m.Data)}
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.echoes[p]
	if d.echoes[p]--; n <= 1 {
		delete(d.echoes, p)
	}
	return n > 0
}

var echo = []byte("echo:")

// answerMessage sends the echo of a message, but not of an echo, or two bots would go on for ever. It waits until that is
// accepted, so that who sends without end waits, too.
func (d *botDriver) answerMessage(g *netflux.Group, m netflux.Message) {
	ctx, cancel := context.WithTimeout(context.Background(), netflux.DefaultSlowTimeout)
	defer cancel()
	isEcho := m.Kind == netflux.Text && bytes.HasPrefix(m.Data, echo)
	var err error
	switch {
	case isEcho && (!m.Private || slices.Contains(d.distant(g), m.From)):
	case m.Private && !d.expected(g, m):
		err = g.SendTo(ctx, m.From, m.Kind, m.Data)
	case !m.Private && m.Kind == netflux.Text:
		err = g.Send(ctx, m.Kind, slices.Concat(echo, m.Data))
	}
	if err != nil {
		d.log.Warn("no echo", "member", m.From, "reason", err)
	}
}

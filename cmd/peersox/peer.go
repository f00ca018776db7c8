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
	"github.com/meshpair/meshpair/peersox"
)

// maxLine is the longest line of input, in bytes.
const maxLine = 16 << 20

// maxWaiting is how many commands are read while one is under way, so that closing can end a connect.
const maxWaiting = 64

// closeTimeout is how long closing may take when the input has ended.
const closeTimeout = 10 * time.Second

const peerHelp = `Usage: peersox peer [flags]

Runs one side of a pairing, steered by one JSON object per line on standard input, and writes
what happens as one JSON object per line to standard output. It closes the connection and ends when
its input ends. The commands and events are in SPEC.md, appendix "Peer drivers". For example:

  {"cmd":"init","url":"http://127.0.0.1:3000","loopback":true}
  {"cmd":"createPairing"}
  {"cmd":"connect","code":"…","hash":"…"}
  {"cmd":"send","text":"hello"}
`

// A request is a line of input.
type request struct {
	Cmd         string       `json:"cmd"`
	N           *json.Number `json:"n"`
	URL         string       `json:"url"`
	Socket      string       `json:"socket"`
	Loopback    bool         `json:"loopback"`
	AutoUpgrade *bool        `json:"autoUpgrade"`
	PeerTimeout float64      `json:"peerTimeout"` // in seconds
	Store       string       `json:"store"`       // the name of a file
	Seal        bool         `json:"seal"`
	Code        string       `json:"code"`
	Hash        string       `json:"hash"`
	Secret      string       `json:"secret"`
	Text        *string      `json:"text"`
	Base64      *[]byte      `json:"base64"`
}

func (r request) pairing() peersox.Pairing {
	return peersox.Pairing{Code: r.Code, Hash: r.Hash, Secret: peersox.Secret(r.Secret)}
}

// An object is a line of output.
type object map[string]any

// A driven peer is a client and those who steer it.
type driven struct {
	log      *slog.Logger
	insecure bool

	out sync.Mutex
	w   *json.Encoder

	mu     sync.Mutex
	client *peersox.Client // nil before init
	stop   context.CancelFunc
	under  context.Context // ends what is under way, when close or the end of the input follows
	told   map[string]int  // how many events of a name were written
	change chan struct{}   // closed at the next one
}

func peerCommand(ctx context.Context, e *cli.Env, args []string) error {
	insecure := e.Flags.Bool("insecure", false, insecureUsage)
	if err := e.Parse(args, peerHelp); err != nil {
		return err
	}
	d := &driven{log: e.Logger(), insecure: *insecure, w: json.NewEncoder(e.Stdout), told: make(map[string]int), change: make(chan struct{})}
	d.w.SetEscapeHTML(false)
	d.renew(ctx)
	d.emit(object{"event": "ready"})
	lines := make(chan request, maxWaiting)
	go d.read(ctx, e.Stdin, lines)
	d.work(ctx, lines)
	d.renew(context.Background())
	if d.client == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return d.close(ctx)
}

// renew ends what is under way.
func (d *driven) renew(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop != nil {
		d.stop()
	}
	d.under, d.stop = context.WithCancel(ctx)
}

func (d *driven) emit(o object) {
	d.out.Lock()
	defer d.out.Unlock()
	d.w.Encode(o)
}

// errUnknown is of a command that this driver does not have.
var errUnknown = errors.New("unknown command")

// answer writes the answer to a command.
func (d *driven) answer(req request, o object, err error) {
	if err != nil {
		o = object{"event": "error", "message": err.Error()}
		if errors.Is(err, errUnknown) {
			o["unsupported"] = true // DRV-1
		}
	}
	if req.N != nil && *req.N != "" { // "" stands for what is no number
		o["n"] = *req.N
	}
	d.emit(o)
}

// read reads the input. Status is answered at once, and closing ends what is under way; all else is left to work.
func (d *driven) read(ctx context.Context, r io.Reader, lines chan<- request) {
	defer close(lines)
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := cli.ReadLine(in, maxLine)
		if err == io.EOF {
			return
		}
		if err == nil && len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var req request
		if err == nil {
			err = json.Unmarshal(line, &req)
		}
		switch {
		case err != nil:
			d.answer(req, nil, fmt.Errorf("malformed line: %w", err))
			continue
		case req.Cmd == "status":
			d.answer(req, d.status(), nil)
			continue
		case req.Cmd == "close":
			d.renew(ctx)
		}
		select {
		case lines <- req:
		case <-ctx.Done():
			return
		}
	}
}

// work carries out commands one after the other.
func (d *driven) work(ctx context.Context, lines <-chan request) {
	for {
		select {
		case <-ctx.Done():
			return
		case req, ok := <-lines:
			if !ok {
				return
			}
			d.mu.Lock()
			under := d.under
			d.mu.Unlock()
			if req.Cmd == "close" {
				under = ctx
			}
			o, err := d.do(under, req)
			if o == nil {
				o = object{"event": "ok"}
			}
			d.answer(req, o, err)
		}
	}
}

// do carries out a command, and returns its answer, or nil if that is "ok".
func (d *driven) do(ctx context.Context, req request) (object, error) {
	c := d.client
	switch req.Cmd {
	case "init":
		return nil, d.init(ctx, req)
	case "createPairing", "joinPairing", "validate", "connect", "send", "upgrade", "break", "close", "store", "restore", "delete":
	case "":
		return nil, errors.New("a command needs \"cmd\"")
	default:
		return nil, fmt.Errorf("%w %q", errUnknown, req.Cmd)
	}
	if c == nil {
		return nil, errors.New("init first")
	}
	switch req.Cmd {
	case "createPairing":
		return pairingObject(c.CreatePairing(ctx))
	case "joinPairing":
		return pairingObject(c.JoinPairing(ctx, req.Code))
	case "validate":
		valid, err := c.Validate(ctx, req.pairing())
		return object{"event": "valid", "valid": valid}, err
	case "connect":
		return nil, d.telling("connectionEstablished", func() error { return c.Connect(ctx, req.pairing()) })
	case "upgrade":
		return nil, d.telling("upgraded", func() error { return c.Upgrade(ctx) })
	case "break":
		c.Break()
		return nil, nil
	case "close":
		return nil, d.close(ctx)
	case "store":
		return nil, c.StorePairing(req.pairing())
	case "restore":
		p, err := c.RestorePairing(ctx)
		if errors.Is(err, peersox.ErrNoPairing) {
			return object{"event": "pairing"}, nil
		}
		return pairingObject(p, err)
	case "delete":
		return nil, c.DeletePairing()
	}
	return nil, req.send(ctx, c)
}

func pairingObject(p peersox.Pairing, err error) (object, error) {
	o := object{"event": "pairing", "code": p.Code, "hash": p.Hash}
	if p.Secret != "" {
		o["secret"] = string(p.Secret) // who steers it has to tell the other end
	}
	return o, err
}

func (d *driven) init(ctx context.Context, req request) error {
	if d.client != nil {
		if err := d.close(ctx); err != nil {
			return err
		}
	}
	c := peersox.NewClient(peersox.ClientConfig{
		URL: req.URL, SocketURL: req.Socket, Seal: req.Seal, AllowPlaintext: d.insecure, Loopback: req.Loopback, Logger: d.log, OnEvent: d.event,
		NoUpgrade:   req.AutoUpgrade != nil && !*req.AutoUpgrade,
		PeerTimeout: time.Duration(req.PeerTimeout * float64(time.Second)),
		Pairings:    peersox.PairingFile(req.Store),
	})
	d.mu.Lock()
	d.client = c
	d.mu.Unlock()
	return d.telling("serverReady", func() error { return c.Init(ctx) })
}

// telling does what brings an event, and waits until that has been written, so that the answer comes after it.
func (d *driven) telling(event string, f func() error) error {
	d.mu.Lock()
	before := d.told[event]
	d.mu.Unlock()
	was := d.client.Status()
	if err := f(); err != nil || event == "upgraded" && was.WebRTC {
		return err
	}
	d.await(event, before)
	return nil
}

// await waits until more than n events of a name were written.
func (d *driven) await(event string, n int) {
	for {
		d.mu.Lock()
		told, change := d.told[event], d.change
		d.mu.Unlock()
		if told > n {
			return
		}
		<-change
	}
}

// close closes the connection, and waits until all that came of it has been told.
func (d *driven) close(ctx context.Context) error {
	err := d.client.Close(ctx)
	d.mu.Lock()
	open := d.told["connectionEstablished"]
	d.mu.Unlock()
	if open > 0 {
		d.await("connectionClosed", open-1)
	}
	return err
}

func (req request) send(ctx context.Context, c *peersox.Client) error {
	switch {
	case (req.Text == nil) == (req.Base64 == nil):
		return errors.New("send needs \"text\" or \"base64\"")
	case req.Text != nil:
		return c.Send(ctx, peersox.Text, []byte(*req.Text))
	}
	return c.Send(ctx, peersox.Binary, *req.Base64)
}

func (d *driven) status() object {
	d.mu.Lock()
	c := d.client
	d.mu.Unlock()
	var s peersox.Status
	if c != nil {
		s = c.Status()
	}
	return object{"event": "status", "connected": s.Connected, "webrtc": s.WebRTC, "websocket": s.WebSocket, "initiator": s.Initiator}
}

// event writes what happened.
func (d *driven) event(e peersox.Event) {
	o := eventObject(e)
	if o == nil {
		return
	}
	d.emit(o)
	d.mu.Lock()
	d.told[o["event"].(string)]++
	close(d.change)
	d.change = make(chan struct{})
	d.mu.Unlock()
}

// eventObject returns the line for an event, nil if it has none.
func eventObject(e peersox.Event) object {
	switch e := e.(type) {
	case peersox.ServerReady:
		return object{"event": "serverReady"}
	case peersox.ConnectionEstablished:
		return object{"event": "connectionEstablished"}
	case peersox.PeerConnected:
		return object{"event": "peerConnected", "initiator": e.Initiator}
	case peersox.Upgraded:
		return object{"event": "upgraded"}
	case peersox.UpgradeFailed:
		return object{"event": "error", "message": fmt.Sprintf("no data channel: %v", e.Err)}
	case peersox.PeerRTCClosed:
		return object{"event": "peerRtcClosed"}
	case peersox.PeerTimeout:
		return object{"event": "peerTimeout"}
	case peersox.ConnectionClosed:
		o := object{"event": "connectionClosed"}
		if e.Err != nil {
			o["message"] = e.Err.Error()
		}
		return o
	case peersox.Message:
		if e.Kind == peersox.Text {
			return object{"event": "message", "text": string(e.Data)}
		}
		return object{"event": "message", "base64": append([]byte{}, e.Data...)} // never null
	}
	return nil
}

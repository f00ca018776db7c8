package peersox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"

	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/session"
)

// A Client is one side of a pairing, or what is to become one. Make it with [NewClient]; it can be connected, closed and
// connected again. All methods may be called by any number of goroutines at once.
type Client struct {
	cfg  ClientConfig
	mail mailbox

	mu   sync.Mutex // guards the fields below; never held while waiting or while OnEvent runs
	ice  []ICEServer
	init bool  // ice is what the server has named
	link *link // the connection, or the last one, or nil
}

// NewClient returns a client that is not connected.
func NewClient(cfg ClientConfig) *Client {
	c := &Client{cfg: cfg.withDefaults()}
	c.mail.handle = c.cfg.OnEvent
	return c
}

func (c *Client) rest() (*rest, error) {
	api, _, err := c.cfg.urls()
	if err != nil {
		return nil, err
	}
	return newREST(c.cfg, api), nil
}

// Init asks the server how to reach a peer, and tells [ServerReady]. Connect does it when it has not been done.
//
// It fails, like all methods that ask the server, with ErrURL, ErrPlaintext, a *[StatusError], an error of the network, or of
// the context.
func (c *Client) Init(ctx context.Context) error {
	r, err := c.rest()
	if err != nil {
		return err
	}
	ice, err := r.config(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.ice, c.init = ice, true
	c.mu.Unlock()
	c.mail.put(ServerReady{}, nil)
	return nil
}

// CreatePairing asks the server for a new pairing, and draws a secret for it if [ClientConfig].Seal is set. Its
// [Pairing.Text] is for the other client, which has about two minutes to give it to JoinPairing.
func (c *Client) CreatePairing(ctx context.Context) (Pairing, error) {
	r, err := c.rest()
	if err != nil {
		return Pairing{}, err
	}
	p, err := r.createPairing(ctx)
	if err == nil && c.cfg.Seal {
		p.Secret = NewSecret()
	}
	return p, err
}

// JoinPairing asks the server for the pairing of which the other client has got the code. Text is what [ParseCode] takes:
// with a secret the pairing is sealed, with a code alone it is not. A code can be used once; the pairing is valid for seven
// days from then on. It fails with ErrSecretText, before the server is asked, with ErrCode if that knows no such code,
// or with ErrProtocol if it gives another one (SEC-40).
func (c *Client) JoinPairing(ctx context.Context, text string) (Pairing, error) {
	code, secret, err := ParseCode(text)
	if err != nil {
		return Pairing{}, err
	}
	r, err := c.rest()
	if err != nil {
		return Pairing{}, err
	}
	p, err := r.joinPairing(ctx, code)
	if err != nil {
		return Pairing{}, err
	}
	if p.Code != code { // SEC-40
		return Pairing{}, fmt.Errorf("%w: the server gives another code", ErrProtocol)
	}
	p.Secret = secret
	return p, nil
}

// Validate asks the server whether a pairing is valid.
func (c *Client) Validate(ctx context.Context, p Pairing) (bool, error) {
	r, err := c.rest()
	if err != nil {
		return false, err
	}
	return r.validate(ctx, p)
}

// Pair connects with what the other user tells, such as a code: JoinPairing and Connect.
func (c *Client) Pair(ctx context.Context, text string) (Pairing, error) {
	p, err := c.JoinPairing(ctx, text)
	if err == nil {
		err = c.Connect(ctx, p)
	}
	return p, err
}

// InitPairing makes a pairing and connects: CreatePairing and Connect.
func (c *Client) InitPairing(ctx context.Context) (Pairing, error) {
	p, err := c.CreatePairing(ctx)
	if err == nil {
		err = c.Connect(ctx, p)
	}
	return p, err
}

// Connect connects to the server and returns nil when that has accepted the pairing ([ConnectionEstablished]); the peer
// is there when [PeerConnected] comes. The context, and [ClientConfig].ConnectTimeout, bound the time that it may take;
// they have no influence later. It fails with ErrConnected, ErrRefused, ErrSecretText or what Init fails with. (PSX-60, PSX-61)
//
// With a secret PeerConnected comes when the peer has shown that it has it, too; until then nothing can be sent. If it does
// not, [ConnectionClosed] tells why: ErrSecret, ErrUnsealed or ErrForged. Each connection has keys of its own. (SEC-42, SEC-47)
func (c *Client) Connect(ctx context.Context, p Pairing) error {
	seal, err := p.seal()
	if err != nil {
		return err
	}
	_, socket, err := c.cfg.urls()
	if err != nil {
		return err
	}
	if c.cfg.Loopback && !isLoopback(socket) {
		return fmt.Errorf("%w: with Loopback it must be on this machine", ErrURL)
	}
	c.mu.Lock()
	ready := c.init
	c.mu.Unlock()
	if !ready {
		if err := c.Init(ctx); err != nil {
			return err
		}
	}
	l, err := c.newLink(p, seal)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.ConnectTimeout, errConnectTimeout)
	defer cancel()
	if err := l.connect(ctx, socket); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return err
	}
	return nil
}

var errConnectTimeout = fmt.Errorf("peersox: the server does not answer in time: %w", context.DeadlineExceeded)

// newLink returns a connection in the making, in the place of the last one.
func (c *Client) newLink(p Pairing, seal *sealed.Pairing) (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.cfg.rtc(c.ice).Check(); err != nil && (c.cfg.ICEServers != nil || c.cfg.RelayOnly) {
		return nil, fmt.Errorf("peersox: ICE servers: %w", err)
	}
	if c.link != nil && !c.link.isDone() {
		return nil, ErrConnected
	}
	c.link = newLink(c, p, seal, c.ice)
	return c.link, nil
}

// current returns the connection, nil if there never was one.
func (c *Client) current() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link
}

// Send sends a message to the peer. Data may be used again when it returns.
//
// It waits until there is room ([ClientConfig].SendBuffer) and then returns nil; the message goes out in the background,
// in the order of the calls. If ctx ends before, nothing was sent and the error is the context's. It fails as well, and
// nothing was sent, with ErrNotConnected before PeerConnected and after ConnectionClosed, ErrClosed, ErrTooBig, ErrKind,
// ErrInvalidText and, towards an original, ErrReserved. A text that would be reserved, or a message that is too large for
// an original, waits up to 3 s after PeerConnected until it is known what the peer is. (PSX-67, PSX-68, PSX-75)
func (c *Client) Send(ctx context.Context, kind Kind, data []byte) error {
	return c.send(ctx, kind, data, false)
}

// TrySend is [Client.Send] if it need not wait, and fails with ErrFull otherwise.
func (c *Client) TrySend(kind Kind, data []byte) error {
	return c.send(context.Background(), kind, data, true)
}

func (c *Client) send(ctx context.Context, kind Kind, data []byte, try bool) error {
	if kind != Text && kind != Binary {
		return fmt.Errorf("%w, not %v", ErrKind, kind)
	}
	if kind == Text && !utf8.Valid(data) {
		return ErrInvalidText
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(data) > c.cfg.MaxMessageSize { // which is not worth a copy
		return fmt.Errorf("%w: %d bytes, of at most %d", ErrTooBig, len(data), c.cfg.MaxMessageSize)
	}
	l := c.current()
	if l == nil {
		return ErrNotConnected
	}
	data = bytes.Clone(data)
	return l.await(ctx, func(token uint64) session.Input {
		return session.Send{Token: token, Text: kind == Text, Data: data, Try: try}
	})
}

// Upgrade has a data channel made, if there is none, and waits until it is open, could not be made, or ctx ends. It is
// needed only with NoUpgrade, or when a data channel has ended. It fails with ErrNotConnected, ErrNoUpgrade if the peer is
// an original that had a data channel before, the context's error, or why there is no data channel. (PSX-65, PSX-78)
func (c *Client) Upgrade(ctx context.Context) error {
	l := c.current()
	if l == nil {
		return ErrNotConnected
	}
	return l.await(ctx, func(token uint64) session.Input { return session.Upgrade{Token: token} })
}

// Break ends the data channel as a failing network would, so that messages go by way of the server again. It is there to
// try out what an application makes of that. Without a data channel it does nothing.
func (c *Client) Break() {
	if l := c.current(); l != nil {
		l.step(session.Break{})
	}
}

// Close ends the connection. What Send has accepted is sent first, and between two clients of this package acknowledged,
// for [ClientConfig].CloseTimeout at most, and until ctx ends, whose error Close returns then. When it returns, the client
// uses no network and no goroutine any more, but for events that OnEvent has not been told yet; the last is
// [ConnectionClosed]. (PSX-80)
func (c *Client) Close(ctx context.Context) error {
	l := c.current()
	if l == nil {
		return nil
	}
	return l.close(ctx)
}

// A Status tells how a [Client] stands.
type Status struct {
	Connected bool // there is a connection of either kind
	WebSocket bool // there is one to the server, which has accepted the pairing
	WebRTC    bool // there is a data channel
	Paired    bool // the peer has been there, and Send has something to send to
	Initiator bool // this client was the first of the two
	Extended  bool // the peer is one of ours: all is numbered and acknowledged (PSX-70)
	Sealed    bool // the peer has the secret, and all that the two say is sealed (SEC-43)
	Pairing   Pairing
}

// Status returns how the client stands.
func (c *Client) Status() Status {
	l := c.current()
	if l == nil {
		return Status{}
	}
	return l.status()
}

// StorePairing keeps a pairing, with its secret if it is sealed, for [Client.RestorePairing]. (SEC-49)
func (c *Client) StorePairing(p Pairing) error { return c.cfg.Pairings.Save(p) }

// DeletePairing forgets the pairing that is kept.
func (c *Client) DeletePairing() error { return c.cfg.Pairings.Delete() }

// RestorePairing returns the pairing that is kept, if the server knows it still. Otherwise it deletes it, and fails with
// ErrNoPairing. If the server cannot be asked the pairing stays, and the error says why.
func (c *Client) RestorePairing(ctx context.Context) (Pairing, error) {
	p, err := c.cfg.Pairings.Load()
	if err != nil {
		return Pairing{}, err
	}
	valid, err := c.Validate(ctx, p)
	var status *StatusError
	if err != nil && !(errors.As(err, &status) && status.Status == 422) { // 422: it cannot be a pairing
		return Pairing{}, err
	}
	if !valid {
		return Pairing{}, errors.Join(ErrNoPairing, c.cfg.Pairings.Delete())
	}
	return p, nil
}

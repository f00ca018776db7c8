package rtc

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/stun"
)

const (
	// probeTimeout is how long a server may take to answer a probe, all in all.
	probeTimeout = 4 * time.Second
	// probeRetry is how long an answer by UDP is waited for before the request is sent again.
	probeRetry = 500 * time.Millisecond
	// maxProbe is the largest answer that is looked at, in bytes.
	maxProbe = 4 << 10
)

var (
	// ErrNoAnswer says that a STUN or TURN server does not answer.
	ErrNoAnswer = errors.New("no answer")

	// ErrNoICEServer says that what answers is no STUN or TURN server.
	ErrNoICEServer = errors.New("what answers is no such server")
)

// A ServerError is how a STUN or TURN server refuses a request (RFC 8489, section 14.8).
type ServerError struct {
	Code   int    // such as 401, or 400 from some servers, for a wrong username or credential
	Reason string // as the server says
	User   string // that was named, if one was
}

func (e *ServerError) Error() string {
	s := strconv.Itoa(e.Code)
	if reason := cmp.Or(e.Reason, http.StatusText(e.Code)); reason != "" { // the codes up to 403 are those of HTTP
		s += " " + strings.Trim(strconv.QuoteToGraphic(reason), `"`)
	}
	if e.User != "" {
		s += fmt.Sprintf(" for user %q", e.User)
	}
	return s
}

// Probe asks one of c's ICE servers for an address, as a connection does, gives it back, and returns nil or what is wrong
// with that server: ErrNoAnswer, ErrNoICEServer, a *ServerError, or an error of the network or of TLS, whose text is the
// same for the same trouble: it names no port of this machine. It takes up to 4 s.
//
// It is needed because pion only logs why it got no address, in words that change. It asks by itself, not by pion's
// client, which cannot be told to stop and does not say more of a refusal than that it was one.
func (c Config) Probe(ctx context.Context, server ICEServer, url string) error {
	uri, err := stun.ParseURI(url)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	p := &probe{username: server.Username, credential: server.Credential}
	if p.conn, err = c.dialServer(ctx, uri); err == nil {
		p.stream = uri.Proto == stun.ProtoTypeTCP && isTURN(uri)
		stop := context.AfterFunc(ctx, func() { p.conn.Close() })
		if isTURN(uri) {
			err = p.allocate()
		} else {
			_, err = p.do(stun.MethodBinding)
		}
		stop()
		p.conn.Close()
	}
	var op *net.OpError
	var errno syscall.Errno
	switch {
	case ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded):
		return ErrNoAnswer
	case errors.As(err, &errno):
		return errno
	case errors.As(err, &op):
		return op.Err
	}
	return err
}

// dialServer opens what leads to a server, in the way in which pion does.
func (c Config) dialServer(ctx context.Context, uri *stun.URI) (net.Conn, error) {
	n, err := c.sockets(ctx)
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))
	turn := isTURN(uri)
	if turn && uri.Proto == stun.ProtoTypeTCP {
		remote, err := n.ResolveTCPAddr("tcp4", addr)
		if err != nil {
			return nil, err
		}
		conn, err := n.DialTCP("tcp4", nil, remote)
		if err != nil || uri.Scheme == stun.SchemeTypeTURN {
			return conn, err
		}
		secure := tls.Client(conn, &tls.Config{ServerName: uri.Host})
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return secure, nil
	}
	remote, err := n.ResolveUDPAddr("udp4", addr)
	if err != nil && !turn && !c.Loopback {
		remote, err = n.ResolveUDPAddr("udp6", addr)
	}
	if err != nil {
		return nil, err
	}
	// A connected socket hears that nobody listens there.
	conn, err := n.DialUDP("udp", nil, remote)
	if err != nil || uri.Scheme != stun.SchemeTypeTURNS {
		return conn, err
	}
	secure, err := dtls.ClientWithContext(ctx, conn, &dtls.Config{ServerName: uri.Host, LoggerFactory: loggers{c.Logger}})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// A probe talks to one server.
type probe struct {
	conn                 net.Conn
	stream               bool // it carries no packets
	username, credential string
}

// allocate borrows an address from a TURN server, and gives it back (RFC 8656, sections 7 and 8).
func (p *probe) allocate() error {
	transport := stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{17, 0, 0, 0}} // UDP
	res, err := p.do(stun.MethodAllocate, transport)
	var who []stun.Setter
	for range 2 { // a nonce may be stale at once
		var refused *ServerError
		if !errors.As(err, &refused) || refused.Code != 401 && refused.Code != 438 {
			break
		}
		var realm stun.Realm
		var nonce stun.Nonce
		if realm.GetFrom(res) != nil || nonce.GetFrom(res) != nil || who != nil && refused.Code == 401 {
			break
		}
		who = []stun.Setter{
			stun.NewUsername(p.username), realm, nonce, stun.NewLongTermIntegrity(p.username, realm.String(), p.credential),
		}
		res, err = p.do(stun.MethodAllocate, append([]stun.Setter{transport}, who...)...)
		if errors.As(err, &refused) {
			refused.User = p.username
		}
	}
	if err != nil {
		return err
	}
	now := stun.RawAttribute{Type: stun.AttrLifetime, Value: []byte{0, 0, 0, 0}}
	p.do(stun.MethodRefresh, append([]stun.Setter{now}, who...)...) // else it ends after ten minutes by itself
	return nil
}

// do makes a request and returns the answer; with a *ServerError if that refuses it.
func (p *probe) do(method stun.Method, attributes ...stun.Setter) (*stun.Message, error) {
	setters := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attributes...)
	req, err := stun.Build(append(setters, stun.Fingerprint)...)
	if err != nil {
		return nil, err
	}
	for wait := probeRetry; ; wait *= 2 {
		if _, err := p.conn.Write(req.Raw); err != nil {
			return nil, err
		}
		if !p.stream {
			p.conn.SetReadDeadline(time.Now().Add(wait))
		}
		if res, err := p.answer(req); !errors.Is(err, os.ErrDeadlineExceeded) {
			return res, err
		} // and Probe closes conn when it has been long enough
	}
}

// answer waits for the answer to a request.
func (p *probe) answer(req *stun.Message) (*stun.Message, error) {
	buf := make([]byte, maxProbe)
	for {
		b, err := p.read(buf)
		if err != nil {
			return nil, err
		}
		res := &stun.Message{Raw: b}
		if !stun.IsMessage(b) || res.Decode() != nil {
			return nil, ErrNoICEServer
		}
		if res.TransactionID != req.TransactionID {
			continue // to a request that was sent twice
		}
		var code stun.ErrorCodeAttribute
		switch {
		case res.Type.Method != req.Type.Method:
		case res.Type.Class == stun.ClassSuccessResponse:
			return res, nil
		case res.Type.Class == stun.ClassErrorResponse && code.GetFrom(res) == nil:
			return res, &ServerError{Code: int(code.Code), Reason: string(code.Reason)}
		}
		return nil, ErrNoICEServer
	}
}

// read returns the next message.
func (p *probe) read(buf []byte) ([]byte, error) {
	if !p.stream {
		n, err := p.conn.Read(buf)
		return buf[:n], err
	}
	const header = 20
	_, err := io.ReadFull(p.conn, buf[:header])
	if err == nil {
		size := header + int(binary.BigEndian.Uint16(buf[2:]))
		if !stun.IsMessage(buf[:header]) || size > len(buf) {
			return nil, ErrNoICEServer
		}
		_, err = io.ReadFull(p.conn, buf[header:size])
		if err == nil {
			return buf[:size], nil
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, ErrNoICEServer // it hung up
	}
	return nil, err
}

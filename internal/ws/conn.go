package ws

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/websocket"
)

// Kind says what a message holds.
type Kind byte

// The kinds of messages; their values are the opcodes of RFC 6455.
const (
	Text   Kind = 1 // UTF-8, checked in both directions
	Binary Kind = 2 // any bytes
)

// A Conn is one WebSocket connection. It holds no goroutine, no timer and no message buffer while it is idle.
//
// One goroutine may be in Read; all other methods may be called by any number of goroutines at once. Once Read has
// returned an error the TCP connection is closed, but for the error of a deadline set with SetReadDeadline: then, and
// whenever Read is not called to its end, Close or Abort must be called. A [Server] does that when Serve returns.
type Conn struct {
	ws     *websocket.Conn // frames and nothing else; its Close and its deadlines are not used
	conn   net.Conn
	br     *bufio.Reader   // what ws reads from; nil on a client, where the library does not show it
	raw    syscall.RawConn // below conn, for writing without waiting; nil if that cannot be done
	cfg    Config
	server bool   // this end is the server
	remote string // address of the peer
	proto  string

	rlock  lock // held while reading; the fields below belong to its holder
	buf    *buffer
	rerr   error // final, once set
	inRead bool  // it is Read that holds it, not Close
	head   [maxHeader]byte
	mask   unmasker // of the frame that is being read; on a server

	wlock lock      // held while a frame is written; the fields below belong to its holder
	werr  error     // why nothing can be written any more; ErrClosed once a close frame has gone out
	armed time.Time // the write deadline, on plain TCP

	plain   bool        // conn is plain TCP; constant
	onWait  func()      // of OnWait; constant once Read was called
	closing atomic.Bool // Close was called, or a close frame is due: data that still arrives is discarded

	mu           sync.Mutex
	deadlineKept bool    // the read deadline is ours now
	over         error   // why we dropped TCP, if we did so without a goodbye
	pong         []byte  // payload of the last ping not yet answered; nil if there is none
	queue        *buffer // frames that were posted; nil if there are none
	inFlight     int     // bytes taken from the queue that the network may not have taken yet
}

// A lock is a mutex made of a channel: waiting for it lets a test's virtual time pass, and it is first come, first
// served, which a mutex is not.
type lock chan struct{}

func newLock() lock    { return make(lock, 1) }
func (l lock) lock()   { l <- struct{}{} }
func (l lock) unlock() { <-l }
func (l lock) tryLock() bool {
	select {
	case l <- struct{}{}:
		return true
	default:
		return false
	}
}

func newConn(ws *websocket.Conn, conn net.Conn, cfg Config) *Conn {
	c := &Conn{ws: ws, conn: conn, cfg: cfg, rlock: newLock(), wlock: newLock()}
	if tcp, ok := unwrap(conn).(*net.TCPConn); ok {
		c.plain = true
		c.raw, _ = tcp.SyscallConn()
	}
	return c
}

// unwrap returns the connection that carries the same bytes as conn, below wrappers that say so by NetConn. TLS, of
// whatever make, has that method too.
func unwrap(conn net.Conn) net.Conn {
	for {
		outer, ok := conn.(interface{ NetConn() net.Conn })
		if _, isTLS := conn.(interface{ Handshake() error }); !ok || isTLS {
			return conn
		}
		conn = outer.NetConn()
	}
}

// Subprotocol returns the subprotocol that was agreed on, "" if none was.
func (c *Conn) Subprotocol() string { return c.proto }

// RemoteAddr returns the address of the peer: on a server the RemoteAddr of the request, which a middleware may have
// set, on a client the one that TCP is connected to.
func (c *Conn) RemoteAddr() string {
	return c.remote
}

// SetReadDeadline sets the time after which Read fails with an error that is [os.ErrDeadlineExceeded]; the zero time
// means never. The failure is final, as part of a frame may have been read: what remains is to Close. Once the
// connection is closing, SetReadDeadline has no effect.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deadlineKept {
		return nil
	}
	return c.conn.SetReadDeadline(t)
}

// endReading lets reading go on for d at most, whatever SetReadDeadline said and will say.
func (c *Conn) endReading(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadlineKept = true
	c.conn.SetReadDeadline(time.Now().Add(d))
}

// Abort drops TCP at once, with a reset if the network can do that and without a goodbye. Read and Write that are in
// progress, or come later, return [ErrClosed]. On a closed connection it does nothing.
func (c *Conn) Abort() { c.abort(ErrClosed) }

// abort drops TCP because of err, which becomes what Read and Write return.
func (c *Conn) abort(err error) {
	c.mu.Lock()
	if c.over == nil {
		c.over = err
	}
	c.mu.Unlock()
	inner := c.conn
	for {
		// A TLS connection would first try to send an alert, and wait for a writer that is blocked.
		outer, ok := inner.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		inner = outer.NetConn()
	}
	if tcp, ok := inner.(interface{ SetLinger(sec int) error }); ok {
		tcp.SetLinger(0)
	}
	inner.Close()
	if inner != c.conn {
		c.conn.Close()
	}
}

// aborted returns why TCP was dropped, nil if it was not.
func (c *Conn) aborted() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

// readingEnds says whether the read deadline is ours.
func (c *Conn) readingEnds() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deadlineKept
}

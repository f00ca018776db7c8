package conformance

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A door is the suite's end of a WebSocket with the peer under test: the server's,
// at the signaling server or at a listening member, or the client's at a bot.
type door struct {
	*peer
	target string // of the request
	in     *inbox[arrival]
	agree  atomic.Bool // answer each connect with true at once
	shuts  atomic.Bool // a close frame has been sent
	last   atomic.Bool // a content with lastData has come
	gate   sync.Mutex  // held: nothing is read
}

// An arrival is something that came from a client of signaling. One of the last
// four is set.
type arrival struct {
	at      time.Time
	agreed  bool   // connect was answered with true when it came
	raw     []byte // on a channel, where nothing is decoded
	beat    bool
	connect *groupData
	content *content
}

// groupData is what connect carries.
type groupData struct {
	id      uint32
	members []uint32
}

func (a arrival) String() string {
	switch {
	case a.connect != nil:
		return fmt.Sprintf("connect{%d, %d}", a.connect.id, a.connect.members)
	case a.content != nil:
		return signaling{content: a.content}.String()
	case a.beat:
		return "heartbeat"
	}
	return fmt.Sprintf("% x", a.raw)
}

// errClosed is how a door ends that the peer closed; Code is in the close frame,
// 0 without one.
type errClosed struct{ Code int }

func (e errClosed) Error() string { return fmt.Sprintf("closed with %d", e.Code) }

// listen makes a listener of this run on loopback.
func (r *run) listen() *net.TCPListener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.fail("the case listens on loopback", "a port", err.Error())
	}
	r.atEnd(func() { l.Close() })
	return l.(*net.TCPListener)
}

// accept waits for a TCP connection of the peer under test, answers its upgrade
// and reads what it sends; decode says whether that is signaling.
func (r *run) accept(l *net.TCPListener, what string, until time.Time, decode bool) *door {
	var conn net.Conn
	for {
		l.SetDeadline(earlier(until, time.Now().Add(200*time.Millisecond)))
		var err error
		if conn, err = l.Accept(); err == nil {
			break
		}
		if r.waiting != nil {
			r.waiting()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(until) {
			r.fail(what, "a WebSocket from the peer under test", err.Error())
		}
	}
	p := &peer{run: r, name: what, conn: conn, r: bufio.NewReader(conn), server: true}
	r.peers = append(r.peers, p)
	d := &door{peer: p, in: newInbox[arrival]()}
	conn.SetReadDeadline(deadline())
	req, err := http.ReadRequest(p.r)
	if err != nil {
		r.fail(what, "an upgrade request", err.Error())
	}
	d.target = req.RequestURI
	key := req.Header.Get("Sec-WebSocket-Key")
	r.expect(key != "" && req.Method == "GET", what, "an upgrade request", req.Method+" "+req.RequestURI)
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	p.write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"))
	go d.read(decode)
	if decode && !r.silent {
		go p.beat()
	}
	return d
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// read reads to the end of the connection.
func (d *door) read(decode bool) {
	var message []byte
	for {
		d.enterGate()
		f, err := d.readFrame(time.Now().Add(time.Hour))
		if err != nil {
			d.in.close(err)
			return
		}
		switch f.op {
		case opPing:
			d.writeFrame(frame{fin: true, op: opPong, payload: f.payload})
		case opClose:
			if !d.shuts.Load() {
				d.writeFrame(frame{fin: true, op: opClose, payload: f.payload})
			}
			closed := errClosed{}
			if len(f.payload) >= 2 {
				closed.Code = int(binary.BigEndian.Uint16(f.payload))
			}
			if spoil := d.run.target.spoilCode; spoil != nil {
				closed.Code = spoil(closed.Code)
			}
			d.in.close(closed)
			d.conn.Close()
			return
		case opBinary, opContinuation:
			message = append(message, f.payload...)
			if !f.fin {
				continue
			}
			all := [][]byte{message}
			if decode {
				all = d.run.coming(false, message)
			}
			for _, b := range all {
				if err := d.take(b, decode); err != nil {
					d.in.close(err)
					return
				}
			}
			message = nil
		case opText:
			d.in.close(fmt.Errorf("a text message %q", f.payload))
			return
		}
	}
}

// take takes a message.
func (d *door) take(message []byte, decode bool) error {
	a := arrival{at: time.Now(), raw: message}
	if decode {
		var err error
		if a, err = parseArrival(message); err != nil {
			return err
		}
	}
	if a.content != nil && a.content.last {
		d.last.Store(true)
	}
	if a.connect != nil && d.agree.Load() {
		d.answer(true)
		a.agreed = true
	}
	d.in.add(a)
	return nil
}

// enterGate waits as long as nothing is to be read.
func (d *door) enterGate() {
	d.gate.Lock()
	defer d.gate.Unlock()
}

// parseArrival decodes what a client of signaling sent.
func parseArrival(b []byte) (arrival, error) {
	a := arrival{at: time.Now()}
	fs, err := parse(b)
	if err != nil {
		return a, fmt.Errorf("% x is no signaling.Message: %w", b, err)
	}
	if len(fs) == 0 {
		return a, errors.New("a signaling.Message without a field")
	}
	switch last := fs[len(fs)-1]; last.number {
	case 1:
		a.beat = true
	case 2:
		inner, err := parse(last.bytes)
		if err != nil {
			return a, err
		}
		a.content = &content{inner.uint(1), inner.uint(2), inner.uint(3) != 0, inner.bytes(4)}
	case 3:
		inner, err := parse(last.bytes)
		if err != nil {
			return a, err
		}
		a.connect = &groupData{inner.uint(1), inner.ids(2)}
	default:
		return a, fmt.Errorf("field %d of a signaling.Message from a client", last.number)
	}
	return a, nil
}

// answer sends connected.
func (d *door) answer(connected bool) { d.send(appendBool(nil, 4, connected)) }

// pass sends a content as a server does (SIG-29); nil data is a disconnect notice.
func (d *door) pass(sender, recipient uint32, data []byte) {
	b := appendVarint(appendVarint(nil, 1, uint64(sender)), 2, uint64(recipient))
	if data != nil {
		b = appendBytes(b, 4, data)
	}
	d.send(appendBytes(nil, 2, b))
}

// expectConnect expects a connect until then.
func (d *door) expectConnect(what string, until time.Time) arrival {
	a, err := d.in.take(until, func(a arrival) bool { return a.connect != nil })
	if err != nil {
		d.run.fail(what, "connect", d.instead(err))
	}
	return a
}

// instead says what came instead of what was expected.
func (d *door) instead(err error) string {
	var others []arrival
	for _, a := range d.in.all() {
		if !a.beat {
			others = append(others, a)
		}
	}
	return fmt.Sprintf("%v; there is %v", err, others)
}

// shut closes with a code; the peer's answer ends the connection.
func (d *door) shut(code int) {
	d.shuts.Store(true)
	d.writeFrame(frame{fin: true, op: opClose, payload: []byte{byte(code >> 8), byte(code)}})
}

// expectEnd expects that the peer closes with 1000.
func (d *door) expectEnd(what string, until time.Time) {
	_, err := d.in.take(until, func(arrival) bool { return false })
	_, isClose := err.(errClosed)
	d.run.expect(isClose || isEnd(err), what, "a close frame with 1000", d.instead(err))
	d.run.ended(err == errClosed{1000}, what, "a close frame with 1000", d.instead(err))
}

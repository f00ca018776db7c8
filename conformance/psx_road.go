package conformance

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pion/webrtc/v3"

	"github.com/meshpair/meshpair/conformance/driver"
)

// The kinds of frames (PSX-72).
const (
	partText   = 1
	partBinary = 2
	partMore   = 3
	partAck    = 4
)

const (
	partPayload = 32_768 // bytes at most (PSX-72)
	partCost    = 64     // beside the payload (PSX-75)
	leastWindow = 65_536 // of a hello (PSX-70)
)

// A part is what the specification calls a frame; frames of WebSockets are something else.
type part struct {
	kind   byte
	number uint64
	data   string
}

func (p part) encode() []byte {
	return append(binary.AppendUvarint([]byte{p.kind}, p.number), p.data...)
}

func decodePart(b []byte) (part, error) {
	if len(b) < 2 || b[0] < partText || b[0] > partAck {
		return part{}, fmt.Errorf("no frame of PSX-72: %.20x", b)
	}
	number, n := binary.Uvarint(b[1:])
	if n <= 0 || len(b)-1-n > partPayload {
		return part{}, fmt.Errorf("no frame of PSX-72: %.20x and %d bytes", b, len(b))
	}
	return part{b[0], number, string(b[1+n:])}, nil
}

// A road is one of the two ways between the client under test and the peer that the case plays.
type road struct {
	name string
	take func(until time.Time) (text bool, data []byte, err error)
	put  func(text bool, data []byte)
}

// bySocket is the road through the server.
func (d *duet) bySocket() *road {
	take := func(until time.Time) (bool, []byte, error) {
		f, err := d.socket.anyFromClient(until)
		switch {
		case err != nil:
			return false, nil, err
		case f.op == opClose:
			return false, nil, errors.New(describe(f, nil))
		}
		return f.op == opText, f.payload, nil
	}
	put := func(text bool, data []byte) {
		op := byte(opBinary)
		if text {
			op = opText
		}
		d.socket.writeFrame(frame{fin: true, op: op, payload: data})
	}
	return &road{"on the WebSocket", take, put}
}

// byChannel makes the data channel and returns the road over it.
func (d *duet) byChannel(initiator bool) (*road, *webrtc.DataChannel) {
	dc, in := d.upgrade(initiator)
	d.event("upgraded", deadline())
	take := func(until time.Time) (bool, []byte, error) {
		m, err := in.take(until, func(webrtc.DataChannelMessage) bool { return true })
		return m.IsString, m.Data, err
	}
	put := func(text bool, data []byte) {
		if text {
			d.try(dc.SendText(string(data)))
		} else {
			d.try(dc.Send(data))
		}
	}
	return &road{"on the data channel", take, put}, dc
}

// next reads what comes, but no PING.
func (r *road) next(until time.Time) (text bool, data []byte, err error) {
	for {
		if text, data, err = r.take(until); err != nil || !text || string(data) != "PING" {
			return text, data, err
		}
	}
}

func (r *road) say(parts ...part) {
	for _, p := range parts {
		r.put(false, p.encode())
	}
}

// part reads a frame; what acknowledges is left out unless it is asked for.
func (r *road) part(until time.Time, acks bool) (part, error) {
	for {
		text, data, err := r.next(until)
		if err != nil {
			return part{}, err
		}
		if text {
			return part{}, fmt.Errorf("the text %.80q", data)
		}
		p, err := decodePart(data)
		if err != nil || acks || p.kind != partAck {
			return p, err
		}
	}
}

func (d *duet) wantPart(r *road, want part) {
	got, err := r.part(deadline(), want.kind == partAck)
	d.expect(err == nil && got == want, r.name, fmt.Sprintf("frame %d of kind %d, %.40q", want.number, want.kind, want.data),
		fmt.Sprintf("frame %d of kind %d, %.40q, %v", got.number, got.kind, got.data, err))
}

// wantNone expects that no frame comes for a while.
func (d *duet) wantNone(r *road, acks bool) {
	got, err := r.part(time.Now().Add(quiet), acks)
	d.expect(errors.Is(err, os.ErrDeadlineExceeded), r.name, "nothing", fmt.Sprintf("%+.80v, %v", got, err))
}

// wantInternal expects a message of the protocol on the WebSocket, and reads its data.
func (d *duet) wantInternal(name string, data any) {
	until := deadline()
	if name == "meshpair.hello" {
		until = time.Now().Add(helloTime)
	}
	f, err := d.socket.anyFromClient(until)
	for err == nil && f.op == opText && string(f.payload) == "PING" {
		f, err = d.socket.anyFromClient(until)
	}
	m, ok := internalOf(f)
	if name == "meshpair.hello" && (!ok || m.Name != name) { // the extension is optional
		panic(unsupported("it says no hello: it does not know PSX-70 to PSX-80"))
	}
	d.expect(ok && m.Name == name && json.Unmarshal(m.Data, data) == nil, "on the WebSocket", name, describe(f, err))
}

// tell sends a message of the protocol.
func (d *duet) tell(name string, data any) {
	b, err := json.Marshal(map[string]any{"name": name, "data": data})
	d.try(err)
	text := append([]byte("§"), b...)
	if d.sealed != nil {
		d.sealed.put(true, text)
	} else {
		d.socket.say(string(text))
	}
}

// A helloData is what meshpair.hello carries.
type helloData struct {
	Version    int `json:"version"`
	Window     int `json:"window"`
	MaxMessage int `json:"maxMessage"`
}

// A labelData is what meshpair.closed carries.
type labelData struct {
	Label string `json:"label"`
}

// A framesData is what meshpair.frames carries.
type framesData struct {
	After *uint64 `json:"after"`
}

// wantHello expects the hello of a client that knows the extension.
func (d *duet) wantHello() (h helloData) {
	d.wantInternal("meshpair.hello", &h)
	return h
}

func (d *duet) hello(window int) { d.tell("meshpair.hello", helloData{1, window, 1 << 20}) }

// wantFrames expects the word that frames begin after so many messages.
func (d *duet) wantFrames(after uint64) {
	var m framesData
	d.wantInternal("meshpair.frames", &m)
	d.expect(m.After != nil && *m.After == after, "meshpair.frames", fmt.Sprint("after ", after), fmt.Sprint(m.After))
}

// greet pairs the client under test with one that knows the extension, up to where both send frames.
func (d *duet) greet(initiator bool, window int, more driver.Command) (h helloData, socket *road) {
	d.pair(initiator, more)
	h = d.wantHello()
	d.hello(window)
	d.wantFrames(0)
	d.tell("meshpair.frames", map[string]int{"after": 0})
	return h, d.bySocket()
}

func (d *duet) sendText(text string) { d.do(driver.Command{"cmd": "send", "text": text}) }

// wantEnd expects that the client under test ends the connection.
func (d *duet) wantEnd(why string) { d.ending(why) }

// ending is wantEnd, and returns what the client said before, and what its user was told.
func (d *duet) ending(why string) (said []*frame, told driver.Event) {
	for {
		f, err := d.socket.anyFromClient(deadline())
		if err == nil && f.op != opClose {
			said = append(said, f)
			continue
		}
		d.expect(err == nil, why, "a close frame", describe(f, err))
		d.socket.writeFrame(frame{fin: true, op: opClose, payload: f.payload})
		d.socket.drop()
		break
	}
	told = d.event("connectionClosed", deadline())
	d.socket = nil
	return said, told
}

// noUpgrade is for cases to which a data channel would only be a disturbance.
var noUpgrade = driver.Command{"autoUpgrade": false}

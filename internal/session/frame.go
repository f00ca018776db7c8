package session

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// What the protocol says in text messages (PSX-61, PSX-62, PSX-64).
const (
	prefix = "§"
	ping   = "PING"

	handshakeSuccess = "HANDSHAKE_SUCCESS"
	handshakeFailed  = "HANDSHAKE_FAILED"
)

// Names of internal messages: of the original, and of ours, which an original takes no notice of.
const (
	nameRegister      = "client.register"
	namePeerConnected = "peer.connected"
	nameSignal        = "peer.signal"

	nameHello   = "meshpair.hello"   // PSX-70
	nameFrames  = "meshpair.frames"  // PSX-71
	nameUpgrade = "meshpair.upgrade" // PSX-78
	nameClosed  = "meshpair.closed"  // PSX-77
	nameSealed  = "meshpair.sealed"  // SEC-42
	nameEnd     = "meshpair.end"     // SEC-45
)

// Kinds of frames (PSX-72).
const (
	frameText   = 1 // the end of a text, or all of it
	frameBinary = 2 // the end of bytes, or all of them
	framePart   = 3 // what is not the end
	frameAck    = 4
)

// frameCost is what a frame counts beside its payload.
const frameCost = 64

// A Message is what one message of a WebSocket or a data channel carries.
type Message struct {
	Text bool
	Data []byte
}

// Reserved reports whether a text cannot be sent to an original, which would take it for the protocol's own (PSX-68).
func Reserved(text []byte) bool {
	return string(text) == ping || bytes.HasPrefix(text, []byte(prefix))
}

// An internal is a message of the protocol (PSX-64).
type internal struct {
	Name string          `json:"name"`
	Data json.RawMessage `json:"data"`
}

// parseInternal reports whether a text is an internal message. What merely looks like one is the user's.
func parseInternal(text []byte) (m internal, ok bool) {
	rest, ok := bytes.CutPrefix(text, []byte(prefix))
	var members map[string]json.RawMessage // not m, into which json puts members with similar names too
	if !ok || json.Unmarshal(rest, &members) != nil || json.Unmarshal(members["name"], &m.Name) != nil || m.Name == "" {
		return internal{}, false
	}
	m.Data = members["data"]
	return m, true
}

func newInternal(name string, data any) Message {
	body, err := marshal(struct {
		Name string `json:"name"`
		Data any    `json:"data"`
	}{name, data})
	if err != nil {
		panic("session: " + err.Error()) // all that is given to it can be encoded
	}
	return Message{true, append([]byte(prefix), body...)}
}

// marshal is json.Marshal as the original has it: < and > as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

type pairing struct {
	Code string `json:"code"`
	Hash string `json:"hash"`
}

type peerConnected struct {
	IsInitiator bool `json:"isInitiator"`
}

type hello struct {
	Version    int `json:"version"`
	Window     int `json:"window"`
	MaxMessage int `json:"maxMessage"`
}

// parseHello reports whether data is a hello (PSX-70).
func parseHello(data []byte) (h hello, ok bool) {
	ok = json.Unmarshal(data, &h) == nil && h.Version >= 1 && h.Window >= MinWindow && h.MaxMessage > 0
	return h, ok
}

type frames struct {
	After uint64 `json:"after"`
}

type closed struct {
	Label string `json:"label"`
}

type candidate struct {
	Candidate     string `json:"candidate"`
	SDPMLineIndex uint16 `json:"sdpMLineIndex"`
	SDPMid        string `json:"sdpMid"`
}

// signalData is the form that signals have in messages, which is that of simple-peer (PSX-66).
type signalData struct {
	Type      string     `json:"type,omitempty"`
	SDP       string     `json:"sdp,omitempty"`
	Candidate *candidate `json:"candidate,omitempty"`
}

func (s Signal) message() Message {
	if s.Type == SignalCandidate {
		return newInternal(nameSignal, signalData{Candidate: &candidate{s.Candidate, s.SDPMLineIndex, s.SDPMid}})
	}
	return newInternal(nameSignal, signalData{Type: s.Type, SDP: s.SDP})
}

// parseSignal reports whether data is a signal that has a meaning here; others are renegotiations and ends of candidates.
func parseSignal(data []byte) (s Signal, ok bool) {
	var d signalData
	if json.Unmarshal(data, &d) != nil {
		return Signal{}, false
	}
	switch {
	case d.Candidate != nil && d.Candidate.Candidate != "":
		return Signal{SignalCandidate, "", d.Candidate.Candidate, d.Candidate.SDPMid, d.Candidate.SDPMLineIndex}, true
	case (d.Type == SignalOffer || d.Type == SignalAnswer) && d.SDP != "":
		return Signal{Type: d.Type, SDP: d.SDP}, true
	}
	return Signal{}, false
}

// A frame is a part of the user's messages with its number, or an acknowledgement (PSX-72).
type frame struct {
	kind    byte
	number  uint64 // of the frame, from 1; of an acknowledgement, that of the last frame that was taken
	payload []byte
}

func (f frame) message() Message {
	b := make([]byte, 0, 1+binary.MaxVarintLen64+len(f.payload))
	b = append(b, f.kind)
	b = binary.AppendUvarint(b, f.number)
	return Message{false, append(b, f.payload...)}
}

func (f frame) cost() int { return frameCost + len(f.payload) }

func parseFrame(b []byte) (frame, error) {
	if len(b) == 0 {
		return frame{}, fmt.Errorf("%w: an empty frame", ErrProtocol)
	}
	number, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return frame{}, fmt.Errorf("%w: a frame without a number", ErrProtocol)
	}
	f := frame{b[0], number, b[1+n:]}
	switch {
	case f.kind < frameText || f.kind > frameAck:
		return frame{}, fmt.Errorf("%w: a frame of kind %d", ErrProtocol, f.kind)
	case f.kind == frameAck && len(f.payload) > 0:
		return frame{}, fmt.Errorf("%w: an acknowledgement with a payload", ErrProtocol)
	case f.kind != frameAck && f.number == 0:
		return frame{}, fmt.Errorf("%w: a frame with the number 0", ErrProtocol)
	case len(f.payload) > MaxPayload:
		return frame{}, fmt.Errorf("%w: a frame of %d bytes", ErrProtocol, len(f.payload))
	}
	return f, nil
}

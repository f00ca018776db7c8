package conformance

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// The services of SPEC.md.
const (
	serviceBeat    = 0
	serviceUser    = 743
	serviceBuilder = 74
	serviceRTC     = 7431
	serviceMesh    = 74315
)

// fields is a message as it stands there. What comes last counts.
type fields []field

func parse(b []byte) (fields, error) { return parseFields(b) }

// mustParse is for messages whose form has been checked.
func mustParse(b []byte) fields {
	f, _ := parseFields(b)
	return f
}

func (fs fields) find(number int) *field {
	for i := len(fs) - 1; i >= 0; i-- {
		if fs[i].number == number {
			return &fs[i]
		}
	}
	return nil
}

func (fs fields) has(number int) bool { return fs.find(number) != nil }

// all returns what is in each of a field that may be repeated.
func (fs fields) all(number int) (all [][]byte) {
	for _, f := range fs {
		if f.number == number {
			all = append(all, f.bytes)
		}
	}
	return all
}

func (fs fields) uint(number int) uint32 {
	if f := fs.find(number); f != nil {
		return uint32(f.value)
	}
	return 0
}

func (fs fields) bytes(number int) []byte {
	if f := fs.find(number); f != nil {
		return f.bytes
	}
	return nil
}

// encode writes all fields as they are.
func (fs fields) encode() []byte {
	b := []byte{}
	for _, f := range fs {
		if f.bytes != nil {
			b = appendBytes(b, f.number, f.bytes)
		} else {
			b = appendVarint(b, f.number, f.value)
		}
	}
	return b
}

func (fs fields) sub(number int) fields { return mustParse(fs.bytes(number)) }

// ids returns a repeated uint32, packed or not.
func (fs fields) ids(number int) []uint32 {
	var ids []uint32
	for _, f := range fs {
		switch {
		case f.number != number:
		case f.bytes == nil:
			ids = append(ids, uint32(f.value))
		default:
			for b := f.bytes; len(b) > 0; {
				v, n := binary.Uvarint(b)
				if n <= 0 {
					break
				}
				ids = append(ids, uint32(v))
				b = b[n:]
			}
		}
	}
	return ids
}

func appendIDs(b []byte, number int, ids ...uint32) []byte {
	var packed []byte
	for _, id := range ids {
		packed = binary.AppendUvarint(packed, uint64(id))
	}
	return appendBytes(b, number, packed)
}

func appendBool(b []byte, number int, v bool) []byte {
	if v {
		return appendVarint(b, number, 1)
	}
	return appendVarint(b, number, 0)
}

// An envelope is a Message.
type envelope struct {
	sender, recipient, service uint32
	content                    []byte
}

func (e envelope) encode() []byte {
	b := appendVarint(nil, 1, uint64(e.sender))
	b = appendVarint(b, 2, uint64(e.recipient))
	b = appendVarint(b, 3, uint64(e.service))
	if e.content != nil {
		b = appendBytes(b, 4, e.content)
	}
	return b
}

func (e envelope) String() string {
	content := e.content
	if len(content) > 24 {
		content = content[:24]
	}
	return fmt.Sprintf("Message{%d to %d, service %d, %d bytes: % x}", e.sender, e.recipient, e.service, len(e.content), content)
}

func parseEnvelope(b []byte) (envelope, error) {
	fs, err := parse(b)
	if err != nil {
		return envelope{}, err
	}
	return envelope{fs.uint(1), fs.uint(2), fs.uint(3), fs.bytes(4)}, nil
}

// Channel builder.

func connectionRequest(data []byte) []byte { return appendBytes(nil, 2, data) }

func connectionResponse(ok bool) []byte { return appendBool(nil, 3, ok) }

// meshRequest is the content of a connectionRequest inside the group.
func meshRequest(id uint32, adjacent ...uint32) []byte {
	return connectionRequest(appendIDs(appendVarint(nil, 1, uint64(id)), 2, adjacent...))
}

// An info says what a peer can do.
type info struct {
	id               uint32
	wss              string
	group            uint32
	wsTried, dcTried bool
	noDC             bool // unlike most it cannot open data channels
}

func (i info) encode() []byte {
	b := appendVarint(nil, 1, uint64(i.id))
	if i.wss != "" {
		b = appendBytes(b, 2, []byte(i.wss))
	}
	b = appendVarint(b, 3, uint64(i.group))
	b = appendBool(b, 4, true)
	b = appendBool(b, 5, i.wsTried)
	b = appendBool(b, 6, !i.noDC)
	return appendBool(b, 7, i.dcTried)
}

func parseInfo(fs fields) info {
	return info{fs.uint(1), string(fs.bytes(2)), fs.uint(3), fs.uint(5) != 0, fs.uint(7) != 0, fs.uint(6) == 0}
}

// negotiation encodes a negotiation; without a passive one it is the first.
func negotiation(initiator info, passive ...info) []byte {
	b := appendBytes(nil, 1, initiator.encode())
	for _, p := range passive {
		b = appendBytes(b, 2, p.encode())
	}
	return appendBytes(nil, 1, b)
}

// Data channel builder.

func offerMessage(sdp string) []byte  { return appendBytes(nil, 1, []byte(sdp)) }
func answerMessage(sdp string) []byte { return appendBytes(nil, 2, []byte(sdp)) }

func candidateMessage(candidate, mid string, line uint16) []byte {
	b := appendBytes(nil, 1, []byte(candidate))
	b = appendBytes(b, 2, []byte(mid))
	return appendBytes(nil, 3, appendVarint(b, 3, uint64(line)))
}

// Channel.

// A ping is the content of initPing.
type ping struct {
	topology, group, sender uint32
	members                 []uint32
	key                     string
}

func (p ping) encode() []byte {
	b := appendVarint(nil, 1, uint64(p.topology))
	b = appendVarint(b, 2, uint64(p.group))
	b = appendVarint(b, 3, uint64(p.sender))
	b = appendIDs(b, 4, p.members...)
	return appendBytes(nil, 1, appendBytes(b, 5, []byte(p.key)))
}

func parsePing(fs fields) ping {
	return ping{fs.uint(1), fs.uint(2), fs.uint(3), fs.ids(4), string(fs.bytes(5))}
}

func pong(id uint32) []byte { return appendVarint(nil, 2, uint64(id)) }

// Full mesh.

func membersMessage(ids ...uint32) []byte {
	return appendBytes(nil, 1, appendIDs(nil, 1, ids...))
}

func adjacentMessage(ids ...uint32) []byte {
	return appendBytes(nil, 3, appendIDs(nil, 1, ids...))
}

var meshHeartbeat = []byte{0x20, 0x01}

// User messages.

const wholeSize = 15_000

const (
	typeText  = 0
	typeBytes = 1
)

func fullMessage(kind int, data []byte) []byte {
	b := appendVarint(nil, 1, uint64(len(data)))
	return appendBytes(appendVarint(b, 2, uint64(kind)), 3, data)
}

// A chunk is a part of a user message.
type chunk struct {
	length  uint32
	kind    int
	id, nb  uint32
	content []byte
}

func (c chunk) encode() []byte {
	inner := appendVarint(appendVarint(nil, 1, uint64(c.id)), 2, uint64(c.nb))
	inner = appendBytes(inner, 4, c.content)
	b := appendVarint(nil, 1, uint64(c.length))
	return appendBytes(appendVarint(b, 2, uint64(c.kind)), 4, inner)
}

func parseChunk(fs fields) chunk {
	inner := fs.sub(4)
	return chunk{fs.uint(1), int(fs.uint(2)), inner.uint(1), inner.uint(2), inner.bytes(4)}
}

// cut cuts a message into chunks.
func cut(kind int, id uint32, data []byte) [][]byte {
	var all [][]byte
	for part := range slices.Chunk(data, wholeSize) {
		all = append(all, chunk{uint32(len(data)), kind, id, uint32(len(all)), part}.encode())
	}
	return all
}

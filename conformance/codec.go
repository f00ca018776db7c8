package conformance

import (
	"encoding/binary"
	"fmt"
)

// A field is one field of an encoded protobuf message, as it stands there.
type field struct {
	number int
	value  uint64 // of a varint
	bytes  []byte // of a length-delimited field; nil for a varint
}

// parseFields splits a message into its fields. Of the wire types it knows those
// that the protocol uses.
func parseFields(b []byte) ([]field, error) {
	var all []field
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, fmt.Errorf("bad tag at % x", b)
		}
		b = b[n:]
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, fmt.Errorf("bad varint at % x", b)
		}
		b = b[n:]
		f := field{number: int(tag >> 3), value: v}
		switch tag & 7 {
		case 0:
		case 2:
			if v > uint64(len(b)) {
				return nil, fmt.Errorf("length %d with %d bytes left", v, len(b))
			}
			f.bytes = append([]byte{}, b[:v]...)
			f.value = 0
			b = b[v:]
		default:
			return nil, fmt.Errorf("wire type %d", tag&7)
		}
		all = append(all, f)
	}
	return all, nil
}

func appendVarint(b []byte, number int, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(number)<<3), v)
}

func appendBytes(b []byte, number int, v []byte) []byte {
	b = binary.AppendUvarint(b, uint64(number)<<3|2)
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// member returns the n-th member id, for cases that need some.
func member(n uint32) uint32 { return 1<<31 + n }

// connectMessage encodes a signaling.Message with connect.
func connectMessage(id uint32, members ...uint32) []byte {
	group := appendVarint(nil, 1, uint64(id))
	if len(members) > 0 {
		var packed []byte
		for _, m := range members {
			packed = binary.AppendUvarint(packed, uint64(m))
		}
		group = appendBytes(group, 2, packed)
	}
	return appendBytes(nil, 3, group)
}

// content is a signaling.Content; nil data means that the field is absent.
type content struct {
	sender, recipient uint32
	last              bool
	data              []byte
}

// message encodes a signaling.Message with the content, as the originals'
// clients do: every field is written.
func (c content) message() []byte {
	b := appendVarint(nil, 1, uint64(c.sender))
	b = appendVarint(b, 2, uint64(c.recipient))
	last := uint64(0)
	if c.last {
		last = 1
	}
	b = appendVarint(b, 3, last)
	if c.data != nil {
		b = appendBytes(b, 4, c.data)
	}
	return appendBytes(nil, 2, b)
}

var heartbeatMessage = []byte{0x08, 0x01}

// signaling is what a server sends, decoded. One of the fields is set.
type signaling struct {
	heartbeat bool
	content   *content
	connected *bool
}

func (s signaling) String() string {
	switch {
	case s.content != nil && s.content.data == nil:
		return fmt.Sprintf("content{%d,%d} without data", s.content.sender, s.content.recipient)
	case s.content != nil:
		data := s.content.data
		if len(data) > 32 {
			return fmt.Sprintf("content{%d,%d,% x… (%d bytes)}", s.content.sender, s.content.recipient, data[:32], len(data))
		}
		return fmt.Sprintf("content{%d,%d,% x}", s.content.sender, s.content.recipient, data)
	case s.connected != nil:
		return fmt.Sprintf("connected:%v", *s.connected)
	default:
		return fmt.Sprintf("heartbeat:%v", s.heartbeat)
	}
}

// parseSignaling decodes what a server sent. It is strict: a server sends the
// fields that SPEC.md says, each once, and no other.
func parseSignaling(b []byte) (signaling, error) {
	fields, err := parseFields(b)
	if err != nil {
		return signaling{}, err
	}
	if len(fields) != 1 {
		return signaling{}, fmt.Errorf("%d fields in a signaling message", len(fields))
	}
	switch f := fields[0]; {
	case f.number == 1 && f.bytes == nil:
		return signaling{heartbeat: f.value != 0}, nil
	case f.number == 2 && f.bytes != nil:
		c, err := parseContent(f.bytes)
		return signaling{content: c}, err
	case f.number == 4 && f.bytes == nil:
		connected := f.value != 0
		return signaling{connected: &connected}, nil
	default:
		return signaling{}, fmt.Errorf("field %d of a signaling message", f.number)
	}
}

// parseContent decodes a content and insists on the form that servers must use:
// fields 1 and 2 always, no field 3 (SIG-29).
func parseContent(b []byte) (*content, error) {
	fields, err := parseFields(b)
	if err != nil {
		return nil, err
	}
	c := &content{}
	seen := make(map[int]bool)
	for _, f := range fields {
		if seen[f.number] {
			return nil, fmt.Errorf("field %d of a content twice", f.number)
		}
		seen[f.number] = true
		switch {
		case f.number == 1 && f.bytes == nil:
			c.sender = uint32(f.value)
		case f.number == 2 && f.bytes == nil:
			c.recipient = uint32(f.value)
		case f.number == 4 && f.bytes != nil:
			c.data = f.bytes
		default:
			return nil, fmt.Errorf("field %d of a content", f.number)
		}
	}
	if !seen[1] || !seen[2] {
		return nil, fmt.Errorf("a content without both ids: % x", b)
	}
	return c, nil
}

package wire

// UserMessageKind says which member of the oneof of a UserMessage is set.
type UserMessageKind uint8

// The members of UserMessage.
const (
	UserMessageNone  UserMessageKind = iota // no member: there is no content
	UserMessageFull                         // Full
	UserMessageChunk                        // Chunk
)

// UserType says how the application sent the content of a user message. It is
// an open enumeration: a decoder keeps the low 32 bits of other values.
type UserType uint32

// The types of user messages.
const (
	UserString UserType = 0 // text, UTF-8 (not checked here: a chunk can end inside a character)
	UserBytes  UserType = 1
)

// UserMessage is userMessage.Message, the content of ServiceUserMessage: a
// message of the application, whole or in part.
type UserMessage struct {
	Length uint32   // field 1: bytes of the whole message; the sender's word, not checked here
	Type   UserType // field 2
	Kind   UserMessageKind
	Full   []byte // 3: the whole message
	Chunk  Chunk  // 4: a part of it

	// Of chapter EXT, absent as long as Number is 0 (WIR-15).
	Number  uint64 // field 77: the how manieth part of its sequence, from 1
	Session uint32 // field 78: of the sequence
	All     bool   // field 79: it was sent to all
}

// Chunk is userMessage.Chunk: a part of a user message.
type Chunk struct {
	ID      uint32 // field 1: the same for all chunks of a message
	Number  uint32 // field 2, nb: counts from 0
	Content []byte // field 4; nil is the same as empty, and never the result of Decode
}

// Append appends the canonical encoding of m to b: fields 1 and 2 always, and
// the member that Kind names, also when it is empty (WIR-3, WIR-14).
func (m *UserMessage) Append(b []byte) []byte {
	b = appendUint32(b, 1, m.Length)
	b = appendUint32(b, 2, uint32(m.Type))
	switch m.Kind {
	case UserMessageFull:
		b = appendBytes(b, 3, m.Full)
	case UserMessageChunk:
		b = m.Chunk.append(b, 4)
	}
	if m.Number > 0 {
		b = appendUint64(b, 77, m.Number)
		b = appendUint32(b, 78, m.Session)
		b = appendBool(b, 79, m.All)
	}
	return b
}

// Decode replaces *m by the message encoded in b (WIR-1 to WIR-13).
// Full and Chunk.Content alias b. It does not allocate unless it fails.
func (m *UserMessage) Decode(b []byte) error {
	d := newDecoder(b)
	*m = UserMessage{}
	for d.next() {
		switch d.key {
		case 1<<3 | typeVarint:
			m.Length = d.uint32()
		case 2<<3 | typeVarint:
			m.Type = UserType(d.uint32())
		// WIR-3, WIR-7: each member of the oneof replaces the one before.
		case 3<<3 | typeBytes:
			m.Kind, m.Full, m.Chunk = UserMessageFull, d.bytes(), Chunk{}
		case 4<<3 | typeBytes:
			m.Kind, m.Full, m.Chunk = UserMessageChunk, nil, Chunk{}
			m.Chunk.decode(&d)
		case 77<<3 | typeVarint:
			m.Number = d.varint("value")
		case 78<<3 | typeVarint:
			m.Session = d.uint32()
		case 79<<3 | typeVarint:
			m.All = d.bool()
		default:
			d.skip()
		}
	}
	if m.Number == 0 { // WIR-14: without it the two others mean nothing
		m.Session, m.All = 0, false
	}
	return d.finish("userMessage.Message")
}

// append writes all fields always (WIR-14).
func (c *Chunk) append(b []byte, field int) []byte {
	b, body := openMessage(b, field, len(c.Content))
	b = appendUint32(b, 1, c.ID)
	b = appendUint32(b, 2, c.Number)
	b = appendBytes(b, 4, c.Content)
	return closeMessage(b, body)
}

func (c *Chunk) decode(d *decoder) {
	outer := d.enter()
	c.Content = []byte{} // not nil, so that only one value means "without a byte"
	for d.next() {
		switch d.key {
		case 1<<3 | typeVarint:
			c.ID = d.uint32()
		case 2<<3 | typeVarint:
			c.Number = d.uint32()
		case 4<<3 | typeBytes:
			c.Content = d.bytes()
		default:
			d.skip()
		}
	}
	d.leave(outer)
}

package wire

// Message is the envelope of everything that Netflux members send to each
// other. On a channel it is the whole message, once the channel is initialised;
// over signaling it is the Data of a Content, whose ids replace those of the
// envelope.
type Message struct {
	SenderID    uint32 // field 1: the member the message comes from
	RecipientID uint32 // field 2: the member it is for; 0 for all (broadcast)
	ServiceID   uint32 // field 3: one of the Service constants, or an extension's
	// Content is field 4, the message of the service. nil: the field is
	// absent; empty but not nil: present without a byte.
	Content []byte
}

// Append appends the canonical encoding of m to b: fields 1 to 3 always, 4 when
// Content is not nil (WIR-14).
func (m *Message) Append(b []byte) []byte {
	b = appendUint32(b, 1, m.SenderID)
	b = appendUint32(b, 2, m.RecipientID)
	b = appendUint32(b, 3, m.ServiceID)
	if m.Content != nil {
		b = appendBytes(b, 4, m.Content)
	}
	return b
}

// Decode replaces *m by the message encoded in b (WIR-1 to WIR-13).
// Content aliases b. It does not allocate unless it fails.
func (m *Message) Decode(b []byte) error {
	d := newDecoder(b)
	*m = Message{}
	for d.next() {
		switch d.key {
		case 1<<3 | typeVarint:
			m.SenderID = d.uint32()
		case 2<<3 | typeVarint:
			m.RecipientID = d.uint32()
		case 3<<3 | typeVarint:
			m.ServiceID = d.uint32()
		case 4<<3 | typeBytes:
			m.Content = d.bytes()
		default:
			d.skip()
		}
	}
	return d.finish("Message")
}

package wire

// ServiceSealed is the service of this implementation's own under which all goes that members of a sealed group say
// to each other (chapter SEC); its content is a Sealed. Originals ignore it.
const ServiceSealed uint32 = 7701

// SealedKind says which member of the oneof of a Sealed is set.
type SealedKind uint8

// The members of Sealed.
const (
	SealedNone       SealedKind = iota // no member: the encoding is empty
	SealedHandshake                    // Handshake, of two members (SEC-8)
	SealedPart                         // Part
	SealedInvitation                   // Handshake, of an invitation (SEC-20)
)

// Sealed is sealed.Message, the content of ServiceSealed.
type Sealed struct {
	Kind      SealedKind
	Handshake Handshake // field 1, or 3 for an invitation
	Part      Part      // 2
}

// Handshake is one message of a handshake.
type Handshake struct {
	Step uint32 // field 1: 1 to 3
	Data []byte // 2: the message of Noise
}

// Part is sealed.Sealed: something that one member says to another.
type Part struct {
	Index   uint32 // field 1: the receiver's number of the session (SEC-11)
	Counter uint64 // 2 (SEC-13)
	Data    []byte // 3: a sealed Inner
	Body    []byte // 4: a part of a message to all (SEC-17); nil: absent
}

// Inner is what is sealed: a Message without ids, which are authenticated otherwise (SEC-13).
type Inner struct {
	ServiceID  uint32 // field 1
	Content    []byte // 2; nil: absent
	BodyKey    []byte // 3 (SEC-17); nil: absent
	BodyDigest []byte // 4 (SEC-18); nil: absent
}

// Append appends the canonical encoding of m to b: the member that Kind names, with all its fields but an absent Body.
func (m *Sealed) Append(b []byte) []byte {
	switch m.Kind {
	case SealedHandshake:
		b = m.Handshake.append(b, 1)
	case SealedPart:
		var at body
		b, at = openMessage(b, 2, len(m.Part.Data)+len(m.Part.Body)+24)
		b = appendUint32(b, 1, m.Part.Index)
		b = appendUint64(b, 2, m.Part.Counter)
		b = appendBytes(b, 3, m.Part.Data)
		if m.Part.Body != nil {
			b = appendBytes(b, 4, m.Part.Body)
		}
		b = closeMessage(b, at)
	case SealedInvitation:
		b = m.Handshake.append(b, 3)
	}
	return b
}

func (h *Handshake) append(b []byte, field int) []byte {
	b, at := openMessage(b, field, len(h.Data)+4)
	b = appendUint32(b, 1, h.Step)
	b = appendBytes(b, 2, h.Data)
	return closeMessage(b, at)
}

// Decode replaces *m by the message encoded in b (WIR-1 to WIR-13). All bytes alias b.
func (m *Sealed) Decode(b []byte) error {
	d := newDecoder(b)
	*m = Sealed{}
	for d.next() {
		// WIR-3, WIR-7: each member that is found replaces the one before.
		switch d.key {
		case 1<<3 | typeBytes:
			*m = Sealed{Kind: SealedHandshake}
			m.Handshake.decode(&d)
		case 2<<3 | typeBytes:
			*m = Sealed{Kind: SealedPart}
			m.Part.decode(&d)
		case 3<<3 | typeBytes:
			*m = Sealed{Kind: SealedInvitation}
			m.Handshake.decode(&d)
		default:
			d.skip()
		}
	}
	return d.finish("sealed.Message")
}

func (h *Handshake) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
		switch d.key {
		case 1<<3 | typeVarint:
			h.Step = d.uint32()
		case 2<<3 | typeBytes:
			h.Data = d.bytes()
		default:
			d.skip()
		}
	}
	d.leave(outer)
}

func (p *Part) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
		switch d.key {
		case 1<<3 | typeVarint:
			p.Index = d.uint32()
		case 2<<3 | typeVarint:
			p.Counter = d.varint("value")
		case 3<<3 | typeBytes:
			p.Data = d.bytes()
		case 4<<3 | typeBytes:
			p.Body = d.bytes()
		default:
			d.skip()
		}
	}
	d.leave(outer)
}

// Append appends the canonical encoding of m to b: field 1 always, others unless absent.
func (m *Inner) Append(b []byte) []byte {
	b = appendUint32(b, 1, m.ServiceID)
	for i, v := range [...][]byte{m.Content, m.BodyKey, m.BodyDigest} {
		if v != nil {
			b = appendBytes(b, 2+i, v)
		}
	}
	return b
}

// Decode replaces *m by the message encoded in b (WIR-1 to WIR-13). All bytes alias b.
func (m *Inner) Decode(b []byte) error {
	d := newDecoder(b)
	*m = Inner{}
	for d.next() {
		switch d.key {
		case 1<<3 | typeVarint:
			m.ServiceID = d.uint32()
		case 2<<3 | typeBytes:
			m.Content = d.bytes()
		case 3<<3 | typeBytes:
			m.BodyKey = d.bytes()
		case 4<<3 | typeBytes:
			m.BodyDigest = d.bytes()
		default:
			d.skip()
		}
	}
	return d.finish("sealed.Inner")
}

// fieldIdentities is that of the identities in channel.Data and fullMesh.Peers (SEC-24).
const fieldIdentities = 77

// appendIdentities writes the identities of those that a list names, each also when it is empty: its place says whose it
// is (SEC-24).
func appendIdentities(b []byte, list [][]byte) []byte {
	for _, v := range list {
		b = appendBytes(b, fieldIdentities, v)
	}
	return b
}

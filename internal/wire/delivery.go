package wire

// ServiceDelivery is the service of this implementation's own by which members keep the contract of chapter EXT; its
// content is a Delivery. Originals ignore it.
const ServiceDelivery uint32 = 7700

// DeliveryKind says which member of the oneof of a Delivery is set.
type DeliveryKind uint8

// The members of Delivery.
const (
	DeliveryNone  DeliveryKind = iota // no member: the encoding is empty
	DeliveryHello                     // Hello
	DeliveryAck                       // Ack
	DeliveryProbe                     // Probe
	DeliveryBye                       // no content
)

// Delivery is what members that keep the contract tell each other.
type Delivery struct {
	Kind  DeliveryKind
	Hello Hello // field 1
	Ack   Ack   // 2
	Probe bool  // 3: false asks for a sign of life, true is one

	// End is field 5 (SEC-34), beside a DeliveryBye: the number of the last part that was sent; 0 where none was, and in a
	// group that is not sealed.
	End uint64
}

// Hello says that the sender keeps the contract, and what for: it begins a sequence.
type Hello struct {
	Version uint32 // field 1
	Session uint32 // 2: what the recipient marks its messages to the sender with
	Echo    uint32 // 3: the recipient's session, 0 if the sender does not know it
	Window  uint32 // 4: bytes that the recipient may have on their way
}

// Ack says up to which number all has come.
type Ack struct {
	Session uint32 // field 1: of the messages
	Number  uint64 // 2
}

// Append appends the canonical encoding of m to b.
func (m *Delivery) Append(b []byte) []byte {
	switch m.Kind {
	case DeliveryHello:
		var at body
		b, at = openMessage(b, 1, 24)
		b = appendUint32(b, 1, m.Hello.Version)
		b = appendUint32(b, 2, m.Hello.Session)
		b = appendUint32(b, 3, m.Hello.Echo)
		b = appendUint32(b, 4, m.Hello.Window)
		b = closeMessage(b, at)
	case DeliveryAck:
		var at body
		b, at = openMessage(b, 2, 18)
		b = appendUint32(b, 1, m.Ack.Session)
		b = appendUint64(b, 2, m.Ack.Number)
		b = closeMessage(b, at)
	case DeliveryProbe:
		b = appendBool(b, 3, m.Probe)
	case DeliveryBye:
		b = appendBool(b, 4, true)
		if m.End > 0 {
			b = appendUint64(b, 5, m.End)
		}
	}
	return b
}

// Decode replaces *m by the message encoded in b (WIR-1 to WIR-13).
func (m *Delivery) Decode(b []byte) error {
	d := newDecoder(b)
	*m = Delivery{}
	var end uint64
	for d.next() {
		// WIR-3, WIR-7: each member that is found replaces the one before.
		switch d.key {
		case 1<<3 | typeBytes:
			*m = Delivery{Kind: DeliveryHello}
			m.Hello.decode(&d)
		case 2<<3 | typeBytes:
			*m = Delivery{Kind: DeliveryAck}
			m.Ack.decode(&d)
		case 3<<3 | typeVarint:
			*m = Delivery{Kind: DeliveryProbe, Probe: d.bool()}
		case 4<<3 | typeVarint:
			*m = Delivery{Kind: DeliveryBye}
			d.bool()
		case 5<<3 | typeVarint:
			end = d.varint("value")
		default:
			d.skip()
		}
	}
	if m.Kind == DeliveryBye {
		m.End = end
	}
	return d.finish("delivery.Message")
}

func (h *Hello) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
		switch d.key {
		case 1<<3 | typeVarint:
			h.Version = d.uint32()
		case 2<<3 | typeVarint:
			h.Session = d.uint32()
		case 3<<3 | typeVarint:
			h.Echo = d.uint32()
		case 4<<3 | typeVarint:
			h.Window = d.uint32()
		default:
			d.skip()
		}
	}
	d.leave(outer)
}

func (a *Ack) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
		switch d.key {
		case 1<<3 | typeVarint:
			a.Session = d.uint32()
		case 2<<3 | typeVarint:
			a.Number = d.varint("value")
		default:
			d.skip()
		}
	}
	d.leave(outer)
}

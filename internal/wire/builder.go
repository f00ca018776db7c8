package wire

// ChannelBuilderKind says which member of the oneof of a ChannelBuilder is set.
type ChannelBuilderKind uint8

// The members of ChannelBuilder. Each value is the member's field number.
const (
	ChannelBuilderNone               ChannelBuilderKind = iota // no member: the encoding is empty
	ChannelBuilderNegotiation                                  // Negotiation
	ChannelBuilderConnectionRequest                            // ConnectionRequest
	ChannelBuilderConnectionResponse                           // ConnectionResponse
)

// ChannelBuilder is channelBuilder.Message, the content of
// ServiceChannelBuilder: how two peers agree on a channel between them.
type ChannelBuilder struct {
	Kind        ChannelBuilderKind
	Negotiation Negotiation // 1
	// ConnectionRequest is 2: empty over signaling, an encoded
	// ConnectionRequest between members of a group.
	ConnectionRequest  []byte
	ConnectionResponse bool // 3
}

// Negotiation is channelBuilder.Negotiation: what both ends can do and what
// has been tried.
type Negotiation struct {
	Initiator  Info // field 1: of the peer that asked for the channel
	HasPassive bool // whether field 2 is present; the first message of a negotiation lacks it
	Passive    Info // field 2: of the other peer; zero when HasPassive is false
}

// Info is channelBuilder.Info: one end of a negotiation.
type Info struct {
	ID          uint32 // field 1
	WSS         string // field 2: the URL it listens on for WebSockets, empty for none; UTF-8
	GroupID     uint32 // field 3, wcId
	WSSupported bool   // field 4: it can dial WebSockets
	WSTried     bool   // field 5: it has dialled in vain
	DCSupported bool   // field 6: it can open data channels
	DCTried     bool   // field 7: it has offered a data channel in vain
}

// Append appends the canonical encoding of m to b: the member that Kind names,
// also when it is false or empty (WIR-3, WIR-14).
func (m *ChannelBuilder) Append(b []byte) []byte {
	switch m.Kind {
	case ChannelBuilderNegotiation:
		b = m.Negotiation.append(b, 1)
	case ChannelBuilderConnectionRequest:
		b = appendBytes(b, 2, m.ConnectionRequest)
	case ChannelBuilderConnectionResponse:
		b = appendBool(b, 3, m.ConnectionResponse)
	}
	return b
}

// Decode replaces *m by the message encoded in b (WIR-1 to WIR-13).
// ConnectionRequest aliases b.
func (m *ChannelBuilder) Decode(b []byte) error {
	d := newDecoder(b)
	*m = ChannelBuilder{}
	for d.next() {
		// WIR-3, WIR-7: each member that is found replaces the one before.
		switch d.key {
		case 1<<3 | typeBytes:
			*m = ChannelBuilder{Kind: ChannelBuilderNegotiation}
			m.Negotiation.decode(&d)
		case 2<<3 | typeBytes:
			*m = ChannelBuilder{Kind: ChannelBuilderConnectionRequest, ConnectionRequest: d.bytes()}
		case 3<<3 | typeVarint:
			*m = ChannelBuilder{Kind: ChannelBuilderConnectionResponse, ConnectionResponse: d.bool()}
		default:
			d.skip()
		}
	}
	return d.finish("channelBuilder.Message")
}

// append writes field 1 always, 2 when present (WIR-14).
func (n *Negotiation) append(b []byte, field int) []byte {
	b, body := openMessage(b, field, 0)
	b = n.Initiator.append(b, 1)
	if n.HasPassive {
		b = n.Passive.append(b, 2)
	}
	return closeMessage(b, body)
}

func (n *Negotiation) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
		switch d.key {
		case 1<<3 | typeBytes:
			n.Initiator = Info{} // WIR-7: replaced, not merged
			n.Initiator.decode(d)
		case 2<<3 | typeBytes:
			n.HasPassive, n.Passive = true, Info{}
			n.Passive.decode(d)
		default:
			d.skip()
		}
	}
	d.leave(outer)
}

// append writes field 1 when not zero, 2 when not empty, 3 to 7 always (WIR-14).
func (i *Info) append(b []byte, field int) []byte {
	b, body := openMessage(b, field, len(i.WSS))
	if i.ID != 0 {
		b = appendUint32(b, 1, i.ID)
	}
	if i.WSS != "" {
		b = appendBytes(b, 2, i.WSS)
	}
	b = appendUint32(b, 3, i.GroupID)
	b = appendBool(b, 4, i.WSSupported)
	b = appendBool(b, 5, i.WSTried)
	b = appendBool(b, 6, i.DCSupported)
	b = appendBool(b, 7, i.DCTried)
	return closeMessage(b, body)
}

func (i *Info) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
		switch d.key {
		case 1<<3 | typeVarint:
			i.ID = d.uint32()
		case 2<<3 | typeBytes:
			i.WSS = d.string()
		case 3<<3 | typeVarint:
			i.GroupID = d.uint32()
		case 4<<3 | typeVarint:
			i.WSSupported = d.bool()
		case 5<<3 | typeVarint:
			i.WSTried = d.bool()
		case 6<<3 | typeVarint:
			i.DCSupported = d.bool()
		case 7<<3 | typeVarint:
			i.DCTried = d.bool()
		default:
			d.skip()
		}
	}
	d.leave(outer)
}

package wire

// SignalingKind says which member of the oneof of a Signaling is set.
type SignalingKind uint8

// The members of Signaling. Each value is the member's field number.
const (
	SignalingNone      SignalingKind = iota // no member: the encoding is empty
	SignalingHeartbeat                      // Heartbeat
	SignalingContent                        // Content
	SignalingConnect                        // Connect
	SignalingConnected                      // Connected
)

// Signaling is signaling.Message: what a member and a signaling server send to
// each other, one of the fields below as named by Kind.
type Signaling struct {
	Kind      SignalingKind
	Heartbeat bool      // 1: sent true by both sides, on a timer
	Content   Content   // 2: passed on between a joining peer and a member
	Connect   GroupData // 3: a peer's wish to be in the group, or to stay
	Connected bool      // 4: the server's answer to Connect
}

// Content is signaling.Content: a message passed on by a signaling server.
type Content struct {
	SenderID    uint32 // field 1: who it comes from; 0 where the server fills it in
	RecipientID uint32 // field 2: who it is for; 0 for the joining peer's member
	LastData    bool   // field 3: nothing more follows in this direction
	// Data is field 4, usually a Message. nil: the field is absent, which
	// from the server means that the other side is gone; empty but not nil:
	// present without a byte.
	Data []byte
}

// GroupData is signaling.GroupData: a peer's view of its group.
type GroupData struct {
	ID      uint32   // field 1: the member id of the peer
	Members []uint32 // field 2: ids of the other members it knows; nil when there are none
}

// Append appends the canonical encoding of m to b: the member that Kind names,
// also when it is false or empty (WIR-3, WIR-14).
func (m *Signaling) Append(b []byte) []byte {
	switch m.Kind {
	case SignalingHeartbeat:
		b = appendBool(b, 1, m.Heartbeat)
	case SignalingContent:
		b = m.Content.append(b, 2)
	case SignalingConnect:
		b = m.Connect.append(b, 3)
	case SignalingConnected:
		b = appendBool(b, 4, m.Connected)
	}
	return b
}

// Decode replaces *m by the message encoded in b (WIR-1 to WIR-13).
// Content.Data aliases b. Only the list of Connect is allocated, unless it fails.
func (m *Signaling) Decode(b []byte) error {
	d := newDecoder(b)
	*m = Signaling{}
	for d.next() {
		// WIR-3, WIR-7: each member that is found replaces the one before.
		switch d.key {
		case 1<<3 | typeVarint:
			*m = Signaling{Kind: SignalingHeartbeat, Heartbeat: d.bool()}
		case 2<<3 | typeBytes:
			*m = Signaling{Kind: SignalingContent}
			m.Content.decode(&d)
		case 3<<3 | typeBytes:
			*m = Signaling{Kind: SignalingConnect}
			m.Connect.decode(&d)
		case 4<<3 | typeVarint:
			*m = Signaling{Kind: SignalingConnected, Connected: d.bool()}
		default:
			d.skip()
		}
	}
	return d.finish("signaling.Message")
}

// append writes fields 1 and 2 always, 3 only when true, 4 when Data is not
// nil (WIR-14).
func (c *Content) append(b []byte, field int) []byte {
	b, body := openMessage(b, field, len(c.Data))
	b = appendUint32(b, 1, c.SenderID)
	b = appendUint32(b, 2, c.RecipientID)
	if c.LastData {
		b = appendBool(b, 3, true)
	}
	if c.Data != nil {
		b = appendBytes(b, 4, c.Data)
	}
	return closeMessage(b, body)
}

func (c *Content) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
		switch d.key {
		case 1<<3 | typeVarint:
			c.SenderID = d.uint32()
		case 2<<3 | typeVarint:
			c.RecipientID = d.uint32()
		case 3<<3 | typeVarint:
			c.LastData = d.bool()
		case 4<<3 | typeBytes:
			c.Data = d.bytes()
		default:
			d.skip()
		}
	}
	d.leave(outer)
}

// append writes field 1 always, 2 when not empty (WIR-14).
func (g *GroupData) append(b []byte, field int) []byte {
	b, body := openMessage(b, field, 0)
	b = appendUint32(b, 1, g.ID)
	b = appendPacked(b, 2, g.Members)
	return closeMessage(b, body)
}

func (g *GroupData) decode(d *decoder) {
	outer := d.enter()
	g.ID, g.Members = d.idAndList()
	d.leave(outer)
}

package wire

// ChannelKind says which member of the oneof of a Channel is set.
type ChannelKind uint8

// The members of Channel. Each value is the member's field number.
const (
	ChannelNone     ChannelKind = iota // no member: the encoding is empty
	ChannelInitPing                    // InitPing
	ChannelInitPong                    // InitPong
)

// Channel is channel.Message: the first message each way on a channel between
// a member and a peer that joins through it.
type Channel struct {
	Kind     ChannelKind
	InitPing ChannelData // 1: the member tells the joining peer about the group
	InitPong uint32      // 2: the joining peer answers with its member id
}

// ChannelData is channel.Data: what a joining peer has to know of its group.
type ChannelData struct {
	Topology uint32   // field 1: 0 is the full mesh
	GroupID  uint32   // field 2, wcId
	SenderID uint32   // field 3: the member that sends it
	Members  []uint32 // field 4: ids of all members, the sender among them; nil when there are none
	Key      string   // field 5: the key of the group, UTF-8; of a sealed one its room name (SEC-4)

	// Identities is field 77 (SEC-24): those of Members, in their order; nil or empty where one is not known, and nil in a
	// group that is not sealed.
	Identities [][]byte
}

// Append appends the canonical encoding of m to b: the member that Kind names,
// also when it is zero (WIR-3, WIR-14).
func (m *Channel) Append(b []byte) []byte {
	switch m.Kind {
	case ChannelInitPing:
		b = m.InitPing.append(b, 1)
	case ChannelInitPong:
		b = appendUint32(b, 2, m.InitPong)
	}
	return b
}

// Decode replaces *m by the message encoded in b (WIR-1 to WIR-13).
func (m *Channel) Decode(b []byte) error {
	d := newDecoder(b)
	*m = Channel{}
	for d.next() {
		// WIR-3, WIR-7: each member that is found replaces the one before.
		switch d.key {
		case 1<<3 | typeBytes:
			*m = Channel{Kind: ChannelInitPing}
			m.InitPing.decode(&d)
		case 2<<3 | typeVarint:
			*m = Channel{Kind: ChannelInitPong, InitPong: d.uint32()}
		default:
			d.skip()
		}
	}
	return d.finish("channel.Message")
}

// append writes fields 1, 2, 3 and 5 always, 4 and 77 when not empty (WIR-14).
func (c *ChannelData) append(b []byte, field int) []byte {
	b, body := openMessage(b, field, len(c.Members)*5+len(c.Key)+len(c.Identities)*35)
	b = appendUint32(b, 1, c.Topology)
	b = appendUint32(b, 2, c.GroupID)
	b = appendUint32(b, 3, c.SenderID)
	b = appendPacked(b, 4, c.Members)
	b = appendBytes(b, 5, c.Key)
	b = appendIdentities(b, c.Identities)
	return closeMessage(b, body)
}

func (c *ChannelData) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
		switch d.key {
		case 1<<3 | typeVarint:
			c.Topology = d.uint32()
		case 2<<3 | typeVarint:
			c.GroupID = d.uint32()
		case 3<<3 | typeVarint:
			c.SenderID = d.uint32()
		case 4<<3 | typeBytes:
			c.Members = d.packed(c.Members)
		case 4<<3 | typeVarint:
			c.Members = append(c.Members, d.uint32())
		case 5<<3 | typeBytes:
			c.Key = d.string()
		case fieldIdentities<<3 | typeBytes:
			c.Identities = append(c.Identities, d.bytes())
		default:
			d.skip()
		}
	}
	d.leave(outer)
}

package wire

// FullMeshKind says which member of the oneof of a FullMesh is set.
type FullMeshKind uint8

// The members of FullMesh.
const (
	FullMeshNone            FullMeshKind = iota // no member: the encoding is empty
	FullMeshMembers                             // Members
	FullMeshAdjacentMembers                     // AdjacentMembers
	FullMeshHeartbeat                           // Heartbeat
)

// FullMesh is fullMesh.Message, the content of ServiceFullMesh: what members
// tell each other to keep the mesh full.
type FullMesh struct {
	Kind            FullMeshKind
	Members         []uint32 // 1, as Peers: all members the sender knows; nil when there are none
	AdjacentMembers []uint32 // 3, as Peers: those it has a channel with; nil when there are none
	Heartbeat       bool     // 4: between members without a channel of their own

	// Identities is field 77 of the Peers (SEC-24): those of the members in the list, in its order; nil or empty where one is
	// not known, and nil in a group that is not sealed.
	Identities [][]byte
}

// ConnectionRequest is fullMesh.ConnectionRequest: inside a group, the
// connectionRequest of a ChannelBuilder.
type ConnectionRequest struct {
	ID          uint32   // field 1: the member that asks
	AdjacentIDs []uint32 // field 2: members it has a channel with; nil when there are none
}

// Append appends the canonical encoding of m to b: the member that Kind names,
// also when it is false or empty (WIR-3, WIR-14).
func (m *FullMesh) Append(b []byte) []byte {
	switch m.Kind {
	case FullMeshMembers:
		b = appendPeers(b, 1, m.Members, m.Identities)
	case FullMeshAdjacentMembers:
		b = appendPeers(b, 3, m.AdjacentMembers, m.Identities)
	case FullMeshHeartbeat:
		b = appendBool(b, 4, m.Heartbeat)
	}
	return b
}

// Decode replaces *m by the message encoded in b (WIR-1 to WIR-13).
func (m *FullMesh) Decode(b []byte) error {
	d := newDecoder(b)
	*m = FullMesh{}
	for d.next() {
		// WIR-3, WIR-7: each member that is found replaces the one before.
		switch d.key {
		case 1<<3 | typeBytes:
			*m = FullMesh{Kind: FullMeshMembers}
			m.Members, m.Identities = d.peers()
		case 3<<3 | typeBytes:
			*m = FullMesh{Kind: FullMeshAdjacentMembers}
			m.AdjacentMembers, m.Identities = d.peers()
		case 4<<3 | typeVarint:
			*m = FullMesh{Kind: FullMeshHeartbeat, Heartbeat: d.bool()}
		default:
			d.skip()
		}
	}
	return d.finish("fullMesh.Message")
}

// appendPeers writes a fullMesh.Peers: its fields when not empty (WIR-14).
func appendPeers(b []byte, field int, ids []uint32, identities [][]byte) []byte {
	b, body := openMessage(b, field, len(ids)*5+len(identities)*35)
	b = appendPacked(b, 1, ids)
	b = appendIdentities(b, identities)
	return closeMessage(b, body)
}

func (d *decoder) peers() (ids []uint32, identities [][]byte) {
	outer := d.enter()
	for d.next() {
		switch d.key {
		case 1<<3 | typeBytes:
			ids = d.packed(ids)
		case 1<<3 | typeVarint:
			ids = append(ids, d.uint32())
		case fieldIdentities<<3 | typeBytes:
			identities = append(identities, d.bytes())
		default:
			d.skip()
		}
	}
	d.leave(outer)
	return ids, identities
}

// Append appends the canonical encoding of r to b: field 1 always, 2 when not
// empty (WIR-14).
func (r *ConnectionRequest) Append(b []byte) []byte {
	b = appendUint32(b, 1, r.ID)
	return appendPacked(b, 2, r.AdjacentIDs)
}

// Decode replaces *r by the message encoded in b (WIR-1 to WIR-13).
func (r *ConnectionRequest) Decode(b []byte) error {
	d := newDecoder(b)
	r.ID, r.AdjacentIDs = d.idAndList()
	return d.finish("fullMesh.ConnectionRequest")
}

// idAndList reads the fields of a message that has an id in field 1 and a list
// of ids in field 2, packed, unpacked or mixed (WIR-4).
func (d *decoder) idAndList() (id uint32, list []uint32) {
	for d.next() {
		switch d.key {
		case 1<<3 | typeVarint:
			id = d.uint32()
		case 2<<3 | typeBytes:
			list = d.packed(list)
		case 2<<3 | typeVarint:
			list = append(list, d.uint32())
		default:
			d.skip()
		}
	}
	return id, list
}

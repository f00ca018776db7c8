package wire

// DataChannelBuilderKind says which member of the oneof of a DataChannelBuilder
// is set.
type DataChannelBuilderKind uint8

// The members of DataChannelBuilder. Each value is the member's field number.
const (
	// DataChannelBuilderNone: no more candidates follow. The encoding is
	// empty, and the message is legal.
	DataChannelBuilderNone      DataChannelBuilderKind = iota
	DataChannelBuilderOffer                            // Offer
	DataChannelBuilderAnswer                           // Answer
	DataChannelBuilderCandidate                        // Candidate
)

// DataChannelBuilder is dataChannelBuilder.Message, the content of
// ServiceDataChannelBuilder: the exchange that sets up a WebRTC data channel.
type DataChannelBuilder struct {
	Kind      DataChannelBuilderKind
	Offer     string    // 1: SDP, UTF-8
	Answer    string    // 2: SDP, UTF-8
	Candidate Candidate // 3
}

// Candidate is dataChannelBuilder.IceCandidate: one ICE candidate, with the
// names that WebRTC gives to its parts.
type Candidate struct {
	Candidate     string // field 1: the candidate-attribute, UTF-8
	SDPMid        string // field 2, UTF-8
	SDPMLineIndex uint32 // field 3
}

// Append appends the canonical encoding of m to b: the member that Kind names,
// also when it is empty (WIR-3, WIR-14).
func (m *DataChannelBuilder) Append(b []byte) []byte {
	switch m.Kind {
	case DataChannelBuilderOffer:
		b = appendBytes(b, 1, m.Offer)
	case DataChannelBuilderAnswer:
		b = appendBytes(b, 2, m.Answer)
	case DataChannelBuilderCandidate:
		b = m.Candidate.append(b, 3)
	}
	return b
}

// Decode replaces *m by the message encoded in b (WIR-1 to WIR-13).
func (m *DataChannelBuilder) Decode(b []byte) error {
	d := newDecoder(b)
	*m = DataChannelBuilder{}
	for d.next() {
		// WIR-3, WIR-7: each member that is found replaces the one before.
		switch d.key {
		case 1<<3 | typeBytes:
			*m = DataChannelBuilder{Kind: DataChannelBuilderOffer, Offer: d.string()}
		case 2<<3 | typeBytes:
			*m = DataChannelBuilder{Kind: DataChannelBuilderAnswer, Answer: d.string()}
		case 3<<3 | typeBytes:
			*m = DataChannelBuilder{Kind: DataChannelBuilderCandidate}
			m.Candidate.decode(&d)
		default:
			d.skip()
		}
	}
	return d.finish("dataChannelBuilder.Message")
}

// append writes all fields always (WIR-14).
func (c *Candidate) append(b []byte, field int) []byte {
	b, body := openMessage(b, field, len(c.Candidate)+len(c.SDPMid))
	b = appendBytes(b, 1, c.Candidate)
	b = appendBytes(b, 2, c.SDPMid)
	b = appendUint32(b, 3, c.SDPMLineIndex)
	return closeMessage(b, body)
}

func (c *Candidate) decode(d *decoder) {
	outer := d.enter()
	for d.next() {
		switch d.key {
		case 1<<3 | typeBytes:
			c.Candidate = d.string()
		case 2<<3 | typeBytes:
			c.SDPMid = d.string()
		case 3<<3 | typeVarint:
			c.SDPMLineIndex = d.uint32()
		default:
			d.skip()
		}
	}
	d.leave(outer)
}

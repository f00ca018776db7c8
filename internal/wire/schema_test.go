package wire

import (
	"encoding/hex"
	"encoding/json"
)

// message is what all top-level messages have in common.
type message interface {
	Append([]byte) []byte
	Decode([]byte) error
}

// A schema makes messages of one type: zero ones, and those that the JSON value
// of a vector stands for.
type schema struct {
	zero     func() message
	fromJSON func(json.RawMessage) (message, error)
}

// schemaOf makes a schema from the type of the message and the Go form of its
// JSON values, in which names are those of the .proto files.
func schemaOf[T, J any, P interface {
	*T
	message
}](convert func(J) T) schema {
	return schema{
		zero: func() message { return P(new(T)) },
		fromJSON: func(raw json.RawMessage) (message, error) {
			var j J
			if err := strictJSON(raw, &j); err != nil {
				return nil, err
			}
			m := convert(j)
			return P(&m), nil
		},
	}
}

var schemas = map[string]schema{
	"Message":                    schemaOf(jsonMessage.message),
	"signaling.Message":          schemaOf(jsonSignaling.message),
	"channel.Message":            schemaOf(jsonChannel.message),
	"channelBuilder.Message":     schemaOf(jsonChannelBuilder.message),
	"dataChannelBuilder.Message": schemaOf(jsonDataChannelBuilder.message),
	"fullMesh.Message":           schemaOf(jsonFullMesh.message),
	"fullMesh.ConnectionRequest": schemaOf(jsonConnectionRequest.message),
	"userMessage.Message":        schemaOf(jsonUserMessage.message),
	"delivery.Message":           schemaOf(jsonDelivery.message),
}

// hexBytes is a bytes field: {"hex": "..."}; nil when absent.
type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(data []byte) error {
	var j struct{ Hex string }
	if err := strictJSON(data, &j); err != nil {
		return err
	}
	b, err := hex.DecodeString(j.Hex)
	*h = append([]byte{}, b...)
	return err
}

// ids is a list of uint32: nil when it is empty or absent.
type ids []uint32

func (l ids) list() []uint32 {
	if len(l) == 0 {
		return nil
	}
	return l
}

type jsonMessage struct {
	SenderID, RecipientID, ServiceID uint32
	Content                          hexBytes
}

func (j jsonMessage) message() Message {
	return Message{j.SenderID, j.RecipientID, j.ServiceID, j.Content}
}

type jsonSignaling struct {
	Heartbeat, Connected *bool
	Content              *struct {
		SenderID, RecipientID uint32
		LastData              bool
		Data                  hexBytes
	}
	Connect *struct {
		ID      uint32
		Members ids
	}
}

func (j jsonSignaling) message() (m Signaling) {
	if j.Heartbeat != nil {
		m = Signaling{Kind: SignalingHeartbeat, Heartbeat: *j.Heartbeat}
	}
	if c := j.Content; c != nil {
		m = Signaling{Kind: SignalingContent, Content: Content{c.SenderID, c.RecipientID, c.LastData, c.Data}}
	}
	if g := j.Connect; g != nil {
		m = Signaling{Kind: SignalingConnect, Connect: GroupData{g.ID, g.Members.list()}}
	}
	if j.Connected != nil {
		m = Signaling{Kind: SignalingConnected, Connected: *j.Connected}
	}
	return m
}

type jsonChannel struct {
	InitPing *struct {
		Topology, WcID, SenderID uint32
		Members                  ids
		Key                      string
	}
	InitPong *uint32
}

func (j jsonChannel) message() (m Channel) {
	if p := j.InitPing; p != nil {
		m = Channel{Kind: ChannelInitPing, InitPing: ChannelData{p.Topology, p.WcID, p.SenderID, p.Members.list(), p.Key, nil}}
	}
	if j.InitPong != nil {
		m = Channel{Kind: ChannelInitPong, InitPong: *j.InitPong}
	}
	return m
}

type jsonInfo struct {
	ID                                         uint32
	WSS                                        string
	WcID                                       uint32
	WsSupported, WsTried, DcSupported, DcTried bool
}

func (j jsonInfo) info() Info {
	return Info{j.ID, j.WSS, j.WcID, j.WsSupported, j.WsTried, j.DcSupported, j.DcTried}
}

type jsonChannelBuilder struct {
	Negotiation *struct {
		Initiator jsonInfo
		Passive   *jsonInfo
	}
	ConnectionRequest  *hexBytes
	ConnectionResponse *bool
}

func (j jsonChannelBuilder) message() (m ChannelBuilder) {
	if n := j.Negotiation; n != nil {
		m = ChannelBuilder{Kind: ChannelBuilderNegotiation}
		m.Negotiation.Initiator = n.Initiator.info()
		if n.Passive != nil {
			m.Negotiation.HasPassive = true
			m.Negotiation.Passive = n.Passive.info()
		}
	}
	if j.ConnectionRequest != nil {
		m = ChannelBuilder{Kind: ChannelBuilderConnectionRequest, ConnectionRequest: *j.ConnectionRequest}
	}
	if j.ConnectionResponse != nil {
		m = ChannelBuilder{Kind: ChannelBuilderConnectionResponse, ConnectionResponse: *j.ConnectionResponse}
	}
	return m
}

type jsonDataChannelBuilder struct {
	Offer, Answer *string
	Candidate     *struct {
		Candidate, SdpMid string
		SdpMLineIndex     uint32
	}
}

func (j jsonDataChannelBuilder) message() (m DataChannelBuilder) {
	if j.Offer != nil {
		m = DataChannelBuilder{Kind: DataChannelBuilderOffer, Offer: *j.Offer}
	}
	if j.Answer != nil {
		m = DataChannelBuilder{Kind: DataChannelBuilderAnswer, Answer: *j.Answer}
	}
	if c := j.Candidate; c != nil {
		m = DataChannelBuilder{Kind: DataChannelBuilderCandidate, Candidate: Candidate{c.Candidate, c.SdpMid, c.SdpMLineIndex}}
	}
	return m
}

type jsonFullMesh struct {
	Members, AdjacentMembers *struct{ IDs ids }
	Heartbeat                *bool
}

func (j jsonFullMesh) message() (m FullMesh) {
	if j.Members != nil {
		m = FullMesh{Kind: FullMeshMembers, Members: j.Members.IDs.list()}
	}
	if j.AdjacentMembers != nil {
		m = FullMesh{Kind: FullMeshAdjacentMembers, AdjacentMembers: j.AdjacentMembers.IDs.list()}
	}
	if j.Heartbeat != nil {
		m = FullMesh{Kind: FullMeshHeartbeat, Heartbeat: *j.Heartbeat}
	}
	return m
}

type jsonConnectionRequest struct {
	ID          uint32
	AdjacentIDs ids
}

func (j jsonConnectionRequest) message() ConnectionRequest {
	return ConnectionRequest{j.ID, j.AdjacentIDs.list()}
}

type jsonUserMessage struct {
	Length, Type uint32
	Full         *hexBytes
	Chunk        *struct {
		ID, Nb  uint32
		Content hexBytes
	}
	Number  uint64 `json:",string"`
	Session uint32
	All     bool
}

func (j jsonUserMessage) message() UserMessage {
	m := UserMessage{Length: j.Length, Type: UserType(j.Type), Number: j.Number, Session: j.Session, All: j.All}
	if j.Full != nil {
		m.Kind, m.Full = UserMessageFull, *j.Full
	}
	if c := j.Chunk; c != nil {
		m.Kind, m.Chunk = UserMessageChunk, Chunk{c.ID, c.Nb, append([]byte{}, c.Content...)}
	}
	return m
}

type jsonDelivery struct {
	Hello *struct{ Version, Session, Echo, Window uint32 }
	Ack   *struct {
		Session uint32
		Number  uint64 `json:",string"`
	}
	Probe, Bye *bool
}

func (j jsonDelivery) message() (m Delivery) {
	if h := j.Hello; h != nil {
		m = Delivery{Kind: DeliveryHello, Hello: Hello(*h)}
	}
	if a := j.Ack; a != nil {
		m = Delivery{Kind: DeliveryAck, Ack: Ack{a.Session, a.Number}}
	}
	if j.Probe != nil {
		m = Delivery{Kind: DeliveryProbe, Probe: *j.Probe}
	}
	if j.Bye != nil {
		m = Delivery{Kind: DeliveryBye}
	}
	return m
}

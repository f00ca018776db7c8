package mesh

import (
	"fmt"
	"strings"

	"github.com/meshpair/meshpair/internal/wire"
)

// describe says in words what a message is. Ids stand as they are: a transcript names them.
func describe(b []byte, toServer bool) string {
	if toServer {
		var m wire.Signaling
		if m.Decode(b) != nil {
			return fmt.Sprintf("?? %x", b)
		}
		switch m.Kind {
		case wire.SignalingHeartbeat:
			return "heartbeat"
		case wire.SignalingConnect:
			return fmt.Sprintf("connect id=%d members=%s", m.Connect.ID, idList(m.Connect.Members))
		case wire.SignalingConnected:
			return fmt.Sprintf("connected %v", m.Connected)
		case wire.SignalingContent:
			s := fmt.Sprintf("content from=%d to=%d", m.Content.SenderID, m.Content.RecipientID)
			if m.Content.Data == nil {
				return s
			}
			var inner wire.Message
			if inner.Decode(m.Content.Data) != nil {
				return fmt.Sprintf("%s ?? %x", s, m.Content.Data)
			}
			return s + " " + describeService(&inner)
		}
		return "nothing"
	}
	var ch wire.Channel
	if ch.Decode(b) == nil && ch.Kind == wire.ChannelInitPing && ch.InitPing.Key != "" {
		p := &ch.InitPing
		return fmt.Sprintf("initPing topology=%d group=%d from=%d members=%s key=%s", p.Topology, p.GroupID, p.SenderID, idList(p.Members), p.Key)
	}
	var m wire.Message
	if err := m.Decode(b); err != nil {
		return fmt.Sprintf("?? %x", b)
	}
	if ch.Kind == wire.ChannelInitPong && m.SenderID == 0 {
		return fmt.Sprintf("initPong %d", ch.InitPong)
	}
	return fmt.Sprintf("from=%d to=%d %s", m.SenderID, m.RecipientID, describeService(&m))
}

func idList(ids []uint32) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(ids), "[]"), " ", ",")
}

func describeService(m *wire.Message) string {
	switch m.ServiceID {
	case wire.ServiceHeartbeat:
		return "heartbeat"
	case wire.ServiceChannelBuilder:
		var b wire.ChannelBuilder
		if b.Decode(m.Content) != nil {
			break
		}
		switch b.Kind {
		case wire.ChannelBuilderConnectionRequest:
			var r wire.ConnectionRequest
			if r.Decode(b.ConnectionRequest); r.ID == 0 {
				return "connectionRequest"
			}
			return fmt.Sprintf("connectionRequest id=%d adjacent=%s", r.ID, idList(r.AdjacentIDs))
		case wire.ChannelBuilderConnectionResponse:
			return fmt.Sprintf("connectionResponse %v", b.ConnectionResponse)
		case wire.ChannelBuilderNegotiation:
			s := "negotiation initiator=" + info(&b.Negotiation.Initiator)
			if b.Negotiation.HasPassive {
				s += " passive=" + info(&b.Negotiation.Passive)
			}
			return s
		}
	case wire.ServiceDataChannelBuilder:
		var b wire.DataChannelBuilder
		if b.Decode(m.Content) != nil {
			break
		}
		return [...]string{"end of candidates", "offer", "answer", "candidate"}[b.Kind]
	case wire.ServiceFullMesh:
		var f wire.FullMesh
		if f.Decode(m.Content) != nil {
			break
		}
		switch f.Kind {
		case wire.FullMeshMembers:
			return "members=" + idList(f.Members)
		case wire.FullMeshAdjacentMembers:
			return "adjacentMembers=" + idList(f.AdjacentMembers)
		case wire.FullMeshHeartbeat:
			return "distant heartbeat"
		}
	case wire.ServiceUserMessage:
		var u wire.UserMessage
		if u.Decode(m.Content) != nil {
			break
		}
		number := ""
		if u.Number > 0 {
			number = fmt.Sprintf(" number=%d/%d all=%v", u.Session, u.Number, u.All)
		}
		if u.Kind == wire.UserMessageFull {
			return fmt.Sprintf("user length=%d type=%d full=%q%s", u.Length, u.Type, u.Full, number)
		}
		return fmt.Sprintf("user length=%d type=%d chunk=%d/%d%s", u.Length, u.Type, u.Chunk.ID, u.Chunk.Number, number)
	case wire.ServiceDelivery:
		var d wire.Delivery
		if d.Decode(m.Content) != nil {
			break
		}
		switch d.Kind {
		case wire.DeliveryHello:
			return fmt.Sprintf("hello session=%d echo=%d window=%d", d.Hello.Session, d.Hello.Echo, d.Hello.Window)
		case wire.DeliveryAck:
			return fmt.Sprintf("ack %d/%d", d.Ack.Session, d.Ack.Number)
		case wire.DeliveryProbe:
			return fmt.Sprintf("probe %v", d.Probe)
		case wire.DeliveryBye:
			return "bye"
		}
	}
	return fmt.Sprintf("service=%d content=%x", m.ServiceID, m.Content)
}

// info says which ways of connecting an end has, and in lower case which of them it tried.
func info(i *wire.Info) string {
	s := fmt.Sprintf("%d(group %d", i.ID, i.GroupID)
	if i.WSS != "" {
		s += " listens"
	}
	for _, f := range []struct {
		name string
		on   bool
	}{{" ws", i.WSSupported}, {" ws-tried", i.WSTried}, {" dc", i.DCSupported}, {" dc-tried", i.DCTried}} {
		if f.on {
			s += f.name
		}
	}
	return s + ")"
}

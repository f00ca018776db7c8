package wire

import (
	"reflect"
	"testing"
)

// TestDelivery: what is encoded is decoded as the same, with unknown fields beside it or not (EXT-1, WIR-5).
func TestDelivery(t *testing.T) {
	for _, m := range []Delivery{
		{},
		{Kind: DeliveryHello, Hello: Hello{Version: 1, Session: 1<<32 - 1, Echo: 7, Window: 4 << 20}},
		{Kind: DeliveryHello},
		{Kind: DeliveryAck, Ack: Ack{Session: 1<<32 - 1, Number: 1<<64 - 1}},
		{Kind: DeliveryProbe},
		{Kind: DeliveryProbe, Probe: true},
		{Kind: DeliveryBye},
	} {
		b := m.Append(nil)
		for _, b := range [][]byte{b, append(appendUint32(nil, 16, 5), b...), appendBytes(b, 99, "more")} {
			var got Delivery
			if err := got.Decode(b); err != nil || !reflect.DeepEqual(got, m) {
				t.Errorf("%+v came back as %+v, %v", m, got, err)
			}
		}
		for i := 1; i < len(b); i++ {
			var got Delivery
			if err := got.Decode(b[:i]); err == nil && i > 1 && m.Kind != DeliveryNone && got.Kind == m.Kind && reflect.DeepEqual(got, m) {
				t.Errorf("%x is a whole %+v", b[:i], m)
			}
		}
	}
	u := UserMessage{Length: 1, Type: UserBytes, Kind: UserMessageFull, Full: []byte{1}, Number: 1<<64 - 1, Session: 1<<32 - 1, All: true}
	var got UserMessage
	if err := got.Decode(u.Append(nil)); err != nil || !reflect.DeepEqual(got, u) {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzDelivery(f *testing.F) {
	f.Add((&Delivery{Kind: DeliveryHello, Hello: Hello{1, 2, 3, 4}}).Append(nil))
	f.Add((&Delivery{Kind: DeliveryAck, Ack: Ack{1, 2}}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again Delivery
		if m.Decode(b) != nil {
			return
		}
		if err := again.Decode(m.Append(nil)); err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%+v, %+v, %v", m, again, err)
		}
	})
}

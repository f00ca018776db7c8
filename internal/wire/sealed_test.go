package wire

import (
	"encoding/hex"
	"reflect"
	"testing"
)

// TestSealed checks the encoding of what sealed groups say, which was written by hand after the tables of chapter SEC, and
// that it is read again.
func TestSealed(t *testing.T) {
	for _, c := range []struct {
		what string
		m    message
		hex  string
	}{
		{"handshake", &Sealed{Kind: SealedHandshake, Handshake: Handshake{1, []byte{0xaa, 0xbb}}}, "0a0608011202aabb"},
		{"invitation", &Sealed{Kind: SealedInvitation, Handshake: Handshake{3, []byte{0xaa}}}, "1a0508031201aa"},
		{"empty handshake", &Sealed{Kind: SealedHandshake, Handshake: Handshake{0, []byte{}}}, "0a0408001200"},
		{"part", &Sealed{Kind: SealedPart, Part: Part{Index: 300, Counter: 1 << 35, Data: []byte{1, 2}}}, "120e08ac02108080808080011a020102"},
		{"part with a body", &Sealed{Kind: SealedPart, Part: Part{Index: 1, Counter: 2, Data: []byte{3}, Body: []byte{}}}, "12090801100" + "21a01032200"},
		{"inner", &Inner{ServiceID: 743, Content: []byte{9}, BodyKey: []byte{8}, BodyDigest: []byte{7}}, "08e7051201091a0108220107"},
		{"inner heartbeat", &Inner{}, "0800"},
		{"members", &FullMesh{Kind: FullMeshMembers, Members: []uint32{5, 6}, Identities: [][]byte{{1}, {}}}, "0a0b0a020506ea040101ea0400"},
		{"adjacent members", &FullMesh{Kind: FullMeshAdjacentMembers, AdjacentMembers: []uint32{5}, Identities: [][]byte{{1}}}, "1a070a0105ea040101"},
		{"initPing", &Channel{Kind: ChannelInitPing, InitPing: ChannelData{GroupID: 1, SenderID: 2, Members: []uint32{2}, Key: "k", Identities: [][]byte{{7}}}},
			"0a100800100118022201022a016bea040107"},
		{"bye with an end", &Delivery{Kind: DeliveryBye, End: 300}, "200128ac02"},
	} {
		if got := hex.EncodeToString(c.m.Append(nil)); got != c.hex {
			t.Errorf("%s: %s, want %s", c.what, got, c.hex)
		}
		b, _ := hex.DecodeString(c.hex)
		again := reflect.New(reflect.TypeOf(c.m).Elem()).Interface().(message)
		if err := again.Decode(b); err != nil || !reflect.DeepEqual(again, c.m) {
			t.Errorf("%s: %+v, %v", c.what, again, err)
		}
		for n := range b[1:] {
			if n > 1 && n < len(b)-1 {
				_ = again.Decode(b[:n]) // it may be cut between two fields; it must not panic
			}
		}
	}
}

package wire

import (
	"bytes"
	"testing"
)

func FuzzMessage(f *testing.F)            { fuzz(f, "Message") }
func FuzzSignaling(f *testing.F)          { fuzz(f, "signaling.Message") }
func FuzzChannel(f *testing.F)            { fuzz(f, "channel.Message") }
func FuzzChannelBuilder(f *testing.F)     { fuzz(f, "channelBuilder.Message") }
func FuzzDataChannelBuilder(f *testing.F) { fuzz(f, "dataChannelBuilder.Message") }
func FuzzFullMesh(f *testing.F)           { fuzz(f, "fullMesh.Message") }
func FuzzConnectionRequest(f *testing.F)  { fuzz(f, "fullMesh.ConnectionRequest") }
func FuzzUserMessage(f *testing.F)        { fuzz(f, "userMessage.Message") }
func FuzzDelivery(f *testing.F)           { fuzz(f, "delivery.Message") }

// fuzz seeds the fuzzer with the vectors of a schema, and requires of any input
// that Decode does not panic, allocates in proportion to it (WIR-13), and that
// what it understands has a stable encoding (WIR-14).
func fuzz(f *testing.F, name string) {
	set := vectors(f)
	for _, list := range [][]vector{set.Good, set.Failing} {
		for _, v := range list {
			if v.Schema == name && v.Repeat == nil {
				f.Add(v.input(f))
			}
		}
	}
	s := schemas[name]
	f.Fuzz(func(t *testing.T, b []byte) {
		checkStable(t, s, b)
		if got := allocated(func() { _ = s.zero().Decode(b) }); got > allocationLimit(b) {
			t.Errorf("Decode of %d bytes allocated %d bytes", len(b), got)
		}
	})
}

// FuzzSealed reads what sealed groups say: it does not panic, allocates in proportion (WIR-13), and what is read is written
// in one form.
func FuzzSealed(f *testing.F) {
	for _, m := range []message{
		&Sealed{Kind: SealedHandshake, Handshake: Handshake{1, []byte{1, 2}}}, &Sealed{Kind: SealedInvitation, Handshake: Handshake{3, []byte{1}}},
		&Sealed{Kind: SealedPart, Part: Part{Index: 300, Counter: 1 << 35, Data: []byte{1, 2}, Body: []byte{3}}},
		&Inner{ServiceID: 743, Content: []byte{9}, BodyKey: make([]byte, 32), BodyDigest: make([]byte, 32)},
	} {
		f.Add(m.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, zero := range []func() message{func() message { return new(Sealed) }, func() message { return new(Inner) }} {
			m, again := zero(), zero()
			if m.Decode(b) == nil {
				form := m.Append(nil)
				if err := again.Decode(form); err != nil || !bytes.Equal(again.Append(nil), form) {
					t.Errorf("%+v is read as %+v, %v", m, again, err)
				}
			}
			if got := allocated(func() { _ = zero().Decode(b) }); got > allocationLimit(b) {
				t.Errorf("Decode of %d bytes allocated %d bytes", len(b), got)
			}
		}
	})
}

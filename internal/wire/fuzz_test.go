package wire

import "testing"

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

package conformance

import (
	"slices"
	"testing"
)

// TestSuitePairing holds what the suite has of sealed pairings against the vectors (SEC-40 to SEC-43).
func TestSuitePairing(t *testing.T) {
	type end struct {
		Private, Ephemeral hexBytes
		Hello              string
	}
	type said []struct {
		Number          uint64
		Message, Sealed hexBytes
	}
	var file struct {
		Texts []struct {
			Hex  hexBytes
			Text string
		}
		Failing  []struct{ Text, Note string }
		Pairings []struct {
			Secret, PSK, Gate hexBytes
			Code, Hash        string
		}
		Handshakes []struct {
			Secret               hexBytes
			Code, Hash           string
			Initiator, Responder end
			Messages             []hexBytes
			Texts                []string
			Roads                []struct {
				Offer                      uint64
				InitiatorKey, ResponderKey hexBytes
				Initiator, Responder       said
			}
		}
	}
	sealedVectors(t, "pairing.json", &file)
	if len(file.Texts) == 0 || len(file.Failing) == 0 || len(file.Pairings) == 0 || len(file.Handshakes) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Texts {
		if got := bech32m("mppair", v.Hex); got != v.Text {
			t.Errorf("%x is written as %s, not %s", v.Hex, got, v.Text)
		}
		got, ok := bytesOfText("mppair", v.Text, 16)
		if same32(t, v.Text, got, v.Hex); !ok {
			t.Errorf("%s is no secret", v.Text)
		}
	}
	for _, v := range file.Failing {
		if got, ok := bytesOfText("mppair", v.Text, 16); ok {
			t.Errorf("%s: %s is %x", v.Note, v.Text, got)
		}
	}
	for _, v := range file.Pairings {
		k := derivePair(v.Secret, psxPairing{v.Code, v.Hash})
		same32(t, "psk", k.psk, v.PSK)
		same32(t, "gate", k.gate, v.Gate)
	}
	for _, v := range file.Handshakes {
		k := derivePair(v.Secret, psxPairing{v.Code, v.Hash})
		i := k.begin(true, v.Initiator.Private.private(t), v.Initiator.Ephemeral.private(t))
		r := k.begin(false, v.Responder.Private.private(t), v.Responder.Ephemeral.private(t))
		e1, e2 := i.e.PublicKey(), r.e.PublicKey()
		handshake3(t, i, r, []hexBytes{k.proof(e1), slices.Concat(k.proof(e1, e2), []byte(v.Responder.Hello)), []byte(v.Initiator.Hello)}, v.Messages)
		for n, m := range v.Messages {
			if want := string(stepText(n+1, m)); v.Texts[n] != want {
				t.Errorf("message %d is %s, not %s", n+1, want, v.Texts[n])
			}
		}
		if len(v.Roads) == 0 {
			t.Fatal("no roads")
		}
		for _, road := range v.Roads {
			label := labelRelay
			if road.Offer > 0 {
				label = labelChannel(road.Offer)
			}
			fromInitiator, fromResponder := newLanes(i, label)
			same32(t, "the initiator's key", fromInitiator.key, road.InitiatorKey)
			same32(t, "the responder's key", fromResponder.key, road.ResponderKey)
			for _, list := range []struct {
				*lane
				said
			}{{fromInitiator, road.Initiator}, {fromResponder, road.Responder}} {
				for _, m := range list.said {
					list.n = m.Number
					same32(t, "sealed", list.seal(m.Message), m.Sealed)
					list.n = m.Number
					opened, err := list.open(m.Sealed)
					if same32(t, "opened", opened, m.Message); err != nil || list.n != m.Number+1 {
						t.Error(list.n, err)
					}
				}
			}
		}
	}
}

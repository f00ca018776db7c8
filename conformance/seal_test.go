package conformance

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// hexBytes are written in hexadecimal.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.AppendDecode([]byte{}, b)
	return err
}

func (h hexBytes) private(t *testing.T) *ecdh.PrivateKey {
	t.Helper()
	k, err := ecdh.X25519().NewPrivateKey(h)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealedVectors(t *testing.T, file string, into any) {
	t.Helper()
	b, err := os.ReadFile("../testdata/vectors/sealed/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func same32(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) || len(want) == 0 {
		t.Errorf("%s:\n got %x\nwant %x", what, got, want)
	}
}

// handshake3 has two ends write and read messages, which are to be these.
func handshake3(t *testing.T, initiator, responder *noise, payloads, messages []hexBytes) {
	t.Helper()
	ends := []*noise{initiator, responder}
	for i, want := range messages {
		got, err := ends[i%2].write(payloads[i])
		if err != nil {
			t.Fatal(err)
		}
		same32(t, "message", got, want)
		payload, err := ends[1-i%2].read(got)
		if err != nil || !bytes.Equal(payload, payloads[i]) {
			t.Fatalf("the payload of message %d: %x, %v", i+1, payload, err)
		}
	}
	if slices.Compare(initiator.firstSecond[0], responder.firstSecond[0]) != 0 || !bytes.Equal(initiator.h, responder.h) {
		t.Error("the ends differ")
	}
}

// TestSuiteNoise holds the suite's handshakes against published vectors (SEC-8, SEC-20).
func TestSuiteNoise(t *testing.T) {
	var file struct {
		Vectors []struct {
			Name                                                                string
			Prologue, PSK, InitStatic, RespStatic, InitEphemeral, RespEphemeral hexBytes
			Messages                                                            []struct{ Payload, Ciphertext hexBytes }
		}
	}
	sealedVectors(t, "noise.json", &file)
	seen := make(map[string]bool)
	for _, v := range file.Vectors {
		seen[v.Name] = true
		psk := []byte(v.PSK)
		if len(psk) == 0 {
			psk = nil
		}
		i := newNoise(v.Name, true, v.Prologue, psk, v.InitStatic.private(t), v.InitEphemeral.private(t))
		r := newNoise(v.Name, false, v.Prologue, psk, v.RespStatic.private(t), v.RespEphemeral.private(t))
		var payloads, messages []hexBytes
		for _, m := range v.Messages[:3] {
			payloads, messages = append(payloads, m.Payload), append(messages, m.Ciphertext)
		}
		handshake3(t, i, r, payloads, messages)
		for n, m := range v.Messages[3:] {
			same32(t, "what follows", gcm(i.firstSecond[n%2]).Seal(nil, nonce(uint64(n/2)), m.Payload, nil), m.Ciphertext)
		}
	}
	if len(seen) != len(noisePatterns) {
		t.Errorf("vectors of %v", seen)
	}
}

// TestSuiteSeal holds what else the suite has of chapter SEC against the vectors (SEC-2 to SEC-4, SEC-6, SEC-9, SEC-11,
// SEC-13, SEC-14, SEC-17, SEC-18, SEC-20).
func TestSuiteSeal(t *testing.T) {
	type end struct {
		Private, Ephemeral hexBytes
		ID, Index          uint32
	}
	var file struct {
		Texts []struct {
			Kind, Text string
			Hex        hexBytes
		}
		Groups []struct {
			Secret, Room, PSK, Gate hexBytes
			Key                     string
		}
		Handshakes []struct {
			Secret               hexBytes
			Key                  string
			Initiator, Responder end
			Messages             []hexBytes
			Sealed               []struct {
				From            string
				Counter         uint64
				Message, Sealed hexBytes
			}
		}
		Invitations []struct {
			Secret       hexBytes
			Key          string
			Inviter, Bot end
			Messages     []hexBytes
		}
		Bodies []struct {
			Key, Part, Sealed, Digest hexBytes
			Nb                        uint32
		}
	}
	sealedVectors(t, "sealed.json", &file)
	if len(file.Texts) == 0 || len(file.Groups) == 0 || len(file.Handshakes) == 0 || len(file.Invitations) == 0 || len(file.Bodies) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Texts {
		prefix := map[string]string{"secret": "mpsecret", "identity": "mpid"}[v.Kind]
		if got := bech32m(prefix, v.Hex); got != v.Text {
			t.Errorf("%x is written as %s, not %s", v.Hex, got, v.Text)
		}
	}
	for _, v := range file.Groups {
		k := deriveKeys(v.Secret, v.Key)
		same32(t, "room", k.room, v.Room)
		same32(t, "psk", k.psk, v.PSK)
		same32(t, "gate", k.gate, v.Gate)
	}
	for _, v := range file.Handshakes {
		k := deriveKeys(v.Secret, v.Key)
		i := k.begin(true, v.Initiator.Private.private(t), v.Initiator.Ephemeral.private(t))
		r := k.begin(false, v.Responder.Private.private(t), v.Responder.Ephemeral.private(t))
		e1, e2 := i.e.PublicKey(), r.e.PublicKey()
		self := selfBytes(v.Responder.ID, v.Responder.Index)
		handshake3(t, i, r, []hexBytes{k.proof(e1), slices.Concat(k.proof(e1, e2), self), selfBytes(v.Initiator.ID, v.Initiator.Index)}, v.Messages)
		sessions := map[string]*session{
			"initiator": newSession(i, v.Initiator.ID, v.Initiator.Index, self),
			"responder": newSession(r, v.Responder.ID, v.Responder.Index, selfBytes(v.Initiator.ID, v.Initiator.Index)),
		}
		for _, m := range v.Sealed {
			same32(t, "sealed", sessions[m.From].sealedAs(m.Counter, m.Message).data, m.Sealed)
		}
	}
	for _, v := range file.Invitations {
		begin := func(initiator bool, e end) *noise {
			return newNoise("Noise_XX_25519_AESGCM_SHA256", initiator, []byte("meshpair sealed invitation 1"), nil, e.Private.private(t), e.Ephemeral.private(t))
		}
		handshake3(t, begin(true, v.Inviter), begin(false, v.Bot), []hexBytes{nil, nil, slices.Concat(v.Secret, []byte(v.Key))}, v.Messages)
	}
	for _, v := range file.Bodies {
		b := sealBody(v.Key, v.Nb, v.Part)
		same32(t, "body", b, v.Sealed)
		digest := sha256.Sum256(b)
		same32(t, "digest", digest[:], v.Digest)
		if plain, err := openBody(v.Key, v.Nb, b); err != nil || !bytes.Equal(plain, v.Part) {
			t.Errorf("the part of a body: %x, %v", plain, err)
		}
	}
}

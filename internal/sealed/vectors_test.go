package sealed

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"
)

// A hexBytes is written in hexadecimal.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.AppendDecode([]byte{}, b)
	return err
}

func (h hexBytes) key() [32]byte { return [32]byte(h) }

// load reads a file of vectors.
func load[T any](t testing.TB, name string) T {
	t.Helper()
	b, err := os.ReadFile("../../testdata/vectors/sealed/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %x\nwant %x", what, got, want)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestNoiseVectors holds the handshakes against published vectors: each end by itself, with the other end's messages from
// the file (SEC-8, SEC-20).
func TestNoiseVectors(t *testing.T) {
	type message struct{ Payload, Ciphertext hexBytes }
	file := load[struct {
		Source  string
		Vectors []struct {
			Name                                                                string
			Prologue, PSK, InitStatic, RespStatic, InitEphemeral, RespEphemeral hexBytes
			Messages                                                            []message
		}
	}](t, "noise.json")
	seen := make(map[string]int)
	for _, v := range file.Vectors {
		seen[v.Name]++
		var psk *[keySize]byte
		if len(v.PSK) > 0 {
			psk = (*[keySize]byte)(v.PSK)
		}
		end := func(initiator bool, s, e hexBytes) *noise {
			return newNoise(initiator, v.Prologue, psk, IdentityOf(s.key()).key, IdentityOf(e.key()).key)
		}
		init, resp := end(true, v.InitStatic, v.InitEphemeral), end(false, v.RespStatic, v.RespEphemeral)
		m := v.Messages
		if len(m) < 5 {
			t.Fatalf("%s: %d messages", v.Name, len(m))
		}
		equal(t, v.Name+" message 1", init.write1(m[0].Payload), m[0].Ciphertext)
		got, err := resp.read1(m[0].Ciphertext)
		check(t, err)
		equal(t, "payload 1", got, m[0].Payload)
		got, err = resp.write2(m[1].Payload)
		check(t, err)
		equal(t, v.Name+" message 2", got, m[1].Ciphertext)
		got, err = init.read2(m[1].Ciphertext)
		check(t, err)
		equal(t, "payload 2", got, m[1].Payload)
		got, err = init.write3(m[2].Payload)
		check(t, err)
		equal(t, v.Name+" message 3", got, m[2].Ciphertext)
		got, err = resp.read3(m[2].Ciphertext)
		check(t, err)
		equal(t, "payload 3", got, m[2].Payload)
		if init.h != resp.h {
			t.Error(v.Name, "the ends differ")
		}
		first, second := init.split()
		if f, s := resp.split(); f != first || s != second {
			t.Error(v.Name, "the ends have other keys")
		}
		for i, m := range m[3:] {
			key := &first
			if i%2 == 1 {
				key = &second
			}
			n := nonce(uint64(i / 2))
			equal(t, v.Name+" transport", newAEAD(key).Seal(nil, n[:], m.Payload, nil), m.Ciphertext)
		}
	}
	if seen[nameXX] == 0 || seen[nameXXpsk3] == 0 {
		t.Fatal("no vectors of", nameXX, "and", nameXXpsk3, "but", seen)
	}
}

// TestBech32mVectors holds texts against the vectors of BIP-350 (SEC-2).
func TestBech32mVectors(t *testing.T) {
	file := load[struct {
		Source     string
		Valid      []string
		InvalidHex []hexBytes
	}](t, "bech32m.json")
	if len(file.Valid) == 0 || len(file.InvalidHex) == 0 {
		t.Fatal("no vectors")
	}
	for _, s := range file.Valid {
		if _, _, err := splitText(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range file.InvalidHex {
		if _, _, err := splitText(string(s)); !errors.Is(err, ErrText) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// ownVectors is sealed.json.
type ownVectors struct {
	Texts, Failing []struct {
		Kind, Text, Note string
		Hex              hexBytes
	}
	Identities []struct {
		Private, Hex     hexBytes
		Kind, Text, Keep string
	}
	Groups []struct {
		Secret, Root, Room, PSK, Gate hexBytes
		Key                           string
	}
	Handshakes []struct {
		Secret                              hexBytes
		Key                                 string
		Initiator, Responder                vectorEnd
		Messages                            []hexBytes
		Binding, InitiatorKey, ResponderKey hexBytes
		Sealed                              []struct {
			From            string
			Counter         uint64
			Message, Sealed hexBytes
		}
	}
	Invitations []struct {
		Secret       hexBytes
		Key          string
		Inviter, Bot vectorEnd
		Messages     []hexBytes
	}
	Bodies []struct {
		Key, Part, Sealed, Digest hexBytes
		Nb                        uint32
	}
}

type vectorEnd struct {
	Private, Ephemeral hexBytes
	ID, Index          uint32
}

func (e vectorEnd) self() Self {
	return Self{Identity: IdentityOf(e.Private.key()), ID: e.ID, Index: e.Index}
}

func parse(kind, text string) ([32]byte, error) {
	if kind == "secret" {
		s, err := ParseSecret(text)
		return s, err
	}
	p, err := ParsePublic(text)
	return p, err
}

// TestTextVectors: SEC-2, SEC-5, SEC-6, SEC-50.
func TestTextVectors(t *testing.T) {
	v := load[ownVectors](t, "sealed.json")
	if len(v.Texts) == 0 || len(v.Failing) == 0 || len(v.Identities) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range v.Texts {
		got, err := parse(v.Kind, v.Text)
		if err != nil {
			t.Errorf("%s: %v", v.Text, err)
		}
		equal(t, v.Text, got[:], v.Hex)
		text := Public(v.Hex.key()).String()
		if v.Kind == "secret" {
			text = Secret(v.Hex.key()).Text()
		}
		if text != v.Text {
			t.Errorf("%s is written as %s", v.Text, text)
		}
	}
	for _, v := range v.Failing {
		if got, err := parse(v.Kind, v.Text); !errors.Is(err, ErrText) || got != [32]byte{} {
			t.Errorf("%s: %x, %v", v.Note, got, err)
		}
	}
	for _, v := range v.Identities {
		p := IdentityOf(v.Private.key()).Public()
		equal(t, "public key", p[:], v.Hex)
		if p.String() != v.Text {
			t.Errorf("%s is written as %s", v.Text, p)
		}
		if kept, err := ParseIdentity(v.Keep); err != nil || kept.Public() != p || kept.Text() != v.Keep { // SEC-50
			t.Errorf("%s: %v", v.Keep, err)
		}
	}
}

// TestGroupVectors: SEC-3, SEC-4.
func TestGroupVectors(t *testing.T) {
	v := load[ownVectors](t, "sealed.json")
	if len(v.Groups) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range v.Groups {
		k := Derive(Secret(v.Secret.key()), v.Key)
		equal(t, "room", k.room[:], v.Room)
		equal(t, "psk", k.psk[:], v.PSK)
		equal(t, "gate", k.gate[:], v.Gate)
		if k.Room() != hex.EncodeToString(v.Room) {
			t.Error("room name", k.Room())
		}
	}
}

// TestHandshakeVectors: SEC-8 to SEC-14.
func TestHandshakeVectors(t *testing.T) {
	file := load[ownVectors](t, "sealed.json")
	if len(file.Handshakes) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Handshakes {
		k := Derive(Secret(v.Secret.key()), v.Key)
		i, m1, err := k.Initiate(v.Initiator.self(), bytes.NewReader(v.Initiator.Ephemeral))
		check(t, err)
		equal(t, "message 1", m1, v.Messages[0])
		r, m2, err := k.Respond(v.Responder.self(), bytes.NewReader(v.Responder.Ephemeral), m1)
		check(t, err)
		equal(t, "message 2", m2, v.Messages[1])
		is, m3, err := i.Finish(m2)
		check(t, err)
		equal(t, "message 3", m3, v.Messages[2])
		rs, err := r.Complete(m3)
		check(t, err)
		for _, s := range []*Session{is, rs} {
			b := s.Binding()
			equal(t, "binding", b[:], v.Binding)
		}
		equal(t, "the initiator's key", is.send.key[:], v.InitiatorKey)
		equal(t, "the responder's key", rs.send.key[:], v.ResponderKey)
		for _, m := range v.Sealed {
			from, to := is, rs
			if m.From == "responder" {
				from, to = rs, is
			}
			if m.Counter < from.send.next { // a late one: sealed by another copy of the sender
				from = &Session{send: sealer{}}
				from.send.init(v.InitiatorKey.key(), v.Initiator.ID, v.Responder.ID)
			}
			for from.send.next < m.Counter { // as if the ones between had been sealed
				if from.send.next%(1<<EpochBits) == 0 && from.send.next > 0 {
					from.send.seal(nil, nil)
				}
				from.send.next = min(m.Counter, from.send.next-from.send.next%(1<<EpochBits)+1<<EpochBits)
			}
			n, b, err := from.Seal(nil, m.Message)
			check(t, err)
			if n != m.Counter {
				t.Errorf("counter %d, not %d", n, m.Counter)
			}
			equal(t, "sealed", b, m.Sealed)
			got, err := to.Open(nil, m.Counter, m.Sealed)
			check(t, err)
			equal(t, "opened", got, m.Message)
			if _, err := to.Open(nil, m.Counter, m.Sealed); err != ErrReplay { // SEC-15
				t.Error("again:", err)
			}
		}
	}
}

// TestInvitationVectors: SEC-20.
func TestInvitationVectors(t *testing.T) {
	file := load[ownVectors](t, "sealed.json")
	if len(file.Invitations) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Invitations {
		inviter, bot := v.Inviter.self().Identity, v.Bot.self().Identity
		i, m1, err := Invite(inviter, bytes.NewReader(v.Inviter.Ephemeral))
		check(t, err)
		equal(t, "message 1", m1, v.Messages[0])
		b, m2, err := Invited(bot, bytes.NewReader(v.Bot.Ephemeral), m1)
		check(t, err)
		equal(t, "message 2", m2, v.Messages[1])
		m3, err := i.Hand(m2, bot.Public(), Secret(v.Secret.key()), v.Key)
		check(t, err)
		equal(t, "message 3", m3, v.Messages[2])
		secret, key, from, err := b.Accept(m3)
		check(t, err)
		if secret != Secret(v.Secret.key()) || key != v.Key || from != inviter.Public() {
			t.Error("the bot was told something else")
		}
	}
}

// TestBodyVectors: SEC-17, SEC-18.
func TestBodyVectors(t *testing.T) {
	file := load[ownVectors](t, "sealed.json")
	if len(file.Bodies) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Bodies {
		y := NewBody(BodyKey(v.Key.key()))
		b, digest := y.Seal(nil, v.Nb, v.Part)
		equal(t, "sealed", b, v.Sealed)
		equal(t, "digest", digest[:], v.Digest)
		part, err := y.Open(nil, v.Nb, digest, b)
		check(t, err)
		equal(t, "part", part, v.Part)
	}
}

package sealed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// pairingVectors is pairing.json.
type pairingVectors struct {
	Texts []struct {
		Hex  hexBytes
		Text string
	}
	Failing           []struct{ Text, Note string }
	Told, ToldFailing json.RawMessage // the reader of package peersox
	Pairings          []struct {
		Secret, Root, PSK, Gate hexBytes
		Code, Hash              string
	}
	Handshakes []struct {
		Secret                     hexBytes
		Code, Hash                 string
		Initiator, Responder       pairingEnd
		Messages                   []hexBytes
		Texts                      []string // of package session
		InitiatorKey, ResponderKey hexBytes
		Roads                      []struct {
			Offer                      uint64
			InitiatorKey, ResponderKey hexBytes
			Initiator, Responder       []roadMessage
		}
	}
}

type pairingEnd struct {
	Private, Ephemeral hexBytes
	Hello              string
}

type roadMessage struct {
	Number          uint64
	Message, Sealed hexBytes
}

func (e pairingEnd) rand() io.Reader {
	return io.MultiReader(bytes.NewReader(e.Private), bytes.NewReader(e.Ephemeral))
}

// TestPairingTextVectors: SEC-40.
func TestPairingTextVectors(t *testing.T) {
	file := load[pairingVectors](t, "pairing.json")
	if len(file.Texts) == 0 || len(file.Failing) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Texts {
		got, err := ParsePairingSecret(v.Text)
		check(t, err)
		equal(t, v.Text, got[:], v.Hex)
		if got.Text() != v.Text {
			t.Errorf("%s is written as %s", v.Text, got.Text())
		}
	}
	for _, v := range file.Failing {
		if got, err := ParsePairingSecret(v.Text); !errors.Is(err, ErrText) || got != (PairingSecret{}) {
			t.Errorf("%s: %x, %v", v.Note, [16]byte(got), err)
		}
	}
}

// TestPairingSecretHidden: only Text tells a secret (SEC-48).
func TestPairingSecretHidden(t *testing.T) {
	s, err := NewPairingSecret(nil)
	check(t, err)
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %#v %x", struct{ S PairingSecret }{s}, s, s), s.LogValue().String()} {
		if strings.Contains(shown, s.Text()[8:20]) || strings.Contains(shown, fmt.Sprintf("%x", s[:4])) || !strings.Contains(shown, hidden) {
			t.Error("told:", shown)
		}
	}
	if other, _ := NewPairingSecret(nil); s == other || s == (PairingSecret{}) {
		t.Error("drawn twice")
	}
}

// TestPairingLastBits: of the 130 bits of the digits two stand for nothing; they must be 0 (SEC-40).
func TestPairingLastBits(t *testing.T) {
	for last := byte(1); last < 4; last++ {
		digits := make([]byte, 26)
		digits[0], digits[25] = 31, last
		check := checksum(pairingPrefix, append(digits, make([]byte, checkDigits)...)) ^ bech32mConst
		text := pairingPrefix + "1"
		for i := range checkDigits {
			digits = append(digits, byte(check>>(5*(checkDigits-1-i))&31))
		}
		for _, d := range digits {
			text += bech32Digits[d : d+1]
		}
		s, err := ParsePairingSecret(text)
		refused(t, text, err, ErrText)
		if s != (PairingSecret{}) {
			t.Error("a part of it was taken")
		}
	}
}

// TestPairingVectors: SEC-41.
func TestPairingVectors(t *testing.T) {
	file := load[pairingVectors](t, "pairing.json")
	if len(file.Pairings) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Pairings {
		p, err := NewPairing(PairingSecret(v.Secret), v.Code, v.Hash, nil)
		check(t, err)
		equal(t, "psk", p.keys.psk[:], v.PSK)
		equal(t, "gate", p.keys.gate[:], v.Gate)
	}
}

// TestPairingHandshakeVectors: SEC-42, SEC-43.
func TestPairingHandshakeVectors(t *testing.T) {
	file := load[pairingVectors](t, "pairing.json")
	if len(file.Handshakes) == 0 {
		t.Fatal("no vectors")
	}
	messages := 0
	for _, v := range file.Handshakes {
		end := func(e pairingEnd) *Pairing {
			p, err := NewPairing(PairingSecret(v.Secret), v.Code, v.Hash, e.rand())
			check(t, err)
			return p
		}
		i, r := end(v.Initiator), end(v.Responder)
		equal(t, "message 1", i.Initiate(), v.Messages[0])
		m2, err := r.Respond(v.Messages[0], []byte(v.Responder.Hello))
		check(t, err)
		equal(t, "message 2", m2, v.Messages[1])
		m3, hello, ir, err := i.Finish(v.Messages[1], []byte(v.Initiator.Hello))
		check(t, err)
		equal(t, "the responder's hello", hello, []byte(v.Responder.Hello))
		equal(t, "message 3", m3, v.Messages[2])
		hello, rr, err := r.Complete(v.Messages[2])
		check(t, err)
		equal(t, "the initiator's hello", hello, []byte(v.Initiator.Hello))
		equal(t, "the initiator's key", ir.send[:], v.InitiatorKey)
		equal(t, "the responder's key", rr.send[:], v.ResponderKey)
		for _, road := range v.Roads {
			of := func(r *Roads) *Road {
				if road.Offer == 0 {
					return r.Relay()
				}
				return r.Channel(road.Offer)
			}
			one, other := of(ir), of(rr)
			equal(t, "the road's key", one.out.key[:], road.InitiatorKey)
			equal(t, "the other way", other.out.key[:], road.ResponderKey)
			for _, m := range road.Initiator {
				travel(t, one, other, m)
				messages++
			}
			for _, m := range road.Responder {
				travel(t, other, one, m)
				messages++
			}
		}
	}
	if messages == 0 {
		t.Fatal("no messages")
	}
}

// travel has a message go over a road with its number, as if those before had gone.
func travel(t *testing.T, from, to *Road, m roadMessage) {
	t.Helper()
	for _, l := range []*lane{&from.out, &to.in} {
		for l.next < m.Number {
			if l.next%(1<<EpochBits) == 0 {
				check(t, l.step())
			}
			l.next = min(m.Number, l.next-l.next%(1<<EpochBits)+1<<EpochBits)
		}
	}
	b, err := from.Seal(nil, m.Message)
	check(t, err)
	equal(t, "sealed", b, m.Sealed)
	got, err := to.Open(nil, m.Sealed)
	check(t, err)
	equal(t, "opened", got, m.Message)
}

// meet returns the roads of two ends.
func meet(t *testing.T) (i, r *Roads) {
	t.Helper()
	secret, err := NewPairingSecret(nil)
	check(t, err)
	a, err := NewPairing(secret, "123456", "hash", nil)
	check(t, err)
	b, err := NewPairing(secret, "123456", "hash", nil)
	check(t, err)
	m2, err := b.Respond(a.Initiate(), nil)
	check(t, err)
	m3, _, i, err := a.Finish(m2, nil)
	check(t, err)
	_, r, err = b.Complete(m3)
	check(t, err)
	return i, r
}

// TestPairingApart: another secret, another code and another hash is another pairing, and fails before anything is told
// (SEC-9, SEC-41). So does whoever answers in the place of the other end.
func TestPairingApart(t *testing.T) {
	a := func() *Pairing {
		p, err := NewPairing(PairingSecret{1}, "123456", "hash", nil)
		check(t, err)
		return p
	}
	for name, b := range map[string]func() (*Pairing, error){
		"another secret": func() (*Pairing, error) { return NewPairing(PairingSecret{2}, "123456", "hash", nil) },
		"another code":   func() (*Pairing, error) { return NewPairing(PairingSecret{1}, "654321", "hash", nil) },
		"another hash":   func() (*Pairing, error) { return NewPairing(PairingSecret{1}, "123456", "ash", nil) },
		"another border": func() (*Pairing, error) { return NewPairing(PairingSecret{1}, "123456h", "ash", nil) },
	} {
		r, err := b()
		check(t, err)
		_, err = r.Respond(a().Initiate(), []byte("hello"))
		refused(t, name, err, ErrSecret)
		// A responder that does not care for the proof of message 1, but has its own.
		i := a()
		m1 := i.Initiate()
		r, err = b()
		check(t, err)
		r.begin(false)
		r.noise.read1(m1)
		m2, err := r.noise.write2(r.keys.proof(r.noise.re, r.noise.e.PublicKey()))
		check(t, err)
		_, _, _, err = i.Finish(m2, []byte("hello"))
		want := ErrHandshake // as the prologue is another one
		if name == "another secret" {
			want = ErrSecret
		}
		refused(t, name+", as the responder", err, want)
	}
}

// TestPairingHandshakeChanged: each changed or shortened message of a handshake is refused, one of another handshake as well
// (SEC-42).
func TestPairingHandshakeChanged(t *testing.T) {
	fresh := func() *Pairing {
		p, err := NewPairing(PairingSecret{1}, "123456", "hash", nil)
		check(t, err)
		return p
	}
	m1 := fresh().Initiate()
	each(m1, 1, func(what string, b []byte) {
		if _, err := fresh().Respond(b, nil); !errors.Is(err, ErrSecret) && !errors.Is(err, ErrHandshake) {
			t.Errorf("message 1, %s: %v", what, err)
		}
	})
	a, b := fresh(), fresh()
	a1 := a.Initiate()
	m2, err := b.Respond(a1, []byte("hello"))
	check(t, err)
	other := fresh()
	other.Initiate()
	_, _, _, err = other.Finish(m2, nil)
	refused(t, "message 2 of another handshake", err, ErrHandshake)
	for i := range m2 {
		a, b := fresh(), fresh()
		m2, err := b.Respond(a.Initiate(), []byte("hello"))
		check(t, err)
		m2[i] ^= 1
		_, _, _, err = a.Finish(m2, nil)
		refused(t, fmt.Sprintf("message 2, byte %d", i), err, ErrHandshake)
	}
	m3, _, _, err := a.Finish(m2, nil)
	check(t, err)
	again := fresh() // to which all that was recorded of a is said again
	_, err = again.Respond(a1, nil)
	check(t, err)
	_, _, err = again.Complete(m3)
	refused(t, "a recorded handshake", err, ErrHandshake)
	for i := range 48 + 5 + 16 {
		a, b := fresh(), fresh()
		m2, err := b.Respond(a.Initiate(), nil)
		check(t, err)
		m3, _, _, err := a.Finish(m2, []byte("hello"))
		check(t, err)
		m3[i] ^= 1
		_, _, err = b.Complete(m3)
		refused(t, fmt.Sprintf("message 3, byte %d", i), err, ErrHandshake)
	}
}

// TestRoads: what is changed, left out, repeated, reordered, of another road or turned back does not open (SEC-43, SEC-44).
func TestRoads(t *testing.T) {
	say := func(t *testing.T, r *Road, s string) []byte {
		b, err := r.Seal(nil, []byte(s))
		check(t, err)
		return b
	}
	for name, next := range map[string]func(t *testing.T, i, r *Roads, a *Road, first []byte) []byte{
		"changed":  func(t *testing.T, _, _ *Roads, a *Road, _ []byte) []byte { b := say(t, a, "x"); b[0] ^= 1; return b },
		"cut":      func(t *testing.T, _, _ *Roads, a *Road, _ []byte) []byte { return say(t, a, "x")[1:] },
		"left out": func(t *testing.T, _, _ *Roads, a *Road, _ []byte) []byte { say(t, a, "x"); return say(t, a, "y") },
		"repeated": func(_ *testing.T, _, _ *Roads, _ *Road, first []byte) []byte { return first },
		"empty":    func(*testing.T, *Roads, *Roads, *Road, []byte) []byte { return nil },
		"of a channel": func(t *testing.T, i, _ *Roads, _ *Road, _ []byte) []byte {
			c := i.Channel(1)
			say(t, c, "0")
			return say(t, c, "x")
		},
		"turned back": func(t *testing.T, _, r *Roads, _ *Road, _ []byte) []byte {
			c := r.Relay()
			say(t, c, "0")
			return say(t, c, "x")
		},
		"of another road 2": func(t *testing.T, i, _ *Roads, _ *Road, _ []byte) []byte {
			c := i.Channel(2)
			say(t, c, "0")
			return say(t, c, "x")
		},
	} {
		i, r := meet(t)
		a, b := i.Relay(), r.Relay()
		first := say(t, a, "first")
		got, err := b.Open(nil, first)
		check(t, err)
		equal(t, "opened", got, []byte("first"))
		got, err = b.Open(nil, next(t, i, r, a, first))
		refused(t, name, err, ErrForged)
		if len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
	i, r := meet(t)
	one, two := i.Channel(1), r.Channel(2)
	_, err := two.Open(nil, say(t, one, "x"))
	refused(t, "another channel", err, ErrForged)
	one.out.next = MaxCounter
	if _, err := one.Seal(nil, nil); err != ErrExhausted { // SEC-14
		t.Error(err)
	}
}

// TestPairingKeysGone: after its handshake an end has none of the keys with which it began, and in the end none at all (SEC-10,
// SEC-42).
func TestPairingKeysGone(t *testing.T) {
	a, _ := NewPairing(PairingSecret{1}, "", "", nil)
	b, _ := NewPairing(PairingSecret{1}, "", "", nil)
	m2, err := b.Respond(a.Initiate(), nil)
	check(t, err)
	before := []*noise{a.noise, b.noise}
	m3, _, roads, err := a.Finish(m2, nil)
	check(t, err)
	_, _, err = b.Complete(m3)
	check(t, err)
	for i, p := range []*Pairing{a, b} {
		n := before[i]
		if p.noise != nil || p.e != nil || p.s != nil || p.keys != (Keys{}) || n.e != nil || n.ck != [keySize]byte{} || n.key != [keySize]byte{} {
			t.Error("there are keys")
		}
	}
	road := roads.Relay()
	road.Erase()
	roads.Erase()
	if *roads != (Roads{}) || road.in.key != [keySize]byte{} || road.out.key != [keySize]byte{} || road.in.aead != nil || road.out.aead != nil {
		t.Error("there are keys of a road")
	}
	if _, err := road.Seal(nil, nil); !errors.Is(err, ErrExhausted) {
		t.Error(err)
	}
}

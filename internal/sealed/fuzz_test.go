package sealed

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

// fill is randomness that is the same in all processes.
func fill(b byte) io.Reader {
	return bytes.NewReader(append(bytes.Repeat([]byte{b}, 32), bytes.Repeat([]byte{^b}, 32)...))
}

// A fuzzed is what two members of a group are, and what is said in a handshake of theirs, always the same.
type fuzzed struct {
	keys       *Keys
	one, other Self
	m1, m2, m3 []byte
}

func newFuzzed(t testing.TB) *fuzzed {
	f := &fuzzed{keys: Derive(Secret{1}, "chat"), one: Self{IdentityOf([32]byte{1}), 1 << 31, 1}, other: Self{IdentityOf([32]byte{2}), 1<<31 + 1, 2}}
	i, r := f.initiator(t), f.responder(t, nil)
	var err error
	_, f.m3, err = i.Finish(f.m2)
	check(t, err)
	_, err = r.Complete(f.m3)
	check(t, err)
	return f
}

func (f *fuzzed) initiator(t testing.TB) (h *Handshake) {
	var err error
	h, f.m1, err = f.keys.Initiate(f.one, fill(3))
	check(t, err)
	return h
}

// responder returns one that has had a message 1, by default the right one.
func (f *fuzzed) responder(t testing.TB, m1 []byte) (h *Handshake) {
	if m1 == nil {
		m1 = f.m1
	}
	var err error
	h, f.m2, err = f.keys.Respond(f.other, fill(4), m1)
	check(t, err)
	return h
}

// vectorMessages returns all that the vectors say on the wire, for a fuzzer to begin with.
func vectorMessages(t testing.TB) (list [][]byte) {
	own, pairings := load[ownVectors](t, "sealed.json"), load[pairingVectors](t, "pairing.json")
	for _, v := range own.Handshakes {
		for _, m := range v.Messages {
			list = append(list, m)
		}
		for _, m := range v.Sealed {
			list = append(list, m.Sealed)
		}
	}
	for _, v := range own.Invitations {
		for _, m := range v.Messages {
			list = append(list, m)
		}
	}
	for _, v := range own.Bodies {
		list = append(list, v.Sealed)
	}
	for _, v := range pairings.Handshakes {
		for _, m := range v.Messages {
			list = append(list, m)
		}
		for _, r := range v.Roads {
			for _, m := range append(r.Initiator, r.Responder...) {
				list = append(list, m.Sealed)
			}
		}
	}
	return list
}

// FuzzRefused: what was not made by an end of ours is refused, whatever it is and at whichever step, and the handshake, the
// session and the body that it was said in go on as if it had not come (SEC-9, SEC-13, SEC-18).
func FuzzRefused(f *testing.F) {
	list := vectorMessages(f)
	if len(list) < 20 {
		f.Fatal("no vectors")
	}
	v := newFuzzed(f)
	for _, b := range append(list, v.m1, v.m2, v.m3, nil) {
		f.Add(uint64(0), b)
	}
	f.Fuzz(func(t *testing.T, counter uint64, b []byte) {
		v := newFuzzed(t)
		if bytes.Equal(b, v.m1) || bytes.Equal(b, v.m2) || bytes.Equal(b, v.m3) {
			return
		}
		if _, _, err := v.keys.Respond(v.other, fill(4), b); err == nil {
			t.Error("message 1 was taken")
		}
		i, r := v.initiator(t), v.responder(t, nil)
		if _, _, err := i.Finish(b); err == nil {
			t.Error("message 2 was taken")
		}
		if _, err := r.Complete(b); err == nil {
			t.Error("message 3 was taken")
		}
		is, m3, err := i.Finish(v.m2)
		check(t, err)
		rs, err := r.Complete(m3)
		check(t, err)
		for _, h := range []*Handshake{i, r} { // it is over
			if _, _, err := h.Finish(v.m2); err == nil {
				t.Error("message 2 was taken again")
			}
			if _, err := h.Complete(v.m3); err == nil {
				t.Error("message 3 was taken again")
			}
		}
		if _, err := rs.Open(nil, counter, b); err == nil {
			t.Error("a message was taken")
		}
		n, c, err := is.Seal(nil, b)
		check(t, err)
		if got, err := rs.Open(nil, n, c); err != nil || !bytes.Equal(got, b) {
			t.Errorf("a right message: %x, %v", got, err)
		}
		y := NewBody(BodyKey{1})
		c, digest := y.Seal(nil, uint32(counter), b)
		if _, err := y.Open(nil, uint32(counter), digest, b); err == nil && !bytes.Equal(b, c) {
			t.Error("a body was taken")
		}
		if got, err := y.Open(nil, uint32(counter), digest, c); err != nil || !bytes.Equal(got, b) {
			t.Errorf("a right body: %x, %v", got, err)
		}
	})
}

// FuzzInsider: who has the secret and seals what it likes in the messages of a handshake gets a session only by saying what
// it is (SEC-9, SEC-11), and no other end of a body opens what it was not given the digest of (SEC-18).
func FuzzInsider(f *testing.F) {
	hello := func(id, index uint32) []byte { return Self{ID: id, Index: index}.hello() }
	for _, b := range [][]byte{hello(1<<31+5, 7), hello(5, 7), hello(1<<31, 0), hello(1<<31+1, 0), nil, make([]byte, 40)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		v := newFuzzed(t)
		good := func(other uint32) bool {
			return len(payload) == helloSize && binary.BigEndian.Uint32(payload) >= minID && binary.BigEndian.Uint32(payload) != other
		}
		judge := func(what string, s *Session, err error, self Self) {
			t.Helper()
			if (err == nil) != good(self.ID) || (s != nil) != (err == nil) {
				t.Fatalf("%s with %x: %v", what, payload, err)
			}
			if err == nil {
				_, id := s.Peer()
				if _, index := s.Indexes(); id != binary.BigEndian.Uint32(payload) || index != binary.BigEndian.Uint32(payload[4:]) {
					t.Fatalf("%s: it is %d, %d", what, id, index)
				}
			}
		}
		bad := v.keys.begin(true, v.one) // as initiator
		check(t, bad.draw(fill(9)))
		proof := v.keys.proof(bad.noise.e.PublicKey())
		m1 := bad.noise.write1(payload)
		if _, _, err := v.keys.Respond(v.other, fill(4), m1); (err == nil) != bytes.Equal(payload, proof) {
			t.Fatalf("message 1 with %x: %v", payload, err)
		}
		bad = v.keys.begin(true, v.one)
		check(t, bad.draw(fill(9)))
		r := v.responder(t, bad.noise.write1(proof))
		_, err := bad.noise.read2(v.m2)
		check(t, err)
		m3, err := bad.noise.write3(payload)
		check(t, err)
		s, err := r.Complete(m3)
		judge("message 3", s, err, v.other)

		for _, proven := range []bool{false, true} { // as responder
			i := v.initiator(t)
			bad = v.keys.begin(false, v.other)
			check(t, bad.draw(fill(9)))
			_, err = bad.noise.read1(v.m1)
			check(t, err)
			said := payload
			proof := v.keys.proof(bad.noise.re, bad.noise.e.PublicKey())
			if proven {
				said = append(bytes.Clone(proof), payload...)
			}
			m2, err := bad.noise.write2(said)
			check(t, err)
			s, m3, err := i.Finish(m2)
			switch {
			case proven:
				judge("message 2", s, err, v.one)
			case err == nil && !bytes.HasPrefix(payload, proof):
				t.Fatal("no proof is needed")
			}
			if (m3 == nil) != (err != nil) {
				t.Fatalf("message 3 of %d bytes, %v", len(m3), err)
			}
		}

		key := BodyKey{1}
		c, digest := NewBody(key).Seal(nil, 1, payload)
		forged, _ := NewBody(key).Seal(nil, 1, append(bytes.Clone(payload), 0))
		if _, err := NewBody(key).Open(nil, 1, digest, forged); !errors.Is(err, ErrForged) {
			t.Errorf("another body: %v", err)
		}
		if _, err := NewBody(key).Open(nil, 2, digest, c); !errors.Is(err, ErrForged) {
			t.Errorf("another part: %v", err)
		}
	})
}

// FuzzInvitation: an invitation that is not as it should be gets nobody the secret, and tells no bot anything; what an
// inviter seals for it may be anything (SEC-20).
func FuzzInvitation(f *testing.F) {
	for _, b := range vectorMessages(f) {
		f.Add(b)
	}
	f.Add(append(bytes.Repeat([]byte{1}, 32), "key"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		inviter, bot := IdentityOf([32]byte{1}), IdentityOf([32]byte{2})
		i, m1, err := Invite(inviter, fill(3))
		check(t, err)
		if a, m2, err := Invited(bot, fill(4), b); err == nil { // it is a key and nothing else
			if len(b) != keySize {
				t.Errorf("message 1 of %d bytes was taken", len(b))
			}
			if _, _, _, err := a.Accept(m2); err == nil {
				t.Error("an answer is taken for message 3")
			}
		}
		a, m2, err := Invited(bot, fill(4), m1)
		check(t, err)
		if m3, err := i.Hand(b, bot.Public(), Secret{7}, "chat"); err == nil && !bytes.Equal(b, m2) || (m3 == nil) != (err != nil) {
			t.Error("the secret was handed out")
		}
		if _, _, _, err := a.Accept(b); err == nil {
			t.Error("message 3 was taken")
		}
		i, m1, err = Invite(inviter, fill(3)) // what is sealed as it should be
		check(t, err)
		a, m2, err = Invited(bot, fill(4), m1)
		check(t, err)
		_, err = i.noise.read2(m2)
		check(t, err)
		m3, err := i.noise.write3(b)
		check(t, err)
		secret, key, from, err := a.Accept(m3)
		if (err == nil) != (len(b) > len(secret)) || err == nil && (string(secret[:])+key != string(b) || from != inviter.Public()) {
			t.Errorf("told %d bytes: %q, %v", len(b), key, err)
		}
	})
}

// FuzzSession: of messages that come in any order, some of them changed, each is opened once and as it was sealed, if it
// is not too late or too early, whatever came before (SEC-13 to SEC-15). Each message is five bytes: which key, which
// counter of that key, from its first or from its last, and what is changed.
func FuzzSession(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 0xff, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0xff, 0xf0, 1, 0, 0x81, 0, 9, 0, 0, 2, 0, 0, 0, 5, 2, 0, 0, 0, 0})
	f.Add([]byte{1, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 16, 0, 0, 0, 0x82, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 1, 0, 0})
	var keys [4][keySize]byte // by epoch
	keys[0] = [keySize]byte{1}
	for i := range keys[1:] {
		keys[i+1] = rekey(&keys[i])
	}
	ad := associated(minID, minID+1)
	f.Fuzz(func(t *testing.T, ops []byte) {
		var o opener
		o.init(keys[0], minID, minID+1)
		opened := make(map[uint64]bool)
		end, old := uint64(0), false // above the greatest that has opened; whether the key before the last is known
		for ; len(ops) >= 5; ops = ops[5:] {
			epoch := uint64(ops[0] & 3)
			n := uint64(binary.BigEndian.Uint16(ops[1:]))
			if ops[0]&0x80 != 0 || ops[3]&1 != 0 {
				n = 1<<EpochBits - 1 - n
			}
			n += epoch << EpochBits
			at, message := nonce(n), ops[:5]
			b := newAEAD(&keys[epoch]).Seal(nil, at[:], message, ad[:])
			if ops[4] != 0 {
				b[int(ops[3])%len(b)] ^= ops[4]
			}
			got, err := o.open(nil, n, b)
			last := uint64(0)
			if end > 0 {
				last = (end - 1) >> EpochBits
			}
			switch {
			case opened[n] || n < end && end-n > Window:
				if err != ErrReplay {
					t.Fatalf("%d, of %d, again or too late: %v", n, end, err)
				}
			case ops[4] != 0 || epoch > last+1 || epoch < last && (epoch+1 < last || !old):
				if err != ErrForged {
					t.Fatalf("%d, of %d, changed or out of reach: %v", n, end, err)
				}
			case err != nil || !bytes.Equal(got, message):
				t.Fatalf("%d, of %d: %x, %v", n, end, got, err)
			default:
				opened[n] = true
				end, old = max(end, n+1), old || epoch > last
			}
		}
	})
}

// FuzzPairing: a stranger and a server get nothing from either end of a sealed pairing at any step, nor does anything open on
// a road that is not what comes next; who has the secret may say any hello (SEC-9, SEC-42 to SEC-44).
func FuzzPairing(f *testing.F) {
	for _, b := range vectorMessages(f) {
		f.Add(b)
	}
	f.Add([]byte(`{"version":1,"window":65536}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		end := func(n byte) *Pairing {
			p, err := NewPairing(PairingSecret{1}, "123456", "hash", fill(n))
			check(t, err)
			return p
		}
		if _, err := end(4).Respond(b, nil); err == nil {
			t.Error("message 1 was taken")
		}
		i := end(3)
		i.Initiate()
		if _, _, _, err := i.Finish(b, nil); err == nil {
			t.Error("message 2 was taken")
		}
		i.Erase()
		r := end(4)
		_, err := r.Respond(end(3).Initiate(), nil)
		check(t, err)
		if _, _, err := r.Complete(b); err == nil {
			t.Error("message 3 was taken")
		}
		r.Erase()

		i, r = end(3), end(4)
		m2, err := r.Respond(i.Initiate(), b)
		check(t, err)
		m3, theirs, is, err := i.Finish(m2, b)
		check(t, err)
		ours, rs, err := r.Complete(m3)
		check(t, err)
		if !bytes.Equal(theirs, b) || !bytes.Equal(ours, b) {
			t.Errorf("the hellos are %x and %x", theirs, ours)
		}
		from, to := is.Channel(1), rs.Channel(1)
		for range 2 { // the first one again is not the second
			c, err := from.Seal(nil, b)
			check(t, err)
			if got, err := to.Open(nil, c); err != nil || !bytes.Equal(got, b) {
				t.Errorf("a message: %x, %v", got, err)
			}
			if copied := *to; !bytes.Equal(b, c) {
				if _, err := copied.Open(nil, b); err == nil {
					t.Error("what was not sealed was opened")
				}
				copied = *to
				if _, err := copied.Open(nil, c); err == nil {
					t.Error("a message was opened again")
				}
			}
		}
		if _, err := rs.Relay().Open(nil, b); err == nil {
			t.Error("what was not sealed was opened")
		}
	})
}

// FuzzText: a text stands for one thing at most, and has but one form, in small or capital letters and with space around it
// or not (SEC-2, SEC-6, SEC-40, SEC-50). An error does not tell what the text is (SEC-1).
func FuzzText(f *testing.F) {
	own, pairings := load[ownVectors](f, "sealed.json"), load[pairingVectors](f, "pairing.json")
	for _, v := range own.Texts {
		f.Add(v.Text)
	}
	for _, v := range own.Failing {
		f.Add(v.Text)
	}
	for _, v := range own.Identities {
		f.Add(v.Keep)
	}
	for _, v := range pairings.Texts {
		f.Add(v.Text)
	}
	for _, v := range pairings.Failing {
		f.Add(v.Text)
	}
	f.Add("0000000000pidsecret10")
	f.Add("MPPA\u0130R1QQQKQQQQQQQQQQQQQQQQQQQQQQQQQQQ")
	f.Fuzz(func(t *testing.T, text string) {
		readers := []func() (string, error){
			func() (string, error) { s, err := ParseSecret(text); return s.Text(), err },
			func() (string, error) { p, err := ParsePublic(text); return p.String(), err },
			func() (string, error) { s, err := ParsePairingSecret(text); return s.Text(), err },
			func() (string, error) {
				id, err := ParseIdentity(text)
				if err != nil {
					return "", err
				}
				return id.Text(), nil
			},
		}
		taken := 0
		bare := strings.TrimSpace(text)
		for i, read := range readers {
			form, err := read()
			switch {
			case err == nil:
				taken++
				if form != strings.ToLower(bare) || bare != strings.ToUpper(bare) && bare != strings.ToLower(bare) {
					t.Errorf("%q is read as %q", text, form)
				}
			case !errors.Is(err, ErrText):
				t.Errorf("reader %d: %v", i, err)
			case told(err.Error(), bare):
				t.Errorf("told: %v", err)
			}
		}
		if taken > 1 {
			t.Errorf("%q is %d things", text, taken)
		}
	})
}

// told reports whether an error has ten characters in it that stand in the middle of a text, and not in the error of any text:
// a word with a digit.
func told(err, text string) bool {
	if len(text) < 20 {
		return false
	}
	part := text[10:20]
	return strings.ContainsAny(part, "23456789") && !strings.ContainsAny(part, " :") && strings.Contains(err, part)
}

package sealed

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/meshpair/meshpair/internal/attacks"
)

// newSelf returns a member with a new identity.
func newSelf(t *testing.T, id uint32) Self {
	t.Helper()
	identity, err := NewIdentity(nil)
	check(t, err)
	return Self{identity, id, ^id}
}

func testKeys(t *testing.T) *Keys {
	t.Helper()
	secret, err := NewSecret(nil)
	check(t, err)
	return Derive(secret, "chat")
}

// pair returns the sessions of two members after their handshake.
func pair(t *testing.T, k *Keys) (i, r *Session) {
	t.Helper()
	a, m1, err := k.Initiate(newSelf(t, 1<<31), nil)
	check(t, err)
	b, m2, err := k.Respond(newSelf(t, 1<<31+1), nil, m1)
	check(t, err)
	i, m3, err := a.Finish(m2)
	check(t, err)
	r, err = b.Complete(m3)
	check(t, err)
	return i, r
}

func seal(t *testing.T, s *Session, text string) (uint64, []byte) {
	t.Helper()
	n, b, err := s.Seal(nil, []byte(text))
	check(t, err)
	return n, b
}

func refused(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, not %v", what, err, want)
	}
}

// each calls f with copies of a message that were changed: a bit of a byte flipped, of every byte or of some, the end cut
// off, a byte more.
func each(b []byte, step int, f func(what string, b []byte)) {
	for i := 0; i < len(b); i += step {
		c := bytes.Clone(b)
		c[i] ^= 1 << (i % 8)
		f(fmt.Sprintf("byte %d changed", i), c)
		f(fmt.Sprintf("only %d bytes", i), b[:i:i])
	}
	f("a byte more", append(bytes.Clone(b), 0))
}

// TestSecretHidden: a secret is told by Text alone, and not in what is wrong with one (SEC-1, SEC-2).
func TestSecretHidden(t *testing.T) {
	s, err := NewSecret(nil)
	check(t, err)
	text := s.Text()
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s)
	forms := []string{text[9:20], fmt.Sprintf("%x", s[:4]), strings.Trim(fmt.Sprint(s[:3]), "[]"),
		fmt.Sprintf("%d,%d,%d", s[0], s[1], s[2]), strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", s[:3]), "[]byte{"), "}")}
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %s %q", s, s, s), fmt.Sprintf("%#v", s), fmt.Sprint(struct{ S Secret }{s}), log.String()} {
		for _, form := range forms {
			if strings.Contains(shown, form) {
				t.Error("told:", shown)
			}
		}
	}
	if got, err := ParseSecret(" \t" + strings.ToUpper(text) + "\n"); err != nil || got != s { // SEC-2
		t.Error("in capitals, with space around it:", err)
	}
	each([]byte(text), 1, func(what string, b []byte) {
		_, err := ParseSecret(string(b))
		refused(t, what, err, ErrText)
		if err != nil && strings.Contains(err.Error(), text[9:20]) {
			t.Error("told:", err)
		}
	})
}

// TestSecretLastBits: of the 260 bits of the digits four stand for nothing; they must be 0 (SEC-2).
func TestSecretLastBits(t *testing.T) {
	digits := make([]byte, 52)
	digits[51] = 1
	check := checksum(secretPrefix, append(digits, make([]byte, checkDigits)...)) ^ bech32mConst
	text := secretPrefix + "1"
	for i := range checkDigits {
		digits = append(digits, byte(check>>(5*(checkDigits-1-i))&31))
	}
	for _, d := range digits {
		text += bech32Digits[d : d+1]
	}
	_, err := ParseSecret(text)
	refused(t, "a last bit", err, ErrText)
}

// TestTextASCII: letters whose small form is one of ASCII, and which have more bytes, are in no text: there would be two
// texts for one secret, and room for a secret with bytes too few (SEC-2).
func TestTextASCII(t *testing.T) {
	form := func(prefix string, n int) string {
		digits := make([]byte, n)
		digits[3] = byte(strings.IndexByte(bech32Digits, 'k'))
		check := checksum(prefix, append(digits, make([]byte, checkDigits)...)) ^ bech32mConst
		for i := range checkDigits {
			digits = append(digits, byte(check>>(5*(checkDigits-1-i))&31))
		}
		text := prefix + "1"
		for _, d := range digits {
			text += bech32Digits[d : d+1]
		}
		return strings.ToUpper(text)
	}
	_, err := ParseSecret(strings.Replace(form(secretPrefix, 50), "K", "\u212a", 1)) // the sign of Kelvin
	refused(t, "a sign of Kelvin", err, ErrText)
	_, err = ParsePairingSecret(strings.Replace(form(pairingPrefix, 25), "I", "\u0130", 1)) // an I with a dot
	refused(t, "an I with a dot", err, ErrText)
}

// TestGroupsApart: another secret, and another key, is another group (SEC-3, SEC-4).
func TestGroupsApart(t *testing.T) {
	one, other := Secret{1}, Secret{2}
	rooms := make(map[string]bool)
	for _, k := range []*Keys{Derive(one, "chat"), Derive(one, "chat2"), Derive(other, "chat"), Derive(one, "c")} {
		rooms[k.Room()] = true
		if k.room == k.psk || k.psk == k.gate || k.room == k.gate {
			t.Error("two labels give the same")
		}
	}
	if len(rooms) != 4 {
		t.Error("rooms", rooms)
	}
}

// TestHandshakeTells: both ends learn who the other one is, and have the same session (SEC-8, SEC-10, SEC-11).
func TestHandshakeTells(t *testing.T) {
	i, r := pair(t, testKeys(t))
	for _, s := range [][2]*Session{{i, r}, {r, i}} {
		public, id := s[0].Peer()
		if public != s[1].self.Identity.Public() || id != s[1].self.ID {
			t.Error("the other end is", public, id)
		}
		mine, theirs := s[0].Indexes()
		if mine != s[0].self.Index || theirs != s[1].self.Index {
			t.Error("indexes", mine, theirs)
		}
	}
	if i.Binding() != r.Binding() {
		t.Error("bindings differ")
	}
}

// TestHandshakeIDs: no end can be without a member id, or have the other one's (SEC-11).
func TestHandshakeIDs(t *testing.T) {
	k := testKeys(t)
	for _, id := range []uint32{0, 1<<31 - 1, 1<<31 + 1} {
		good, bad := newSelf(t, 1<<31+1), newSelf(t, id)
		i, m1, err := k.Initiate(good, nil)
		check(t, err)
		_, m2, err := k.Respond(bad, nil, m1)
		check(t, err)
		_, _, err = i.Finish(m2)
		refused(t, fmt.Sprint("a responder with id ", id), err, ErrHandshake)

		i, m1, err = k.Initiate(bad, nil)
		check(t, err)
		r, m2, err := k.Respond(good, nil, m1)
		check(t, err)
		_, err = i.noise.read2(m2) // without a look at the ids
		check(t, err)
		m3, err := i.noise.write3(bad.hello())
		check(t, err)
		_, err = r.Complete(m3)
		refused(t, fmt.Sprint("an initiator with id ", id), err, ErrHandshake)
	}
}

// TestStranger: who does not have the secret is told nothing, whichever end it is (SEC-9).
func TestStranger(t *testing.T) {
	k := testKeys(t)
	stranger := testKeys(t)
	stranger.room = k.room // the signaling server knows it
	_, m1, err := stranger.Initiate(newSelf(t, 1<<31), nil)
	check(t, err)
	_, answer, err := k.Respond(newSelf(t, 1<<31+1), bytes.NewReader(nil), m1) // no key is drawn for it, either (SEC-29)
	refused(t, "an initiator without the secret", err, ErrSecret)
	if answer != nil {
		t.Error("it was answered")
	}

	i, m1, err := k.Initiate(newSelf(t, 1<<31), nil)
	check(t, err)
	stranger.gate = [32]byte{}
	self := newSelf(t, 1<<31+1)
	h := stranger.begin(false, self) // which answers whatever the proof is
	check(t, h.draw(nil))
	_, err = h.noise.read1(m1)
	check(t, err)
	m2, err := h.noise.write2(append(stranger.proof(h.noise.re, h.noise.e.PublicKey()), self.hello()...))
	check(t, err)
	_, m3, err := i.Finish(m2)
	refused(t, "a responder without the secret", err, ErrSecret)
	if m3 != nil {
		t.Error("it was answered")
	}
}

// TestWrongPSK: the gate alone is not enough; the psk is in all keys (SEC-8).
func TestWrongPSK(t *testing.T) {
	k := testKeys(t)
	stranger := *k
	stranger.psk[0] ^= 1
	i, m1, err := stranger.Initiate(newSelf(t, 1<<31), nil)
	check(t, err)
	r, m2, err := k.Respond(newSelf(t, 1<<31+1), nil, m1)
	check(t, err)
	_, m3, err := i.Finish(m2)
	check(t, err)
	_, err = r.Complete(m3)
	refused(t, "another psk", err, ErrHandshake)
}

// TestHandshakeAltered: none of the three messages can be changed, cut or made longer (SEC-8).
func TestHandshakeAltered(t *testing.T) {
	k := testKeys(t)
	a, b := newSelf(t, 1<<31), newSelf(t, 1<<31+1)
	e := func(n byte) *bytes.Reader { return bytes.NewReader(bytes.Repeat([]byte{n}, 32)) }
	_, m1, err := k.Initiate(a, e(1))
	check(t, err)
	each(m1, 7, func(what string, m []byte) {
		want := ErrSecret
		if len(m) != len(m1) {
			want = ErrHandshake
		}
		_, _, err := k.Respond(b, e(2), m)
		refused(t, "message 1, "+what, err, want)
	})
	_, m2, err := k.Respond(b, e(2), m1)
	check(t, err)
	each(m2, 7, func(what string, m []byte) {
		h, _, err := k.Initiate(a, e(1))
		check(t, err)
		_, _, err = h.Finish(m)
		refused(t, "message 2, "+what, err, ErrHandshake)
	})
	h, _, err := k.Initiate(a, e(1))
	check(t, err)
	_, m3, err := h.Finish(m2)
	check(t, err)
	each(m3, 7, func(what string, m []byte) {
		h, _, err := k.Respond(b, e(2), m1)
		check(t, err)
		_, err = h.Complete(m)
		refused(t, "message 3, "+what, err, ErrHandshake)
	})
}

// TestHandshakeReplayed: an old message does not lead to a session, as the other end has a new ephemeral key (SEC-8).
func TestHandshakeReplayed(t *testing.T) {
	k := testKeys(t)
	i, m1, err := k.Initiate(newSelf(t, 1<<31), nil)
	check(t, err)
	_, m2, err := k.Respond(newSelf(t, 1<<31+1), nil, m1)
	check(t, err)
	_, m3, err := i.Finish(m2)
	check(t, err)

	r, _, err := k.Respond(newSelf(t, 1<<31+1), nil, m1) // it is answered, but by another message 2
	check(t, err)
	_, err = r.Complete(m3)
	attacks.Check(t, "recorder: a recorded handshake", true, attacks.Refused, err)
	i, _, err = k.Initiate(newSelf(t, 1<<31), nil)
	check(t, err)
	_, _, err = i.Finish(m2)
	attacks.Check(t, "recorder: a recorded handshake", true, attacks.Refused, err)
}

// TestWeakKeys: keys with which every result would be 0 are refused (SEC-8).
func TestWeakKeys(t *testing.T) {
	k := testKeys(t)
	zero, err := ecdh.X25519().NewPublicKey(make([]byte, 32))
	check(t, err)
	// Of an insider: it has the gate.
	n := newNoise(true, append([]byte(labelRoot), k.room[:]...), &k.psk, nil, nil)
	n.sawE(zero.Bytes())
	m1 := n.encrypt(zero.Bytes(), k.proof(zero))
	_, _, err = k.Respond(newSelf(t, 1<<31), nil, m1)
	refused(t, "an ephemeral key of 0", err, ErrHandshake)
}

// TestSeal: messages are opened in any order, once each (SEC-12, SEC-15).
func TestSeal(t *testing.T) {
	i, r := pair(t, testKeys(t))
	var all [][]byte
	for n := range 10 {
		c, b := seal(t, i, fmt.Sprint("message ", n))
		if c != uint64(n) {
			t.Fatal("counter", c)
		}
		all = append(all, b)
	}
	for _, n := range []uint64{3, 0, 9, 1, 2, 4, 8, 7, 6, 5} {
		got, err := r.Open([]byte("> "), n, all[n])
		check(t, err)
		if want := fmt.Sprint("> message ", n); string(got) != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	for n, b := range all {
		_, err := r.Open(nil, uint64(n), b)
		refused(t, "again", err, ErrReplay)
	}
}

// TestForged: what was changed, cut, reordered, or sealed for others is refused, and changes nothing (SEC-13).
func TestForged(t *testing.T) {
	k := testKeys(t)
	i, r := pair(t, k)
	i2, r2 := pair(t, k)
	n, b := seal(t, i, "a message")
	each(b, 1, func(what string, b []byte) {
		_, err := r.Open(nil, n, b)
		refused(t, what, err, ErrForged)
	})
	for _, wrong := range []uint64{1, 77, 1 << EpochBits, 5 << EpochBits, MaxCounter, 1<<64 - 1} {
		_, err := r.Open(nil, wrong, b)
		refused(t, fmt.Sprint("counter ", wrong), err, ErrForged)
	}
	_, err := r2.Open(nil, n, b)
	refused(t, "of another session", err, ErrForged)
	_, err = i.Open(nil, n, b)
	refused(t, "one's own, reflected", err, ErrForged)
	_, b2 := seal(t, i2, "a message")
	_, err = r.Open(nil, n, b2)
	refused(t, "sealed in another session", err, ErrForged)
	if got, err := r.Open(nil, n, b); err != nil || string(got) != "a message" {
		t.Errorf("after all that: %q, %v", got, err)
	}
}

// TestRedirected: the ids of both ends are authenticated beside the keys (SEC-13).
func TestRedirected(t *testing.T) {
	i, r := pair(t, testKeys(t))
	n, b := seal(t, i, "a message")
	for _, ad := range [][8]byte{associated(1<<31+5, 1<<31+1), associated(1<<31, 1<<31+5), associated(1<<31+1, 1<<31)} {
		o := r.receive
		o.ad = ad
		_, err := o.open(nil, n, b)
		refused(t, fmt.Sprintf("for %x", ad), err, ErrForged)
	}
}

// TestWindow: a message may be less than Window behind (SEC-15).
func TestWindow(t *testing.T) {
	i, r := pair(t, testKeys(t))
	at := func(n uint64) []byte {
		i.send.next = n
		_, b := seal(t, i, "x")
		return b
	}
	open := func(n uint64, want error) {
		t.Helper()
		if _, err := r.Open(nil, n, at(n)); !errors.Is(err, want) {
			t.Errorf("counter %d: %v, not %v", n, err, want)
		}
	}
	open(5, nil)
	open(Window+4, nil)
	open(4, ErrReplay)           // Window behind
	open(5, ErrReplay)           // which came
	open(7, nil)                 //
	open(Window+5, nil)          // which puts 6 at the edge
	open(5, ErrReplay)           //
	open(2, ErrReplay)           // too far behind
	open(6, nil)                 //
	open(3*Window+6, nil)        // beyond all of the window
	open(2*Window+6, ErrReplay)  // just out of it
	open(2*Window+7, nil)        // the last one in it
	open(Window*2+7, ErrReplay)  //
	open(3*Window+5, nil)        //
	open(3*Window+6, ErrReplay)  //
	open(3*Window+70, nil)       // what was passed over has not come
	open(3*Window+69, nil)       //
	open(3*Window+69, ErrReplay) //
	open(4*Window+70, nil)       // passes over one whose place in the window another had
	open(4*Window+69, nil)       //
}

// TestRekey: after 2^22 messages there is another key, and late messages of the one before can be opened (SEC-14).
func TestRekey(t *testing.T) {
	i, r := pair(t, testKeys(t))
	first := i.send.key
	const per = 1 << EpochBits
	i.send.next = per - 2
	var late [][]byte
	for range 2 {
		_, b := seal(t, i, "late")
		late = append(late, b)
	}
	if i.send.key != first {
		t.Error("renewed too early")
	}
	n, b := seal(t, i, "new")
	if n != per || i.send.key == first {
		t.Error("not renewed at", n)
	}
	forged := bytes.Clone(b)
	forged[0]++
	_, err := r.Open(nil, n, forged)
	refused(t, "forged, of the next key", err, ErrForged)
	if r.receive.epoch != 0 {
		t.Error("a forged message renewed the key")
	}
	_, err = r.Open(nil, n, b)
	check(t, err)
	for j, b := range late {
		_, err := r.Open(nil, per-2+uint64(j), b)
		check(t, err)
	}
	if r.receive.epoch != 1 {
		t.Error("a late message put the key back")
	}
	i.send.next = MaxCounter
	_, _, err = i.Seal(nil, nil)
	refused(t, "one too many", err, ErrExhausted)
}

// TestNoReuse: two sessions of the same members have nothing in common, however the one before ended (SEC-10).
func TestNoReuse(t *testing.T) {
	k := testKeys(t)
	a, b := newSelf(t, 1<<31), newSelf(t, 1<<31+1)
	seen := make(map[[32]byte]bool)
	for range 20 {
		h, m1, err := k.Initiate(a, nil)
		check(t, err)
		_, m2, err := k.Respond(b, nil, m1)
		check(t, err)
		s, _, err := h.Finish(m2)
		check(t, err)
		for _, key := range [][32]byte{s.send.key, s.receive.key, s.Binding()} {
			if seen[key] {
				t.Fatal("a key came twice")
			}
			seen[key] = true
		}
	}
}

// TestInvitation: the secret goes to the bot with the identity that is named, and to nobody else (SEC-20).
func TestInvitation(t *testing.T) {
	inviter, bot, other := newSelf(t, 0).Identity, newSelf(t, 0).Identity, newSelf(t, 0).Identity
	secret := Secret{7}
	i, m1, err := Invite(inviter, nil)
	check(t, err)
	_, m2, err := Invited(other, nil, m1)
	check(t, err)
	m3, err := i.Hand(m2, bot.Public(), secret, "chat")
	refused(t, "somebody else", err, ErrIdentity)
	if m3 != nil {
		t.Error("it was answered")
	}

	e := bytes.Repeat([]byte{1}, 32)
	i, m1, err = Invite(inviter, bytes.NewReader(e))
	check(t, err)
	each(m1, 7, func(what string, m []byte) {
		b, m2, err := Invited(bot, nil, m)
		if err != nil {
			refused(t, what, err, ErrHandshake)
			return
		}
		// Without a key yet it is taken, but the other end finds out.
		i, _, err := Invite(inviter, bytes.NewReader(e))
		check(t, err)
		_, err = i.Hand(m2, bot.Public(), secret, "chat")
		refused(t, "message 1, "+what, err, ErrHandshake)
		_ = b
	})
	b, m2, err := Invited(bot, nil, m1)
	check(t, err)
	m3, err = i.Hand(m2, bot.Public(), secret, "chat")
	check(t, err)
	forged := bytes.Clone(m3)
	forged[60] ^= 1
	if _, _, _, err := b.Accept(forged); !errors.Is(err, ErrHandshake) {
		t.Error("altered:", err)
	}
	if bytes.Contains(bytes.Join([][]byte{m1, m2, m3}, nil), secret[:]) {
		t.Error("the secret can be read")
	}
}

// TestBody: a part cannot be changed, moved, or replaced by another one, also not by who has the key (SEC-17, SEC-18).
func TestBody(t *testing.T) {
	key, err := NewBodyKey(nil)
	check(t, err)
	y := NewBody(key)
	b, digest := y.Seal(nil, 3, []byte("a part"))
	each(b, 1, func(what string, b []byte) {
		_, err := y.Open(nil, 3, digest, b)
		refused(t, what, err, ErrForged)
	})
	_, err = y.Open(nil, 4, digest, b)
	refused(t, "as another part", err, ErrForged)
	insiders, _ := y.Seal(nil, 3, []byte("a fake"))
	_, err = y.Open(nil, 3, digest, insiders)
	attacks.Check(t, "insider: another body", true, attacks.Refused, err)
	otherKey, err := NewBodyKey(nil)
	check(t, err)
	_, err = NewBody(otherKey).Open(nil, 3, digest, b)
	refused(t, "by another key", err, ErrForged)
}

// TestNoAllocations: a message on its way costs no memory but what is given for it.
func TestNoAllocations(t *testing.T) {
	i, r := pair(t, testKeys(t))
	message, sealed, opened := make([]byte, 1000), make([]byte, 0, 1000+Overhead), make([]byte, 0, 1000)
	if n := testing.AllocsPerRun(100, func() {
		c, b, _ := i.Seal(sealed, message)
		if _, err := r.Open(opened, c, b); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{100, 15000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var s sealer
			s.init([32]byte{}, 1, 2)
			msg, buf := make([]byte, size), make([]byte, 0, size+Overhead)
			b.SetBytes(int64(size))
			for b.Loop() {
				s.seal(buf, msg)
			}
		})
	}
}

func BenchmarkHandshake(b *testing.B) {
	k := Derive(Secret{}, "chat")
	one, other := Self{IdentityOf([32]byte{1}), 1 << 31, 1}, Self{IdentityOf([32]byte{2}), 1<<31 + 1, 2}
	for b.Loop() {
		i, m1, _ := k.Initiate(one, nil)
		r, m2, _ := k.Respond(other, nil, m1)
		_, m3, _ := i.Finish(m2)
		if _, err := r.Complete(m3); err != nil {
			b.Fatal(err)
		}
	}
}

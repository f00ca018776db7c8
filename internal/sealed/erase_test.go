package sealed

import (
	"errors"
	"strings"
	"testing"
)

// TestErase looks at what is left of handshakes, invitations and sessions that are over (SEC-10).
func TestErase(t *testing.T) {
	k := Derive(Secret{1}, "key")
	self := func(id uint32) Self {
		identity, err := NewIdentity(nil)
		check(t, err)
		return Self{identity, id, id}
	}
	i, m1, err := k.Initiate(self(1<<31+1), nil)
	check(t, err)
	r, m2, err := k.Respond(self(1<<31+2), nil, m1)
	check(t, err)
	before := []*noise{i.noise, r.noise} // Finish and Complete work on copies
	a, m3, err := i.Finish(m2)
	check(t, err)
	b, err := r.Complete(m3)
	check(t, err)
	other := &Invitation{newNoise(true, nil, nil, self(1).Identity.key, self(1).Identity.key)}
	other.Erase()
	for n, noise := range append(before, i.noise, r.noise, other.noise) {
		if noise.e != nil || noise.ck != [keySize]byte{} || noise.key != [keySize]byte{} {
			t.Errorf("%d: keys are left", n)
		}
	}
	if _, _, err := i.Finish(m2); !errors.Is(err, ErrHandshake) {
		t.Error(err)
	}
	if _, err := r.Complete(m3); !errors.Is(err, ErrHandshake) {
		t.Error(err)
	}
	n, sealed, err := a.Seal(nil, []byte("hello"))
	check(t, err)
	for _, s := range []*Session{a, b} {
		s.Erase()
		if s.send.key != [keySize]byte{} || s.receive.key != [keySize]byte{} || s.binding != [keySize]byte{} || s.send.aead != nil || s.receive.aead != nil || s.receive.old != nil {
			t.Error("keys are left")
		}
		if _, _, err := s.Seal(nil, nil); !errors.Is(err, ErrExhausted) {
			t.Error(err)
		}
	}
	if _, err := b.Open(nil, n, sealed); !errors.Is(err, ErrForged) {
		t.Error(err)
	}
}

// TestIdentityText writes and reads the private form (SEC-50).
func TestIdentityText(t *testing.T) {
	id, err := NewIdentity(nil)
	check(t, err)
	text := id.Text()
	if len(text) != 69 || !strings.HasPrefix(text, "mpidsecret1") {
		t.Error(text)
	}
	for _, s := range []string{text, " " + strings.ToUpper(text) + "\n"} {
		again, err := ParseIdentity(s)
		check(t, err)
		if again.Public() != id.Public() || again.Text() != text {
			t.Errorf("%q is another identity", s)
		}
	}
	for _, s := range []string{"", id.Public().String(), text[:68], text + "q", Secret{1}.Text(), strings.Replace(text, "1", "2", 1)} {
		if _, err := ParseIdentity(s); !errors.Is(err, ErrText) || len(s) > 20 && strings.Contains(err.Error(), s[12:20]) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

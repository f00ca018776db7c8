package pairing

import (
	"fmt"
	"testing"
	"time"
)

// PSX-24, PSX-30: two seats, both of which are free when one of the two goes.
func TestSeats(t *testing.T) {
	var s Seats[string]
	take := func(c, initiator string, want error) {
		t.Helper()
		got, ok, err := s.Take("hash", c)
		if got != initiator || ok != (initiator != "") || err != want {
			t.Errorf("Take(%s) = %q, %v, %v", c, got, ok, err)
		}
	}
	take("a", "", nil)
	take("b", "a", nil)
	take("c", "", ErrFull)
	s.Leave("hash", "c") // it has none
	take("c", "", ErrFull)
	s.Leave("hash", "a")
	take("c", "", nil)
	s.Leave("hash", "b") // it had one, which it lost with its peer
	take("d", "c", nil)
	s.Leave("hash", "d")
	if s.Len() != 0 {
		t.Errorf("%d pairings are left", s.Len())
	}
}

// PSX-20, PSX-21: which messages register.
func TestParseRegister(t *testing.T) {
	for text, want := range map[string]bool{
		`§{"name":"client.register","data":{"code":"1","hash":"2"}}`:           true,
		`§{"data":{"hash":"2","code":"1","more":[]},"name":"client.register"}`: true,
		`{"name":"client.register","data":{"code":"1","hash":"2"}}`:            false,
		`§{"name":"client.registe","data":{"code":"1","hash":"2"}}`:            false,
		"§": false, "": false, "§null": false, "§[]": false, "\xc2": false,
	} {
		p, ok := ParseRegister([]byte(text))
		if ok != want || ok && p != (Pairing{"1", "2"}) {
			t.Errorf("%s: %+v, %v", text, p, ok)
		}
	}
	for _, data := range []string{`":null`, `":7`, `":[]`, `":{"code":1,"hash":"2"}`, `x":1`} { // PSX-23
		if p, ok := ParseRegister([]byte(`§{"name":"client.register","data` + data + `}`)); !ok || p != (Pairing{}) {
			t.Errorf("%s: %+v, %v; it registers too, with no pairing", data, p, ok)
		}
	}
}

// PSX-40, PSX-43: a right code does not count, and takes back the wait that it began.
func TestRightGuess(t *testing.T) {
	g := Guesses{Limits: Limits{Free: 1, Wait: time.Minute, MaxWait: time.Hour, Forget: time.Hour, Total: 5, Window: time.Minute}}
	now := time.Unix(1000, 0)
	g.Attempt("a", now)
	now = now.Add(time.Second)
	if wait := g.Attempt("a", now); wait != 0 {
		t.Fatalf("a second attempt waits %v", wait)
	}
	if wait := g.Attempt("a", now); wait != time.Minute {
		t.Fatalf("a third attempt waits %v", wait)
	}
	g.Right("a", now)
	if wait := g.Attempt("a", now); wait != 0 || g.Wrong("a") != 2 {
		t.Errorf("after a right one: %v, %d", wait, g.Wrong("a"))
	}
}

func FuzzParseRegister(f *testing.F) {
	f.Add([]byte(`§{"name":"client.register","data":{"code":"123456","hash":"2"}}`))
	f.Fuzz(func(t *testing.T, message []byte) {
		if p, ok := ParseRegister(message); ok && p.Valid() && len(p.Code) != CodeLen {
			t.Errorf("%+v", p)
		}
	})
}

// TestManyMakers: who has very many addresses shuts nobody else out, and is not counted without bound (PSX-44).
func TestManyMakers(t *testing.T) {
	var m Makings
	now := time.Unix(1000, 0)
	for range 3 {
		if m.Make("busy", 3, 24*time.Hour, now) > 0 {
			t.Fatal("refused before the limit")
		}
	}
	for i := range MaxMakers + 1000 {
		m.Make(fmt.Sprint("2001:db8:1:", i), 3, 24*time.Hour, now)
	}
	if wait := m.Make("192.0.2.1", 3, 24*time.Hour, now.Add(time.Hour)); wait > 0 {
		t.Errorf("who has never asked for a code has to wait for %v", wait)
	}
	if n := len(m.byAddr); n > MaxMakers {
		t.Errorf("%d addresses are counted", n)
	}
	if m.Make("busy", 3, 24*time.Hour, now.Add(time.Hour)) == 0 {
		t.Error("the busiest address was forgotten")
	}
}

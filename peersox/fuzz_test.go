package peersox

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/meshpair/meshpair/internal/sealed"
)

// FuzzParseCode: what one user told the other is a code, or a code and a secret, and never the code alone of something that
// should have one. What is read can be told again, in each form. (SEC-40)
func FuzzParseCode(f *testing.F) {
	b, err := os.ReadFile("../testdata/vectors/sealed/pairing.json")
	if err != nil {
		f.Fatal(err)
	}
	var v struct{ Told, ToldFailing []struct{ Text string } }
	if err := json.Unmarshal(b, &v); err != nil || len(v.Told) == 0 || len(v.ToldFailing) == 0 {
		f.Fatal("no vectors", err)
	}
	for _, t := range append(v.Told, v.ToldFailing...) {
		f.Add(t.Text)
	}
	f.Add("https://pair.example.org/ 123456")
	f.Fuzz(func(t *testing.T, text string) {
		code, secret, err := ParseCode(text)
		if err != nil {
			if !errors.Is(err, ErrSecretText) || code != "" || secret != "" {
				t.Fatalf("%q: %q, %v", text, code, err)
			}
			return
		}
		if strings.ContainsAny(code, "-#/") || secret == "" && strings.ContainsAny(text[strings.LastIndexByte(text, '/')+1:], "-#") {
			t.Fatalf("%q is the code %q without a secret", text, code)
		}
		p := Pairing{Code: code, Secret: secret}
		for _, told := range []string{p.Text(), p.Link("https://pair.example.org")} {
			if c, s, err := ParseCode(told); err != nil || strings.TrimSpace(c) != strings.TrimSpace(code) || s != secret {
				t.Fatalf("%q is read as %q, %v", told, c, err)
			}
		}
	})
}

// FuzzKept: a file with a pairing is read as what it was written from, or not at all, and none without its end is (SEC-49).
func FuzzKept(f *testing.F) {
	f.Add(keptForm(Pairing{"123456", strings.Repeat("0a", 32), Secret(sealed.PairingSecret{1}.Text())}), uint16(71))
	f.Add("0_00\n00000\n", uint16(5))
	f.Add(keptForm(Pairing{Code: "123456", Hash: "1"}), uint16(3))
	f.Fuzz(func(t *testing.T, text string, cut uint16) {
		p, ok := parseKept(text)
		if !ok {
			return
		}
		if again, ok := parseKept(keptForm(p)); !ok || again != p {
			t.Fatalf("%q is read as %#v, and that as %#v", text, p, again)
		}
		form := keptForm(p)
		if got, ok := parseKept(form[:int(cut)%len(form)]); ok {
			t.Fatalf("the first %d bytes of %q are read as %#v", int(cut)%len(form), form, got)
		}
	})
}

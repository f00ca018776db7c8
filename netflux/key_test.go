package netflux

import (
	"errors"
	"strings"
	"testing"
)

// TestNewKey checks that keys are made of letters and digits alone, and differ (MSH-2).
func TestNewKey(t *testing.T) {
	seen := map[string]bool{}
	letters := map[rune]bool{}
	for range 1000 {
		key := NewKey()
		if len(key) != 42 || strings.Trim(key, keyLetters) != "" || seen[key] {
			t.Fatalf("%q", key)
		}
		seen[key] = true
		for _, r := range key {
			letters[r] = true
		}
	}
	if len(letters) != len(keyLetters) {
		t.Errorf("only %d letters are used", len(letters))
	}
}

// TestEscapeKey checks that keys are written in URLs as browsers write them (SIG-1, SIG-2).
func TestEscapeKey(t *testing.T) {
	for key, want := range map[string]string{
		"key":                    "key",
		"a b":                    "a%20b",
		"it's":                   "it's",
		"it%27s":                 "it%27s",
		"100%":                   "100%",
		"été":                    "%C3%A9t%C3%A9",
		"a/b//c":                 "a/b//c",
		"<\"`{}>":                "%3C%22%60%7B%7D%3E",
		"|[]!$&()*+,;=:@~":       "|[]!$&()*+,;=:@~",
		"a.b..c":                 "a.b..c",
		strings.Repeat("a", 512): strings.Repeat("a", 512),
	} {
		if got, err := escapeKey(key); got != want || err != nil {
			t.Errorf("%q: %q, %v", key, got, err)
		}
		if back, err := unescapeKey(want); back != key || err != nil { // SEC-20
			t.Errorf("%q: %q, %v", want, back, err)
		}
	}
	for path, key := range map[string]string{"a%20b%2": "a b%2", "%c3%a9": "%c3%a9", "%C3": "%C3", "%41": "%41"} {
		if got, err := unescapeKey(path); got != key || err != nil {
			t.Errorf("%q: %q, %v", path, got, err)
		}
	}
	for _, path := range []string{"", "a b", "é", "a?", "a/%2E./b"} {
		if got, err := unescapeKey(path); !errors.Is(err, ErrKey) {
			t.Errorf("%q: %q, %v", path, got, err)
		}
	}
	for _, key := range []string{"", "a?b", "a#b", `a\b`, "a\tb", "a ", ".", "a/..", "a/%2E%2e/b", strings.Repeat("a", 513), strings.Repeat("é", 86)} {
		if got, err := escapeKey(key); !errors.Is(err, ErrKey) {
			t.Errorf("%q: %q, %v", key, got, err)
		}
	}
}

package scenario

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFiles reads the scenarios of this repository: each says what it shows, and is written as it is read.
func TestFiles(t *testing.T) {
	paths, _ := filepath.Glob("../../testdata/scenarios/*.txt")
	if len(paths) < 10 {
		t.Fatalf("%d files", len(paths))
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(string(b))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if len(s.About) == 0 {
			t.Errorf("%s does not say what it shows", path)
		}
		same(t, s)
	}
}

func same(t *testing.T, s *Scenario) {
	t.Helper()
	again, err := Parse(s.String())
	if err != nil || again.String() != s.String() {
		t.Errorf("it is not read as it was written: %v\n%s\n%s", err, s, again)
	}
}

// TestRandom: the same seed makes the same scenario, which can be written and read; most groups stay whole.
func TestRandom(t *testing.T) {
	parted, big := 0, map[int]int{}
	for seed := range uint64(400) {
		s := Random(seed)
		if s.String() != Random(seed).String() {
			t.Fatalf("seed %d makes two scenarios", seed)
		}
		same(t, s)
		big[len(s.Members)]++
		switch {
		case s.Parted() && !s.IsSplit() && len(s.Original) == 0:
			t.Errorf("seed %d: the group falls apart", seed)
		case s.Parted():
			parted++
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	if parted < 10 || parted > 120 || big[50] != 4 || big[100] != 1 {
		t.Errorf("%d fall apart; sizes %v", parted, big)
	}
}

// TestParse: the whole language.
func TestParse(t *testing.T) {
	s, err := Parse(`# What it shows,
# in two lines.

members a b c m1..m5   # eight
original b
listens a c
seed 7
latency 1ms 30ms
window 20000
expect latency 3s
expect heal 5s
at 0s say a
at 0s say a to b 100/s for 3s of 2000
at 1s break a b
at 1s blackhole a c
at 1.5s cut a m1
at 2s heal a m1
at 2s split a,b | c, m1,m2 | m3 m4,m5
at 3s heal
at 3s flap a b every 100ms for 1s
at 3s freeze a for 2s
at 3s signaling down
at 4s signaling up
at 5s leave m5
at 5s join m5
at 6s die m5 silently
at 7s die m4
at 7s join d
`)
	if err != nil {
		t.Fatal(err)
	}
	same(t, s)
	if len(s.About) != 2 || len(s.Members) != 8 || s.Window != 20000 || s.WithinHeal != 5*time.Second || s.MaxLatency != 30*time.Millisecond {
		t.Errorf("%+v", s)
	}
	steps := s.Steps()
	if n := len(s.Events) - 2 + 300 + 10; len(steps) != n {
		t.Errorf("%d steps, not %d", len(steps), n)
	}
	if !slices.Contains(strings.Split(s.String(), "\n"), "at 2s split a,b | c,m1,m2 | m3,m4,m5") {
		t.Error(s)
	}
}

// TestParseErrors: an error says which line is wrong, and what would be right.
func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                          "no members",
		"members a\nmember b":                       "line 2: \"member b\": want members, original",
		"members a a":                               `"a" is there twice`,
		"members A":                                 `"A" is no name`,
		"members to":                                `"to" is no name`,
		"members m3..m1":                            "want 1 to 1000 members",
		"members a..b":                              "want something like m1..m9",
		"members":                                   "members what?",
		"members a\nlatency 5":                      `"5" is no time`,
		"members a\nlatency 5ms 2ms":                "the smaller one comes first",
		"members a\nwindow 3":                       "want 20 to 67108864 bytes",
		"members a\noriginal b":                     `"b" is never there`,
		"members a b\nat 1s":                        "want at TIME VERB",
		"members a b\nat soon break a b":            `"soon" is no time`,
		"members a b\nat 1s brake a b":              `"brake" is no verb: want one of blackhole break cut`,
		"members a b\nat 1s break a":                "want break A B",
		"members a b\nat 1s break a b c":            `what is "c"? want break A B`,
		"members a b\nat 1s break a a":              "want two members",
		"members a b\n\nat 1s break a c":            "line 3: \"at 1s break a c\": c is not there then",
		"members a b\nat 1s join a":                 "a is there already",
		"members a b\nat 1s leave a\nat 2s say a":   "line 3: \"at 2s say a\": a is not there then",
		"members a b\nat 2s say a\nat 1s say a":     "line 3: \"at 1s say a\": it happens before",
		"members a b\nat 1s signaling up":           "it is so already",
		"members a b\nat 1s signaling":              "want signaling up|down",
		"members a b\nat 1s split a b":              "want split A,B",
		"members a b\nat 1s split a | a,b":          "a is in two parts",
		"members a b\nat 1s flap a b":               "want flap A B every TIME for TIME",
		"members a b\nat 1s say a 10/s":             "want say A [to B]",
		"members a b\nat 1s say a 0/s for 1s":       "want 1/s to 1000/s",
		"members a b\nat 1s say a of 1":             "want 20 to 67108864 bytes",
		"members a b\nat 1s say a every 1us for 1s": "want 1ms at least",
		"members a b\nat 1s say a 1000/s for 1h":    "more than 1000000 steps",
		"members a b\nat 1s heal a":                 "want heal [A B]",
		"members a b\nat 1s freeze a":               "want freeze A for TIME",
		"members a b\nat 1s freeze a b for 1s":      "want freeze A for TIME",
		"members a b\nat 1s break a b for 1s":       "what is \"for\"?",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

// TestParted: a group may fall apart where channels are missing at one time, and not where they are at different ones.
func TestParted(t *testing.T) {
	for text, want := range map[string]bool{
		"members a b c\nat 1s break a b":                                                                          false,
		"members a b c\nat 1s break a b\nat 2s break a c":                                                         true,
		"members a b c\nat 1s break a b\nat 30s break a c":                                                        false,
		"members a b c\nat 1s blackhole a b\nat 30s break a c":                                                    true,
		"members a b c\nat 1s cut a b\nat 60s break a c":                                                          true,
		"members a b c\nat 1s cut a b\nat 2s heal\nat 60s break a c":                                              false,
		"members a b c\nat 1s split a | b,c":                                                                      true,
		"members a b c\nat 1s cut a b\nat 2s leave c":                                                             true,
		"members a b c\noriginal c\nat 1s cut a b":                                                                true,
		"members a b c\nat 1s join d\nat 2s break a d":                                                            true,
		"members a b c\nat 1s join d\nat 9s break a d":                                                            false,
		"members a b c d\nat 1s freeze a for 4500ms":                                                              false,
		"members a b c d\nat 1s freeze a for 7s":                                                                  true,
		"members a b c d\nat 1s freeze a for 3s\nat 3s freeze a for 3s":                                           true,
		"members a b c\nat 1s freeze c for 2s\nat 2s break a b":                                                   true,
		"members a b c\nat 1s freeze c for 2s\nat 4s break a b":                                                   false,
		"members a b c\nat 1s break a b\nat 2s freeze c for 2s":                                                   true,
		"members a b c\nat 1s join d\nat 2s freeze a for 2s":                                                      true,
		"members a b c\nat 1s join d\nat 2s leave a":                                                              true,
		"members a b c d e f\nat 1s split a | c,d,e,f\nat 1s split b | d,e,f\nat 1s split c | e,f\nat 1s cut d f": false,
	} {
		s, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if s.Parted() != want {
			t.Errorf("%q: parted %v", text, !want)
		}
	}
}

// TestLedger: what is wrong is found.
func TestLedger(t *testing.T) {
	fresh := func() *Ledger {
		l := NewLedger()
		for id, name := range map[uint32]string{1: "a", 2: "b", 3: "c"} {
			l.Name(id, name, id == 3)
			for other := range uint32(3) {
				if other+1 != id {
					l.Joined(id, other+1)
				}
			}
		}
		return l
	}
	for want, f := range map[string]func(*Ledger){
		"":                                    func(l *Ledger) { l.Got(2, 1, l.Say(1, 2, 5_000_000, 0), time.Second) },
		"b got 0 messages of a, which sent 1": func(l *Ledger) { l.Say(1, 2, 0, 0) },
		"b got message 1 of a twice":          func(l *Ledger) { m := l.Say(1, 2, 0, 0); l.Got(2, 1, m, 0); l.Got(2, 1, m, 0) },
		"b got message 1 of a after 2":        func(l *Ledger) { m, n := l.Say(1, 2, 0, 0), l.Say(1, 2, 0, 0); l.Got(2, 1, n, 0); l.Got(2, 1, m, 0) },
		"with other content":                  func(l *Ledger) { m := l.Say(1, 2, 100, 0); m[70]++; l.Got(2, 1, m, 0) },
		"which are no message":                func(l *Ledger) { m := l.Say(1, 2, 100, 0); l.Got(2, 1, m[:99], 0) },
		"which was not for it":                func(l *Ledger) { m := l.Say(1, 2, 0, 0); l.Got(2, 1, m, 0); l.Got(3, 1, m, 0) },
		"a for b":                             func(l *Ledger) { l.Gone(2, 1) },
		"a left, and had not joined":          func(l *Ledger) { l.End(1); l.Gone(2, 1); l.Gone(2, 1) },
		"which is no member for it":           func(l *Ledger) { m := l.Say(1, 2, 0, 0); l.End(1); l.Gone(2, 1); l.Got(2, 1, m, 0) },
		"for b a joined twice":                func(l *Ledger) { l.Joined(2, 1) },
	} {
		l := fresh()
		f(l)
		r, problems := l.Judge(false)
		if want == "" && (len(problems) > 0 || r.Delivered != 1 || r.Max != time.Second) || !strings.Contains(strings.Join(problems, "\n"), want) {
			t.Errorf("want %q: %q, %v", want, problems, r)
		}
	}
}

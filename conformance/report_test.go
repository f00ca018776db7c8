package conformance

import (
	"encoding/xml"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestReport writes one result of each verdict in each format.
func TestReport(t *testing.T) {
	t.Parallel()
	one := &Case{ID: "SIG-9/x", Requirements: []string{"SIG-9"}, Sentence: "A | B"}
	other := &Case{ID: "SIG-10/y", Requirements: []string{"SIG-10"}, Level: Should, Sentence: "C"}
	fault := &Failure{"for A", "a close frame with 4743", "a close frame with 1000 \x01"}
	var p Report
	p.Add("T", Result{Case: other, Failure: fault, lenient: true})
	p.Add("T", Result{Case: one, Closing: fault, Closings: 1, Time: time.Second})
	p.Add("T", Result{Case: one, Closings: 1})
	p.Add("T", Result{Case: one, Unsupported: "no"})
	p.Add("T", Result{Case: one, Skipped: "later"})
	p.Add("S", Result{Case: other, Failure: fault})
	for format, want := range map[string][]string{
		"text": {"S: 0 pass, 1 fail\n", "T: 1 pass, 1 fail, 1 warning, 1 unsupported, 1 skipped\n",
			"FAIL  SIG-9/x  A | B (MUST, SIG-9)\n      closing: for A\n      Expected: a close frame with 4743\n", "warning  SIG-10/y"},
		"markdown": {"| SIG-9/x | pass | FAIL | MUST | SIG-9 | A \\| B |\n", "| SIG-9/x | pass | pass |", "| SIG-10/y | warning | - | SHOULD |", "### SIG-9/x: unsupported\n"},
		"junit":    {`<testsuite name="T" tests="5" failures="1" skipped="2">`, `<failure type="closing"`, `<failure type="behaviour"`, `<skipped message="unsupported: no">`, `time="1.000"`},
	} {
		var b strings.Builder
		if err := p.Write(&b, format); err != nil {
			t.Fatal(err)
		}
		for _, s := range want {
			if !strings.Contains(b.String(), s) {
				t.Errorf("%s: no %q in\n%s", format, s, b.String())
			}
		}
		if format == "text" && strings.Index(b.String(), "SIG-9/x") > strings.LastIndex(b.String(), "SIG-10/y") {
			t.Errorf("SIG-10 comes before SIG-9:\n%s", b.String())
		}
		if format == "junit" {
			var all junitSuites
			if err := xml.Unmarshal([]byte(b.String()), &all); err != nil || len(all.Suites) != 2 || len(all.Suites[1].Cases) != 5 {
				t.Errorf("%v, %+v", err, all)
			}
		}
	}
	if err := p.Write(new(strings.Builder), "pdf"); err == nil {
		t.Error("a format that is none is taken")
	}
}

func TestSelection(t *testing.T) {
	t.Parallel()
	c := &Case{ID: "SIG-7/text", Requirements: []string{"SIG-7", "SIG-38"}}
	random := &Case{ID: "SIG/random-1", Requirements: []string{"SIG-22"}}
	for _, test := range []struct {
		s          Selection
		c, another bool
	}{
		{Selection{}, true, true},
		{Selection{Chapters: []string{"SIG"}}, true, true},
		{Selection{Chapters: []string{"CHN"}}, false, false},
		{Selection{IDs: []string{"SIG-7"}}, true, false},
		{Selection{IDs: []string{"SIG-38", "SIG/random-1"}}, true, true},
		{Selection{IDs: []string{"SIG-7/*"}}, true, false},
		{Selection{IDs: []string{"*random*"}}, false, true},
		{Selection{IDs: []string{"SIG"}}, false, false},
		{Selection{IDs: []string{"["}}, false, false},
		{Selection{Chapters: []string{"CHN"}, IDs: []string{"SIG-7"}}, false, false},
	} {
		if test.s.Match(c) != test.c || test.s.Match(random) != test.another {
			t.Errorf("%+v: %v, %v", test.s, test.s.Match(c), test.s.Match(random))
		}
	}
	if wrong, ok := (Selection{IDs: []string{"SIG-7", "SIG-77"}}).Check([]*Case{c}); ok || wrong != "SIG-77" {
		t.Errorf("%q, %v", wrong, ok)
	}
}

// TestJudgedApart: a wrong close code is a fault in closing alone, and only a connection that
// stays is one in behaviour; what a target cannot do, and what only a SHOULD asks for, is no
// failure.
func TestJudgedApart(t *testing.T) {
	t.Parallel()
	targets := honest(t)
	find := func(name string) mutant {
		for _, m := range sigverMutants {
			if m.name == name {
				return m
			}
		}
		t.Fatalf("there is no mutant %q", name)
		return mutant{}
	}
	mute := inService(serviceDelivery, 1, func(_ bool, f *field) { f.number = 9 })()
	member := targets["peer"](t, mutant{})
	member.spoil = mute
	for _, test := range []struct {
		name              string
		flag, id          string
		target            Target
		verdict           Verdict
		behaviour, ending Verdict
	}{
		{"wrong code", "sigver", "SIG-7/text", targets["sigver"](t, find("wrong close code")), Fail, Pass, Fail},
		{"no end", "sigver", "SIG-7/text", targets["sigver"](t, find("text is ignored")), Fail, Fail, Unjudged},
		{"a SHOULD", "sigver", "SIG-47/announced-length", targets["sigver"](t, find("wrong close code")), Warning, Pass, Warning},
		{"right", "sigver", "SIG-7/text", targets["sigver"](t, mutant{}), Pass, Pass, Pass},
		{"no hello", "peer", "EXT-4/numbers", member, Unsupported, Unsupported, Unjudged},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := caseOf(t, everything()[test.flag], test.id)
			judged := func(r Result) bool {
				return r.Verdict() == test.verdict && r.Behaviour() == test.behaviour && r.Close() == test.ending
			}
			r := c.Run(test.target)
			if !judged(r) { // as in onceMore
				again.Lock()
				defer again.Unlock()
				t.Logf("is run once more: %v", r)
				r = c.Run(test.target)
			}
			if !judged(r) {
				t.Errorf("%s, %s, %s; want %s, %s, %s: %v", r.Verdict(), r.Behaviour(), r.Close(), test.verdict, test.behaviour, test.ending, r)
			}
		})
	}
}

// TestBotURL runs bot cases on a bot that runs already.
func TestBotURL(t *testing.T) {
	t.Parallel()
	path, err := netfluxBinary()
	if err != nil {
		t.Fatal(err)
	}
	bot := startDriver(t, "the bot", exec.Command(path, "bot", "-listen", "127.0.0.1:0", "-signaling", startSigver(t), "-loopback"))
	for id, want := range map[string]Verdict{"CHN-28/any-origin": Pass, "CHN-10/malformed": Unsupported, "CHN-10/invitation": Unsupported} {
		if r := caseOf(t, BotCases(), id).Run(Target{BotURL: bot.Ready.URL, Strict: true}); r.Verdict() != want {
			t.Errorf("want %s: %v", want, r)
		}
	}
}

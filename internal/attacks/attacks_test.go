package attacks

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/security.md anew")

// TestPage has docs/security.md say what the text beside this test and testdata/attacks.json say.
func TestPage(t *testing.T) {
	rows, err := all()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("security.md")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root(), "docs", "security.md")
	want := page(string(text), rows)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("docs/security.md is old (%v): run go test ./internal/attacks -run TestPage -update", err)
	}
}

// TestRows: each row can be understood, and names requirements that SPEC.md has, and tests.
func TestRows(t *testing.T) {
	rows, err := all()
	if err != nil {
		t.Fatal(err)
	}
	spec, err := os.ReadFile(filepath.Join(root(), "SPEC.md"))
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < 40 {
		t.Errorf("there are only %d rows", len(rows))
	}
	packages, ids := make(map[string]bool), make(map[string]bool)
	for _, r := range rows {
		if ids[r.ID] || r.ID == "" || r.Who == "" || r.Does == "" || r.Sealed == nil || r.In != "group" && r.In != "pairing" {
			t.Errorf("%+v", r)
		}
		ids[r.ID] = true
		for _, c := range []*Case{r.Unsealed, r.Sealed} {
			if c == nil {
				continue
			}
			packages[c.Package] = true
			if !slices.Contains([]Outcome{Succeeds, Refused, Noticed, Mended}, c.Outcome) || c.Test == "" ||
				c.Outcome == Refused && c.Error == "" || c == r.Sealed && c.Outcome != Succeeds && len(c.Requirements) == 0 {
				t.Errorf("%s: %+v", r.ID, c)
			}
			for _, id := range c.Requirements {
				if !strings.Contains(string(spec), "- **"+id+"**") {
					t.Errorf("%s: SPEC.md has no %s", r.ID, id)
				}
			}
		}
	}
	// A package whose tests do not run by Main would not notice that one is missing.
	main := regexp.MustCompile(`func TestMain[^}]*attacks\.Main`)
	for name := range packages {
		files, _ := filepath.Glob(filepath.Join(root(), name, "*_test.go"))
		if !slices.ContainsFunc(files, func(file string) bool { b, _ := os.ReadFile(file); return main.Match(b) }) {
			t.Errorf("%s has no TestMain that calls attacks.Main", name)
		}
	}
}

// TestCompare: a test that does not do what its row says fails.
func TestCompare(t *testing.T) {
	reason, other := errors.New("reason"), errors.New("other")
	reasons = map[string]error{"x.ErrReason": reason}
	defer func() { reasons = nil }()
	c := &Case{Outcome: Refused, Error: "x.ErrReason", Package: "x", Test: "TestX"}
	none := &Case{Outcome: Mended, Package: "x", Test: "TestX"}
	strange := &Case{Outcome: Refused, Error: "x.ErrOther", Package: "x", Test: "TestX"}
	for i, v := range []struct {
		c         *Case
		test, pkg string
		outcome   Outcome
		err       error
		ok        bool
	}{
		{c, "TestX", "x", Refused, fmt.Errorf("so: %w", reason), true},
		{none, "TestX", "x", Mended, nil, true},
		{c, "TestY", "x", Refused, reason, false},
		{c, "TestX", "y", Refused, reason, false},
		{c, "TestX", "x", Succeeds, reason, false},
		{c, "TestX", "x", Refused, other, false},
		{c, "TestX", "x", Refused, nil, false},
		{none, "TestX", "x", Mended, other, false},
		{strange, "TestX", "x", Refused, other, false},
		{nil, "TestX", "x", Mended, nil, false},
	} {
		delete(ran, v.c)
		if problem := v.c.compare(v.test, v.pkg, v.outcome, v.err); (problem == "") != v.ok || ran[v.c] != v.ok {
			t.Errorf("%d: %q, ran %v", i, problem, ran[v.c])
		}
	}
}

// page writes docs/security.md: the text, and a table for groups and one for pairings.
func page(text string, rows []Row) string {
	var b strings.Builder
	b.WriteString(text)
	for _, part := range []struct{ in, title string }{{"group", "Groups"}, {"pairing", "Pairings"}} {
		fmt.Fprintf(&b, "\n## %s\n\n| who | does | not sealed | sealed | reason | requirements | tests |\n|---|---|---|---|---|---|---|\n", part.title)
		for _, r := range rows {
			if r.In == part.in {
				b.WriteString(r.line())
			}
		}
	}
	return b.String()
}

func (r *Row) line() string {
	var reasons, ids, tests []string
	add := func(list *[]string, more ...string) {
		for _, s := range more {
			if !slices.Contains(*list, s) {
				*list = append(*list, s)
			}
		}
	}
	cell := func(c *Case) string {
		if c == nil {
			return "—"
		}
		if c.Error != "" {
			add(&reasons, "`"+c.Error+"`")
		}
		add(&ids, c.Requirements...)
		add(&tests, fmt.Sprintf("`%s`: `%s`", c.Package, c.Test))
		if c.Then == "" {
			return "**" + string(c.Outcome) + "**"
		}
		return "**" + string(c.Outcome) + "**: " + c.Then
	}
	unsealed, sealed := cell(r.Unsealed), cell(r.Sealed)
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |\n", r.Who, r.Does, unsealed, sealed, strings.Join(reasons, ", "),
		strings.Join(ids, ", "), strings.Join(tests, "<br>"))
}

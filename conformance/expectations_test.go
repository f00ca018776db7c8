package conformance

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// Expectations are what is known of an original and the cases of its target, by the file in originals/ that says so. A
// case that it does not name passes.
type expectations struct {
	Note string
	// Beside is another file, which holds except for what this one says: "" for none.
	Beside string
	// Fails are the cases that fail, with the deviation of SPEC.md that says why.
	Fails map[string]string
	// Passes are the cases that the file beside has in Fails and that pass all the same, with the reason.
	Passes map[string]string
	// Either are those in Fails that pass now and then: what they ask for depends on the machine.
	Either []string
	// Unsupported are the cases that the original says it cannot do, or that it shows it cannot.
	Unsupported []string
}

// The files of expectations, by the flag of their target.
var expectationFiles = map[string][]string{
	"sigver":   {"sigver-20.1.0.json"},
	"peer":     {"netflux-4.3.1.json", "netflux-4.3.1-firefox.json"},
	"bot":      {"netflux-bot-4.3.1.json"},
	"peersox":  {"peersox-0.3.0.json"},
	"pairpeer": {"peersox-client-0.3.0.json", "peersox-client-0.3.0-firefox.json"},
}

// readExpectations reads a file, and the one beside which it is.
func readExpectations(t testing.TB, file string) expectations {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("originals", file))
	if err != nil {
		t.Fatal(err)
	}
	var e expectations
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if e.Beside == "" {
		return e
	}
	base := readExpectations(t, e.Beside)
	for id := range e.Passes {
		if base.Fails[id] == "" {
			t.Errorf("%s: %s passes, but does not fail by %s either", file, id, e.Beside)
		}
		delete(base.Fails, id)
	}
	maps.Copy(base.Fails, e.Fails)
	base.Note, base.Passes = e.Note, e.Passes
	base.Either = append(base.Either, e.Either...)
	base.Unsupported = append(base.Unsupported, e.Unsupported...)
	return base
}

// TestExpectations: the files name cases that there are, each once, and deviations that SPEC.md has.
func TestExpectations(t *testing.T) {
	files, err := filepath.Glob("originals/*-*.json")
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"originals/package-lock.json"}
	for name, all := range expectationFiles {
		cases := everything()[name]
		for _, file := range all {
			known = append(known, "originals/"+file)
			e := readExpectations(t, file)
			named := slices.Concat(slices.Collect(maps.Keys(e.Fails)), slices.Collect(maps.Keys(e.Passes)), e.Unsupported)
			slices.Sort(named)
			for i, id := range named {
				if !slices.ContainsFunc(cases, func(c *Case) bool { return c.ID == id }) {
					t.Errorf("%s names %s, which is no case of -%s", file, id, name)
				}
				if i > 0 && id == named[i-1] {
					t.Errorf("%s says two things of %s", file, id)
				}
			}
			for id, dev := range e.Fails {
				if deviations(t)[dev].id == "" {
					t.Errorf("%s: %s is to fail by %s, which SPEC.md does not have", file, id, dev)
				}
			}
			for _, id := range e.Either {
				if e.Fails[id] == "" {
					t.Errorf("%s: %s may pass or fail, but is not among those that fail", file, id)
				}
			}
		}
	}
	for _, file := range files {
		if !slices.Contains(known, file) {
			t.Errorf("%s is no test's", file)
		}
	}
}

// A deviation is a row of the table in SPEC.md.
type deviation struct{ id, original, requirement, instead, whyNot string }

// deviations returns those of SPEC.md by their ids.
func deviations(t testing.TB) map[string]deviation {
	t.Helper()
	all := make(map[string]deviation)
	row := regexp.MustCompile(`(?m)^\| (DEV-[0-9]+) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$`)
	for _, m := range row.FindAllStringSubmatch(readSpec(t), -1) {
		all[m[1]] = deviation{m[1], m[2], m[3], m[4], m[5]}
	}
	if len(all) < 40 {
		t.Fatalf("SPEC.md has only %d deviations", len(all))
	}
	return all
}

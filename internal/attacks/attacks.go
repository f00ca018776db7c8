// Package attacks keeps the tests of attacks and the page about them, docs/security.md, together: both say what
// testdata/attacks.json says. A test of an attack calls [Check], and a package with such tests runs them by [Main], which
// fails if one is missing.
package attacks

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// An Outcome is what an attack comes to.
type Outcome string

const (
	Succeeds Outcome = "succeeds" // the attacker has what it wanted
	Refused  Outcome = "refused"  // what it did is not taken, for a reason that has a name
	Noticed  Outcome = "noticed"  // it has what it wanted, and the user is told
	Mended   Outcome = "mended"   // nothing comes of it
)

// A Row is an attack.
type Row struct {
	ID               string // its name in tests
	In               string // "group" or "pairing"
	Who, Does        string
	Unsealed, Sealed *Case // nil: there is no such attack
}

// A Case is what an attack comes to in groups and pairings that are sealed, or are not.
type Case struct {
	Outcome      Outcome
	Then         string   // what that means
	Error        string   // the reason; empty: there is none
	Requirements []string // of SPEC.md
	Package      string   // of its test, from the root of the module
	Test         string   // its full name
}

var all = sync.OnceValues(func() ([]Row, error) {
	var file struct {
		Note string
		Rows []Row
	}
	data, err := os.ReadFile(filepath.Join(root(), "testdata", "attacks.json"))
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		return nil, fmt.Errorf("testdata/attacks.json: %w", err)
	}
	return file.Rows, nil
})

// root returns the directory of the module.
func root() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "..", "..")
}

var (
	mu      sync.Mutex
	ran     = make(map[*Case]bool)
	reasons map[string]error
)

// Check compares what an attack has come to with its row. Of err it looks whether it is, or wraps, the error of the row; a
// row without one wants nil.
func Check(t testing.TB, id string, sealed bool, outcome Outcome, err error) {
	t.Helper()
	rows, failed := all()
	if failed != nil {
		t.Fatal(failed)
	}
	for i := range rows {
		if r := &rows[i]; r.ID == id {
			c := r.Unsealed
			if sealed {
				c = r.Sealed
			}
			if problem := c.compare(t.Name(), caller(), outcome, err); problem != "" {
				t.Errorf("testdata/attacks.json, %q, sealed %v: %s", id, sealed, problem)
			}
			return
		}
	}
	t.Errorf("testdata/attacks.json has no row %q; the attack came to: %s (%v)", id, outcome, short(err))
}

// caller returns the package of the caller of Check, from the root of the module.
func caller() string {
	_, file, _, _ := runtime.Caller(2)
	dir, _ := filepath.Rel(root(), filepath.Dir(file))
	return filepath.ToSlash(dir)
}

func (c *Case) compare(test, pkg string, outcome Outcome, err error) string {
	mu.Lock()
	defer mu.Unlock()
	switch {
	case c == nil:
		return "it has no such case"
	case test != c.Test || pkg != c.Package:
		return fmt.Sprintf("its test is %s of %s, not %s of %s", c.Test, c.Package, test, pkg)
	case outcome != c.Outcome:
		return fmt.Sprintf("the attack is to be: %s; it is: %s (%v)", c.Outcome, outcome, short(err))
	case c.Error == "" && err != nil:
		return fmt.Sprintf("it has no error; there is: %s", short(err))
	case c.Error != "" && reasons[c.Error] == nil:
		return fmt.Sprintf("the package does not name an error %s", c.Error)
	case !errors.Is(err, reasons[c.Error]):
		return fmt.Sprintf("its error is %s, not: %s", c.Error, short(err))
	}
	ran[c] = true
	return ""
}

// short returns what an error says, each of its lines once.
func short(err error) string {
	var lines []string
	for line := range strings.SplitSeq(fmt.Sprint(err), "\n") {
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// Main runs the tests of a package, and fails if they have left out a row that names one of them. It does not look when not
// all tests were to run. named are the errors that rows may name.
func Main(m *testing.M, named map[string]error) (code int) {
	reasons = named
	code = m.Run()
	if code != 0 || !whole() {
		return code
	}
	rows, err := all()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, _ := os.Getwd()
	for i := range rows {
		for _, c := range []*Case{rows[i].Unsealed, rows[i].Sealed} {
			if c != nil && filepath.Join(root(), c.Package) == dir && !ran[c] {
				fmt.Fprintf(os.Stderr, "testdata/attacks.json, %q: %s has not tried it\n", rows[i].ID, c.Test)
				code = 1
			}
		}
	}
	return code
}

// whole reports whether all tests of the package were to run.
func whole() bool {
	for _, name := range []string{"run", "skip", "list", "fuzz"} {
		if f := flag.Lookup("test." + name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return !testing.Short()
}

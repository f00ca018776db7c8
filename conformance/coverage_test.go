package conformance

import (
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write COVERAGE.md anew")

// untestable are the requirements of SPEC.md without a case, and why a case that sees a target
// from outside cannot judge them.
var untestable = map[string]string{
	"BLD-26": "what a peer says to servers that nobody has named is not seen; the rest is a SHOULD about its user",
	"MSH-2":  "a driver has no command to make up a key",
	"PSX-9":  "what a server stores in is its operator's to break",
	"PSX-22": "a MAY: a server with any time, or none, is right",
	"PSX-32": "a MAY: a server with any limit, or none, is right",
	"PSX-34": "a MAY: a server with any time, or none, is right",
	"PSX-35": "the suite cannot have a server end that it did not start",
	"PSX-36": "it takes several processes of one service, which a target is not",
	"PSX-37": "it takes several processes of one service, which a target is not",
	"PSX-40": "a case would lock all others out for minutes, as they come from the same address",
	"PSX-41": "a case would lock all others out for minutes, as the limit is for all",
	"PSX-42": "the addresses of clients behind a proxy are the operator's to set up",
	"PSX-43": "a case would lock all others out for minutes, as they come from the same address",
	"PSX-44": "a case would lock all others out for minutes, as they come from the same address",
	"SEC-10": "what a member has in memory is not seen",
	"SEC-30": "what a certificate must be is seen only by who makes others; the originals' transports are encrypted as they are",
	"SEC-32": "a warning to a user, and a SHOULD",
	"SIG-40": "the suite cannot have a server shut down that it did not start",
	"SIG-43": "the limits are the operator's, and to reach them would shut others out",
	"SIG-44": "a MAY: a server with any limit, or none, is right",
	"SIG-45": "a MAY: a server with any time, or none, is right",
	"SIG-53": "what a server holds is not seen",
}

// requirements returns the ids of SPEC.md in its order.
func requirements(t *testing.T) []string {
	t.Helper()
	var ids []string
	for _, m := range regexp.MustCompile(`\*\*([A-Z]{3}-[0-9]+)\*\*`).FindAllStringSubmatch(readSpec(t), -1) {
		if slices.Contains(ids, m[1]) {
			t.Errorf("SPEC.md has %s twice", m[1])
		}
		ids = append(ids, m[1])
	}
	if len(ids) < 200 {
		t.Fatalf("SPEC.md has only %d requirements", len(ids))
	}
	return ids
}

// checkers returns the cases of each requirement.
func checkers() map[string][]string {
	byID := make(map[string][]string)
	for _, c := range slices.Concat(slices.Collect(maps.Values(everything()))...) {
		for _, id := range c.Requirements {
			byID[id] = append(byID[id], c.ID)
		}
	}
	for _, all := range byID {
		slices.SortFunc(all, compareIDs)
	}
	return byID
}

// TestEveryRequirementHasACase: each requirement of SPEC.md has a case, or a reason why it has
// none, and not both; and there is no case and no reason for another.
func TestEveryRequirementHasACase(t *testing.T) {
	byID, all := checkers(), requirements(t)
	for _, id := range all {
		reason, none := untestable[id]
		switch {
		case len(byID[id]) == 0 && !none:
			t.Errorf("%s has no case, and no reason why it has none", id)
		case len(byID[id]) > 0 && none:
			t.Errorf("%s is said to have no case, but has %v", id, byID[id])
		case none && reason == "":
			t.Errorf("%s is said to have no case, but not why", id)
		}
	}
	for _, id := range slices.Concat(slices.Collect(maps.Keys(byID)), slices.Collect(maps.Keys(untestable))) {
		if !slices.Contains(all, id) {
			t.Errorf("%s has a case, or is said to be untestable, but SPEC.md does not have it", id)
		}
	}
	for _, chapter := range regexp.MustCompile(`(?m)^## ([A-Z]{3}):`).FindAllStringSubmatch(readSpec(t), -1) {
		if !slices.ContainsFunc(slices.Concat(slices.Collect(maps.Values(everything()))...), func(c *Case) bool { return c.Chapter() == chapter[1] }) {
			t.Errorf("chapter %s has no case", chapter[1])
		}
	}
	for _, id := range long {
		caseOf(t, slices.Concat(slices.Collect(maps.Values(everything()))...), id)
	}
}

// TestMutantsAreMany: 25 at least, and for each flag some.
func TestMutantsAreMany(t *testing.T) {
	n := 0
	for flag := range everything() {
		if len(mutants[flag]) < 3 {
			t.Errorf("there are only %d mutants of -%s", len(mutants[flag]), flag)
		}
		n += len(mutants[flag])
	}
	if n < 25 {
		t.Errorf("there are only %d mutants", n)
	}
}

// TestCoveragePage has COVERAGE.md say what the tables of this package say.
func TestCoveragePage(t *testing.T) {
	const file = "COVERAGE.md"
	want := coveragePage(t)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%s is old (%v): run go test ./conformance -run TestCoveragePage -update", file, err)
	}
}

func coveragePage(t *testing.T) string {
	var b strings.Builder
	b.WriteString("# What the suite covers\n\nWritten by `go test ./conformance -run TestCoveragePage -update`.\n\n" +
		"## Requirements and their cases\n\n| requirement | cases, or why there is none |\n|---|---|\n")
	byID := checkers()
	for _, id := range requirements(t) {
		text := strings.Join(byID[id], ", ")
		if reason, none := untestable[id]; none {
			text = "untestable: " + reason
		}
		fmt.Fprintf(&b, "| %s | %s |\n", id, cell(text))
	}
	b.WriteString("\n## Mutants and the cases that notice them\n\n| target | what is wrong | cases |\n|---|---|---|\n")
	for _, flag := range slices.Sorted(maps.Keys(mutants)) {
		for _, m := range mutants[flag] {
			fmt.Fprintf(&b, "| -%s | %s | %s |\n", flag, cell(m.name), strings.Join(m.cases, ", "))
		}
	}
	return b.String()
}

// TestJudgesAlone: the code that judges shares nothing with what it judges. Only tests, which
// start this implementation, import it, and of it no more than what they start.
func TestJudgesAlone(t *testing.T) {
	const module = "github.com/meshpair/meshpair/"
	files := 0
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "node_modules":
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		files++
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		allowed := []string{"conformance/driver", "conformance/transcript"}
		if strings.HasSuffix(path, "_test.go") {
			allowed = append(allowed, "sigver", "peersox", "internal/need", "internal/turntest")
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			ours, isOurs := strings.CutPrefix(name, module)
			if isOurs && !slices.Contains(allowed, ours) || strings.Contains(name, "websocket") {
				t.Errorf("%s imports %s", path, name)
			}
		}
		return nil
	})
	if err != nil || files < 40 {
		t.Errorf("%d files, %v", files, err)
	}
}

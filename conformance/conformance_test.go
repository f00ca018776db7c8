package conformance

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/sigver"
)

const transcripts = "../testdata/transcripts/signaling"

func allSignaling(t *testing.T) []*Case {
	t.Helper()
	return everything()["sigver"]
}

// startSigver runs our server on loopback.
func startSigver(t testing.TB) string {
	t.Helper()
	s := sigver.New(sigver.Config{Logger: slog.New(slog.DiscardHandler)})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Shutdown(ctx)
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return "ws://" + l.Addr().String()
}

// TestSigver runs chapter SIG on this implementation, or on another one.
func TestSigver(t *testing.T) {
	t.Parallel()
	target := Target{Signaling: *sigverURL}
	if target.Signaling == "" {
		target.Signaling = startSigver(t)
	}
	if err := target.Check(); err != nil {
		t.Fatal(err)
	}
	judge(t, "sigver", target)
}

// TestCaseIDs checks that the ids are unique and that the requirements exist.
func TestCaseIDs(t *testing.T) {
	spec := readSpec(t)
	seen := make(map[string]bool)
	for _, c := range slices.Concat(slices.Collect(maps.Values(everything()))...) {
		if seen[c.ID] || c.Sentence == "" || len(c.Requirements) == 0 {
			t.Errorf("%s is there twice, or lacks a sentence or requirements", c.ID)
		}
		seen[c.ID] = true
		for _, id := range c.Requirements {
			if !strings.Contains(spec, "**"+id+"**") {
				t.Errorf("%s names %s, which SPEC.md does not have", c.ID, id)
			}
		}
	}
}

// TestEveryRequirementHasCode looks for the id of each requirement of SPEC.md in the tests and
// cases of this repository, and in the code that is to keep it.
func TestEveryRequirementHasCode(t *testing.T) {
	tests, code := named(repositoryText(t))
	for _, id := range requirements(t) {
		if !tests[id] {
			t.Errorf("no test names %s", id)
		}
		if !code[id] {
			t.Errorf("no line of code names %s", id)
		}
	}
}

// named returns the ids that stand in each of two texts.
func named(tests, code string) (inTests, inCode map[string]bool) {
	id := regexp.MustCompile(`\b[A-Z]{3}-[0-9]+\b`)
	set := func(text string) map[string]bool {
		ids := make(map[string]bool)
		for _, m := range id.FindAllString(text, -1) {
			ids[m] = true
		}
		return ids
	}
	return set(tests), set(code)
}

func readSpec(t testing.TB) string {
	t.Helper()
	spec, err := os.ReadFile("../SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(spec)
}

// repositoryText returns all tests, transcripts and cases of the repository, and
// all of its other Go code.
func repositoryText(t *testing.T) (tests, code string) {
	t.Helper()
	var testText, codeText strings.Builder
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		dir, name := filepath.Dir(path), d.Name()
		into := &codeText
		switch {
		case d.IsDir() && (name == "node_modules" || name == ".git"):
			return filepath.SkipDir
		case name == "conformance_test.go", name == "coverage_test.go": // they name requirements as untested
			return nil
		case strings.HasSuffix(name, "_test.go"), dir == filepath.Join("..", "conformance"),
			filepath.Dir(dir) == filepath.Join("..", "testdata", "transcripts"):
			into = &testText
		case !strings.HasSuffix(name, ".go"):
			return nil
		}
		if d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(path)
		into.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return testText.String(), codeText.String()
}

package transcript

import (
	"strings"
	"testing"
)

const sample = `# One peer founds a group.
# Requires: SIG-16

> A open key=room favored
> A connect id=1
A connected true
`

func TestParseAndFormat(t *testing.T) {
	tr, err := Parse("sample", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(tr.Format()); got != sample {
		t.Errorf("Format gives\n%s", got)
	}
	if len(tr.Steps) != 2 || tr.Title != "One peer founds a group." || tr.Requirements[0] != "SIG-16" {
		t.Errorf("parsed as %+v", tr)
	}
	open := tr.Steps[0].Input
	if key, ok := open.Arg("key"); !ok || key != "room" || !open.Has("favored") || open.Has("key") {
		t.Errorf("arguments of %v", open)
	}
	if out := tr.Steps[1].Outputs; len(out) != 1 || out[0].String() != "A connected true" {
		t.Errorf("outputs %v", out)
	}
}

func TestParseErrors(t *testing.T) {
	for name, text := range map[string]string{
		"output first":    "# t\n# Requires: SIG-1\nA connected true\n",
		"no verb":         "# t\n# Requires: SIG-1\n> A\n",
		"no title":        "# Requires: SIG-1\n> A open\n",
		"no requirements": "# t\n> A open\n",
		"no step":         "# t\n# Requires: SIG-1\n",
	} {
		if _, err := Parse(name, []byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("%s: the error does not name the file: %v", name, err)
		}
	}
}

func TestLoadFindsNothing(t *testing.T) {
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("an empty folder is no error")
	}
}

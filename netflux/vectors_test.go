package netflux

import (
	"testing"

	"github.com/meshpair/meshpair/internal/vectors"
)

// TestKeyVectors: SIG-1.
func TestKeyVectors(t *testing.T) {
	var all struct {
		vectors.File
		Keys                                                                       []struct{ Name, Note, Key, Target string }
		Targets, TargetsRefused, Labels, LabelsRefused, Dials, Calls, CallsRefused vectors.Elsewhere
	}
	vectors.Read(t, "addresses.json", &all)
	for _, v := range all.Keys {
		if got, err := escapeKey(v.Key); err != nil || "/"+got != v.Target {
			t.Errorf("%s: /%s, %v, want %s", v.Name, got, err, v.Target)
		}
	}
}

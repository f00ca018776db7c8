package clitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
)

// Event waits for an event of a driver that has these fields, beside others.
func (r *Running) Event(want map[string]any) map[string]any {
	r.T.Helper()
	for k, v := range want { // as JSON has it
		b, _ := json.Marshal(v)
		want[k] = Parse(r.T, string(b))
	}
	var got map[string]any
	r.Line(fmt.Sprint(want), func(line string) bool {
		got, _ = Parse(r.T, line).(map[string]any)
		for k, v := range want {
			if fmt.Sprintf("%#v", got[k]) != fmt.Sprintf("%#v", v) {
				return false
			}
		}
		return true
	})
	return got
}

// Do has a driver carry a command out, and returns what answers it.
func (r *Running) Do(cmd map[string]any) map[string]any {
	r.T.Helper()
	cmd = maps.Clone(cmd)
	cmd["n"] = 4711
	b, err := json.Marshal(cmd)
	if err != nil {
		r.T.Fatal(err)
	}
	r.Say(string(b))
	return r.Event(map[string]any{"n": 4711})
}

// OK has a driver carry a command out, which succeeds.
func (r *Running) OK(cmd map[string]any) {
	r.T.Helper()
	if got := r.Do(cmd); got["event"] != "ok" {
		r.T.Fatalf("%v: %v", cmd, got)
	}
}

// Parse decodes JSON, with numbers as they are written.
func Parse(t *testing.T, text string) (v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q is not JSON: %v", text, err)
	}
	return v
}

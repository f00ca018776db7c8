package conformance

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// A vector is a message of testdata/vectors/wire.json.
type vector struct {
	Schema, Name, Hex, Error string
	Repeat                   any // in place of Hex, for what is long
	Value                    map[string]any
}

// VectorCases makes cases of the vectors of signaling messages in a file, which is
// testdata/vectors/wire.json: a server refuses and takes what a decoder must.
func VectorCases(file string) ([]*Case, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all struct{ Vectors, Failing []vector }
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	// What is too long, and written as a repetition, is a decoder's own to say.
	other := func(v vector) bool { return v.Schema != "signaling.Message" || v.Repeat != nil }
	good := slices.DeleteFunc(all.Vectors, other)
	failing := slices.DeleteFunc(all.Failing, other)
	i := slices.IndexFunc(failing, func(v vector) bool { return v.Name == tooDeep })
	if i < 0 {
		return nil, fmt.Errorf("%s: the vector %s is missing", file, tooDeep)
	}
	failing = slices.Delete(failing, i, i+1)
	if len(good) < 10 || len(failing) < 10 {
		return nil, fmt.Errorf("%s: only %d and %d vectors of signaling messages", file, len(good), len(failing))
	}
	return []*Case{
		{
			ID: "SIG-7/vectors", Level: Must,
			Requirements: []string{"SIG-7", "WIR-8", "WIR-9", "WIR-10"},
			Sentence:     "Every message that a decoder must refuse closes with 4743.",
			run: func(r *run) {
				for _, v := range failing {
					p := r.open("a peer that sends the vector "+v.Name, "")
					p.send(unhex(r, v))
					p.expectClose(4743, 0)
				}
			},
		},
		{
			ID: "SIG-6/vectors", Level: Must,
			Requirements: []string{"SIG-6", "WIR-2", "WIR-3", "WIR-4", "WIR-5", "WIR-6", "WIR-7", "WIR-8"},
			Sentence:     "Every message that a decoder must take is taken; without a known field it closes with 4743.",
			run: func(r *run) {
				for i, v := range good {
					p := r.open("a peer that sends the vector "+v.Name, fmt.Sprint(i))
					p.send(unhex(r, v))
					p.expectTaken(v.Value)
				}
			},
		},
	}, nil
}

// tooDeep is a failing vector that another decoder may take (WIR-5).
const tooDeep = "groups-101"

func unhex(r *run, v vector) []byte {
	b, err := hex.DecodeString(v.Hex)
	r.expect(err == nil, "the vector "+v.Name, "hexadecimal", err)
	return b
}

// expectTaken expects what a server does with a message of this value when it is
// the first of a peer that is alone.
func (p *peer) expectTaken(value map[string]any) {
	_, isConnect := value["connect"]
	switch {
	case len(value) == 0: // SIG-8
		p.expectClose(4743, 0)
	case isConnect: // SIG-16
		p.expectConnected(true)
	default:
		p.connect(true, member(1)) // and nothing comes before the answer
	}
}

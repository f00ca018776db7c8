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
	var all struct{ Vectors, Failing []vector }
	if err := readVectors(file, &all); err != nil {
		return nil, err
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

// readVectors reads a file of testdata/vectors.
func readVectors(file string, into any) error {
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// A targetVector is a request target of a signaling client.
type targetVector struct {
	Name, Note, Target, Key string
	Unlike                  string // a target with another key, if not empty
	Favored                 bool
	Close                   int
}

// longKey is how long the key of a vector is at least that has no room for a prefix.
const longKey = 400

// within puts a name of the run before a key that a target begins with, so that runs do
// not meet.
func (v targetVector) within(r *run, target string) string {
	if len(v.Key) >= longKey {
		return target
	}
	return r.prefix + v.Name + "-" + target[1:]
}

// TargetCases makes cases of the vectors of request targets in a file, which is
// testdata/vectors/addresses.json.
func TargetCases(file string) ([]*Case, error) {
	var all struct{ Targets, TargetsRefused []targetVector }
	if err := readVectors(file, &all); err != nil {
		return nil, err
	}
	if len(all.Targets) < 10 || len(all.TargetsRefused) < 3 {
		return nil, fmt.Errorf("%s: only %d and %d request targets", file, len(all.Targets), len(all.TargetsRefused))
	}
	return []*Case{
		{
			ID: "SIG-1/vectors", Requirements: []string{"SIG-1", "SIG-3", "SIG-22"}, Level: Must,
			Sentence: "A request target has the key, and the parameter favored, that a vector says.",
			run: func(r *run) {
				for _, v := range all.Targets {
					target, key := v.within(r, v.Target), v.within(r, "/"+v.Key)
					a := r.openTarget("the first member of "+v.Name, key, nil)
					b := r.openTarget("the target of "+v.Name, target, nil)
					c := r.openTarget("a joiner of "+v.Name, key, nil)
					a.connect(true, member(1))
					b.connect(true, member(2), member(1))
					c.connect(false, member(3)) // bound to b if that is favored
					c.send(content{data: []byte{1}}.message())
					if v.Favored {
						b.expectContent([]byte{1})
					} else {
						a.expectContent([]byte{1})
					}
					c.connect(true, member(3), member(2)) // b is in the same group
					if v.Unlike != "" {
						d := r.openTarget("another key than "+v.Name, v.within(r, v.Unlike), nil)
						d.connect(true, member(4)) // the first of a group of its own
						d.leave()
					}
					for _, p := range []*peer{a, b, c} {
						p.leave()
					}
				}
			},
		},
		{
			ID: "SIG-2/vectors", Requirements: []string{"SIG-2"}, Level: Must,
			Sentence: "The request targets that vectors say must be refused are accepted and closed with 4741.",
			run: func(r *run) {
				for _, v := range all.TargetsRefused {
					r.openTarget("a peer with the target of "+v.Name, v.Target, nil).expectClose(v.Close, 0)
				}
			},
		},
	}, nil
}

package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
)

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
	Favored                 bool
	Close                   int
}

// longKey is how long the key of a vector is at least that has no room for a prefix.
const longKey = 400

// within puts a name of the run before the key, so that runs do not meet.
func (v targetVector) within(r *run) (target, key string) {
	if len(v.Key) >= longKey {
		return v.Target, v.Key
	}
	prefix := r.prefix[1:] + v.Name + "-"
	return "/" + prefix + v.Target[1:], prefix + v.Key
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
					target, key := v.within(r)
					a := r.openTarget("the first member of "+v.Name, "/"+key, nil)
					b := r.openTarget("the target of "+v.Name, target, nil)
					c := r.openTarget("a joiner of "+v.Name, "/"+key, nil)
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

var requirementID = regexp.MustCompile(`\b[A-Z]{3}-[0-9]+\b`)

// PairingCases makes a case of each vector for PeerSox servers in a file, which is
// testdata/vectors/peersox.json.
func PairingCases(file string) ([]*Case, error) {
	var all struct {
		API []struct {
			Name, Note string
			Steps      []struct {
				Method, Path, Type, Body string
				Status                   int
				JSON                     json.RawMessage
			}
		}
		Registrations []struct {
			Name, Note, Text string
			Accepted         bool
		}
	}
	if err := readVectors(file, &all); err != nil {
		return nil, err
	}
	if len(all.API) < 10 || len(all.Registrations) < 5 {
		return nil, fmt.Errorf("%s: only %d requests and %d registrations", file, len(all.API), len(all.Registrations))
	}
	var cases []*Case
	add := func(list, name, note, sentence string, run func(*run)) {
		ids := requirementID.FindAllString(note, -1)
		cases = append(cases, &Case{ID: ids[0] + "/" + list + "-" + name, Requirements: ids, Level: Must,
			Sentence: sentence + " (" + note + ").", run: run})
	}
	for _, v := range all.API {
		add("api", v.Name, v.Note, "Requests are answered as the vector says", func(r *run) {
			p := r.pairing()
			for _, s := range v.Steps {
				a := r.call(s.Method, s.Path, s.Type, p.fill(s.Body))
				if s.JSON == nil {
					r.expect(a.status == s.Status, a.what, fmt.Sprint("status ", s.Status), a.status)
				} else {
					r.expectJSON(a, s.Status, p.fill(string(s.JSON)))
				}
			}
		})
	}
	for _, v := range all.Registrations {
		add("register", v.Name, v.Note, "A registration is answered as the vector says", func(r *run) {
			c, p := r.client("A"), r.pairing()
			c.say(p.fill(v.Text))
			if v.Accepted {
				c.expectText(handshakeSuccess)
			} else {
				c.expectText(handshakeFailed)
				c.expectEnd()
			}
		})
	}
	return cases, nil
}

// fill puts a pairing into a text of the vectors.
func (p psxPairing) fill(text string) string {
	return strings.NewReplacer("$CODE", p.Code, "$HASH", p.Hash).Replace(text)
}

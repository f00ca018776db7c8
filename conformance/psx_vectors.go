package conformance

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

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

// Package vectors reads testdata/vectors for tests; the README.md there documents the
// format.
package vectors

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"
)

// A File is what all files have beside their lists.
type File struct {
	Note string
}

// Read reads a file into a struct with a [File] and a field for each of its lists: one
// that the struct lacks, a key that a vector's struct lacks, and a list without a vector
// end the test. Lists that are tested elsewhere are [Elsewhere].
func Read(t testing.TB, file string, into any) {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	data, err := os.ReadFile(filepath.Join(filepath.Dir(here), "..", "..", "testdata", "vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for i := range reflect.ValueOf(into).Elem().NumField() {
		if f := reflect.ValueOf(into).Elem().Field(i); f.Kind() == reflect.Slice && f.Len() == 0 {
			t.Fatalf("%s: no vector in %s", file, reflect.TypeOf(into).Elem().Field(i).Name)
		}
	}
}

// Elsewhere is a list that another package tests.
type Elsewhere []json.RawMessage

// Hex is bytes in hexadecimal.
type Hex []byte

// UnmarshalJSON reads a text of hexadecimal digits.
func (h *Hex) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	b, err := hex.DecodeString(s)
	*h = b
	return err
}

// Content is bytes that are repeated up to a length.
type Content struct {
	Hex    Hex
	Length int
}

// Bytes returns them.
func (c Content) Bytes() []byte {
	return bytes.Repeat(c.Hex, c.Length/len(c.Hex)+1)[:c.Length]
}

// Pieces are bytes in hexadecimal and ranges of a content, one after the other.
type Pieces []json.RawMessage

// Of returns the bytes, of a content.
func (p Pieces) Of(t testing.TB, content []byte) []byte {
	t.Helper()
	all := []byte{}
	for _, piece := range p {
		var literal Hex
		var at [2]int
		if json.Unmarshal(piece, &literal) == nil {
			all = append(all, literal...)
		} else if err := json.Unmarshal(piece, &at); err == nil {
			all = append(all, content[at[0]:at[1]]...)
		} else {
			t.Fatalf("piece %s: %v", piece, err)
		}
	}
	return all
}

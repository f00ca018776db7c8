package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
)

const vectorFile = "../../testdata/vectors/wire.json"

// A vector is an entry of the vector file, whose format is documented in the
// README.md beside it. Good ones have a value, failing ones an error.
type vector struct {
	Schema     string          `json:"schema"`
	Name       string          `json:"name"`
	Source     string          `json:"source"`
	Note       string          `json:"note"`
	Hex        *string         `json:"hex"`
	Repeat     *repeated       `json:"repeat"`
	Value      json.RawMessage `json:"value"`
	Canonical  *string         `json:"canonical"`
	Protobufjs string          `json:"protobufjs"`
	Error      string          `json:"error"`
}

type repeated struct {
	Hex   string `json:"hex"`
	Times int    `json:"times"`
}

func (v *vector) input(t testing.TB) []byte {
	t.Helper()
	switch {
	case v.Hex != nil && v.Repeat == nil:
		return unhex(t, *v.Hex)
	case v.Hex == nil && v.Repeat != nil && v.Repeat.Times > 0:
		return bytes.Repeat(unhex(t, v.Repeat.Hex), v.Repeat.Times)
	}
	t.Fatalf("%s %s: needs either hex or repeat", v.Schema, v.Name)
	return nil
}

// canonical returns what the value encodes to.
func (v *vector) canonical(t testing.TB) []byte {
	t.Helper()
	if v.Canonical != nil {
		return unhex(t, *v.Canonical)
	}
	return v.input(t)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type vectorSet struct {
	Note    string   `json:"note"`
	Good    []vector `json:"vectors"`
	Failing []vector `json:"failing"`
}

var readVectors = sync.OnceValues(func() (set vectorSet, err error) {
	data, err := os.ReadFile(vectorFile)
	if err != nil {
		return set, err
	}
	return set, strictJSON(data, &set)
})

func strictJSON(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

func vectors(t testing.TB) vectorSet {
	t.Helper()
	set, err := readVectors()
	if err != nil {
		t.Fatalf("%s: %v", vectorFile, err)
	}
	return set
}

// TestVectorsCoverEverySchema keeps the vectors from matching nothing.
func TestVectorsCoverEverySchema(t *testing.T) {
	set := vectors(t)
	good, failing := map[string]int{}, map[string]int{}
	originals := 0
	for _, v := range set.Good {
		good[v.Schema]++
		if strings.HasPrefix(v.Source, "netflux") {
			originals++
		}
	}
	for _, v := range set.Failing {
		failing[v.Schema]++
	}
	if originals == 0 {
		t.Error("no vector of the original encoder")
	}
	for _, counts := range []map[string]int{good, failing} {
		for name := range counts {
			if _, ok := schemas[name]; !ok {
				t.Errorf("vectors of an unknown schema %q", name)
			}
		}
	}
	for name := range schemas {
		if good[name] < 4 || failing[name] < 3 {
			t.Errorf("%s: %d good and %d failing vectors, want at least 4 and 3", name, good[name], failing[name])
		}
	}
}

// TestGoodVectors: WIR-1, WIR-2, WIR-3, WIR-4, WIR-5, WIR-6, WIR-7, WIR-8, WIR-14, EXT-1.
func TestGoodVectors(t *testing.T) {
	for _, v := range vectors(t).Good {
		t.Run(v.Schema+"/"+v.Name, func(t *testing.T) {
			s, ok := schemas[v.Schema]
			if !ok {
				t.Fatalf("unknown schema")
			}
			want, err := s.fromJSON(v.Value)
			if err != nil {
				t.Fatalf("value: %v", err)
			}
			input := v.input(t)
			if got := mustDecode(t, s, input); !reflect.DeepEqual(got, want) {
				t.Fatalf("decoded\n%+v, want\n%+v\n(%s)", got, want, v.Note)
			}
			canonical := v.canonical(t)
			if got := want.Append(nil); !bytes.Equal(got, canonical) {
				t.Fatalf("encoded\n%x, want\n%x\n(%s)", got, canonical, v.Note)
			}
			if got := mustDecode(t, s, canonical); !reflect.DeepEqual(got, want) {
				t.Fatalf("decoded from canonical\n%+v, want\n%+v", got, want)
			}
		})
	}
}

// TestDecodeReplaces: nothing of what was in a message survives Decode.
func TestDecodeReplaces(t *testing.T) {
	used := map[string]message{}
	for _, v := range vectors(t).Good {
		s := schemas[v.Schema]
		input := v.input(t)
		m := used[v.Schema]
		if m == nil {
			m = s.zero()
			used[v.Schema] = m
		}
		if err := m.Decode(input); err != nil {
			t.Fatal(err)
		}
		if want := mustDecode(t, s, input); !reflect.DeepEqual(m, want) {
			t.Fatalf("%s %s: decoded over another value\n%+v, want\n%+v", v.Schema, v.Name, m, want)
		}
	}
}

func mustDecode(t *testing.T, s schema, b []byte) message {
	t.Helper()
	m := s.zero()
	if err := m.Decode(b); err != nil {
		t.Fatalf("Decode: %v", err)
	}
	return m
}

var errorClasses = map[string]error{
	"truncated": ErrTruncated,
	"overlong":  ErrOverlong,
	"oversized": ErrOversized,
	"malformed": ErrMalformed,
	"utf8":      ErrUTF8,
}

// TestFailingVectors: WIR-5, WIR-8, WIR-9, WIR-10, WIR-11, WIR-12, WIR-13.
func TestFailingVectors(t *testing.T) {
	for _, v := range vectors(t).Failing {
		t.Run(v.Schema+"/"+v.Name, func(t *testing.T) {
			s, ok := schemas[v.Schema]
			if !ok {
				t.Fatalf("unknown schema")
			}
			class, ok := errorClasses[v.Error]
			if !ok {
				t.Fatalf("unknown error class %q", v.Error)
			}
			input := v.input(t)
			var err error
			if got := allocated(func() { err = s.zero().Decode(input) }); got > allocationLimit(input) {
				t.Errorf("Decode of %d bytes allocated %d bytes", len(input), got) // WIR-13
			}
			if !errors.Is(err, class) {
				t.Fatalf("Decode: %v, want %v (%s)", err, class, v.Note)
			}
			for name, other := range errorClasses {
				if name != v.Error && errors.Is(err, other) {
					t.Errorf("Decode: %v is also of class %s", err, name)
				}
			}
			var d *DecodeError
			if !errors.As(err, &d) || d.Message != v.Schema || d.What == "" || d.Offset < 0 || d.Offset > len(input) {
				t.Errorf("Decode: %#v, want a DecodeError that says what and where", err)
			}
		})
	}
}

// TestPrefixes: a message cut anywhere is refused or understood, never a panic,
// and what is understood has a stable encoding.
func TestPrefixes(t *testing.T) {
	const longest = 2048 // the cost is quadratic
	tried := 0
	for _, v := range vectors(t).Good {
		input := v.input(t)
		if len(input) > longest {
			continue
		}
		tried++
		for n := range input {
			// A copy of exactly n bytes, so that a read beyond them panics.
			checkStable(t, schemas[v.Schema], bytes.Clone(input[:n]))
		}
	}
	if tried == 0 {
		t.Error("no vector was tried")
	}
}

// checkStable decodes b and, when that succeeds, requires that the encoding of
// the result is a fixed point and means the same.
func checkStable(t *testing.T, s schema, b []byte) {
	t.Helper()
	m := s.zero()
	if err := m.Decode(b); err != nil {
		if d := (*DecodeError)(nil); !errors.As(err, &d) {
			t.Fatalf("Decode(%x): %#v is not a DecodeError", b, err)
		}
		return
	}
	encoded := m.Append(nil)
	if len(encoded) > MaxSize {
		return // fields that are always written can push it over the limit
	}
	again := mustDecode(t, s, encoded)
	if !reflect.DeepEqual(again, m) {
		t.Fatalf("Decode(%x):\n%+v, and after encoding:\n%+v", b, m, again)
	}
	if twice := again.Append(nil); !bytes.Equal(twice, encoded) {
		t.Fatalf("Decode(%x): encoded\n%x, and then\n%x", b, encoded, twice)
	}
}

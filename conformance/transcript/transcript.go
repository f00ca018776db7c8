// Package transcript reads and writes transcripts: plain-text records of what a
// set of peers sends to a signaling server and of what each of them gets back.
// The same file is replayed against the pure core and, over real sockets,
// against any server; testdata/transcripts/README.md documents the format.
package transcript

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A Transcript is one recorded exchange.
type Transcript struct {
	Name         string   // of the file, without its ending
	Title        string   // one sentence: what is shown
	Requirements []string // the ids that it covers
	Steps        []Step
	head         []string // comment lines, for Format
}

// A Step is one input and what follows from it.
type Step struct {
	Line    int // of the input in its file
	Input   Event
	Outputs []Event // in order for each peer; between peers the order is free
}

// An Event is what one peer does, or what it gets: a verb with its arguments,
// such as `B content from=0 to=B.1 data=0a`.
type Event struct {
	Peer string // "-" for an input that is no peer's, such as the passing of time
	Verb string
	Args []string
}

// String returns the event as it stands in a file.
func (e Event) String() string {
	return strings.Join(append([]string{e.Peer, e.Verb}, e.Args...), " ")
}

// Arg returns the value of the argument name=value.
func (e Event) Arg(name string) (string, bool) {
	for _, a := range e.Args {
		if v, ok := strings.CutPrefix(a, name+"="); ok {
			return v, true
		}
	}
	return "", false
}

// Has reports whether the event has an argument that is this word.
func (e Event) Has(word string) bool {
	for _, a := range e.Args {
		if a == word {
			return true
		}
	}
	return false
}

// ParseEvent reads one event.
func ParseEvent(line string) (Event, error) {
	f := strings.Fields(line)
	if len(f) < 2 {
		return Event{}, fmt.Errorf("%q is not `peer verb [argument …]`", line)
	}
	return Event{Peer: f[0], Verb: f[1], Args: f[2:]}, nil
}

// Parse reads a transcript.
func Parse(name string, data []byte) (*Transcript, error) {
	t := &Transcript{Name: name}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "":
		case strings.HasPrefix(line, "#"):
			t.comment(line)
		default:
			if err := t.event(n, line); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", name, n, err)
			}
		}
	}
	if t.Title == "" || len(t.Requirements) == 0 || len(t.Steps) == 0 {
		return nil, fmt.Errorf("%s: a transcript has a title, a line `# Requires: …` and at least one step", name)
	}
	return t, lines.Err()
}

func (t *Transcript) comment(line string) {
	t.head = append(t.head, line)
	text := strings.TrimSpace(strings.TrimLeft(line, "#"))
	if ids, ok := strings.CutPrefix(text, "Requires:"); ok {
		t.Requirements = append(t.Requirements, strings.Fields(ids)...)
	} else if t.Title == "" {
		t.Title = text
	}
}

func (t *Transcript) event(n int, line string) error {
	input, isInput := strings.CutPrefix(line, ">")
	e, err := ParseEvent(input)
	switch {
	case err != nil:
		return err
	case isInput:
		t.Steps = append(t.Steps, Step{Line: n, Input: e})
	case len(t.Steps) == 0:
		return fmt.Errorf("an output before the first input")
	default:
		last := &t.Steps[len(t.Steps)-1]
		last.Outputs = append(last.Outputs, e)
	}
	return nil
}

// Format writes the transcript as a file.
func (t *Transcript) Format() []byte {
	var b bytes.Buffer
	for _, line := range t.head {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintln(&b)
	for _, s := range t.Steps {
		fmt.Fprintf(&b, "> %v\n", s.Input)
		for _, o := range s.Outputs {
			fmt.Fprintf(&b, "%v\n", o)
		}
	}
	return b.Bytes()
}

// Load reads all transcripts of a folder, files that end in .txt, by name. To
// find none is an error.
func Load(dir string) ([]*Transcript, error) {
	files, err := fs.Glob(os.DirFS(dir), "*.txt")
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no transcript (*.txt) in %s", dir)
	}
	var all []*Transcript
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			return nil, err
		}
		t, err := Parse(strings.TrimSuffix(f, ".txt"), data)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

package main

import (
	"bytes"
	"context"
	"flag"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/meshpair/meshpair/internal/cli"
)

// demoWith runs a small demo, in which something happens to what arrives.
func demoWith(meddle func([]byte) [][]byte) (string, error) {
	var out bytes.Buffer
	e := &cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Flags: flag.NewFlagSet("peersox demo", flag.ContinueOnError)}
	err := runDemo(context.Background(), e, nil, &demo{patience: timeout, rounds: 20, bulk: 1 << 20, meddle: meddle})
	return out.String(), err
}

func TestDemo(t *testing.T) {
	out, err := demoWith(nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"gets the code", "Ben     enters both", "and sealed", "have a data channel", "in one message", "the data channel breaks",
		"We go on without it.", "have parted", "all intact, in order, each exactly once."} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}

// A demo that loses, changes or doubles a message says so.
func TestDemoFails(t *testing.T) {
	for name, meddle := range map[string]func([]byte) [][]byte{
		"lost":               func(m []byte) [][]byte { return nil },
		"changed":            func(m []byte) [][]byte { return [][]byte{append(m, 0)} },
		"doubled":            func(m []byte) [][]byte { return [][]byte{m, m} },
		"doubled at the end": nil,
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int32 // Ada and Ben hear at the same time
			out, err := demoWith(func(m []byte) [][]byte {
				if meddle == nil {
					if string(m) == lastWords {
						return [][]byte{m, m}
					}
				} else if n.Add(1) == 100 { // one of the 200 at the end
					return meddle(m)
				}
				return [][]byte{m}
			})
			if err == nil || strings.Contains(out, "each exactly once") {
				t.Errorf("it says nothing:\n%s", out)
			}
		})
	}
}

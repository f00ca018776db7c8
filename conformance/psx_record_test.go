package conformance

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/conformance/transcript"
)

// TestPairingTranscripts plays the inputs of the transcripts of PeerSox to our server and notes what comes: the same as
// stands there. With -update it is written anew.
func TestPairingTranscripts(t *testing.T) {
	t.Parallel()
	const dir = "../testdata/transcripts/peersox"
	all, err := transcript.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	target := Target{PeerSox: startPeerSox(t)}
	t.Run("all", func(t *testing.T) { // the server ends after them
		for _, tr := range all {
			t.Run(tr.Name, func(t *testing.T) {
				t.Parallel()
				was := string(tr.Format())
				c := &Case{ID: "PSX/" + tr.Name, run: func(r *run) { recordPairing(r, tr) }}
				if r := c.Run(target); r.Failed() {
					t.Fatal(r)
				}
				now := string(tr.Format())
				switch {
				case now == was:
				case *update:
					if err := os.WriteFile(filepath.Join(dir, tr.Name+".txt"), []byte(now), 0o666); err != nil {
						t.Fatal(err)
					}
				default:
					t.Errorf("%s.txt is not what comes, which is\n%s", tr.Name, now)
				}
			})
		}
	})
}

// recordPairing plays the inputs of a transcript, and puts in the place of its outputs what comes.
func recordPairing(r *run, tr *transcript.Transcript) {
	y := &psxReplay{r, make(map[string]*peer), make(map[string]psxPairing)}
	for i := range tr.Steps {
		s := &tr.Steps[i]
		was := s.Outputs
		s.Outputs = nil
		y.input(s.Input)
		var others []string
		for name := range y.peers {
			if name != s.Input.Peer {
				others = append(others, name)
			}
		}
		slices.Sort(others)
		for _, name := range append([]string{s.Input.Peer}, others...) {
			if p := y.peers[name]; p != nil {
				s.Outputs = append(s.Outputs, y.heard(name, p, was)...)
			}
		}
	}
}

// heard returns what comes at a peer: as much as has come there before, for which it waits, and what comes in a moment.
func (y *psxReplay) heard(name string, p *peer, before []transcript.Event) (all []transcript.Event) {
	least := 0
	for _, e := range before {
		if e.Peer == name {
			least++
		}
	}
	note := func(verb string, args ...string) {
		all = append(all, transcript.Event{Peer: name, Verb: verb, Args: args})
	}
	for {
		until := time.Now().Add(quiet)
		if len(all) < least {
			until = deadline()
		}
		f, err := p.next(until)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return all
		case err != nil || f.op == opClose:
			p.hangUp()
			delete(y.peers, name)
			note("close")
			return all
		case f.op == opBinary && len(f.payload) == 0:
			note("bytes")
		case f.op == opBinary:
			note("bytes", hex.EncodeToString(f.payload))
		case f.op == opText && bytes.Contains(f.payload, []byte(`"isInitiator":true`)):
			note("connected", "initiator")
		case f.op == opText && bytes.Contains(f.payload, []byte(`"isInitiator":false`)):
			note("connected", "joiner")
		case f.op == opText:
			note("text", strings.Fields(string(f.payload))...)
		}
	}
}

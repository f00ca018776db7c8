package conformance

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/meshpair/meshpair/conformance/transcript"
)

// PairingTranscriptCases makes a case of each transcript of a PeerSox server in a
// folder, which is testdata/transcripts/peersox.
func PairingTranscriptCases(dir string) ([]*Case, error) {
	all, err := transcript.Load(dir)
	if err != nil {
		return nil, err
	}
	var cases []*Case
	for _, t := range all {
		cases = append(cases, &Case{
			ID: "PSX/" + t.Name, Requirements: t.Requirements, Sentence: t.Title,
			run: func(r *run) {
				y := &psxReplay{r, make(map[string]*peer), make(map[string]psxPairing)}
				for _, s := range t.Steps {
					y.input(s.Input)
					for _, out := range s.Outputs {
						y.output(out)
					}
				}
				for _, p := range y.peers {
					p.expectSilence()
				}
			},
		})
	}
	return cases, nil
}

// A psxReplay plays a transcript over real connections.
type psxReplay struct {
	run      *run
	peers    map[string]*peer // those that are open
	pairings map[string]psxPairing
}

func (y *psxReplay) input(in transcript.Event) {
	if in.Verb == "open" {
		y.peers[in.Peer] = y.run.client(in.Peer)
		return
	}
	p := y.peer(in)
	switch in.Verb {
	case "register":
		name, _ := in.Arg("pairing")
		if _, ok := y.pairings[name]; !ok {
			y.pairings[name] = y.run.pairing()
		}
		pairing := y.pairings[name]
		if in.Has("hash=wrong") {
			pairing.Hash = strings.Repeat("0", len(pairing.Hash))
		}
		p.say(pairing.register())
	case "text":
		p.say(strings.Join(in.Args, " "))
	case "bytes":
		p.send(y.bytes(in))
	case "leave":
		p.leave()
		delete(y.peers, in.Peer)
	default:
		y.wrong(in)
	}
	if y.peers[in.Peer] != nil && !slices.Contains(in.Args, "hash=wrong") {
		p.barrier()
	}
}

func (y *psxReplay) output(out transcript.Event) {
	p := y.peer(out)
	switch out.Verb {
	case "text":
		p.expectText(strings.Join(out.Args, " "))
	case "bytes":
		p.expectBytes(y.bytes(out))
	case "connected":
		f, err := p.next(deadline())
		want := fmt.Sprintf(`"isInitiator":%v`, out.Has("initiator"))
		ok := err == nil && strings.HasPrefix(string(f.payload), "§") && strings.Contains(string(f.payload), `"peer.connected"`) &&
			strings.Contains(string(f.payload), want)
		y.run.expect(ok, "for "+out.Peer, "peer.connected with "+want, describe(f, err))
	case "close":
		p.expectEnd()
		delete(y.peers, out.Peer)
	default:
		y.wrong(out)
	}
}

func (y *psxReplay) peer(e transcript.Event) *peer {
	p := y.peers[e.Peer]
	if p == nil {
		y.wrong(e)
	}
	return p
}

func (y *psxReplay) bytes(e transcript.Event) []byte {
	b, err := hex.DecodeString(strings.Join(e.Args, ""))
	if err != nil {
		y.wrong(e)
	}
	return b
}

// wrong ends the run because the transcript itself is wrong.
func (y *psxReplay) wrong(e transcript.Event) {
	y.run.fail(e.String(), "a transcript that can be played", "this line")
}

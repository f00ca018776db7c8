package signaling

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/meshpair/meshpair/conformance/transcript"
)

const (
	randomTranscripts = 8
	randomSteps       = 120
)

// TestRandomTranscripts checks that the random transcripts, which other servers
// are measured by too, are what this generator and the core make of their seeds.
func TestRandomTranscripts(t *testing.T) {
	for seed := uint64(1); seed <= randomTranscripts; seed++ {
		name := fmt.Sprintf("random-%d.txt", seed)
		want := randomTranscript(t, seed)
		path := filepath.Join(transcripts, name)
		if *update {
			if err := os.WriteFile(path, want, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what seed %d gives; if that is meant, run with -update", name, seed)
		}
	}
}

func randomTranscript(t *testing.T, seed uint64) []byte {
	t.Helper()
	w := newWorld()
	g := &generator{w: w, r: rand.New(rand.NewPCG(seed, 0)), open: make(map[string]int), seen: make(map[uint32]bool)}
	text := fmt.Sprintf("# A random exchange of a group, seed %d.\n"+
		"# Requires: SIG-15 SIG-16 SIG-17 SIG-18 SIG-19 SIG-20 SIG-21 SIG-22 SIG-23 SIG-24 "+
		"SIG-27 SIG-28 SIG-29 SIG-30 SIG-31 SIG-32 SIG-33 SIG-34 SIG-36\n\n", seed)
	for range randomSteps {
		in := g.input()
		text += "> " + in + "\n"
		e, err := transcript.ParseEvent(in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := w.step(e)
		if err != nil {
			t.Fatalf("%v: %v", e, err)
		}
		for _, o := range out {
			text += o.String() + "\n"
			if o.Verb == "close" {
				delete(g.open, o.Peer)
			}
		}
	}
	tr, err := transcript.Parse("random", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return tr.Format()
}

// A generator makes up what peers do, mostly as clients would.
type generator struct {
	w     *world
	r     *rand.Rand
	names []string        // of all peers so far, in order
	open  map[string]int  // the member id of each open peer
	seen  map[uint32]bool // signaling ids that their member knows: content came from them
}

func (g *generator) input() string {
	const most = 6
	if len(g.open) < 2 || (len(g.open) < most && g.r.IntN(8) == 0) {
		name := fmt.Sprintf("P%d", len(g.names)+1)
		g.names = append(g.names, name)
		g.open[name] = len(g.names)
		if g.r.IntN(4) == 0 {
			return name + " open favored"
		}
		return name + " open"
	}
	name := g.peer()
	switch n := g.r.IntN(12); {
	case n == 0 && g.isMissed(name):
		delete(g.open, name)
		return name + " leave"
	case n < 6:
		return g.connect(name)
	default:
		return g.content(name)
	}
}

// isMissed reports whether somebody hears of it when the peer leaves. Otherwise
// nobody outside could tell when the server has noticed, and what comes next
// would be a race.
func (g *generator) isMissed(name string) bool {
	p := g.w.peers[name]
	if p.binding != nil && !p.binding.toMemberEnded {
		return true
	}
	for _, b := range p.joiners {
		if !b.toJoinerEnded {
			return true
		}
	}
	return false
}

// peer picks an open one. It goes by the list of names, since the order of a
// map is not repeatable.
func (g *generator) peer() string {
	for {
		name := g.names[g.r.IntN(len(g.names))]
		if _, ok := g.open[name]; ok {
			return name
		}
	}
}

func (g *generator) connect(name string) string {
	if g.r.IntN(12) == 0 {
		g.open[name] += 100
	}
	in := fmt.Sprintf("%s connect id=%d", name, g.open[name])
	if n := g.r.IntN(3); n > 0 {
		in += fmt.Sprintf(" members=%d", g.open[g.peer()])
		if n > 1 {
			in += fmt.Sprintf(",%d", g.open[g.peer()])
		}
	}
	return in
}

func (g *generator) content(name string) string {
	p := g.w.peers[name]
	in := name + " content"
	if b := p.binding; b != nil && !b.toMemberEnded {
		g.seen[b.id] = true
	}
	for _, other := range g.names {
		b := g.w.peers[other].binding
		// Where the sender is itself bound to a member the originals forward
		// more than they should (SIG-35): that has a transcript of its own.
		if b != nil && b.member == p && p.binding == nil && g.seen[b.id] && g.r.IntN(2) == 0 {
			in += " to=" + g.w.ids[b.id]
			break
		}
	}
	if g.r.IntN(10) == 0 {
		in += " last"
	}
	return in + fmt.Sprintf(" data=%02x", g.r.IntN(256))
}

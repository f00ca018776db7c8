package mesh

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the transcripts anew")

const transcripts = "../../testdata/transcripts/mesh"

// A recorder writes down what is sent, with names in the place of ids.
type recorder struct {
	sim   *sim
	begin time.Duration
	lines []string
	names map[uint32]string
}

func record(s *sim) *recorder {
	r := &recorder{sim: s, begin: s.now, names: map[uint32]string{}}
	for _, n := range s.nodes {
		r.know(n)
	}
	s.trace = func(from, to, what string) {
		if from != "server" && strings.HasSuffix(what, "heartbeat") && !strings.Contains(what, "distant") {
			return // of these there are many
		}
		if what == "heartbeat" {
			return
		}
		r.lines = append(r.lines, fmt.Sprintf("%4d ms  %s > %s  %s", (s.now-r.begin).Milliseconds(), from, to, what))
	}
	return r
}

// know learns the ids of a node.
func (r *recorder) know(n *node) {
	r.names[n.core.ID()] = n.name
	if _, ok := r.names[n.core.GroupID()]; !ok {
		r.names[n.core.GroupID()] = "G" + n.name
	}
}

var (
	memberID    = regexp.MustCompile(`\b[0-9]{10}\b`)
	signalingID = regexp.MustCompile(`(content from=|content from=\S+ to=)([1-9][0-9]*)`)
)

// String returns the transcript.
func (r *recorder) String() string {
	var b strings.Builder
	signaling := map[string]string{}
	for _, line := range r.lines {
		line = memberID.ReplaceAllStringFunc(line, func(s string) string {
			if id, err := strconv.ParseUint(s, 10, 32); err == nil && r.names[uint32(id)] != "" {
				return r.names[uint32(id)]
			}
			return s
		})
		for range 2 {
			line = signalingID.ReplaceAllStringFunc(line, func(s string) string {
				m := signalingID.FindStringSubmatch(s)
				if signaling[m[2]] == "" {
					signaling[m[2]] = fmt.Sprint("s", len(signaling)+1)
				}
				return m[1] + signaling[m[2]]
			})
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// TestTranscripts compares what members send when they join and leave with what is written down (CHN-12, CHN-13, BLD-4
// to BLD-12, BLD-19, BLD-20, MSH-5 to MSH-9, STA-3 to STA-6, STA-9).
func TestTranscripts(t *testing.T) {
	for _, c := range []struct {
		name, what string
		members    int // that are there before
		run        func(*sim, *recorder, []*node)
	}{
		{"join-first", "The first member joins.", 0, joinOne},
		{"join-second", "A second member joins through the first.", 1, joinOne},
		{"join-third", "A third member joins through the first, and then connects to the second.", 2, joinOne},
		{"leave", "One of three members leaves.", 3, func(s *sim, _ *recorder, nodes []*node) {
			nodes[2].step(Leave{})
			s.run(200 * time.Millisecond)
		}},
		{"leave-last", "One of two members leaves; the other is alone.", 2, func(s *sim, _ *recorder, nodes []*node) {
			nodes[0].step(Leave{})
			s.run(200 * time.Millisecond)
		}},
		{"messages", "A member sends to all and to one, short and long.", 3, func(s *sim, _ *recorder, nodes []*node) {
			nodes[0].send(0, []byte("to all"))
			nodes[0].send(nodes[1].core.ID(), []byte("to one"))
			nodes[0].send(nodes[2].core.ID(), make([]byte, 2*ChunkSize+1))
			s.run(200 * time.Millisecond)
		}},
		{"round", "The lists that members send each other every 20 s.", 3, func(s *sim, _ *recorder, _ []*node) { s.run(20 * time.Second) }},
		{"cut", "A third member joins, and no channel to the second can be built: they are distant.", 2, func(s *sim, r *recorder, nodes []*node) {
			s.cut = func(a, b *node) bool { return a != nodes[0] && b != nodes[0] }
			n := s.node(Config{})
			n.step(Join{Key: "key"})
			r.know(n)
			s.run(20 * time.Second)
			n.send(0, []byte("to all, through A"))
			s.run(100 * time.Millisecond)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSim(t, 42)
			nodes := s.group(c.members, Config{})
			s.run(500 * time.Millisecond)
			r := record(s)
			c.run(s, r, nodes)
			got := "# " + c.what + "\n\n" + r.String()
			path := filepath.Join(transcripts, c.name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs; see what git diff shows after go test -run TestTranscripts -update. Now:\n%s", path, got)
			}
		})
	}
	files, err := filepath.Glob(filepath.Join(transcripts, "*.txt"))
	if err != nil || len(files) != 8 {
		t.Errorf("%d transcripts, %v", len(files), err)
	}
}

func joinOne(s *sim, r *recorder, nodes []*node) {
	n := s.node(Config{})
	n.step(Join{Key: "key"})
	r.know(n)
	s.until(10*time.Second, "a full mesh", func() bool { return full(append(nodes, n)...) })
}

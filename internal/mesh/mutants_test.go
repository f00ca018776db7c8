package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/need"
)

var mutantsFlag = flag.String("mutants", "some", "which mutants of the contract of delivery TestMutants makes: some, all or none, or a part of a name")

// A mutant is a small edit of this package that breaks one rule.
type mutant struct {
	name     string
	file     string
	old, new string
}

// mutants break the contract of delivery, one rule each.
var mutants = []mutant{
	{"EXT-2 no hello on a channel", "fullmesh.go", "c.greet(m)\n\tc.rewind(m)", "c.rewind(m)"},
	{"EXT-2 a hello is not answered", "delivery.go", "if h.Echo != m.session {", "if false {"},
	{"EXT-4 a number is skipped", "send.go", "it.first = m.numbers + 1\n", "it.first = m.numbers + 1 + m.numbers/40\n\t\tm.numbers = it.first - 1\n"},
	{"EXT-4 numbers begin again on another way", "delivery.go", "m.at, m.inflight, m.timed = 0, 0, 0\n", "m.at, m.inflight, m.timed = 0, 0, 0\n\tc.restart(m)\n"},
	{"EXT-5 doubles are not dropped", "delivery.go", "case u.Number <= m.came:\n", "case u.Number <= m.came:\n\t\tc.userMessage(m, private, u)\n"},
	{"EXT-5 what comes early is delivered at once", "delivery.go", "case u.Number > m.came+1:", "case false:"},
	{"EXT-5 what was held is not delivered", "delivery.go", "\t\t\tc.userMessage(m, e.private, &next)\n", ""},
	{"EXT-5 what was held is not freed", "delivery.go", "\t\tm.held -= len(e.content) + itemCost\n", ""},
	{"EXT-6 no acknowledgement", "delivery.go", "Ack: wire.Ack{Session: m.session, Number: m.came}", "Ack: wire.Ack{Session: m.session}"},
	{"EXT-6 too much is acknowledged", "delivery.go", "\tcase u.Number > m.came+1:\n", "\tcase u.Number > m.came+1:\n\t\tm.came++\n"},
	{"EXT-6 late acknowledgements", "delivery.go", "AckDelay      = 50 ", "AckDelay      = 90 "},
	{"EXT-6 doubles are not acknowledged", "delivery.go", "\t\tc.ackNow(m) // the acknowledgement may have been lost\n", ""},
	{"EXT-7 nothing is kept", "delivery.go", "it.sent = max(it.sent, len(it.msg.data)-it.left(n))", "it.sent = len(it.msg.data)"},
	{"EXT-8 no repetition when the way changes", "strand.go", "\tc.tryAgain(m)\n\tc.rewind(m)\n", "\tc.tryAgain(m)\n"},
	{"EXT-7 the window is forgotten", "delivery.go", "limit := min(m.window, c.cfg.SendQueue)", "limit := c.cfg.SendQueue"},
	{"EXT-7 what is acknowledged is not freed", "delivery.go", "m.queue = m.queue[1:]\n\t\tm.at = max(0, m.at-1)", "m.queue = m.queue[1:]\n\t\tm.at = max(0, m.at-1)\n\t\tm.queued += itemCost"},
	{"EXT-8 no repetition on a way over others", "delivery.go", "\t\tif m.acked < m.numbers {\n\t\t\tc.rewind(m)", "\t\tif false {\n\t\t\tc.rewind(m)"},
	{"EXT-9 no probes", "strand.go", "\t\tcase silent >= ProbeAfter && ch.asked == 0:\n\t\t\tch.asked = c.now\n", "\t\tcase silent >= ProbeAfter && ch.asked == 0:\n"},
	{"EXT-9 probes are not answered", "delivery.go", "\t\t\tc.sign(on, m, true) // EXT-9", "\t\t\t// EXT-9"},
	{"EXT-10 a broken channel is a leave", "fullmesh.go", "c.strand(m, err)\n\t\treturn", "c.forget(m, err)\n\t\treturn"},
	{"EXT-10 no bye", "delivery.go", "\t\tm.bye = true\n", ""},
	{"EXT-10 a guess is kept", "strand.go", "m.adjacent = append(m.adjacent[1:], m.adjacent[0])", "m.adjacent = append(m.adjacent[:0:0], m.adjacent...)"},
	{"EXT-10 a guess is told to nobody", "strand.go", "\tc.shout(m)\n\tif c.notice", "\tif c.notice"},
	{"MSH-20 who is gone is kept", "fullmesh.go", "\tc.order = remove(c.order, m)\n", "\tif err == ErrUnreachable || c.state == StateLeaving || c.state == StateLeft {\n\t\tc.order = remove(c.order, m)\n\t}\n"},
	{"MSG-14 delivery after a leave", "fullmesh.go", "delete(c.members, m.id)\n", ""},
	{"MSG-6 the last comes first", "send.go", "m.queue = append(m.queue, item{msg: s.msg})", "m.queue = append(m.queue[:m.at:m.at], append([]item{{msg: s.msg}}, m.queue[m.at:]...)...)"},
	{"MSH-19 nothing is forwarded", "channel.go", "\t\tc.forward(ch, &m)\n", ""},
	{"EXT-8 repetition on a live channel", "delivery.go", "m.acked == m.numbers && m.at == len(m.queue) || m.ch != nil && !m.ch.suspect && !m.astray {", "m.acked == m.numbers && m.at == len(m.queue) {"},
	{"EXT-9 no way round a silent channel", "route.go", "if m.ch != nil && !m.ch.suspect {\n\t\treturn m.ch", "if m.ch != nil {\n\t\treturn m.ch"},
	{"EXT-11 a dead channel is kept", "strand.go", "ch.lives > 0 && c.now-ch.lives >= ProbeInterval", "false"},
	{"EXT-12 pauses do not grow", "fullmesh.go", "SeekDelay<<min(m.tries, 20)", "SeekDelay"},
}

// TestMutants breaks one rule of the contract of delivery at a time, and expects that the simulator notices within 1,000
// random scenarios. -mutants says which rules.
func TestMutants(t *testing.T) {
	if testing.Short() || *mutantsFlag == "none" {
		t.Skip("not run: -short, or -mutants none")
	}
	if _, err := exec.LookPath("go"); err != nil {
		need.Missing(t, "the command go")
	}
	dir := t.TempDir()
	count := 0
	for i, m := range mutants {
		if *mutantsFlag == "some" && i%4 != 0 || *mutantsFlag != "some" && *mutantsFlag != "all" && !strings.Contains(m.name, *mutantsFlag) {
			m.source(t) // an edit that fits no more is an error all the same
			continue
		}
		count++
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			m.test(t, filepath.Join(dir, strconv.Itoa(i)))
		})
	}
	if count == 0 {
		t.Errorf("no mutant is %q", *mutantsFlag)
	}
}

// source returns the file with the edit.
func (m mutant) source(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(m.file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), m.old); n != 1 {
		t.Fatalf("%s: what is to be replaced is %d times in %s", m.name, n, m.file)
	}
	return []byte(strings.Replace(string(b), m.old, m.new, 1))
}

var caughtBy = regexp.MustCompile(`(?m)^ *(?:[a-z_]+\.go:\d+|panic): seed (\d+)(?:$|: no end after)`)

// test builds this package's tests with the edit and runs them.
func (m mutant) test(t *testing.T, path string) {
	file, err := filepath.Abs(m.file)
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{file: path + ".go"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{".go": m.source(t), ".json": overlay} {
		if err := os.WriteFile(path+name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", path+".json", "-o", path+".test", ".").CombinedOutput(); err != nil {
		t.Fatalf("it does not build: %v\n%s", err, out)
	}
	defer os.Remove(path + ".test")
	// A mutant may eat all memory there is: it gets 4 GB of addresses.
	cmd := exec.CommandContext(ctx, "sh", "-c", `ulimit -v 4000000 && exec "$0" "$@"`, path+".test", "-test.run", "^TestScenarios$", "-test.v")
	cmd.Env = append(os.Environ(), "SCENARIO=", "SCENARIOS=1000", "SCENARIO_SHRINK=0", "SCENARIO_LIMIT=20s")
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("nothing in 1,000 scenarios shows that the rule is broken: %v\n%.2000s", err, out)
	}
	seed := caughtBy.FindSubmatch(out)
	if seed == nil {
		t.Fatalf("it ends without a scenario that fails:\n%.3000s", out)
	}
	_, what, _ := strings.Cut(string(out), string(seed[0]))
	t.Logf("seed %s, after %v: %.200s", seed[1], time.Since(begin).Round(time.Millisecond), strings.TrimSpace(what))
}

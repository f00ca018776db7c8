package conformance

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/meshpair/meshpair/internal/need"
)

var (
	sigverURL       = flag.String("sigver", "", "`URL` of a signaling server to test instead of this implementation, ws://HOST:PORT")
	peersoxURL      = flag.String("peersox", "", "`URL` of a PeerSox server to test instead of this implementation, http://HOST:PORT")
	peerCommand     = flag.String("peer", "", "`command` that runs a driver of a member to test instead of this implementation")
	botCommand      = flag.String("bot", "", "`command` that runs a driver of a bot to test instead of this implementation; or the URL of a bot that runs, ws://HOST:PORT, with # and its identity if it has one")
	pairPeerCommand = flag.String("pairpeer", "", "`command` that runs a driver of a PeerSox client to test instead of this implementation")
	peerCount       = flag.Int("peers", 16, "how many drivers run at a time, at most")

	chapters = flag.String("chapter", "", "run the cases of these `chapters` alone, such as SIG,CHN")
	ids      = flag.String("id", "", "run the cases alone whose id, or one of whose requirements, matches one of these `patterns`, such as SIG-7/text,CHN-1*")
	strict   = flag.Bool("strict", false, "have a SHOULD that is not kept be a failure (for this implementation it always is)")
	slow     = flag.Bool("slow", os.Getenv(need.All) == "1", "run the cases that wait for more than 30 s too")
	cases    = flag.Bool("cases", false, "list the cases that are selected, and run nothing; go test shows the list with -v")
	reports  = flag.String("report", "", "write reports: `FORMAT=FILE`, of text, junit or markdown, several with commas; FILE - is standard output")

	withOriginals = flag.Bool("originals", os.Getenv(need.All) == "1", "run the tests with the original implementations too")
)

// foreign are the tests by the flags that have them judge another implementation.
var foreign = map[string]string{"sigver": "TestSigver", "peersox": "TestPeerSox", "peer": "TestPeer", "bot": "TestBot", "pairpeer": "TestPairPeer"}

// report is what -report writes.
var report Report

// binaries is where commands are built.
var binaries string

// TestMain lets more cases run at a time than there are processors: most of them
// wait for a timer of the protocol, not for a processor.
func TestMain(m *testing.M) {
	if mode := os.Getenv(lying); mode != "" {
		os.Exit(lie(mode, os.Args[1:]))
	}
	flag.Parse()
	os.Exit(runSuite(m))
}

func runSuite(m *testing.M) int {
	setDefault("test.parallel", "32")
	var only []string
	for name, test := range foreign {
		if flag.Lookup(name).Value.String() != "" {
			only = append(only, test)
		}
	}
	if len(only) > 0 { // nothing of this implementation then
		setDefault("test.run", "^("+strings.Join(only, "|")+")$")
	}
	if wrong, ok := selection().Check(slices.Concat(slices.Collect(maps.Values(everything()))...)); !ok {
		fmt.Fprintf(os.Stderr, "%s selects no case\n", wrong)
		return 2
	}
	if *cases {
		list()
		return 0
	}
	files, err := reportFiles()
	if err != nil {
		fmt.Fprintln(os.Stderr, "-report:", err)
		return 2
	}
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	binaries = dir
	defer os.RemoveAll(dir)
	code := m.Run()
	for format, file := range files {
		if err := writeReport(format, file); err != nil {
			fmt.Fprintln(os.Stderr, "-report:", err)
			code = 2
		}
	}
	return code
}

// setDefault sets a flag that was not given.
func setDefault(name, value string) {
	if f := flag.Lookup(name); f.Value.String() == f.DefValue {
		f.Value.Set(value)
	}
}

func reportFiles() (map[string]string, error) {
	files := make(map[string]string)
	for _, item := range splitList(*reports) {
		format, file, ok := strings.Cut(item, "=")
		if !ok || !slices.Contains(Formats, format) || file == "" {
			return nil, fmt.Errorf("%q is not FORMAT=FILE with one of the formats %v", item, Formats)
		}
		files[format] = file
	}
	return files, nil
}

func writeReport(format, file string) error {
	if file == "-" {
		return report.Write(os.Stdout, format)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	err = report.Write(f, format)
	if closing := f.Close(); err == nil {
		err = closing
	}
	return err
}

func splitList(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func selection() Selection { return Selection{Chapters: splitList(*chapters), IDs: splitList(*ids)} }

// list prints the cases that are selected, by the flag of their target.
func list() {
	all := everything()
	for _, target := range slices.Sorted(maps.Keys(all)) {
		for _, c := range all[target] {
			if selection().Match(c) {
				fmt.Printf("-%s\t%s\t%s\t%s\t%s\n", target, c.ID, c.Level, strings.Join(c.Requirements, " "), c.Sentence)
			}
		}
	}
}

// everything returns all cases by the flag of their target.
func everything() map[string][]*Case {
	fromFiles, err := TranscriptCases(transcripts)
	if err != nil {
		panic(err)
	}
	fromVectors, err := VectorCases("../testdata/vectors/wire.json")
	if err != nil {
		panic(err)
	}
	targets, err := TargetCases("../testdata/vectors/addresses.json")
	if err != nil {
		panic(err)
	}
	pairing, err := PairingCases("../testdata/vectors/peersox.json")
	if err != nil {
		panic(err)
	}
	pairingFiles, err := PairingTranscriptCases("../testdata/transcripts/peersox")
	if err != nil {
		panic(err)
	}
	return map[string][]*Case{
		"sigver":   slices.Concat(SignalingCases(), fromVectors, targets, fromFiles),
		"peer":     MemberCases(),
		"bot":      BotCases(),
		"peersox":  slices.Concat(PeerSoxCases(), pairing, pairingFiles),
		"pairpeer": slices.Concat(PairCases(), PairExtensionCases(), PairSealedCases()),
	}
}

// judge runs the cases of a flag's target that are selected, on this implementation or, where
// the flag was given, on another one.
func judge(t *testing.T, name string, target Target) {
	t.Helper()
	at := flag.Lookup(name).Value.String()
	ours := at == ""
	if ours {
		at = "this implementation"
	}
	target.Strict = ours || *strict
	for _, c := range everything()[name] {
		if !selection().Match(c) {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			r := Result{Case: c, Skipped: "it waits for more than 30 s, and is run with -slow"}
			if *slow || !c.Long() {
				r = onceMore(t, c, func() Target { return target })
			}
			report.Add("-"+name+" "+at, r)
			switch v := r.Verdict(); {
			case v == Fail, ours && v == Unsupported:
				t.Error(r)
			case v == Unsupported, v == Skipped:
				t.Skip(r)
			case v == Warning:
				t.Log(r)
			}
		})
	}
}

var again sync.Mutex

// onceMore runs a case, and once more if it fails, when no other one is run again: where all cases and browsers share a busy
// machine, peers and their times come late. What is wrong fails twice.
func onceMore(t *testing.T, c *Case, target func() Target) Result {
	t.Helper()
	r := c.Run(target())
	if !r.Failed() {
		return r
	}
	again.Lock()
	defer again.Unlock()
	t.Logf("is run once more, as it failed: %v", r)
	return c.Run(target())
}

// judgeOriginal runs the cases of a flag's target on an original: what it fails is a deviation
// that SPEC.md names, by a file of expectations. start is given whether a case is to fail, as
// that may end a process.
func judgeOriginal(t *testing.T, name, file string, start func(t *testing.T, fails bool) Target) {
	t.Helper()
	known := readExpectations(t, file)
	for _, c := range everything()[name] {
		deviation, expected := known.Fails[c.ID]
		either, unsupported := slices.Contains(known.Either, c.ID), slices.Contains(known.Unsupported, c.ID)
		if !selection().Match(c) || c.Long() && !*slow {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			run := func() Target {
				target := start(t, expected)
				target.Strict = true
				return target
			}
			var r Result
			if expected {
				r = c.Run(run())
			} else {
				r = onceMore(t, c, run)
			}
			report.Add("the original by "+file, r)
			switch {
			case r.Failed() && !expected:
				t.Error(r)
			case (r.Verdict() == Unsupported) != unsupported:
				t.Errorf("unsupported by originals/%s: %v; by this run: %v", file, unsupported, r)
			case !r.Failed() && either:
				t.Log("passes: what it does depends on the machine")
			case !r.Failed() && expected:
				t.Errorf("%s passes, and not fails by %s as originals/%s says", c.ID, deviation, file)
			case expected:
				t.Logf("fails as %s says: %v", deviation, r)
			}
		})
	}
}

// originals returns the folder with the original implementations; without them, or unless they
// are to be run, it ends the test.
func originals(t testing.TB) string {
	t.Helper()
	if !*withOriginals {
		t.Skip("not run without -originals: make conformance-originals")
	}
	return need.Originals(t)
}

// same returns what starts nothing: all cases have one target.
func same(target Target) func(*testing.T, bool) Target {
	return func(*testing.T, bool) Target { return target }
}

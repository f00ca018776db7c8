package conformance

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// A Report collects results of one or more targets. Its zero value is empty and ready, for
// several goroutines at once.
type Report struct {
	mu      sync.Mutex
	targets []*section
}

// A section is what was found about one target.
type section struct {
	name    string
	results []Result
}

// Add adds a result on a target of this name.
func (p *Report) Add(target string, r Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.targets, func(s *section) bool { return s.name == target })
	if i < 0 {
		i = len(p.targets)
		p.targets = append(p.targets, &section{name: target})
	}
	p.targets[i].results = append(p.targets[i].results, r)
}

// Formats are those that Write knows.
var Formats = []string{"text", "junit", "markdown"}

// Write writes the report in one of the Formats, the cases of each target in the order of
// their ids.
func (p *Report) Write(w io.Writer, format string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortFunc(p.targets, func(a, b *section) int { return cmp.Compare(a.name, b.name) })
	for _, s := range p.targets {
		slices.SortStableFunc(s.results, func(a, b Result) int { return compareIDs(a.Case.ID, b.Case.ID) })
	}
	switch format {
	case "text":
		return p.text(w)
	case "junit":
		return p.junit(w)
	case "markdown":
		return p.markdown(w)
	}
	return fmt.Errorf("%q is no format of a report: %s", format, strings.Join(Formats, ", "))
}

// compareIDs has SIG-9/x before SIG-10/x.
func compareIDs(a, b string) int {
	split := func(id string) (chapter string, n int, rest string) {
		if _, err := fmt.Sscanf(id, "%3s-%d", &chapter, &n); err != nil {
			chapter, _, _ = strings.Cut(id, "/")
		}
		return chapter, n, id
	}
	ac, an, ar := split(a)
	bc, bn, br := split(b)
	return cmp.Or(cmp.Compare(ac, bc), cmp.Compare(an, bn), cmp.Compare(ar, br))
}

// counts says how many results have which verdict.
func (s *section) counts() string {
	n := make(map[Verdict]int)
	for _, r := range s.results {
		n[r.Verdict()]++
	}
	var all []string
	for _, v := range []Verdict{Pass, Fail, Warning, Unsupported, Skipped} {
		if n[v] > 0 || v == Pass || v == Fail {
			all = append(all, fmt.Sprintf("%d %s", n[v], strings.ToLower(string(v))))
		}
	}
	return strings.Join(all, ", ")
}

func (p *Report) text(w io.Writer) error {
	for _, s := range p.targets {
		if _, err := fmt.Fprintf(w, "%s: %s\n", s.name, s.counts()); err != nil {
			return err
		}
		for _, r := range s.results {
			if _, err := fmt.Fprintln(w, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Report) markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Conformance\n")
	for _, s := range p.targets {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n", cell(s.name), s.counts())
		b.WriteString("| case | behaviour | closing | level | requirements | what is tested |\n|---|---|---|---|---|---|\n")
		for _, r := range s.results {
			c := r.Case
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", c.ID, r.Behaviour(), r.Close(), c.Level, strings.Join(c.Requirements, " "), cell(c.Sentence))
		}
		for _, r := range s.results {
			if r.Verdict() != Pass {
				fmt.Fprintf(&b, "\n### %s: %s\n\n```\n%s\n```\n", r.Case.ID, r.Verdict(), strings.ReplaceAll(r.reason(), "```", "'''"))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell is text as it may stand in a table.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(s)
}

// The elements of a JUnit report.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"` // seconds
		Failure *junitFailure `xml:"failure"`
		Skipped *junitSkipped `xml:"skipped"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Type    string `xml:"type,attr"` // behaviour or closing
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	junitSkipped struct {
		Message string `xml:"message,attr"`
	}
)

func (p *Report) junit(w io.Writer) error {
	var all junitSuites
	for _, s := range p.targets {
		suite := junitSuite{Name: s.name, Tests: len(s.results)}
		for _, r := range s.results {
			c := junitCase{Class: r.Case.Chapter(), Name: r.Case.ID, Time: fmt.Sprintf("%.3f", r.Time.Seconds())}
			switch v := r.Verdict(); v {
			case Fail:
				suite.Failures++
				kind := "behaviour"
				if r.Failure == nil {
					kind = "closing"
				}
				c.Failure = &junitFailure{kind, r.Case.Sentence, r.reason()}
			case Unsupported, Skipped:
				suite.Skipped++
				c.Skipped = &junitSkipped{fmt.Sprintf("%s: %s", v, r.reason())}
			case Warning:
				c.Out = r.String()
			}
			suite.Cases = append(suite.Cases, c)
		}
		all.Suites = append(all.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

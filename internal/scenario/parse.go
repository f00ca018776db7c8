package scenario

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of the text.
const (
	MaxMembers = 1000      // that there may be in a scenario
	MaxSteps   = 1_000_000 // messages and other events, one by one
	MaxSize    = 64 << 20  // bytes of a message
)

// Parse reads a scenario. An error names the line, counted from 1.
func Parse(text string) (*Scenario, error) {
	s := &Scenario{}
	lines := make(map[int]int) // of each event
	started := false
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if about, ok := strings.CutPrefix(line, "#"); ok {
			if !started {
				s.About = append(s.About, strings.TrimSpace(about))
			}
			continue
		}
		line, _, _ = strings.Cut(line, " #")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		started = true
		var err error
		if words[0] == "at" {
			var e Event
			if e, err = parseEvent(words[1:]); err == nil {
				lines[len(s.Events)] = i + 1
				s.Events = append(s.Events, e)
			}
		} else {
			err = s.parseHead(words)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %q: %w", i+1, line, err)
		}
	}
	if s.MinLatency == 0 {
		s.MinLatency, s.MaxLatency = DefaultLatency, DefaultLatency
	}
	if i, err := s.check(); err != nil {
		if i >= 0 {
			err = fmt.Errorf("line %d: %q: %w", lines[i], s.Events[i], err)
		}
		return nil, err
	}
	return s, nil
}

// parseHead reads a line that says how things are when the clock begins.
func (s *Scenario) parseHead(words []string) (err error) {
	key, args := words[0], words[1:]
	if len(args) == 0 {
		return fmt.Errorf("%s what?", key)
	}
	switch {
	case key == "members":
		s.Members, err = parseNames(s.Members, args)
	case key == "original":
		s.Original, err = parseNames(s.Original, args)
	case key == "listens":
		s.Listens, err = parseNames(s.Listens, args)
	case key == "latency" && len(args) <= 2:
		if s.MinLatency, err = parseDuration(args[0]); err != nil {
			return err
		}
		if s.MaxLatency, err = parseDuration(args[len(args)-1]); err == nil && (s.MinLatency <= 0 || s.MaxLatency < s.MinLatency) {
			err = fmt.Errorf("latencies are more than 0, and the smaller one comes first")
		}
	case key == "expect" && len(args) == 2 && args[0] == "latency":
		s.WithinLatency, err = parseDuration(args[1])
	case key == "expect" && len(args) == 2 && args[0] == "heal":
		s.WithinHeal, err = parseDuration(args[1])
	case key == "seed" && len(args) == 1:
		s.Seed, err = strconv.ParseUint(args[0], 10, 64)
	case key == "window" && len(args) == 1:
		s.Window, err = parseSize(args[0])
	default:
		err = fmt.Errorf("want members, original, listens, latency MIN [MAX], window BYTES, seed N, expect latency|heal TIME, or at TIME …")
	}
	return err
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9]{0,15}$`)

// words that stand where a name could.
var reserved = []string{"to", "of", "every", "for", "silently", "up", "down", "at"}

func checkName(name string) error {
	if !validName.MatchString(name) || slices.Contains(reserved, name) {
		return fmt.Errorf("%q is no name of a member: want 1 to 16 small letters and digits, a letter first, and none of %s", name, strings.Join(reserved, " "))
	}
	return nil
}

// parseNames adds names, of which m1..m9 are nine.
func parseNames(to, words []string) ([]string, error) {
	for _, w := range words {
		first, last, isRange := strings.Cut(w, "..")
		names := []string{w}
		if isRange {
			a, b := numbered.FindStringSubmatch(first), numbered.FindStringSubmatch(last)
			if a == nil || b == nil || a[1] != b[1] {
				return nil, fmt.Errorf("%q: want something like m1..m9", w)
			}
			from, _ := strconv.Atoi(a[2])
			until, _ := strconv.Atoi(b[2])
			if until < from || until-from >= MaxMembers {
				return nil, fmt.Errorf("%q: want 1 to %d members", w, MaxMembers)
			}
			names = nil
			for n := from; n <= until; n++ {
				names = append(names, a[1]+strconv.Itoa(n))
			}
		}
		for _, name := range names {
			if err := checkName(name); err != nil {
				return nil, err
			}
			if slices.Contains(to, name) {
				return nil, fmt.Errorf("%q is there twice", name)
			}
			to = append(to, name)
		}
	}
	return to, nil
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no time: want something like 1.5s or 20ms", s)
	}
	return d, nil
}

func parseSize(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < MinSize || n > MaxSize {
		return 0, fmt.Errorf("%q is no size: want %d to %d bytes", s, MinSize, MaxSize)
	}
	return n, nil
}

// usage is what follows each verb.
var usage = map[Verb]string{
	Join: "A", Leave: "A", Die: "A [silently]", Break: "A B", Blackhole: "A B", Cut: "A B", Split: "A,B,… | C,D,… [| …]",
	Heal: "[A B]", Freeze: "A for TIME", Flap: "A B every TIME for TIME", Signaling: "up|down", Say: "A [to B] [N/s for TIME | every TIME for TIME] [of BYTES]",
}

// parseEvent reads what follows "at".
func parseEvent(words []string) (e Event, err error) {
	if len(words) < 2 {
		return e, fmt.Errorf("want at TIME VERB …")
	}
	if e.At, err = parseDuration(words[0]); err != nil {
		return e, err
	}
	e.Do = Verb(words[1])
	want, ok := usage[e.Do]
	if !ok {
		var verbs []string
		for v := range usage {
			verbs = append(verbs, string(v))
		}
		slices.Sort(verbs)
		return e, fmt.Errorf("%q is no verb: want one of %s", e.Do, strings.Join(verbs, " "))
	}
	args := words[2:]
	switch e.Do {
	case Split:
		return e, e.parseParts(args)
	case Signaling:
		if len(args) == 1 && (args[0] == "up" || args[0] == "down") {
			e.Up = args[0] == "up"
			return e, nil
		}
		return e, fmt.Errorf("want %s %s", e.Do, want)
	case Say:
		e.Size = MinSize
	}
	if err = e.parseArgs(args); err != nil {
		return e, err
	}
	names := map[Verb]int{Join: 1, Leave: 1, Die: 1, Break: 2, Blackhole: 2, Cut: 2, Flap: 2, Freeze: 1}[e.Do]
	has := 0
	for _, name := range []string{e.A, e.B} {
		if name == "" {
			continue
		}
		if err := checkName(name); err != nil {
			return e, err
		}
		has++
	}
	bad := has != names || (e.Every > 0) != (e.For > 0)
	switch e.Do {
	case Say:
		bad = e.A == "" || (e.Every > 0) != (e.For > 0)
	case Heal:
		bad = has == 1
	case Flap:
		bad = bad || e.Every == 0
	case Freeze:
		bad = has != names || e.For == 0
	}
	if bad {
		return e, fmt.Errorf("want %s %s", e.Do, want)
	}
	return e, nil
}

// parseArgs reads names and what else may follow a verb.
func (e *Event) parseArgs(args []string) (err error) {
	for len(args) > 0 {
		w, rest := args[0], args[1:]
		next := ""
		if len(rest) > 0 {
			next = rest[0]
		}
		rate, isRate := strings.CutSuffix(w, "/s")
		switch {
		case w == "silently" && e.Do == Die:
			e.Silently = true
			args = rest
			continue
		case e.Do == Say && isRate:
			n, err := strconv.Atoi(rate)
			if err != nil || n < 1 || n > 1000 {
				return fmt.Errorf("%q: want 1/s to 1000/s", w)
			}
			e.Every = time.Second / time.Duration(n)
			args = rest
			continue
		case e.Do == Say && w == "to" && next != "":
			e.B = next
		case e.Do == Say && w == "of":
			e.Size, err = parseSize(next)
		case (e.Do == Say || e.Do == Flap) && w == "every":
			if e.Every, err = parseDuration(next); err == nil && e.Every < time.Millisecond {
				err = fmt.Errorf("%q: want 1ms at least", next)
			}
		case (e.Do == Say || e.Do == Flap || e.Do == Freeze) && w == "for":
			e.For, err = parseDuration(next)
		case e.A == "":
			e.A = w
			args = rest
			continue
		case e.B == "" && e.Do != Say:
			e.B = w
			args = rest
			continue
		default:
			return fmt.Errorf("what is %q? want %s %s", w, e.Do, usage[e.Do])
		}
		if err != nil {
			return err
		}
		args = rest[min(1, len(rest)):]
	}
	return nil
}

func (e *Event) parseParts(args []string) error {
	for _, part := range strings.Split(strings.Join(args, " "), "|") {
		words := strings.FieldsFunc(part, func(r rune) bool { return r == ',' || r == ' ' })
		names, err := parseNames(nil, words)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			e.Parts = append(e.Parts, names)
		}
	}
	if len(e.Parts) < 2 {
		return fmt.Errorf("want %s %s", Split, usage[Split])
	}
	return nil
}

// check finds what is no scenario: it returns the index of the event that is wrong, or -1 if it is none.
func (s *Scenario) check() (int, error) {
	if len(s.Members) == 0 {
		return -1, fmt.Errorf("no members: want a line such as members a b c")
	}
	if !slices.IsSortedFunc(s.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) }) {
		for i, e := range s.Events[1:] {
			if e.At < s.Events[i].At {
				return i + 1, fmt.Errorf("it happens before the line above it")
			}
		}
	}
	steps := 0
	here := make(map[string]bool)
	ever := make(map[string]bool)
	for _, name := range s.Members {
		here[name], ever[name] = true, true
	}
	up := true
	for i, e := range s.Events {
		if steps++; e.Every > 0 {
			steps += int(e.For / e.Every)
		}
		if steps > MaxSteps {
			return i, fmt.Errorf("more than %d steps", MaxSteps)
		}
		if err := e.check(here, &up); err != nil {
			return i, err
		}
		if e.Do == Join {
			if ever[e.A] = true; len(here) > MaxMembers {
				return i, fmt.Errorf("more than %d members", MaxMembers)
			}
		}
	}
	for _, name := range slices.Concat(s.Original, s.Listens) {
		if !ever[name] {
			return -1, fmt.Errorf("%q is never there", name)
		}
	}
	return -1, nil
}

// check checks an event against who is there, and changes that.
func (e *Event) check(here map[string]bool, up *bool) error {
	if e.Do == Join {
		if here[e.A] {
			return fmt.Errorf("%s is there already", e.A)
		}
		here[e.A] = true
		return nil
	}
	if e.A != "" && e.A == e.B {
		return fmt.Errorf("want two members")
	}
	for _, name := range slices.Concat([]string{e.A, e.B}, slices.Concat(e.Parts...)) {
		if name != "" && !here[name] {
			return fmt.Errorf("%s is not there then", name)
		}
	}
	seen := make(map[string]bool)
	for _, name := range slices.Concat(e.Parts...) {
		if seen[name] {
			return fmt.Errorf("%s is in two parts", name)
		}
		seen[name] = true
	}
	switch e.Do {
	case Leave, Die:
		delete(here, e.A)
	case Signaling:
		if e.Up == *up {
			return fmt.Errorf("it is so already")
		}
		*up = e.Up
	}
	return nil
}

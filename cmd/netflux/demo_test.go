package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/cli"
	"github.com/meshpair/meshpair/netflux"
)

// The demo shows each step and ends well; a log below error would spoil it.
func TestDemo(t *testing.T) {
	status, out, errs := runCommand("demo", "-calm")
	if status != 0 || errs != "" {
		t.Fatalf("status %d, %s\n%s", status, errs, out)
	}
	at := 0
	for _, want := range []string{
		`^A signaling server and 5 members`,
		`Sigver  listens on ws://127\.0\.0\.1:\d+`,
		`Ada     opens the group, joined in [\d.]+ ms, id [0-9a-f]{8}`,
		`Ben     joins through Ada in [\d.]+ ms, id [0-9a-f]{8}, 1 channel\n`,
		`Cleo    joins through (Ada|Ben) in .*, 2 channels`,
		`Dan     joins through (Ada|Ben|Cleo) in .*, 3 channels`,
		`Eve     joins through (Ada|Ben|Cleo|Dan) in .*, 4 channels`,
		`Eve     to all: “Hello, I am Eve.” Heard by all 4 in`,
		`Eve     to Ada alone: .* Heard in`,
		`Ben     to all: 4 MiB of bytes. 16 MiB in [\d.]+ ms, \d+ MiB/s`,
		`Ada     has no channel to Ben any more, after [\d.]+ ms; what they say goes through Cleo, Dan or Eve\n`,
		`Ada     to Ben alone: .* Heard in`,
		`Ben     to Ada alone: .* Heard in`,
		`Ada     to all: .* Heard by all 4`,
		`Ben     to all: .* Heard by all 4`,
		`Ada     has a channel to Ben again, after [\d.]+ ms\n`,
		`Sigver  stops`,
		`Ben     to all: “We go on without it.” Heard by all 4`,
		`Sigver  is back on ws://127\.0\.0\.1:\d+ after 0\.\d s\n`,
		`All     are JOINED again, \d\.\d s after it came back\n`,
		`All     sent \d+ messages to all meanwhile; none is missing, and the slowest took [\d.]+ ms\n`,
		`Eve     leaves; the 4 others notice within [\d.]+ ms`,
		`All     have left, in [\d.]+ ms\n\n`,
		`5 members, 10 channels; \d+ messages sent, (\d+) of (\d+) copies arrived \([\d.]+ MiB\): all intact, each exactly once\.\n$`,
	} {
		where := regexp.MustCompile(want).FindStringIndex(out[at:])
		if where == nil {
			t.Fatalf("after byte %d there is no %s in\n%s", at, want, out)
		}
		at += where[1]
	}
	listens := regexp.MustCompile(`Sigver  (?:listens|is back) on (\S+)`).FindAllStringSubmatch(out, -1)
	if len(listens) != 2 || listens[0][1] != listens[1][1] {
		t.Errorf("the signaling server listens on %v", listens)
	}
	var meanwhile, sent, arrived, owed int
	scan(t, out, `sent \d+ messages`, &meanwhile)
	scan(t, out, `\d+ messages sent, \d+ of \d+`, &sent, &arrived, &owed)
	if meanwhile < 10 || sent != meanwhile+12 || owed != 4*(sent-3)+3 || arrived != owed {
		t.Errorf("%d messages sent meanwhile, %d in all, %d of %d copies arrived", meanwhile, sent, arrived, owed)
	}
	if strings.Contains(out, "\x1b") {
		t.Error("it is coloured, but there is no terminal")
	}
}

// With its faults it shows in each second what was late.
func TestDemoFaults(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	status := startDemo(t.Context(), &demo{patience: timeout, bulk: 1000}, &out, &errs, "-members", "4")
	if status != 0 || errs.String() != "" {
		t.Fatalf("status %d, %s\n%s", status, &errs, &out)
	}
	want := regexp.MustCompile(`(?s)All     talk from now on.*` +
		`Ada     and Ben lose their channel.*Ada     has a channel to Ben again, after .*` +
		`Ada     and Cleo: all that goes over their channel vanishes.*` +
		`Load    .*; \d+ late, the slowest took [\d.]+ ms, from .*` +
		`Ada     has a channel to Cleo again, [\d.]+ s after.*` +
		`All     are parted: no channel leads from Ada and Ben to Cleo and Dan.*` +
		`All     are one group again, after [\d.]+ s.*` +
		`All     said \d+ things meanwhile; none is missing, none came twice`)
	if !want.MatchString(out.String()) || strings.Count(out.String(), "  Load    ") < 10 {
		t.Errorf("not as expected:\n%s", &out)
	}
}

// What is lost while all talk is missed as well.
func TestDemoNoticesUnderLoad(t *testing.T) {
	t.Parallel()
	d := &demo{patience: timeout, bulk: 1000, meddle: func(to string, m netflux.Message) []netflux.Message {
		if string(m.Data) == "Thing 3." && to == "Ben" {
			return []netflux.Message{m, m}
		}
		return []netflux.Message{m}
	}}
	var out, errs bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	status := startDemo(ctx, d, writer(func(b []byte) {
		out.Write(b)
		if bytes.Contains(b, []byte("Load ")) {
			stop()
		}
	}), &errs, "-members", "3")
	if status != 1 || !strings.HasSuffix(out.String(), ": the demo did not come to its end.\n") || d.ledger.problems() == nil {
		t.Errorf("status %d, it says %q after\n%s", status, &errs, &out)
	}
}

// scan reads the numbers at the first place where a text matches a pattern.
func scan(t *testing.T, text, pattern string, numbers ...any) {
	t.Helper()
	if _, err := fmt.Sscanf(regexp.MustCompile(pattern).FindString(text), strings.ReplaceAll(pattern, `\d+`, "%d"), numbers...); err != nil {
		t.Fatalf("%s: %v in\n%s", pattern, err, text)
	}
}

// Two have nobody who could relay.
func TestDemoOfTwo(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	status := startDemo(t.Context(), &demo{patience: timeout, bulk: 1000}, &out, &errs, "-members", "2")
	if status != 0 || errs.String() != "" || !strings.Contains(out.String(), "2 members, 1 channel; ") || strings.Contains(out.String(), "no channel") {
		t.Errorf("status %d, %s\n%s", status, &errs, &out)
	}
}

// What did not arrive as it was sent makes the demo fail, and it says what.
func TestDemoNotices(t *testing.T) {
	const hello = "Hello, I am Ada."
	for _, test := range []struct {
		name   string
		meddle func(netflux.Message) []netflux.Message
		say    []string
		more   int // copies that arrive than should
	}{
		{"lost", func(netflux.Message) []netflux.Message { return nil },
			[]string{"Ben did not get “Hello, I am Ada.” from Ada", "in vain"}, -1},
		{"twice", func(m netflux.Message) []netflux.Message { return []netflux.Message{m, m} },
			[]string{"Ben got “Hello, I am Ada.” from Ada 2 times instead of 1"}, 1},
		{"altered", func(m netflux.Message) []netflux.Message {
			m.Data = []byte("Hello, I am Eve.")
			return []netflux.Message{m}
		}, []string{"Ben did not get “Hello, I am Ada.”", "Ben got a message of Ada that nobody sent like this"}, 0},
		{"not private", func(m netflux.Message) []netflux.Message {
			m.Private = true
			return []netflux.Message{m}
		}, []string{"Ben did not get “Hello, I am Ada.”", "Ben got a message of Ada that nobody sent like this"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			patience := time.Second // in vain, and only until the first message
			if test.name == "twice" {
				patience = timeout
			}
			d := &demo{patience: patience, bulk: 1000, meddle: func(to string, m netflux.Message) []netflux.Message {
				if string(m.Data) == hello {
					return test.meddle(m)
				}
				return []netflux.Message{m}
			}}
			var out, errs bytes.Buffer
			if status := startDemo(t.Context(), d, &out, &errs, "-members", "2"); status != 1 {
				t.Errorf("status %d", status)
			}
			for _, say := range test.say {
				if !strings.Contains(errs.String(), say) {
					t.Errorf("it says %q, which lacks %q", &errs, say)
				}
			}
			var arrived, owed int
			scan(t, out.String(), `\d+ of \d+ copies`, &arrived, &owed)
			if arrived-owed != test.more || !strings.HasSuffix(out.String(), ": NOT as they were sent.\n") {
				t.Errorf("want %d more copies than sent:\n%s", test.more, &out)
			}
		})
	}
}

// What is lost while it is relayed, or while the signaling server is away, is missed as well.
func TestDemoNoticesInTrouble(t *testing.T) {
	for _, test := range []struct{ text, to, say string }{
		{"Do you hear me, Ben?", "Ben", "Ben did not get “Do you hear me, Ben?” from Ada"},
		{"Message 3.", "Ben", "Ben did not get “Message 3.” from Cleo"},
	} {
		t.Run(test.text, func(t *testing.T) {
			t.Parallel()
			d := &demo{patience: 3 * time.Second, bulk: 1000, meddle: func(to string, m netflux.Message) []netflux.Message {
				if string(m.Data) == test.text && to == test.to {
					return nil
				}
				return []netflux.Message{m}
			}}
			var out, errs bytes.Buffer
			status := startDemo(t.Context(), d, &out, &errs, "-members", "3")
			if status != 1 || !strings.Contains(errs.String(), test.say) || !strings.HasSuffix(out.String(), ": NOT as they were sent.\n") {
				t.Errorf("status %d, it says %q after\n%s", status, &errs, &out)
			}
		})
	}
}

// A signaling server that cannot come back is no success.
func TestDemoAddressTaken(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	address := regexp.MustCompile(`listens on ws://(\S+)`)
	status := startDemo(t.Context(), &demo{patience: timeout, bulk: 1000}, writer(func(b []byte) {
		out.Write(b)
		if bytes.Contains(b, []byte("Sigver  stops")) {
			l, err := net.Listen("tcp", address.FindStringSubmatch(out.String())[1])
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { l.Close() })
		}
	}), &errs, "-members", "2")
	if status != 1 || !strings.Contains(errs.String(), "the signaling server does not start: ") {
		t.Errorf("status %d, it says %q", status, &errs)
	}
	if !strings.HasSuffix(out.String(), ": the demo did not come to its end.\n") {
		t.Errorf("it ends with\n%s", &out)
	}
}

func startDemo(ctx context.Context, d *demo, stdout, stderr io.Writer, args ...string) (status int) {
	p := cli.Program{Name: "netflux", Commands: []cli.Command{{Name: "demo", Level: slog.LevelError,
		Run: func(ctx context.Context, e *cli.Env, args []string) error { return runDemo(ctx, e, args, d) }}}}
	return p.Run(ctx, append([]string{"demo"}, args...), nil, stdout, stderr)
}

// An interrupted demo leaves and says so.
func TestDemoInterrupted(t *testing.T) {
	for _, moment := range []string{"listens", "Ada", "Cleo", "alone", "any more", "stops", "is back", "talk from now on", "vanishes", "are parted"} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var out, errs bytes.Buffer
			status := startDemo(ctx, &demo{patience: timeout, bulk: 1000}, writer(func(b []byte) {
				out.Write(b)
				if bytes.Contains(b, []byte(moment)) {
					stop()
				}
			}), &errs, "-members", "3")
			if status != 1 || errs.String() != "netflux demo: interrupted\n" {
				t.Errorf("status %d, %q", status, &errs)
			}
			if !strings.HasSuffix(out.String(), ": the demo did not come to its end.\n") {
				t.Errorf("it ends with\n%s", &out)
			}
		})
	}
}

type writer func(b []byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

func TestSize(t *testing.T) {
	for n, want := range map[int]string{1: "1 byte", 300: "300 bytes", 4 << 20: "4 MiB", 3 << 19: "1.5 MiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	if got := fmt.Sprint(ms(1234567), " ", ms(0), " ", sec(1234567890)); got != "1.2 ms 0.0 ms 1.2 s" {
		t.Error(got)
	}
}

func TestEither(t *testing.T) {
	for want, names := range map[string][]string{"Ada": {"Ada"}, "Ada or Ben": {"Ada", "Ben"}, "Ada, Ben or Cleo": {"Ada", "Ben", "Cleo"}} {
		if got := either(names); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestDemoSealed has the demo's group sealed by one flag: all else is as ever.
func TestDemoSealed(t *testing.T) {
	status, out, errs := runCommand("demo", "-sealed", "-calm", "-members", "3")
	if status != 0 || errs != "" || !strings.Contains(out, "The group is sealed") || !strings.Contains(out, "all intact, each exactly once") {
		t.Errorf("status %d, %s\n%s", status, errs, out)
	}
}

// TestSecret makes two secrets, which differ (SEC-1, SEC-2).
func TestSecret(t *testing.T) {
	_, one, _ := runCommand("secret")
	status, two, errs := runCommand("secret")
	if status != 0 || errs != "" || len(two) != 68 || !strings.HasPrefix(two, "mpsecret1") || one == two {
		t.Errorf("status %d, %q, %q, %s", status, one, two, errs)
	}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/netflux"
)

// The demo shows each step and ends well; a log below error would spoil it.
func TestDemo(t *testing.T) {
	status, out, errs := runCommand("demo")
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
		`Sigver  stops`,
		`Ben     to all: “We go on without it.” Heard by all 4`,
		`Eve     leaves; the 4 others notice within [\d.]+ ms`,
		`All     have left, in [\d.]+ ms\n\n`,
		`5 members, 10 channels; 8 messages sent, 29 of 29 copies arrived \(16 MiB\): all intact, each exactly once\.\n$`,
	} {
		where := regexp.MustCompile(want).FindStringIndex(out[at:])
		if where == nil {
			t.Fatalf("after byte %d there is no %s in\n%s", at, want, out)
		}
		at += where[1]
	}
	if strings.Contains(out, "\x1b") {
		t.Error("it is coloured, but there is no terminal")
	}
}

func TestDemoOfTwo(t *testing.T) {
	status, out, errs := runCommand("demo", "-members", "2")
	if status != 0 || errs != "" || !strings.Contains(out, "2 members, 1 channel; 5 messages sent, 5 of 5 copies arrived") {
		t.Errorf("status %d, %s\n%s", status, errs, out)
	}
}

// What did not arrive as it was sent makes the demo fail, and it says what.
func TestDemoNotices(t *testing.T) {
	const hello = "Hello, I am Ada."
	for _, test := range []struct {
		name   string
		meddle func(netflux.Message) []netflux.Message
		say    []string
		sum    string
	}{
		{"lost", func(netflux.Message) []netflux.Message { return nil },
			[]string{"Ben did not get “Hello, I am Ada.” from Ada", "in vain"}, "0 of 1 copies arrived"},
		{"twice", func(m netflux.Message) []netflux.Message { return []netflux.Message{m, m} },
			[]string{"Ben got “Hello, I am Ada.” from Ada 2 times instead of 1"}, "6 of 5 copies arrived"},
		{"altered", func(m netflux.Message) []netflux.Message {
			m.Data = []byte("Hello, I am Eve.")
			return []netflux.Message{m}
		}, []string{"Ben did not get “Hello, I am Ada.”", "Ben got a message of Ada that nobody sent like this"}, "1 of 1 copies arrived"},
		{"not private", func(m netflux.Message) []netflux.Message {
			m.Private = true
			return []netflux.Message{m}
		}, []string{"Ben did not get “Hello, I am Ada.”", "Ben got a message of Ada that nobody sent like this"}, "1 of 1 copies arrived"},
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
			if want := test.sum; !strings.Contains(out.String(), want) || !strings.HasSuffix(out.String(), ": NOT as they were sent.\n") {
				t.Errorf("the summary lacks %q:\n%s", want, &out)
			}
		})
	}
}

func startDemo(ctx context.Context, d *demo, stdout, stderr io.Writer, args ...string) (status int) {
	c := command{"demo", "", slog.LevelError, func(ctx context.Context, e *env, args []string) error { return runDemo(ctx, e, args, d) }}
	return c.start(ctx, args, nil, stdout, stderr)
}

// An interrupted demo leaves and says so.
func TestDemoInterrupted(t *testing.T) {
	for _, moment := range []string{"Sigver", "Ada", "Cleo", "alone", "stops"} {
		ctx, stop := context.WithCancel(t.Context())
		var out, errs bytes.Buffer
		status := startDemo(ctx, &demo{patience: timeout, bulk: 1000}, writer(func(b []byte) {
			out.Write(b)
			if bytes.Contains(b, []byte(moment)) {
				stop()
			}
		}), &errs, "-members", "3")
		if status != 1 || errs.String() != "netflux demo: interrupted\n" {
			t.Errorf("at %s: status %d, %q", moment, status, &errs)
		}
		if !strings.HasSuffix(out.String(), ": the demo did not come to its end.\n") {
			t.Errorf("at %s it ends with\n%s", moment, &out)
		}
		stop()
	}
}

type writer func(b []byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

func TestTimelineColor(t *testing.T) {
	var out strings.Builder
	show := timeline{w: &out, began: time.Now(), color: true}
	show.line("Ada", "speaks %d times", 2)
	if got := out.String(); !strings.HasSuffix(got, "  \x1b[1mAda   \x1b[m  speaks 2 times\n") {
		t.Errorf("%q", got)
	}
	if newTimeline(io.Discard).color {
		t.Error("what is no terminal gets colours")
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int]string{1: "1 byte", 300: "300 bytes", 4 << 20: "4 MiB", 3 << 19: "1.5 MiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	if got := fmt.Sprint(ms(1234567), " ", ms(0)); got != "1.2 ms 0.0 ms" {
		t.Error(got)
	}
}

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/peersox"
)

// startSend starts sending a file and returns what the other end is to enter.
func startSend(t *testing.T, url, path string, more ...string) (*running, string) {
	t.Helper()
	r := start(t, slices.Concat([]string{"send", "-server", url, "-loopback"}, more, []string{path})...)
	fields := strings.Fields(r.Expect("  peersox receive"))
	return r, fields[len(fields)-1]
}

// A file arrives whole under its name, and never in the place of another one.
func TestTransfer(t *testing.T) {
	url := startServer(t)
	from, to := t.TempDir(), t.TempDir()
	for i, size := range []int{0, 1, chunkSize, 3_000_000} {
		data := make([]byte, size)
		rand.NewChaCha8([32]byte{byte(i)}).Read(data)
		path := filepath.Join(from, "photo.tar.gz")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		sender, code := startSend(t, url, path)
		receiver := start(t, "receive", "-server", url, "-loopback", "-dir", to, code)
		want := filepath.Join(to, "photo.tar.gz")
		if i > 0 {
			want = filepath.Join(to, fmt.Sprintf("photo.tar-%d.gz", i+1))
		}
		receiver.Line(want, func(line string) bool { return line == want })
		sender.Expect("has arrived")
		for _, r := range []*running{sender, receiver} {
			r.Wait()
			if r.Status != 0 || r.Stderr.Len() > 0 {
				t.Fatalf("status %d: %s", r.Status, &r.Stderr)
			}
		}
		if got, err := os.ReadFile(want); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d of %d bytes: %v", len(got), size, err)
		}
	}
	if files, _ := os.ReadDir(to); len(files) != 4 {
		t.Errorf("%d files are there", len(files))
	}
}

// A transfer is sealed, whichever form of the code is entered, and says whether it is (SEC-40, SEC-48).
func TestTransferSealed(t *testing.T) {
	url := startServer(t)
	path := filepath.Join(t.TempDir(), "secret plans")
	if err := os.WriteFile(path, []byte("plans"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, sent, received string
		more                 []string
		enter                func(code string) []string
		typed                bool
	}{
		{"as printed", "sealed", "", nil, func(code string) []string { return []string{"-server", url, code} }, false},
		{"as a link", "sealed", "", nil, func(code string) []string { return []string{url + "/" + strings.Replace(code, "-", "#", 1)} }, false},
		{"on standard input", "sealed", "", nil, func(code string) []string { return []string{url + "/" + strings.Replace(code, "-", "#", 1)} }, true},
		{"the code alone", "trusting the server", "Without a secret: trusting the server", []string{"-code-only"},
			func(code string) []string { return []string{"-server", url, code} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			sender, code := startSend(t, url, path, c.more...)
			if want := len("123456"); len(code) != want && len(code) != want+1+39 || (len(code) == want) != (c.more != nil) {
				t.Errorf("the code is %s", code)
			}
			sender.Expect(c.sent) // the line before
			args := append([]string{"receive", "-loopback", "-dir", t.TempDir()}, c.enter(code)...)
			typed := args[len(args)-1]
			if c.typed {
				args[len(args)-1] = "-"
			}
			receiver := start(t, args...)
			if c.typed {
				receiver.Say(typed)
			}
			receiver.Expect("secret plans")
			sender.Expect("has arrived")
			for _, r := range []*running{sender, receiver} {
				r.Wait()
			}
			if got := receiver.Stderr.String(); sender.Status+receiver.Status != 0 || !strings.HasPrefix(got, c.received) || (got == "") != (c.received == "") {
				t.Errorf("status %d, %d: %s", sender.Status, receiver.Status, got)
			}
		})
	}
}

// Who has not the whole code gets no file, and both are told what to do (SEC-47, SEC-48); one with a slip is found at once
// (SEC-40).
func TestTransferWithoutSecret(t *testing.T) {
	url := startServer(t)
	path := filepath.Join(t.TempDir(), "plans")
	if err := os.WriteFile(path, []byte("plans"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name           string
		enter          func(code string) string
		sent, received error
		hints          [2]string
		more           []string
	}{
		{"the six digits", func(code string) string { return code[:6] }, peersox.ErrUnsealed, peersox.ErrNoSecret,
			[2]string{"needs the whole code", "enter the whole code"}, nil},
		{"a secret for a code that has none", func(code string) string { return code + "-" + string(peersox.NewSecret()) }, peersox.ErrNoSecret, peersox.ErrUnsealed,
			[2]string{"try again without -code-only", "begin again, best without -code-only"}, []string{"-code-only"}},
		{"another secret", func(code string) string { return code[:7] + string(peersox.NewSecret()) }, peersox.ErrSecret, peersox.ErrSecret,
			[2]string{"nothing was sent", "nothing was sent"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			sender, code := startSend(t, url, path, c.more...)
			entered := c.enter(code)
			dir := t.TempDir()
			receiver := start(t, "receive", "-server", url, "-loopback", "-dir", dir, entered)
			for i, r := range []*running{sender, receiver} {
				want := []error{c.sent, c.received}[i]
				r.Wait()
				if got := r.Stderr.String(); r.Status != 1 || !strings.Contains(got, want.Error()) || !strings.Contains(got, c.hints[i]) || strings.Contains(got, "mppair1") {
					t.Errorf("status %d: %s", r.Status, got)
				}
			}
			if files, _ := os.ReadDir(dir); len(files) > 0 {
				t.Errorf("%v is left", files)
			}
		})
	}
	for _, text := range []string{"123456-", "123456-mppair1qqq", "123456#" + string(peersox.NewSecret())[:38]} {
		r := start(t, "receive", "-server", "http://127.0.0.1:1", text) // where nobody listens
		r.Wait()
		if got := r.Stderr.String(); r.Status != 1 || !strings.Contains(got, peersox.ErrSecretText.Error()) {
			t.Errorf("%q: status %d: %s", text, r.Status, got)
		}
	}
}

// evil plays a sender or a receiver that does what a test wants.
func evil(t *testing.T, url string, pair func(c *peersox.Client) error, answer func(c *peersox.Client, m peersox.Message) bool) {
	t.Helper()
	done := make(chan struct{})
	var c *peersox.Client
	c = peersox.NewClient(peersox.ClientConfig{URL: url, Loopback: true, NoUpgrade: true, OnEvent: func(e peersox.Event) {
		switch e := e.(type) {
		case peersox.Message:
			if !answer(c, e) {
				close(done)
			}
		case peersox.PeerConnected:
			answer(c, peersox.Message{})
		}
	}})
	if err := pair(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		c.Close(ctx)
	})
}

// What a sender must not do leaves nothing behind.
func TestReceiveRefuses(t *testing.T) {
	url := startServer(t)
	text := func(c *peersox.Client, s string) { c.Send(context.Background(), peersox.Text, []byte(s)) }
	data := func(c *peersox.Client, s string) { c.Send(context.Background(), peersox.Binary, []byte(s)) }
	sum := fmt.Sprintf(`{"sha256":"%x"}`, sha256.Sum256([]byte("abc")))
	tests := []struct {
		name string
		send func(c *peersox.Client)
		want string
	}{
		{"wrong sum", func(c *peersox.Client) { text(c, `{"name":"x","size":3}`); data(c, "abd"); text(c, sum) }, "SHA-256 is wrong"},
		{"no sum", func(c *peersox.Client) { text(c, `{"name":"x","size":3}`); data(c, "abc"); text(c, `{}`) }, "SHA-256 is wrong"},
		{"too much", func(c *peersox.Client) { text(c, `{"name":"x","size":3}`); data(c, "abcd") }, "not peersox send"},
		{"an empty chunk", func(c *peersox.Client) { text(c, `{"name":"x","size":3}`); data(c, "") }, "not peersox send"},
		{"a text", func(c *peersox.Client) { text(c, `{"name":"x","size":3}`); text(c, "abc") }, "not peersox send"},
		{"no name", func(c *peersox.Client) { text(c, `{"size":3}`) }, "not peersox send"},
		{"a negative size", func(c *peersox.Client) { text(c, `{"name":"x","size":-3}`) }, "not peersox send"},
		{"no note", func(c *peersox.Client) { data(c, `{"name":"x","size":3}`) }, "not peersox send"},
		{"an error", func(c *peersox.Client) { text(c, `{"name":"x","size":3}`); text(c, `{"error":"no \u001b[2J more"}`) }, "the other end: no \ufffd[2J more"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var code string
			evil(t, url, func(c *peersox.Client) error {
				p, err := c.InitPairing(t.Context())
				code = p.Code
				return err
			}, func(c *peersox.Client, m peersox.Message) bool {
				if string(m.Data) == `{"ready":true,"size":0}` {
					test.send(c)
				}
				return true
			})
			dir := t.TempDir()
			r := start(t, "receive", "-server", url, "-loopback", "-dir", dir, code)
			r.Wait()
			if r.Status != 1 || !strings.Contains(r.Stderr.String(), test.want) {
				t.Errorf("status %d: %s", r.Status, &r.Stderr)
			}
			if files, _ := os.ReadDir(dir); len(files) > 0 {
				t.Errorf("%v is left", files)
			}
		})
	}
}

// A receiver that fails, or is another program, makes the sender fail.
func TestSendFails(t *testing.T) {
	url := startServer(t)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 20<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for first, want := range map[string]string{
		`{"ready":false}`: "not peersox send",
		`hello`:           "not peersox send",
		`{"error":"no"}`:  "the other end: no",
		`{"ready":true}`:  "the other end: full", // and then, when the first bytes have come
	} {
		t.Run(first, func(t *testing.T) {
			r, code := startSend(t, url, path)
			chunks := 0
			evil(t, url, func(c *peersox.Client) error { _, err := c.Pair(t.Context(), code); return err },
				func(c *peersox.Client, m peersox.Message) bool {
					if m.Kind == 0 {
						c.Send(context.Background(), peersox.Text, []byte(first))
					} else if m.Kind == peersox.Binary {
						if chunks++; chunks == 2 {
							c.Send(context.Background(), peersox.Text, []byte(`{"error":"full"}`))
						}
					}
					return true
				})
			r.Wait()
			if r.Status != 1 || !strings.Contains(r.Stderr.String(), want) {
				t.Errorf("status %d: %s", r.Status, &r.Stderr)
			}
		})
	}
	for _, args := range [][]string{{}, {"a", "b"}, {t.TempDir()}, {"no such file"}} {
		r := start(t, append([]string{"send", "-server", url}, args...)...)
		r.Wait()
		if want := 2 - len(args)%2; r.Status != want {
			t.Errorf("send %q: status %d: %s", args, r.Status, &r.Stderr)
		}
	}
	for _, args := range [][]string{{"send", "-server", "http://203.0.113.7:3000", path}, {"receive", "-server", "http://203.0.113.7:3000", "000000"}} { // SEC-31
		r := start(t, args...)
		r.Wait()
		if r.Status != 1 || !strings.Contains(r.Stderr.String(), "is not encrypted: use https://, or say -insecure") {
			t.Errorf("%q: status %d: %s", args, r.Status, &r.Stderr)
		}
	}
	r := start(t, "receive", "-server", url, "-loopback", "000000")
	r.Wait()
	if r.Status != 1 || !strings.Contains(r.Stderr.String(), peersox.ErrCode.Error()) {
		t.Errorf("status %d: %s", r.Status, &r.Stderr)
	}
}

// A signal ends a sender that waits.
func TestSendInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r, _ := startSend(t, startServer(t), path)
	r.Stop()
	r.Wait()
	if r.Status != 1 || !strings.Contains(r.Stderr.String(), "interrupted") {
		t.Errorf("status %d: %s", r.Status, &r.Stderr)
	}
}

func TestSafeName(t *testing.T) {
	for name, want := range map[string]string{
		"a.txt": "a.txt", "../../etc/passwd": "passwd", `C:\x\y.z`: "y.z", "..": "file", "": "file", "/": "file", ".bashrc": "bashrc",
		"a\x1b[2Jb": "a_[2Jb", "a\x00b": "a_b", "été.pdf": "été.pdf", "a\u202eb": "a_b", "x:y": "x_y", "\xff": "_",
		strings.Repeat("ä", 200): strings.Repeat("ä", maxName/2),
	} {
		if got := safeName(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

// Where links cannot be made a file is copied, and replaces none either.
func TestDuplicate(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	os.WriteFile(a, []byte("a"), 0o600)
	for i := range 2 {
		if err := duplicate(a, b); (err == nil) != (i == 0) || i > 0 && !errors.Is(err, os.ErrExist) {
			t.Error(err)
		}
	}
	if got, _ := os.ReadFile(b); string(got) != "a" {
		t.Errorf("%q", got)
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	p := &progress{w: &out, draws: true, now: func() time.Time { return now }}
	p.begin("a name\x1b that is longer than there is room for", 4<<20)
	now = now.Add(time.Second)
	p.at(1 << 20)
	p.at(2 << 20) // too soon to be drawn
	now = now.Add(time.Second)
	p.at(4 << 20)
	p.end()
	want := []string{
		"a name\ufffd that is longer … ░░░░░░░░░░░░░░░░░░░░░░░░   0 % of 4.0 MiB",
		"a name\ufffd that is longer … ██████░░░░░░░░░░░░░░░░░░  25 % of 4.0 MiB, 1.0 MiB/s",
		"a name\ufffd that is longer … ████████████████████████ 100 % of 4.0 MiB, 2.0 MiB/s",
	}
	got := strings.Split(strings.ReplaceAll(strings.TrimSuffix(out.String(), "\x1b[K\n"), "\x1b[K", ""), "\r")[1:]
	if !slices.Equal(slices.Compact(got), want) {
		t.Errorf("%q", got)
	}
	for n, want := range map[int64]string{5: "5 B", 1536: "1.5 KiB", 3 << 30: "3.0 GiB"} {
		if got := bytesOf(n); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

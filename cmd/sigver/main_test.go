package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/cli/clitest"
	"github.com/meshpair/meshpair/internal/ws"
)

const timeout = 10 * time.Second

func TestMain(m *testing.M) { clitest.Main(m, main) }

// SIGTERM ends the process cleanly, with status 0, and says so to its peers.
func TestSIGTERM(t *testing.T) {
	cmd := clitest.Command("-h", "127.0.0.1", "-p", "0", "-log", "error")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, strings.TrimSpace(strings.TrimPrefix(line, "listening on "))+"/room", nil)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var closed *ws.CloseError
	if _, _, err := c.Read(); !errors.As(err, &closed) || closed.Code != 1001 {
		t.Errorf("the peer got %v, want close code 1001", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the command: %v", err)
	}
}

// A running is the command under way.
type running struct {
	t      *testing.T
	url    string // that it printed
	stop   context.CancelFunc
	status chan int
	stderr *bytes.Buffer // to be read when it has ended
}

func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	out, in := io.Pipe()
	r := &running{t: t, stop: stop, status: make(chan int, 1), stderr: new(bytes.Buffer)}
	go func() {
		r.status <- run(ctx, args, nil, in, r.stderr)
		in.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	u, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		stop()
		t.Fatalf("it printed %q, %v; status %d\n%s", line, err, <-r.status, r.stderr)
	}
	r.url = u
	return r
}

// end stops the command, as SIGTERM does, and checks its status.
func (r *running) end() {
	r.t.Helper()
	r.stop()
	select {
	case s := <-r.status:
		if s != 0 {
			r.t.Errorf("status %d\n%s", s, r.stderr)
		}
	case <-time.After(timeout):
		r.t.Fatal("it does not end")
	}
}

func dial(t *testing.T, u string, config *tls.Config) *ws.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, err := ws.Dial(ctx, u, ws.DialConfig{TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(timeout))
	return c
}

// A connected peer is closed with 1001 when the command ends (SIG-40).
func TestServeAndDrain(t *testing.T) {
	r := start(t, "-h", "127.0.0.1", "-p", "0", "-log", "warn")
	if u, err := url.Parse(r.url); err != nil || u.Scheme != "ws" || u.Hostname() != "127.0.0.1" || u.Port() == "0" {
		t.Errorf("it listens on %q", r.url)
	}
	c := dial(t, r.url+"/room", nil)
	go r.stop()
	_, _, err := c.Read()
	var closed *ws.CloseError
	if !errors.As(err, &closed) || closed.Code != 1001 {
		t.Errorf("the peer got %v, want close code 1001", err)
	}
	r.end()
	if strings.Contains(r.stderr.String(), "without TLS") { // SEC-32
		t.Errorf("on 127.0.0.1 it warns: %s", r.stderr)
	}
}

func TestListenOnAllAddresses(t *testing.T) {
	r := start(t, "-port", "0")
	if !strings.HasPrefix(r.url, "ws://0.0.0.0:") {
		t.Errorf("by default it listens on %q", r.url)
	}
	r.end()
	if n := strings.Count(r.stderr.String(), "without TLS"); n != 1 { // SEC-32
		t.Errorf("%d warnings that there is no TLS: %s", n, r.stderr)
	}
}

func TestLimitFlags(t *testing.T) {
	r := start(t, "-host", "127.0.0.1", "-port", "0", "-max-per-addr", "1", "-first-message", "30ms", "-log", "error")
	defer r.end()
	c := dial(t, r.url+"/room", nil)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var refused *ws.HandshakeError
	if _, err := ws.Dial(ctx, r.url+"/room", ws.DialConfig{}); !errors.As(err, &refused) || refused.Status != 429 {
		t.Errorf("a second connection: %v, want status 429", err)
	}
	var closed *ws.CloseError
	if _, _, err := c.Read(); !errors.As(err, &closed) || closed.Code != 1008 {
		t.Errorf("a silent peer: %v, want close code 1008", err)
	}
}

// The chain that is served holds the intermediate certificate of -ca, so that a
// client that knows the root alone can verify it; TLS 1.1 is refused.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	chain := makeChain(t, dir)
	r := start(t, "-host", "127.0.0.1", "-port", "0",
		"-k", filepath.Join(dir, "key.pem"), "-c", filepath.Join(dir, "cert.pem"), "-a", filepath.Join(dir, "ca.pem"))
	defer r.end()
	if !strings.HasPrefix(r.url, "wss://") {
		t.Errorf("it listens on %q", r.url)
	}
	config := &tls.Config{RootCAs: chain, ServerName: "localhost"}
	dial(t, r.url+"/room", config).Close(1000, "")
	addr := strings.TrimPrefix(r.url, "wss://")
	if c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: chain, ServerName: "localhost", MaxVersion: tls.VersionTLS11}); err == nil {
		c.Close()
		t.Error("TLS 1.1 is accepted")
	}
	c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: chain, ServerName: "localhost", NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if p := c.ConnectionState().NegotiatedProtocol; p == "h2" {
		t.Error("HTTP/2 is negotiated, which cannot carry these WebSockets")
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"--help"}, {"-help"}, {"-p", "0", "-h"}, {"-h", "-p", "0"}} {
		var out, errs bytes.Buffer
		if s := run(context.Background(), args, nil, &out, &errs); s != 0 || errs.Len() > 0 {
			t.Errorf("%v: status %d, %s", args, s, &errs)
		}
		for _, flag := range []string{"-h, -host", "-p, -port", "-k, -key", "-c, -cert", "-a, -ca", "-max-per-addr", "-max-message"} {
			if !strings.Contains(out.String(), flag) {
				t.Errorf("%v: the help lacks %s", args, flag)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	var out bytes.Buffer
	if s := run(context.Background(), []string{"-V"}, nil, &out, io.Discard); s != 0 || !strings.HasPrefix(out.String(), "sigver ") {
		t.Errorf("status %d, %q", s, &out)
	}
}

// What cannot work is told in a sentence that names the flag; status 2 for the
// command line, 1 for what it finds.
func TestErrors(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args   []string
		status int
		say    string
	}{
		{[]string{"-nonsense"}, 2, "-nonsense"},
		{[]string{"extra"}, 2, `"extra"`},
		{[]string{"-key", "k"}, 2, "-cert"},
		{[]string{"-ca", "a"}, 2, "-ca"},
		{[]string{"-max-groups", "0"}, 2, "-max-groups"},
		{[]string{"-max-message", "0"}, 2, "-max-message must be at least 1"},
		{[]string{"-max-queue", "-1"}, 2, "-max-queue"},
		{[]string{"-write-timeout", "0"}, 2, "-write-timeout"},
		{[]string{"-log", "loud"}, 2, "want debug, info, warn or error"},
		{[]string{"-port", ""}, 2, "-port"},
		{[]string{"-port", "http"}, 2, "-port"},
		{[]string{"-max-per-addr", "-1"}, 2, "-max-per-addr"},
		{[]string{"-first-message", "soon"}, 2, "-first-message"},
		{[]string{"-key", empty, "-cert", empty}, 1, "-cert"},
		{[]string{"-port", "70000"}, 2, "-port"},
		{[]string{"-host", "192.0.2.1", "-port", "0"}, 1, "-host"},
	} {
		var errs bytes.Buffer
		if s := run(context.Background(), test.args, nil, io.Discard, &errs); s != test.status || !strings.Contains(errs.String(), test.say) {
			t.Errorf("%v: status %d, want %d, and said %q, want %s in it", test.args, s, test.status, &errs, test.say)
		}
	}
}

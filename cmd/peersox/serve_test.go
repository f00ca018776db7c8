package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/cli/clitest"
	"github.com/meshpair/meshpair/internal/redistest"
	"github.com/meshpair/meshpair/internal/ws"
	"github.com/meshpair/meshpair/peersox"
)

// patience is how long something that is due may take.
const patience = 20 * time.Second

// A process is a running `peersox serve`.
type process struct {
	t   *testing.T
	url string
	cmd *exec.Cmd
	log *bytes.Buffer
}

func startServe(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, log: new(bytes.Buffer)}
	p.cmd = clitest.Command(append([]string{"serve", "-host", "127.0.0.1", "-port", "0"}, args...)...)
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", line, err)
	}
	p.url = url
	return p
}

// kill is kill -9.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	}
}

func (p *process) get(path string, into any) {
	p.t.Helper()
	resp, err := http.Get(p.url + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		p.t.Fatalf("%s: %s %s: %v", path, resp.Status, b, err)
	}
}

// A talker is a client by its WebSocket.
type talker struct {
	t *testing.T
	*ws.Conn
}

// join connects to socket with a token from api, and registers; it returns the answer.
func join(t *testing.T, api, socket *process, p peersox.Pairing) (talker, string) {
	t.Helper()
	var token struct{ Token string }
	api.get("/api/token/get", &token)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := ws.Dial(ctx, "ws"+strings.TrimPrefix(socket.url, "http")+"/ws", ws.DialConfig{
		Config: ws.Config{MaxMessage: 8 << 20}, Subprotocols: []string{token.Token},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	c.SetReadDeadline(time.Now().Add(2 * patience))
	u := talker{t, c}
	u.say(fmt.Sprintf(`§{"name":"client.register","data":{"code":%q,"hash":%q}}`, p.Code, p.Hash))
	return u, u.hear()
}

func (u talker) say(text string) {
	u.t.Helper()
	if err := u.Write(ws.Text, []byte(text)); err != nil {
		u.t.Fatal(err)
	}
}

func (u talker) hear() string {
	u.t.Helper()
	_, data, err := u.Read()
	if err != nil {
		u.t.Fatal(err)
	}
	return string(data)
}

// closed waits for the end of the connection.
func (u talker) closed() {
	u.t.Helper()
	for {
		if _, _, err := u.Read(); err != nil {
			var end *ws.CloseError
			if !errors.As(err, &end) || end.Code != ws.CloseNormal {
				u.t.Errorf("the connection ends by %v, want close code 1000", err)
			}
			return
		}
	}
}

// couple connects two talkers at two processes.
func couple(t *testing.T, api, first, second *process, p peersox.Pairing) (a, b talker) {
	t.Helper()
	a, answer := join(t, api, first, p)
	b, answer2 := join(t, api, second, p)
	if answer != "HANDSHAKE_SUCCESS" || answer2 != answer {
		t.Fatalf("%q, %q", answer, answer2)
	}
	if m := b.hear(); !strings.Contains(m, `"isInitiator":false`) {
		t.Fatal(m)
	}
	if m := a.hear(); !strings.Contains(m, `"isInitiator":true`) {
		t.Fatal(m)
	}
	return a, b
}

// PSX-36: clients at different processes are paired and relayed to one another through Redis, whole and in order, also
// when one reads slowly (PSX-33); a third is refused; an end on one side ends the other.
func TestProcesses(t *testing.T) {
	url, _ := redistest.Start(t)
	api := startServe(t, "-redis", url, "-socket=false")
	one := startServe(t, "-redis", url, "-api=false")
	two := startServe(t, "-redis", url, "-api=false")
	var p peersox.Pairing
	api.get("/api/code/get", &p)
	a, b := couple(t, api, one, two, p)
	if third, answer := join(t, api, one, p); answer != "HANDSHAKE_FAILED" {
		t.Errorf("a third gets %q", answer)
	} else {
		third.Abort()
	}
	for i := range 100 {
		text := fmt.Sprintf("message %d", i)
		a.say(text)
		b.say(text)
		if got, back := b.hear(), a.hear(); got != text || back != text {
			t.Fatalf("%q, %q; want %q", got, back, text)
		}
	}
	const count, size = 250, 100_000 // more than a window and the sockets hold
	var sent atomic.Int32
	go func() {
		data := make([]byte, size)
		for i := range count {
			data[0] = byte(i)
			if a.Write(ws.Binary, data) != nil {
				return
			}
			sent.Add(1)
		}
	}()
	for last, end := int32(-1), time.Now().Add(patience); last <= 0 || sent.Load() != last; {
		last = sent.Load()
		time.Sleep(100 * time.Millisecond) // it is stuck when nothing more goes for a while
		if time.Now().After(end) {
			break
		}
	}
	if n := sent.Load(); n > count*3/4 {
		t.Errorf("%d of %d messages were taken of a sender whose peer reads nothing", n, count)
	}
	for i := range count {
		kind, data, err := b.Read()
		if err != nil || kind != ws.Binary || len(data) != size || data[0] != byte(i) {
			t.Fatalf("message %d: kind %d, %d bytes, %v", i, kind, len(data), err)
		}
	}
	b.Close(ws.CloseNormal, "")
	a.closed()
	a, b = couple(t, api, two, one, p) // the seats are free again
	a.Close(ws.CloseNormal, "")
	b.closed()
}

// PSX-37: after kill -9 of a process its clients' peers are closed, and their seats free, in bounded time. Meanwhile, and
// after, clients of other processes go on.
func TestKilledProcess(t *testing.T) {
	url, _ := redistest.Start(t)
	one := startServe(t, "-redis", url)
	two := startServe(t, "-redis", url)
	var p, q, both, other peersox.Pairing
	one.get("/api/code/get", &both)
	one.get("/api/code/get", &p)
	one.get("/api/code/get", &q)
	one.get("/api/code/get", &other)
	_, b := couple(t, one, one, two, p)
	alone, _ := join(t, one, one, q)
	defer alone.Abort()
	couple(t, one, one, one, both)
	c, d := couple(t, two, two, two, other)
	begin := time.Now()
	one.kill()
	b.closed()
	t.Logf("the peer was closed after %v", time.Since(begin))
	if since := time.Since(begin); since > 15*time.Second {
		t.Errorf("the peer was closed after %v", since)
	}
	c.say("still here")
	if got := d.hear(); got != "still here" {
		t.Error(got)
	}
	three := startServe(t, "-redis", url)
	couple(t, two, two, three, p)
	couple(t, two, two, three, q) // the one that waited at the killed process is not in the way
	// Two that were both there keep their seats as long as the lease of their process lasts.
	for {
		first, answer := join(t, two, two, both)
		first.Abort()
		if answer == "HANDSHAKE_SUCCESS" {
			break
		}
		if since := time.Since(begin); since > 15*time.Second {
			t.Fatalf("the seats are taken still after %v", since)
		}
		time.Sleep(100 * time.Millisecond) // the pace of a client
	}
	t.Logf("both seats were free after %v", time.Since(begin))
}

// SIGTERM ends the process cleanly, with status 0, and says so to its clients: PSX-35.
func TestServeSIGTERM(t *testing.T) {
	s := startServe(t)
	var p peersox.Pairing
	s.get("/api/code/get", &p)
	u, _ := join(t, s, s, p)
	s.cmd.Process.Signal(syscall.SIGTERM)
	var end *ws.CloseError
	if _, _, err := u.Read(); !errors.As(err, &end) || end.Code != ws.CloseGoingAway {
		t.Errorf("%v, want close code 1001", err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, s.log)
	}
}

// A server that listens for other machines without TLS warns of that, once (SEC-32).
func TestServeWarns(t *testing.T) {
	for host, warns := range map[string]int{"0.0.0.0": 1, "127.0.0.1": 0} {
		s := startServe(t, "-host", host)
		s.cmd.Process.Signal(syscall.SIGTERM)
		if err := s.cmd.Wait(); err != nil {
			t.Error(err)
		}
		if n := strings.Count(s.log.String(), "without TLS"); n != warns {
			t.Errorf("%s: %d warnings\n%s", host, n, s.log)
		}
	}
}

// Redis that ends closes the clients, who may come again when it is back.
func TestRedisEnds(t *testing.T) {
	url, stop := redistest.Start(t)
	s := startServe(t, "-redis", url)
	var p peersox.Pairing
	s.get("/api/code/get", &p)
	u, _ := join(t, s, s, p)
	begin := time.Now()
	stop()
	var end *ws.CloseError
	if _, _, err := u.Read(); !errors.As(err, &end) || end.Code != 1013 {
		t.Errorf("%v, want close code 1013", err)
	}
	if since := time.Since(begin); since > 8*time.Second { // the lease would end after 10 s
		t.Errorf("closed after %v", since)
	}
	resp, err := http.Get(s.url + "/api/code/get")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Error(resp.Status)
	}
}

// A wrong command line is explained, with status 2.
func TestServeUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-port", "x"}, "-port"},
		{[]string{"-ice", "{}"}, "-ice"},
		{[]string{"-ice", "null"}, "-ice"},
		{[]string{"-origin", "app.example"}, "-origin"},
		{[]string{"-cert", "c.pem"}, "-key"},
		{[]string{"-api=false", "-socket=false"}, "nothing is left"},
		{[]string{"-api=false"}, "-redis"},
		{[]string{"-total-guesses", "0"}, "-total-guesses"},
		{[]string{"-max-codes", "0"}, "-max-codes"},
		{[]string{"-nothing"}, "-nothing"},
		{[]string{"rest"}, "rest"},
	} {
		var stderr bytes.Buffer
		if status := program.Run(t.Context(), append([]string{"serve"}, c.args...), nil, io.Discard, &stderr); status != 2 || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%v: status %d, %s", c.args, status, &stderr)
		}
	}
	var stdout bytes.Buffer
	if status := program.Run(t.Context(), []string{"serve", "-h"}, nil, &stdout, io.Discard); status != 0 || !strings.Contains(stdout.String(), "-redis-prefix") {
		t.Errorf("-h: status %d, %s", status, &stdout)
	}
	var stderr bytes.Buffer
	if status := program.Run(t.Context(), []string{"serve", "-redis", "redis://127.0.0.1:1"}, nil, io.Discard, &stderr); status != 1 || !strings.Contains(stderr.String(), "127.0.0.1:1") {
		t.Errorf("no Redis: status %d, %s", status, &stderr)
	}
}

package ws

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// echo sends every message back.
func echo(c *Conn) {
	for {
		k, data, err := c.Read()
		if err != nil {
			return
		}
		if c.Write(k, data) != nil {
			return
		}
	}
}

// listen runs a server and returns its host and port.
func listen(t testing.TB, h http.Handler) string {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// upgradeLines is the opening handshake of a client that sends no Origin.
const upgradeLines = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + rawKey + "\r\n"

// request sends an HTTP request, with what follows it, and reads the answer's head.
func request(t testing.TB, addr, text string) (*peer, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, conn, true)
	p.send([]byte(text))
	resp, err := http.ReadResponse(p.br, &http.Request{Method: strings.Fields(text)[0]})
	if err != nil {
		t.Fatalf("no HTTP answer: %v", err)
	}
	return p, resp
}

// connected does the opening handshake.
func connected(t testing.TB, addr string) *peer {
	t.Helper()
	p, resp := request(t, addr, "GET / HTTP/1.1\r\n"+upgradeLines+"\r\n")
	if resp.StatusCode != 101 {
		t.Fatalf("status %s", resp.Status)
	}
	return p
}

// When Serve returns, the closing handshake is completed and TCP ends.
func TestServeReturns(t *testing.T) {
	s := &Server{Serve: func(c *Conn, r *http.Request) { c.Read() }}
	p := connected(t, listen(t, s))
	p.send(p.frame(0x81, "x"))
	p.wantClose(1000)
	p.send(p.frame(0x81, "late"), p.closing(1000, ""))
	p.wantEOF()
	if !eventually(func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.conns) == 0 && s.requests == 0
	}) {
		t.Error("the server remembers a connection that has ended")
	}
}

func TestServeCloses(t *testing.T) {
	addr := listen(t, &Server{Serve: func(c *Conn, r *http.Request) { c.Close(4003, "full") }})
	p := connected(t, addr)
	if reason := p.wantClose(4003); reason != "full" {
		t.Errorf("reason %q", reason)
	}
	p.send(p.closing(4003, ""))
	p.wantEOF()
}

// A panic in Serve ends TCP too, and nothing but its own connection. It is logged, unless it is the one that net/http
// does not log either.
func TestServePanics(t *testing.T) {
	for _, test := range []struct {
		value  any
		logged bool
	}{{"oh no", true}, {errors.New("oh no"), true}, {[]string{"oh no"}, true}, {http.ErrAbortHandler, false}} {
		var logged bytes.Buffer
		log.SetOutput(&logged)
		defer log.SetOutput(os.Stderr)
		s := &Server{Serve: func(c *Conn, r *http.Request) {
			if c.Read(); r.URL.Path == "/panic" {
				panic(test.value)
			}
			echo(c)
		}}
		addr := listen(t, s)
		bad, _ := request(t, addr, "GET /panic HTTP/1.1\r\n"+upgradeLines+"\r\n")
		good := connected(t, addr)
		good.send(good.frame(0x81, "x"))
		bad.send(bad.frame(0x81, "x"))
		if _, err := bad.br.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the peer got %v, want a reset", err)
		}
		good.send(good.frame(0x81, "still served"))
		good.want(0x81, "still served")
		down := make(chan error)
		go func() { down <- s.Shutdown(context.Background()) }()
		good.wantClose(1001)
		good.send(good.closing(1001, ""))
		good.wantEOF()
		if err := <-down; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		text := logged.String()
		if got := strings.Contains(text, "oh no") && strings.Contains(text, "TestServePanics"); got != test.logged || !got && text != "" {
			t.Errorf("%v: logged %q", test.value, text)
		}
	}
}

// Upgrade reports whether Serve is called, whatever else becomes of a request.
func TestUpgradeResult(t *testing.T) {
	for _, test := range []struct {
		name, request string
		accept        error
		status        int
	}{
		{"served", "GET / HTTP/1.1\r\n" + upgradeLines, nil, 101},
		{"POST", "POST / HTTP/1.1\r\n" + upgradeLines, nil, 405},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n" + upgradeLines, nil, 505},
		{"no WebSocket", "GET / HTTP/1.1\r\nHost: x\r\n", nil, 426},
		{"old version", "GET / HTTP/1.1\r\n" + strings.Replace(upgradeLines, "13", "8", 1), nil, 426},
		{"bad key", "GET / HTTP/1.1\r\n" + strings.Replace(upgradeLines, rawKey, "x", 1), nil, 400},
		{"body", "GET / HTTP/1.1\r\nContent-Length: 1\r\n" + upgradeLines + "\r\nx", nil, 400},
		{"not accepted", "GET / HTTP/1.1\r\n" + upgradeLines, errors.New("no"), 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			result, served := make(chan bool, 1), make(chan struct{}, 1)
			s := &Server{
				Accept: func(*http.Request) (string, error) { return "", test.accept },
				Serve:  func(*Conn, *http.Request) { served <- struct{}{} },
			}
			addr := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { result <- s.Upgrade(w, r) }))
			p, resp := request(t, addr, test.request+"\r\n")
			if resp.StatusCode != test.status {
				t.Fatalf("status %s, want %d", resp.Status, test.status)
			}
			// It returns at once, and not when the connection ends.
			if got := <-result; got != (test.status == 101) {
				t.Errorf("Upgrade: %v", got)
			}
			if test.status == 101 {
				<-served
				p.wantClose(1000)
				p.send(p.closing(1000, ""))
				p.wantEOF()
			}
			if err := s.Shutdown(context.Background()); err != nil || len(served) > 0 {
				t.Errorf("Shutdown: %v; served %d more", err, len(served))
			}
		})
	}
}

// A connection that is taken over and found dead is closed, and not served.
func TestUpgradeDead(t *testing.T) {
	s := &Server{Serve: func(*Conn, *http.Request) { t.Error("served") }}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {rawKey}}
	ours, theirs := net.Pipe()
	theirs.Close()
	if s.Upgrade(taken{conn: ours}, r) {
		t.Error("Upgrade: true")
	}
	if _, err := ours.Read(nil); err != io.ErrClosedPipe {
		t.Errorf("the connection is not closed: %v", err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// taken is the answer to a request whose connection can be taken over.
type taken struct {
	http.ResponseWriter
	conn net.Conn
}

func (w taken) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

// A panic in Accept is net/http's to handle, and Shutdown does not wait for its request.
func TestAcceptPanics(t *testing.T) {
	s := &Server{
		Accept: func(*http.Request) (string, error) { panic(http.ErrAbortHandler) },
		Serve:  func(*Conn, *http.Request) { t.Error("served") },
	}
	conn, err := net.Dial("tcp", listen(t, s))
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, conn, true)
	p.send([]byte("GET / HTTP/1.1\r\n" + upgradeLines + "\r\n"))
	p.wantEOF()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// Serve may outlive its request, which says that it has ended.
func TestServeOutlivesRequest(t *testing.T) {
	s := &Server{Serve: func(c *Conn, r *http.Request) {
		<-r.Context().Done()
		echo(c)
	}}
	p := connected(t, listen(t, s))
	p.send(p.frame(0x81, "x"))
	p.want(0x81, "x")
}

func TestServeRequest(t *testing.T) {
	addr := listen(t, &Server{Serve: func(c *Conn, r *http.Request) {
		c.Write(Text, []byte(r.URL.Query().Get("q")+" "+r.Header.Get("X-Y")+" "+c.RemoteAddr()))
	}})
	p, _ := request(t, addr, "GET /?q=1 HTTP/1.1\r\nX-Y: 2\r\n"+upgradeLines+"\r\n")
	p.want(0x81, "1 2 "+p.LocalAddr().String())
}

func TestAccept(t *testing.T) {
	wrapped := fmt.Errorf("wrapped: %w", &RejectError{Status: 429, Message: "slow down"})
	for _, test := range []struct {
		name        string
		subprotocol string
		err         error
		status      int
		body        string
	}{
		{"no subprotocol", "", nil, 101, ""},
		{"first", "a.1", nil, 101, ""},
		{"last", "c", nil, 101, ""},
		{"not offered", "d", nil, 500, "no common subprotocol"},
		{"two at once", "a.1, b", nil, 500, "no common subprotocol"},
		{"any error", "", errors.New("secret"), 403, "Forbidden"},
		{"chosen status", "", wrapped, 429, "slow down"},
		{"no message", "", &RejectError{Status: 401}, 401, "Unauthorized"},
		{"no status", "", &RejectError{Message: "no"}, 403, "no"},
		{"status of a success", "", &RejectError{Status: 200}, 403, "Forbidden"},
		{"impossible status", "", &RejectError{Status: 6000}, 403, "Forbidden"},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := listen(t, &Server{
				Accept: func(r *http.Request) (string, error) {
					if got := strings.Join(Offered(r), "|"); got != "a.1|b|c" {
						t.Errorf("offered %q", got)
					}
					return test.subprotocol, test.err
				},
				Serve: func(c *Conn, r *http.Request) { c.Write(Text, []byte(c.Subprotocol())) },
			})
			p, resp := request(t, addr, "GET / HTTP/1.1\r\nSec-WebSocket-Protocol: a.1, b ,\r\nSec-WebSocket-Protocol: c\r\n"+upgradeLines+"\r\n")
			if resp.StatusCode != test.status {
				t.Fatalf("status %s, want %d", resp.Status, test.status)
			}
			if test.status != 101 {
				if body, _ := io.ReadAll(resp.Body); strings.TrimSpace(string(body)) != test.body {
					t.Errorf("body %q, want %q", body, test.body)
				}
				return
			}
			if got := resp.Header["Sec-Websocket-Protocol"]; strings.Join(got, "|") != test.subprotocol || len(got) > 1 {
				t.Errorf("subprotocol header %q, want %q", got, test.subprotocol)
			}
			p.want(0x81, test.subprotocol)
		})
	}
}

// The Origin is for Accept to see; a client without one is served.
func TestAcceptOrigin(t *testing.T) {
	addr := listen(t, &Server{
		Accept: func(r *http.Request) (string, error) {
			if o := r.Header.Get("Origin"); o != "" && o != "https://good.example" {
				return "", errors.New("bad origin")
			}
			return "", nil
		},
		Serve: func(c *Conn, r *http.Request) { c.Write(Text, []byte(c.RemoteAddr())) },
	})
	for origin, status := range map[string]int{"": 101, "Origin: https://good.example\r\n": 101, "Origin: https://bad.example\r\n": 403, "Origin: null\r\n": 403, "Origin: %%%\r\n": 403} {
		if _, resp := request(t, addr, "GET / HTTP/1.1\r\n"+origin+upgradeLines+"\r\n"); resp.StatusCode != status {
			t.Errorf("%q: status %s, want %d", origin, resp.Status, status)
		}
	}
}

// Shutdown closes with 1001, refuses with 503 and waits for Serve.
func TestShutdown(t *testing.T) {
	serving := make(chan struct{}, 2)
	ended := make(chan error, 2)
	s := &Server{Serve: func(c *Conn, r *http.Request) {
		serving <- struct{}{}
		ended <- readToEnd(c, nil)
	}}
	addr := listen(t, s)
	one, two := connected(t, addr), connected(t, addr)
	<-serving
	<-serving
	down := make(chan error)
	go func() { down <- s.Shutdown(context.Background()) }()
	one.wantClose(1001)
	two.wantClose(1001)
	if _, resp := request(t, addr, "GET / HTTP/1.1\r\n"+upgradeLines+"\r\n"); resp.StatusCode != 503 {
		t.Errorf("status %s, want 503", resp.Status)
	}
	one.send(one.closing(1001, ""))
	one.wantEOF()
	select {
	case err := <-down:
		t.Errorf("Shutdown returned %v with a connection left", err)
	default:
	}
	two.send(two.closing(1001, ""))
	two.wantEOF()
	if err := <-down; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	wantCloseError(t, <-ended, 1001, "")
	wantCloseError(t, <-ended, 1001, "")
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown again: %v", err)
	}
}

// When its context ends, Shutdown aborts what is left and returns, whatever Serve does.
func TestShutdownAborts(t *testing.T) {
	serving, release := make(chan *Conn, 1), make(chan struct{})
	s := &Server{Serve: func(c *Conn, r *http.Request) {
		serving <- c
		<-release
	}}
	p := connected(t, listen(t, s))
	c := <-serving
	ctx, cancel := context.WithCancel(context.Background())
	down := make(chan error)
	go func() { down <- s.Shutdown(ctx) }()
	p.wantClose(1001)
	cancel()
	if err := <-down; err != context.Canceled {
		t.Errorf("Shutdown: %v", err)
	}
	if err := c.Write(Text, nil); err != ErrClosed {
		t.Errorf("Write: %v", err)
	}
	if _, err := p.br.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer got %v, want a reset", err)
	}
	close(release)
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown after the end of Serve: %v", err)
	}
}

// A connection whose upgrade Shutdown did not see yet is closed without being served.
func TestShutdownDuringUpgrade(t *testing.T) {
	accepting, release := make(chan struct{}), make(chan struct{})
	s := &Server{
		Accept: func(*http.Request) (string, error) {
			close(accepting)
			<-release
			return "", nil
		},
		Serve: func(c *Conn, r *http.Request) { t.Error("served") },
	}
	result := make(chan bool, 2)
	addr := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { result <- s.Upgrade(w, r) }))
	down := make(chan error)
	go func() {
		<-accepting
		go func() { down <- s.Shutdown(context.Background()) }()
		eventually(func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.drained != nil
		})
		close(release)
	}()
	p := connected(t, addr)
	p.wantClose(1001)
	p.send(p.closing(1001, ""))
	p.wantEOF()
	if err := <-down; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if _, resp := request(t, addr, "GET / HTTP/1.1\r\n"+upgradeLines+"\r\n"); resp.StatusCode != 503 {
		t.Errorf("status %s, want 503", resp.Status)
	}
	for range 2 {
		if <-result {
			t.Error("Upgrade: true")
		}
	}
}

// HTTP/2 gets an answer. The library would panic.
func TestHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(&Server{Serve: func(c *Conn, _ *http.Request) { echo(c) }})
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != 505 {
		t.Errorf("%s %s, want HTTP/2.0 505", resp.Proto, resp.Status)
	}
	// The same server still serves a WebSocket over TLS.
	c, err := Dial(context.Background(), "wss"+strings.TrimPrefix(server.URL, "https"), DialConfig{
		TLS: &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, NextProtos: []string{"h2"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Write(Text, []byte("hello"))
	wantMessage(t, c, Text, "hello")
	if err := c.Close(1000, ""); err != nil {
		t.Error(err)
	}
}

// So does a connection that cannot be taken over. The library would panic.
func TestNoHijacker(t *testing.T) {
	s := &Server{Serve: func(*Conn, *http.Request) { t.Error("served") }}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {rawKey}}
	w := httptest.NewRecorder()
	if s.Upgrade(w, r) {
		t.Error("Upgrade: true")
	}
	if w.Code != 500 {
		t.Errorf("status %d, want 500", w.Code)
	}
}

// A middleware that hides the Hijacker behind Unwrap is no obstacle.
func TestUnwrap(t *testing.T) {
	s := &Server{Serve: func(c *Conn, _ *http.Request) { echo(c) }}
	addr := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeHTTP(wrapped{w}, r) }))
	p := connected(t, addr)
	p.send(p.frame(0x81, "x"))
	p.want(0x81, "x")
}

type wrapped struct{ w http.ResponseWriter }

func (w wrapped) Header() http.Header         { return w.w.Header() }
func (w wrapped) Write(b []byte) (int, error) { return w.w.Write(b) }
func (w wrapped) WriteHeader(status int)      { w.w.WriteHeader(status) }
func (w wrapped) Unwrap() http.ResponseWriter { return w.w }

// The server's own time-outs end with the upgrade.
func TestHTTPTimeouts(t *testing.T) {
	server := httptest.NewUnstartedServer(&Server{Serve: func(c *Conn, r *http.Request) {
		time.AfterFunc(600*time.Millisecond, func() { c.Write(Text, []byte("still here")) })
		c.Read()
	}})
	server.Config.ReadTimeout, server.Config.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond
	server.Start()
	defer server.Close()
	p := connected(t, server.Listener.Addr().String())
	p.want(0x81, "still here")
}

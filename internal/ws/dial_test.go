package ws

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
)

func TestDial(t *testing.T) {
	requests := make(chan *http.Request, 1)
	addr := listen(t, &Server{
		Accept: func(r *http.Request) (string, error) {
			requests <- r
			return "b", nil
		},
		Serve: func(c *Conn, _ *http.Request) { echo(c) },
	})
	_, port, _ := net.SplitHostPort(addr)
	ctx, cancel := context.WithCancel(context.Background())
	c, err := Dial(ctx, "ws://LOCALHOST:"+port+"/a%20b?c=d", DialConfig{
		Header:       http.Header{"X-Y": {"z"}},
		Subprotocols: []string{"a", "b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	cancel() // must have no influence any more
	r := <-requests
	if r.RequestURI != "/a%20b?c=d" || r.Header.Get("X-Y") != "z" || r.Header.Get("Origin") != "http://localhost:"+port {
		t.Errorf("request %s, header %v", r.RequestURI, r.Header)
	}
	if c.Subprotocol() != "b" {
		t.Errorf("subprotocol %q", c.Subprotocol())
	}
	c.Write(Text, []byte("hello"))
	wantMessage(t, c, Text, "hello")
	if err := c.Close(4000, "bye"); err != nil {
		t.Error(err)
	}
}

// A server that chooses none of the subprotocols offered has chosen none.
func TestDialNoSubprotocol(t *testing.T) {
	addr := listen(t, &Server{Serve: func(c *Conn, _ *http.Request) { echo(c) }})
	c, err := Dial(context.Background(), "ws://"+addr, DialConfig{Subprotocols: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort()
	if c.Subprotocol() != "" {
		t.Errorf("subprotocol %q", c.Subprotocol())
	}
}

// A refusal is told with its status and what it says.
func TestDialRefused(t *testing.T) {
	addr := listen(t, &Server{Accept: func(*http.Request) (string, error) {
		return "", &RejectError{Status: 429, Message: "slow down"}
	}})
	_, err := Dial(context.Background(), "ws://"+addr, DialConfig{})
	var refused *HandshakeError
	if !errors.As(err, &refused) || refused.Status != 429 || refused.Message != "slow down" {
		t.Errorf("error %v", err)
	}
	if want := "ws: handshake: refused with 429 Too Many Requests: slow down"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestDialArguments(t *testing.T) {
	for url, cfg := range map[string]DialConfig{
		"http://localhost":      {},
		"localhost":             {},
		"ws://":                 {},
		"ws://:80":              {},
		"ws:///path":            {},
		"ws://user:pw@h/":       {},
		"ws://h/#fragment":      {},
		"ws://h/\r\nX: y":       {},
		"ws://h/?origin=path":   {Origin: "http://h/path"},
		"ws://h/?origin=word":   {Origin: "h"},
		"ws://h/?origin=crlf":   {Origin: "http://h\r\nX: y"},
		"ws://h/?protocol=crlf": {Subprotocols: []string{"a\r\nX: y"}},
		"ws://h/?protocol=two":  {Subprotocols: []string{"a,b"}},
		"ws://h/?protocol=same": {Subprotocols: []string{"a", "a"}},
		"ws://h/?protocol=none": {Subprotocols: []string{""}},
		"ws://h/?host":          {Header: http.Header{"host": {"x"}}},
		"ws://h/?origin=header": {Header: http.Header{"Origin": {"http://x"}}},
		"ws://h/?extensions":    {Header: http.Header{"Sec-WebSocket-Extensions": {"permessage-deflate"}}},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nothing is dialed even if the check is missing
		if _, err := Dial(ctx, url, cfg); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("%q %+v: error %v", url, cfg, err)
		}
	}
}

func TestOrigin(t *testing.T) {
	for _, test := range []struct{ url, origin, want string }{
		{"ws://h", "", "http://h"},
		{"ws://h:80/x?y", "", "http://h"},
		{"wss://h:443/", "", "https://h"},
		{"wss://h:80/", "", "https://h:80"},
		{"ws://[::1]:8080/", "", "http://[::1]:8080"},
		{"ws://[::1]/", "", "http://[::1]"},
		{"ws://h", "https://other:1", "https://other:1"},
		{"ws://h", "null", "null"},
	} {
		config, err := DialConfig{Origin: test.origin}.handshake(test.url)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
		} else if got := config.Origin.String(); got != test.want {
			t.Errorf("%s: origin %q, want %q", test.url, got, test.want)
		}
	}
}

// An IPv6 address without a port is dialed on the default port. The library would look for the host "[::1]".
func TestDialIPv6(t *testing.T) {
	var dialed string
	refuse := func(_ context.Context, addr string) (net.Conn, error) {
		dialed = addr
		return nil, io.EOF
	}
	if _, err := Dial(t.Context(), "ws://[::1]", DialConfig{Connect: refuse}); !errors.Is(err, io.EOF) || dialed != "[::1]:80" {
		t.Errorf("dialed %q: %v", dialed, err)
	}
}

// The context bounds each stage: TCP, TLS and the upgrade.
func TestDialContext(t *testing.T) {
	for _, scheme := range []string{"ws", "wss"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() {
			_, err := Dial(ctx, scheme+"://"+l.Addr().String(), DialConfig{})
			done <- err
		}()
		silent, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		silent.Read(make([]byte, 1)) // the client has begun
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want context.Canceled", scheme, err)
		}
		io.Copy(io.Discard, silent) // ends: TCP is not leaked
		silent.Close()
	}
}

func TestDialTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(&Server{Serve: func(c *Conn, _ *http.Request) { echo(c) }})
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // one client below turns it down
	server.StartTLS()
	defer server.Close()
	target := "wss" + strings.TrimPrefix(server.URL, "https")
	if _, err := Dial(context.Background(), target, DialConfig{}); err == nil {
		t.Error("an unknown certificate was taken")
	} else if h := new(HandshakeError); errors.As(err, &h) {
		t.Errorf("%v is a HandshakeError", err)
	}
	config := &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	c, err := Dial(context.Background(), target, DialConfig{TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	if config.NextProtos != nil || config.ServerName != "" {
		t.Error("the caller's tls.Config was changed")
	}
	c.Write(Binary, []byte("hello"))
	wantMessage(t, c, Binary, "hello")
	if err := c.Close(1000, ""); err != nil {
		t.Error(err)
	}
}

// A TLS handshake that fails does not leak TCP.
func TestDialNoTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error)
	go func() {
		_, err := Dial(context.Background(), "wss://"+l.Addr().String(), DialConfig{})
		done <- err
	}()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, conn, false)
	p.send([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	if err := <-done; err == nil {
		t.Error("no error")
	}
	if _, err := io.Copy(io.Discard, p.br); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("TCP did not end: %v", err)
	}
}

// answering runs a raw server that answers every request with the text, in which KEY stands for the right
// Sec-WebSocket-Accept, and returns its URL.
func answering(t *testing.T, text string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				io.WriteString(conn, strings.ReplaceAll(text, "KEY", accept(req.Header.Get("Sec-WebSocket-Key"))))
				if !strings.Contains(text, "Connection: close") {
					io.Copy(io.Discard, conn)
				}
			}()
		}
	}()
	return "ws://" + l.Addr().String()
}

// TestDialTarget checks that path and query arrive as they were written.
func TestDialTarget(t *testing.T) {
	got := make(chan string, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(c).ReadString('\n')
			c.Close()
			got <- strings.TrimSuffix(strings.TrimPrefix(line, "GET "), " HTTP/1.1\r\n")
		}
	}()
	for _, target := range []string{"/", "/it's", "/it%27s", "/a|b^c[d]", "/100%", "/%zz?a=b&c", "/a/../b", "/x//y", "/?q", "/%E2%82%AC"} {
		Dial(t.Context(), "ws://"+l.Addr().String()+target, DialConfig{}) // the server hangs up
		if g := <-got; g != target {
			t.Errorf("%q came as %q", target, g)
		}
	}
}

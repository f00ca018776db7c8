package ws

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/meshpair/meshpair/internal/need"
)

// node starts a script of testdata and returns its output, line by line.
func node(t *testing.T, script string, args ...string) *bufio.Reader {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", append([]string{"testdata/" + script}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Errorf("%s: %v", script, err)
		}
	})
	return bufio.NewReader(out)
}

// sight is what a script saw of the connection.
type sight struct {
	Kinds                             []string
	Subprotocol, Pong, Origin, Reason string
	Code                              int
}

func (s sight) equal(want sight) bool {
	return slices.Equal(s.Kinds, want.Kinds) && s.Subprotocol == want.Subprotocol && s.Pong == want.Pong &&
		s.Origin == want.Origin && s.Reason == want.Reason && s.Code == want.Code
}

// npmCase is a conversation with the package ws of npm: what we do, and what both sides see of the end.
type npmCase struct {
	name string
	run  func(t *testing.T, c *Conn)
	end  func(t *testing.T, err error)
	want sight
}

func closed(code int, reason string) func(*testing.T, error) {
	return func(t *testing.T, err error) {
		t.Helper()
		wantCloseError(t, err, code, reason)
	}
}

var npmCases = []npmCase{
	{"messages", func(t *testing.T, c *Conn) {
		for _, n := range []int{0, 1, 125, 126, 0xffff, 0x10000, DefaultMaxMessage} {
			data := strings.Repeat("µ", n/2) + strings.Repeat("x", n%2)
			for _, k := range []Kind{Text, Binary} {
				go c.Write(k, []byte(data))
				wantMessage(t, c, k, data)
			}
		}
		if err := c.Close(CloseNormal, ""); err != nil {
			t.Error(err)
		}
	}, closed(1000, ""), sight{Kinds: slices.Repeat([]string{"text", "binary"}, 7), Code: 1000}},
	{"fragments", func(t *testing.T, c *Conn) {
		c.Write(Text, []byte("fragments"))
		wantMessage(t, c, Text, "one message")
		c.Close(4999, strings.Repeat("µ", 100))
	}, closed(4999, strings.Repeat("µ", 61)), sight{Kinds: []string{"text"}, Pong: "between", Code: 4999, Reason: strings.Repeat("µ", 61)}},
	{"peer closes", func(t *testing.T, c *Conn) {
		c.Write(Text, []byte("close"))
	}, closed(4001, "wie gewünscht"), sight{Kinds: []string{"text"}, Code: 4001}},
	{"peer breaks the protocol", func(t *testing.T, c *Conn) {
		c.Write(Text, []byte("break"))
	}, func(t *testing.T, err error) {
		wantProtocolError(t, err, 1002)
	}, sight{Kinds: []string{"text"}, Code: 1002, Reason: "RSV bits are set and no extension was agreed on"}},
	{"peer dies", func(t *testing.T, c *Conn) {
		c.Write(Text, []byte("die"))
	}, func(t *testing.T, err error) {
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("error %v, want io.ErrUnexpectedEOF", err)
		}
	}, sight{Kinds: []string{"text"}, Code: 1006}},
	{"we die", func(t *testing.T, c *Conn) {
		c.Write(Text, []byte("x"))
		wantMessage(t, c, Text, "x")
		c.Abort()
	}, func(t *testing.T, err error) {
		if err != ErrClosed {
			t.Errorf("error %v, want ErrClosed", err)
		}
	}, sight{Kinds: []string{"text"}, Code: 1006}},
}

// converse runs a case and compares what the script printed.
func (n npmCase) converse(t *testing.T, c *Conn) {
	n.run(t, c)
	n.end(t, readToEnd(c, nil))
}

func (n npmCase) compare(t *testing.T, out *bufio.Reader) {
	line, err := out.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var got sight
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if !got.equal(n.want) {
		t.Errorf("npm ws saw %+v, want %+v", got, n.want)
	}
}

// The client of npm's ws talks to our server.
func TestNpmClient(t *testing.T) {
	need.Originals(t)
	for _, n := range npmCases {
		t.Run(n.name, func(t *testing.T) {
			served := make(chan struct{})
			addr := listen(t, &Server{
				Accept: func(r *http.Request) (string, error) { return Offered(r)[0], nil },
				Serve: func(c *Conn, r *http.Request) {
					defer close(served)
					n.converse(t, c)
				},
			})
			out := node(t, "client.mjs", "ws://"+addr)
			<-served
			n.want.Subprotocol = "b"
			n.compare(t, out)
		})
	}
}

// Our client talks to the server of npm's ws.
func TestNpmServer(t *testing.T) {
	need.Originals(t)
	for _, n := range npmCases {
		t.Run(n.name, func(t *testing.T) {
			out := node(t, "server.mjs")
			port, err := out.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			addr := "127.0.0.1:" + strings.TrimSpace(port)
			c, err := Dial(t.Context(), "ws://"+addr, DialConfig{Subprotocols: []string{"a", "b"}})
			if err != nil {
				t.Fatal(err)
			}
			if c.Subprotocol() != "b" {
				t.Errorf("subprotocol %q, want b", c.Subprotocol())
			}
			n.converse(t, c)
			n.want.Origin = "http://" + addr
			n.compare(t, out)
		})
	}
}

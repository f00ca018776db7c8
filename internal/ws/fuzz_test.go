package ws

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzRead feeds any bytes to the frame reader, as a server and as a client. It must not panic, return a message
// beyond the limit or text that is not UTF-8, or write anything but pongs and one close frame at the end.
func FuzzRead(f *testing.F) {
	const limit = 1000
	for _, masked := range []bool{true, false} {
		seed := &peer{masks: masked}
		for _, v := range violations {
			if b := v.send(seed); len(b) < 4000 {
				f.Add(b, masked)
			}
		}
		f.Add(frames(seed, 0x01, "a", 0x89, "ping", 0x80, "b", 0x82, strings.Repeat("x", 300), 0x8a, "", 0x88, "\x03\xe8bye"), masked)
		f.Add(frames(seed, 0x82, strings.Repeat("x", limit+1)), masked)
		f.Add(frames(seed, 0x02, strings.Repeat("x", limit), 0x80, "x"), masked)
	}
	f.Fuzz(func(t *testing.T, data []byte, masked bool) {
		r := asClient
		if masked {
			r = asServer
		}
		ours, theirs := net.Pipe()
		script := &scripted{Conn: ours}
		c, _ := join(t, r, Config{MaxMessage: limit}, script, theirs)
		script.begin(data)
		err := readToEnd(c, func(k Kind, data string) {
			if len(data) > limit {
				t.Errorf("message of %d bytes", len(data))
			}
			if k != Binary && (k != Text || !utf8.ValidString(data)) {
				t.Errorf("kind %d %q", k, data)
			}
		})
		if err == nil {
			t.Error("no error at the end")
		}
		for out := &script.out; ; {
			b0, payload, err := rawRead(out, !masked)
			if err == io.EOF {
				break
			}
			if err != nil || len(payload) > 125 || b0 != 0x8a && b0 != 0x88 {
				t.Fatalf("we wrote frame %#x %q, error %v", b0, payload, err)
			}
			if b0 == 0x88 && out.Len() > 0 {
				t.Fatalf("we wrote %q after the close frame", out)
			}
		}
		if !script.closed {
			t.Error("the connection is not closed")
		}
	})
}

// scripted is a connection that, once it has begun, reads from a script and remembers what is written.
type scripted struct {
	net.Conn
	in     *bytes.Reader
	out    bytes.Buffer
	closed bool
}

func (s *scripted) begin(data []byte) {
	s.Conn.Close()
	s.in = bytes.NewReader(data)
}

func (s *scripted) Read(p []byte) (int, error) {
	if s.in == nil {
		return s.Conn.Read(p)
	}
	return s.in.Read(p)
}

func (s *scripted) Write(p []byte) (int, error) {
	if s.in == nil {
		return s.Conn.Write(p)
	}
	return s.out.Write(p)
}

func (s *scripted) Close() error { s.closed = true; return nil }

// FuzzAnswer feeds any answer to the opening handshake of a client. It must not panic, and not take one without the
// right key.
func FuzzAnswer(f *testing.F) {
	f.Add("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n\r\n\x81\x01x")
	f.Add("HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nno\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := &clientStream{Conn: &scripted{in: bytes.NewReader([]byte(text))}}
		head, err := io.ReadAll(s)
		if err != nil {
			return
		}
		if _, rest, ok := bytes.Cut(head, []byte("\r\n\r\n")); !ok || !strings.HasSuffix(text, string(rest)) {
			t.Errorf("%q became %q", text, head)
		}
	})
}

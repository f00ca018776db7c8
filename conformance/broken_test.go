package conformance

import (
	"bufio"
	"net"
	"net/url"
	"slices"
	"testing"
	"time"
)

// A mutation changes what a server sends; nil means that nothing is sent.
type mutation func(*frame) *frame

// TestBrokenServers runs cases against servers that are wrong in one respect
// each, to see that the cases notice; and against the same server unchanged.
func TestBrokenServers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change mutation
		fail   []string // cases that must fail
	}{
		{"none", func(f *frame) *frame { return f }, nil},
		{"always connected", onMessage(func(s *signaling) {
			if s.connected != nil {
				*s.connected = true
			}
		}), []string{"SIG-15/pipelined", "SIG/next-member", "SIG/random-1"}},
		{"data lost", onMessage(func(s *signaling) {
			if s.content != nil {
				s.content.data = nil
			}
		}), []string{"SIG-29/exact-bytes", "SIG-42/large-message", "SIG/content-forms"}},
		{"notice with data", onMessage(func(s *signaling) {
			if s.content != nil && s.content.data == nil {
				s.content.data = []byte{}
			}
		}), []string{"SIG-29/exact-bytes", "SIG/joiner-leaves", "SIG/member-leaves"}},
		{"signaling id too great", onMessage(func(s *signaling) {
			if s.content != nil && s.content.sender != 0 {
				s.content.sender |= 1 << 31
			}
		}), []string{"SIG-26/signaling-ids", "SIG/join-through-member"}},
		{"wrong close code", func(f *frame) *frame {
			if f.op == opClose {
				f.payload = []byte{0x03, 0xe8}
			}
			return f
		}, []string{"SIG-2/lengths", "SIG-7/text", "SIG/evict-lone-member", "SIG-48/unmasked"}},
		{"no close frame", func(f *frame) *frame {
			if f.op == opClose {
				return nil
			}
			return f
		}, []string{"SIG-38/close-is-answered", "SIG-7/undecodable"}},
		{"text instead of binary", func(f *frame) *frame {
			if f.op == opBinary {
				f.op = opText
			}
			return f
		}, []string{"SIG-1/lone-percent", "SIG/first-member"}},
		{"masked", func(f *frame) *frame { f.masked = true; return f }, []string{"SIG/first-member"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			target := Target{Signaling: startMutant(t, test.change)}
			seen := 0
			for _, c := range allSignaling(t) {
				if test.fail != nil && !slices.Contains(test.fail, c.ID) || c.ID == "SIG/silent-peer" || slices.Contains(sigClose[:2], c) {
					continue
				}
				seen++
				r := c.Run(target)
				if r.Failed() != (test.fail != nil) {
					t.Errorf("%v", r)
				}
			}
			if seen == 0 || test.fail != nil && seen != len(test.fail) {
				t.Errorf("%d cases were run, of %v", seen, test.fail)
			}
		})
	}
}

// onMessage is a mutation of decoded messages.
func onMessage(change func(*signaling)) mutation {
	return func(f *frame) *frame {
		if f.op != opBinary {
			return f
		}
		s, err := parseSignaling(f.payload)
		if err != nil {
			return f
		}
		change(&s)
		switch {
		case s.content != nil:
			b := appendVarint(nil, 1, uint64(s.content.sender))
			b = appendVarint(b, 2, uint64(s.content.recipient))
			if s.content.data != nil {
				b = appendBytes(b, 4, s.content.data)
			}
			f.payload = appendBytes(nil, 2, b)
		case s.connected != nil:
			v := uint64(0)
			if *s.connected {
				v = 1
			}
			f.payload = appendVarint(nil, 4, v)
		}
		return f
	}
}

// startMutant runs our server behind a proxy that changes what it sends.
func startMutant(t *testing.T, change mutation) string {
	t.Helper()
	u, err := url.Parse(startSigver(t))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go proxy(c, u.Host, change)
		}
	}()
	return "ws://" + l.Addr().String()
}

// proxy carries one connection: to the server as it is, from it frame by frame.
func proxy(client net.Conn, host string, change mutation) {
	defer client.Close()
	server, err := net.Dial("tcp", host)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer server.Close()
		bufio.NewReader(client).WriteTo(server)
	}()
	from := &peer{conn: server, r: bufio.NewReader(server)}
	for line := ""; line != "\r\n"; { // the answer's header
		if line, err = from.r.ReadString('\n'); err != nil {
			return
		}
		client.Write([]byte(line))
	}
	for {
		f, err := from.readFrame(time.Now().Add(time.Minute))
		if err != nil {
			return
		}
		if f = change(f); f != nil {
			writeServerFrame(client, f)
		}
	}
}

func writeServerFrame(c net.Conn, f *frame) {
	b := f.header()
	if f.masked {
		b = append(b, 0, 0, 0, 0)
	}
	c.Write(append(b, f.payload...))
}

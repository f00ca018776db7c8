package ws

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

// violation is one way to break RFC 6455.
type violation struct {
	name string
	send func(p *peer) []byte
	code int
	only role // "" for both
}

// length64 is a frame header that announces n bytes in 64 bits.
func length64(p *peer, b0 byte, n uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{b0, 127}, n)
	if p.masks {
		b[1] |= 0x80
		b = append(b, 0, 0, 0, 0)
	}
	return b
}

func frames(p *peer, parts ...any) []byte {
	var b []byte
	for i := 0; i < len(parts); i += 2 {
		b = append(b, p.frame(byte(parts[i].(int)), parts[i+1].(string))...)
	}
	return b
}

var violations = []violation{
	{"RSV1", func(p *peer) []byte { return p.frame(0xc2, "x") }, 1002, ""},
	{"RSV2", func(p *peer) []byte { return p.frame(0xa2, "x") }, 1002, ""},
	{"RSV3", func(p *peer) []byte { return p.frame(0x92, "x") }, 1002, ""},
	{"RSV1 on a ping", func(p *peer) []byte { return p.frame(0xc9, "x") }, 1002, ""},
	{"opcode 3", func(p *peer) []byte { return p.frame(0x83, "x") }, 1002, ""},
	{"opcode 7", func(p *peer) []byte { return p.frame(0x87, "x") }, 1002, ""},
	{"opcode 11", func(p *peer) []byte { return p.frame(0x8b, "x") }, 1002, ""},
	{"opcode 15", func(p *peer) []byte { return p.frame(0x8f, "x") }, 1002, ""},
	{"wrong masking", func(p *peer) []byte { return rawFrame(!p.masks, 0x82, "x") }, 1002, ""},
	{"wrong masking of a ping", func(p *peer) []byte { return rawFrame(!p.masks, 0x89, "x") }, 1002, ""},
	{"wrong masking of a close frame", func(p *peer) []byte { return rawFrame(!p.masks, 0x88, "\x03\xe8") }, 1002, ""},
	{"orphan continuation", func(p *peer) []byte { return p.frame(0x80, "x") }, 1002, ""},
	{"orphan continuation that goes on", func(p *peer) []byte { return p.frame(0x00, "x") }, 1002, ""},
	{"continuation after the end", func(p *peer) []byte { return frames(p, 0x01, "a", 0x80, "b", 0x80, "c") }, 1002, ""},
	{"text inside a fragmented message", func(p *peer) []byte { return frames(p, 0x01, "a", 0x81, "b") }, 1002, ""},
	{"binary fragment inside a fragmented message", func(p *peer) []byte { return frames(p, 0x01, "a", 0x02, "b") }, 1002, ""},
	{"fragmented ping", func(p *peer) []byte { return p.frame(0x09, "x") }, 1002, ""},
	{"fragmented close frame", func(p *peer) []byte { return p.frame(0x08, "\x03\xe8") }, 1002, ""},
	{"ping of 126 bytes", func(p *peer) []byte { return p.frame(0x89, strings.Repeat("x", 126)) }, 1002, ""},
	{"pong of 126 bytes", func(p *peer) []byte { return p.frame(0x8a, strings.Repeat("x", 126)) }, 1002, ""},
	{"close frame of 126 bytes", func(p *peer) []byte { return p.closing(1000, strings.Repeat("x", 124)) }, 1002, ""},
	{"ping of a tebibyte", func(p *peer) []byte { return length64(p, 0x89, 1<<40) }, 1002, ""},
	{"16-bit length of 1", func(p *peer) []byte {
		if p.masks {
			return []byte{0x82, 0xfe, 0, 1, 0, 0, 0, 0, 'x'}
		}
		return []byte{0x82, 126, 0, 1, 'x'}
	}, 1002, ""},
	{"64-bit length of 1", func(p *peer) []byte { return append(length64(p, 0x82, 1), 'x') }, 1002, ""},
	{"64-bit length with its top bit", func(p *peer) []byte {
		return append(length64(p, 0x82, 1<<63|70_000), strings.Repeat("x", 70_000)...)
	}, 1002, asServer}, // a client cannot see it
	{"length with nothing but its top bit", func(p *peer) []byte { return length64(p, 0x82, 1<<63) }, 1002, ""},
	{"length of 2^63-1", func(p *peer) []byte { return length64(p, 0x82, 1<<63-1) }, 1009, ""},
	{"length of 4 GiB and 1 byte", func(p *peer) []byte { return length64(p, 0x82, 1<<32+1) }, 1009, ""},
	{"length beyond the limit", func(p *peer) []byte { return length64(p, 0x82, DefaultMaxMessage+1) }, 1009, ""},
	{"close frame with half a code", func(p *peer) []byte { return p.frame(0x88, "\x03") }, 1002, ""},
	{"close code 0", func(p *peer) []byte { return p.closing(0, "") }, 1002, ""},
	{"close code 999", func(p *peer) []byte { return p.closing(999, "") }, 1002, ""},
	{"close code 1004", func(p *peer) []byte { return p.closing(1004, "") }, 1002, ""},
	{"close code 1005", func(p *peer) []byte { return p.closing(1005, "") }, 1002, ""},
	{"close code 1006", func(p *peer) []byte { return p.closing(1006, "") }, 1002, ""},
	{"close code 1015", func(p *peer) []byte { return p.closing(1015, "") }, 1002, ""},
	{"close code 2999", func(p *peer) []byte { return p.closing(2999, "") }, 1002, ""},
	{"close code 5000", func(p *peer) []byte { return p.closing(5000, "") }, 1002, ""},
	{"close reason that is not UTF-8", func(p *peer) []byte { return p.closing(1000, "a\xff") }, 1007, ""},
	{"text that is not UTF-8", func(p *peer) []byte { return p.frame(0x81, "a\xffb") }, 1007, ""},
	{"text with a surrogate", func(p *peer) []byte { return p.frame(0x81, "\xed\xa0\x80") }, 1007, ""},
	{"text that ends inside a character", func(p *peer) []byte { return frames(p, 0x01, "\xe2\x82", 0x80, "") }, 1007, ""},
}

// Each violation is answered with its close code and ends the connection.
func TestViolations(t *testing.T) {
	for _, v := range violations {
		t.Run(v.name, func(t *testing.T) {
			eachRole(t, func(t *testing.T, r role) {
				if v.only != "" && v.only != r {
					t.Skip("cannot be seen in this role")
				}
				c, p := tcpPair(t, r, Config{})
				ended := make(chan error)
				go func() { ended <- readToEnd(c, nil) }()
				p.send(p.frame(0x81, "before"), v.send(p))
				p.wantClose(v.code)
				p.wantEOF()
				err := <-ended
				wantProtocolError(t, err, v.code)
				if errors.Is(err, ErrTooBig) != (v.code == 1009) {
					t.Errorf("errors.Is(%v, ErrTooBig) = %v", err, v.code != 1009)
				}
				if err := c.Write(Text, nil); !errors.Is(err, ErrClosed) {
					t.Errorf("Write: %v, want ErrClosed", err)
				}
				if _, _, again := c.Read(); again != err {
					t.Errorf("Read again: %v, want %v", again, err)
				}
			})
		})
	}
}

// What a client cannot see is still bounded.
func TestClientTopBit(t *testing.T) {
	c, p := tcpPair(t, asClient, Config{MaxMessage: 80_000})
	go p.Write(append(length64(p, 0x82, 1<<63|70_000), strings.Repeat("x", 70_000)...))
	wantMessage(t, c, Binary, strings.Repeat("x", 70_000))
	p.send(length64(p, 0x82, 1<<63|90_000))
	ended := make(chan error)
	go func() { ended <- readToEnd(c, nil) }()
	p.wantClose(1009)
	p.wantEOF()
	wantProtocolError(t, <-ended, 1009)
}

func TestParseHeader(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 128, 0xffff, 0x10000, 1 << 20} {
		for _, masked := range []bool{false, true} {
			b := rawFrame(masked, 0x82, strings.Repeat("x", n))
			got := parseHeader(b[:min(len(b), maxHeader)])
			want := header{fin: true, masked: masked, op: 2, length: uint64(n), minimal: true}
			if got != want {
				t.Errorf("%d bytes: %+v, want %+v", n, got, want)
			}
		}
	}
}

// An unmasker gives the same whatever pieces it is read in.
func TestUnmasker(t *testing.T) {
	key := [4]byte{0x12, 0x34, 0x56, 0xf8}
	plain := make([]byte, 100)
	masked := make([]byte, len(plain))
	for i := range plain {
		plain[i] = byte(7 * i)
		masked[i] = plain[i] ^ key[i%4]
	}
	for size := 1; size <= len(plain); size++ {
		u := &unmasker{r: bufio.NewReaderSize(bytes.NewReader(masked), 16), key: key}
		var got []byte
		for piece := make([]byte, size); ; {
			n, err := u.Read(piece)
			got = append(got, piece[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, plain) {
			t.Fatalf("in pieces of %d bytes: %x, want %x", size, got, plain)
		}
	}
}

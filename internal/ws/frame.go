package ws

import (
	"bufio"
	"encoding/binary"
	"io"
)

// Opcodes of RFC 6455 section 5.2; those of text and binary frames are [Kind]s.
const (
	opContinuation = 0
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

const (
	maxHeader  = 2 + 8 + 4 // bytes of the longest frame header
	maxControl = 125       // bytes of the largest payload of a control frame
)

// A header is the header of one frame.
type header struct {
	fin, masked bool
	rsv, op     byte
	length      uint64 // of the payload
	minimal     bool   // the length has the shortest encoding
}

// parseHeader reads a header from its bytes, which are complete.
func parseHeader(b []byte) header {
	h := header{
		fin:     b[0]&0x80 != 0,
		rsv:     b[0] & 0x70,
		op:      b[0] & 0x0f,
		masked:  b[1]&0x80 != 0,
		length:  uint64(b[1] & 0x7f),
		minimal: true,
	}
	switch h.length {
	case 126:
		h.length = uint64(binary.BigEndian.Uint16(b[2:]))
		h.minimal = h.length > 125
	case 127:
		h.length = binary.BigEndian.Uint64(b[2:])
		h.minimal = h.length > 0xffff
	}
	return h
}

func (h header) control() bool { return h.op >= opClose }

// check returns how the header breaks RFC 6455, nil if it does not. inMessage says whether a fragmented message has
// begun and not ended.
func (h header) check(fromClient, inMessage bool) *ProtocolError {
	switch {
	case h.rsv != 0:
		return broken("RSV bits are set and no extension was agreed on")
	case h.op > opPong, h.op > byte(Binary) && h.op < opClose:
		return broken("reserved opcode")
	case fromClient && !h.masked:
		return broken("frame of a client is not masked")
	case !fromClient && h.masked:
		return broken("frame of a server is masked")
	case !h.minimal:
		return broken("length is not in its shortest encoding")
	case h.control() && !h.fin:
		return broken("control frame is fragmented")
	case h.control() && h.length > maxControl:
		return broken("control frame is longer than 125 bytes")
	case h.op == opContinuation && !inMessage:
		return broken("continuation of no message")
	case h.op != opContinuation && !h.control() && inMessage:
		return broken("new message inside a fragmented one")
	}
	return nil
}

func broken(reason string) *ProtocolError {
	return &ProtocolError{Code: CloseProtocolError, Reason: reason}
}

// frame waits for the next frame and returns its header and a reader of its payload. The reader may end early: its
// user compares lengths. An error that is a *ProtocolError has not been answered yet.
func (c *Conn) frame() (header, io.Reader, error) {
	if !c.ready() {
		c.mayWait()
	}
	if err := c.peekLength(); err != nil {
		return header{}, nil, err
	}
	fr, err := c.ws.NewFrameReader()
	if err != nil {
		return header{}, nil, err
	}
	n, err := fr.HeaderReader().Read(c.head[:])
	if err != nil {
		return header{}, nil, err
	}
	h := parseHeader(c.head[:n])
	if c.br != nil && h.masked {
		c.mask = unmasker{r: c.br, key: [4]byte(c.head[n-4 : n])}
		return h, &c.mask, nil
	}
	return h, fr, nil
}

// An unmasker reads the payload of a frame of a client, and does not know its end. The library's own reader goes byte by
// byte, which costs more than all else that is done for a message of some kilobytes.
type unmasker struct {
	r   *bufio.Reader
	key [4]byte // for the next four bytes
}

func (u *unmasker) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	mask(p[:n], u.key)
	key := u.key
	for i := range u.key {
		u.key[i] = key[(i+n)%4]
	}
	return n, err
}

// mask masks, or unmasks, what begins where the key begins (RFC 6455 section 5.3).
func mask(p []byte, key [4]byte) {
	once := uint64(binary.LittleEndian.Uint32(key[:]))
	word := once | once<<32
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^word)
	}
	for i := range p {
		p[i] ^= key[i%4]
	}
}

// peekLength refuses a 64-bit length whose top bit is set. The library clears that bit, even in the header it shows;
// on a client its buffer is out of reach.
func (c *Conn) peekLength() error {
	if c.br == nil {
		return nil
	}
	b, err := c.br.Peek(2)
	if err != nil {
		return err
	}
	if b[1]&0x7f != 127 {
		return nil
	}
	if b, err = c.br.Peek(3); err != nil {
		return err
	}
	if b[2]&0x80 != 0 {
		return broken("top bit of a 64-bit length is set")
	}
	return nil
}

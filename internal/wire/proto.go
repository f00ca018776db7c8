package wire

import (
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf8"
)

// The wire types of Protocol Buffers. A key is a field number with a wire type,
// number<<3 | type, as it stands in a tag: decoders switch on the whole key, so
// that a known number with another wire type falls among the unknown (WIR-6).
const (
	typeVarint     = 0
	typeFixed64    = 1
	typeBytes      = 2
	typeStartGroup = 3
	typeEndGroup   = 4
	typeFixed32    = 5
)

const (
	maxFieldNumber = 1<<29 - 1
	maxGroupDepth  = 100 // WIR-5
)

// A decoder is a cursor over the fields of one encoded message. Its first error
// sticks: from then on reads return zero values and next returns false, so that
// a message needs to look at the error only once, at its end.
//
// The loop over the fields of a message is
//
//	for d.next() {
//		switch d.key {
//		case 1<<3 | typeVarint:
//			m.ID = d.uint32()
//		default:
//			d.skip()
//		}
//	}
//
// in which each case must consume the field's value.
type decoder struct {
	buf []byte
	pos int    // buf[:pos] has been read
	end int    // end of the innermost embedded message that is being read
	key uint64 // of the field that next has found

	err     error // a sentinel, or nil
	errWhat string
	errPos  int
}

func newDecoder(b []byte) decoder {
	d := decoder{buf: b, end: len(b)}
	if len(b) > MaxSize { // WIR-12
		d.fail("message of "+strconv.Itoa(len(b))+" bytes", 0, ErrOversized)
	}
	return d
}

// finish returns what Decode returns: nil, or the error as a *DecodeError.
func (d *decoder) finish(message string) error {
	if d.err == nil {
		return nil
	}
	return &DecodeError{Message: message, What: d.errWhat, Offset: d.errPos, Err: d.err}
}

func (d *decoder) fail(what string, pos int, err error) {
	if d.err == nil {
		d.err, d.errWhat, d.errPos = err, what, pos
	}
	d.pos = d.end
}

// failField is fail for a part of the current field.
func (d *decoder) failField(part string, pos int, err error) {
	d.fail(part+" of field "+strconv.FormatUint(d.key>>3, 10), pos, err)
}

// next reads a tag into d.key. It returns false at the end of the message and
// after an error.
func (d *decoder) next() bool {
	if d.err != nil || d.pos >= d.end {
		return false
	}
	start := d.pos
	key, err := d.rawVarint()
	switch {
	case err != nil:
		d.fail("tag", start, err)
		return false
	case key>>3 == 0 || key>>3 > maxFieldNumber: // WIR-10
		d.fail("tag with field number "+strconv.FormatUint(key>>3, 10), start, ErrMalformed)
		return false
	}
	d.key = key
	return true
}

// rawVarint reads a varint of at most 10 bytes and 64 bits, minimal or not (WIR-8).
func (d *decoder) rawVarint() (uint64, error) {
	var v uint64
	for shift := 0; ; shift += 7 {
		if d.pos >= d.end {
			return 0, ErrTruncated // WIR-9
		}
		c := d.buf[d.pos]
		d.pos++
		// The tenth byte holds bit 63 alone; anything more, a continuation
		// bit included, is the 65th bit or the 11th byte.
		if shift == 63 && c > 1 {
			return 0, ErrOverlong
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, nil
		}
	}
}

func (d *decoder) varint(part string) uint64 {
	start := d.pos
	v, err := d.rawVarint()
	if err != nil {
		d.failField(part, start, err)
		return 0
	}
	return v
}

// uint32 reads a varint and keeps its low 32 bits (WIR-8).
func (d *decoder) uint32() uint32 { return uint32(d.varint("value")) }

// bool reads a varint; any bit of the 64 makes it true (WIR-8).
func (d *decoder) bool() bool { return d.varint("value") != 0 }

// bytes reads a length-delimited value. The result is never nil unless the
// read fails, aliases the input, and has no spare capacity, so that appending
// to it cannot overwrite what follows.
func (d *decoder) bytes() []byte {
	start := d.pos
	n := d.varint("length")
	if d.err != nil {
		return nil
	}
	if n > uint64(d.end-d.pos) { // WIR-9; before any use of n (WIR-13)
		d.failField("length", start, ErrTruncated)
		return nil
	}
	d.pos += int(n)
	return d.buf[d.pos-int(n) : d.pos : d.pos]
}

func (d *decoder) string() string {
	start := d.pos
	b := d.bytes()
	if !utf8.Valid(b) { // WIR-11
		d.failField("text", start, ErrUTF8)
		return ""
	}
	return string(b)
}

// enter narrows the decoder to the embedded message that begins here, for the
// field loop of that message; leave, with the result of enter, widens it again.
func (d *decoder) enter() (outer int) {
	outer = d.end
	b := d.bytes()
	d.end = d.pos
	d.pos -= len(b)
	return outer
}

func (d *decoder) leave(outer int) { d.end = outer }

// packed reads a packed list of uint32 and appends its numbers to list (WIR-4).
func (d *decoder) packed(list []uint32) []uint32 {
	outer := d.enter()
	defer d.leave(outer)
	// The bytes that end a varint count the numbers, so the list grows once
	// and by no more than what is really there (WIR-13).
	n := 0
	for _, c := range d.buf[d.pos:d.end] {
		if c < 0x80 {
			n++
		}
	}
	if n > 0 {
		list = slices.Grow(list, n)
	}
	for d.err == nil && d.pos < d.end {
		list = append(list, uint32(d.varint("number")))
	}
	return list
}

// skip passes over the value of a field that the message does not know (WIR-5).
func (d *decoder) skip() { d.skipNested(0) }

func (d *decoder) skipNested(depth int) {
	start := d.pos
	switch d.key & 7 {
	case typeVarint:
		d.varint("value")
	case typeFixed64:
		d.skipFixed(8)
	case typeBytes:
		d.bytes()
	case typeStartGroup:
		d.skipGroup(depth + 1)
	case typeFixed32:
		d.skipFixed(4)
	case typeEndGroup: // WIR-10: skipGroup takes those that have a start
		d.failField("unexpected end-group", start, ErrMalformed)
	default: // WIR-10
		d.failField("wire type "+strconv.FormatUint(d.key&7, 10), start, ErrMalformed)
	}
}

func (d *decoder) skipFixed(n int) {
	if d.end-d.pos < n { // WIR-9
		d.failField("fixed value", d.pos, ErrTruncated)
		return
	}
	d.pos += n
}

// skipGroup passes over the fields of a group up to the matching end-group.
func (d *decoder) skipGroup(depth int) {
	start, number := d.pos, d.key>>3
	if depth > maxGroupDepth { // WIR-5
		d.failField("nested start-group", start, ErrMalformed)
		return
	}
	for d.next() {
		if d.key == number<<3|typeEndGroup {
			return
		}
		d.skipNested(depth)
	}
	d.fail("group of field "+strconv.FormatUint(number, 10), start, ErrTruncated)
}

// The encoders below append one field each. Whether a field is written at all
// is for the message to decide (WIR-14).

func appendVarint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendUint32(b []byte, field int, v uint32) []byte { return appendUint64(b, field, uint64(v)) }

func appendUint64(b []byte, field int, v uint64) []byte {
	b = appendVarint(b, uint64(field)<<3|typeVarint)
	return appendVarint(b, v)
}

func appendBool(b []byte, field int, v bool) []byte {
	if v {
		return appendUint32(b, field, 1)
	}
	return appendUint32(b, field, 0)
}

func appendBytes[T ~[]byte | ~string](b []byte, field int, v T) []byte {
	b = appendVarint(b, uint64(field)<<3|typeBytes)
	b = appendVarint(b, uint64(len(v)))
	return append(b, v...)
}

// appendPacked appends a list in the packed form (WIR-4). An empty list has no
// encoding.
func appendPacked(b []byte, field int, list []uint32) []byte {
	if len(list) == 0 {
		return b
	}
	b, body := openMessage(b, field, len(list)*5)
	for _, v := range list {
		b = appendVarint(b, uint64(v))
	}
	return closeMessage(b, body)
}

// A body is an embedded message that is being appended: where it starts, and
// how many bytes before that are kept for its length.
type body struct{ start, width int }

// openMessage begins an embedded message; what is appended until closeMessage
// is its content. The size is a guess of its length: a good one saves moving
// the content when the length gets its real width.
func openMessage(b []byte, field, size int) ([]byte, body) {
	b = appendVarint(b, uint64(field)<<3|typeBytes)
	width := varintLen(size)
	b = append(b, make([]byte, width)...) // compiled without a temporary slice
	return b, body{start: len(b), width: width}
}

// closeMessage writes the length of the embedded message in its minimal form.
func closeMessage(b []byte, m body) []byte {
	size := len(b) - m.start
	width := varintLen(size)
	if grow := width - m.width; grow > 0 {
		b = append(b, make([]byte, grow)...)
		copy(b[m.start+grow:], b[m.start:m.start+size])
	} else if grow < 0 {
		copy(b[m.start+grow:], b[m.start:])
		b = b[:len(b)+grow]
	}
	appendVarint(b[:m.start-m.width], uint64(size)) // in place: the bytes are there
	return b
}

func varintLen(v int) int { return max(1, (bits.Len64(uint64(v))+6)/7) }

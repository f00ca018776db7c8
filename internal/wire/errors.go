package wire

import (
	"errors"
	"strconv"
)

// The reasons for which a decoder refuses its input. Every error that a Decode
// method returns is a *DecodeError wrapping exactly one of them.
var (
	// ErrTruncated: the input ends inside a tag, a varint, a fixed or a
	// length-delimited field or a group, or a length reaches beyond it (WIR-9).
	ErrTruncated = errors.New("truncated input")
	// ErrOverlong: a varint of more than 10 bytes or more than 64 bits (WIR-8).
	ErrOverlong = errors.New("overlong varint")
	// ErrOversized: an encoded message longer than MaxSize (WIR-12).
	ErrOversized = errors.New("message too long")
	// ErrMalformed: a field number or wire type that does not exist, an
	// end-group without its start, groups nested too deep (WIR-5, WIR-10).
	ErrMalformed = errors.New("malformed field")
	// ErrUTF8: a string field that is not UTF-8 (WIR-11).
	ErrUTF8 = errors.New("string is not UTF-8")
)

// A DecodeError says why and where a message was refused.
type DecodeError struct {
	Message string // name of the top-level message in the schema, such as "signaling.Message"
	What    string // what was being read, such as "tag" or "length of field 4"
	Offset  int    // where that begins: bytes from the start of the encoded message
	Err     error  // one of the sentinels of this package
}

// Error names the message, what was being read, the offset and the reason.
func (e *DecodeError) Error() string {
	return "wire: " + e.Message + ": " + e.What + " at byte " + strconv.Itoa(e.Offset) + ": " + e.Err.Error()
}

// Unwrap returns the sentinel, for errors.Is.
func (e *DecodeError) Unwrap() error { return e.Err }

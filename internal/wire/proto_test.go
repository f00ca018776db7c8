package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime/metrics"
	"strings"
	"testing"
)

// allocated returns the bytes that f allocates on the heap. It runs f up to
// three times and takes the least, because others may allocate meanwhile.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	for range 3 {
		metrics.Read(sample)
		before := sample[0].Value.Uint64()
		f()
		metrics.Read(sample)
		if least = min(least, sample[0].Value.Uint64()-before); least == 0 {
			break
		}
	}
	return least
}

// allocationLimit is what Decode may allocate in all, discarded lists
// included: a constant for errors and the runtime's rounding, and per byte of
// input what a list costs that is appended to number by number.
func allocationLimit(input []byte) uint64 { return 64<<10 + 16*uint64(len(input)) }

// TestHostileNumbers: a length or count inside the input does not decide what
// is allocated (WIR-13).
func TestHostileNumbers(t *testing.T) {
	lists := map[string]struct {
		outer []byte // the tag of the message that the list is in, if any
		tag   byte   // of the list
	}{
		"signaling.Message":          {[]byte{3<<3 | typeBytes}, 2<<3 | typeBytes},
		"channel.Message":            {[]byte{1<<3 | typeBytes}, 4<<3 | typeBytes},
		"fullMesh.Message":           {[]byte{1<<3 | typeBytes}, 1<<3 | typeBytes},
		"fullMesh.ConnectionRequest": {nil, 2<<3 | typeBytes},
	}
	for name, list := range lists {
		for _, length := range []uint64{1 << 20, 1 << 30, 1<<32 - 1, 1 << 40, 1 << 62, math.MaxInt64, math.MaxUint64} {
			// A list of three numbers, said to be longer.
			b := append(binary.AppendUvarint([]byte{list.tag}, length), 1, 2, 3)
			if list.outer != nil {
				b = append(binary.AppendUvarint(bytes.Clone(list.outer), uint64(len(b))), b...)
			}
			var err error
			if got := allocated(func() { err = schemas[name].zero().Decode(b) }); got > 16<<10 {
				t.Errorf("%s: %d bytes with a length of %d allocated %d bytes", name, len(b), length, got)
			}
			if !errors.Is(err, ErrTruncated) {
				t.Errorf("%s: length of %d: %v, want %v", name, length, err, ErrTruncated)
			}
		}
	}
}

// TestLongLists: the worst of what a list can cost stays in proportion (WIR-13).
func TestLongLists(t *testing.T) {
	packed := binary.AppendUvarint([]byte{2<<3 | typeBytes}, MaxSize-4)
	shapes := map[string][]byte{
		"one packed list":       append(packed, make([]byte, MaxSize-len(packed))...),
		"one unfinished number": append(bytes.Clone(packed), bytes.Repeat([]byte{0x80}, MaxSize-len(packed))...),
		"numbers by themselves": bytes.Repeat([]byte{2 << 3, 1}, MaxSize/2),
		"packed lists of one":   bytes.Repeat([]byte{2<<3 | typeBytes, 1, 1}, MaxSize/3),
		"empty packed lists":    bytes.Repeat([]byte{2<<3 | typeBytes, 0}, MaxSize/2),
	}
	for name, b := range shapes {
		var r ConnectionRequest
		var err error
		if got := allocated(func() { err = r.Decode(b) }); got > allocationLimit(b) {
			t.Errorf("%s: %d bytes allocated %d bytes", name, len(b), got)
		}
		if wantErr := name == "one unfinished number"; (err != nil) != wantErr {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoAllocation: the messages that carry content are decoded and appended
// without the heap.
func TestNoAllocation(t *testing.T) {
	data := bytes.Repeat([]byte{7}, 15000)
	in := Signaling{Kind: SignalingContent, Content: Content{SenderID: 1 << 31, RecipientID: 5, Data: data}}
	envelope := Message{SenderID: 1 << 31, ServiceID: ServiceUserMessage, Content: data}
	chunk := UserMessage{Length: 40000, Kind: UserMessageChunk, Chunk: Chunk{ID: 1, Content: data}}
	mesh := FullMesh{Kind: FullMeshHeartbeat, Heartbeat: true}
	for name, m := range map[string]message{"Signaling": &in, "Message": &envelope, "UserMessage": &chunk, "FullMesh": &mesh} {
		b := m.Append(nil)
		out := make([]byte, 0, len(b)+16)
		allocs := testing.AllocsPerRun(100, func() {
			if err := m.Decode(b); err != nil {
				t.Fatal(err)
			}
			out = m.Append(out[:0])
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
		if !bytes.Equal(out, b) {
			t.Errorf("%s: encoded again to other bytes", name)
		}
	}
}

// TestEmbeddedLengths: the length before an embedded message is minimal (WIR-14)
// whatever was guessed of it, and what Append appends to stays as it was.
func TestEmbeddedLengths(t *testing.T) {
	sizes := []int{0, 1, 16384, 1 << 16}
	for around := range 32 {
		sizes = append(sizes, 1<<7-16+around, 1<<14-16+around)
	}
	for _, size := range sizes {
		for _, guess := range []int{0, size, 1 << 7, 1 << 14, 1 << 21} {
			content := bytes.Repeat([]byte{0xa5}, size)
			want := binary.AppendUvarint([]byte("before\x1a"), uint64(size))
			want = append(want, content...)
			b, body := openMessage([]byte("before"), 3, guess)
			b = append(b, content...)
			if b = closeMessage(b, body); !bytes.Equal(b, want) {
				t.Fatalf("%d bytes, guessed %d: %x..., want %x...", size, guess, b[:12], want[:12])
			}
		}
	}
}

// TestBytesAlias: bytes fields are the input itself, and appending to one
// leaves the rest of the input alone.
func TestBytesAlias(t *testing.T) {
	b := (&Message{SenderID: 1, Content: []byte("abc")}).Append(nil)
	b = append(b, 0x80, 0x01, 9) // an unknown field, 16, after the content
	before := bytes.Clone(b)
	var m Message
	if err := m.Decode(b); err != nil {
		t.Fatal(err)
	}
	_ = append(m.Content, 0xff)
	if !bytes.Equal(b, before) {
		t.Errorf("appending to Content changed the input to %x", b)
	}
	m.Content[0] = 'X'
	if !bytes.Contains(b, []byte("Xbc")) {
		t.Error("Content is a copy, want an alias")
	}
}

// TestDecodeErrorSaysWhere: message, thing read and offset from the start of
// the input, also inside an embedded message.
func TestDecodeErrorSaysWhere(t *testing.T) {
	tests := []struct {
		m    message
		in   string
		want string
	}{
		{new(Signaling), "\x08", "wire: signaling.Message: value of field 1 at byte 1: truncated input"},
		{new(Signaling), "\x1a\x04\x08\x05\x08\x80", "wire: signaling.Message: value of field 1 at byte 5: truncated input"},
		{new(Message), "\x08\x01\x80", "wire: Message: tag at byte 2: truncated input"},
		{new(Message), "\x22\x05ab", "wire: Message: length of field 4 at byte 1: truncated input"},
		{new(Message), "\x00", "wire: Message: tag with field number 0 at byte 0: malformed field"},
		{new(Message), "\x83\x01", "wire: Message: group of field 16 at byte 2: truncated input"},
		{new(UserMessage), "\x22\x01\x0e", "wire: userMessage.Message: wire type 6 of field 1 at byte 3: malformed field"},
		{new(DataChannelBuilder), "\x0a\x01\xff", "wire: dataChannelBuilder.Message: text of field 1 at byte 1: string is not UTF-8"},
		{new(FullMesh), "\x0a\x04\x0a\x02\x01\x80", "wire: fullMesh.Message: number of field 1 at byte 5: truncated input"},
		{new(Channel), strings.Repeat("\x80", MaxSize+1), "wire: channel.Message: message of 1048577 bytes at byte 0: message too long"},
	}
	for _, tt := range tests {
		if err := tt.m.Decode([]byte(tt.in)); err == nil || err.Error() != tt.want {
			t.Errorf("Decode(%.20q)\n%v, want\n%s", tt.in, err, tt.want)
		}
	}
}

// TestNoMemberEncodesToNothing: an empty message is legal where every field is
// a member of the oneof; for a data channel builder it ends the candidates.
func TestNoMemberEncodesToNothing(t *testing.T) {
	for _, m := range []message{new(Signaling), new(Channel), new(ChannelBuilder), new(DataChannelBuilder), new(FullMesh)} {
		if b := m.Append(nil); len(b) != 0 {
			t.Errorf("%T: %x, want nothing", m, b)
		}
		if err := m.Decode(nil); err != nil {
			t.Errorf("%T: Decode(nil): %v", m, err)
		}
	}
}

package netflux_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
)

// A tap keeps all that passes a signaling server: of each connection a stream to the server and one from it.
type tap struct {
	mu      sync.Mutex
	streams []*stream
}

type stream struct {
	toServer bool
	b        []byte
}

// conn begins with another connection. It returns what is to be called with the bytes that pass, to and from the server.
func (t *tap) conn() (to, from func([]byte)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	add := func(toServer bool) func([]byte) {
		s := &stream{toServer: toServer}
		t.streams = append(t.streams, s)
		return func(b []byte) {
			t.mu.Lock()
			defer t.mu.Unlock()
			s.b = append(s.b, b...)
		}
	}
	return add(true), add(false)
}

// messages returns the payloads of all that has passed as a message of WebSocket in one direction, one slice for each
// connection.
func (t *tap) messages(toServer bool) (all [][][]byte, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.streams {
		if s.toServer == toServer {
			messages, err := s.messages()
			if err != nil {
				return nil, err
			}
			all = append(all, messages)
		}
	}
	return all, nil
}

// size returns how many bytes the messages have in one direction.
func (t *tap) size(toServer bool) (n int, err error) {
	all, err := t.messages(toServer)
	for _, messages := range all {
		for _, m := range messages {
			n += len(m)
		}
	}
	return n, err
}

// messages returns the payloads of the messages in the frames of RFC 6455 that follow a request or its answer. Neither
// end splits messages.
func (s *stream) messages() (all [][]byte, err error) {
	_, b, _ := bytes.Cut(s.b, []byte("\r\n\r\n"))
	for len(b) >= 2 {
		op, masked, n := b[0], b[1]&0x80 != 0, int(b[1]&0x7f)
		head := 2
		switch {
		case n == 126 && len(b) >= 4:
			n, head = int(binary.BigEndian.Uint16(b[2:])), 4
		case n == 127 && len(b) >= 10:
			n, head = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		var mask [4]byte
		if masked && len(b) >= head+4 {
			copy(mask[:], b[head:])
			head += 4
		}
		if masked != s.toServer || op&0x70 != 0 || op&0x80 == 0 {
			return nil, fmt.Errorf("a frame that begins with % x", b[:2])
		}
		if len(b) < head+n {
			break // it has not passed yet
		}
		payload := bytes.Clone(b[head : head+n])
		for i := range payload {
			payload[i] ^= mask[i&3]
		}
		if op&8 == 0 {
			all = append(all, payload)
		}
		b = b[head+n:]
	}
	return all, nil
}

// A pattern is what is searched for: as many bytes as hardly come twice by chance.
type pattern [16]byte

// patterns calls f for all patterns in b.
func patterns(b []byte, f func(pattern)) {
	for i := 0; i+len(pattern{}) <= len(b); i++ {
		f(pattern(b[i:]))
	}
}

// patterns returns all patterns in what has passed: in the requests and their answers, in each message, and in what the
// messages of a connection are in a row.
func (t *tap) patterns() (map[pattern]struct{}, error) {
	found := make(map[pattern]struct{})
	add := func(p pattern) { found[p] = struct{}{} }
	for _, toServer := range []bool{true, false} {
		all, err := t.messages(toServer)
		if err != nil {
			return nil, err
		}
		for _, messages := range all {
			patterns(bytes.Join(messages, nil), add)
		}
	}
	for _, s := range t.streams {
		patterns(s.b, add)
	}
	return found, nil
}

package rtc

import (
	"errors"
	"testing"
)

// A peer that sends more than was announced, or text that is none, is dropped.
func TestProtocolErrors(t *testing.T) {
	for name, bad := range map[string]struct {
		limit int
		data  []byte
		text  bool
		want  error
	}{
		"too big":       {5000, pattern(5001, 1), false, ErrTooBig},
		"small too big": {100, pattern(101, 1), false, ErrTooBig},
		"no text":       {5000, []byte("\xff"), true, ErrInvalidText},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, Config{}, Config{MaxMessage: bad.limit})
			if _, err := a.raw.WriteDataChannel(bad.data, bad.text); err != nil {
				t.Fatal(err)
			}
			_, _, err := b.Read()
			var broken *ProtocolError
			if !errors.As(err, &broken) || !errors.Is(err, bad.want) {
				t.Errorf("Read: %v", err)
			}
			await(t, b.Done(), "end")
		})
	}
}

// A message that is larger than the buffer is not lost, nor are those after it.
func TestBufferGrows(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	sizes := []int{1, firstBuffer + 1, 2, 65536, 3}
	for _, n := range sizes {
		if err := a.Send(t.Context(), Binary, pattern(n, n)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range sizes {
		wantMessage(t, b, Binary, pattern(n, n))
	}
}

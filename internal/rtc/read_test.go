package rtc

import (
	"errors"
	"testing"
)

// A peer that sends more than was announced, or text that is none, is dropped.
func TestProtocolErrors(t *testing.T) {
	for name, bad := range map[string]struct {
		data []byte
		text bool
		want error
	}{
		"too big": {pattern(5001, 1), false, ErrTooBig},
		"no text": {[]byte("\xff"), true, ErrInvalidText},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, Config{}, Config{MaxMessage: 5000})
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

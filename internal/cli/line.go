package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// ReadLine reads a line, and returns it without its end, or io.EOF. Of one that is longer than limit it reads and drops
// all, and says so.
func ReadLine(in *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for size := 0; ; {
		part, err := in.ReadSlice('\n')
		text := bytes.TrimSuffix(part, []byte("\n"))
		if size += len(text); size <= limit {
			line = append(line, text...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err != nil && size == 0:
			return nil, io.EOF
		case size > limit:
			return nil, fmt.Errorf("a line is longer than %d bytes", limit)
		}
		return line, nil
	}
}

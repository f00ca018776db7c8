package cli

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"time"
)

func TestReadLine(t *testing.T) {
	const limit = 10
	long := strings.Repeat("x", limit)
	input := "a\n\n" + long + "\n" + long + "y\n" + strings.Repeat(long, 2000) + "\nend"
	var got []string
	in := bufio.NewReader(strings.NewReader(input))
	for {
		line, err := ReadLine(in, limit)
		if err == io.EOF {
			break
		}
		if err != nil {
			line = []byte("error")
		}
		got = append(got, string(line))
	}
	want := []string{"a", "", long, "error", "error", "end"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTimelineColor(t *testing.T) {
	var out strings.Builder
	show := Timeline{W: &out, began: time.Now(), color: true}
	show.Line("Ada", "speaks %d times", 2)
	if got := out.String(); !strings.HasSuffix(got, "  \x1b[1mAda   \x1b[m  speaks 2 times\n") {
		t.Errorf("%q", got)
	}
	if NewTimeline(io.Discard).color {
		t.Error("what is no terminal gets colours")
	}
}

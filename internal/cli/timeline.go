package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// A Timeline prints who did what, and when.
type Timeline struct {
	W io.Writer // for what is no line of it

	began time.Time
	color bool
	mu    sync.Mutex // of lines
}

// NewTimeline returns a Timeline that begins now. On a terminal it has colors, unless NO_COLOR is set.
func NewTimeline(w io.Writer) *Timeline {
	return &Timeline{W: w, began: time.Now(), color: IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Line prints a line. It may be called by several goroutines.
func (t *Timeline) Line(who, format string, args ...any) {
	at, name := fmt.Sprintf("%6.3f s", time.Since(t.began).Seconds()), fmt.Sprintf("%-6s", who)
	if t.color {
		at, name = "\x1b[2m"+at+"\x1b[m", "\x1b[1m"+name+"\x1b[m"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.W, "%s  %s  %s\n", at, name, fmt.Sprintf(format, args...))
}

// IsTerminal reports whether w is a terminal, or another device.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/meshpair/meshpair/internal/cli"
)

// A progress shows how far a transfer has got, by a bar that is drawn anew, if there is a terminal to draw it on.
type progress struct {
	w     io.Writer
	draws bool
	now   func() time.Time

	name  string
	size  int64
	done  int64
	began time.Time
	drawn time.Time
}

func newProgress(w io.Writer) *progress {
	return &progress{w: w, draws: cli.IsTerminal(w), now: time.Now}
}

func (p *progress) begin(name string, size int64) {
	p.name, p.size, p.done, p.began = name, size, 0, p.now()
	p.draw()
}

// at draws the bar, ten times a second at most.
func (p *progress) at(done int64) {
	p.done = done
	if p.now().Sub(p.drawn) >= 100*time.Millisecond {
		p.draw()
	}
}

func (p *progress) end() {
	p.draw()
	if p.draws {
		fmt.Fprintln(p.w)
	}
}

func (p *progress) draw() {
	if !p.draws {
		return
	}
	p.drawn = p.now()
	fmt.Fprint(p.w, "\r", p.line(), "\x1b[K")
}

const barWidth = 24

func (p *progress) line() string {
	part := 1.0
	if p.size > 0 {
		part = float64(p.done) / float64(p.size)
	}
	full := int(part * barWidth)
	bar := strings.Repeat("█", full) + strings.Repeat("░", barWidth-full)
	rate := ""
	if took := p.now().Sub(p.began).Seconds(); took > 0 && p.done > 0 {
		rate = fmt.Sprintf(", %s/s", bytesOf(int64(float64(p.done)/took)))
	}
	name := []rune(printable(p.name))
	if len(name) > 24 {
		name = append(name[:23:23], '…')
	}
	return fmt.Sprintf("%s %s %3.0f %% of %s%s", string(name), bar, 100*part, bytesOf(p.size), rate)
}

// bytesOf says how many bytes there are.
func bytesOf(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

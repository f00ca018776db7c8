// Package driver steers a peer of any implementation that runs as a program of
// its own: commands go to its standard input and events come from its standard
// output, one JSON object a line.
package driver

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// maxLine is the longest line that a driver may write, in bytes.
const maxLine = 16 << 20

// An Event is a line from a driver. Fields that its kind does not have are zero.
type Event struct {
	Event     string   `json:"event"`
	N         int      `json:"n"`
	State     string   `json:"state"`
	Signaling string   `json:"signaling"`
	Member    uint32   `json:"member"`
	From      uint32   `json:"from"`
	Text      *string  `json:"text"`
	Base64    *string  `json:"base64"`
	ID        uint32   `json:"id"`
	Group     uint32   `json:"group"`
	Key       string   `json:"key"`
	Members   []uint32 `json:"members"`
	Neighbors []uint32 `json:"neighbors"`
	Message   string   `json:"message"`
	URL       string   `json:"url"`
	Invite    string   `json:"invite"` // a bot's URL with its identity

	Identities map[string]string `json:"identities"` // by member, of a sealed group
	Reason     string            `json:"reason"`     // of refused, of leave, and of some errors

	Unsupported bool `json:"unsupported"` // of an error (DRV-1)

	// Of PeerSox:
	Code      string `json:"code"`
	Hash      string `json:"hash"`
	Secret    string `json:"secret"`
	Valid     bool   `json:"valid"`
	Initiator bool   `json:"initiator"`
	Connected bool   `json:"connected"`
	WebRTC    bool   `json:"webrtc"`
	WebSocket bool   `json:"websocket"`
}

// Data returns what a message carries, and whether it is text.
func (e Event) Data() (data []byte, text bool, err error) {
	switch {
	case e.Text != nil:
		return []byte(*e.Text), true, nil
	case e.Base64 != nil:
		data, err = base64.StdEncoding.DecodeString(*e.Base64)
		return data, false, err
	}
	return nil, false, fmt.Errorf("%+v carries nothing", e)
}

// A Command is a line to a driver: its name under "cmd" and its arguments.
type Command map[string]any

// A Peer is a running driver.
type Peer struct {
	Name  string
	Ready Event // its first
	cmd   *exec.Cmd
	in    io.WriteCloser
	done  chan struct{} // closed when all output has been read

	mu      sync.Mutex
	n       int
	events  []Event
	err     error         // of reading; non-nil when the driver has ended
	changed chan struct{} // closed at each change of the two above
}

// Start starts a driver and waits until it is ready.
func Start(name string, timeout time.Duration, cmd *exec.Cmd) (*Peer, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Peer{Name: name, cmd: cmd, in: in, done: make(chan struct{}), changed: make(chan struct{})}
	go p.read(out)
	if p.Ready, err = p.Wait(timeout, func(e Event) bool { return e.Event == "ready" }); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

func (p *Peer) read(out io.Reader) {
	defer close(p.done)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			p.add(nil, fmt.Errorf("%s wrote the line %.200q: %w", p.Name, lines.Text(), err))
			return
		}
		p.add(&e, nil)
	}
	err := lines.Err()
	if err == nil {
		err = io.EOF
	}
	p.add(nil, fmt.Errorf("%s has ended: %w", p.Name, err))
}

func (p *Peer) add(e *Event, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e != nil {
		p.events = append(p.events, *e)
	}
	p.err = err
	close(p.changed)
	p.changed = make(chan struct{})
}

// Do sends a command and waits for its answer. An error event is an [*Error].
func (p *Peer) Do(timeout time.Duration, c Command) (Event, error) {
	n, err := p.Send(c)
	if err != nil {
		return Event{}, err
	}
	e, err := p.Answer(timeout, n)
	if err != nil {
		err = fmt.Errorf("%v: %w", c["cmd"], err)
	}
	return e, err
}

// Send sends a command and returns the number under which the answer comes.
func (p *Peer) Send(c Command) (n int, err error) {
	p.mu.Lock()
	p.n++
	n = p.n
	p.mu.Unlock()
	line := Command{"n": n}
	for k, v := range c {
		line[k] = v
	}
	b, err := json.Marshal(line)
	if err != nil {
		return n, err
	}
	if _, err := p.in.Write(append(b, '\n')); err != nil {
		return n, fmt.Errorf("%s: %w", p.Name, err)
	}
	return n, nil
}

// Answer waits for the answer to the command with this number. An error event is
// an [*Error].
func (p *Peer) Answer(timeout time.Duration, n int) (Event, error) {
	e, err := p.Wait(timeout, func(e Event) bool { return e.N == n })
	if err == nil && e.Event == "error" {
		err = &Error{p.Name, e.Message, e.Unsupported}
	}
	return e, err
}

// An Error is an error event that answers a command.
type Error struct {
	Peer, Message string
	Unsupported   bool // the implementation cannot do what the command asks
}

func (e *Error) Error() string { return e.Peer + ": " + e.Message }

// Line sends a line that need not be a command.
func (p *Peer) Line(line string) error {
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

// Forget drops all events so far.
func (p *Peer) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = nil
}

// Events returns the events so far that no Wait has taken.
func (p *Peer) Events() []Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Event{}, p.events...)
}

// Wait returns the first event so far, or to come in time, that matches, and
// takes it out of those that Wait looks at.
func (p *Peer) Wait(timeout time.Duration, match func(Event) bool) (Event, error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		p.mu.Lock()
		for i, e := range p.events {
			if match(e) {
				p.events = append(p.events[:i:i], p.events[i+1:]...)
				p.mu.Unlock()
				return e, nil
			}
		}
		err, changed, n := p.err, p.changed, len(p.events)
		p.mu.Unlock()
		if err != nil {
			return Event{}, err
		}
		select {
		case <-changed:
		case <-timer.C:
			return Event{}, fmt.Errorf("%s: nothing of the kind within %v, among %d other events", p.Name, timeout, n)
		}
	}
}

// Close ends the driver by the end of its input and waits for it.
func (p *Peer) Close() error {
	p.in.Close()
	<-p.done
	return p.cmd.Wait()
}

// Kill ends the driver at once.
func (p *Peer) Kill() {
	p.in.Close()
	p.cmd.Process.Kill()
	<-p.done
	p.cmd.Wait()
}

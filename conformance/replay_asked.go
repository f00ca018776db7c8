package conformance

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshpair/meshpair/conformance/transcript"
)

// askedAfter is how long it takes a server at least, from the first sign that a group is in parts, until it asks members
// for their views, or leads them to others, by connected:false unasked (SIG-50).
const askedAfter = 3 * time.Second

// asked is what a replay knows of servers that find the group of a transcript in parts, which on a slow machine they have
// the time for. A member that gets connected:false unasked does not answer, as a client that is as slow. The server has
// ended its binding as a joiner, and may have begun another one (SIG-50, SIG-51): what the transcript has go that way is
// left out, until it begins one of its own. All else is judged as ever.
type asked struct {
	begin  time.Time
	member map[string]bool // peers that were told connected:true last
	put    map[string]bool // peers that were members until they were told connected:false last
	bound  map[string]int  // bindings that each has begun
	void   map[string]bool // bindings that the server has ended, by their symbols
	sent   [][]byte        // data of contents that may have gone another way
}

func newAsked() asked {
	return asked{time.Now(), make(map[string]bool), make(map[string]bool), make(map[string]int), make(map[string]bool), nil}
}

// possible reports whether so much time has passed that a server may have asked somebody.
func (a *asked) possible() bool { return time.Since(a.begin) >= askedAfter }

// told notes the answer that a peer was to get.
func (a *asked) told(name string, connected bool) {
	a.put[name] = !connected && a.member[name]
	a.member[name] = connected
	if !connected {
		a.bound[name]++
	}
}

// binding is the symbol of the last binding of a peer as a joiner.
func (a *asked) binding(name string) string { return name + "." + strconv.Itoa(a.bound[name]) }

// interrupts reports whether a peer may get connected:false unasked, and notes that it has.
func (a *asked) interrupts(name string) bool {
	switch {
	case !a.possible():
		return false
	case a.member[name]:
		a.void[a.binding(name)] = true
		return true
	case a.put[name]: // it came before the answer that ended its being a member, and was taken for that
		a.put[name] = false
		return true
	}
	return false
}

// mentions reports whether an event has to do with a binding that the server has ended.
func (a *asked) mentions(e transcript.Event) bool {
	return slices.ContainsFunc(e.Args, func(arg string) bool {
		_, id, ok := strings.Cut(arg, "=")
		return ok && a.void[id]
	})
}

// leavesOut reports whether a step is a content whose way the server has changed.
func (a *asked) leavesOut(s transcript.Step) bool {
	return s.Input.Verb == "content" && (a.mentions(s.Input) || slices.ContainsFunc(s.Outputs, a.mentions) ||
		len(s.Outputs) == 0 && a.void[a.binding(s.Input.Peer)])
}

// isStray reports whether a peer may get a content because somebody has another binding than in the transcript.
func (y *replay) isStray(c *content) bool {
	if len(y.asked.void) == 0 {
		return false
	}
	for symbol, id := range y.ids {
		if id == max(c.sender, c.recipient) { // one of them is 0
			return y.asked.void[symbol]
		}
	}
	return c.data == nil || slices.ContainsFunc(y.asked.sent, func(data []byte) bool { return bytes.Equal(data, c.data) })
}

// passes reports whether a message may come at a peer that the transcript does not mention; what it mentions is want.
func (y *replay) passes(name string, want transcript.Event, s signaling) bool {
	switch {
	case s.connected != nil:
		return !*s.connected && (want.Verb != "connected" || want.Has("true")) && y.asked.interrupts(name)
	case s.content != nil && want.Verb == "content":
		fits := func(arg string, id uint32) bool { // also an id that stands for a symbol not seen before
			symbol, _ := want.Arg(arg)
			known, seen := y.ids[symbol]
			return symbol == "0" && id == 0 || strings.Contains(symbol, ".") && id != 0 && (!seen || known == id)
		}
		data, has := want.Arg("data")
		like := fits("from", s.content.sender) && fits("to", s.content.recipient) &&
			has == (s.content.data != nil) && data == hex.EncodeToString(s.content.data)
		return !like && y.isStray(s.content)
	case s.content != nil:
		return y.isStray(s.content)
	}
	return false
}

// look finds out who has been asked so far, but for a peer whose answer is still to be read.
func (y *replay) look(but string) {
	if !y.asked.possible() {
		return
	}
	for name, p := range y.peers {
		if name != but && (y.asked.member[name] || y.asked.put[name]) {
			y.drop(name, p, func(s signaling) bool { return s.connected != nil })
		}
	}
}

// sweep does the same between two steps, and drops what has come at somebody because others have another binding than in the
// transcript, so that it is not taken for what comes later.
func (y *replay) sweep() {
	if !y.asked.possible() {
		return
	}
	for name, p := range y.peers {
		y.drop(name, p, func(s signaling) bool { return true })
	}
}

// drop drops those of the messages that have come at a peer that the transcript need not mention.
func (y *replay) drop(name string, p *peer, some func(signaling) bool) {
	p.barrier()
	p.queue = slices.DeleteFunc(p.queue, func(f *frame) bool {
		s, err := parseSignaling(f.payload)
		return f.op == opBinary && err == nil && some(s) && y.passes(name, transcript.Event{}, s)
	})
}

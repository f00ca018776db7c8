// Package conformance is a suite of test cases for implementations of SPEC.md.
//
// Each [Case] has a stable id and names the requirements that it checks. The
// suite judges by what it sees on the wire, with a WebSocket client and a codec
// of its own: it shares no code with the implementation that it comes with.
//
// To run it on another signaling server:
//
//	go test github.com/meshpair/meshpair/conformance -run TestSigver -sigver ws://HOST:PORT
//
// on another PeerSox server:
//
//	go test github.com/meshpair/meshpair/conformance -run 'TestPeerSox$' -peersox http://HOST:PORT
//
// on another PeerSox client, by a driver for it (SPEC.md, appendix):
//
//	go test github.com/meshpair/meshpair/conformance -run TestPairPeer -pairpeer COMMAND
//
// and on another member of groups, by a driver for it (SPEC.md, appendix):
//
//	go test github.com/meshpair/meshpair/conformance -run TestPeer -peer COMMAND
//
// and on a bot, a member that listens for WebSockets:
//
//	go test github.com/meshpair/meshpair/conformance -run TestBot -bot COMMAND
package conformance

import (
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// A Level tells how strictly a case's requirements are meant.
type Level int

// The levels of RFC 2119.
const (
	Must Level = iota
	Should
)

func (l Level) String() string {
	if l == Should {
		return "SHOULD"
	}
	return "MUST"
}

// A Case is one test.
type Case struct {
	ID           string   // "SIG-7/text", stable; the chapter's name comes first
	Requirements []string // ids in SPEC.md
	Level        Level
	Sentence     string // what is tested, in words
	Slow         bool   // it waits for a timer of more than 5 s
	run          func(*run)
}

// A Target is the implementation under test.
type Target struct {
	// Signaling is the URL of a signaling server without a key, ws://HOST:PORT.
	// The server may be in use: each case takes keys of its own.
	Signaling string
	// PeerSox is the URL of a PeerSox server, http://HOST:PORT, for the cases of
	// [PeerSoxCases].
	PeerSox string
	// Peers are drivers of members, for the cases of [MemberCases].
	Peers *Pool
	// Bot is the command of a driver of a bot with these arguments, for the cases of [BotCases].
	Bot func(args ...string) *exec.Cmd
	// spoil changes what a member sends, for tests of the cases; nil for nothing.
	spoil func(channel bool, message []byte) []byte
}

// Check reports whether there is something to test: an error says what is wrong
// with the target's URL, or that nobody answers there.
func (t Target) Check() error {
	u, err := url.Parse(t.Signaling)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Port() == "" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("%q is not the URL of a signaling server, such as ws://127.0.0.1:8000", t.Signaling)
	}
	conn, err := net.DialTimeout("tcp", u.Host, timeout)
	if err != nil {
		return fmt.Errorf("nobody answers at %s: %w", t.Signaling, err)
	}
	return conn.Close()
}

// A Failure says how an implementation differs from what is required.
type Failure struct {
	What     string // where the case was, in words
	Expected string
	Actual   string
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s\nExpected: %s\nActual:   %s", f.What, f.Expected, f.Actual)
}

// A Result is the outcome of one case.
type Result struct {
	Case    *Case
	Failure *Failure // nil if the case passed
	Time    time.Duration
}

func (r Result) String() string {
	c := r.Case
	verdict := "pass"
	if r.Failure != nil {
		verdict = "FAIL"
	}
	s := fmt.Sprintf("%s  %s  %s (%s, %s)", verdict, c.ID, c.Sentence, c.Level, strings.Join(c.Requirements, " "))
	if r.Failure != nil {
		s += "\n      " + strings.ReplaceAll(r.Failure.Error(), "\n", "\n      ")
	}
	return s
}

// Run runs the case on a target and judges it.
func (c *Case) Run(target Target) Result {
	begin := time.Now()
	at := target.Signaling
	if at == "" && target.PeerSox != "" {
		at = "ws" + strings.TrimPrefix(target.PeerSox, "http")
	}
	r := &run{target: target, at: at, prefix: "/" + randomName(), over: make(chan struct{})}
	failure := r.do(c.run)
	return Result{c, failure, time.Since(begin)}
}

// A run is a case under way. Its methods, and those of its peers, end it by a
// panic with a *Failure.
type run struct {
	target Target
	at     string // the URL that peers connect to
	prefix string // of the request targets of this run
	peers  []*peer
	silent bool          // peers send no heartbeats of their own accord
	over   chan struct{} // closed at the end
	ends   []func()      // called at the end, the last first
}

// atEnd has f called when the run is over.
func (r *run) atEnd(f func()) { r.ends = append(r.ends, f) }

func (r *run) do(f func(*run)) (failure *Failure) {
	defer func() {
		close(r.over)
		for _, p := range r.peers {
			p.conn.Close()
		}
		for _, f := range slices.Backward(r.ends) {
			f()
		}
		switch e := recover().(type) {
		case nil:
		case *Failure:
			failure = e
		default:
			panic(e)
		}
	}()
	f(r)
	return nil
}

// fail ends the run.
func (r *run) fail(what, expected, actual string) {
	panic(&Failure{what, expected, actual})
}

// expect ends the run unless a condition holds.
func (r *run) expect(ok bool, what, expected string, actual any) {
	if !ok {
		r.fail(what, expected, fmt.Sprint(actual))
	}
}

// Package conformance is a suite of test cases for implementations of SPEC.md.
//
// Each [Case] has a stable id and names the requirements that it checks. The
// suite judges by what it sees on the wire, with a WebSocket client and a codec
// of its own: it shares no code with the implementation that it comes with.
//
// README.md says how it is run on another implementation.
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
	Slow         bool   // it waits for a timer of more than 5 s: to be begun first
	run          func(*run)
}

// long are the cases that wait for more than 30 s.
var long = []string{"PSX-63/timeout", "PSX-2/code", "SIG-52/silent"}

// Long reports whether the case waits for more than 30 s.
func (c *Case) Long() bool { return slices.Contains(long, c.ID) }

// Chapter is that of SPEC.md which the case belongs to.
func (c *Case) Chapter() string { return c.ID[:strings.IndexAny(c.ID+"/", "-/")] }

// A Target is the implementation under test.
type Target struct {
	// Strict has a SHOULD that is not kept be a failure, not a warning.
	Strict bool
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
	// BotURL is where a bot listens that runs already, ws://HOST:PORT, in place of Bot. What
	// needs its driver, or its signaling server, is unsupported.
	BotURL string
	// spoil, for tests of the cases, is what comes in place of a message from a member or
	// client, on a channel to another one or on a WebSocket to a server; nil changes nothing.
	spoil func(channel bool, message []byte) [][]byte
	// dull, for tests of the cases, is what a client of a sealed pairing is to take no notice of, as it is kept from it: forged,
	// unsealed, or "".
	dull string
	// spoilCode changes the close codes of a member in the same way.
	spoilCode func(code int) int
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

// Run runs the case on a target and judges it.
func (c *Case) Run(target Target) Result {
	begin := time.Now()
	at := target.Signaling
	if at == "" && target.PeerSox != "" {
		at = "ws" + strings.TrimPrefix(target.PeerSox, "http")
	}
	r := &run{target: target, at: at, prefix: "/" + randomName(), over: make(chan struct{})}
	result := r.do(c.run)
	result.Case, result.Time, result.lenient = c, time.Since(begin), !target.Strict
	return result
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

	waiting func()                             // called now and then while a connection is waited for; may be nil
	tap     func(channel bool, message []byte) // sees what comes from a member; may be nil

	closings int      // how many ends of a connection the case has judged
	closing  *Failure // of the first one that was not as it should be
}

// atEnd has f called when the run is over.
func (r *run) atEnd(f func()) { r.ends = append(r.ends, f) }

func (r *run) do(f func(*run)) (result Result) {
	defer func() {
		close(r.over)
		for _, p := range r.peers {
			p.conn.Close()
		}
		for _, f := range slices.Backward(r.ends) {
			f()
		}
		result.Closing, result.Closings = r.closing, r.closings
		switch e := recover().(type) {
		case nil:
		case *Failure:
			result.Failure = e
		case unsupported:
			result.Unsupported = string(e)
		default:
			panic(e)
		}
	}()
	f(r)
	return Result{}
}

// An unsupported ends a run by a panic: what the target says that it cannot do.
type unsupported string

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

// ended judges how a connection has ended, which is no reason to end the run: the
// case goes on to judge what the target does then.
func (r *run) ended(ok bool, what, expected, actual string) {
	r.closings++
	if !ok && r.closing == nil {
		r.closing = &Failure{what, expected, actual}
	}
}

// coming returns what is to be taken for a message of a member.
func (r *run) coming(channel bool, message []byte) [][]byte {
	all := [][]byte{message}
	if r.target.spoil != nil {
		all = r.target.spoil(channel, message)
	}
	if r.tap != nil {
		for _, m := range all {
			r.tap(channel, m)
		}
	}
	return all
}

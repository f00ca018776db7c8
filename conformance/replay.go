package conformance

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshpair/meshpair/conformance/transcript"
)

// TranscriptCases makes a case of each transcript of signaling in a folder, which
// is testdata/transcripts/signaling.
func TranscriptCases(dir string) ([]*Case, error) {
	all, err := transcript.Load(dir)
	if err != nil {
		return nil, err
	}
	var cases []*Case
	for _, t := range all {
		cases = append(cases, &Case{
			ID:           "SIG/" + t.Name,
			Requirements: t.Requirements,
			Sentence:     t.Title,
			run: func(r *run) {
				newReplay(r).play(t)
			},
		})
	}
	return cases, nil
}

// A replay plays a transcript over real connections.
type replay struct {
	run   *run
	peers map[string]*peer  // those that are open
	ids   map[string]uint32 // what symbols such as B.1 stand for, as far as seen
	step  string            // for reports
	asked asked
	slow  func(step int) // called before each step, in tests; may be nil
}

func newReplay(r *run) *replay {
	return &replay{run: r, peers: make(map[string]*peer), ids: make(map[string]uint32), asked: newAsked()}
}

func (y *replay) play(t *transcript.Transcript) {
	for _, s := range t.Steps {
		y.run.silent = y.run.silent || s.Input.Verb == "wait"
	}
	for i, s := range t.Steps {
		y.step = fmt.Sprintf("%s.txt line %d, %v", t.Name, s.Line, s.Input)
		if y.slow != nil {
			y.slow(i)
		}
		y.sweep()
		if !y.asked.leavesOut(s) {
			y.do(s)
		}
	}
	y.step = t.Name + ".txt, at the end"
	y.silence()
}

// do carries out a step.
func (y *replay) do(s transcript.Step) {
	in := y.peers[s.Input.Peer]
	wait := y.input(s.Input, in)
	if in != nil && y.peers[s.Input.Peer] != nil {
		in.barrier()
	}
	answered := "" // what comes there before the answer and after it is told apart when that is read
	if slices.ContainsFunc(s.Outputs, func(out transcript.Event) bool { return out.Peer == s.Input.Peer && out.Verb == "connected" }) {
		answered = s.Input.Peer
	}
	y.look(answered)
	if data, ok := s.Input.Arg("data"); ok && y.asked.leavesOut(s) {
		b, _ := hex.DecodeString(data)
		y.asked.sent = append(y.asked.sent, b)
	}
	for _, out := range s.Outputs {
		y.output(out, wait)
	}
}

// silence expects that nobody gets anything more.
func (y *replay) silence() {
	for _, p := range y.peers {
		p.barrier()
	}
	deadline := time.Now().Add(quiet)
	for _, p := range y.peers {
		_, f, err := y.next(p, transcript.Event{}, deadline)
		y.run.expect(errors.Is(err, os.ErrDeadlineExceeded), "for "+p.name, "nothing", describe(f, err))
	}
}

// next returns the next message of a peer but for what may come at any time.
func (y *replay) next(p *peer, want transcript.Event, deadline time.Time) (signaling, *frame, error) {
	for {
		s, f, err := p.message(deadline)
		if err != nil || !y.passes(p.name, want, s) {
			return s, f, err
		}
		if y.asked.mentions(want) { // it will not come
			return s, f, errVoid
		}
	}
}

// errVoid says that what is waited for goes another way.
var errVoid = errors.New("the binding has ended")

// input does what an input says and returns how long its outputs may take beyond
// the usual.
func (y *replay) input(in transcript.Event, p *peer) (wait time.Duration) {
	switch {
	case in.Peer == "-":
		wait, err := time.ParseDuration(in.Args[0])
		y.must(err)
		return wait
	case in.Verb == "open":
		key, ok := in.Arg("key")
		if !ok {
			key = "room"
		}
		if in.Has("favored") {
			key += "?favored"
		}
		y.peers[in.Peer] = y.run.open(in.Peer, key)
		y.asked.member[in.Peer], y.asked.put[in.Peer] = false, false
	case p == nil:
		y.must(fmt.Errorf("%s is not open", in.Peer))
	case in.Verb == "leave":
		p.leave()
		delete(y.peers, in.Peer)
	default:
		p.send(y.message(in))
	}
	return 0
}

func (y *replay) message(in transcript.Event) []byte {
	switch in.Verb {
	case "raw":
		b, err := hex.DecodeString(strings.Join(in.Args, ""))
		y.must(err)
		return b
	case "heartbeat":
		if in.Has("false") {
			return []byte{0x08, 0x00}
		}
		return heartbeatMessage
	case "connected":
		return []byte{0x20, 0x01}
	case "connect":
		var members []uint32
		if list, ok := in.Arg("members"); ok {
			for _, m := range strings.Split(list, ",") {
				members = append(members, y.id(m))
			}
		}
		id, _ := in.Arg("id")
		return connectMessage(y.id(id), members...)
	case "content":
		return y.content(in)
	}
	y.must(fmt.Errorf("unknown input %v", in))
	return nil
}

// content encodes a content with the fields that the transcript gives, and no
// others.
func (y *replay) content(in transcript.Event) []byte {
	var b []byte
	if id, ok := in.Arg("from"); ok {
		b = appendVarint(b, 1, uint64(y.id(id)))
	}
	if id, ok := in.Arg("to"); ok {
		b = appendVarint(b, 2, uint64(y.id(id)))
	}
	if in.Has("last") {
		b = appendVarint(b, 3, 1)
	}
	if text, ok := in.Arg("data"); ok {
		data, err := hex.DecodeString(text)
		y.must(err)
		b = appendBytes(b, 4, data)
	}
	return appendBytes(nil, 2, b)
}

// id returns what an id of a transcript stands for.
func (y *replay) id(s string) uint32 {
	if id, ok := y.ids[s]; ok {
		return id
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		y.must(fmt.Errorf("nobody has seen the signaling id %s", s))
	}
	if n == 0 {
		return 0
	}
	return 1<<31 + uint32(n)
}

// output expects an output.
func (y *replay) output(out transcript.Event, wait time.Duration) {
	p := y.peers[out.Peer]
	if p == nil {
		y.must(fmt.Errorf("%s is not open", out.Peer))
	}
	if y.asked.mentions(out) {
		return
	}
	deadline := time.Now().Add(wait + timeout)
	switch out.Verb {
	case "close":
		code, err := strconv.Atoi(out.Args[0])
		y.must(err)
		p.expectClose(code, wait)
		delete(y.peers, out.Peer)
	case "heartbeat":
		p.expectHeartbeat(deadline)
	default:
		s, f, err := y.next(p, out, deadline)
		if err == errVoid {
			return
		}
		got := describe(f, err)
		if s.content != nil || s.connected != nil {
			got = y.text(out, s)
		}
		y.run.expect(got == out.String(), y.step, out.String(), got)
		if s.connected != nil {
			y.asked.told(out.Peer, *s.connected)
		}
	}
}

// text writes a message as an output. Where the expected one has a symbol for a
// signaling id that was not seen before, the id is taken to be that.
func (y *replay) text(want transcript.Event, s signaling) string {
	if s.connected != nil {
		return fmt.Sprintf("%s connected %v", want.Peer, *s.connected)
	}
	c := s.content
	got := fmt.Sprintf("%s content from=%s to=%s", want.Peer, y.symbol(want, "from", c.sender), y.symbol(want, "to", c.recipient))
	if c.data != nil {
		got += " data=" + hex.EncodeToString(c.data)
	}
	return got
}

func (y *replay) symbol(want transcript.Event, arg string, id uint32) string {
	symbol, _ := want.Arg(arg)
	if _, known := y.ids[symbol]; !known && strings.Contains(symbol, ".") && id > 0 && id < 1<<31 {
		y.ids[symbol] = id
	}
	if y.ids[symbol] == id && id != 0 {
		return symbol
	}
	return strconv.FormatUint(uint64(id), 10)
}

// must ends the run because the transcript itself is wrong.
func (y *replay) must(err error) {
	if err != nil {
		y.run.fail(y.step, "a transcript that can be played", err.Error())
	}
}

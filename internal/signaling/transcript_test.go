package signaling

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/conformance/transcript"
	"github.com/meshpair/meshpair/internal/wire"
)

var update = flag.Bool("update", false, "write the outputs of testdata/transcripts/signaling anew")

const transcripts = "../../testdata/transcripts/signaling"

// TestTranscripts replays every transcript on the core (SIG-1, SIG-3, SIG-7 to
// SIG-9, SIG-10 to SIG-12, SIG-14 to SIG-24, SIG-26 to SIG-36).
func TestTranscripts(t *testing.T) {
	all, err := transcript.Load(transcripts)
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range all {
		t.Run(tr.Name, func(t *testing.T) {
			w := newWorld()
			for i := range tr.Steps {
				step := &tr.Steps[i]
				got, err := w.step(step.Input)
				if err != nil {
					t.Fatalf("line %d: %v", step.Line, err)
				}
				if *update {
					step.Outputs = got
				} else if !sameOutputs(got, step.Outputs) {
					t.Errorf("line %d: %v\ngot  %v\nwant %v", step.Line, step.Input, got, step.Outputs)
				}
			}
			w.leaveAll(t)
			if *update {
				if err := os.WriteFile(filepath.Join(transcripts, tr.Name+".txt"), tr.Format(), 0o666); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func sameOutputs(a, b []transcript.Event) bool {
	return slices.EqualFunc(a, b, func(x, y transcript.Event) bool { return x.String() == y.String() })
}

// A world is a core with named peers and a clock.
type world struct {
	core  *Core
	now   time.Time
	peers map[string]*Peer
	names map[*Peer]string
	ids   map[uint32]string // signaling ids by symbol, "B.1"
	bound map[string]int    // bindings of each joiner so far
	next  uint32            // the next signaling id
}

func newWorld() *world {
	w := &world{
		now:   time.Unix(0, 0),
		peers: make(map[string]*Peer),
		names: make(map[*Peer]string),
		ids:   make(map[uint32]string),
		bound: make(map[string]int),
	}
	w.core = New(Config{Rand: func() uint32 { w.next++; return w.next }})
	return w
}

// step carries out one input and returns the outputs.
func (w *world) step(in transcript.Event) ([]transcript.Event, error) {
	if in.Peer == "-" {
		return w.wait(in)
	}
	p := w.peers[in.Peer]
	if in.Verb == "open" {
		key, ok := in.Arg("key")
		if !ok {
			key = "room"
		}
		p, err := w.core.Open(w.now, key, in.Has("favored"))
		if err != nil {
			return nil, err
		}
		w.peers[in.Peer], w.names[p] = p, in.Peer
		return nil, nil
	}
	if p == nil {
		return nil, fmt.Errorf("%s is not open", in.Peer)
	}
	if in.Verb == "leave" {
		return w.events(w.core.Gone(w.now, p)), nil
	}
	msg, err := w.message(in)
	if err != nil {
		return nil, err
	}
	var m wire.Signaling
	if err := m.Decode(msg); err != nil {
		return w.events(w.core.Expel(w.now, p, CloseMessage, err.Error())), nil
	}
	before := p.binding
	actions := w.core.Receive(w.now, p, &m)
	if p.binding != before && p.binding != nil {
		w.bound[in.Peer]++
		w.ids[p.binding.id] = fmt.Sprintf("%s.%d", in.Peer, w.bound[in.Peer])
	}
	return w.events(actions), nil
}

func (w *world) wait(in transcript.Event) ([]transcript.Event, error) {
	if in.Verb != "wait" || len(in.Args) != 1 {
		return nil, fmt.Errorf("unknown input %v", in)
	}
	d, err := time.ParseDuration(in.Args[0])
	if err != nil {
		return nil, err
	}
	var out []transcript.Event
	end := w.now.Add(d)
	for next, ok := w.core.Next(); ok && !next.After(end); next, ok = w.core.Next() {
		w.now = next
		out = append(out, w.events(w.core.Tick(w.now))...)
	}
	w.now = end
	return out, nil
}

// message returns the bytes that an input stands for.
func (w *world) message(in transcript.Event) ([]byte, error) {
	var m wire.Signaling
	switch in.Verb {
	case "raw":
		return hex.DecodeString(strings.Join(in.Args, ""))
	case "heartbeat":
		m = wire.Signaling{Kind: wire.SignalingHeartbeat, Heartbeat: !in.Has("false")}
	case "connected":
		m = wire.Signaling{Kind: wire.SignalingConnected, Connected: in.Has("true")}
	case "connect":
		m = wire.Signaling{Kind: wire.SignalingConnect}
		m.Connect.ID = w.id(in, "id")
		if list, ok := in.Arg("members"); ok {
			for _, s := range strings.Split(list, ",") {
				m.Connect.Members = append(m.Connect.Members, w.parseID(s))
			}
		}
	case "content":
		m = wire.Signaling{Kind: wire.SignalingContent}
		m.Content = wire.Content{SenderID: w.id(in, "from"), RecipientID: w.id(in, "to"), LastData: in.Has("last")}
		if text, ok := in.Arg("data"); ok {
			data, err := hex.DecodeString(text)
			if err != nil {
				return nil, err
			}
			m.Content.Data = data
		}
	default:
		return nil, fmt.Errorf("unknown input %v", in)
	}
	return m.Append(nil), nil
}

func (w *world) id(in transcript.Event, name string) uint32 {
	s, ok := in.Arg(name)
	if !ok {
		return 0
	}
	return w.parseID(s)
}

func (w *world) parseID(s string) uint32 {
	for id, symbol := range w.ids {
		if symbol == s {
			return id
		}
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		panic(err)
	}
	if n == 0 {
		return 0
	}
	return 1<<31 + uint32(n)
}

// events writes actions as outputs.
func (w *world) events(actions []Action) []transcript.Event {
	var out []transcript.Event
	for _, a := range actions {
		e := transcript.Event{Peer: w.names[a.To]}
		switch m := a.Message; {
		case a.Kind == Close:
			e.Verb, e.Args = "close", []string{strconv.Itoa(a.Code)}
		case m.Kind == wire.SignalingConnected:
			e.Verb, e.Args = "connected", []string{strconv.FormatBool(m.Connected)}
		case m.Kind == wire.SignalingHeartbeat:
			e.Verb = "heartbeat"
		case m.Kind == wire.SignalingContent:
			e.Verb, e.Args = "content", []string{"from=" + w.symbol(m.Content.SenderID), "to=" + w.symbol(m.Content.RecipientID)}
			if m.Content.Data != nil {
				e.Args = append(e.Args, "data="+hex.EncodeToString(m.Content.Data))
			}
		}
		out = append(out, e)
	}
	return out
}

func (w *world) symbol(id uint32) string {
	if s, ok := w.ids[id]; ok {
		return s
	}
	return strconv.Itoa(int(id))
}

// leaveAll ends every peer and checks that nothing of them is left (SIG-24).
func (w *world) leaveAll(t *testing.T) {
	t.Helper()
	for _, p := range w.peers {
		w.core.Gone(w.now, p)
	}
	checkEmpty(t, w.core)
}

func checkEmpty(t *testing.T, c *Core) {
	t.Helper()
	if c.Peers() != 0 || c.Groups() != 0 || c.beats != (beatQueue{}) || len(c.looks) != 0 {
		t.Errorf("after everyone has gone there are %d peers, %d groups, queues %v, %v", c.Peers(), c.Groups(), c.beats, c.looks)
	}
}

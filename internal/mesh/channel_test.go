package mesh

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// TestLetIn lets a peer join: CHN-12, BLD-2, BLD-5, BLD-6, BLD-11, BLD-12 (step 4), BLD-15, BLD-20, STA-7.
func TestLetIn(t *testing.T) {
	r := newRig(t, Config{}).first()
	r.content(9, wire.ServiceChannelBuilder, request([]byte{}))
	r.expect("sig< content from=0 to=9 connectionResponse true")
	r.content(9, wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
	r.expect(`offer 2 {"id":#500,"type":2}`)
	r.step(Local{2, wire.DataChannelBuilder{Kind: wire.DataChannelBuilderOffer, Offer: "sdp"}})
	r.content(9, wire.ServiceDataChannelBuilder, answer("sdp"))
	r.content(9, wire.ServiceDataChannelBuilder, candidate("c"))
	r.content(9, wire.ServiceDataChannelBuilder, nil)
	r.expect("sig< content from=0 to=9 offer", "remote 2 sdp", "remote 2 c", "remote 2 ")
	r.step(Opened{Link: 2})
	r.expect("2< initPing topology=0 group=#501 from=#500 members=#500 key=key")
	if ids := r.core.Members(); len(ids) != 1 {
		t.Errorf("members %d before initPong", ids)
	}
	r.step(Received{2, initPong(id(1))})
	r.expect("joined #1")
	if len(r.core.attempts) != 0 || len(r.core.Neighbors()) != 1 {
		t.Error("the attempt is not over")
	}
	r.quiet(time.Minute, 2)
	if len(r.core.Neighbors()) != 1 {
		t.Error("a time-out closed a channel that is initialised")
	}
}

// TestGetIn joins a group: CHN-12 to CHN-14, MSH-1, MSH-5, MSH-6, BLD-2, BLD-4, BLD-9, STA-3, STA-5, STA-6.
func TestGetIn(t *testing.T) {
	r := newRig(t, Config{})
	r.step(Join{Key: "key"})
	r.expect("JOINING", "signaling CONNECTING", "dial signaling 1 key")
	r.step(Opened{Link: 1})
	r.expect("signaling OPEN", "signaling CHECKING", "sig< connect id=#500 members=")
	r.connected(false)
	r.expect("signaling CHECKED", "sig< content from=#500 to=0 connectionRequest")
	r.content(0, wire.ServiceChannelBuilder, response(true))
	r.expect("sig< content from=7 to=0 negotiation initiator=0(group #501 ws dc)")
	r.content(0, wire.ServiceDataChannelBuilder, offer("sdp"))
	r.expect("answer 2", "remote 2 sdp")
	r.step(Opened{2, `{"id":2147483649,"type":2}`})
	r.expect() // CHN-12: not a word before initPing
	r.step(Received{2, initPing(id(1), ids(1, 2, 3)...)})
	r.expect("2< initPong #500",
		"2< from=#500 to=#2 connectionRequest id=#500 adjacent=#1",
		"2< from=#500 to=#3 connectionRequest id=#500 adjacent=#1",
		"joined #1")
	if g := r.core.GroupID(); g != id(600) || r.core.ID() != id(500) || r.core.Key() != "key" {
		t.Errorf("group %s, id %d, key %q", short(fmt.Sprint(g)), r.core.ID(), r.core.Key()) // CHN-13, CHN-14
	}
	r.says(2, id(2), wire.ServiceChannelBuilder, response(true))
	r.expect("joined #2", "2< from=#500 to=#2 negotiation initiator=0(group #600 ws dc)")
	r.says(2, id(3), wire.ServiceChannelBuilder, response(false))
	r.expect() // #3 was only named: nobody has heard of it (MSH-4)
	r.says(2, id(2), wire.ServiceDataChannelBuilder, offer("sdp"))
	r.expect("answer 3", "remote 3 sdp")
	r.step(Opened{3, `{"id":2147483650,"type":0}`})
	r.expect("JOINED", "signaling CHECKING", "sig< connect id=#500 members=#1,#2") // MSH-8, STA-6
}

// TestLabels: CHN-7, CHN-8.
func TestLabels(t *testing.T) {
	const ok1, ok2, ok0 = `{"id":2147483649,"type":1}`, `{"id":2147483649,"type":2}`, `{"id":2147483650,"type":0}`
	roles := map[string]func(*testing.T) (*rig, Link){
		"of our member": func(t *testing.T) (*rig, Link) {
			r := newRig(t, Config{}).asking()
			r.content(0, wire.ServiceChannelBuilder, response(true))
			r.content(0, wire.ServiceDataChannelBuilder, offer("sdp"))
			return r, r.last
		},
		"of a joiner": func(t *testing.T) (*rig, Link) {
			r := newRig(t, Config{}).first()
			r.content(9, wire.ServiceChannelBuilder, request(nil))
			r.content(9, wire.ServiceDataChannelBuilder, offer("sdp"))
			return r, r.last
		},
		"of a member": func(t *testing.T) (*rig, Link) {
			r := newRig(t, Config{}).first()
			l := r.letIn(id(1))
			r.says(l, id(2), wire.ServiceChannelBuilder, requestOf(id(2), id(1)))
			r.says(l, id(2), wire.ServiceDataChannelBuilder, offer("sdp"))
			return r, r.last
		},
	}
	for _, c := range []struct {
		role, label string
		ok          bool
	}{
		{"of our member", ok2, true},
		{"of our member", ok1, false},
		{"of our member", ok0, false},
		{"of a joiner", ok1, true},
		{"of a joiner", ok2, false},
		{"of a joiner", ok0, false},
		{"of a joiner", `{"id":5,"type":1}`, true}, // it is told by initPong
		{"of a member", ok0, true},
		{"of a member", `{"id":2147483649,"type":0}`, false}, // somebody else
		{"of a member", ok1, false},
		{"of a member", ok2, false},
		{"of a member", `{ "type": 0, "x": [{}], "id": 2147483650 }`, true},
		{"of a member", `{"type":0}`, false},
		{"of a member", ``, false},
		{"of a member", `2147483650`, false},
		{"of a member", `{"id":"2147483650","type":0}`, false},
		{"of a member", `{"id":2147483650,"type":0}x`, false},
		{"of a member", `{"id":2147483650,"type":-1}`, false},
		{"of a member", `{"id":2147483650,"type":3}`, false},
		{"of a member", `{"id":4294967298,"type":0}`, false},
	} {
		t.Run(c.role+" "+c.label, func(t *testing.T) {
			r, l := roles[c.role](t)
			r.skip()
			r.step(Opened{l, c.label})
			if broken := strings.Contains(strings.Join(r.log, "\n"), fmt.Sprint("abort ", l)); broken == c.ok {
				t.Errorf("log %q", r.log)
			}
			if ch := r.core.channels[l]; (ch != nil && ch.opened) != c.ok {
				t.Error("the channel is not as it should be")
			}
		})
	}
}

// TestBeforeInitialisation: CHN-15, CHN-17, CHN-14.
func TestBeforeInitialisation(t *testing.T) {
	ping := func(change func(*wire.ChannelData)) []byte {
		d := wire.ChannelData{GroupID: id(600), SenderID: id(1), Members: ids(1), Key: "key"}
		change(&d)
		return (&wire.Channel{Kind: wire.ChannelInitPing, InitPing: d}).Append(nil)
	}
	const ignored, closed, taken = "ignored", "closed", "taken"
	for _, c := range []struct {
		name         string
		data         []byte
		joiner, host string // what becomes of it at a joiner, and at the member that lets one in
	}{
		{"nothing", nil, ignored, ignored},
		{"heartbeat", (&wire.Message{SenderID: id(1)}).Append(nil), ignored, closed}, // it reads as initPong 0
		{"unknown field", []byte{0x48, 1}, ignored, ignored},
		{"truncated", []byte{0x0a, 9}, closed, closed},
		{"initPing", ping(func(*wire.ChannelData) {}), taken, ignored},
		{"initPong", initPong(id(1)), ignored, taken},
		{"topology", ping(func(d *wire.ChannelData) { d.Topology = 1 }), closed, ignored},
		{"low group", ping(func(d *wire.ChannelData) { d.GroupID = MinID - 1 }), closed, ignored},
		{"least group", ping(func(d *wire.ChannelData) { d.GroupID = MinID }), taken, ignored},
		{"low sender", ping(func(d *wire.ChannelData) { d.SenderID = MinID - 1 }), closed, ignored},
		{"least sender", ping(func(d *wire.ChannelData) { d.SenderID = MinID }), taken, ignored},
		{"our id", ping(func(d *wire.ChannelData) { d.SenderID = id(500) }), closed, ignored},
		{"low pong", initPong(MinID - 1), ignored, closed},
		{"least pong", initPong(MinID), ignored, taken},
		{"our pong", initPong(id(500)), ignored, closed},
	} {
		for _, host := range []bool{false, true} {
			r, want := newRig(t, Config{}), c.joiner
			var l Link
			if host {
				want = c.host
				r.first()
				l = r.halfIn()
			} else {
				l = r.opening()
			}
			r.step(Received{l, c.data})
			got := ignored
			if ch := r.core.channels[l]; ch == nil {
				got = closed
			} else if ch.member != nil {
				got = taken
			}
			if got != want {
				t.Errorf("%s, host %v: %s, want %s", c.name, host, got, want)
			}
			if got == closed && !strings.HasPrefix(r.log[0], fmt.Sprint("abort ", l)) {
				t.Errorf("%s: %q", c.name, r.log)
			}
			if got == ignored && len(r.log) != 0 {
				t.Errorf("%s: %q", c.name, r.log)
			}
		}
	}
}

// TestOurIDIsTaken begins anew when the member through which we join knows our id already: CHN-13, STA-15.
func TestOurIDIsTaken(t *testing.T) {
	r := newRig(t, Config{})
	l := r.opening()
	r.step(Received{l, initPing(id(1), ids(1, 500)...)})
	r.expect("close 1", "signaling CLOSED", "abort 2")
	if r.core.ID() != 0 || r.core.State() != StateJoining {
		t.Errorf("id %d, %v", r.core.ID(), r.core.State())
	}
	r.step(Closed{Link: l})
	r.pass(ReconnectPause)
	r.expect("signaling CONNECTING", "dial signaling 3 key")
	if r.core.ID() == id(500) {
		t.Error("the id is the same")
	}
}

// TestInitTimeout: CHN-16.
func TestInitTimeout(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.halfIn()
	if rest := r.quiet(10*time.Second-time.Millisecond, l); len(rest) != 0 {
		t.Errorf("too early: %q", rest)
	}
	r.pass(time.Millisecond)
	r.expect("abort 2", "sig< heartbeat")

	r = newRig(t, Config{}).first()
	r.step(Invite{Token: 5, URL: "ws://bot"})
	r.step(Opened{Link: 2})
	r.quiet(10*time.Second-time.Millisecond, 2)
	r.skip()
	r.pass(time.Millisecond)
	r.expect("done 5: no channel in time", "abort 2", "sig< heartbeat")

	r = newRig(t, Config{})
	l = r.opening() // the attempt has 14 s (BLD-16), the channel 10
	r.quiet(10*time.Second-time.Millisecond, l)
	r.skip()
	r.pass(time.Millisecond)
	r.expect("abort 2", "unconnected 0: no channel in time", "signaling CHECKING", "sig< connect id=#500 members=", "sig< heartbeat")
}

// TestReplaced has a second channel initialised to a member: CHN-23 to CHN-25.
func TestReplaced(t *testing.T) {
	t.Run("let in again", func(t *testing.T) { // initPong says that the other end has it
		r := newRig(t, Config{}).first()
		old := r.letIn(id(1))
		l := r.halfIn()
		r.step(Received{l, initPong(id(1))})
		r.expect(fmt.Sprint("close ", old))
		r.step(Closed{Link: old}) // CHN-24
		r.expect()
		r.step(Closed{Link: l, Err: errors.New("reset")})
		r.expect("gone #1: reset", "signaling CHECKING", "sig< connect id=#500 members=")
	})
	replaced := func(t *testing.T) (r *rig, old, l Link) {
		r = newRig(t, Config{}).first()
		via := r.letIn(id(1))
		old = r.direct(via, id(2), id(1))
		// The server has lost sight of us and leads us to #2 (STA-5).
		r.step(Closed{Link: r.letIn(id(3))})
		r.connected(false)
		r.content(0, wire.ServiceChannelBuilder, response(true))
		r.content(0, wire.ServiceDataChannelBuilder, offer("sdp"))
		l = r.last
		r.step(Opened{l, `{"id":2147483650,"type":2}`})
		r.step(Received{l, initPing(id(2), ids(1, 2)...)})
		r.connected(true)
		r.skip()
		return r, old, l
	}
	t.Run("closed after a sign", func(t *testing.T) { // CHN-25
		r, old, l := replaced(t)
		r.step(Send{Token: 1, To: id(2)}) // the new one is used
		r.expect(fmt.Sprint(l, "< from=#500 to=#2 user length=0 type=1 full=\"\""), "done 1: <nil>")
		r.step(Received{l, nil})
		r.expect(fmt.Sprint("close ", old))
		r.step(Received{l, nil})
		r.step(Closed{Link: old})
		r.expect()
	})
	t.Run("old ends first", func(t *testing.T) { // CHN-24
		r, old, l := replaced(t)
		r.step(Closed{Link: old, Err: errors.New("reset")})
		r.expect()
		r.step(Received{l, nil})
		if len(r.core.Neighbors()) != 2 {
			t.Error("the member is gone")
		}
	})
	t.Run("new ends first", func(t *testing.T) {
		r, old, l := replaced(t)
		r.step(Closed{Link: l, Err: errors.New("reset")})
		r.expect(fmt.Sprint("close ", old), "gone #2: reset", "signaling CHECKING", "sig< connect id=#500 members=#1")
	})
	t.Run("messages of the old one count", func(t *testing.T) {
		r, old, _ := replaced(t)
		full := wire.UserMessage{Kind: wire.UserMessageFull, Full: []byte("x")}
		r.says(old, id(2), wire.ServiceUserMessage, full.Append(nil))
		r.expect(`deliver #2 text=true private=true "x"`)
	})
}

// TestHeartbeats: CHN-18 to CHN-20.
func TestHeartbeats(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1)) // at 0 s
	beat := "2< from=#500 to=#1 heartbeat"
	r.pass(3*time.Second - 1)
	r.expect()
	r.pass(1)
	r.expect(beat)
	r.pass(3 * time.Second)
	r.expect("sig< heartbeat", beat)
	r.step(Received{l, []byte("\xff")}) // any sign will do
	r.pass(6 * time.Second)             // 9, 12 s
	r.expect(beat, "sig< heartbeat", beat)
	r.signaling(wire.Signaling{Kind: wire.SignalingHeartbeat, Heartbeat: true})
	r.says(l, id(1), wire.ServiceHeartbeat, nil)
	r.pass(6 * time.Second) // 15, 18 s
	r.expect("sig< heartbeat", beat, beat)
	r.pass(3*time.Second - 1)
	r.skip()
	r.pass(1)
	r.expect("close 2", "gone #1: silent for too long", "signaling CHECKING", "sig< connect id=#500 members=")
	r.pass(3 * time.Second)
	r.expect() // alone: no heartbeats
}

// TestStalled: silence does not count while nothing is read.
func TestStalled(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.pass(6 * time.Second)
	r.step(Stalled{l, true})
	r.step(Stalled{99, true})
	r.quiet(time.Minute)
	if len(r.core.Neighbors()) != 1 {
		t.Fatal("it was closed")
	}
	r.step(Stalled{l, false})
	r.quiet(6 * time.Second)
	if len(r.core.Neighbors()) != 1 {
		t.Error("it was closed too soon")
	}
	r.quiet(3 * time.Second)
	if len(r.core.Neighbors()) != 0 {
		t.Error("it was not closed")
	}
}

// TestOneHeartbeat: no heap of them grows before a link that takes nothing.
func TestOneHeartbeat(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.hold(l)
	r.quiet(10*time.Second, l)
	r.skip()
	r.free(l)
	beat := "2< from=#500 to=#1 heartbeat"
	r.expect(beat)
	r.pass(2 * time.Second)
	r.expect(beat)
}

// TestIgnored: CHN-2, CHN-3, MSG-14, SIG-6.
func TestIgnored(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	user := (&wire.UserMessage{Kind: wire.UserMessageFull, Full: []byte("x")}).Append(nil)
	for name, m := range map[string]wire.Message{
		"unknown service":          {SenderID: id(1), ServiceID: 7},
		"broken user message":      {SenderID: id(1), ServiceID: wire.ServiceUserMessage, Content: []byte{0x0a, 9}},
		"broken builder":           {SenderID: id(1), ServiceID: wire.ServiceChannelBuilder, Content: []byte{0x0a, 9}},
		"empty builder":            {SenderID: id(1), ServiceID: wire.ServiceChannelBuilder},
		"broken candidate":         {SenderID: id(1), ServiceID: wire.ServiceDataChannelBuilder, Content: []byte{0x0a, 9}},
		"end of candidates":        {SenderID: id(1), ServiceID: wire.ServiceDataChannelBuilder},
		"broken mesh":              {SenderID: id(1), ServiceID: wire.ServiceFullMesh, Content: []byte{0x0a, 9}},
		"empty mesh":               {SenderID: id(1), ServiceID: wire.ServiceFullMesh},
		"empty user message":       {SenderID: id(1), ServiceID: wire.ServiceUserMessage},
		"of a stranger":            {SenderID: id(77), ServiceID: wire.ServiceUserMessage, Content: user},
		"of nobody":                {SenderID: 0, ServiceID: wire.ServiceUserMessage, Content: user},
		"of ourselves":             {SenderID: id(500), ServiceID: wire.ServiceUserMessage, Content: user},
		"for nobody we know":       {SenderID: id(1), RecipientID: id(77), ServiceID: wire.ServiceUserMessage, Content: user},
		"for its sender":           {SenderID: id(1), RecipientID: id(1), ServiceID: wire.ServiceUserMessage, Content: user},
		"request of nobody":        {SenderID: 5, ServiceID: wire.ServiceChannelBuilder, Content: requestOf(5, id(1))},
		"request of ourselves":     {SenderID: id(500), ServiceID: wire.ServiceChannelBuilder, Content: requestOf(id(500), id(1))},
		"members of ourselves":     {SenderID: id(500), ServiceID: wire.ServiceFullMesh, Content: (&wire.FullMesh{Kind: wire.FullMeshMembers, Members: ids(9)}).Append(nil)},
		"members of nobody":        {SenderID: 9, ServiceID: wire.ServiceFullMesh, Content: (&wire.FullMesh{Kind: wire.FullMeshMembers, Members: ids(9)}).Append(nil)},
		"adjacent of ourselves":    {SenderID: id(500), ServiceID: wire.ServiceFullMesh, Content: (&wire.FullMesh{Kind: wire.FullMeshAdjacentMembers}).Append(nil)},
		"distant beat of a friend": {SenderID: id(1), ServiceID: wire.ServiceFullMesh, Content: (&wire.FullMesh{Kind: wire.FullMeshHeartbeat, Heartbeat: true}).Append(nil)},
	} {
		r.step(Received{l, m.Append(nil)})
		if len(r.log) != 0 || len(r.core.Members()) != 2 || len(r.core.attempts) != 0 || len(r.core.order) != 1 {
			t.Errorf("%s: %q", name, r.log)
		}
		r.skip()
	}
	for _, b := range []string{"\xff", "\x0a", "hello"} {
		r.step(Received{l, []byte(b)})
		r.expect()
	}
	for _, m := range [][]byte{nil, {0xff}, {0x0a, 9}, {0x48, 1}} {
		r.step(Received{r.core.sig.link, m})
		r.expect()
	}
	r.connected(true) // SIG-15: nothing was asked
	r.expect()
	r.content(MinID, wire.ServiceChannelBuilder, request(nil)) // no signaling id
	r.expect()
	r.content(9, wire.ServiceFullMesh, (&wire.FullMesh{Kind: wire.FullMeshMembers, Members: ids(9)}).Append(nil))
	r.expect()
	r.content(0, wire.ServiceChannelBuilder, request(nil)) // we have no member through signaling
	r.expect()
	if len(r.core.Neighbors()) != 1 {
		t.Error("the channel is gone")
	}
	r.step(Received{99, user})
	r.step(Received{0, user})
	r.step(Opened{Link: 99})
	r.step(Closed{Link: 99})
	r.step(Closed{Link: 0})
	r.step(Local{99, wire.DataChannelBuilder{}})
	r.expect()
}

// TestReceivedBeforeOpen: what comes on a link that is not open yet is not taken.
func TestReceivedBeforeOpen(t *testing.T) {
	r := newRig(t, Config{}).first()
	r.content(9, wire.ServiceChannelBuilder, request(nil))
	r.content(9, wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
	r.skip()
	r.step(Received{r.last, initPong(id(1))})
	r.expect()
	r.step(Opened{Link: r.last})
	r.skip()
	r.step(Opened{Link: r.last}) // twice
	r.expect()
}

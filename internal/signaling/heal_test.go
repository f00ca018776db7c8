package signaling

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// A scene is a core with members that are called by their ids, send heartbeats, and do nothing else of their own accord.
// What the server does to them unasked is in its log.
type scene struct {
	t     *testing.T
	core  *Core
	now   time.Time
	peers map[uint32]*Peer
	log   []string
	draws uint32
}

func newScene(t *testing.T) *scene {
	x := &scene{t: t, now: epoch, peers: make(map[uint32]*Peer)}
	x.core = New(Config{Rand: func() uint32 { x.draws += 0x9e3779b9; return x.draws }})
	t.Cleanup(func() {
		for _, p := range x.peers {
			x.core.Gone(x.now, p)
		}
		checkEmpty(t, x.core)
	})
	return x
}

// group has members join, each of which knows those before it.
func (x *scene) group(ids ...uint32) {
	for i, id := range ids {
		x.open(id, false)
		x.tell(true, id, ids[:i]...)
	}
}

func (x *scene) open(id uint32, favored bool) {
	x.t.Helper()
	p, err := x.core.Open(x.now, "k", favored)
	if err != nil {
		x.t.Fatal(err)
	}
	p.Handle = id
	x.peers[id] = p
}

// tell has a peer send connect.
func (x *scene) tell(want bool, id uint32, members ...uint32) {
	x.t.Helper()
	actions := x.core.Receive(x.now, x.peers[id], connectMessage(id, members...))
	if m := actions[0].Message; m.Kind != wire.SignalingConnected || m.Connected != want {
		x.t.Errorf("%d gets %+v", id, m)
	}
	x.note(actions[1:])
}

// parts has members know those of their part alone, in two steps, as when channels break one after another.
func (x *scene) parts(parts ...[]uint32) {
	for _, part := range parts {
		for _, id := range part {
			x.tell(true, id, part...)
		}
	}
}

func (x *scene) note(actions []Action) {
	for _, a := range actions {
		switch m := a.Message; {
		case a.Kind == Close:
			x.log = append(x.log, fmt.Sprintf("close %d %d", a.To.Handle, a.Code))
		case m.Kind == wire.SignalingHeartbeat:
		case m.Kind == wire.SignalingConnected && !m.Connected && a.To.binding == nil:
			x.log = append(x.log, fmt.Sprintf("ask %d", a.To.Handle))
		case m.Kind == wire.SignalingConnected && !m.Connected:
			x.log = append(x.log, fmt.Sprintf("lead %d to %d", a.To.Handle, a.To.binding.member.Handle))
		default:
			x.log = append(x.log, fmt.Sprintf("%d gets %+v", a.To.Handle, m))
		}
	}
}

// pass lets time pass.
func (x *scene) pass(d time.Duration) {
	end := x.now.Add(d)
	for next, ok := x.core.Next(); ok && !next.After(end); next, ok = x.core.Next() {
		x.now = next
		for _, p := range x.peers {
			x.core.Receive(x.now, p, &wire.Signaling{Kind: wire.SignalingHeartbeat})
		}
		x.note(x.core.Tick(x.now))
	}
	x.now = end
}

// expect expects what the server has done since the last time.
func (x *scene) expect(want ...string) {
	x.t.Helper()
	if !slices.Equal(x.log, want) {
		x.t.Errorf("log:\n\t%s\nwant:\n\t%s", strings.Join(x.log, "\n\t"), strings.Join(want, "\n\t"))
	}
	x.log = nil
}

// TestPartition: SIG-49.
func TestPartition(t *testing.T) {
	for _, c := range []struct{ views, want string }{
		{"1: 2:1 3:1,2 4:3", "1,2,3,4"},
		{"1: 2:1 3:4 4:3", "1,2 3,4"},
		{"1:2 2: 3: 4: 5:4", "1,2 4,5 3"},
		{"1: 2:1 3:4,5 4: 5:", "3,4,5 1,2"},
		{"1: 2:99 3:", "1 2 3"},
		{"1:1,1 2:2 3:1", "1,3 2"},
		{"1:4 2:3 3: 4:2", "1,2,3,4"},
		{"1: 2:1 1:3 3:", "1,2,1,3"}, // of one id
	} {
		c0 := New(Config{})
		r := &room{ids: make(map[uint32]int)}
		for _, field := range strings.Fields(c.views) {
			id, list, _ := strings.Cut(field, ":")
			m := &Peer{room: r, Handle: id}
			m.join(number(id))
			for _, s := range strings.Split(list, ",") {
				if s != "" {
					m.view.knows = append(m.view.knows, number(s))
				}
			}
		}
		var got []string
		for _, part := range r.partition() {
			var names []string
			for _, m := range part {
				names = append(names, m.Handle.(string))
			}
			got = append(got, strings.Join(names, ","))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", c.views, got, c.want)
		}
		checkEmpty(t, c0)
	}
}

func number(s string) (n uint32) {
	fmt.Sscan(s, &n)
	return n
}

// TestNobodyIsLed: a group that is whole has nothing done to it, whoever comes and leaves.
func TestNobodyIsLed(t *testing.T) {
	x := newScene(t)
	x.group(1, 2, 3, 4, 5)
	x.pass(time.Hour)
	x.note(x.core.Gone(x.now, x.peers[3]))
	delete(x.peers, 3)
	for id := range x.peers { // 1 and 2 never said that they know 4 and 5
		x.tell(true, id, slices.DeleteFunc([]uint32{1, 2, 4, 5}, func(o uint32) bool { return o == id })...)
	}
	x.note(x.core.Gone(x.now, x.peers[1]))
	delete(x.peers, 1)
	x.pass(time.Hour)
	x.expect()
}

// TestLeaver: one that others miss before it is gone gives no reason to ask anybody (SIG-50).
func TestLeaver(t *testing.T) {
	x := newScene(t)
	x.group(1, 2, 3)
	x.tell(true, 1, 2, 3)
	x.tell(true, 1, 2)
	x.tell(true, 2, 1)
	x.pass(HealDelay - 1)
	x.core.Gone(x.now, x.peers[3])
	delete(x.peers, 3)
	x.pass(time.Hour)
	x.expect()
}

// TestBridgeGone: when one goes who alone had said that it knows both sides, those that have said nothing since are
// asked, and it is seen that the group is whole (SIG-50).
func TestBridgeGone(t *testing.T) {
	x := newScene(t)
	x.group(1, 2, 3)
	x.open(4, false)
	x.tell(true, 4, 3) // all others have come to know it without a word
	x.pass(1)
	x.core.Gone(x.now, x.peers[3])
	delete(x.peers, 3)
	x.pass(HealDelay)
	x.expect("ask 1", "ask 2", "ask 4")
	x.tell(true, 1, 2, 4)
	x.tell(true, 2, 1, 4)
	x.tell(false, 4) // alone indeed: it is put out, and joins
	x.pass(time.Hour)
	x.expect()
}

// TestAsk: a channel that breaks in a group that is whole has its two ends asked, once (SIG-50).
func TestAsk(t *testing.T) {
	x := newScene(t)
	x.group(1, 2)
	x.open(3, false)
	x.tell(false, 3)
	x.tell(true, 3, 1, 2)
	x.open(4, false)
	x.tell(true, 4, 1, 2, 3)
	x.tell(true, 3, 1, 4)
	x.pass(HealDelay - 1)
	x.log = nil
	x.pass(1)
	x.expect("ask 2", "ask 3")
	x.note(x.core.Receive(x.now, x.peers[3], &wire.Signaling{Kind: wire.SignalingContent, Content: wire.Content{Data: []byte{1}}}))
	x.expect() // what it sends goes nowhere
	x.tell(true, 2, 1, 4)
	x.tell(true, 3, 1, 4)
	x.pass(time.Hour)
	x.expect()
	// One that flaps is asked so often at most.
	for range 20 {
		x.tell(true, 3, 1, 2, 4)
		x.tell(true, 3, 1, 4)
		x.pass(HealAnswer)
	}
	asks := strings.Count(strings.Join(x.log, "\n"), "ask 3")
	if asks == 0 || asks > 20 {
		t.Errorf("it is asked %d times", asks)
	}
	x.log = nil
}

// apart is a scene with a group whose members have told that they are in parts, as often as they were asked.
func apart(t *testing.T, parts ...[]uint32) *scene {
	x := newScene(t)
	for _, part := range parts {
		for _, id := range part {
			x.open(id, false)
		}
	}
	all := slices.Concat(parts...)
	for i, id := range all {
		x.tell(true, id, all[:i]...)
	}
	x.parts(parts...)
	for range HealAsks {
		x.pass(HealAnswer - 1)
		if slices.ContainsFunc(x.log, func(s string) bool { return strings.HasPrefix(s, "lead") }) {
			return x
		}
		for _, line := range x.log {
			id := number(strings.TrimPrefix(line, "ask "))
			for _, part := range parts {
				if slices.Contains(part, id) {
					x.tell(true, id, part...)
				}
			}
		}
		x.log = nil
		x.pass(1)
	}
	return x
}

// TestLead: members of the smaller part are led to some of the larger, stay members, and reach those (SIG-51).
func TestLead(t *testing.T) {
	x := apart(t, []uint32{1, 2}, []uint32{3, 4, 5})
	x.expect("lead 1 to 4", "lead 2 to 5")
	if !x.peers[1].IsMember() || !x.peers[2].IsMember() {
		t.Error("who is led is put out")
	}
	b := x.peers[1].binding
	acts := x.core.Receive(x.now, x.peers[1], &wire.Signaling{Kind: wire.SignalingContent, Content: wire.Content{Data: []byte{7}}})
	if len(acts) != 1 || acts[0].To != x.peers[4] || acts[0].Message.Content.SenderID != b.id { // SIG-27
		t.Errorf("what it sends goes %+v", acts)
	}
	x.pass(2 * time.Second)
	x.tell(true, 1, 2, 3, 4, 5)
	x.pass(9 * time.Second)
	x.expect()
	// The other one wasted its first attempt, and does not know them yet.
	x.tell(true, 2, 1)
	x.expect("lead 2 to 3")
	x.pass(2 * time.Second)
	x.tell(true, 2, 1)
	x.expect("lead 2 to 4")
	x.pass(2 * time.Second)
	x.tell(true, 2, 1)
	x.pass(time.Hour)
	x.expect()
}

// TestLeadInVain: in a group that stays in parts each is led again, once at once, then after pauses (SIG-51, SIG-52).
func TestLeadInVain(t *testing.T) {
	x := apart(t, []uint32{1, 2, 3}, []uint32{4, 5})
	x.expect("lead 4 to 2", "lead 5 to 3")
	x.tell(true, 4, 5) // this was on its way
	x.expect()
	x.pass(HealCrossing)
	x.tell(true, 5, 4)
	x.expect("lead 5 to 1")
	x.pass(HealPause - HealCrossing)
	x.expect("lead 4 to 3")
	x.pass(HealCrossing)
	x.tell(true, 4, 5)
	x.tell(true, 5, 4)
	x.expect()
	x.pass(HealPause)
	x.expect("lead 5 to 2", "lead 4 to 1") // who was led last comes last
	x.pass(HealAttempt - 2*HealPause)
	x.expect() // they say nothing of it
}

// TestFlapping: one that tells another view each time does not keep the server from leading others (SIG-50).
func TestFlapping(t *testing.T) {
	x := newScene(t)
	x.group(1, 2, 3, 4, 5)
	x.parts([]uint32{1, 2, 3}, []uint32{4, 5})
	for range (HealAsks + 1) * int(HealAnswer/time.Second) {
		x.pass(time.Second)
		x.tell(true, 1, 2)
		x.tell(true, 1, 2, 3)
		x.tell(true, 1, 3)
	}
	if !strings.Contains(strings.Join(x.log, "\n"), "lead 4") {
		t.Errorf("nobody is led: %q", x.log)
	}
}

// TestWhoLeads: servers are led to first, and led last (SIG-51).
func TestWhoLeads(t *testing.T) {
	x := newScene(t)
	for id := range uint32(5) {
		x.open(id+1, id+1 == 1 || id+1 == 5)
		x.tell(true, id+1, 1, 2, 3, 4, 5)
	}
	x.parts([]uint32{1, 2}, []uint32{3, 4, 5})
	for range 2 {
		x.pass(HealDelay)
		x.log = nil
		x.parts([]uint32{1, 2}, []uint32{3, 4, 5})
	}
	x.pass(HealAnswer)
	x.expect("lead 2 to 5", "lead 1 to 5")
}

// TestGuide: nobody is led to itself, to one that it knows or that knows it, to one of its own part, or to one that it has
// tried, before it has tried all (SIG-51).
func TestGuide(t *testing.T) {
	r := &room{ids: make(map[uint32]int)}
	for id := range uint32(7) {
		(&Peer{room: r, Handle: id + 1}).join(id + 1)
	}
	m := r.members
	p := m[0]
	p.view.knows = []uint32{2}
	m[2].view.knows = []uint32{1}
	p.view.own = []uint32{1, 4}
	var got []uint32
	for range 4 {
		g := p.guide(m)
		got = append(got, g.id)
		if p.view.tried == nil {
			p.view.tried = make(map[uint32]struct{})
		}
		p.view.tried[g.id] = struct{}{}
	}
	if !slices.Equal(got, []uint32{5, 6, 7, 5}) {
		t.Errorf("it is led to %d", got)
	}
	p.view.knows = []uint32{2, 5, 6, 7}
	if g := p.guide(m); g != nil {
		t.Errorf("it is led to %d", g.id)
	}
}

// TestPauses: as long as nothing helps the pauses grow, and there are so many attempts a minute at most (SIG-52).
func TestPauses(t *testing.T) {
	x := apart(t, []uint32{1, 2, 3}, []uint32{4, 5})
	n := 0
	perMinute := func() int {
		for range 60 {
			x.pass(time.Second)
			led := x.log[n:]
			n = len(x.log)
			for _, line := range led {
				if id := number(strings.Fields(line)[1]); id == 4 {
					x.tell(true, 4, 5)
				} else {
					x.tell(true, 5, 4)
				}
			}
		}
		count := strings.Count(strings.Join(x.log, "\n"), "lead")
		x.log, n = nil, 0
		return count
	}
	first := perMinute()
	if least, most := 2*int(time.Minute/HealPause), 4*int(time.Minute/HealPause)+4; first < least || first > most {
		t.Errorf("%d attempts in the first minute, want %d to %d", first, least, most)
	}
	x.pass(time.Hour + 20*time.Minute)
	x.log = nil
	x.tell(true, 4, 5)
	x.tell(true, 5, 4)
	last := perMinute()
	if least, most := 2*int(time.Minute/HealMaxPause), 4*int(time.Minute/HealMaxPause)+2; last < least || last > most {
		t.Errorf("%d attempts in a later minute, want %d to %d", last, least, most)
	}
	// When it has helped, all that is forgotten.
	x.tell(true, 4, 5, 1, 2, 3)
	x.tell(true, 5, 4, 1, 2, 3)
	x.pass(HealMaxPause)
	x.log = nil
	x.pass(time.Hour)
	x.expect()
	if h := x.peers[1].room.heal; h != (healing{}) {
		t.Errorf("it remembers %+v", h)
	}
}

// TestManyParts: so many members of so many parts are led at a time at most (SIG-52).
func TestManyParts(t *testing.T) {
	var parts [][]uint32
	for i := range uint32(HealParts + 4) {
		var part []uint32
		for j := range uint32(HealBatch + 3) {
			part = append(part, 100*i+j+1)
		}
		parts = append(parts, part)
	}
	x := apart(t, parts...)
	if len(x.log) != HealParts*HealBatch {
		t.Errorf("%d are led at a time", len(x.log))
	}
}

// TestEnds: what a member that is led had goes with it, and with the one that it was led to (SIG-31, SIG-33).
func TestEnds(t *testing.T) {
	x := apart(t, []uint32{1, 2, 3}, []uint32{4, 5})
	x.expect("lead 4 to 2", "lead 5 to 3")
	s := x.peers[4].binding.id
	acts := x.core.Gone(x.now, x.peers[2])
	if len(acts) != 1 || acts[0].To != x.peers[4] || acts[0].Message.Content.RecipientID != s || acts[0].Message.Content.Data != nil {
		t.Errorf("%+v", acts)
	}
	delete(x.peers, 2)
	x.core.Gone(x.now, x.peers[5])
	delete(x.peers, 5)
	x.pass(HealCrossing)
	x.tell(false, 4, 2) // it knows nobody: it is put out, and joins
	x.log = nil
}

// TestViewsAreSmall: however long the list that a stranger sends, it is not kept; nor are ids of nobody (SIG-53).
func TestViewsAreSmall(t *testing.T) {
	x := newScene(t)
	x.group(1, 2, 3)
	list := make([]uint32, 60_000)
	for i := range list {
		list[i] = uint32(i % 50_000)
	}
	for range 3 {
		x.tell(true, 3, list...)
		x.tell(true, 2, list...)
	}
	for id, p := range x.peers {
		if v := &p.view; cap(v.knows) > 4 || cap(v.lost) > 4 || len(v.tried)+len(v.own) > 0 {
			t.Errorf("of %d is kept %+v", id, v)
		}
	}
	if v := x.peers[3].view.knows; !slices.Equal(v, []uint32{1, 2}) {
		t.Errorf("it knows %d", v)
	}
}

// TestStuckPart: a part that never comes in, and flaps, does not keep the halves of a later split from being noticed
// (SIG-50).
func TestStuckPart(t *testing.T) {
	x := newScene(t)
	x.group(1, 2, 3, 4, 5, 6)
	for id := uint32(1); id <= 6; id++ {
		var others []uint32
		for k := uint32(1); k <= 6; k++ {
			if k != id {
				others = append(others, k)
			}
		}
		x.tell(true, id, others...)
	}
	x.open(8, false)
	x.tell(true, 8, 1)
	x.open(9, false)
	x.tell(true, 9, 8)
	x.tell(true, 8, 9)
	x.open(10, false)
	x.tell(true, 10, 8, 9)
	for range 5 {
		x.tell(true, 8, 9, 10)
		x.tell(true, 8, 9)
		x.pass(10 * time.Second)
		for _, p := range []uint32{8, 9, 10} {
			x.tell(true, p, 8, 9, 10)
		}
	}
	x.log = nil
	// 1 2 3 | 4 5 6 are cut; originals tell the first loss, and leave out what follows until it has been answered (DEV-24).
	x.tell(true, 1, 2, 3, 5, 6)
	x.tell(true, 2, 1, 3, 5, 6)
	x.tell(true, 3, 1, 2, 5, 6)
	x.tell(true, 4, 5, 6, 2, 3)
	x.tell(true, 5, 4, 6, 2, 3)
	x.tell(true, 6, 4, 5, 2, 3)
	part := map[uint32][]uint32{1: {2, 3}, 2: {1, 3}, 3: {1, 2}, 4: {5, 6}, 5: {4, 6}, 6: {4, 5}, 8: {9}, 9: {8}, 10: {8}}
	for range 120 {
		x.pass(time.Second)
		log := x.log
		x.log = nil
		for id, p := range x.peers {
			if !slices.ContainsFunc(log, func(l string) bool {
				f := strings.Fields(l)
				return len(f) > 1 && f[1] == fmt.Sprint(id)
			}) {
				continue
			}
			if id < 7 && p.binding != nil {
				return // it is led
			}
			x.note(x.core.Receive(x.now.Add(2*time.Second), p, connectMessage(id, part[id]...))[1:])
		}
		x.log = nil
	}
	t.Error("nobody of the two halves is led")
}

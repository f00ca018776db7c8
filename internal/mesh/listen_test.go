package mesh

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// TestParseCall: CHN-9, CHN-10.
func TestParseCall(t *testing.T) {
	for _, c := range []struct {
		query string
		want  Call
		bad   bool
	}{
		{"type=0&wcId=4000000000&senderId=2147483648", Call{0, 4_000_000_000, 1 << 31, "", false}, false},
		{"senderId=-1&key=a%20b%2B%26%C3%A9&wcId=1&type=2", Call{2, 1, -1, "a b+&é", false}, false},
		{"type=1&wcId=1&senderId=7&key=a+b&key=c&more=x", Call{1, 1, 7, "a+b", false}, false}, // as originals send it
		{"type=1&wcId=1&senderId=7&key=100%", Call{1, 1, 7, "100%", false}, false},
		{"type=1&wcId=0&senderId=7&sealed=1", Call{1, 0, 7, "", true}, false}, // SEC-22
		{"type=1&wcId=1&senderId=7&key=", Call{1, 1, 7, "", false}, false},
		{"", Call{}, true},
		{"type=3&wcId=1&senderId=7", Call{}, true},
		{"type=-1&wcId=1&senderId=7", Call{}, true},
		{"type=x&wcId=1&senderId=7", Call{}, true},
		{"type=1&wcId=1", Call{}, true},
		{"type=1&senderId=1", Call{}, true},
		{"wcId=1&senderId=1", Call{}, true},
		{"type=1&wcId=99999999999999999999&senderId=1", Call{}, true},
		{"type=1&wcId=1&senderId=0x7", Call{}, true},
	} {
		got, err := ParseCall(c.query)
		if (err != nil) != c.bad || err == nil && got != c.want || c.bad && !errors.Is(err, ErrCall) {
			t.Errorf("%s: %+v, %v", c.query, got, err)
		}
	}
}

// listening is a rig that is the first member of a group and listens.
func listening(t *testing.T) *rig {
	r := newRig(t, Config{})
	r.step(Join{Key: "key", Listen: "ws://here:1"})
	r.step(Opened{Link: 1})
	r.connected(true)
	r.connected(true)
	r.skip()
	return r
}

func (r *rig) accept(call Call) error {
	r.t.Helper()
	link, outs, err := r.core.Accept(r.now, call)
	r.do(outs)
	if err == nil {
		r.last = link
	}
	return err
}

// TestAccept lets in by WebSocket whom signaling or the group has led here, and no others: CHN-10.
func TestAccept(t *testing.T) {
	group := int64(id(501))
	ask := func(r *rig) {
		r.content(7, wire.ServiceChannelBuilder, request(nil))
		r.content(7, wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
	}
	for _, c := range []struct {
		name string
		call Call
		ok   bool
	}{
		{"joiner", Call{1, group, 7, "key", false}, true},
		{"joiner that nobody announced", Call{1, group, 8, "key", false}, true},
		{"joiner without the key", Call{1, group, 7, "", false}, false},
		{"joiner with another key", Call{1, group, 7, "kez", false}, false},
		{"joiner of another group", Call{1, group + 1, 7, "key", false}, false},
		{"member that was not agreed with", Call{0, group, int64(id(9)), "", false}, false},
		{"member with a signaling id", Call{0, group, 7, "", false}, false},
		{"invitation to the group it is in", Call{2, group, -1, "key", false}, false},
		{"invitation to another group", Call{2, group + 1, -1, "kez", false}, false},
		{"member through which to join, not agreed on", Call{2, group, 0, "key", false}, false},
		{"beyond 32 bits", Call{1, group, 7 + 1<<32, "key", false}, true},
	} {
		r := listening(t)
		ask(r)
		r.expect("sig< content from=0 to=7 connectionResponse true",
			"sig< content from=0 to=7 negotiation initiator=7(group #501 ws dc) passive=0(group #501 listens ws dc)")
		err := r.accept(c.call)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil {
			r.expect()
			continue
		}
		r.step(Opened{Link: r.last})
		r.expect(fmt.Sprintf("%d< initPing topology=0 group=#501 from=#500 members=#500 key=key", r.last))
		r.step(Received{r.last, initPong(id(1))})
		r.expect("joined #1")
		if agreed := c.call.Sender == 7; agreed == (r.core.attempts[7] != nil) {
			t.Errorf("%s: the attempt that it was agreed in: %v", c.name, r.core.attempts[7])
		}
		r.leave()
	}
}

// leave leaves, and checks that nothing is held any more.
func (r *rig) leave() {
	r.t.Helper()
	r.step(Leave{Now: true})
	r.closeAll()
	r.sum()
}

// TestAcceptInside lets a member in by WebSocket with which a channel was agreed on: with the group's id, or its own as
// originals send it (CHN-10, DEV-14), and with the key or without.
func TestAcceptInside(t *testing.T) {
	for _, c := range []struct {
		name string
		call Call
		ok   bool
	}{
		{"the group", Call{0, int64(id(501)), int64(id(3)), "", false}, true},
		{"its own id", Call{0, int64(id(3)), int64(id(3)), "", false}, true},
		{"another's id", Call{0, int64(id(4)), int64(id(3)), "", false}, false},
		{"another sender", Call{0, int64(id(501)), int64(id(4)), "", false}, false},
		{"no sender", Call{0, int64(id(501)), -1, "", false}, false},
		{"as a joiner", Call{1, int64(id(501)), int64(id(3)), "key", false}, true}, // which it may be
	} {
		r := listening(t)
		if err := r.accept(Call{1, int64(id(501)), 1, "key", false}); err != nil {
			t.Fatal(err)
		}
		l := r.last
		r.step(Opened{Link: l})
		r.step(Received{l, initPong(id(1))})
		r.says(l, id(3), wire.ServiceChannelBuilder, requestOf(id(3), id(1)))
		r.says(l, id(3), wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
		r.skip()
		if err := r.accept(c.call); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.ok || c.call.Kind != 0 {
			continue
		}
		r.step(Opened{Link: r.last})
		if n := r.core.Neighbors(); !slices.Equal(n, ids(1, 3)) || len(r.core.attempts) != 0 {
			t.Errorf("%s: neighbors %v, %d attempts", c.name, n, len(r.core.attempts))
		}
		r.leave()
	}
}

// TestInvited has a bot join by invitation, say so to signaling, and leave when it is alone: STA-6, STA-12.
func TestInvited(t *testing.T) {
	invite := Call{2, int64(id(600)), -1, "key", false}
	r := newRig(t, Config{LeaveAlone: true})
	if _, _, err := r.core.Accept(0, invite); err == nil {
		t.Error("accepted without a group")
	}
	if _, _, err := r.core.Invited(0, Call{2, 1, -1, "", false}, "ws://bot"); err == nil {
		t.Error("invited without a key")
	}
	if _, _, err := r.core.Invited(0, Call{1, 1, 1, "key", false}, "ws://bot"); err == nil {
		t.Error("invited by a joiner")
	}
	begin := func() {
		l, outs, err := r.core.Invited(r.now, invite, "ws://bot")
		r.do(outs)
		if err != nil {
			t.Fatal(err)
		}
		r.last = l
		r.expect("JOINING")
	}
	begin()
	r.step(Opened{Link: 1})
	r.expect()
	r.step(Received{1, initPing(id(1), id(1))})
	r.expect("1< initPong #500", "joined #1", "signaling CONNECTING", "dial signaling 2 key")
	r.step(Opened{Link: 2})
	r.connected(true)
	r.expect("signaling OPEN", "signaling CHECKING", "sig< connect id=#500 members=#1", "signaling CHECKED", "JOINED")
	if err := r.accept(invite); err == nil {
		t.Error("invited to the group that it is in")
	}
	r.step(Closed{Link: 1})
	r.closeAll()
	r.expect("gone #1: <nil>", "LEAVING", "close 2", "signaling CLOSED", "LEFT: all other members have left")
	r.sum()

	// What comes to nothing ends with it.
	for name, fail := range map[string]func(){
		"closed":       func() { r.step(Closed{Link: r.last, Err: errors.New("reset")}) },
		"never opened": func() { r.pass(DialTimeout); r.skip() },
		"no initPing":  func() { r.step(Opened{Link: r.last}); r.quiet(InitTimeout-1, 2); r.pass(1) },
	} {
		begin()
		fail()
		r.closeAll()
		if r.core.State() != StateLeft || r.core.Key() != "" {
			t.Errorf("%s: %v", name, r.core.State())
		}
		r.skip()
		r.sum()
	}
}

// TestInvitedWithoutSignaling: there may be no signaling server that the bot knows.
func TestInvitedWithoutSignaling(t *testing.T) {
	r := newRig(t, Config{NoSignaling: true})
	l, outs, err := r.core.Invited(0, Call{2, int64(id(600)), -1, "key", false}, "ws://bot")
	r.do(outs)
	if err != nil {
		t.Fatal(err)
	}
	r.step(Opened{Link: l})
	r.step(Received{l, initPing(id(1), id(1))})
	r.expect("JOINING", "1< initPong #500", "joined #1", "JOINED")
	r.step(Closed{Link: l})
	r.closeAll()
	r.expect("gone #1: <nil>", "LEAVING", "LEFT: the other end is gone")
	r.sum()
}

// TestBotGroup has a bot invited into a group, members that join later come in through it, since it is favored, and all
// be adjacent, by WebSocket where one listens. When all have left it leaves.
func TestBotGroup(t *testing.T) {
	s := newSim(t, 1)
	nodes := s.group(2, Config{})
	bot := s.node(Config{LeaveAlone: true})
	bot.bot, bot.url = true, "ws://bot"
	nodes[0].step(Invite{Token: 1, URL: bot.url})
	s.until(5*time.Second, "the bot has joined", func() bool { return full(nodes[0], nodes[1], bot) })
	if err := nodes[0].done[1]; err != nil {
		t.Error(err)
	}
	if want := []string{"CONNECTING", "OPEN", "CHECKING", "CHECKED"}; !slices.Equal(bot.signals, want) || bot.states[len(bot.states)-1] != "JOINED" {
		t.Errorf("signaling %v, states %v", bot.signals, bot.states)
	}
	listener := s.node(Config{})
	listener.url = "ws://listener"
	listener.step(Join{Key: "key", Listen: listener.url})
	late := s.node(Config{})
	all := append(nodes, bot, listener)
	s.until(5*time.Second, "a member that listens has joined", func() bool { return full(all...) })
	late.step(Join{Key: "key"})
	all = append(all, late)
	s.until(5*time.Second, "the last has joined", func() bool { return full(all...) })
	for _, n := range all {
		sockets := 0
		for _, ch := range n.core.channels {
			if ch.dials || ch.accepted {
				sockets++
			}
		}
		want := 2
		if n.url != "" {
			want = 4
		}
		if sockets != want {
			t.Errorf("%s has %d channels by WebSocket, not %d", n.name, sockets, want)
		}
	}
	nodes[0].step(Invite{Token: 2, URL: bot.url})
	s.run(time.Second)
	if err := nodes[0].done[2]; err == nil {
		t.Error("the bot was invited twice")
	}
	for _, n := range all {
		if n != bot {
			n.step(Leave{})
		}
	}
	s.until(5*time.Second, "the bot has left", func() bool { return bot.core.State() == StateLeft })
}

// TestEverySecondPair has half of the pairs unable to connect, with bots and without: all get all: MSH-15 to MSH-19.
func TestEverySecondPair(t *testing.T) {
	for _, bots := range []int{0, 1} {
		s := newSim(t, 7)
		index := map[*node]int{}
		s.cut = func(a, b *node) bool { return index[a] > 0 && index[b] > 0 && (index[a]+index[b])%2 == 1 }
		var nodes []*node
		for i := range 8 {
			n := s.node(Config{})
			if i < bots {
				n.url = fmt.Sprintf("ws://%d", i)
			}
			index[n] = i
			nodes = append(nodes, n)
			n.step(Join{Key: "key", Listen: n.url})
			s.until(60*time.Second, "JOINED and known", func() bool {
				return !slices.ContainsFunc(nodes, func(n *node) bool {
					return n.core.State() != StateJoined || len(n.core.Members()) != len(nodes)
				})
			})
		}
		texts := [][]byte{[]byte("short"), pattern(3*ChunkSize + 7)}
		for _, from := range nodes {
			for i, data := range texts {
				from.send(0, data)
				_ = i
				for _, to := range nodes {
					if to != from {
						from.send(to.core.ID(), data)
					}
				}
			}
		}
		s.run(5 * time.Second)
		for _, n := range nodes {
			for _, d := range n.got {
				if !slices.ContainsFunc(texts, func(t []byte) bool { return bytes.Equal(t, d.Data) }) {
					t.Errorf("%s got what nobody sent", n.name)
				}
			}
			if len(n.got) != (len(nodes)-1)*len(texts)*2 {
				t.Errorf("%s got %d messages", n.name, len(n.got))
			}
		}
	}
}

// TestBlock ends the channel of a pair for good: they talk through the others, until that is taken back.
func TestBlock(t *testing.T) {
	s := newSim(t, 3)
	nodes := s.group(4, Config{})
	a, b := nodes[0], nodes[1]
	was := b.core.ID()
	a.step(Drop{Token: 1, ID: was})
	if slices.Contains(a.core.Neighbors(), was) || a.done[1] != nil {
		t.Errorf("neighbors %v, %v", a.core.Neighbors(), a.done[1])
	}
	s.until(3*time.Second, "a new channel", func() bool { return full(nodes...) }) // MSH-24
	a.step(Drop{Token: 2, ID: was, Block: true})
	distant := func() bool {
		return len(a.core.Members()) == 4 && len(b.core.Members()) == 4 && len(a.core.Neighbors()) == 2 && len(b.core.Neighbors()) == 2
	}
	s.until(3*time.Second, "they are distant", distant)
	s.run(time.Minute)
	if !distant() {
		t.Errorf("%s", s.describe())
	}
	a.send(was, []byte("to b"))
	b.send(a.core.ID(), []byte("to a"))
	s.run(time.Second)
	if len(a.got) != 1 || len(b.got) != 1 {
		t.Errorf("a got %v, b got %v", a.got, b.got)
	}
	b.step(Unblock{ID: a.core.ID()}) // it has not blocked
	a.step(Unblock{ID: was})
	s.until(3*time.Second, "a channel again", func() bool { return full(nodes...) })
	a.step(Drop{Token: 3, ID: 7})
	if a.done[3] != ErrNoMember {
		t.Error(a.done[3])
	}
}

package mesh

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

func (r *rig) count(prefix string) (n int) {
	for _, line := range r.log {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

// TestMaxControl: a member that has us answer and takes no answer is dropped before that needs much memory.
func TestMaxControl(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	other := r.letIn(id(2))
	r.hold(l)
	r.skip()
	for range MaxControl / itemCost {
		r.says(l, id(1), wire.ServiceChannelBuilder, requestOf(id(1), id(2))) // denied: it is adjacent
		if r.core.channels[l] == nil {
			break
		}
		if size := r.core.channels[l].outSize; size > MaxControl+1000 {
			t.Fatalf("%d bytes wait", size)
		}
	}
	r.step(Tick{})
	if r.count("gone #1: takes messages too slowly") != 1 || r.core.channels[other] == nil {
		t.Errorf("%q", r.log[max(0, len(r.log)-5):])
	}
}

// TestMaxMaking: channels that come to nothing count until their links have ended.
func TestMaxMaking(t *testing.T) {
	r := newRig(t, Config{}).first()
	r.skip()
	ask := func() {
		for n := range uint32(MaxMaking + 50) {
			r.content(n+1, wire.ServiceChannelBuilder, request(nil))
			r.content(n+1, wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
		}
	}
	ask()
	if n := r.count("offer"); n != MaxMaking {
		t.Errorf("%d offers", n)
	}
	r.quiet(15 * time.Second) // all have failed
	if n := len(r.core.making); n != MaxMaking || len(r.core.channels) != 0 {
		t.Errorf("%d links in the making, %d channels", n, len(r.core.channels))
	}
	r.skip()
	ask()
	if n := r.count("offer"); n != 0 {
		t.Errorf("%d offers more", n)
	}
	r.quiet(15 * time.Second)
	r.closeAll()
	if n := len(r.core.making); n != 0 {
		t.Errorf("%d links in the making", n)
	}
	r.skip()
	ask()
	if n := r.count("offer"); n != MaxMaking {
		t.Errorf("%d offers", n)
	}
}

// TestMaxOffers: in one attempt a peer does not have us make one connection after the other.
func TestMaxOffers(t *testing.T) {
	r := newRig(t, Config{}).first()
	r.content(9, wire.ServiceChannelBuilder, request(nil))
	r.skip()
	for i := range 3 * MaxOffers {
		r.content(9, wire.ServiceDataChannelBuilder, offer(fmt.Sprint(i)))
	}
	if n := r.count("answer"); n != MaxOffers {
		t.Errorf("%d answers", n)
	}
}

// TestNoDial: with NoDial no WebSocket is opened because a peer listens, and it is told so; the other way is taken.
func TestNoDial(t *testing.T) {
	r := newRig(t, Config{NoDial: true}).first()
	r.content(9, wire.ServiceChannelBuilder, request(nil))
	r.skip()
	listens := canDo
	listens.WSS = "ws://127.0.0.1:1"
	r.content(9, wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: listens}))
	r.expect(`offer 2 {"id":#500,"type":2}`)
	if i := r.core.info(address{}); i.WSSupported || !i.WSTried {
		t.Errorf("%+v", i)
	}
	r.step(Invite{Token: 1, URL: "ws://127.0.0.1:1"}) // what the user asks for is another matter
	r.expect("dial 3 ws://127.0.0.1:1/?type=2&wcId=#501&senderId=-1&key=key")

	r = newRig(t, Config{NoDial: true}).asking() // whatever the other end says that we have said
	r.content(0, wire.ServiceChannelBuilder, response(true))
	r.skip()
	n := wire.Negotiation{Initiator: canDo, HasPassive: true, Passive: listens}
	r.content(0, wire.ServiceChannelBuilder, negotiation(n))
	if r.count("dial") != 0 || r.count("offer") != 1 {
		t.Errorf("%q", r.log)
	}
}

// TestMaxFrame: messages of more than 65,535 bytes are neither taken nor passed on (CHN-4).
func TestMaxFrame(t *testing.T) {
	r := newRig(t, Config{}).first()
	a, b := r.letIn(id(1)), r.letIn(id(2))
	r.skip()
	frame := func(to uint32, n int) []byte {
		m := wire.Message{SenderID: id(1), RecipientID: to, ServiceID: wire.ServiceUserMessage}
		um := wire.UserMessage{Type: wire.UserBytes, Kind: wire.UserMessageFull, Full: []byte{}}
		m.Content = um.Append(nil)
		um.Full = bytes.Repeat([]byte{1}, n-len(m.Append(nil))-8)
		m.Content = um.Append(nil)
		for len(m.Append(nil)) < n {
			um.Full = append(um.Full, 1)
			m.Content = um.Append(nil)
		}
		return m.Append(nil)
	}
	r.step(Received{a, frame(0, MaxFrame)})
	r.step(Received{a, frame(0, MaxFrame+1)})
	r.step(Received{a, frame(id(2), MaxFrame)})
	r.step(Received{a, frame(id(2), MaxFrame+1)})
	// One that is short enough as it came, but not as it is passed on, with the fields that it lacks.
	m := wire.Message{RecipientID: id(2), Content: make([]byte, MaxFrame)}
	short := m.Append(nil)
	short = append(short[:0:0], short[2:]...) // without the senderId
	m.Content = m.Content[:MaxFrame-(len(short)-MaxFrame)]
	r.step(Received{a, m.Append(nil)[2:]})
	if len(r.got) != 1 || r.count(fmt.Sprint(b, "< ")) != 1 {
		t.Errorf("%d delivered, %d passed on: %.300q", len(r.got), r.count(fmt.Sprint(b, "< ")), r.log)
	}
}

// TestStalledRoute: a distant member is not silent if nothing is read from the link on which it is heard (MSH-13).
func TestStalledRoute(t *testing.T) {
	for _, stalled := range []bool{true, false} {
		r := newRig(t, Config{}).first()
		l := r.letIn(id(1))
		r.distant(l, id(2), id(1))
		r.step(Stalled{Link: l, On: stalled})
		for range 12 {
			r.pass(time.Second)
			if !stalled {
				r.says(l, id(1), wire.ServiceHeartbeat, nil)
			}
			r.signaling(wire.Signaling{Kind: wire.SignalingHeartbeat, Heartbeat: true})
		}
		if got := len(r.core.Members()) == 3; got != stalled {
			t.Errorf("stalled %v: members %v", stalled, r.core.Members())
		}
	}
}

// TestLeaveWithMessageInHand: a channel from which a message has been pulled is closed when the next pull shows that the
// message has been sent (STA-17).
func TestLeaveWithMessageInHand(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.hold(l)
	r.step(Send{Token: 1, Data: []byte("x")})
	r.pullOne(l)
	r.step(Leave{})
	r.step(Closed{Link: 1})
	if n := r.count(fmt.Sprint("close ", l)); n != 0 {
		t.Errorf("%q", r.log)
	}
	r.pullOne(l)
	if n := r.count(fmt.Sprint("close ", l)); n != 1 {
		t.Errorf("%q", r.log)
	}
}

// TestLedWithoutRoom leads a member that has as many others as it may have to one more: it is refused, and nothing
// changes (STA-20, STA-13).
func TestLedWithoutRoom(t *testing.T) {
	r := newRig(t, Config{MaxMembers: 3}).first()
	l1, l2 := r.letIn(id(1)), r.letIn(id(2))
	r.quiet(21*time.Second, l1, l2)
	r.connected(false)
	r.content(0, wire.ServiceChannelBuilder, response(true))
	r.content(0, wire.ServiceDataChannelBuilder, offer("sdp"))
	l := r.last
	r.step(Opened{l, `{"id":2147483651,"type":2}`})
	r.step(Received{l, initPing(id(3), id(3))})
	if r.core.SignalingState() == SignalingChecking {
		r.connected(true)
	}
	if r.core.topology != constructed {
		t.Errorf("topology %v", r.core.topology)
	}
	r.step(Closed{Link: r.core.sig.link})
	if got := r.quiet(time.Minute, l1, l2); !strings.Contains(strings.Join(got, "\n"), "dial signaling") {
		t.Error("it does not connect to signaling again")
	}
}

// TestHalfFallsSilent: however many members fall silent at a time, what is told of that drops no channel that is alive.
func TestHalfFallsSilent(t *testing.T) {
	const n = 200
	r := newKeeper(t, Config{}).first()
	var links []Link
	for i := uint32(1); i <= n; i++ {
		l := r.letIn(id(i))
		r.says(l, id(i), wire.ServiceDelivery, hello(i, r.core.members[id(i)].session, 1<<20))
		links = append(links, l)
	}
	r.skip()
	for range 28 {
		r.pass(500 * time.Millisecond)
		for _, l := range links[:n/2] {
			if r.core.channels[l] != nil {
				r.step(Received{l, nil})
			}
		}
		r.step(Received{r.core.sig.link, (&wire.Signaling{Kind: wire.SignalingHeartbeat, Heartbeat: true}).Append(nil)})
	}
	if k := len(r.core.Neighbors()); k != n/2 {
		t.Errorf("%d of %d channels that are alive are left", k, n/2)
	}
}

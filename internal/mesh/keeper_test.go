package mesh

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

func hello(session, echo, window uint32) []byte {
	return (&wire.Delivery{Kind: wire.DeliveryHello, Hello: wire.Hello{Version: 1, Session: session, Echo: echo, Window: window}}).Append(nil)
}

func ack(session uint32, n uint64) []byte {
	return (&wire.Delivery{Kind: wire.DeliveryAck, Ack: wire.Ack{Session: session, Number: n}}).Append(nil)
}

// part is a whole user message with a number.
func part(session uint32, n uint64, text string) []byte {
	return (&wire.UserMessage{Length: uint32(len(text)), Kind: wire.UserMessageFull, Full: []byte(text), Number: n, Session: session}).Append(nil)
}

// keeper is a rig with two members, #1 and #2, on links 2 and 3, of which the first keeps the contract with session 70; its
// own for that one is returned.
func keeper(t *testing.T, cfg Config) (r *rig, session uint32) {
	r = newKeeper(t, cfg).first()
	if l := r.letIn(id(1)); l != 2 {
		t.Fatal(l)
	}
	session = r.core.members[id(1)].session
	r.says(2, id(1), wire.ServiceDelivery, hello(70, session, 1<<20))
	if l := r.letIn(id(2)); l != 3 {
		t.Fatal(l)
	}
	r.skip()
	return r, session
}

func (r *rig) send(to uint32, data string) {
	r.t.Helper()
	r.step(Send{Token: 9, To: to, Text: true, Data: []byte(data)})
}

// TestHello: EXT-1, EXT-2, EXT-3.
func TestHello(t *testing.T) {
	r := newKeeper(t, Config{}).first()
	l := r.halfIn()
	r.step(Received{l, initPong(id(1))})
	session := r.core.members[id(1)].session
	r.expect(fmt.Sprintf("2< from=#500 to=#1 hello session=%d echo=0 window=4194304", session), "joined #1")
	r.says(l, id(1), wire.ServiceDelivery, hello(70, 0, 1<<20)) // it does not know ours
	r.expect(fmt.Sprintf("2< from=#500 to=#1 hello session=%d echo=70 window=4194304", session))
	r.says(l, id(1), wire.ServiceDelivery, hello(70, session, 1<<20))
	r.says(l, id(1), wire.ServiceDelivery, hello(0, session, 1<<20)) // which is none
	r.says(l, id(1), wire.ServiceDelivery, []byte{0x80})
	r.says(l, id(1), wire.ServiceDelivery, []byte{})
	r.expect()
	// It has lost what there was: what is on its way is given up, and what it sends begins anew.
	r.says(l, id(1), wire.ServiceUserMessage, part(session, 1, "one"))
	r.send(id(1), "given up")
	r.hold(l)
	r.send(id(1), "kept")
	r.skip()
	r.says(l, id(1), wire.ServiceDelivery, hello(71, 0, 1<<20))
	again := r.core.members[id(1)].session
	if again == session {
		t.Error("the session is the same")
	}
	r.free(l)
	r.expect(fmt.Sprintf("2< from=#500 to=#1 hello session=%d echo=71 window=4194304", again),
		`2< from=#500 to=#1 user length=4 type=0 full="kept" number=71/1 all=false`)
	r.says(l, id(1), wire.ServiceUserMessage, part(session, 2, "of the old one"))
	r.says(l, id(1), wire.ServiceUserMessage, part(again, 1, "of the new one"))
	r.expect(`deliver #1 text=true private=true "of the new one"`)
	r.leave()
}

// TestNumbers: EXT-4, EXT-7, and WIR-15: an original gets no field of an extension.
func TestNumbers(t *testing.T) {
	r, _ := keeper(t, Config{})
	r.send(0, "to all")
	r.send(id(1), "to one")
	r.send(id(2), "to an original")
	r.expect(`2< from=#500 to=0 user length=6 type=0 full="to all" number=70/1 all=true`,
		`3< from=#500 to=0 user length=6 type=0 full="to all"`, "done 9: <nil>",
		`2< from=#500 to=#1 user length=6 type=0 full="to one" number=70/2 all=false`, "done 9: <nil>",
		`3< from=#500 to=#2 user length=14 type=0 full="to an original"`, "done 9: <nil>")
	m := r.core.members[id(1)]
	if len(m.queue) != 2 || len(r.core.members[id(2)].queue) != 0 {
		t.Errorf("%d messages are kept", len(m.queue))
	}
	r.says(2, id(1), wire.ServiceDelivery, ack(71, 2)) // of another session
	r.says(2, id(1), wire.ServiceDelivery, ack(70, 3)) // of what was not sent
	if len(m.queue) != 2 {
		t.Errorf("%d messages are kept", len(m.queue))
	}
	r.says(2, id(1), wire.ServiceDelivery, ack(70, 1))
	r.says(2, id(1), wire.ServiceDelivery, ack(70, 2))
	if len(m.queue) != 0 || m.queued != 0 || m.inflight != 0 {
		t.Errorf("%d messages are kept, %d bytes, %d on their way", len(m.queue), m.queued, m.inflight)
	}
	// No more than the window is on its way.
	r.says(2, id(1), wire.ServiceDelivery, hello(70, m.session, 30_000))
	r.skip()
	r.send(id(1), string(pattern(50_000)))
	sent := func() int { return len(r.log) - 1 }
	if sent() != 2 {
		t.Errorf("%d parts were sent: %q", sent(), r.log)
	}
	r.says(2, id(1), wire.ServiceDelivery, ack(70, 3))
	if sent() != 3 {
		t.Errorf("%d parts were sent: %q", sent(), r.log)
	}
	r.says(2, id(1), wire.ServiceDelivery, ack(70, 5))
	if sent() != 4 {
		t.Errorf("%d parts were sent: %q", sent(), r.log)
	}
	r.says(2, id(1), wire.ServiceDelivery, ack(70, 6))
	r.leave()
}

// TestInOrder: EXT-5, EXT-6.
func TestInOrder(t *testing.T) {
	r, session := keeper(t, Config{Window: 1000})
	say := func(n uint64, text string) { r.says(2, id(1), wire.ServiceUserMessage, part(session, n, text)) }
	heard := func(text string) string { return fmt.Sprintf("deliver #1 text=true private=true %.50q", text) }
	acked := func(n int) string { return fmt.Sprintf("2< from=#500 to=#1 ack %d/%d", session, n) }
	say(1, "a")
	r.expect(heard("a"))
	r.pass(AckDelay - 1)
	r.expect()
	r.pass(1)
	r.expect(acked(1))
	say(3, "c")
	say(4, "d")
	r.expect(acked(1), acked(1))
	say(3, "c")
	r.expect(acked(1))
	say(2, "b")
	r.expect(heard("b"), heard("c"), heard("d"))
	r.pass(AckDelay)
	r.expect(acked(4))
	for n := range uint64(5) {
		say(n, "again")
	}
	r.expect("deliver #1 text=true private=true \"again\"", acked(4), acked(4), acked(4), acked(4)) // that without a number is none
	say(6, string(pattern(2000)))                                                                   // beyond the window
	r.expect(acked(4))
	say(5, "e")
	r.expect(heard("e"))
	r.pass(AckDelay)
	r.expect(acked(5))
	r.says(2, id(1), wire.ServiceUserMessage, part(session+1, 6, "of another sequence"))
	r.expect()
	r.says(3, id(2), wire.ServiceUserMessage, part(5, 6, "of one that said no hello"))
	r.expect(`deliver #2 text=true private=true "of one that said no hello"`)
	long := string(pattern(15_000))
	for n := range uint64(5) { // 64 KiB
		r.skip()
		say(6+n, long)
	}
	if last := r.log[len(r.log)-1]; last != short(acked(10)) {
		t.Errorf("after 64 KiB: %q", r.log)
	}
	r.leave()
}

// TestWayChanges: EXT-8, EXT-10, MSH-24.
func TestWayChanges(t *testing.T) {
	r, session := keeper(t, Config{})
	r.send(0, "one")
	r.send(id(1), "two")
	r.says(2, id(1), wire.ServiceDelivery, ack(70, 1))
	r.skip()
	r.step(Closed{Link: 2}) // without a bye
	relayed := `3< from=#500 to=#1 user length=3 type=0 full="two" number=70/2 all=false`
	r.expect("3< from=#500 to=#1 adjacentMembers=#2", relayed)
	if m := r.core.Members(); len(m) != 3 {
		t.Errorf("members %v", m)
	}
	r.send(id(1), "three")
	third := `3< from=#500 to=#1 user length=5 type=0 full="three" number=70/3 all=false`
	r.expect(third, "done 9: <nil>")
	repeats := func(d time.Duration) {
		t.Helper()
		r.pass(d - time.Millisecond)
		r.skip()
		r.pass(time.Millisecond)
		r.expect(relayed, third)
	}
	repeats(MinRepeat)
	repeats(2 * MinRepeat)
	r.says(3, id(1), wire.ServiceDelivery, ack(70, 3))
	r.pass(MaxRepeat)
	if m := r.core.members[id(1)]; len(m.queue) != 0 || m.repeat.index >= 0 {
		t.Error("it goes on to repeat")
	}
	r.skip()
	r.says(3, id(1), wire.ServiceUserMessage, part(session, 1, "by another way"))
	r.expect(`deliver #1 text=true private=true "by another way"`)
	r.says(3, id(1), wire.ServiceDelivery, (&wire.Delivery{Kind: wire.DeliveryBye}).Append(nil))
	r.expect("gone #1: <nil>")
	r.leave()
}

// TestBye: EXT-10.
func TestBye(t *testing.T) {
	r, _ := keeper(t, Config{})
	r.says(2, id(1), wire.ServiceDelivery, (&wire.Delivery{Kind: wire.DeliveryBye}).Append(nil))
	r.expect()
	r.step(Closed{Link: 2})
	r.connected(true)
	if m := r.core.Members(); len(m) != 2 {
		t.Errorf("members %v", m)
	}
	r, _ = keeper(t, Config{})
	r.step(Leave{})
	r.closeAll()
	r.expect("LEAVING", "close 1", "signaling CLOSED", "2< from=#500 to=#1 bye", "close 2", "close 3", "gone #1: <nil>", "gone #2: <nil>", "LEFT")
}

// TestSilence: EXT-9.
func TestSilence(t *testing.T) {
	r, _ := keeper(t, Config{})
	probe := func(is bool) []byte { return (&wire.Delivery{Kind: wire.DeliveryProbe, Probe: is}).Append(nil) }
	r.says(2, id(1), wire.ServiceDelivery, probe(false))
	r.expect("2< from=#500 to=#1 probe true")
	if lines := r.quiet(ProbeAfter+ProbeInterval, 3); !slices.Contains(lines, "2< from=#500 to=#1 probe false") {
		t.Errorf("it did not ask: %q", lines)
	}
	r.says(2, id(1), wire.ServiceDelivery, probe(true))
	r.skip()
	r.quiet(SuspectAfter+ProbeInterval, 3)
	r.skip()
	r.send(id(1), "round it")
	r.expect(`3< from=#500 to=#1 user length=8 type=0 full="round it" number=70/1 all=false`, "done 9: <nil>")
	r.says(2, id(1), wire.ServiceDelivery, probe(true))
	r.expect()
	r.pass(MinRepeat)
	r.expect(`2< from=#500 to=#1 user length=8 type=0 full="round it" number=70/1 all=false`)
	r.says(2, id(1), wire.ServiceDelivery, ack(70, 1))
	r.pass(MinRepeat)
	r.expect()
	r.send(id(1), "straight")
	r.expect(`2< from=#500 to=#1 user length=8 type=0 full="straight" number=70/2 all=false`, "done 9: <nil>")
	// Who does not read, as its user is busy, gives signs without being asked.
	r.step(Stalled{2, true})
	signs := 0
	for _, line := range r.quiet(3*time.Second, 3) {
		if line == "2< from=#500 to=#1 probe true" {
			signs++
		}
	}
	if signs < 5 {
		t.Errorf("%d signs", signs)
	}
}

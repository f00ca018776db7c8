package netflux_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshpair/meshpair/netflux"
)

// waitState waits until a peer is in a state.
func (p *peer) waitState(s netflux.State, limit time.Duration) {
	p.t.Helper()
	for end := time.Now().Add(limit); p.State() != s; time.Sleep(time.Millisecond) { // of virtual time
		if time.Now().After(end) {
			p.t.Fatalf("%v and not %v after %v; %.3000s", p.State(), s, limit, brief(p.events))
		}
	}
}

// TestSignalingRestart restarts the signaling server under a group: messages flow on and none is lost, everybody stays
// who he is, and soon the group is JOINED again (STA-13). Not all come back at once (STA-18).
func TestSignalingRestart(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.group(20, netflux.Config{})
		ids := make([][]uint32, len(all))
		for i, p := range all {
			ids[i] = p.Members()
		}
		f := startFlow(all, time.Second)
		time.Sleep(3 * time.Second)
		before := len(w.Dials(signalingAddr))
		down := time.Now()
		w.stopServer()
		for _, p := range all {
			p.waitState(netflux.Joining, time.Second)
		}
		time.Sleep(20 * time.Second)
		w.startServer()
		up := time.Now()
		for _, p := range all {
			p.waitState(netflux.Joined, time.Until(up.Add(10*time.Second)))
		}
		time.Sleep(3 * time.Second)
		if n := f.end(); n < 20*20 {
			t.Errorf("%d messages were sent", n)
		}
		for i, p := range all {
			if !slices.Equal(p.Members(), ids[i]) || len(p.Neighbors()) != len(all)-1 {
				t.Errorf("members %v, neighbors %v, before %v", p.Members(), p.Neighbors(), ids[i])
			}
			if lost := losses(p); lost != nil {
				t.Errorf("%v", lost)
			}
			if got := strings.Join(states(p.wait("", always)), " "); got != "JOINING JOINED JOINING JOINED" {
				t.Errorf("states %s", got)
			}
			if s := p.SignalingState(); s != netflux.SignalingChecked {
				t.Errorf("signaling is %v", s)
			}
		}
		moments := make(map[time.Duration]bool)
		for _, at := range w.Dials(signalingAddr)[before:][:len(all)] {
			pause := at.Sub(down).Truncate(time.Millisecond)
			moments[pause] = true
			if pause < 1500*time.Millisecond || pause > 3*time.Second+netflux.MaxMemLatency {
				t.Errorf("comes back after %v", pause)
			}
		}
		if len(moments) < len(all)/2 {
			t.Errorf("%d peers come back at %d moments", len(all), len(moments))
		}
		// The new server knows the group: who joins now finds it.
		last := w.peer(netflux.Config{})
		last.join("key")
		w.full(append(all, last), time.Minute)
	})
}

func always([]netflux.Event) bool { return true }

// TestRejoinAlone takes the signaling server away from a member that is alone: it tries again after growing pauses, as
// somebody new (STA-15, STA-18).
func TestRejoinAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.peer(netflux.Config{})
		p.join("key")
		for range 2 { // the pauses begin anew when a join succeeds
			old, before := p.ID(), len(w.Dials(signalingAddr))
			last := time.Now()
			w.stopServer()
			p.waitState(netflux.Joining, time.Second)
			time.Sleep(3 * time.Minute)
			dials := w.Dials(signalingAddr)[before:]
			if len(dials) < 8 {
				t.Fatalf("%d attempts in 3 minutes", len(dials))
			}
			most := 3 * time.Second
			for i, at := range dials {
				const trip = 3 * netflux.MaxMemLatency // to hear that nobody is there
				if pause := at.Sub(last); pause < most/2 || pause > most+trip {
					t.Errorf("pause %d is %v, of at most %v", i, pause, most)
				}
				last, most = at, min(2*most, 30*time.Second)
			}
			w.startServer()
			p.waitState(netflux.Joined, 31*time.Second)
			if p.ID() == old {
				t.Error("its id is that of before")
			}
		}
	})
}

// TestRejoinAll lets all that connects a group break at once, and nothing connect for a while: each member begins anew
// (STA-15), and is somebody new to the others. They find each other again.
func TestRejoinAll(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.group(5, netflux.Config{})
		old := all[0].Members()
		w.Fail(true)
		time.Sleep(time.Second) // of virtual time: less than a pause
		for _, p := range all {
			if m := p.Members(); p.State() != netflux.Joining || len(m) > 1 {
				t.Errorf("it is %v and knows %v", p.State(), m)
			}
		}
		time.Sleep(time.Minute)
		w.Fail(false)
		for _, p := range all {
			p.waitState(netflux.Joined, time.Minute)
		}
		w.full(all, time.Minute)
		for _, p := range all {
			if slices.Contains(old, p.ID()) {
				t.Errorf("%d is who it was", p.ID())
			}
			lost, joined := 0, 0
			for _, e := range p.wait("", always) {
				switch e := e.(type) {
				case netflux.MemberLeft:
					lost++
					if e.Err == nil {
						t.Error("a member that was lost is said to have left")
					}
				case netflux.MemberJoined:
					joined++
				}
			}
			if lost != 4 || joined != 8 {
				t.Errorf("told of %d losses and %d joins", lost, joined)
			}
		}
		f := startFlow(all, 50*time.Millisecond)
		time.Sleep(time.Second)
		f.end()
	})
}

// TestNoRejoin checks what a group does that must not rejoin: it goes on without signaling, and is LEFT when nothing is
// left (STA-16).
func TestNoRejoin(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.group(3, netflux.Config{NoRejoin: true})
		w.stopServer()
		time.Sleep(time.Minute)
		for _, p := range all {
			if p.State() != netflux.Joined || p.SignalingState() != netflux.SignalingClosed || len(p.Members()) != 3 {
				t.Errorf("%v, signaling %v, members %v", p.State(), p.SignalingState(), p.Members())
			}
		}
		f := startFlow(all, 100*time.Millisecond)
		time.Sleep(time.Second)
		f.end()
		w.Fail(true)
		for _, p := range all {
			p.waitState(netflux.Left, time.Second)
			events := p.wait("LEFT", func(e []netflux.Event) bool { s := states(e); return s[len(s)-1] == "LEFT" })
			if last, ok := events[len(events)-1].(netflux.StateChanged); !ok || last.Err == nil {
				t.Errorf("the last event is %v", events[len(events)-1])
			}
			if err := p.Send(t.Context(), netflux.Text, nil); !errors.Is(err, netflux.ErrNotInGroup) {
				t.Error(err)
			}
		}
		// And one that is alone.
		w.Fail(false)
		w.startServer()
		p := w.peer(netflux.Config{NoRejoin: true})
		p.join("key")
		w.stopServer()
		p.waitState(netflux.Left, time.Second)
		w.startServer()
		all[0].join("key") // it can be joined again
	})
}

// both returns the states of the group and of signaling, in the order in which they came.
func both(events []netflux.Event) string {
	var all []string
	for _, e := range events {
		switch e := e.(type) {
		case netflux.StateChanged:
			all = append(all, e.State.String())
		case netflux.SignalingChanged:
			all = append(all, strings.ToLower(e.State.String()))
		}
	}
	return strings.Join(all, " ")
}

// TestStatesInOrder checks what a first, a second and a third member see, and a bot that is invited (STA-3 to STA-6).
func TestStatesInOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.group(3, netflux.Config{})
		l, err := w.Listen("127.0.0.1:9000")
		if err != nil {
			t.Fatal(err)
		}
		bot := w.bot(l, netflux.BotConfig{})
		if err := all[1].Invite(t.Context(), "ws://127.0.0.1:9000"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // of virtual time: all that is to happen happens
		const joins = "JOINING connecting open checking checked JOINED checking checked"
		for i, p := range all {
			if got := both(p.wait("", always)); got != joins {
				t.Errorf("member %d saw %s", i, got)
			}
		}
		if got := both(bot.wait("", always)); got != "JOINING connecting open checking checked JOINED" {
			t.Errorf("the bot saw %s", got)
		}
		for _, g := range bot.Groups() {
			if len(g.Members()) != 4 || len(g.Neighbors()) != 3 {
				t.Errorf("the bot knows %v and has channels with %v", g.Members(), g.Neighbors())
			}
		}
	})
}

// leaveSoon leaves, which must not take long (STA-17).
func (p *peer) leaveSoon(what string) {
	p.t.Helper()
	begin := time.Now()
	if err := p.Leave(context.Background()); err != nil {
		p.t.Errorf("%s: Leave: %v", what, err)
	}
	if d := time.Since(begin); d > time.Second || p.State() != netflux.Left {
		p.t.Errorf("%s: %v after %v", what, p.State(), d)
	}
}

// TestLeaveWhileJoining leaves at a hundred moments while it joins, one after the other: each time that is done soon, and
// in the end the peer is let in as if nothing had been (STA-17).
func TestLeaveWhileJoining(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.group(2, netflux.Config{})
		p := w.peer(netflux.Config{})
		phases := make(map[string]bool)
		joined := 0
		for i := range 100 {
			result := make(chan error, 1)
			go func() { result <- p.Join(t.Context(), "key") }()
			after := time.Duration(i) * 4 * time.Millisecond
			synctest.Wait() // or Leave may come first
			time.Sleep(after)
			phases[fmt.Sprint(p.State(), p.SignalingState(), len(p.Neighbors()))] = true
			p.leaveSoon(fmt.Sprint("after ", after))
			var join *netflux.JoinError
			if err := <-result; err == nil {
				joined++
			} else if !errors.As(err, &join) {
				t.Errorf("after %v: Join: %v", after, err)
			}
		}
		if len(phases) < 6 || joined == 0 || joined > 90 {
			t.Errorf("left in %d phases, and %d times after JOINED: %v", len(phases), joined, phases)
		}
		p.join("key")
		w.full(append(all, p), time.Minute)
	})
}

// TestLeaveWithoutSignaling leaves while signaling is connected to again, or everything begun anew: each time that is
// done soon, and joining again works (STA-13, STA-15, STA-17).
func TestLeaveWithoutSignaling(t *testing.T) {
	for _, n := range []int{3, 1} {
		inWorld(t, func(t *testing.T, w *world) {
			all := w.group(n, netflux.Config{})
			p := all[n-1]
			phases := make(map[netflux.SignalingState]bool)
			for i := range 20 {
				what := fmt.Sprintf("round %d of %d members", i, n)
				w.stopServer()
				p.waitState(netflux.Joining, time.Second)
				time.Sleep(time.Duration(i) * 211 * time.Millisecond)
				if i == 19 { // while it connects, also
					for p.SignalingState() != netflux.SignalingConnecting {
						time.Sleep(time.Millisecond)
					}
				}
				phases[p.SignalingState()] = true
				p.leaveSoon(what)
				if id := p.ID(); id != 0 {
					t.Errorf("%s: it has the id %d still", what, id)
				}
				w.startServer()
				for _, o := range all[:n-1] {
					o.waitState(netflux.Joined, 10*time.Second)
				}
				p.join("key")
				w.full(all, time.Minute)
			}
			if len(phases) < 2 {
				t.Errorf("left in the phases %v", phases)
			}
		})
	}
}

// TestFlaps joins and leaves a hundred times, as fast as that goes (STA-17): the others forget each who leaves.
func TestFlaps(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		all := w.group(2, netflux.Config{})
		p := w.peer(netflux.Config{})
		seen := make(map[uint32]bool)
		for range 100 {
			p.join("key")
			if seen[p.ID()] {
				t.Errorf("%d was there before", p.ID())
			}
			seen[p.ID()] = true
			if err := p.Send(t.Context(), netflux.Text, []byte("short visit")); err != nil {
				t.Error(err)
			}
			p.leaveSoon("joined")
		}
		w.full(all, time.Second)
		for _, o := range all {
			if got := o.messages(100); len(got) != 100 {
				t.Errorf("%d messages", len(got))
			}
		}
	})
}

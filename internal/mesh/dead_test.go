package mesh

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

func probe(is bool) []byte {
	return (&wire.Delivery{Kind: wire.DeliveryProbe, Probe: is}).Append(nil)
}

// TestDeadChannel: EXT-11. A channel is ended whose other end answers by way of others, and only then.
func TestDeadChannel(t *testing.T) {
	suspect := func() *rig {
		r, _ := keeper(t, Config{})
		if lines := r.quiet(SuspectAfter+2*ProbeInterval, 3); !slices.Contains(lines, "3< from=#500 to=#1 probe false") {
			t.Fatalf("it did not ask by way of the other: %q", lines)
		}
		r.skip()
		return r
	}
	r := suspect()
	r.says(3, id(1), wire.ServiceDelivery, probe(true))
	r.expect()
	lines := r.quiet(2*ProbeInterval, 3)
	if !slices.Contains(lines, "abort 2") || slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, "gone") }) {
		t.Errorf("after its answer: %q", lines)
	}
	if lines = r.quiet(SeekDelay, 3); !slices.ContainsFunc(lines, func(s string) bool { return strings.HasPrefix(s, "3< from=#500 to=#1 connectionRequest") }) {
		t.Errorf("no channel is asked for: %q", lines)
	}

	r = suspect()
	r.says(3, id(1), wire.ServiceDelivery, probe(true))
	r.says(2, id(1), wire.ServiceDelivery, probe(true)) // it was but slow
	if lines := r.quiet(2*ProbeInterval, 3); slices.Contains(lines, "abort 2") {
		t.Errorf("a channel that lives was ended: %q", lines)
	}

	r = suspect() // it may sleep
	if lines := r.quiet(4*time.Second, 3); slices.Contains(lines, "abort 2") {
		t.Errorf("a channel was ended whose other end says nothing: %q", lines)
	}

	// Who is asked by way of others answers by the same way.
	r, _ = keeper(t, Config{})
	r.says(3, id(1), wire.ServiceDelivery, probe(false))
	r.expect("3< from=#500 to=#1 probe true")
}

// TestOneWay lets all vanish that goes one way over a channel: both directions find another way, and a new channel is
// made long before the heartbeats are missed (EXT-11).
func TestOneWay(t *testing.T) {
	for seed := range uint64(10) {
		s := newSim(t, seed)
		nodes := s.group(4, Config{})
		s.run(time.Second)
		a, b := nodes[0], nodes[1]
		k := newTalk(s, nodes)
		s.between(a, b)[seed%2].hole = true
		for range 60 {
			k.say(a, nil, 100)
			k.say(b, nil, 100)
			s.run(100 * time.Millisecond)
		}
		if n := sound(nodes, a); n != 3 {
			t.Errorf("seed %d: %d channels after 6 s", seed, n)
		}
		s.until(5*time.Second, "all has come", func() bool { return settled(nodes) })
		k.check(t)
		for _, n := range nodes {
			if n.gone > 0 {
				t.Errorf("seed %d: %s lost %d members", seed, n.name, n.gone)
			}
		}
	}
}

// TestTryAgain: EXT-12. The pauses between requests grow, and begin anew after a channel that lasted.
func TestTryAgain(t *testing.T) {
	r, _ := keeper(t, Config{})
	r.quiet(SteadyTime, 2, 3)
	r.step(Closed{Link: 2})
	r.skip()
	var at []time.Duration
	for end := r.now + 15*time.Minute; r.now < end; {
		for _, line := range r.quiet(time.Second, 3) {
			if strings.Contains(line, "to=#1 connectionRequest") {
				at = append(at, r.now)
				r.says(3, id(1), wire.ServiceChannelBuilder, (&wire.ChannelBuilder{Kind: wire.ChannelBuilderConnectionResponse}).Append(nil))
			}
		}
		r.mesh(3, id(1), wire.FullMesh{Kind: wire.FullMeshHeartbeat, Heartbeat: true})
	}
	if len(at) < 8 || len(at) > 13 {
		t.Fatalf("%d requests in 15 minutes", len(at))
	}
	if first, last := at[1]-at[0], at[len(at)-1]-at[len(at)-2]; first > 3*time.Second || last < RetryDelay/2-time.Second || last > RetryDelay+time.Second {
		t.Errorf("pauses from %v to %v", first, last)
	}
}

// TestFlap breaks a channel again and again as soon as it is there: it is not made more than so often (EXT-12).
func TestFlap(t *testing.T) {
	s := newSim(t, 1)
	nodes := s.group(3, Config{})
	a, b := nodes[0], nodes[1]
	made := 0
	for range 3000 {
		s.run(100 * time.Millisecond)
		if len(s.between(a, b)) > 0 {
			made++
			s.sever(a, b, false)
		}
	}
	if made < 3 || made > 20 {
		t.Errorf("%d channels in 300 s", made)
	}
}

// TestFreeze stops a member for a while, as a busy machine or a sleeping one does: it does not seem to leave, and gets and
// sends all (EXT-8, EXT-9, EXT-11).
func TestFreeze(t *testing.T) {
	for seed := range uint64(20) {
		s := newSim(t, seed)
		nodes := s.group(5, Config{})
		s.run(time.Second)
		k := newTalk(s, nodes)
		victim := nodes[int(seed)%5]
		frozen := time.Duration(1000+s.rand.IntN(6000)) * time.Millisecond
		for at := time.Duration(0); at < 10*time.Second; at += 100 * time.Millisecond {
			switch at {
			case time.Second:
				victim.frozen = true
			case time.Second + frozen.Truncate(100*time.Millisecond):
				victim.thaw()
			}
			for _, n := range nodes {
				if !n.frozen {
					k.say(n, nil, 100)
				}
			}
			s.run(100 * time.Millisecond)
		}
		s.run(5 * time.Second)
		if !settled(nodes) {
			t.Errorf("seed %d: something waits 5 s later", seed)
		}
		k.check(t)
		for _, n := range nodes {
			if n.gone > 0 {
				t.Errorf("seed %d: %s lost %d members", seed, n.name, n.gone)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
}

package netflux_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/scenario"
	"github.com/meshpair/meshpair/netflux"
)

// A stage runs a scenario with groups: in a bubble of virtual time, or over real sockets.
type stage struct {
	t      *testing.T
	sc     *scenario.Scenario
	ledger *scenario.Ledger
	begin  atomic.Int64 // in ns since 1970; events are noted meanwhile
	key    string
	peer   func(cfg netflux.Config) *peer
	here   map[string]*peer
	sends  sync.WaitGroup
	net    *virtualNet // of the data channels; nil: channels are cut at their ends

	virtual                 bool   // time is: how late messages come, and how soon all agree, is judged
	stopServer, startServer func() // nil: it stays
}

func readScenario(t *testing.T, name string) *scenario.Scenario {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", "scenarios", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scenario.Parse(string(b))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return sc
}

func (s *stage) now() time.Duration { return time.Since(time.Unix(0, s.begin.Load())) }

// join adds a member, which has joined when it returns.
func (s *stage) join(name string) {
	s.t.Helper()
	p := s.peer(netflux.Config{})
	var me uint32 // as long as it is a member
	p.hold = func(e netflux.Event) {
		switch e := e.(type) {
		case netflux.MemberJoined:
			me = p.ID()
			s.ledger.Name(me, name, false)
			s.ledger.Joined(me, e.ID)
		case netflux.MemberLeft:
			s.ledger.Gone(me, e.ID)
		case netflux.Message:
			s.ledger.Got(me, e.From, e.Data, s.now())
		}
	}
	s.here[name] = p
	p.join(s.key)
}

// agreed reports whether all know all.
func (s *stage) agreed() bool {
	var want []uint32
	for _, p := range s.here {
		want = append(want, p.ID())
	}
	slices.Sort(want)
	for _, p := range s.here {
		got := p.Members()
		slices.Sort(got)
		if p.State() != netflux.Joined || !slices.Equal(got, want) {
			return false
		}
	}
	return true
}

func (s *stage) until(limit time.Duration, what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			_, problems := s.ledger.Judge(s.sc.Parted())
			s.t.Fatalf("after %v: not %s; %q", limit, what, problems)
		}
	}
}

// run runs the scenario, and judges it.
func (s *stage) run() {
	s.t.Helper()
	if len(s.sc.Original) > 0 || s.sc.Window > 0 || slices.ContainsFunc(s.sc.Events, func(e scenario.Event) bool { return e.Do == scenario.Freeze }) {
		s.t.Fatal("this scenario is for the simulator alone: a group cannot be frozen, nor be an original, nor have a window of its own")
	}
	s.ledger, s.here = scenario.NewLedger(), make(map[string]*peer)
	for _, name := range s.sc.Members {
		s.join(name)
		s.until(30*time.Second, name+" is known to all", s.agreed)
	}
	s.until(30*time.Second, "a full mesh", func() bool {
		for _, p := range s.here {
			if len(p.Neighbors()) != len(s.here)-1 {
				return false
			}
		}
		return true
	})
	s.begin.Store(time.Now().UnixNano())
	mishap, healed := time.Duration(0), true
	look := func() {
		if !healed && s.agreed() {
			healed = true
			s.ledger.Healed(s.now() - mishap)
		}
	}
	for _, e := range s.sc.Steps() {
		time.Sleep(e.At - s.now()) // it says when it happens
		look()
		s.do(e)
		if e.Do != scenario.Say {
			mishap, healed = s.now(), false
		}
	}
	s.sends.Wait()
	s.until(time.Minute, "all agree", s.agreed)
	look()
	s.until(time.Minute, "all has come", s.ledger.Complete)
	for _, p := range s.here {
		s.ledger.End(p.ID())
	}
	for _, p := range s.here {
		if err := p.Leave(s.t.Context()); err != nil {
			s.t.Error(err)
		}
	}
	report, problems := s.ledger.Judge(s.sc.Parted())
	s.t.Logf("\n%v", report)
	if s.virtual {
		problems = append(problems, s.sc.Exceeded(report)...)
	}
	for _, problem := range problems {
		s.t.Error(problem)
	}
}

// do has something happen.
func (s *stage) do(e scenario.Event) {
	s.t.Helper()
	a, b := s.here[e.A], s.here[e.B]
	fine := func(err error) {
		if err != nil && !errors.Is(err, netflux.ErrNoMember) {
			s.t.Errorf("%v: %v", e, err)
		}
	}
	switch e.Do {
	case scenario.Join:
		s.join(e.A)
	case scenario.Leave:
		s.ledger.End(a.ID())
		delete(s.here, e.A)
		s.sends.Go(func() { fine(a.Leave(context.Background())) })
	case scenario.Break:
		fine(a.Drop(b.ID()))
	case scenario.Blackhole:
		if s.net != nil {
			s.net.blackhole(a, b)
			break
		}
		fine(a.Blackhole(b.ID()))
		fine(b.Blackhole(a.ID()))
	case scenario.Cut:
		fine(s.cut(a, b))
	case scenario.Split:
		for i, part := range e.Parts {
			for _, p := range part {
				for _, q := range slices.Concat(e.Parts[:i]...) {
					fine(s.cut(s.here[p], s.here[q]))
				}
			}
		}
	case scenario.Heal:
		for _, p := range s.here {
			for _, q := range s.here {
				if p != q && (e.A == "" || p == a && q == b || p == b && q == a) {
					s.heal(p, q)
				}
			}
		}
	case scenario.Signaling:
		if e.Up {
			s.startServer()
		} else {
			s.stopServer()
		}
	case scenario.Say:
		if b == nil {
			data := s.ledger.Say(a.ID(), 0, e.Size, s.now())
			fine(a.Send(s.t.Context(), netflux.Binary, data))
		} else if slices.Contains(a.Members(), b.ID()) {
			data := s.ledger.Say(a.ID(), b.ID(), e.Size, s.now())
			fine(a.SendTo(s.t.Context(), b.ID(), netflux.Binary, data))
		}
	default:
		s.t.Fatalf("%v: this is for the simulator alone", e)
	}
}

// cut has there be no channel between two members.
func (s *stage) cut(a, b *peer) error {
	if s.net != nil {
		s.net.cut(a, b, true)
		return nil
	}
	if err := a.Block(b.ID()); err != nil {
		return err
	}
	return b.Block(a.ID())
}

// heal takes a cut back, in one direction.
func (s *stage) heal(a, b *peer) {
	if s.net != nil {
		s.net.cut(a, b, false)
		return
	}
	a.Unblock(b.ID())
}

// TestScenariosInMemory runs some of the scenarios in testdata in virtual time, over a network in memory.
func TestScenariosInMemory(t *testing.T) {
	for _, name := range []string{"broken-channel", "silent-channel", "silent-relay", "flapping", "cut-pair", "signaling-outage",
		"join-and-leave", "short-split", "split"} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				s := &stage{t: t, sc: readScenario(t, name), key: "key", virtual: true, peer: w.peer, stopServer: w.stopServer, startServer: w.startServer}
				s.run()
			})
		})
	}
}

// TestScenariosOnLoopback runs some small ones over WebRTC data channels on 127.0.0.1.
func TestScenariosOnLoopback(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"broken-channel", "silent-channel", "flapping"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := startSignaling(t)
			s := &stage{t: t, sc: readScenario(t, name), key: fmt.Sprint("scenario-", name), peer: func(cfg netflux.Config) *peer {
				cfg.SignalingURL = url
				return newPeer(t, cfg)
			}}
			s.run()
		})
	}
}

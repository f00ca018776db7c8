package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// healWait is how long it may take a server to find out that a group is in parts, and to lead a member.
const healWait = 20 * time.Second

// pauseLeast and pauseMost are how long a server waits until it leads members again (SIG-52), ledAgain how long until one that has
// said nothing since, and crossing how soon after that what it says does not count (SIG-51).
const (
	pauseLeast = 2 * time.Second
	pauseMost  = 4 * time.Second
	ledAgain   = 30 * time.Second
	crossing   = time.Second
)

// A parted is a group whose members say that they are in parts.
type parted struct {
	run   *run
	begin time.Time
	peers []*peer
	ids   []uint32
	part  []int // of each, by its place
	said  byte
}

// inParts opens members and has them say that each knows those of its part alone.
func (r *run) inParts(parts ...int) *parted {
	s := &parted{run: r, begin: time.Now(), part: parts}
	for i := range parts {
		p := r.open(string(rune('A'+i)), "")
		p.connect(true, member(uint32(i+1)), s.ids...)
		s.peers = append(s.peers, p)
		s.ids = append(s.ids, member(uint32(i+1)))
	}
	for i := range parts {
		s.tell(i)
	}
	return s
}

// tell has a member say whom it knows.
func (s *parted) tell(i int) {
	var known []uint32
	for j, id := range s.ids {
		if j != i && s.part[j] == s.part[i] {
			known = append(known, id)
		}
	}
	p := s.peers[i]
	p.send(connectMessage(s.ids[i], known...))
	for until := deadline(); ; {
		m, f, err := p.message(until)
		if m.connected != nil && !*m.connected && time.Since(s.begin) >= askedAfter {
			continue // it came before the answer, as this machine is slow: it is answered by this, too
		}
		s.run.expect(m.connected != nil && *m.connected, p.name+" asked for a group", "connected:true", describe(f, err))
		return
	}
}

// unasked waits until the server sends somebody an answer for which nobody has asked, and returns who it is.
func (s *parted) unasked() int {
	i := s.unaskedUntil(time.Now().Add(healWait))
	if i < 0 {
		s.run.fail("members say that they are in parts", "connected:false for one of them", "nothing")
	}
	return i
}

// unaskedUntil is unasked, and returns -1 if nobody gets one until then.
func (s *parted) unaskedUntil(until time.Time) int {
	for time.Now().Before(until) {
		for i, p := range s.peers {
			m, f, err := p.message(time.Now().Add(20 * time.Millisecond))
			if m.connected == nil {
				s.run.expect(errors.Is(err, os.ErrDeadlineExceeded), "for "+p.name, "nothing, or connected:false", describe(f, err))
				continue
			}
			s.run.expect(!*m.connected, "for "+p.name, "connected:false", describe(f, err))
			return i
		}
	}
	return -1
}

// led waits until a member is led, and returns who it is, and to whom. Those that are asked tell whom they know.
func (s *parted) led(until time.Time) (who, to int) {
	for {
		i := s.unaskedUntil(until)
		if i < 0 {
			return -1, -1
		}
		if to, _ := s.request(i); to >= 0 {
			s.run.expect(s.part[i] == 1 && s.part[to] == 0, "a member is led", "from the smaller part to the larger",
				fmt.Sprintf("%s to %s", s.peers[i].name, s.peers[to].name))
			return i, to
		}
		s.tell(i)
	}
}

// request has a member send a content, as a joiner would, and returns who gets it, with the signaling id, or -1.
func (s *parted) request(i int) (int, uint32) {
	s.said++
	data := []byte{s.said}
	s.peers[i].send(content{sender: s.ids[i], data: data}.message())
	s.peers[i].barrier()
	for j, p := range s.peers {
		if j == i {
			continue
		}
		// What was sent to it before, unasked, stays for later.
		p.barrier()
		for k, f := range p.queue {
			if m, err := parseSignaling(f.payload); err == nil && m.content != nil && bytes.Equal(m.content.data, data) {
				p.queue = slices.Delete(p.queue, k, k+1)
				return j, m.content.sender
			}
		}
	}
	return -1, 0
}

var sigHeal = []*Case{
	{
		ID: "SIG-50/asks", Requirements: []string{"SIG-50"}, Level: Should, Slow: true,
		Sentence: "When a member does not name another one any more, both are asked once for their views; what they send then goes to nobody.",
		run: func(r *run) {
			s := r.inParts(0, 0, 0, 0)
			s.peers[3].connect(true, s.ids[3], s.ids[0], s.ids[1])
			var asked []int
			for len(asked) < 2 {
				i := s.unasked()
				asked = append(asked, i)
				to, _ := s.request(i)
				r.expect(to < 0, s.peers[i].name+" was asked for its view, and sends a content", "nobody gets it", fmt.Sprint("member ", to))
				if i == 2 {
					s.peers[2].connect(true, s.ids[2], s.ids[0], s.ids[1])
				} else {
					s.peers[i].connect(true, s.ids[i], s.ids[0], s.ids[1])
				}
			}
			slices.Sort(asked)
			r.expect(slices.Equal(asked, []int{2, 3}), "a member that is missed, and the one that misses it", "are asked: [2 3]", asked)
			r.expectNothing(s.peers...)
		},
	},
	{
		ID: "SIG-51/leads", Requirements: []string{"SIG-49", "SIG-51"}, Level: Should, Slow: true,
		Sentence: "Of a group in parts a member of the smaller one is led to one of the larger, and stays a member.",
		run: func(r *run) {
			s := r.inParts(0, 0, 0, 1, 1)
			for range 12 {
				i := s.unasked()
				to, id := s.request(i)
				if to < 0 { // it was asked
					s.tell(i)
					continue
				}
				r.expect(s.part[i] == 1 && s.part[to] == 0, "a member is led", "from the smaller part to the larger",
					fmt.Sprintf("%s to %s", s.peers[i].name, s.peers[to].name))
				s.peers[to].send(content{sender: s.ids[to], recipient: id, data: []byte{77}}.message())
				s.peers[i].expectExact(content{recipient: id, data: []byte{77}})
				joiner := r.open("J", "")
				joiner.connect(true, member(20), s.ids[i]) // it is a member still
				return
			}
			r.fail("members say that they are in parts", "one of them is led", "they are asked again and again")
		},
	},
	{
		ID: "SIG-50/leaver", Requirements: []string{"SIG-50"}, Level: Should, Slow: true,
		Sentence: "When members say that they do not know another one any more, and that one leaves, nobody is asked for anything.",
		run: func(r *run) {
			s := r.inParts(0, 0, 0)
			s.peers[0].connect(true, s.ids[0], s.ids[1])
			s.peers[1].connect(true, s.ids[1], s.ids[0])
			s.peers[2].leave()
			for until := time.Now().Add(6 * time.Second); time.Now().Before(until); {
				r.expectNothing(s.peers[:2]...)
			}
		},
	},
	{
		ID: "SIG-52/goes-on", Requirements: []string{"SIG-52", "SIG-51"}, Level: Should, Slow: true,
		Sentence: "As long as a group stays in parts each member of the smaller one is led again and again, after pauses of 2 s at least, to one after the other.",
		run: func(r *run) {
			const rounds = 4
			s := r.inParts(0, 0, 0, 1, 1)
			times, others := make(map[int]int), make(map[int]map[int]bool)
			tells := make(map[int]time.Time) // when those that were led say that it came to nothing (BLD-7)
			var first time.Time
			next := func() time.Time {
				wait := healWait
				if len(times) > 0 {
					wait = pauseMost + 8*time.Second
				}
				until := time.Now().Add(wait)
				for _, at := range tells {
					until = earlier(until, at)
				}
				return until
			}
			for times[3] < rounds || times[4] < rounds {
				telling := len(tells) > 0
				i, to := s.led(next())
				for j, at := range tells {
					if !time.Now().Before(at) {
						delete(tells, j)
						s.tell(j)
					}
				}
				if i < 0 {
					r.expect(telling, "a group stays in parts", "members are led", "they are not any more")
					continue
				}
				if len(times) == 0 {
					first = time.Now()
				}
				times[i]++
				if others[i] == nil {
					others[i] = make(map[int]bool)
				}
				others[i][to] = true
				tells[i] = time.Now().Add(2 * crossing)
				// Once it is led again at once.
				most := 2 + int((time.Since(first)+time.Second)/pauseLeast)
				r.expect(times[i] <= most, fmt.Sprintf("%s is led within %v", s.peers[i].name, time.Since(first)),
					fmt.Sprintf("%d times at most", most), times[i])
			}
			for i, to := range others {
				r.expect(len(to) > 1, s.peers[i].name+" is led again and again", "to one after the other", "to the same one")
			}
		},
	},
	{
		ID: "SIG-52/silent", Requirements: []string{"SIG-52"}, Level: Should, Slow: true,
		Sentence: "A member that was led, and says nothing of it, is not led again for 30 s, and then is.",
		run: func(r *run) {
			s := r.inParts(0, 0, 0, 1, 1)
			first := make(map[int]time.Time)
			for len(first) < 2 {
				i, _ := s.led(time.Now().Add(healWait))
				r.expect(i >= 0 && first[i].IsZero(), "members that say that they are in parts", "each is led once", fmt.Sprint("of ", first, " ", i))
				first[i] = time.Now()
			}
			i, _ := s.led(time.Now().Add(ledAgain + healWait))
			r.expect(i >= 0, "members that say nothing", "are led again", "nobody is")
			since := time.Since(first[i])
			r.expect(since > ledAgain-time.Second, "a member that says nothing is led again", "not within 30 s", since)
		},
	},
}

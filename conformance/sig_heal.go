package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// healWait is how long it may take a server to find out that a group is in parts, and to lead a member.
const healWait = 20 * time.Second

// A parted is a group whose members say that they are in parts.
type parted struct {
	run   *run
	peers []*peer
	ids   []uint32
	part  []int // of each, by its place
	said  byte
}

// inParts opens members and has them say that each knows those of its part alone.
func (r *run) inParts(parts ...int) *parted {
	s := &parted{run: r, part: parts}
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
	s.peers[i].connect(true, s.ids[i], known...)
}

// unasked waits until the server sends somebody an answer for which nobody has asked, and returns who it is.
func (s *parted) unasked() int {
	for until := time.Now().Add(healWait); time.Now().Before(until); {
		for i, p := range s.peers {
			m, f, err := p.message(time.Now().Add(20 * time.Millisecond))
			if m.connected == nil {
				s.run.expect(err != nil, "for "+p.name, "nothing, or connected:false", describe(f, err))
				continue
			}
			s.run.expect(!*m.connected, "for "+p.name, "connected:false", describe(f, err))
			return i
		}
	}
	s.run.fail("members say that they are in parts", "connected:false for one of them", "nothing")
	return 0
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
}

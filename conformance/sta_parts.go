package conformance

import (
	"fmt"
	"slices"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// staParts are the cases of a member whose group is in parts, of which a server tells it by connected:false, unasked.
var staParts = []*Case{
	{
		ID: "STA-20/asked", Requirements: []string{"STA-20"}, Level: Must,
		Sentence: "A member to which connected:false comes unasked begins an attempt; when nobody responds it sends connect with its members.",
		run: onStage(func(s *stage) {
			a, b := s.trio()
			s.ledTo(member(9)).way.expectRequest(deadline())
			begin := time.Now()
			s.connectsWith(within(2*time.Second), member(1), member(2))
			s.between("connect without a response", time.Since(begin), 2*time.Second, 2*time.Second)
			s.unmoved(a, b)
		}),
	},
	{
		ID: "STA-20/twice", Requirements: []string{"STA-20", "SIG-25"}, Level: Must,
		Sentence: "connected:false that comes unasked while an attempt is under way is ignored.",
		run: onStage(func(s *stage) {
			a, b := s.trio()
			h := s.ledTo(member(9))
			h.way.expectRequest(deadline())
			s.door.answer(false)
			begin := time.Now()
			s.connectsWith(within(2*time.Second), member(1), member(2))
			s.between("connect without a response", time.Since(begin), 2*time.Second, 2*time.Second)
			s.expect(h.way.none(serviceBuilder, func(fs fields) bool { return fs.has(2) }), "for member 9", "one request", "two")
			s.unmoved(a, b)
		}),
	},
	{
		ID: "STA-20/denied", Requirements: []string{"STA-20"}, Level: Must,
		Sentence: "A member that is led to one that denies it sends connect with its members, and can be led again.",
		run: onStage(func(s *stage) {
			a, b := s.trio()
			for i := range 2 {
				h := s.ledTo(member(uint32(8 + i)))
				h.way.expectRequest(deadline())
				h.way.put(serviceBuilder, connectionResponse(false))
				s.connectsWith(deadline(), member(1), member(2))
			}
			s.unmoved(a, b)
		}),
	},
	{
		ID: "STA-20/led", Requirements: []string{"STA-20"}, Level: Must,
		Sentence: "A member that is led to another part is let in there under the id that it has, asks all who are there, and keeps its channels; it sends connect with all.",
		run: onStage(func(s *stage) {
			a, b := s.trio()
			all := s.across(a, b)
			s.connectsWith(deadline(), member(1), member(2), member(3), member(4))
			s.expectMembers(member(1), member(2), member(3), member(4))
			s.expectNeighbors(member(1), member(2), member(3), member(4))
			s.speak(all...)
			for _, l := range all {
				s.hear(l)
			}
			for id := range uint32(4) {
				s.never("a leave", isLeave(member(id+1)))
			}
		}),
	},
	{
		ID: "STA-20/stays-joined", Requirements: []string{"STA-20"}, Level: Should,
		Sentence: "A member that is led to another part is JOINED all the while.",
		run: onStage(func(s *stage) {
			a, b := s.trio()
			s.across(a, b)
			s.connectsWith(deadline(), member(1), member(2), member(3), member(4))
			s.never("another state of the group", func(e driver.Event) bool { return e.Event == "state" })
		}),
	},
	{
		ID: "STA-20/alone", Requirements: []string{"STA-20"}, Level: Must,
		Sentence: "A member that is alone ignores connected:false that comes unasked.",
		run: onStage(func(s *stage) {
			s.first()
			s.door.expectConnect("the group is JOINED", deadline())
			s.door.answer(false)
			w := s.nextJoiner("J")
			offer := w.asks() // it has seen the answer before
			_, err := s.door.in.take(time.Now(), func(a arrival) bool { return a.content != nil && a.content.recipient == 0 })
			s.expect(err != nil, "what the peer under test sends to a member that it would be bound to", "nothing", "a content")
			l := w.answer(offer)
			s.initiate(l, member(1))
			s.speak(l)
		}),
	},
	{
		ID: "MSH-25/tells", Requirements: []string{"MSH-25", "STA-20"}, Level: Should,
		Sentence: "A member that was let into another part tells each member that it had before, after 2 s, whom it has found there.",
		run: onStage(func(s *stage) {
			a, b := s.trio()
			s.across(a, b)
			begin := time.Now()
			found := []uint32{member(3), member(4)}
			for _, l := range []*link{a, b} {
				m := l.expect("members", within(2*time.Second), func(e envelope) bool {
					fs, err := parse(e.content)
					if err != nil || e.service != serviceMesh || !fs.has(1) {
						return false
					}
					ids := fs.sub(1).ids(1)
					return !slices.ContainsFunc(found, func(id uint32) bool { return !slices.Contains(ids, id) })
				})
				s.expect(m.env.sender == s.id && m.env.recipient == l.me, "members to "+l.name, fmt.Sprintf("from %d to %d", s.id, l.me), m)
				s.between("members to "+l.name, m.at.Sub(begin), 2*time.Second, 2*time.Second)
			}
		}),
	},
	{
		ID: "STA-19/silent", Requirements: []string{"STA-19"}, Level: Should, Slow: true,
		Sentence: "A member that loses a distant one because it is silent sends connect with those that are left.",
		run: onStage(func(s *stage) {
			a, b := s.trio()
			s.distant(a, member(4), member(1))
			s.expectLeave(member(4), within(12*time.Second))
			s.connectsWith(deadline(), member(1), member(2))
			s.hear(b)
		}),
	},
}

// trio makes the peer the first of three members, whose states and first connects have been seen. (One that had joined
// through signaling would waste the first lead if it is an original: DEV-15.)
func (s *stage) trio() (a, b *link) {
	s.first()
	s.door.expectConnect("the group is JOINED", deadline())
	a, b = s.admit("A", member(1)), s.admit("B", member(2))
	s.expectState("JOINING", deadline())
	s.expectState("JOINED", deadline())
	return a, b
}

// ledTo sends connected:false unasked and returns the member that the peer is bound to then.
func (s *stage) ledTo(id uint32) *host {
	s.door.answer(false)
	return s.bind(id)
}

// across has the peer be led to member 3, and let in by it and by member 4, whom it lists. It returns all channels.
func (s *stage) across(a, b *link) []*link {
	h := s.ledTo(member(3))
	h.agree()
	c := h.way.offer(h.label(2)).answered()
	h.greetWith(c, ping{0, s.status().Group, member(3), []uint32{member(3), member(4)}, s.key})
	s.expectJoin(member(3))
	w := c.relay("D", member(4))
	request := mustParse(w.expectRequest(deadline()))
	ids := slices.Sorted(slices.Values(request.ids(2)))
	s.expect(request.uint(1) == s.id && slices.Equal(ids, []uint32{member(1), member(2), member(3)}), "the request to D",
		fmt.Sprintf("ConnectionRequest{%d, %d}", s.id, []uint32{member(1), member(2), member(3)}), fmt.Sprint(request.uint(1), ids))
	w.put(serviceBuilder, connectionResponse(true))
	s.expectJoin(member(4))
	w.expectNegotiation(deadline())
	d := w.offer(label{member(4), 0}.String()).answered()
	d.begin(member(4), s.id)
	return []*link{a, b, c, d}
}

// unmoved expects that the peer is what it was: a member with two others.
func (s *stage) unmoved(a, b *link) {
	s.never("another state of the group", func(e driver.Event) bool { return e.Event == "state" })
	st := s.status()
	s.expect(st.State == "JOINED" && st.ID == s.id, "the status", fmt.Sprint("JOINED, id ", s.id), fmt.Sprint(st.State, ", id ", st.ID))
	s.expectMembers(member(1), member(2))
	s.expectNeighbors(member(1), member(2))
	s.speak(a, b)
	s.hear(a)
	s.hear(b)
}

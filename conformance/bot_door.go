package conformance

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"

	"github.com/meshpair/meshpair/conformance/driver"
)

// Cases of whom a bot lets in.
var botDoor = []*Case{
	{
		ID: "CHN-10/invitation", Requirements: []string{"CHN-9", "CHN-10", "CHN-12", "CHN-13", "CHN-14", "CHN-26", "MSH-1", "STA-6"}, Level: Must,
		Sentence: "A bot is invited by a WebSocket of kind 2, answers initPing, and is a member.",
		run: onBot(func(s *stage) {
			d := s.enter("member 1", s.query(2, -1)).link()
			s.event("the state JOINING", deadline(), func(e driver.Event) bool {
				return e.Event == "state" && e.State == "JOINING" && e.Group == s.group
			})
			s.noSignaling("a bot that waits for initPing")
			s.expect(len(d.in.all()) == 0, "for member 1, before initPing", "nothing", d.in.all())
			l := s.letIn(d, member(1))
			s.checks(deadline(), member(1))
			st := s.status()
			s.expect(st.State == "JOINED" && st.Signaling == "CHECKED" && st.ID == s.id && st.Key == s.key && st.Group == s.group,
				"the status", fmt.Sprintf("JOINED, CHECKED, id %d, group %d, key %s", s.id, s.group, s.key), fmt.Sprintf("%+v", st))
			s.expectMembers(member(1))
			s.expectNeighbors(member(1))
			s.expectJoin(member(1))
			s.hear(l)
			s.speak(l)
		}),
	},
	{
		ID: "CHN-10/refused", Requirements: []string{"CHN-10"}, Level: Must,
		Sentence: "A bot that is in no group answers 401 to all but an invitation with a key, and can be invited then.",
		run: onBot(func(s *stage) {
			ids := fmt.Sprintf("wcId=%d&senderId=%d", s.group, member(1))
			s.refused(
				"type=0&"+ids,
				"type=1&"+ids+"&key="+s.key,
				"type=2&"+ids,
				"type=2&"+ids+"&key=",
				"type=3&"+ids+"&key="+s.key,
				"type=-1&"+ids+"&key="+s.key,
				"",
				ids+"&key="+s.key,
				"type=&"+ids+"&key="+s.key,
				"type=x&"+ids+"&key="+s.key,
				fmt.Sprintf("type=2&senderId=-1&key=%s", s.key),
				fmt.Sprintf("type=2&wcId=&senderId=-1&key=%s", s.key),
				fmt.Sprintf("type=2&wcId=%d&key=%s", s.group, s.key),
				fmt.Sprintf("type=2&wcId=%d&senderId=&key=%s", s.group, s.key),
			)
			s.hear(s.invited())
		}),
	},
	{
		ID: "CHN-10/malformed", Requirements: []string{"CHN-10"}, Level: Must,
		Sentence: "A bot answers 401 to an invitation with a number that is none.",
		run: onBot(func(s *stage) {
			for _, bad := range []string{"x", "12x", "1.5", "0x80000001", "99999999999999999999"} {
				s.refused(
					fmt.Sprintf("type=2&wcId=%s&senderId=-1&key=%s", bad, s.key),
					fmt.Sprintf("type=2&wcId=%d&senderId=%s&key=%s", s.group, bad, s.key),
				)
			}
			s.refused(fmt.Sprintf("type=2x&wcId=%d&senderId=-1&key=%s", s.group, s.key))
			s.hear(s.invited())
		}),
	},
	{
		ID: "CHN-10/in-the-group", Requirements: []string{"CHN-10"}, Level: Must,
		Sentence: "A bot that is in a group answers 401 to a second invitation into it, and to who has another key or group id.",
		run: onBot(func(s *stage) {
			l := s.invited()
			other := s.another()
			s.refused(
				s.query(2, -1),
				fmt.Sprintf("type=2&wcId=%d&senderId=-1&key=other", s.group),
				fmt.Sprintf("type=1&wcId=%d&senderId=7", s.group),
				fmt.Sprintf("type=1&wcId=%d&senderId=7&key=", s.group),
				fmt.Sprintf("type=1&wcId=%d&senderId=7&key=%sx", s.group, s.key),
				fmt.Sprintf("type=1&wcId=%d&senderId=7&key=%s", other.group, s.key),
				other.query(0, int64(member(2))),
			)
			s.hear(l)
			s.speak(l)
			s.expectMembers(member(1))
		}),
	},
	{
		ID: "CHN-10/joiner", Requirements: []string{"CHN-9", "CHN-10", "CHN-12", "BLD-5", "BLD-9", "BLD-11", "BLD-12", "BLD-14", "BLD-15"}, Level: Must,
		Sentence: "A bot tells a joiner where it listens, lets it in by a WebSocket of kind 1, and sends initPing.",
		run: onBot(func(s *stage) {
			m := s.invited()
			w, initiator, passive := s.joinerAsks("J", info{group: member(77)})
			s.expect(initiator.id == s.lastSig && initiator.wss == "" && initiator.group == member(77) && !initiator.wsTried && !initiator.dcTried && passive.id == 0,
				"the negotiation comes back", fmt.Sprintf("initiator as it was, with id %d; passive with id 0", s.lastSig), fmt.Sprintf("%+v %+v", initiator, passive))
			l := s.enter(w.name, s.query(1, int64(s.lastSig))).link()
			p := s.initiate(l, member(9))
			slices.Sort(p.members)
			want := slices.Sorted(slices.Values([]uint32{s.id, member(1)}))
			s.expect(p.topology == 0 && p.group == s.group && p.sender == s.id && p.key == s.key && slices.Equal(p.members, want),
				"initPing", fmt.Sprintf("{0 %d %d %d %s}", s.group, s.id, want, s.key), fmt.Sprintf("%+v", p))
			s.hear(l)
			s.speak(m, l)
			s.expectNeighbors(member(1), member(9))
		}),
	},
	{
		ID: "CHN-10/inside", Requirements: []string{"CHN-9", "CHN-10", "CHN-11", "BLD-9", "BLD-15"}, Level: Must,
		Sentence: "A bot tells the members that it asks where it listens, and lets them in by WebSockets of kind 0.",
		run: onBot(func(s *stage) {
			m := s.invite(member(1), member(2))
			s.asksMember(m, member(2))
			l := s.enterInside(member(2), s.group)
			s.checks(deadline(), member(1), member(2))
			s.hear(l)
			s.speak(m, l)
			s.expectNeighbors(member(1), member(2))
		}),
	},
	{
		ID: "CHN-10/own-id", Requirements: []string{"CHN-10"}, Level: Must,
		Sentence: "A bot lets a member that it has an attempt with in by a WebSocket of kind 0 also when wcId is the member's own id.",
		run: onBot(func(s *stage) {
			m := s.invite(member(1), member(2))
			s.asksMember(m, member(2))
			s.refused(fmt.Sprintf("type=0&wcId=%d&senderId=%d", member(3), member(3)))
			l := s.enterInside(member(2), member(2))
			s.checks(deadline(), member(1), member(2))
			s.hear(l)
			s.speak(m, l)
			s.expectNeighbors(member(1), member(2))
			s.refused(fmt.Sprintf("type=0&wcId=%d&senderId=%d", member(2), member(2)))
		}),
	},
	{
		ID: "CHN-31/negotiated", Requirements: []string{"CHN-10", "CHN-13", "CHN-31", "STA-5", "BLD-9", "BLD-15"}, Level: Must,
		Sentence: "A bot that signaling has bound to a member is let in by that one's WebSocket of kind 2, with any wcId.",
		run:      onBot(func(s *stage) { s.letInAgain(member(5)) }),
	},
	{
		ID: "CHN-31/same-group", Requirements: []string{"CHN-31", "STA-5"}, Level: Must,
		Sentence: "A bot that signaling has bound to a member is let in by that one's WebSocket of kind 2 into the group that it is in.",
		run:      onBot(func(s *stage) { s.letInAgain(s.group) }),
	},
	{
		ID: "CHN-10/key", Requirements: []string{"CHN-9", "CHN-10", "CHN-14", "SIG-1"}, Level: Must,
		Sentence: "A bot takes the key from its percent-encoding.",
		run: onBot(func(s *stage) {
			s.key = "été & 1+1=2, it's " + randomName()
			m := s.invited()
			s.expect(s.status().Key == s.key, "the key", s.key, s.status().Key)
			w, _, _ := s.joinerAsks("J", info{})
			p := s.initiate(s.enter(w.name, s.query(1, int64(s.lastSig))).link(), member(9))
			s.expect(p.key == s.key, "the key in initPing", s.key, p.key)
			s.hear(m)
		}),
	},
	{
		ID: "CHN-30/odd-sender", Requirements: []string{"CHN-30"}, Level: Must,
		Sentence: "A bot refuses or closes a WebSocket of kind 0 of somebody without an id, or with the bot's.",
		run: onBot(func(s *stage) {
			m := s.invited()
			for _, sender := range []int64{-1, 0, 5, 1<<31 - 1, int64(s.id), 1<<32 + 5} {
				p, resp := s.ask("a stranger", s.query(0, sender), nil)
				if resp.StatusCode == http.StatusSwitchingProtocols {
					f, err := p.next(deadline())
					s.expect(err != nil && !errors.Is(err, os.ErrDeadlineExceeded) || err == nil && f.op == opClose,
						fmt.Sprintf("a WebSocket of kind 0 from %d", sender), "401, or its end", describe(f, err))
				} else {
					s.expect(resp.StatusCode == http.StatusUnauthorized, fmt.Sprintf("a WebSocket of kind 0 from %d", sender), "HTTP status 401", resp.Status)
				}
			}
			s.hear(m)
			s.expectMembers(member(1))
		}),
	},
	{
		ID: "CHN-30/no-attempt", Requirements: []string{"CHN-30"}, Level: Should,
		Sentence: "A bot answers 401 to a WebSocket of kind 0 of a member with whom there is no attempt.",
		run: onBot(func(s *stage) {
			m := s.invited()
			s.refused(s.query(0, int64(member(2))))
			s.hear(m)
			s.expectMembers(member(1))
		}),
	},
	{
		ID: "CHN-28/any-origin", Requirements: []string{"CHN-28"}, Level: Must,
		Sentence: "A bot is invited by a page of any origin, and its parameters may stand in any order, with others.",
		run: onBot(func(s *stage) {
			_, resp := s.ask("a page", fmt.Sprintf("senderId=-1&x=y&key=%s&wcId=%d&type=2", s.key, s.group),
				http.Header{"Origin": {"https://elsewhere.example"}})
			s.expect(resp.StatusCode == http.StatusSwitchingProtocols, "an invitation by a page", "HTTP status 101", resp.Status)
		}),
	},
}

// enterInside opens a WebSocket of kind 0 as a member, with this wcId.
func (s *stage) enterInside(id, group uint32) *link {
	l := s.enter(fmt.Sprintf("member %d", id), fmt.Sprintf("type=0&wcId=%d&senderId=%d", group, id)).internal()
	l.begin(id, s.id)
	return l
}

// letInAgain has the bot, which member(1) has invited, be bound to member(5) of the same
// group, which opens a WebSocket of kind 2 with this wcId.
func (s *stage) letInAgain(group uint32) {
	m := s.invite(member(1))
	s.opensFavored(deadline())
	s.connectsWith(deadline(), member(1))
	s.door.answer(false)
	h := s.bind(member(5))
	s.announced("the initiator", h.agree())
	l := s.enter("member 5", fmt.Sprintf("type=2&wcId=%d&senderId=0&key=%s", group, percent(s.key))).link()
	h.greetWith(l, ping{0, s.group, member(5), []uint32{member(5), member(1)}, s.key})
	s.door.expectConnect("the mesh is constructed", deadline())
	s.door.answer(true)
	s.event("the state JOINED", deadline(), func(e driver.Event) bool { return e.State == "JOINED" })
	s.hear(l)
	s.hear(m)
	s.speak(m, l)
	s.expectNeighbors(member(1), member(5))
	s.expect(s.status().Group == s.group, "the group", fmt.Sprint(s.group), s.status().Group)
}

// joinerAsks lets a scripted joiner ask the bot, and returns the negotiation that comes
// back, which tells where the bot listens.
func (s *stage) joinerAsks(name string, i info) (*way, info, info) {
	w := s.nextJoiner(name)
	w.put(serviceBuilder, connectionRequest([]byte{}))
	w.expectResponse(true)
	w.put(serviceBuilder, negotiation(i))
	initiator, passive := w.expectNegotiation(deadline())
	s.expect(passive != nil, "the negotiation comes back", "passive", "none")
	s.announced("the passive one", *passive)
	return w, initiator, *passive
}

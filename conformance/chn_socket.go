package conformance

import (
	"fmt"

	"github.com/meshpair/meshpair/conformance/driver"
)

// Cases of channels that are WebSockets which the peer under test opens.
var chnSocket = []*Case{
	{
		ID: "CHN-9/invite", Requirements: []string{"CHN-9", "CHN-12"}, Level: Must,
		Sentence: "An invitation opens a WebSocket of kind 2 from -1, with the group's id and key, and begins with initPing.",
		run: onStage(func(s *stage) {
			s.first()
			l := s.listen()
			s.do(driver.Command{"cmd": "invite", "url": "ws://" + l.Addr().String()})
			d := s.accept(l, "the bot", deadline(), false)
			s.expectTarget(d, "", fmt.Sprintf("type=2&wcId=%d&senderId=-1", s.status().Group))
			bot := d.link()
			p := s.initiate(bot, member(3))
			s.expect(p.group == s.status().Group && p.sender == s.id && p.key == s.key, "initPing", "the group", p)
			s.hear(bot)
			s.speak(bot)
			s.expectNeighbors(member(3))
		}),
	},
	{
		ID: "CHN-22/any-code", Requirements: []string{"CHN-22", "MSH-20"}, Level: Must,
		Sentence: "A member whose WebSocket ends has left, whatever the code, and also without a close frame.",
		run: onStage(func(s *stage) {
			s.first()
			s.admit("J", member(9))
			for i, end := range []func(*link){
				func(l *link) { l.ws.shut(1000) },
				func(l *link) { l.ws.shut(1001) },
				func(l *link) { l.ws.shut(4999) },
				func(l *link) { l.ws.drop() },
			} {
				id := member(uint32(20 + i))
				bot := s.admitBot(id)
				s.hear(bot)
				end(bot)
				s.expectLeave(id, deadline())
			}
			s.expectMembers(member(9))
		}),
	},
	{
		ID: "MSH-16/bot-first", Requirements: []string{"MSH-16"}, Level: Must,
		Sentence: "Of two members that are adjacent to a distant one, that to which the peer has opened a WebSocket passes on.",
		run: onStage(func(s *stage) {
			s.first()
			a := s.admit("A", member(3))
			bot := s.admitBot(member(4))
			b := s.admit("B", member(5))
			s.distant(a, member(8), member(3), member(5), member(4))
			s.reaches(member(8), bot, a)
			s.reaches(member(8), bot, b)
		}),
	},
}

// admitBot lets a scripted peer that listens for WebSockets join.
func (s *stage) admitBot(id uint32) *link {
	w := s.nextJoiner("the bot")
	w.put(serviceBuilder, connectionRequest([]byte{}))
	w.expectResponse(true)
	l := s.listen()
	w.put(serviceBuilder, negotiation(info{wss: "ws://" + l.Addr().String()}))
	bot := s.accept(l, "the bot", deadline(), false).link()
	s.initiate(bot, id)
	return bot
}

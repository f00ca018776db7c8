package conformance

import (
	"fmt"
	"net"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// Cases of chapter SEC: what crosses a network, and what does not. 0.0.0.0 leads to this machine
// on most systems, and is none of the addresses that SEC-31 counts as that.
var sec = []*Case{
	{
		ID: "SEC-31/plaintext-signaling", Requirements: []string{"SEC-31"}, Level: Must,
		Sentence: "A member that is to join by a ws URL of another machine refuses at once.",
		run: onStage(func(s *stage) {
			e, err := s.peer.Do(timeout, driver.Command{"cmd": "join", "signaling": elsewhere(s.l), "key": s.key, "loopback": true, "autoRejoin": false})
			s.out = isAnswer(err)
			declined(err)
			s.expect(isAnswer(err), "to join by "+elsewhere(s.l), "an error", e.Event)
			s.nobodyComes(s.l)
		}),
	},
	{
		ID: "SEC-33/plaintext-member", Requirements: []string{"SEC-31", "SEC-33"}, Level: Must,
		Sentence: "A joiner whose member names a ws URL of another machine does not open it, and offers a data channel.",
		run: onStage(func(s *stage) {
			s.beginWith(driver.Command{"loopback": false}) // which might refuse the URL by itself
			s.hello()
			s.door.answer(false)
			h := s.bind(member(1))
			i := h.agree()
			i.id = s.lastSig
			l := s.listen()
			h.way.put(serviceBuilder, negotiation(i, info{wss: elsewhere(l), group: groupID, dcTried: true}))
			h.way.expectOffer(deadline())
			s.nobodyComes(l)
		}),
	},
}

// elsewhere is the URL of a listener by an address that does not count as this machine.
func elsewhere(l *net.TCPListener) string {
	return fmt.Sprintf("ws://0.0.0.0:%d", l.Addr().(*net.TCPAddr).Port)
}

// nobodyComes expects that nobody has connected so far.
func (s *stage) nobodyComes(l *net.TCPListener) {
	l.SetDeadline(time.Now().Add(quiet))
	conn, err := l.Accept()
	if err == nil {
		conn.Close()
	}
	s.expect(err != nil, "a ws URL of another machine", "no connection to it", "one")
}

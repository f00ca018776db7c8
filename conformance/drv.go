package conformance

import (
	"errors"
	"fmt"

	"github.com/meshpair/meshpair/conformance/driver"
)

// Cases of drivers themselves, without which the others would prove little: a driver that
// answers ok to what it cannot know answers ok to anything.
var (
	drvPeer = []*Case{
		{
			ID: "DRV-1/peer", Requirements: []string{"DRV-1", "DRV-2"}, Level: Must,
			Sentence: "A driver of a member answers an invented command, and malformed lines, with an error, and nothing changes.",
			run: onStage(func(s *stage) {
				s.first()
				s.probe(s.peer)
				s.expect(s.status().State == "JOINED", "the state after an invented command", "JOINED", s.status().State)
				s.speak(s.admit("J", member(2)))
			}),
		},
		{
			ID: "DRV-3/peer", Requirements: []string{"DRV-3"}, Level: Must,
			Sentence: "A driver of a member whose input ends leaves the group and ends with status 0.",
			run: onStage(func(s *stage) {
				p, err := s.target.Peers.start()
				s.expect(err == nil, "another driver starts", "the event ready", err)
				another := &stage{run: s.run, peer: p, l: s.l, key: s.key, lastSig: 2000}
				another.first()
				closed := make(chan error, 1)
				go func() { closed <- p.Close() }()
				another.door.expectEnd("the input of the driver has ended", deadline())
				err = <-closed
				s.expect(err == nil, "the input of the driver has ended", "exit status 0", err)
			}),
		},
	}
	drvBot = []*Case{{
		ID: "DRV-1/bot", Requirements: []string{"DRV-1", "DRV-2", "DRV-3"}, Level: Must,
		Sentence: "A driver of a bot answers an invented command, and malformed lines, with an error, nothing changes, and it ends with status 0.",
		run: onBot(func(s *stage) {
			l := s.invited()
			s.probe(s.peer)
			s.hear(l)
			s.speak(l)
		}),
	}}
	drvPair = []*Case{{
		ID: "DRV-1/pairpeer", Requirements: []string{"DRV-1", "DRV-2"}, Level: Must,
		Sentence: "A driver of a client answers an invented command, and malformed lines, with an error, and nothing changes.",
		run: inDuet(func(d *duet) {
			d.pair(false, nil)
			d.probe(d.driver)
			d.socket.say("after it")
			d.expectUser("a text after an invented command", "after it")
		}),
	}}
)

// probe sends what no driver can know.
func (r *run) probe(p *driver.Peer) {
	for range 2 {
		name := "x" + randomName()
		e, err := p.Do(timeout, driver.Command{"cmd": name, "group": groupID})
		r.expect(isAnswer(err), "the invented command "+name, "an error", fmt.Sprintf("%+v %v", e, err))
	}
	for _, line := range []string{"{", "nonsense", `{"cmd":`} {
		err := p.Line(line)
		if err == nil {
			_, err = p.Wait(timeout, func(e driver.Event) bool { return e.Event == "error" && e.N == 0 })
		}
		r.expect(err == nil, "the line "+line, "an error", err)
	}
}

// isAnswer reports whether an error is a driver's answer.
func isAnswer(err error) bool {
	var e *driver.Error
	return errors.As(err, &e)
}

// declined ends the run where a driver says that its implementation cannot do what a command
// asks (DRV-1).
func declined(err error) {
	var e *driver.Error
	if errors.As(err, &e) && e.Unsupported {
		panic(unsupported(err.Error()))
	}
}

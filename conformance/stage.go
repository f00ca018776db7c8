package conformance

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// A stage is a run with a member under test, which a driver steers, and a
// signaling server that the case plays.
type stage struct {
	*run
	peer     *driver.Peer
	l        *net.TCPListener
	key      string
	group    uint32 // of a bot, which may be in several; 0 for a member
	identity string // of a bot, in its text form; "" for none (SEC-6)
	door     *door  // the peer's connection to signaling
	joining  int    // the number of the join command
	id       uint32
	out      bool // the peer has left, as far as the case knows
	lastSig  uint32
}

// onStage makes the function of a case.
func onStage(f func(*stage)) func(*run) {
	return func(r *run) {
		if r.target.Peers == nil {
			r.fail("the case", "a driver of a member", "none")
		}
		p, err := r.target.Peers.get()
		if err != nil {
			r.fail("the driver starts", "the event ready", err.Error())
		}
		s := &stage{run: r, peer: p, l: r.listen(), key: "k" + randomName(), out: true, lastSig: 1000}
		well := false
		defer func() { r.target.Peers.put(p, well) }()
		defer func() { well = s.tidy() == nil }()
		f(s)
		if err := s.tidy(); err != nil {
			r.fail("at the end", "the peer under test leaves", err.Error())
		}
	}
}

// tidy has the peer leave, if need be.
func (s *stage) tidy() error {
	if s.out {
		return nil
	}
	_, err := s.peer.Do(timeout, driver.Command{"cmd": "leave"})
	s.out = err == nil
	return err
}

func (s *stage) url() string { return "ws://" + s.l.Addr().String() }

// command is a command with what it takes for a bot.
func (s *stage) command(c driver.Command) driver.Command {
	if s.group != 0 {
		c["group"] = s.group
	}
	return c
}

// do has the peer do something, and expects that it can.
func (s *stage) do(c driver.Command) driver.Event {
	s.needDriver(fmt.Sprint(c["cmd"]))
	e, err := s.peer.Do(timeout, s.command(c))
	declined(err)
	if err != nil {
		s.fail("the peer under test is told to "+fmt.Sprint(c["cmd"]), "that it does", err.Error())
	}
	return e
}

func (s *stage) status() driver.Event { return s.do(driver.Command{"cmd": "status"}) }

// event expects an event until then.
func (s *stage) event(want string, until time.Time, match func(driver.Event) bool) driver.Event {
	s.needDriver(want)
	e, err := s.peer.Wait(time.Until(until), match)
	if err != nil {
		s.fail("the peer under test tells its user", want, fmt.Sprintf("%v: %v", err, s.eventsThere()))
	}
	return e
}

func (s *stage) eventsThere() string {
	var all []string
	for _, e := range s.peer.Events() {
		all = append(all, fmt.Sprintf("%s %s%d", e.Event, e.State, e.Member))
	}
	if n := len(all) - 16; n > 0 {
		all = append([]string{fmt.Sprintf("%d others", n)}, all[n:]...)
	}
	return strings.Join(all, ", ")
}

func (s *stage) expectJoin(id uint32) {
	s.event(fmt.Sprintf("that %d joins", id), deadline(), isJoin(id))
}

func (s *stage) expectLeave(id uint32, until time.Time) {
	s.event(fmt.Sprintf("that %d leaves", id), until, isLeave(id))
}

func isJoin(id uint32) func(driver.Event) bool {
	return func(e driver.Event) bool { return e.Event == "join" && e.Member == id }
}

func isLeave(id uint32) func(driver.Event) bool {
	return func(e driver.Event) bool { return e.Event == "leave" && e.Member == id }
}

// expectState expects that the group's next state that the user hears of is this.
func (s *stage) expectState(want string, until time.Time) {
	e := s.event("the state "+want, until, func(e driver.Event) bool { return e.Event == "state" })
	s.expect(e.State == want, "the state of the group", want, e.State)
}

// never expects that no event so far matches.
func (s *stage) never(what string, match func(driver.Event) bool) {
	s.needDriver("events")
	for _, e := range s.peer.Events() {
		s.expect(!match(e), "the peer under test tells its user", "never "+what, fmt.Sprintf("%+v", e))
	}
}

// begin has the peer join and opens the door.
func (s *stage) begin() {
	s.beginWith(driver.Command{})
}

func (s *stage) beginWith(more driver.Command) {
	c := driver.Command{"cmd": "join", "signaling": s.url(), "key": s.key, "loopback": true}
	for k, v := range more {
		c[k] = v
	}
	n, err := s.peer.Send(c)
	if err != nil {
		s.fail("the peer under test is told to join", "that it does", err.Error())
	}
	s.out = false
	s.joining = n
	s.waiting = func() { // a join that is refused connects nowhere
		if e, err := s.peer.Answer(0, n); isAnswer(err) {
			declined(err)
			s.fail("the peer under test is told to join", "that it does", e.Message)
		}
	}
	s.open(deadline())
	s.waiting = nil
}

// open accepts the peer's connection to signaling.
func (s *stage) open(until time.Time) {
	s.door = s.accept(s.l, "signaling", until, true)
	want := "/" + url.PathEscape(s.key)
	s.expect(s.door.target == want || s.door.target == want+"?favored", "the request to the signaling server", want, s.door.target)
}

// hello expects the first connect, and learns the peer's id.
func (s *stage) hello() {
	a := s.door.expectConnect("the peer under test joins", deadline())
	s.expect(a.connect.id >= 1<<31 && len(a.connect.members) == 0, "the first connect",
		"an id of at least 2^31, no members", a)
	s.id = a.connect.id
}

// joined expects that the join command is answered.
func (s *stage) joined(until time.Time) {
	_, err := s.peer.Answer(time.Until(until), s.joining)
	declined(err)
	if err != nil {
		s.fail("the peer under test joins", "JOINED", err.Error()+": "+s.eventsThere())
	}
}

// first makes the peer the first member of its group.
func (s *stage) first() {
	s.begin()
	s.hello()
	s.door.agree.Store(true)
	s.door.answer(true)
	s.joined(deadline())
}

// nextJoiner is the way of a new scripted joiner that is bound to the peer.
func (s *stage) nextJoiner(name string) *way {
	s.lastSig++
	return s.door.throughDoor(name, s.lastSig, 0)
}

// sigInfo is what a scripted peer says about itself in a negotiation.
var sigInfo = info{}

// asks lets a scripted joiner ask, and returns the offer that it gets.
func (w *way) asks() string {
	w.put(serviceBuilder, connectionRequest([]byte{}))
	w.expectResponse(true)
	w.put(serviceBuilder, negotiation(sigInfo))
	return w.expectOffer(deadline())
}

// admit lets a scripted peer join the group through the one under test.
func (s *stage) admit(name string, id uint32) *link {
	w := s.nextJoiner(name)
	l := w.answer(w.asks())
	s.initiate(l, id)
	return l
}

// initiate expects initPing and answers it.
func (s *stage) initiate(l *link, id uint32) ping {
	fs := l.expectRaw("for "+l.name, "initPing", deadline(), func(fs fields) bool { return fs.has(1) })
	l.raw(pong(id))
	l.begin(id, s.id)
	s.expectJoin(id)
	return parsePing(fs.sub(1))
}

const groupID = 0xc0ffee00

// host is a scripted member through which the peer joins: member(1), unless it has
// been told another id.
type host struct {
	*stage
	id  uint32
	way *way
}

// bound has the peer join and be bound to a scripted member.
func (s *stage) bound(id uint32) *host {
	s.begin()
	s.hello()
	s.door.answer(false)
	return s.bind(id)
}

// bind is the way of the member that the peer is bound to.
func (s *stage) bind(id uint32) *host {
	s.lastSig++
	return &host{s, id, s.door.throughDoor(fmt.Sprintf("member %d", id), 0, s.lastSig)}
}

// agree answers the peer's request and waits for its first negotiation.
func (h *host) agree() info {
	h.way.expectRequest(deadline())
	h.way.put(serviceBuilder, connectionResponse(true))
	i, passive := h.way.expectNegotiation(deadline())
	h.expect(passive == nil, "the first negotiation", "no passive", passive)
	return i
}

// label is that of a data channel which h offers.
func (h *host) label(kind int) string { return label{h.id, kind}.String() }

// greet sends initPing with these members and expects initPong.
func (h *host) greet(l *link, members ...uint32) {
	h.greetWith(l, ping{0, groupID, h.id, append([]uint32{h.id}, members...), h.key})
}

func (h *host) greetWith(l *link, p ping) {
	l.raw(p.encode())
	fs := l.expectRaw("for "+l.name, "initPong", deadline(), func(fs fields) bool { return fs.has(2) })
	h.expect(fs.uint(2) == h.stage.id, "initPong", fmt.Sprint(h.stage.id), fs.uint(2))
	l.begin(h.id, h.stage.id)
}

// admitted lets the peer join through h, which lists these members.
func (h *host) admitted(members ...uint32) *link {
	h.agree()
	l := h.way.offer(h.label(2)).answered()
	h.greet(l, members...)
	return l
}

// joinThrough has the peer join through a scripted member which lists others.
func (s *stage) joinThrough(id uint32, members ...uint32) *link {
	return s.bound(id).admitted(members...)
}

// settled expects JOINED; from then on every connect is answered with true.
func (s *stage) settled(until time.Time) {
	s.joined(until)
	s.door.agree.Store(true)
	if a := s.door.expectConnect("the mesh is constructed", deadline()); !a.agreed {
		s.door.answer(true) // a second answer would be taken for that to the next connect
	}
}

// pair has the peer join through member 1, alone.
func (s *stage) pair() *link {
	m := s.joinThrough(member(1))
	s.settled(deadline())
	return m
}

// hear has a scripted member send a text and expects that the peer gets it: it has
// handled all that came before over this link.
func (s *stage) hear(l *link) {
	text := "hear " + randomName()
	l.raw(envelope{l.me, 0, serviceUser, fullMessage(typeText, []byte(text))}.encode())
	s.expectMessage(l.me, []byte(text), true)
}

// expectMessage expects that the user gets a message.
func (s *stage) expectMessage(from uint32, data []byte, text bool) {
	s.event(fmt.Sprintf("a message of %d bytes from %d", len(data), from), deadline(), isMessage(from, data, text))
}

func isMessage(from uint32, data []byte, text bool) func(driver.Event) bool {
	return func(e driver.Event) bool {
		if e.Event != "message" || e.From != from {
			return false
		}
		got, isText, err := e.Data()
		return err == nil && isText == text && slices.Equal(got, data)
	}
}

// expectSpeech expects a user message from the peer over a link, whole.
func (l *link) expectSpeech(recipient uint32, kind int, data []byte) {
	l.expect(fmt.Sprintf("a message of %d bytes", len(data)), deadline(), func(e envelope) bool {
		fs, err := parse(e.content)
		return err == nil && e.service == serviceUser && e.sender == l.other && e.recipient == recipient &&
			int(fs.uint(2)) == kind && fs.has(3) && slices.Equal(fs.bytes(3), data) && int(fs.uint(1)) == len(data)
	})
}

// speak has the peer send a text to all and expects it on these links.
func (s *stage) speak(links ...*link) {
	text := "speak " + randomName()
	s.do(driver.Command{"cmd": "send", "text": text})
	for _, l := range links {
		l.expectSpeech(0, typeText, []byte(text))
	}
}

// members expects that the peer knows these members, itself aside.
func (s *stage) expectMembers(want ...uint32) {
	st := s.status()
	got := slices.DeleteFunc(slices.Clone(st.Members), func(id uint32) bool { return id == s.id })
	slices.Sort(got)
	slices.Sort(want)
	s.expect(slices.Equal(got, want), "the members that the peer under test knows", fmt.Sprint(want), got)
}

// expectNeighbors expects that the peer has channels with these members.
func (s *stage) expectNeighbors(want ...uint32) {
	got := slices.Sorted(slices.Values(s.status().Neighbors))
	slices.Sort(want)
	s.expect(slices.Equal(got, want), "the members that the peer under test has a channel with", fmt.Sprint(want), got)
}

// within returns the time after a span, with some for a busy machine.
func within(d time.Duration) time.Time { return time.Now().Add(d + 3*time.Second) }

// between expects that the time since begin is in a range, with some for a busy
// machine.
func (s *stage) between(what string, since time.Duration, least, most time.Duration) {
	s.expect(since > least-time.Second && since < most+3*time.Second, what,
		fmt.Sprintf("after %v to %v", least, most), since)
}

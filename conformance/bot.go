package conformance

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// BotCases returns the cases that judge a bot, a member that listens for WebSockets
// and that a driver runs: what chapters CHN and BLD ask of the end that listens.
func BotCases() []*Case {
	all := slices.Concat(botDoor, botLife, botBuild, secBot, drvBot)
	slowFirst(all)
	return all
}

// startTimeout is how long a bot may take to start, on a busy machine too.
const startTimeout = 30 * time.Second

// onBot makes the function of a case for a bot. Its stage has one group, of which
// the bot is no member yet. Each case has a process of its own.
func onBot(f func(*stage)) func(*run) { return onBotWith(f) }

// onBotWith is onBot for a bot that is started with further arguments of a driver.
func onBotWith(f func(*stage), more ...string) func(*run) {
	return func(r *run) {
		l := r.listen()
		if r.target.BotURL != "" {
			if len(more) > 0 {
				panic(unsupported(fmt.Sprintf("a bot with %v takes a driver of it: -bot COMMAND", more)))
			}
			base, identity, _ := strings.Cut(r.target.BotURL, "#")
			r.at = strings.TrimSuffix(base, "/")
			f(&stage{run: r, l: l, key: "k" + randomName(), group: 1<<31 | rand.Uint32(), identity: identity}) // it may be in those of other cases
			return
		}
		if r.target.Bot == nil {
			r.fail("the case", "a driver of a bot", "none")
		}
		args := append([]string{"-listen", "127.0.0.1:0", "-signaling", "ws://" + l.Addr().String(), "-loopback"}, more...)
		cmd := r.target.Bot(args...)
		if len(more) > 0 {
			cmd.Stderr = io.Discard // a driver that does not know them says so
		}
		p, err := driver.Start("the bot", startTimeout, cmd)
		if err != nil && len(more) > 0 {
			panic(unsupported(fmt.Sprintf("its driver does not start with %v: %v", more, err)))
		}
		if err != nil {
			r.fail("the driver starts", "the event ready", err.Error())
		}
		well := false
		defer func() {
			if !well {
				p.Kill()
			}
		}()
		r.at = p.Ready.URL
		_, identity, _ := strings.Cut(p.Ready.Invite, "#")
		f(&stage{run: r, peer: p, l: l, key: "k" + randomName(), group: groupID, identity: identity})
		well = true
		if err := p.Close(); err != nil {
			r.fail("the bot's input ends", "exit status 0", err.Error())
		}
	}
}

// another is a stage with the same bot and another group.
func (s *stage) another() *stage {
	return &stage{run: s.run, peer: s.peer, l: s.l, key: "k" + randomName(), group: s.group + 1, identity: s.identity, lastSig: 2000}
}

// query is that of a WebSocket to the bot (CHN-9).
func (s *stage) query(kind int, sender int64) string {
	q := fmt.Sprintf("type=%d&wcId=%d&senderId=%d", kind, s.group, sender)
	if kind != 0 {
		q += "&key=" + percent(s.key)
	}
	return q
}

// percent puts a key into percent-encoding.
func percent(key string) string { return strings.ReplaceAll(url.QueryEscape(key), "+", "%20") }

// ask sends the bot an upgrade request with this query and returns the answer.
func (s *stage) ask(name, query string, header http.Header) (*peer, *http.Response) {
	u, err := url.Parse(s.at)
	s.expect(err == nil && strings.HasPrefix(s.at, "ws"), "the URL of the bot", "one of scheme ws or wss", s.at)
	p, resp, err := s.request(name, strings.TrimSuffix(u.EscapedPath(), "/")+"/?"+query, header)
	if err != nil {
		s.fail("a WebSocket to the bot with "+query, "an answer", err.Error())
	}
	return p, resp
}

// enter opens a WebSocket to the bot.
func (s *stage) enter(name, query string) *door {
	p, resp := s.ask(name, query, nil)
	s.expect(resp.StatusCode == http.StatusSwitchingProtocols, "a WebSocket to the bot with "+query, "HTTP status 101", resp.Status)
	d := &door{peer: p, in: newInbox[arrival]()}
	go d.read(false)
	return d
}

// refused expects that the bot answers 401 to each of these queries (CHN-10).
func (s *stage) refused(queries ...string) {
	for _, q := range queries {
		p, resp := s.ask("a stranger", q, nil)
		s.expect(resp.StatusCode == http.StatusUnauthorized, "a WebSocket to the bot with "+q, "HTTP status 401", resp.Status)
		p.drop()
	}
}

// invite has member id, which lists others, invite the bot.
func (s *stage) invite(id uint32, members ...uint32) *link {
	return s.letIn(s.enter(fmt.Sprintf("member %d", id), s.query(2, -1)).link(), id, members...)
}

// letIn sends initPing to the bot and expects initPong.
func (s *stage) letIn(l *link, id uint32, members ...uint32) *link {
	l.raw(ping{0, s.group, id, append([]uint32{id}, members...), s.key}.encode())
	fs := l.expectRaw("for "+l.name, "initPong", deadline(), func(fs fields) bool { return fs.has(2) })
	s.id = fs.uint(2)
	s.expect(s.id >= 1<<31 && s.id != id, "initPong", "an id of at least 2^31 of its own", s.id)
	l.begin(id, s.id)
	return l
}

// checks expects that the bot connects to signaling as favored, and is JOINED once its
// connect is answered. From then on every connect is answered with true.
func (s *stage) checks(until time.Time, members ...uint32) {
	s.opensFavored(until)
	s.connectsWith(deadline(), members...)
	s.door.agree.Store(true)
	s.door.answer(true)
	s.event("the state JOINED", deadline(), func(e driver.Event) bool {
		return e.Event == "state" && e.State == "JOINED" && e.Group == s.group
	})
}

// opensFavored accepts the bot's connection to signaling.
func (s *stage) opensFavored(until time.Time) {
	s.needDriver("signaling of the case's own")
	s.door = s.accept(s.l, "signaling", until, true)
	path, query, _ := strings.Cut(strings.TrimPrefix(s.door.target, "/"), "?")
	key, err := url.PathUnescape(path)
	s.expect(err == nil && key == s.key && query == "favored", "the request to the signaling server",
		"/"+percent(s.key)+"?favored", s.door.target)
}

// noSignaling expects that the bot has not connected to signaling so far.
func (s *stage) noSignaling(what string) {
	s.needDriver("signaling of the case's own")
	s.l.SetDeadline(time.Now().Add(quiet))
	if conn, err := s.l.Accept(); err == nil {
		conn.Close()
		s.fail(what, "no connection to signaling", "one")
	}
}

// invited has member(1) invite the bot into a group of both.
func (s *stage) invited() *link {
	l := s.invite(member(1))
	s.checks(deadline(), member(1))
	return l
}

// asksMember expects that the bot, which a member has just let in, asks another one,
// which agrees, and what the bot then says that it can do.
func (s *stage) asksMember(by *link, id uint32) (*way, info) {
	w := by.relay(fmt.Sprintf("member %d", id), id)
	w.expectRequest(deadline())
	w.put(serviceBuilder, connectionResponse(true))
	i, passive := w.expectNegotiation(deadline())
	s.expect(passive == nil, "the first negotiation", "no passive", fmt.Sprintf("%+v", passive))
	s.announced("the initiator", i)
	return w, i
}

// announced expects that the bot says where it listens.
func (s *stage) announced(who string, i info) {
	s.expect(i.wss == s.at && i.group == s.group && !i.wsTried && !i.dcTried, who,
		fmt.Sprintf("wss %s, wcId %d, nothing tried", s.at, s.group), fmt.Sprintf("%+v", i))
}

// needDriver ends the run where there is none, as with a bot that runs already.
func (s *stage) needDriver(what string) {
	if s.peer == nil {
		panic(unsupported(what + " takes a driver of the bot: -bot COMMAND"))
	}
}

// left expects that the group is LEFT.
func (s *stage) left(until time.Time) {
	s.event("the state LEFT", until, func(e driver.Event) bool {
		return e.Event == "state" && e.State == "LEFT" && e.Group == s.group
	})
}

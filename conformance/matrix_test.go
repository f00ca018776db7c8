package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/meshpair/meshpair/conformance/driver"
)

// The implementations that meet in the matrix. Original members and clients are named by their browser.
const (
	ours       = "ours"
	original   = "original" // in Node.js
	inChromium = "Chromium"
	inFirefox  = "Firefox"
)

// A matrixTable is a part of the matrix: groups of the same roles, of which each row is one.
type matrixTable struct {
	name  string
	roles []string
	nodes int // of how many roles, the first ones, the original runs in Node.js
	cells []string
	play  func(*matrix, *playing, []string) // lets a row happen
}

var matrixTables = []matrixTable{
	{
		"groups", []string{"signaling server", "first member", "joiner", "relay"}, 1,
		[]string{"join", "private", "broadcast", "5 MiB", "relay", "leave", "rejoin", "death"}, (*matrix).groups,
	},
	{
		"bots", []string{"signaling server", "bot", "inviter", "joiner"}, 2,
		[]string{"join", "private", "broadcast", "5 MiB", "relay", "leave", "rejoin", "death"}, (*matrix).bots,
	},
	{
		"pairings", []string{"pairing server", "initiator", "joiner"}, 1,
		[]string{"pair", "text", "binary", "1 MiB", "upgrade", "fall back", "close", "restore"}, (*matrix).pairings,
	},
}

// rows are all combinations of ours and the original, the latter in each of these browsers.
func (m matrixTable) rows(browsers ...string) [][]string {
	var all [][]string
	for i, browser := range browsers {
		rows := [][]string{nil}
		for role := range m.roles {
			theirs := browser
			if role < m.nodes {
				theirs = original
			}
			var longer [][]string
			for _, row := range rows {
				longer = append(longer, append(slices.Clone(row), ours), append(slices.Clone(row), theirs))
			}
			rows = longer
		}
		for _, row := range rows {
			if i == 0 || slices.Contains(row, browser) {
				all = append(all, row)
			}
		}
	}
	return all
}

// plain reports whether a row is one of those that run every day: all roles are the original's, or at most one is.
func (m matrixTable) plain(row []string) bool {
	n := 0
	for _, who := range row {
		if who == ours {
			n++
		}
	}
	return n == 0 || n >= len(row)-1
}

func (m matrixTable) key(row []string) string { return m.name + " " + strings.Join(row, "/") }

// matrixFile is what is known of the matrix.
const matrixFile = "originals/matrix.json"

// A matrixKnown is the content of matrixFile.
type matrixKnown struct {
	Note     string            `json:"note"`
	Versions map[string]string `json:"versions"`
	// Fails are the cells that fail, by row, and by cell why: a deviation of SPEC.md, or sometimes.
	Fails map[string]map[string]string `json:"fails"`
}

func readMatrix(t testing.TB) matrixKnown {
	t.Helper()
	data, err := os.ReadFile(matrixFile)
	if err != nil {
		t.Fatal(err)
	}
	var k matrixKnown
	if err := json.Unmarshal(data, &k); err != nil {
		t.Fatalf("%s: %v", matrixFile, err)
	}
	return k
}

// A matrix is what runs while its rows do.
type matrix struct {
	signaling, pairing map[string]string // URLs, by implementation
	browsers           map[string]*browser
	netflux, peersox   string // our commands
	slots              chan struct{}
	large              sync.Mutex // held by who sends 5 MiB: a browser on a small machine loses its way with more
}

// TestMatrix has ours and the originals meet in all roles, each combination once (docs/interop.md).
func TestMatrix(t *testing.T) {
	browsers := []string{inChromium}
	if *firefoxToo {
		browsers = append(browsers, inFirefox)
	}
	m := newMatrix(t, browsers)
	known := readMatrix(t)
	var mu sync.Mutex
	found := make(map[string]map[string]string)
	t.Run("rows", func(t *testing.T) {
		for _, table := range matrixTables {
			for _, row := range table.rows(browsers...) {
				if !*firefoxToo && !table.plain(row) {
					continue
				}
				key := table.key(row)
				t.Run(key, func(t *testing.T) {
					t.Parallel()
					m.slots <- struct{}{}
					why := m.row(t, table, row)
					<-m.slots
					if unexpected(table, why, known.Fails[key]) != "" && !*update { // the machine may be busy: what is wrong fails twice
						again.Lock()
						t.Logf("is run once more: %s", unexpected(table, why, known.Fails[key]))
						why = m.row(t, table, row)
						again.Unlock()
					}
					mu.Lock()
					found[key] = why
					mu.Unlock()
					if wrong := unexpected(table, why, known.Fails[key]); wrong != "" && !*update {
						t.Error(wrong)
					}
				})
			}
		}
	})
	if *update {
		m.record(t, known, found)
	}
}

// unexpected says in what a row is not as it is known to be, or "".
func unexpected(table matrixTable, why, known map[string]string) string {
	var all []string
	for _, cell := range table.cells {
		switch reason := known[cell]; {
		case reason == sometimes:
		case why[cell] != "" && reason == "":
			all = append(all, fmt.Sprintf("%s fails: %s", cell, why[cell]))
		case why[cell] == "" && reason != "":
			all = append(all, fmt.Sprintf("%s passes, and not fails by %s as %s says", cell, reason, matrixFile))
		}
	}
	return strings.Join(all, "\n")
}

// record writes what was found. What fails anew is written without a reason, which TestInteropPage asks for.
func (m *matrix) record(t *testing.T, known matrixKnown, found map[string]map[string]string) {
	t.Helper()
	if known.Fails == nil {
		known.Fails = make(map[string]map[string]string)
	}
	for key, cells := range found {
		reasons := make(map[string]string)
		for cell, why := range cells {
			if why != "" || known.Fails[key][cell] == sometimes {
				reasons[cell] = known.Fails[key][cell]
				t.Logf("%s, %s: %s", key, cell, why)
			}
		}
		delete(known.Fails, key)
		if len(reasons) > 0 {
			known.Fails[key] = reasons
		}
	}
	if known.Versions == nil {
		known.Versions = make(map[string]string)
	}
	for name, b := range m.browsers {
		_, known.Versions[name], _ = strings.Cut(b.version, "/")
	}
	for _, name := range []string{"netflux", "sigver", "peersox"} {
		var p struct{ Version string }
		data, err := os.ReadFile(filepath.Join("originals", "node_modules", name, "package.json"))
		if err == nil {
			err = json.Unmarshal(data, &p)
		}
		if err != nil {
			t.Fatal(err)
		}
		known.Versions[name] = p.Version
	}
	data, err := json.MarshalIndent(known, "", "  ")
	if err == nil {
		err = os.WriteFile(matrixFile, append(data, '\n'), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func newMatrix(t *testing.T, browsers []string) *matrix {
	t.Helper()
	originals(t)
	m := &matrix{
		signaling: map[string]string{ours: startSigver(t), original: startOriginalSigver(t)},
		pairing:   map[string]string{ours: startPeerSox(t), original: startOriginalPeerSox(t)},
		browsers:  make(map[string]*browser),
		slots:     make(chan struct{}, 6),
	}
	for _, name := range browsers {
		m.browsers[name] = startBrowser(t, strings.ToLower(name))
	}
	var err error
	if m.netflux, err = netfluxBinary(); err == nil {
		m.peersox, err = peersoxBinary()
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A playing is a row that happens.
type playing struct {
	testing.TB
	key string
	why map[string]string // by cell why it failed, or ""
}

func (m *matrix) row(t *testing.T, table matrixTable, row []string) map[string]string {
	t.Helper()
	p := &playing{t, table.key(row) + " " + randomName(), make(map[string]string)}
	for _, cell := range table.cells {
		p.why[cell] = "not reached"
	}
	table.play(m, p, row)
	return p.why
}

// cell does what a cell is about, and reports whether that went well.
func (p *playing) cell(name string, f func(t testing.TB)) bool {
	p.why[name] = try(p.TB, f)
	return p.why[name] == ""
}

// start starts a driver that is ended with the row, and perhaps before.
func (p *playing) start(name string, cmd *exec.Cmd) *driver.Peer {
	p.Helper()
	d, err := driver.Start(name, pageTimeout, cmd)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(d.Kill)
	return d
}

func (m *matrix) member(p *playing, kind string) *driver.Peer {
	p.Helper()
	if kind == ours {
		return p.start("Go member", exec.Command(m.netflux, "peer"))
	}
	return p.start("page in "+kind, m.browsers[kind].page("netflux-page.mjs"))
}

// groups: the third of three joins; it and the first one lose their channel, and the second one relays.
func (m *matrix) groups(p *playing, row []string) {
	g := &relayed{apart: make(map[[2]int]bool)}
	join := driver.Command{"cmd": "join", "signaling": m.signaling[row[0]], "key": p.key, "loopback": true}
	all := []*driver.Peer{m.member(p, row[1]), m.member(p, row[3]), m.member(p, row[2])}
	joined := p.cell("join", func(t testing.TB) {
		for i, d := range all {
			inNetwork(t, d, i)
			g.add(t, d, join)
		}
		g.whole(t)
	})
	if !joined {
		return
	}
	m.talks(p, g, 0, 2)
	join["key"] = p.key + " anew" // two originals that were cut do not always find each other again
	p.cell("leave", func(t testing.TB) {
		g.leave(t)
		forget(all)
		g = &relayed{apart: g.apart}
		for _, d := range all {
			g.add(t, d, join)
		}
		g.whole(t)
		do(t, g.all[2], driver.Command{"cmd": "leave"})
		g.hearsLeave(t, 2)
	})
	p.cell("rejoin", func(t testing.TB) {
		do(t, g.all[2], join)
		g.ids[2] = do(t, g.all[2], driver.Command{"cmd": "status"}).ID
		g.knowAll(t)
		g.broadcast(t, "again")
	})
	p.cell("death", func(t testing.TB) { g.dies(t, 2) })
}

// bots: a bot is invited, a member joins through it, and the bot relays between that one and its inviter.
func (m *matrix) bots(p *playing, row []string) {
	g := &relayed{apart: make(map[[2]int]bool)}
	url := m.signaling[row[0]]
	command := exec.Command(m.netflux, "bot")
	if row[1] == original {
		command = originalBot(p)()
	}
	command.Args = append(command.Args, "-listen", "127.0.0.1:0", "-signaling", url, "-loopback")
	bot, inviter, joiner := p.start("bot", command), m.member(p, row[2]), m.member(p, row[3])
	join := driver.Command{"cmd": "join", "signaling": url, "key": p.key, "loopback": true}
	invite := func(t testing.TB) uint32 {
		do(t, inviter, driver.Command{"cmd": "invite", "url": bot.Ready.URL})
		if _, err := bot.Wait(pageTimeout, func(e driver.Event) bool { return e.State == "JOINED" }); err != nil {
			t.Fatal(err)
		}
		return do(t, bot, driver.Command{"cmd": "status", "group": g.group}).ID
	}
	assemble := func(t testing.TB) {
		forget([]*driver.Peer{bot, inviter, joiner})
		g.add(t, inviter, join)
		g.all, g.ids = append(g.all, bot), append(g.ids, invite(t))
		g.add(t, joiner, join)
		g.whole(t)
	}
	joined := p.cell("join", func(t testing.TB) {
		inNetwork(t, inviter, 0)
		inNetwork(t, joiner, 2)
		assemble(t)
	})
	if !joined {
		return
	}
	m.talks(p, g, 1, 2)
	join["key"] = p.key + " anew" // two originals that were cut do not always find each other again
	p.cell("leave", func(t testing.TB) {
		g.leave(t)
		g = &relayed{apart: g.apart}
		assemble(t)
		do(t, bot, driver.Command{"cmd": "leave", "group": g.group})
		g.hearsLeave(t, 1)
	})
	p.cell("rejoin", func(t testing.TB) {
		forget(g.all)
		g.ids[1] = invite(t)
		g.knowAll(t)
		g.broadcast(t, "again")
	})
	p.cell("death", func(t testing.TB) { g.dies(t, 1) })
}

// talks is what all groups of three do: the first and the last one come to have no channel, and two of them send much.
func (m *matrix) talks(p *playing, g *relayed, from, to int) {
	p.cell("private", func(t testing.TB) { g.private(t, 0, 1, 2) })
	p.cell("broadcast", func(t testing.TB) { g.broadcast(t, "to all") })
	p.cell("5 MiB", func(t testing.TB) {
		m.large.Lock()
		defer m.large.Unlock()
		for _, i := range []int{from, to} {
			j := from + to - i
			do(t, g.all[i], driver.Command{"cmd": "sendTo", "group": g.group, "to": g.ids[j], "base64": encoded(bytesOf(i, big))})
			expectMessage(t, g.all[j], g.ids[i], bytesOf(i, big), false)
		}
	})
	p.cell("relay", func(t testing.TB) {
		g.cut(t, true)
		defer g.cut(t, false)
		g.whole(t)
		g.private(t, 0, 2)
		g.broadcast(t, "relayed")
	})
}

// private has each of some members say something to each of the others alone.
func (r *relayed) private(t testing.TB, who ...int) {
	t.Helper()
	for _, i := range who {
		for _, j := range who {
			if i == j {
				continue
			}
			text, data := fmt.Sprintf("%s to %d", greeting(i), j), bytesOf(i*16+j, 40_000)
			do(t, r.all[i], driver.Command{"cmd": "sendTo", "group": r.group, "to": r.ids[j], "text": text})
			do(t, r.all[i], driver.Command{"cmd": "sendTo", "group": r.group, "to": r.ids[j], "base64": encoded(data)})
			expectMessage(t, r.all[j], r.ids[i], []byte(text), true)
			expectMessage(t, r.all[j], r.ids[i], data, false)
		}
	}
}

// broadcast has each say something to all.
func (r *relayed) broadcast(t testing.TB, what string) {
	t.Helper()
	for i, p := range r.all {
		text, data := greeting(i)+" "+what, bytesOf(i, 40_000)
		do(t, p, driver.Command{"cmd": "send", "group": r.group, "text": text})
		do(t, p, driver.Command{"cmd": "send", "group": r.group, "base64": encoded(data)})
		for j, q := range r.all {
			if j != i {
				expectMessage(t, q, r.ids[i], []byte(text), true)
				expectMessage(t, q, r.ids[i], data, false)
			}
		}
	}
}

// cut takes the channel between the first and the third one away, or lets them have one again.
func (r *relayed) cut(t testing.TB, on bool) {
	t.Helper()
	for _, pair := range [][2]int{{0, 2}, {2, 0}} {
		switch {
		case isPage(r.all[0]) && isPage(r.all[2]) && on:
			network(t, r.all[pair[0]], fmt.Sprint(pair[0]), fmt.Sprint(pair[1]))
		case isPage(r.all[0]) && isPage(r.all[2]):
			inNetwork(t, r.all[pair[0]], pair[0])
		case !isPage(r.all[pair[0]]):
			block(t, r.all[pair[0]], on, r.ids[pair[1]:pair[1]+1], nil)
		}
	}
	clear(r.apart)
	if on {
		r.part(0, 2)
	}
}

// inNetwork gives a page a name of its own, by which others can be cut off.
func inNetwork(t testing.TB, p *driver.Peer, i int) {
	t.Helper()
	if isPage(p) {
		network(t, p, fmt.Sprint(i))
	}
}

// knowAll waits until all know all, by whatever way.
func (r *relayed) knowAll(t testing.TB) {
	t.Helper()
	want := slices.Sorted(slices.Values(r.ids))
	for i, p := range r.all {
		waitFor(t, 2*pageTimeout, func() (bool, string) {
			s := do(t, p, driver.Command{"cmd": "status", "group": r.group})
			slices.Sort(s.Members)
			return slices.Equal(s.Members, want), fmt.Sprintf("%s, %d, knows %v, not %v", p.Name, r.ids[i], s.Members, want)
		})
	}
}

// hearsLeave expects that all others hear that one leaves.
func (r *relayed) hearsLeave(t testing.TB, who int) {
	t.Helper()
	for i, p := range r.all {
		if i == who {
			continue
		}
		if _, err := p.Wait(pageTimeout, func(e driver.Event) bool { return e.Event == "leave" && e.Member == r.ids[who] }); err != nil {
			t.Errorf("%s does not hear of it: %v", p.Name, err)
		}
	}
}

// dies kills one without a word; the others notice, and go on.
func (r *relayed) dies(t testing.TB, who int) {
	t.Helper()
	forget(r.all)
	r.all[who].Kill()
	r.hearsLeave(t, who)
	r.all, r.ids = slices.Delete(r.all, who, who+1), slices.Delete(r.ids, who, who+1)
	r.broadcast(t, "afterwards")
}

func forget(all []*driver.Peer) {
	for _, p := range all {
		p.Forget()
	}
}

// pairings: two clients, from the code to the pairing that is found again.
func (m *matrix) pairings(p *playing, row []string) {
	url := m.pairing[row[0]]
	client := func(kind string) *driver.Peer {
		if kind == ours {
			return p.start("Go client", exec.Command(m.peersox, "peer"))
		}
		return p.start("page in "+kind, m.browsers[kind].page("peersox-page.mjs"))
	}
	both := []*driver.Peer{client(row[1]), client(row[2])}
	a, b := both[0], both[1]
	stores := []string{filepath.Join(p.TempDir(), "a"), filepath.Join(p.TempDir(), "b")}
	var pairing driver.Event
	begin := func(t testing.TB, i int) {
		both[i].Forget()
		do(t, both[i], driver.Command{"cmd": "init", "url": url, "loopback": true, "autoUpgrade": false, "store": stores[i]})
	}
	connect := func(t testing.TB) {
		for _, d := range both {
			do(t, d, driver.Command{"cmd": "connect", "code": pairing.Code, "hash": pairing.Hash})
		}
		for _, d := range both {
			if e := expectEvent(t, d, "peerConnected"); e.Initiator != (d == a) {
				t.Errorf("%s: initiator is %v", d.Name, e.Initiator)
			}
		}
	}
	paired := p.cell("pair", func(t testing.TB) {
		begin(t, 0)
		begin(t, 1)
		pairing = do(t, a, driver.Command{"cmd": "createPairing"})
		if joined := do(t, b, driver.Command{"cmd": "joinPairing", "code": pairing.Code}); joined.Hash != pairing.Hash {
			t.Fatalf("the joiner's hash is %q, not %q", joined.Hash, pairing.Hash)
		}
		connect(t)
	})
	if !paired {
		return
	}
	p.cell("text", func(t testing.TB) { exchange(t, both, greeting(0), nil) })
	p.cell("binary", func(t testing.TB) { exchange(t, both, "", bytesOf(1, 1000)) })
	p.cell("1 MiB", func(t testing.TB) { exchange(t, both, "", bytesOf(2, 1<<20)) })
	p.cell("upgrade", func(t testing.TB) {
		for _, d := range []*driver.Peer{b, a} { // an original that has made no connection yet drops what comes (DEV-45)
			n, err := d.Send(driver.Command{"cmd": "upgrade"})
			if err == nil && isPage(d) {
				_, err = d.Answer(pageTimeout, n)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, d := range both {
			expectEvent(t, d, "upgraded")
		}
		exchange(t, both, greeting(1), bytesOf(3, 60_000))
		for _, d := range both {
			if s := do(t, d, driver.Command{"cmd": "status"}); !s.WebRTC {
				t.Errorf("%s: %+v", d.Name, s)
			}
		}
	})
	p.cell("fall back", func(t testing.TB) {
		do(t, a, driver.Command{"cmd": "break"})
		for _, d := range both {
			expectEvent(t, d, "peerRtcClosed")
		}
		exchange(t, both, greeting(2), bytesOf(4, 60_000))
	})
	p.cell("close", func(t testing.TB) {
		for _, d := range both {
			do(t, d, driver.Command{"cmd": "store", "code": pairing.Code, "hash": pairing.Hash})
		}
		do(t, a, driver.Command{"cmd": "close"})
		for _, d := range both {
			expectEvent(t, d, "connectionClosed")
		}
	})
	p.cell("restore", func(t testing.TB) {
		for i, d := range both {
			begin(t, i)
			if e := do(t, d, driver.Command{"cmd": "restore"}); e.Hash != pairing.Hash || e.Code != pairing.Code {
				t.Errorf("%s has restored %+v", d.Name, e)
			}
		}
		connect(t)
		exchange(t, both, greeting(3), nil)
	})
}

// exchange has each of two send a text, unless it is empty, and bytes, unless they are nil, to the other.
func exchange(t testing.TB, both []*driver.Peer, text string, data []byte) {
	t.Helper()
	for i, p := range both {
		q := both[1-i]
		if text != "" {
			text := fmt.Sprint(text, " ", i)
			do(t, p, driver.Command{"cmd": "send", "text": text})
			expectMessage(t, q, 0, []byte(text), true)
		}
		if data != nil {
			data := append([]byte{byte(i)}, data[1:]...)
			do(t, p, driver.Command{"cmd": "send", "base64": encoded(data)})
			expectMessage(t, q, 0, data, false)
		}
	}
}

package peersox

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/meshpair/meshpair/internal/attacks"
	"github.com/meshpair/meshpair/internal/rtc"
	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/vectors"
	"github.com/meshpair/meshpair/internal/ws"
)

var relayOnly = ClientConfig{NoUpgrade: true}

// A sealed pairing through a real server does all that others do, and ends with a goodbye (SEC-42 to SEC-45).
func TestSealed(t *testing.T) {
	m := startMiddle(t)
	a, b := m.meet(true, ClientConfig{}, ClientConfig{NoUpgrade: true})
	talk := func() {
		t.Helper()
		big := strings.Repeat("0123456789", 100_000)
		for _, text := range []string{"hello", "", "PING", "§", `§{"name":"meshpair.end","data":{"after":0}}`, big} {
			a.send(Text, text)
			b.wantMessage(Text, text)
			b.send(Binary, text)
			a.wantMessage(Binary, text)
		}
	}
	talk()
	for _, u := range []*user{a, b} {
		if s := u.Status(); !s.Sealed || !s.Extended || !s.WebSocket || s.WebRTC || s.Pairing.Secret != a.Status().Pairing.Secret {
			t.Errorf("%+v", s)
		}
	}
	if err := b.Upgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	next[Upgraded](a)
	talk()
	a.Break()
	next[PeerRTCClosed](a)
	next[PeerRTCClosed](b)
	talk()
	if err := a.Upgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	talk()
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, u := range []*user{a, b} {
		if e := next[ConnectionClosed](u); e.Err != nil || e.Lost != 0 {
			t.Errorf("%+v", e)
		}
	}
}

// Who sees all that passes the server finds nothing of what the two say, nor of how they connect, nor the secret; of
// a pairing that is not sealed it finds all (SEC-40, SEC-43, SEC-46).
func TestSealedCapture(t *testing.T) {
	for _, seal := range []bool{true, false} {
		m := startMiddle(t)
		a, b := m.meet(seal, ClientConfig{}, ClientConfig{NoUpgrade: true})
		a.send(Text, `{"name":"holiday.zip","size":7}`)
		a.send(Binary, "payload")
		b.wantMessage(Text, `{"name":"holiday.zip","size":7}`)
		b.wantMessage(Binary, "payload")
		if err := b.Upgrade(t.Context()); err != nil {
			t.Fatal(err)
		}
		next[Upgraded](a)
		for _, what := range []string{"holiday.zip", "payload", "v=0", "fingerprint", "candidate", "ice-ufrag", "peer.signal"} {
			if m.saw(what) == seal {
				t.Errorf("sealed %v: %q was seen: %v", seal, what, !seal)
			}
		}
		if p := a.Status().Pairing; seal && (m.saw(string(p.Secret)) || m.saw(string(p.Secret)[8:20])) || !m.saw(p.Code) || !m.saw(p.Hash) {
			t.Errorf("sealed %v: the secret was seen, or nothing was", seal)
		}
	}
}

// What a server can do to what passes it is refused by its name in a sealed pairing, and in another one it works, or nobody
// notices (SEC-44, SEC-45, SEC-47).
func TestSealedMeddled(t *testing.T) {
	long := func(i int) string { return strings.Repeat(fmt.Sprint(i), 2000) }
	for _, c := range []struct {
		name   string
		second func(m *middle, p, held packet) []packet // what becomes of the second of three messages
		third  func(p, held packet) []packet            // and of the third
		got    []string                                 // in another one
		closed bool                                     // it is closed, too
	}{
		{name: "changed", got: []string{long(1), long(2)[:1999] + "\x33", long(3)},
			second: func(_ *middle, p, _ packet) []packet { p.data[len(p.data)-1] ^= 1; return []packet{p} }},
		{name: "dropped", got: []string{long(1)},
			second: func(*middle, packet, packet) []packet { return nil }},
		{name: "repeated", got: []string{long(1), long(2), long(3)},
			second: func(_ *middle, p, _ packet) []packet { return []packet{p, p} }},
		{name: "reordered", got: []string{long(1), long(2), long(3)},
			second: func(*middle, packet, packet) []packet { return nil },
			third:  func(p, held packet) []packet { return []packet{p, held} }},
		{name: "invented", got: []string{long(1), "invented"},
			second: func(_ *middle, p, _ packet) []packet { return []packet{{ws.Binary, []byte("\x01\x02invented"), false}} },
			third:  func(packet, packet) []packet { return nil }},
		{name: "cut short", got: []string{long(1)}, closed: true,
			second: func(m *middle, _, _ packet) []packet { m.cut(); return nil },
			third:  func(packet, packet) []packet { return nil }},
		{name: "an offer", got: []string{long(1), long(2), long(3)},
			second: func(_ *middle, p, _ packet) []packet {
				return []packet{{ws.Text, []byte(`§{"name":"peer.signal","data":{"type":"offer","sdp":"v=0"}}`), false}, p}
			}},
		{name: "a goodbye", got: []string{long(1), long(2), long(3)},
			second: func(_ *middle, p, _ packet) []packet {
				return []packet{{ws.Text, []byte(`§{"name":"meshpair.end","data":{"after":1}}`), false}, p}
			}},
	} {
		for _, seal := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, sealed %v", c.name, seal), func(t *testing.T) {
				m := startMiddle(t)
				n := 0
				var held packet
				m.meddle = func(m *middle, from int, p packet) []packet {
					if from != 0 || p.kind != ws.Binary || len(p.data) < 2000 {
						return []packet{p}
					}
					n++
					switch {
					case n == 2:
						held = p
						return c.second(m, packet{p.kind, bytes.Clone(p.data), false}, held)
					case n == 3 && c.third != nil:
						return c.third(p, held)
					}
					return []packet{p}
				}
				a, b := m.meet(seal, relayOnly, relayOnly)
				b.send(Text, "ready")
				a.wantMessage(Text, "ready") // and so its hello has come
				a.send(Text, long(1))
				b.wantMessage(Text, long(1))
				for i := range 2 {
					a.Send(t.Context(), Text, []byte(long(i+2))) // it may be closed by now
				}
				row := "pairing: " + c.name
				if seal {
					outcome := attacks.Refused
					if c.closed {
						outcome = attacks.Noticed
					}
					attacks.Check(t, row, true, outcome, next[ConnectionClosed](b).Err)
					next[ConnectionClosed](a)
					if c.name == "repeated" { // its first copy is right
						b.wantMessage(Text, long(2))
					}
					untold[Message](b)
					return
				}
				outcome := attacks.Mended
				for _, text := range c.got[1:] {
					b.wantMessage(Text, text)
				}
				if len(c.got) < 3 || c.got[1] != long(2) || c.got[2] != long(3) {
					outcome = attacks.Succeeds
				}
				attacks.Check(t, row, false, outcome, nil)
				if c.closed {
					if e := next[ConnectionClosed](b); e.Err != nil {
						t.Errorf("noticed: %v", e.Err)
					}
					return
				}
				b.send(Text, "all is well")
				a.wantMessage(Text, "all is well")
				untold[ConnectionClosed](b)
			})
		}
	}
}

// A goodbye that does not come is noticed, though all messages came (SEC-45).
func TestSealedGoodbye(t *testing.T) {
	m := startMiddle(t)
	var mu sync.Mutex
	swallow := false
	m.meddle = func(_ *middle, from int, p packet) []packet {
		mu.Lock()
		defer mu.Unlock()
		if swallow && from == 0 {
			return nil
		}
		return []packet{p}
	}
	a, b := m.meet(true, relayOnly, relayOnly)
	a.send(Text, "one")
	b.wantMessage(Text, "one")
	b.send(Text, "two") // with its acknowledgement of the first
	a.wantMessage(Text, "two")
	mu.Lock()
	swallow = true
	mu.Unlock()
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	attacks.Check(t, "pairing: swallows the goodbye", true, attacks.Noticed, next[ConnectionClosed](b).Err)
}

// stepOf returns the handshake message in a packet (SEC-42).
func stepOf(p packet) (step int, data []byte) {
	var m struct {
		Name string
		Data struct {
			Step int
			Data []byte
		}
	}
	rest, _ := bytes.CutPrefix(p.data, []byte("§"))
	if json.Unmarshal(rest, &m) != nil || m.Name != "meshpair.sealed" {
		return 0, nil
	}
	return m.Data.Step, m.Data.Data
}

func stepPacket(step int, data []byte, back bool) packet {
	return packet{ws.Text, fmt.Appendf(nil, `§{"name":"meshpair.sealed","data":{"step":%d,"data":"%s"}}`, step, base64.StdEncoding.EncodeToString(data)), back}
}

// A server that speaks in the place of the peer is refused, whichever end it plays, and has been told nothing; of
// a pairing that is not sealed it reads all (SEC-9, SEC-42).
func TestSealedImpostor(t *testing.T) {
	const hello = `{"version":1,"window":65536,"maxMessage":1000000}`
	t.Run("as responder", func(t *testing.T) {
		m := startMiddle(t)
		m.meddle = func(m *middle, from int, p packet) []packet {
			if step, _ := stepOf(p); from == 0 && step == 1 { // one that fits but for its proof is in package sealed
				return []packet{stepPacket(2, bytes.Repeat([]byte{9}, 180), true)}
			}
			return []packet{p}
		}
		a, b := m.dial(true, relayOnly, relayOnly)
		attacks.Check(t, "pairing: impostor", true, attacks.Refused, next[ConnectionClosed](a).Err)
		next[ConnectionClosed](b)
		untold[PeerConnected](a)
	})
	t.Run("as initiator", func(t *testing.T) {
		m := startMiddle(t)
		m.meddle = func(m *middle, from int, p packet) []packet {
			if step, _ := stepOf(p); from == 0 && step == 1 {
				return []packet{stepPacket(1, impostor(t, m).Initiate(), false)}
			}
			return []packet{p}
		}
		a, b := m.dial(true, relayOnly, relayOnly)
		for _, u := range []*user{a, b} { // the second says to the first that it has refused
			attacks.Check(t, "pairing: impostor as initiator", true, attacks.Refused, next[ConnectionClosed](u).Err)
			untold[PeerConnected](u)
		}
	})
	t.Run("downgrade", func(t *testing.T) {
		m := startMiddle(t)
		m.meddle = func(_ *middle, from int, p packet) []packet {
			if step, _ := stepOf(p); from == 0 && step == 1 {
				return []packet{{ws.Text, []byte(`§{"name":"meshpair.hello","data":` + hello + `}`), true}}
			}
			return []packet{p}
		}
		a, b := m.dial(true, relayOnly, relayOnly)
		attacks.Check(t, "pairing: downgrade", true, attacks.Refused, next[ConnectionClosed](a).Err)
		next[ConnectionClosed](b)
		untold[PeerConnected](a)
	})
	t.Run("not sealed", func(t *testing.T) {
		m := startMiddle(t)
		read := make(chan string, 10)
		m.meddle = func(_ *middle, from int, p packet) []packet {
			switch {
			case from != 0 || strings.Contains(string(p.data), "client.register"):
				return []packet{p}
			case strings.Contains(string(p.data), "meshpair.hello"):
				return []packet{{ws.Text, []byte(`§{"name":"meshpair.hello","data":` + hello + `}`), true}}
			case strings.Contains(string(p.data), "meshpair.frames"):
				return []packet{{ws.Text, []byte(`§{"name":"meshpair.frames","data":{"after":0}}`), true}}
			}
			read <- string(p.data)
			return nil
		}
		a, _ := m.dial(false, relayOnly, relayOnly)
		next[PeerConnected](a)
		a.send(Text, "in confidence")
		if got := <-read; !strings.HasSuffix(got, "in confidence") {
			t.Errorf("%q", got)
		}
		attacks.Check(t, "pairing: impostor", false, attacks.Succeeds, nil)
	})
}

// impostor is an end with another secret; the code and the hash it knows, as servers do.
func impostor(t testing.TB, m *middle) *sealed.Pairing {
	t.Helper()
	code, hash := m.registered()
	p, err := Pairing{code, hash, NewSecret()}.seal()
	if err != nil {
		t.Error(err)
	}
	return p
}

// registered returns the pairing that clients have registered with.
func (m *middle) registered() (code, hash string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, rest, _ := bytes.Cut(m.seen.Bytes(), []byte(`"client.register","data":`))
	rest, _, _ = bytes.Cut(rest, []byte("\n"))
	var p Pairing
	json.Unmarshal(bytes.TrimSuffix(rest, []byte("}")), &p)
	return p.Code, p.Hash
}

// A server that puts itself between the two ends of the data channel reads what they say there, as it swaps the
// fingerprints, unless the pairing is sealed: then it has nothing to swap, and what it invents ends the pairing (SEC-46).
func TestSealedFingerprints(t *testing.T) {
	const row = "pairing: in the middle of the data channel"
	attack := func(t *testing.T, m *middle) (conn chan *rtc.Conn) {
		conn = make(chan *rtc.Conn, 1)
		var mine *rtc.Conn
		m.meddle = func(m *middle, from int, p packet) []packet {
			var in struct {
				Name string
				Data struct {
					Type, SDP string
					Candidate *struct {
						Candidate, SDPMid string
						SDPMLineIndex     uint16
					}
				}
			}
			rest, _ := bytes.CutPrefix(p.data, []byte("§"))
			if json.Unmarshal(rest, &in) != nil || in.Name != "peer.signal" || from != 0 {
				return []packet{p}
			}
			if in.Data.Type == "offer" {
				m.mu.Lock()
				victim := m.conns[0]
				m.mu.Unlock()
				var err error
				mine, err = rtc.Answer(rtc.Config{Loopback: true}, func(s rtc.Signal) {
					switch s.Type {
					case rtc.SignalAnswer:
						b, _ := json.Marshal(s.SDP)
						victim.Write(ws.Text, fmt.Appendf(nil, `§{"name":"peer.signal","data":{"type":"answer","sdp":%s}}`, b))
					case rtc.SignalCandidate:
						b, _ := json.Marshal(s.Candidate)
						victim.Write(ws.Text, fmt.Appendf(nil, `§{"name":"peer.signal","data":{"candidate":{"candidate":%s,"sdpMid":%q,"sdpMLineIndex":%d}}}`, b, s.SDPMid, s.SDPMLineIndex))
					}
				})
				if err != nil {
					t.Error(err)
					return nil
				}
				mine.Signal(rtc.Signal{Type: rtc.SignalOffer, SDP: in.Data.SDP})
				conn <- mine
			} else if c := in.Data.Candidate; c != nil && mine != nil {
				mine.Signal(rtc.Signal{Type: rtc.SignalCandidate, Candidate: c.Candidate, SDPMid: c.SDPMid, SDPMLineIndex: c.SDPMLineIndex})
			}
			return nil
		}
		return conn
	}
	t.Run("not sealed", func(t *testing.T) {
		m := startMiddle(t)
		conn := attack(t, m)
		a, _ := m.meet(false, ClientConfig{}, ClientConfig{})
		next[Upgraded](a)
		c := <-conn
		defer c.Abort()
		if err := c.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.send(Text, "in confidence")
		for {
			_, data, err := c.Read()
			if err != nil {
				t.Fatal(err)
			}
			if bytes.HasSuffix(data, []byte("in confidence")) {
				attacks.Check(t, row, false, attacks.Succeeds, nil)
				return
			}
		}
	})
	t.Run("sealed", func(t *testing.T) {
		m := startMiddle(t)
		conn := attack(t, m)
		a, b := m.meet(true, ClientConfig{}, ClientConfig{})
		next[Upgraded](a)
		next[Upgraded](b)
		a.send(Text, "in confidence")
		b.wantMessage(Text, "in confidence")
		outcome := attacks.Mended
		select {
		case <-conn:
			outcome = attacks.Succeeds
		default:
		}
		attacks.Check(t, row, true, outcome, nil)
	})
}

// Each way in which the two do not fit has an error of its own at each end, and nothing is said (SEC-47, SEC-48).
func TestSealedRefusals(t *testing.T) {
	for _, c := range []struct {
		name        string
		text        func(p Pairing) string
		seal        bool
		first, last error
	}{
		{"another secret", func(p Pairing) string { p.Secret = NewSecret(); return p.Text() }, true, ErrSecret, ErrSecret},
		{"the code alone", func(p Pairing) string { return p.Code }, true, ErrUnsealed, ErrNoSecret},
		{"a secret too much", func(p Pairing) string { p.Secret = NewSecret(); return p.Text() }, false, ErrNoSecret, ErrUnsealed},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := startMiddle(t)
			a, b := newUser(t, ClientConfig{URL: m.URL, Seal: c.seal}), newUser(t, ClientConfig{URL: m.URL})
			p, err := a.InitPairing(t.Context())
			if err != nil || (p.Secret != "") != c.seal {
				t.Fatal(p, err)
			}
			if _, err := b.Pair(t.Context(), c.text(p)); err != nil {
				t.Fatal(err)
			}
			for u, want := range map[*user]error{a: c.first, b: c.last} {
				e := next[ConnectionClosed](u)
				if !errors.Is(e.Err, want) {
					t.Errorf("the first: %v; %v, not %v", u == a, e.Err, want)
				}
				if c.seal && u == a {
					attacks.Check(t, "pairing: "+c.name, true, attacks.Refused, e.Err)
				}
				if c.seal && u == a || !c.seal && u == b {
					untold[PeerConnected](u)
				}
				if err := u.Send(t.Context(), Text, []byte("x")); !errors.Is(err, ErrNotConnected) {
					t.Error(err)
				}
			}
			if m.saw("peer.signal") {
				t.Error("there was a signal")
			}
		})
	}
}

// An original gets nothing from a client with a secret but the beginning of a handshake, which it ignores (SEC-47).
func TestSealedOriginal(t *testing.T) {
	for _, says := range []string{`§{"name":"peer.signal","data":{"type":"offer","sdp":"v=0"}}`, "hello"} {
		f := startFake(t)
		u := newUser(t, ClientConfig{URL: f.URL, Seal: true})
		if _, err := u.InitPairing(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, err := ws.Dial(t.Context(), "ws"+strings.TrimPrefix(f.URL, "http")+"/ws", ws.DialConfig{Subprotocols: []string{"x"}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Abort()
		o := oldPeer{t, c}
		o.say("register")
		o.want("HANDSHAKE_SUCCESS")
		o.want(`§{"name":"peer.connected","data":{"isInitiator":false}}`)
		if step, _ := stepOf(packet{data: []byte(o.read())}); step != 1 {
			t.Error("no handshake")
		}
		o.say("PING")
		o.say(says)
		o.want(`§{"name":"meshpair.sealed","data":{"refused":true}}`)
		if e := next[ConnectionClosed](u); !errors.Is(e.Err, ErrUnsealed) {
			t.Error(e.Err)
		}
		untold[PeerConnected](u)
	}
}

// A slip in what was told is found before the server is asked anything, and a code is not used up by it (SEC-40).
func TestSealedSlip(t *testing.T) {
	f := startFake(t)
	asked := 0
	f.rest = func(http.ResponseWriter, *http.Request) bool { asked++; return false }
	secret := NewSecret()
	u := newUser(t, ClientConfig{URL: f.URL})
	for _, text := range []string{"123456-", "123456#", "123456-" + string(secret)[:30], "123456-" + string(secret) + "q", "http://x/123456#" + string(secret)[1:]} {
		if _, err := u.Pair(t.Context(), text); !errors.Is(err, ErrSecretText) || strings.Contains(err.Error(), string(secret)[8:25]) {
			t.Error(err)
		}
	}
	if err := u.Connect(t.Context(), Pairing{"123456", "x", "mppair1"}); !errors.Is(err, ErrSecretText) {
		t.Error(err)
	}
	if asked > 0 {
		t.Errorf("%d requests", asked)
	}
	f.rest = func(w http.ResponseWriter, r *http.Request) bool {
		fmt.Fprint(w, `{"code":"654321","hash":"x","Secret":"y"}`)
		return true
	}
	if _, err := u.JoinPairing(t.Context(), "123456-"+string(secret)); !errors.Is(err, ErrProtocol) {
		t.Error(err)
	}
	if p, err := u.CreatePairing(t.Context()); err != nil || p.Secret != "" {
		t.Error("the server has given a secret:", p, err)
	}
}

// TestParseCode holds what users tell each other against vectors (SEC-40).
func TestParseCode(t *testing.T) {
	var file struct {
		Texts, Failing, Pairings, Handshakes vectors.Elsewhere
		Told                                 []struct{ Text, Code, Secret string }
		ToldFailing                          []struct{ Text, Note string }
	}
	vectors.Read(t, "sealed/pairing.json", &file)
	for _, v := range file.Told {
		code, secret, err := ParseCode(v.Text)
		if err != nil || code != v.Code || string(secret) != v.Secret {
			t.Errorf("%q: %q, %q, %v", v.Text, code, string(secret), err)
		}
		p := Pairing{code, "", secret}
		for _, text := range []string{p.Text(), p.Link("https://x.example/y/"), p.Link("")} {
			if c, s, err := ParseCode(text); c != code || s != secret || err != nil {
				t.Errorf("%q: %q, %q, %v", text, c, string(s), err)
			}
		}
	}
	for _, v := range file.ToldFailing {
		if code, secret, err := ParseCode(v.Text); !errors.Is(err, ErrSecretText) || code != "" || secret != "" {
			t.Errorf("%s: %q, %q, %v", v.Note, code, string(secret), err)
		}
	}
	if got, want := (Pairing{"123456", "x", "mppair1x"}).Link("https://x.example/"), "https://x.example/123456#mppair1x"; got != want {
		t.Error(got)
	}
}

// A secret is shown by nothing but Text and Link (SEC-48), and never goes into JSON (SEC-40).
func TestSecretHides(t *testing.T) {
	p := Pairing{"123456", "hash", NewSecret()}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", p.Secret, "pairing", p, "event", PeerConnected{true, p})
	b, _ := json.Marshal(p)
	shown := fmt.Sprintf("%v %+v %#v %s %q %v %s %s", p, p, p, p.Secret, p.Secret, Status{Pairing: p}, log.String(), b)
	if strings.Contains(shown, string(p.Secret)[8:20]) || !strings.Contains(shown, "(secret)") || Secret("").String() != "" {
		t.Error(shown)
	}
}

// A pairing that is kept is sealed again, by a handshake of its own; one whose secret is damaged, or whose end was lost,
// counts as none (SEC-49).
func TestSealedRestore(t *testing.T) {
	m := startMiddle(t)
	path := filepath.Join(t.TempDir(), "pairing")
	store := PairingFile(path)
	a, b := m.meet(true, ClientConfig{NoUpgrade: true, Pairings: store}, relayOnly)
	p := a.Status().Pairing
	if err := a.StorePairing(p); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	a.Close(t.Context())
	next[ConnectionClosed](b)
	restored, err := a.RestorePairing(t.Context())
	if err != nil || restored != p || m.saw(string(p.Secret)) {
		t.Fatal(restored, err)
	}
	for _, u := range []*user{a, b} {
		if err := u.Connect(t.Context(), restored); err != nil {
			t.Fatal(err)
		}
	}
	for _, u := range []*user{b, a} {
		next[PeerConnected](u)
		if !u.Status().Sealed {
			t.Error("not sealed")
		}
	}
	a.send(Text, "again")
	b.wantMessage(Text, "again")
	line, _ := os.ReadFile(path)
	for _, damaged := range []string{strings.TrimSpace(string(line)) + "q", p.Code + "_" + p.Hash + "_", strings.Replace(string(line), "mppair1", "mppair1q", 1), string(line[:len(line)-3]), strings.TrimSpace(string(line)) + "_x"} {
		os.WriteFile(path, []byte(damaged), 0o600)
		if got, err := store.Load(); err != ErrNoPairing || got != (Pairing{}) {
			t.Errorf("%q: %v, %v", damaged, got, err)
		}
	}
	for n := range line { // its end was lost
		os.WriteFile(path, line[:n], 0o600)
		if got, err := store.Load(); err != ErrNoPairing || got != (Pairing{}) {
			t.Errorf("%q: %v, %v", line[:n], got, err)
		}
	}
	if err := store.Save(Pairing{Code: p.Code, Hash: p.Hash}); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Load(); err != nil || got != (Pairing{Code: p.Code, Hash: p.Hash}) {
		t.Error(got, err)
	}
}

// A server that pairs the one who has a code with somebody else has them talk, unless the pairing is sealed: then that one
// does not have its secret, and the code is in the handshake (SEC-41, SEC-42).
func TestSwappedCodes(t *testing.T) {
	const row = "pairing: swapped codes"
	for _, seal := range []bool{false, true} {
		m := startMiddle(t)
		var swap *strings.Replacer
		m.meddle = func(_ *middle, from int, p packet) []packet {
			if from == 2 && bytes.Contains(p.data, []byte("client.register")) {
				p.data = []byte(swap.Replace(string(p.data)))
			}
			return []packet{p}
		}
		cfg := ClientConfig{URL: m.URL, Seal: seal, NoUpgrade: true}
		a, x, b := newUser(t, cfg), newUser(t, cfg), newUser(t, cfg)
		right, err := a.InitPairing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wrong, err := x.InitPairing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		swap = strings.NewReplacer(right.Code, wrong.Code, right.Hash, wrong.Hash)
		if _, err := b.Pair(t.Context(), right.Text()); err != nil {
			t.Fatal(err)
		}
		if seal {
			attacks.Check(t, row, true, attacks.Refused, next[ConnectionClosed](b).Err)
			next[ConnectionClosed](x)
			untold[PeerConnected](b)
			untold[PeerConnected](x)
			continue
		}
		next[PeerConnected](b)
		next[PeerConnected](x)
		b.send(Text, "for the other one")
		x.wantMessage(Text, "for the other one")
		attacks.Check(t, row, false, attacks.Succeeds, nil)
	}
}

// A server gives what would be more than a code or a hash where it is pasted or kept: it is refused, whether there is to be a secret
// or not (SEC-40).
func TestStrangeCode(t *testing.T) {
	f := startFake(t)
	secret := string(NewSecret())
	good := Pairing{Code: "12345.", Hash: strings.Repeat("0aF", 21) + "9"}
	var answer Pairing
	f.rest = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/api/code/") {
			json.NewEncoder(w).Encode(answer)
			return true
		}
		return false
	}
	for _, c := range []struct {
		code, hash string
		ok         bool
	}{
		{good.Code, good.Hash, true},
		{"123456\nrm -r x", good.Hash, false}, {"$(date)", good.Hash, false}, {"123456;x", good.Hash, false}, {"123456 x", good.Hash, false},
		{"123456-" + secret + "#", good.Hash, false}, {"x/123456", good.Hash, false}, {"\u202e123456", good.Hash, false},
		{strings.Repeat("1", 65), good.Hash, false}, {good.Code, good.Hash + "0", false}, {good.Code, "0_" + secret, false},
	} {
		answer = Pairing{Code: c.code, Hash: c.hash}
		for _, seal := range []bool{true, false} {
			u := newUser(t, ClientConfig{URL: f.URL, Seal: seal})
			p, err := u.CreatePairing(t.Context())
			joined, err2 := u.JoinPairing(t.Context(), "123456")
			for _, err := range []error{err, err2} {
				if c.ok && err != nil || !c.ok && !errors.Is(err, ErrProtocol) {
					t.Errorf("%q, %q: %v", c.code, c.hash, err)
				}
			}
			if !c.ok && (p != Pairing{} || joined != Pairing{}) {
				t.Errorf("%q, %q: a pairing all the same", c.code, c.hash)
			}
		}
	}
}

package peersox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/ws"
)

// Two clients meet by a code, talk by way of the server, by a data channel, by way of the server again, and part.
func TestClient(t *testing.T) { // PSX-60, PSX-61, PSX-65, PSX-67, PSX-78
	f := startFake(t)
	a, b := couple(t, f, ClientConfig{}, ClientConfig{NoUpgrade: true})
	if !slices.Equal(f.offered, f.tokens) || len(f.tokens) != 2 {
		t.Errorf("the tokens %q were offered, of %q", f.offered, f.tokens)
	}
	talk := func() {
		t.Helper()
		big := strings.Repeat("0123456789", 100_000)
		for _, text := range []string{"hello", "", "PING", "§", `§{"name":"peer.signal","data":{}}`, big} {
			a.send(Text, text)
			b.wantMessage(Text, text)
			b.send(Binary, text)
			a.wantMessage(Binary, text)
		}
	}
	talk()
	if s := b.Status(); !s.Connected || !s.WebSocket || s.WebRTC || !s.Paired || s.Initiator || !s.Extended || s.Pairing != testPairing {
		t.Errorf("%+v", s)
	}
	if err := b.Upgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	next[Upgraded](a)
	next[Upgraded](b)
	if s := a.Status(); !s.WebRTC || !s.Initiator {
		t.Errorf("%+v", s)
	}
	talk()
	a.Break()
	if e := next[PeerRTCClosed](a); !errors.Is(e.Err, ErrBroken) {
		t.Error(e.Err)
	}
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
		if s := u.Status(); s.Connected || s.Paired {
			t.Errorf("%+v", s)
		}
	}
	if err := a.Send(t.Context(), Text, nil); !errors.Is(err, ErrNotConnected) {
		t.Error(err)
	}
}

// When the two find no way to one another both users are told why, and messages go on by way of the server.
func TestNoPath(t *testing.T) { // PSX-67, PSX-77
	t.Parallel()
	f := startFake(t)
	f.edit = func(data []byte) []byte {
		if bytes.Contains(data, []byte(`{"candidate":`)) {
			return nil
		}
		return data
	}
	cfg := ClientConfig{ChannelTimeout: time.Second}
	a, b := couple(t, f, cfg, cfg)
	if e := next[UpgradeFailed](a); !errors.Is(e.Err, ErrNoPath) {
		t.Errorf("the initiator: %v", e.Err)
	}
	if e := next[UpgradeFailed](b); !errors.Is(e.Err, ErrNoPath) && !errors.Is(e.Err, ErrChannelLost) {
		t.Errorf("the other one: %v", e.Err)
	}
	if err := a.Upgrade(t.Context()); !errors.Is(err, ErrNoPath) {
		t.Errorf("Upgrade: %v", err)
	}
	a.send(Text, "still here")
	b.wantMessage(Text, "still here")
	if s := a.Status(); !s.Connected || s.WebRTC || !s.WebSocket {
		t.Errorf("%+v", s)
	}
}

// A peer whose data channel takes no frame of ours cannot have what we send wait for ever: it goes by way of the server.
func TestSmallChannel(t *testing.T) { // PSX-67, PSX-76
	f := startFake(t)
	f.edit = func(data []byte) []byte {
		return bytes.ReplaceAll(data, []byte("max-message-size:262144"), []byte("max-message-size:1000"))
	}
	a, b := couple(t, f, ClientConfig{}, ClientConfig{})
	next[Upgraded](a)
	next[Upgraded](b)
	a.send(Text, "short")
	b.wantMessage(Text, "short")
	long := strings.Repeat("0123456789", 10_000)
	a.send(Text, long)
	b.wantMessage(Text, long)
	if e := next[PeerRTCClosed](a); e.Err == nil {
		t.Error("the data channel has ended without a reason")
	}
}

// Who may only use relays and gets none is told so.
func TestNoRelay(t *testing.T) { // PSX-67
	t.Parallel()
	f := startFake(t)
	turn := []ICEServer{{URLs: []string{"turn:127.0.0.1:9"}, Username: "u", Credential: "c"}}
	a, b := couple(t, f, ClientConfig{RelayOnly: true, ICEServers: turn}, ClientConfig{})
	if e := next[UpgradeFailed](a); !errors.Is(e.Err, ErrNoRelay) {
		t.Errorf("%v", e.Err)
	}
	b.send(Text, "still here")
	a.wantMessage(Text, "still here")
}

// Nothing is lost, doubled or out of order while the data channel comes and goes.
func TestNothingLost(t *testing.T) { // PSX-71 to PSX-77
	const messages, breaks = 400, 3
	f := startFake(t)
	a, b := couple(t, f, ClientConfig{SendBuffer: 300_000}, ClientConfig{ReceiveBuffer: 100_000})
	var all sync.WaitGroup
	sizes := func(i int) int { return rand.New(rand.NewPCG(uint64(i), 0)).IntN(60_000) }
	for _, u := range []*user{a, b} {
		all.Go(func() {
			for i := range messages {
				m := append(fmt.Appendf(nil, "%d/", i), bytes.Repeat([]byte{byte(i)}, sizes(i))...)
				if err := u.Send(t.Context(), Binary, m); err != nil {
					t.Error(err)
					return
				}
			}
		})
		all.Go(func() {
			for i := range messages {
				m := next[Message](u)
				head, rest, _ := bytes.Cut(m.Data, []byte("/"))
				if string(head) != fmt.Sprint(i) || len(rest) != sizes(i) {
					t.Errorf("message %s with %d bytes came when %d with %d was due", head, len(rest), i, sizes(i))
					return
				}
			}
		})
	}
	for range breaks {
		next[Upgraded](a)
		next[Upgraded](b)
		a.Break()
		next[PeerRTCClosed](a)
		next[PeerRTCClosed](b)
		if err := a.Upgrade(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
}

// Close waits until all has arrived, and tells what has not.
func TestCloseFlushes(t *testing.T) { // PSX-80
	f := startFake(t)
	a, b := couple(t, f, ClientConfig{NoUpgrade: true}, ClientConfig{NoUpgrade: true})
	for i := range 50 {
		a.send(Binary, strings.Repeat(fmt.Sprint(i%10), 50_000))
	}
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		b.wantMessage(Binary, strings.Repeat(fmt.Sprint(i%10), 50_000))
	}
	if e := next[ConnectionClosed](a); e.Lost != 0 {
		t.Errorf("%+v", e)
	}
}

func TestCloseGivesUp(t *testing.T) { // PSX-80
	f := startFake(t)
	u, o := coupleOld(t, f, ClientConfig{CloseTimeout: 50 * time.Millisecond})
	o.say(`§{"name":"meshpair.hello","data":{"version":1,"window":65536,"maxMessage":1000}}`)
	o.read() // which is answered
	u.send(Text, "nobody acknowledges this")
	if err := u.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if e := next[ConnectionClosed](u); e.Lost != 1 || e.Err != nil {
		t.Errorf("%+v", e)
	}
}

// Towards an original texts that it would misunderstand are refused, and its own oddities are tolerated.
func TestOldPeer(t *testing.T) { // PSX-64, PSX-68
	f := startFake(t)
	u, o := coupleOld(t, f, ClientConfig{MaxRelaySize: 1000})
	u.send(Text, "hello")
	o.want("hello")
	o.say("hello yourself")
	u.wantMessage(Text, "hello yourself")
	o.say("§ is the sign of a paragraph")
	u.wantMessage(Text, "§ is the sign of a paragraph")
	for _, text := range []string{"PING", "§"} {
		if err := u.Send(t.Context(), Text, []byte(text)); !errors.Is(err, ErrReserved) {
			t.Errorf("%s: %v", text, err)
		}
		u.send(Binary, text)
		o.want(text)
	}
	if err := u.Send(t.Context(), Binary, make([]byte, 1001)); !errors.Is(err, ErrTooBig) {
		t.Error(err)
	}
	if err := u.Send(t.Context(), Text, []byte{0xff}); !errors.Is(err, ErrInvalidText) {
		t.Error(err)
	}
	if err := u.Send(t.Context(), 3, nil); !errors.Is(err, ErrKind) {
		t.Error(err)
	}
	if s := u.Status(); s.Extended {
		t.Errorf("%+v", s)
	}
	o.Conn.Close(ws.CloseNormal, "")
	if e := next[ConnectionClosed](u); e.Err != nil {
		t.Error(e.Err)
	}
}

// A user who takes nothing stops an original, too: it is not read.
func TestOldPeerWaits(t *testing.T) { // PSX-75
	f := startFake(t)
	got, release := make(chan string, 1000), make(chan struct{})
	u := NewClient(ClientConfig{URL: f.URL, NoUpgrade: true, ReceiveBuffer: 10_000, Loopback: true, OnEvent: func(e Event) {
		if m, ok := e.(Message); ok {
			<-release
			got <- string(m.Data[:3])
		}
	}})
	defer u.Close(context.Background())
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
	for range 3 {
		o.read() // success, peer.connected and hello
	}
	for i := range 50 {
		if err := c.Write(ws.Binary, append(fmt.Appendf(nil, "%03d", i), make([]byte, 100_000)...)); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(timeout)
	for {
		l := u.current()
		l.mu.Lock()
		stalled := l.core.Stalled()
		l.mu.Unlock()
		if stalled {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it takes all")
		}
		time.Sleep(time.Millisecond) // a condition is waited for
	}
	u.mail.mu.Lock()
	if n := len(u.mail.queue); n > 2 {
		t.Errorf("%d messages of 100 kB wait for a user who takes 10 kB", n)
	}
	u.mail.mu.Unlock()
	close(release)
	for i := range 50 {
		if m := <-got; m != fmt.Sprintf("%03d", i) {
			t.Fatalf("got %s, want %03d", m, i)
		}
	}
}

func TestPeerTimeout(t *testing.T) { // PSX-63
	f := startFake(t)
	u, o := coupleOld(t, f, ClientConfig{PeerTimeout: 20 * time.Millisecond})
	o.say("PING")
	next[PeerTimeout](u)
	if e := next[ConnectionClosed](u); !errors.Is(e.Err, ErrPeerTimeout) {
		t.Error(e.Err)
	}
}

func TestConnectErrors(t *testing.T) { // PSX-60, PSX-61
	f := startFake(t)
	for _, url := range []string{"", "127.0.0.1:3000", "ws://127.0.0.1", "http://", "http://127.0.0.1?x"} {
		if err := newUser(t, ClientConfig{URL: url}).Init(t.Context()); !errors.Is(err, ErrURL) {
			t.Errorf("%q: %v", url, err)
		}
	}
	u := newUser(t, ClientConfig{URL: f.URL + "/", ConnectTimeout: timeout})
	if _, err := u.Pair(t.Context(), "654321"); !errors.Is(err, ErrCode) {
		t.Error(err)
	}
	if err := u.Send(t.Context(), Text, nil); !errors.Is(err, ErrNotConnected) {
		t.Error(err)
	}
	if err := u.Upgrade(t.Context()); !errors.Is(err, ErrNotConnected) {
		t.Error(err)
	}
	if err := u.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := u.Connect(t.Context(), testPairing); err != nil {
		t.Fatal(err)
	}
	if err := u.Send(t.Context(), Text, nil); !errors.Is(err, ErrNotConnected) { // nobody is there
		t.Error(err)
	}
	if err := u.Connect(t.Context(), testPairing); !errors.Is(err, ErrConnected) {
		t.Error(err)
	}
	if err := u.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := u.Connect(t.Context(), testPairing); err != nil { // it can be connected again
		t.Error(err)
	}
	u.Close(t.Context())

	f.first = func(c *ws.Conn) bool {
		c.Read()
		c.Write(ws.Text, []byte("HANDSHAKE_FAILED"))
		c.Close(ws.CloseNormal, "")
		return false
	}
	if err := u.Connect(t.Context(), testPairing); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	f.first = func(c *ws.Conn) bool { c.Close(ws.CloseNormal, ""); return false }
	if err := u.Connect(t.Context(), testPairing); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	f.first = func(c *ws.Conn) bool { // which says nothing
		for {
			if _, _, err := c.Read(); err != nil {
				return false
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := u.Connect(ctx, testPairing); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	impatient := newUser(t, ClientConfig{URL: f.URL, ConnectTimeout: 200 * time.Millisecond})
	if err := impatient.Connect(t.Context(), testPairing); !errors.Is(err, errConnectTimeout) {
		t.Error(err)
	}
}

func TestAPIErrors(t *testing.T) { // PSX-60
	f := startFake(t)
	u := newUser(t, ClientConfig{URL: f.URL})
	answer := func(status int, body string) {
		f.rest = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/config") {
				return false
			}
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
			return true
		}
	}
	answer(429, "")
	_, err := u.JoinPairing(t.Context(), "123456")
	var status *StatusError
	if !errors.As(err, &status) || status.Status != 429 || status.RetryAfter != 7*time.Second || !strings.Contains(err.Error(), "7s") {
		t.Error(err)
	}
	answer(302, "")
	if _, err := u.CreatePairing(t.Context()); !errors.As(err, &status) || status.Status != 302 {
		t.Error(err)
	}
	for _, body := range []string{"", "x", "[]", strings.Repeat(" ", maxAnswer) + "{}"} {
		answer(200, body)
		if _, err := u.Validate(t.Context(), testPairing); err == nil {
			t.Errorf("%.10q is no error", body)
		}
	}
	answer(200, "{}")
	if _, err := u.CreatePairing(t.Context()); !errors.Is(err, ErrProtocol) {
		t.Error(err)
	}
	if err := u.Connect(t.Context(), testPairing); !errors.Is(err, ErrProtocol) { // no token
		t.Error(err)
	}
}

func TestICEServers(t *testing.T) { // PSX-65
	f := startFake(t)
	body := `{"iceServers":[{"urls":"stun:a.test"},{"urls":["turn:b.test","turn:c.test"],"username":"u","credential":"c"},{"url":"stun:d.test"}]}`
	f.rest = func(w http.ResponseWriter, r *http.Request) bool { fmt.Fprint(w, body); return true }
	c := NewClient(ClientConfig{URL: f.URL})
	if err := c.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.cfg.rtc(c.ice).ICEServers); got != "[{[stun:a.test]  } {[turn:b.test turn:c.test] u c} {[stun:d.test]  }]" {
		t.Error(got)
	}
	c.cfg.Loopback = true
	if got := c.cfg.rtc(c.ice).ICEServers; len(got) > 0 {
		t.Error(got)
	}
	c.cfg.ICEServers = []ICEServer{{URLs: []string{"stun:mine.test"}}}
	if got := c.cfg.rtc(c.ice).ICEServers; len(got) != 1 || got[0].URLs[0] != "stun:mine.test" {
		t.Error(got)
	}
}

func TestPairingFile(t *testing.T) {
	f := startFake(t)
	path := filepath.Join(t.TempDir(), "folder", "pairing")
	u := newUser(t, ClientConfig{URL: f.URL, Pairings: PairingFile(path)})
	if _, err := u.RestorePairing(t.Context()); !errors.Is(err, ErrNoPairing) {
		t.Error(err)
	}
	for range 2 {
		if err := u.StorePairing(testPairing); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if p, err := u.RestorePairing(t.Context()); err != nil || p != testPairing {
		t.Error(p, err)
	}
	f.rest = func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(503); return true }
	if _, err := u.RestorePairing(t.Context()); err == nil || errors.Is(err, ErrNoPairing) {
		t.Error(err)
	}
	f.rest = nil
	if p, err := u.RestorePairing(t.Context()); err != nil || p != testPairing { // it has stayed
		t.Error(p, err)
	}
	for _, status := range []int{200, 422} { // the server does not know it
		f.rest = func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(status)
			fmt.Fprint(w, "false")
			return true
		}
		if err := u.StorePairing(testPairing); err != nil {
			t.Fatal(err)
		}
		if _, err := u.RestorePairing(t.Context()); !errors.Is(err, ErrNoPairing) {
			t.Error(err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("it is kept")
		}
	}
	for _, text := range []string{"", "_", "123456", "123456_"} {
		os.WriteFile(path, []byte(text), 0o600)
		if _, err := PairingFile(path).Load(); !errors.Is(err, ErrNoPairing) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for range 2 {
		if err := u.DeletePairing(); err != nil {
			t.Error(err)
		}
	}
}

// Close ends a Connect that is under way.
func TestCloseWhileConnecting(t *testing.T) {
	f := startFake(t)
	asked := make(chan struct{})
	f.rest = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/token/get" {
			return false
		}
		close(asked)
		<-r.Context().Done()
		return true
	}
	u := newUser(t, ClientConfig{URL: f.URL})
	result := make(chan error, 1)
	go func() { result <- u.Connect(t.Context(), testPairing) }()
	<-asked
	if err := u.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

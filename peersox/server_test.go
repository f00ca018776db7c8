package peersox_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/ws"
	"github.com/meshpair/meshpair/peersox"
)

// PSX-21 to PSX-26: two users of one pairing are connected, and what one says the other hears unchanged.
func TestPair(t *testing.T) {
	s := start(t, peersox.ServerConfig{})
	a, b := s.pair(s.pairing())
	for _, text := range []string{"hi", "", "PING", "§", `§{"name":"client.register","data":null}`, `§{"name":"data","data":1}`, success} {
		a.say(text)
		b.want(text)
		b.say(text)
		a.want(text)
	}
	for _, size := range []int{0, 1, 70_000, 1 << 20} {
		data := bytes.Repeat([]byte{0xa7}, size)
		if err := a.Write(ws.Binary, data); err != nil {
			t.Fatal(err)
		}
		b.wantMessage(ws.Binary, data)
	}
	if st := s.Stats(); st != (peersox.Stats{Clients: 2, Paired: 2}) {
		t.Errorf("%+v", st)
	}
}

// PSX-24: a third is refused and disturbs nobody. PSX-30: when one goes the other is closed, and both seats are free.
func TestSeats(t *testing.T) {
	s := start(t, peersox.ServerConfig{})
	p := s.pairing()
	a, b := s.pair(p)
	third := s.register(p, failed)
	third.wantClose(ws.ClosePolicy)
	a.say("still there")
	b.want("still there")
	a.Close(ws.CloseNormal, "")
	b.wantClose(ws.CloseNormal)
	eventually(t, "both are gone", func() bool { return s.Stats().Clients == 0 })
	b, a = s.pair(p)
	a.Abort() // without a goodbye
	b.wantClose(ws.CloseNormal)
	waiting := s.register(p, success)
	waiting.Abort()
	eventually(t, "all are gone", func() bool { return s.Stats().Clients == 0 })
	s.pair(p)
}

// PSX-23: a pairing that is not valid is refused, also one with a right half, and takes nobody's seat.
func TestHandshakeFails(t *testing.T) {
	s := start(t, peersox.ServerConfig{})
	p := s.pairing()
	waiting := s.register(p, success)
	other := s.pairing()
	for _, wrong := range []peersox.Pairing{{}, {Code: p.Code, Hash: other.Hash}, {Code: other.Code, Hash: p.Hash}, {Code: "12345", Hash: p.Hash}} {
		s.register(wrong, failed).wantClose(ws.ClosePolicy)
	}
	s.register(p, success).want(connected(false, p))
	waiting.want(connected(true, p))
}

// PSX-26: what comes before registration is dropped. That a second registration is too, and what comes before there is a
// peer, the cases of package conformance check, which can wait for the server to have read.
func TestEarlyMessages(t *testing.T) {
	s := start(t, peersox.ServerConfig{})
	p := s.pairing()
	a := s.open()
	register := `§{"name":"client.register","data":{"code":"` + p.Code + `","hash":"` + p.Hash + `"}}`
	for _, early := range []string{"hi", "§null", `§{"name":"client.register`, strings.Repeat("x", 2000), register} {
		a.say(early)
	}
	a.want(success)
	b := s.register(p, success)
	b.want(connected(false, p))
	a.want(connected(true, p))
	a.say("now")
	b.want("now")
}

// PSX-8, PSX-11: of 100 concurrent uses of one token one succeeds, and none without.
func TestToken(t *testing.T) {
	s := start(t, peersox.ServerConfig{})
	token := s.token()
	var opened atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			c, err := s.connect(token)
			if err == nil {
				opened.Add(1)
				if c.Subprotocol() != token {
					t.Errorf("subprotocol %q", c.Subprotocol())
				}
			}
		})
	}
	wg.Wait()
	if opened.Load() != 1 {
		t.Errorf("%d connections by one token", opened.Load())
	}
	for _, wrong := range []string{"", strings.Repeat("0", 64), s.pairing().Hash} {
		var refused *ws.HandshakeError
		if _, err := s.connect(wrong); !errors.As(err, &refused) || refused.Status != 401 {
			t.Errorf("token %q: %v, want status 401", wrong, err)
		}
	}
}

// PSX-22: who does not register in time is closed.
func TestRegisterTimeout(t *testing.T) {
	s := start(t, peersox.ServerConfig{RegisterTimeout: 50 * time.Millisecond})
	u := s.open()
	u.say("hi")
	u.wantClose(ws.ClosePolicy)
}

// PSX-34: a silent client is dropped, and its peer closed; one that sends something stays.
func TestIdleTimeout(t *testing.T) {
	const idle = 400 * time.Millisecond
	s := start(t, peersox.ServerConfig{IdleTimeout: idle})
	lively := s.register(s.pairing(), success)
	begin := time.Now()
	a, b := s.pair(s.pairing())
	go func() {
		for time.Since(begin) < 3*idle && lively.Write(ws.Text, []byte("PING")) == nil {
			time.Sleep(idle / 10) // the pace of a client
		}
		lively.Abort()
	}()
	a.wantClose(ws.CloseNormal)
	b.wantClose(ws.CloseNormal)
	if since := time.Since(begin); since < idle/2 || since > 5*time.Second {
		t.Errorf("closed after %v", time.Since(begin))
	}
	_, _, err := lively.Read()
	if since := time.Since(begin); since < 2*idle {
		t.Errorf("who sends is closed after %v: %v", since, err)
	}
}

// PSX-31: a message that is too large ends its sender's connection.
func TestMaxMessage(t *testing.T) {
	s := start(t, peersox.ServerConfig{MaxMessage: 1000})
	a, b := s.pair(s.pairing())
	a.say(strings.Repeat("x", 1000))
	b.want(strings.Repeat("x", 1000))
	a.say(strings.Repeat("x", 1001))
	a.wantClose(ws.CloseTooBig)
	b.wantClose(ws.CloseNormal)
}

// PSX-32: the clients of a process are limited.
func TestMaxClients(t *testing.T) {
	s := start(t, peersox.ServerConfig{MaxClients: 1})
	a := s.open()
	var refused *ws.HandshakeError
	if _, err := s.connect(s.token()); !errors.As(err, &refused) || refused.Status != 503 {
		t.Errorf("%v, want status 503", err)
	}
	a.Abort()
	eventually(t, "there is a place again", func() bool {
		_, err := s.connect(s.token())
		return err == nil
	})
}

// PSX-33: what waits for a slow reader is bounded; its sender is slowed, nobody else, and nothing is lost.
func TestSlowReader(t *testing.T) {
	for _, size := range []int{10_000, 100_000} {
		s := start(t, peersox.ServerConfig{SendQueue: 1 << 20})
		a, b := s.pair(s.pairing())
		c, d := s.pair(s.pairing())
		const total = 24 << 20 // far more than the sockets between hold
		var sent atomic.Int64
		done := make(chan error, 1)
		go func() {
			data := make([]byte, size)
			for n := byte(0); sent.Load() < total; n++ {
				data[0] = n
				if err := a.Write(ws.Binary, data); err != nil {
					done <- err
					return
				}
				sent.Add(int64(size))
			}
			done <- nil
		}()
		// It is stuck when nothing more goes for a while; another pair goes on all the same.
		last := int64(-1)
		eventually(t, "the sender is slowed", func() bool {
			for range 20 {
				c.say("hi")
				d.want("hi")
			}
			before := last
			last = sent.Load()
			time.Sleep(50 * time.Millisecond)
			return last > 0 && last == before && sent.Load() == last
		})
		if last >= total*3/4 {
			t.Errorf("%d bytes were taken of a sender whose peer reads nothing", last)
		}
		for n := 0; n*size < total; n++ {
			b.SetReadDeadline(time.Now().Add(patience)) // for each: all together may take longer
			_, data, err := b.Read()
			if err != nil || len(data) != size || data[0] != byte(n) {
				t.Fatalf("message %d: %d bytes, %v", n, len(data), err)
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// PSX-33: a client that reads nothing at all is dropped after a time.
func TestStuckReader(t *testing.T) {
	s := start(t, peersox.ServerConfig{SendQueue: 1 << 16, WriteTimeout: 200 * time.Millisecond})
	a, _ := s.pair(s.pairing())
	data := make([]byte, 1<<20)
	for range 100 {
		if a.Write(ws.Binary, data) != nil {
			break
		}
	}
	a.wantClose(ws.CloseNormal)
	eventually(t, "both are gone", func() bool { return s.Stats().Clients == 0 })
}

// PSX-35: a server that ends says so.
func TestShutdown(t *testing.T) {
	s := start(t, peersox.ServerConfig{})
	u := s.register(s.pairing(), success)
	done := make(chan error)
	go func() { done <- s.Shutdown(context.Background()) }()
	u.wantClose(ws.CloseGoingAway)
	if err := <-done; err != nil {
		t.Error(err)
	}
	var refused *ws.HandshakeError
	if _, err := s.connect(s.token()); !errors.As(err, &refused) || refused.Status != 503 {
		t.Errorf("%v, want status 503", err)
	}
}

// PSX-9: a store that fails is not the client's fault.
func TestStoreFails(t *testing.T) {
	s := start(t, peersox.ServerConfig{Store: failing{}, Logger: slog.New(slog.DiscardHandler)})
	for _, path := range []string{"/api/code/get", "/api/token/get"} {
		if resp, _ := s.request("GET", path, ""); resp.StatusCode != 503 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	if resp, _ := s.validate("123456"); resp.StatusCode != 503 {
		t.Error(resp.Status)
	}
	var refused *ws.HandshakeError
	if _, err := s.connect(strings.Repeat("0", 64)); !errors.As(err, &refused) || refused.Status != 503 {
		t.Errorf("%v, want status 503", err)
	}
}

type failing struct{}

var errStore = errors.New("the store is broken")

func (failing) AddPairing(context.Context, string, string, time.Duration) (bool, error) {
	return false, errStore
}
func (failing) TakeCode(context.Context, string, time.Duration) (string, error) { return "", errStore }
func (failing) CheckPairing(context.Context, string, string) (bool, error)      { return false, errStore }
func (failing) AddToken(context.Context, string, time.Duration) error           { return errStore }
func (failing) TakeToken(context.Context, string) (bool, error)                 { return false, errStore }

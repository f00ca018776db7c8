package rtc

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// What each end says is a description, then candidates that name the description's section, then that there are no
// more; and it says so in this order.
func TestSignals(t *testing.T) {
	said := map[SignalType][]Signal{}
	order := make(chan Signal, 100)
	a, b := couple(t, Config{}, Config{}, func(to *Conn, s Signal) {
		order <- s
		to.Signal(s)
	})
	wantOpen(t, a, b)
	for ends := 0; ends < 2; {
		s := <-order
		said[s.Type] = append(said[s.Type], s)
		if s.Type == SignalEnd {
			ends++
		}
		if s.Type == SignalCandidate {
			if len(said[SignalOffer]) == 0 {
				t.Error("a candidate came before the offer")
			}
			if s.SDPMid != "0" || s.SDPMLineIndex != 0 || !strings.HasPrefix(s.Candidate, "candidate:") {
				t.Errorf("candidate %+v", s)
			}
		}
	}
	if len(said[SignalOffer]) != 1 || len(said[SignalAnswer]) != 1 || len(said[SignalCandidate]) != 2 {
		t.Errorf("said %v", said)
	}
}

// All candidates of both ends may come before the descriptions.
func TestCandidatesFirst(t *testing.T) {
	held := map[*Conn]Signal{}
	a, b := couple(t, Config{}, Config{}, func(to *Conn, s Signal) {
		switch s.Type {
		case SignalOffer, SignalAnswer:
			held[to] = s // one goroutine of one end at a time: the other has nothing to say yet
		case SignalEnd:
			to.Signal(held[to])
		default:
			if err := to.Signal(s); err != nil {
				t.Error(err)
			}
		}
	})
	wantOpen(t, a, b)
}

// started returns an end that has been given nothing yet, and what it says of itself.
func started(t *testing.T, offer bool, cfg Config) (*Conn, chan Signal) {
	t.Helper()
	wantNothingLeft(t)
	cfg.Loopback = true
	said := make(chan Signal, 1000)
	send := func(s Signal) { said <- s }
	var c *Conn
	var err error
	if offer {
		c, err = Offer(cfg, "", send)
	} else {
		c, err = Answer(cfg, send)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	return c, said
}

const goodSDP = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=fingerprint:sha-256 " +
	"00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00\r\n" +
	"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=mid:0\r\n" +
	"a=ice-ufrag:aaaa\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\na=sctp-port:5000\r\n"

// A description that cannot be used ends the connection at once, with a reason.
func TestBadDescription(t *testing.T) {
	for name, bad := range map[string]struct {
		sdp string
		is  error
	}{
		"empty":          {"", nil},
		"garbage":        {"offer", nil},
		"too large":      {goodSDP + strings.Repeat("a=x\r\n", MaxDescription/5), ErrTooBig},
		"no channels":    {strings.ReplaceAll(goodSDP, "m=application", "m=audio"), errNoChannels},
		"refused":        {strings.ReplaceAll(goodSDP, "m=application 9", "m=application 0"), errNoChannels},
		"no fingerprint": {strings.ReplaceAll(goodSDP, "a=fingerprint:", "a=x:"), nil},
		"no password":    {strings.ReplaceAll(goodSDP, "a=ice-pwd:", "a=x:"), nil},
		"bad size":       {goodSDP + "a=max-message-size:-1\r\n", nil},
		"bad candidate":  {goodSDP + "a=candidate:1 1 udp x 127.0.0.1 9 typ host\r\n", nil},
		"candidates":     {goodSDP + strings.Repeat("a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n", MaxCandidates+1), ErrTooManyCandidates},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := started(t, false, Config{})
			signaled := c.Signal(Signal{Type: SignalOffer, SDP: bad.sdp})
			err := c.Open(t.Context())
			var failed *OpenError
			var why *SignalError
			if !errors.As(err, &failed) || failed.Stage != StageSignaling || !errors.As(err, &why) || why.Type != SignalOffer {
				t.Fatalf("Open: %v", err)
			}
			if bad.is != nil && (!errors.Is(err, bad.is) || !errors.Is(signaled, bad.is)) {
				t.Errorf("Open: %v, Signal: %v, want %v", err, signaled, bad.is)
			}
			await(t, c.Done(), "end")
			if err := c.Signal(Signal{Type: SignalEnd}); !errors.As(err, &failed) {
				t.Errorf("Signal afterwards: %v", err)
			}
		})
	}
	t.Run("answer", func(t *testing.T) {
		c, _ := started(t, true, Config{})
		if err := c.Signal(Signal{Type: SignalAnswer, SDP: "x"}); err == nil {
			t.Error("Signal takes it")
		}
		if err := c.Open(t.Context()); err == nil {
			t.Error("Open does")
		}
	})
}

// Signals that are not due change nothing.
func TestUnexpectedSignal(t *testing.T) {
	c, _ := started(t, true, Config{})
	for _, s := range []Signal{{}, {Type: 9}, {Type: SignalOffer, SDP: goodSDP}} {
		var why *SignalError
		if err := c.Signal(s); !errors.As(err, &why) || !errors.Is(err, ErrUnexpectedSignal) || why.Type != s.Type {
			t.Errorf("%v: %v", s.Type, err)
		}
	}
	if err := c.cause(); err != nil {
		t.Errorf("it is over: %v", err)
	}
}

// Bad candidates are refused, kinds that are not used here counted, and the number of all is bounded, before and after
// the description.
func TestCandidates(t *testing.T) {
	c, _ := started(t, false, Config{})
	candidate := func(s string) error { return c.Signal(Signal{Type: SignalCandidate, Candidate: s}) }
	for _, bad := range []string{
		"x", "candidate:", "candidate:1 1 udp 1 example.com 9 typ host", "candidate:1 1 udp 1 127.0.0.1 70000 typ host",
		"candidate:1 1 udp 1 127.0.0.1 9 typ host " + strings.Repeat("x", MaxCandidate),
	} {
		var why *SignalError
		if err := candidate(bad); !errors.As(err, &why) || why.Type != SignalCandidate {
			t.Errorf("%.60q: %v", bad, err)
		}
	}
	for _, good := range []string{
		"", // how browsers say that there are no more
		"candidate:1 1 udp 1 127.0.0.1 9 typ host generation 0 ufrag aaaa network-cost 999",
		"1 1 udp 1 127.0.0.1 9 typ srflx raddr 0.0.0.0 rport 0",
		"candidate:1 1 udp 1 127.0.0.1 9 typ relay raddr 0.0.0.0 rport 0",
		"candidate:1 1 tcp 1 127.0.0.1 9 typ host tcptype passive",
		"candidate:1 1 udp 1 0a0b0c0d-0000-0000-0000-000000000000.local 9 typ host",
		"candidate:1 1 udp 1 127.0.0.1 9 typ new",
	} {
		if err := candidate(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	want := Candidates{Host: 1, Reflexive: 1, Relay: 1, Other: 3}
	if c.remote != want {
		t.Errorf("counted %+v, want %+v", c.remote, want)
	}
	for i := want.total(); i < MaxCandidates; i++ {
		if i == 50 {
			if err := c.Signal(Signal{Type: SignalOffer, SDP: goodSDP}); err != nil {
				t.Error(err)
			}
		}
		if err := candidate(fmt.Sprintf("candidate:1 1 udp 1 127.0.0.1 %d typ host", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := candidate("candidate:1 1 udp 1 127.0.0.1 9 typ host"); !errors.Is(err, ErrTooManyCandidates) {
		t.Errorf("one too many: %v", err)
	}
	for range 10_000 {
		c.Signal(Signal{Type: SignalEnd})
	}
	if c.cause() != nil {
		t.Error("it is over")
	}
}

// Open ends with its context and says how far it got.
func TestOpenContext(t *testing.T) {
	t.Run("signaling", func(t *testing.T) {
		c, _ := started(t, true, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var failed *OpenError
		if err := c.Open(ctx); !errors.Is(err, context.Canceled) || !errors.As(err, &failed) || failed.Stage != StageSignaling {
			t.Errorf("Open: %v", err)
		}
		if !isClosed(c.Done()) {
			t.Error("it is not at its end")
		}
	})
	t.Run("path", func(t *testing.T) {
		c, said := started(t, false, Config{})
		c.Signal(Signal{Type: SignalOffer, SDP: goodSDP})
		for said := range said {
			if said.Type == SignalEnd {
				break
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := c.Open(ctx)
		var failed *OpenError
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &failed) || failed.Stage != StagePath ||
			failed.Local != (Candidates{Host: 1}) || failed.Remote != (Candidates{}) {
			t.Errorf("Open: %v", err)
		}
		if want := "looking for a path (candidates: ours 1 host, the peer's none)"; !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	})
}

// An open connection is not ended by a context that has.
func TestOpenContextTooLate(t *testing.T) {
	a, b := pair(t, Config{}, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		if err := a.Open(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Send(t.Context(), Text, []byte("x")); err != nil {
		t.Fatal(err)
	}
	wantMessage(t, b, Text, []byte("x"))
}

// Without a path, opening fails after SilenceTimeout.
func TestNoPath(t *testing.T) {
	c, _ := started(t, false, Config{SilenceTimeout: 300 * time.Millisecond})
	c.Signal(Signal{Type: SignalOffer, SDP: goodSDP})
	c.Signal(Signal{Type: SignalCandidate, Candidate: "candidate:1 1 udp 1 127.0.0.1 9 typ host"})
	var failed *OpenError
	if err := c.Open(t.Context()); !errors.Is(err, ErrNoPath) || !errors.As(err, &failed) || failed.Remote.Host != 1 {
		t.Errorf("Open: %v", err)
	}
}

// Whoever is not the one that the description promised is not talked to.
func TestWrongFingerprint(t *testing.T) {
	a, b := couple(t, Config{SilenceTimeout: time.Second}, Config{SilenceTimeout: time.Second}, func(to *Conn, s Signal) {
		if i := strings.Index(s.SDP, "a=fingerprint:sha-256 "); i > 0 && s.Type == SignalOffer {
			i += len("a=fingerprint:sha-256 ")
			s.SDP = s.SDP[:i] + strings.Repeat("00:", 31) + "00" + s.SDP[i+95:]
		}
		to.Signal(s)
	})
	var failed *OpenError
	if err := b.Open(t.Context()); !errors.Is(err, ErrHandshake) || !errors.As(err, &failed) || failed.Stage != StageHandshake {
		t.Errorf("Open: %v", err)
	}
	if err := a.Open(t.Context()); err == nil {
		t.Error("the other end opens")
	} else {
		t.Log(err)
	}
}

// Labels are bounded, and long ones work.
func TestLabel(t *testing.T) {
	if _, err := Offer(Config{Loopback: true}, strings.Repeat("x", MaxLabel+1), nil); !errors.Is(err, ErrTooBig) {
		t.Errorf("a label that is too long: %v", err)
	}
	c, said := started(t, false, Config{})
	label := strings.Repeat("x", MaxLabel)
	peer, err := Offer(Config{Loopback: true}, label, func(s Signal) { c.Signal(s) })
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Abort()
	var wg sync.WaitGroup
	wg.Go(func() { // known from the start, while the channel opens
		for !peer.isOpen() && peer.Label() == label {
			runtime.Gosched()
		}
	})
	go func() {
		for {
			select {
			case s := <-said:
				peer.Signal(s)
			case <-peer.Done():
				return
			}
		}
	}()
	wantOpen(t, peer, c)
	wg.Wait()
	if peer.Label() != label || c.Label() != label {
		t.Errorf("a label of %d bytes", len(c.Label()))
	}
}

package rtc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/need"
)

// browser is a page of Chromium, as testdata/page.mjs drives it.
type browser struct {
	mu    sync.Mutex // for in and peers
	in    *json.Encoder
	peers map[int]chan sight
}

// sight is a line of page.mjs.
type sight struct {
	ID                        int
	Event, Label, Kind, Error string
	Size, Max                 int
	Whole                     bool
	Signal                    jsSignal
}

// jsSignal is an RTCSessionDescription or an RTCIceCandidate.
type jsSignal struct {
	Type          string `json:"type,omitempty"`
	SDP           string `json:"sdp,omitempty"`
	Candidate     string `json:"candidate,omitempty"`
	SDPMid        string `json:"sdpMid"`
	SDPMLineIndex uint16 `json:"sdpMLineIndex"`
	End           bool   `json:"end,omitempty"`
}

func (s jsSignal) ours() Signal {
	switch {
	case s.Type == "offer":
		return Signal{Type: SignalOffer, SDP: s.SDP}
	case s.Type == "answer":
		return Signal{Type: SignalAnswer, SDP: s.SDP}
	case s.End:
		return Signal{Type: SignalEnd}
	}
	return Signal{Type: SignalCandidate, Candidate: s.Candidate, SDPMid: s.SDPMid, SDPMLineIndex: s.SDPMLineIndex}
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	need.Originals(t)
	need.Chromium(t)
	cmd := exec.Command("node", "testdata/page.mjs")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{in: json.NewEncoder(in), peers: map[int]chan sight{}}
	ready := make(chan sight, 1)
	b.peers[0] = ready
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := json.NewDecoder(bufio.NewReader(out)); ; {
			var s sight
			if lines.Decode(&s) != nil {
				return
			}
			b.mu.Lock()
			ch := b.peers[s.ID]
			b.mu.Unlock()
			ch <- s
		}
	}()
	t.Cleanup(func() {
		in.Close()
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("page.mjs: %v", err)
		}
	})
	select {
	case <-ready:
	case <-time.After(6 * patience):
		t.Fatal("Chromium does not start")
	}
	return b
}

// page is one RTCPeerConnection.
type page struct {
	t      *testing.T
	b      *browser
	id     int
	events chan sight // but signals
}

func (b *browser) newPage(t *testing.T) *page {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &page{t: t, b: b, id: len(b.peers), events: make(chan sight, 1000)}
	b.peers[p.id] = p.events
	return p
}

func (p *page) do(op string, args map[string]any) {
	command := map[string]any{"id": p.id, "op": op}
	for k, v := range args {
		command[k] = v
	}
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	if err := p.b.in.Encode(command); err != nil {
		p.t.Error(err)
	}
}

// tell passes a signal of ours on to the page.
func (p *page) tell(s Signal) {
	switch s.Type {
	case SignalOffer, SignalAnswer:
		p.do("signal", map[string]any{"signal": jsSignal{Type: s.Type.String(), SDP: s.SDP}})
	case SignalCandidate:
		p.do("signal", map[string]any{"signal": jsSignal{Candidate: s.Candidate, SDPMid: s.SDPMid, SDPMLineIndex: s.SDPMLineIndex}})
	}
}

// want waits for an event and passes signals on to c meanwhile.
func (p *page) want(c *Conn, event string) sight {
	p.t.Helper()
	for timeout := time.After(patience); ; {
		select {
		case s := <-p.events:
			switch {
			case s.Event == "signal":
				c.Signal(s.Signal.ours())
			case s.Event == event:
				return s
			default:
				p.t.Fatalf("the page saw %+v, want %s", s, event)
			}
		case <-timeout:
			p.t.Fatalf("the page saw no %s", event)
		}
	}
}

// connect opens a connection to a page, and returns how long it took.
func (b *browser) connect(t *testing.T, weOffer bool, cfg Config) (*Conn, *page, time.Duration) {
	t.Helper()
	wantNothingLeft(t)
	cfg.Loopback = true
	p := b.newPage(t)
	var c *Conn
	var err error
	start := time.Now()
	if weOffer {
		p.do("new", nil)
		c, err = Offer(cfg, `{"id":1,"type":2}`, p.tell)
	} else {
		c, err = Answer(cfg, p.tell)
		p.do("new", map[string]any{"label": `{"id":1,"type":2}`})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	open := p.want(c, "open")
	wantOpen(t, c)
	took := time.Since(start)
	if open.Label != `{"id":1,"type":2}` || c.Label() != open.Label {
		t.Errorf("the label is %q here and %q there", c.Label(), open.Label)
	}
	if open.Max != cfg.withDefaults().MaxMessage {
		t.Errorf("the page believes that we take %d bytes", open.Max)
	}
	return c, p, took
}

// Chromium and we open connections in both roles, exchange messages of all kinds and sizes, and see one another close.
func TestChromium(t *testing.T) {
	b := startBrowser(t)
	for _, weOffer := range []bool{true, false} {
		name := "page offers"
		if weOffer {
			name = "we offer"
		}
		t.Run(name, func(t *testing.T) {
			t.Run("messages", func(t *testing.T) { b.messages(t, weOffer, Config{}, 0, 1, 65535, 65536) })
			t.Run("large", func(t *testing.T) { b.messages(t, weOffer, Config{MaxMessage: 256 << 10}, 256<<10) })
			t.Run("we close", func(t *testing.T) { b.weClose(t, weOffer) })
			t.Run("we abort", func(t *testing.T) {
				c, p, _ := b.connect(t, weOffer, Config{})
				c.Abort()
				p.want(c, "close")
			})
			for _, what := range []string{"channel", "connection"} {
				t.Run("page closes "+what, func(t *testing.T) {
					c, p, _ := b.connect(t, weOffer, Config{})
					p.do("send", map[string]any{"kind": "text", "size": 10})
					p.do("close", map[string]any{"what": what})
					wantMessage(t, c, Text, bytes.Repeat([]byte("x"), 10))
					wantEnd(t, c, io.EOF)
					if err := c.Send(t.Context(), Text, nil); !errors.Is(err, ErrClosed) {
						t.Errorf("Send: %v", err)
					}
				})
			}
		})
	}
}

// messages has messages of all kinds and the given sizes go both ways; those beyond what pion sends one way.
func (b *browser) messages(t *testing.T, weOffer bool, cfg Config, sizes ...int) {
	c, p, took := b.connect(t, weOffer, cfg)
	// Usually well below 100 ms; a second is what it takes without SetPrflxAcceptanceMinWait.
	t.Logf("open after %v", took)
	if took > 900*time.Millisecond {
		t.Errorf("open after %v", took)
	}
	for _, n := range sizes {
		for kind, data := range map[Kind][]byte{Text: bytes.Repeat([]byte("x"), n), Binary: pattern(n, n)} {
			name := map[Kind]string{Text: "text", Binary: "binary"}[kind]
			p.do("send", map[string]any{"kind": name, "size": n})
			wantMessage(t, c, kind, data)
			err := c.Send(t.Context(), kind, data)
			if n > maxSend {
				if !errors.Is(err, ErrTooBig) {
					t.Errorf("Send: %v", err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := p.want(c, "message"); got.Kind != name || got.Size != n || !got.Whole {
				t.Errorf("the page got %+v for %d bytes of %s", got, n, name)
			}
		}
	}
	p.do("send", map[string]any{"kind": "binary", "size": cfg.withDefaults().MaxMessage + 1})
	if got := p.want(c, "error"); got.Error == "" {
		t.Error("the page sent more than was announced")
	}
}

// weClose checks that all of what was sent before Close arrives.
func (b *browser) weClose(t *testing.T, weOffer bool) {
	c, p, _ := b.connect(t, weOffer, Config{})
	const messages = 20
	for range messages {
		if err := c.Send(t.Context(), Binary, pattern(65536, 65536)); err != nil {
			t.Fatal(err)
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	for i := range messages {
		if got := p.want(c, "message"); got.Size != 65536 || !got.Whole {
			t.Fatalf("message %d is %+v", i, got)
		}
	}
	p.want(c, "close")
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, _, err := c.Read(); !errors.Is(err, ErrClosed) {
		t.Errorf("Read: %v", err)
	}
}

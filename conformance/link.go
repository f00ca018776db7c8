package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/webrtc/v3"
)

// rtc returns what makes the suite's ends of data channels: on loopback alone,
// with one certificate for all.
var rtc = sync.OnceValues(func() (*webrtc.API, webrtc.Configuration) {
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.SetInterfaceFilter(func(name string) bool { return name == "lo" || strings.HasPrefix(name, "lo0") })
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetPrflxAcceptanceMinWait(0)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		panic(err)
	}
	return webrtc.NewAPI(webrtc.WithSettingEngine(s)), webrtc.Configuration{Certificates: []webrtc.Certificate{*cert}}
})

// A link is the suite's end of a channel to the peer under test: a data channel,
// or a WebSocket.
type link struct {
	run   *run
	name  string
	me    uint32 // who the suite's end is
	other uint32 // who the peer under test is
	label string // of a data channel
	in    *inbox[received]
	beats *inbox[received] // heartbeats, once the channel is initialised
	pc    *webrtc.PeerConnection
	dc    *webrtc.DataChannel
	ws    *door
	seal  *session // in a sealed group

	mu   sync.Mutex
	init bool          // messages are Messages
	mute bool          // send no heartbeats of our own accord
	over chan struct{} // closed when the channel is
	once sync.Once
}

// received is a message from a channel.
type received struct {
	at   time.Time
	raw  []byte
	text bool
	env  envelope // of a Message; of one that was sealed, what it stands for
}

func (r received) String() string {
	if r.env.sender == 0 && r.env.service == 0 {
		return fmt.Sprintf("%d bytes: %.40x", len(r.raw), r.raw)
	}
	return r.env.String()
}

func (r *run) newLink(name string, pc *webrtc.PeerConnection) *link {
	l := &link{run: r, name: name, pc: pc, in: newInbox[received](), beats: newInbox[received](), over: make(chan struct{})}
	return l
}

// connection makes an RTCPeerConnection of this run.
func (r *run) connection() *webrtc.PeerConnection {
	api, config := rtc()
	pc, err := api.NewPeerConnection(config)
	if err != nil {
		r.fail("the case", "an RTCPeerConnection", err.Error())
	}
	r.atEnd(func() { pc.Close() })
	return pc
}

// attach reads the data channel's messages; opened is closed when it is open.
func (l *link) attach(dc *webrtc.DataChannel) (opened chan struct{}) {
	l.dc = dc
	l.label = dc.Label()
	l.init = parseLabel(l.label).Type == 0
	opened = make(chan struct{})
	dc.OnOpen(func() { close(opened) })
	dc.OnMessage(func(m webrtc.DataChannelMessage) { l.receive(m.Data, m.IsString) })
	dc.OnClose(func() { l.closed() })
	return opened
}

// A label is the JSON text by which a data channel is named.
type label struct {
	ID   uint32 `json:"id"`
	Type int    `json:"type"`
}

func (l label) String() string { return fmt.Sprintf(`{"id":%d,"type":%d}`, l.ID, l.Type) }

// parseLabel has type -1 for what is no label.
func parseLabel(s string) label {
	l := label{Type: -1}
	if err := json.Unmarshal([]byte(s), &l); err != nil {
		return label{Type: -1}
	}
	return l
}

func (l *link) receive(b []byte, text bool) {
	for _, b := range l.run.coming(true, b) {
		l.take(b, text)
	}
}

func (l *link) take(b []byte, text bool) {
	m := received{at: time.Now(), raw: b, text: text}
	if l.seal != nil {
		l.takeSealed(m)
		return
	}
	l.mu.Lock()
	init := l.init
	l.mu.Unlock()
	if !init {
		l.mu.Lock()
		l.init = true // what comes next is a Message, whether or not the case has looked
		l.mu.Unlock()
	} else {
		e, err := parseEnvelope(b)
		if err != nil {
			l.in.close(fmt.Errorf("% x is no Message: %w", b, err))
			return
		}
		m.env = e
		if e.service == serviceBeat {
			l.beats.add(m)
			return
		}
	}
	l.in.add(m)
}

func (l *link) closed() {
	l.once.Do(func() {
		close(l.over)
		l.in.close(errLinkClosed)
		l.beats.close(errLinkClosed)
	})
}

var errLinkClosed = fmt.Errorf("the channel was closed")

// raw sends bytes as one binary message.
func (l *link) raw(b []byte) {
	if l.ws != nil {
		l.ws.send(b)
		return
	}
	l.dc.Send(b)
}

// send sends a Message of this end to the peer under test.
func (l *link) send(service uint32, content []byte) {
	if l.seal != nil {
		service, content = serviceSealed, l.seal.seal(service, content)
	}
	l.raw(envelope{l.me, l.other, service, content}.encode())
}

// begin is called when the channel is initialised: it sends heartbeats from now on.
func (l *link) begin(me, other uint32) {
	l.me, l.other = me, other
	go func() {
		ticks := time.NewTicker(2 * time.Second)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				l.mu.Lock()
				mute := l.mute
				l.mu.Unlock()
				if !mute {
					l.send(serviceBeat, nil)
				}
			case <-l.run.over:
				return
			case <-l.over:
				return
			}
		}
	}()
}

// silence ends the heartbeats.
func (l *link) silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mute = true
}

// shut closes the channel.
func (l *link) shut() {
	if l.ws != nil {
		l.ws.shut(1000)
		return
	}
	l.pc.Close()
	l.closed()
}

// expect expects a Message until then.
func (l *link) expect(what string, until time.Time, match func(envelope) bool) received {
	m, err := l.in.take(until, func(m received) bool { return match(m.env) })
	if err != nil {
		l.run.fail(what, "a Message over the channel to "+l.name, l.instead(err))
	}
	return m
}

// expectRaw expects a message before the channel is initialised.
func (l *link) expectRaw(what, want string, until time.Time, match func(fields) bool) fields {
	m, err := l.in.take(until, func(m received) bool { return match(mustParse(m.raw)) })
	if err != nil {
		l.run.fail(what, want, l.instead(err))
	}
	return mustParse(m.raw)
}

func (l *link) instead(err error) string {
	all := l.in.all()
	return fmt.Sprintf("%v; of %d others the last are %v", err, len(all), all[max(0, len(all)-8):])
}

// expectClosed expects that the peer under test closes the channel.
func (l *link) expectClosed(what string, until time.Time) {
	select {
	case <-l.over:
	case <-time.After(time.Until(until)):
		l.run.fail(what, "the end of the channel to "+l.name, "it is open")
	}
}

// expectOpen expects that the channel has not been closed.
func (l *link) expectOpen(what string) {
	select {
	case <-l.over:
		l.run.fail(what, "the channel to "+l.name+" stays", "it was closed")
	default:
	}
}

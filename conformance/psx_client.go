package conformance

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pion/webrtc/v3"

	"github.com/meshpair/meshpair/conformance/driver"
)

// PairCases returns the cases of chapter PSX that judge a client. The suite plays the server, and the other client as an
// original is, but for those of an extension.
func PairCases() []*Case {
	all := slices.Concat(psxClient, drvPair)
	slowFirst(all)
	return all
}

// testPair is the pairing of all these cases: each has a server of its own.
var testPair = psxPairing{"123456", strings.Repeat("0123456789abcdef", 4)}

const testToken = "feedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeedfeed"

// A duet is a run with a client under test, which a driver steers, and its server and peer, which the case plays.
type duet struct {
	*run
	driver  *driver.Peer
	url     string
	sockets *inbox[*peer]
	socket  *peer
	connect int   // the number of the command
	sealed  *road // by the server, when all is sealed; else nil
	rest    rest  // what the server is asked
}

// inDuet makes the function of a case.
func inDuet(f func(*duet)) func(*run) {
	return func(r *run) {
		if r.target.Peers == nil {
			r.fail("the case", "a driver of a client", "none")
		}
		p, err := r.target.Peers.get()
		if err != nil {
			r.fail("the driver starts", "the event ready", err.Error())
		}
		well := false
		defer func() { r.target.Peers.put(p, well) }()
		l := r.listen()
		d := &duet{run: r, driver: p, url: "http://" + l.Addr().String(), sockets: newInbox[*peer]()}
		server := &http.Server{Handler: http.HandlerFunc(d.serve)}
		go server.Serve(l)
		r.atEnd(func() { server.Close() })
		defer func() {
			if d.socket != nil { // nobody would answer a close frame
				d.socket.drop()
			}
			_, err := p.Do(timeout, driver.Command{"cmd": "close"})
			well = err == nil
		}()
		f(d)
	}
}

// serve answers the client's requests.
func (d *duet) serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/ws":
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		p := &peer{run: d.run, name: "the client under test", conn: conn, r: bufio.NewReader(rw), server: true, header: r.Header}
		protocol := ""
		if offered := r.Header.Get("Sec-WebSocket-Protocol"); offered != "" {
			protocol = "Sec-WebSocket-Protocol: " + strings.TrimSpace(strings.Split(offered, ",")[0]) + "\r\n"
		}
		p.write([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + protocol +
			"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"))
		d.sockets.add(p)
	default:
		d.rest.serve(w, r)
	}
}

// do has the client do something, and expects that it can.
func (d *duet) do(c driver.Command) driver.Event {
	e, err := d.driver.Do(timeout, c)
	declined(err)
	if err != nil {
		d.fail("the client under test is told to "+fmt.Sprint(c["cmd"]), "that it does", err.Error())
	}
	return e
}

func (d *duet) event(name string, until time.Time) driver.Event {
	e, err := d.driver.Wait(time.Until(until), func(e driver.Event) bool { return e.Event == name })
	if err != nil {
		d.fail("the client under test tells its user", name, err.Error())
	}
	return e
}

func (d *duet) expectUser(what, want string) {
	e := d.event("message", deadline())
	data, _, err := e.Data()
	d.expect(err == nil && string(data) == want, what, fmt.Sprintf("the message %.80q", want), fmt.Sprintf("%.80q %v", data, err))
}

func (d *duet) init(more driver.Command) {
	c := driver.Command{"cmd": "init", "url": d.url, "loopback": true}
	maps.Copy(c, more)
	d.do(c)
}

// open has the client connect, and answers with the WebSocket.
func (d *duet) open(more driver.Command) {
	d.init(more)
	d.connects(nil)
}

// connects has the client connect with the pairing, and what else there is of it.
func (d *duet) connects(more driver.Command) {
	c := driver.Command{"cmd": "connect", "code": testPair.Code, "hash": testPair.Hash}
	maps.Copy(c, more)
	n, err := d.driver.Send(c)
	if err != nil {
		d.fail("the client under test is told to connect", "that it does", err.Error())
	}
	d.connect = n
	p, err := d.sockets.take(deadline(), func(*peer) bool { return true })
	if err != nil {
		d.fail("the client under test connects", "a WebSocket at /ws", err.Error())
	}
	d.socket = p
	d.peers = append(d.peers, p)
}

// register has the client connect and accepts it.
func (d *duet) register(more driver.Command) {
	d.open(more)
	d.registers()
}

// registers takes the registration and accepts it.
func (d *duet) registers() {
	d.socket.registered()
	d.socket.say(handshakeSuccess)
	if _, err := d.driver.Answer(timeout, d.connect); err != nil {
		d.fail("after "+handshakeSuccess, "that connect succeeds", err.Error())
	}
}

// pair has the client registered and told of its peer.
func (d *duet) pair(initiator bool, more driver.Command) {
	d.register(more)
	d.meets(initiator)
	d.met(initiator)
}

// meets tells the client that its peer is there.
func (d *duet) meets(initiator bool) {
	d.socket.say(fmt.Sprintf(`§{"name":"peer.connected","data":{"isInitiator":%v,"pairing":{"code":%q,"hash":%q}}}`,
		initiator, testPair.Code, testPair.Hash))
}

// met expects that its user is told that.
func (d *duet) met(initiator bool) {
	e := d.event("peerConnected", deadline())
	d.expect(e.Initiator == initiator, "peerConnected", fmt.Sprint("initiator ", initiator), e.Initiator)
}

// registered expects the registration.
func (p *peer) registered() {
	f, err := p.fromClient(deadline())
	m, ok := internalOf(f)
	var got psxPairing
	ok = ok && json.Unmarshal(m.Data, &got) == nil && m.Name == "client.register" && got == testPair
	p.run.expect(ok, "the first message", testPair.register(), describe(f, err))
}

// fromClient reads a message or close frame of the client, which has no extension's name.
func (p *peer) fromClient(until time.Time) (*frame, error) {
	for {
		f, err := p.anyFromClient(until)
		if m, ok := internalOf(f); err == nil && ok && strings.HasPrefix(m.Name, "meshpair.") {
			continue
		}
		return f, err
	}
}

// anyFromClient reads a message or close frame of the client.
func (p *peer) anyFromClient(until time.Time) (*frame, error) {
	for {
		if len(p.queue) > 0 {
			f := p.queue[0]
			p.queue = p.queue[1:]
			return f, nil
		}
		f, err := p.readFrame(until)
		switch {
		case err != nil:
			return nil, err
		case !f.masked || f.rsv != 0 || !f.fin:
			return nil, fmt.Errorf("a frame that is not masked, in parts or has reserved bits")
		case f.op == opPing:
			p.writeFrame(frame{fin: true, op: opPong, payload: f.payload})
			continue
		}
		for _, b := range p.run.coming(false, f.payload) {
			g := *f
			g.payload = b
			p.queue = append(p.queue, &g)
		}
	}
}

// An internalMessage is a message of the protocol.
type internalMessage struct {
	Name string
	Data json.RawMessage
}

func internalOf(f *frame) (m internalMessage, ok bool) {
	if f == nil || f.op != opText {
		return m, false
	}
	text, ok := strings.CutPrefix(string(f.payload), "§")
	return m, ok && json.Unmarshal([]byte(text), &m) == nil
}

// wantFromClient expects a message.
func (d *duet) wantFromClient(op byte, want string) {
	f, err := d.socket.fromClient(deadline())
	d.expect(err == nil && f.op == op && string(f.payload) == want, "the client under test sends", fmt.Sprintf("the message %.80q", want), describe(f, err))
}

// A psxSignal is what peer.signal carries.
type psxSignal struct {
	Type      string
	SDP       string
	Candidate *struct {
		Candidate, SDPMid *string
		SDPMLineIndex     *uint16
	}
}

// signal waits for the client's next signal; before it there may be frames of PSX-72.
func (d *duet) signal(until time.Time) psxSignal {
	f, err := d.said(until)
	for err == nil && f.op == opBinary {
		f, err = d.said(until)
	}
	m, ok := internalOf(f)
	var s psxSignal
	ok = ok && m.Name == "peer.signal" && json.Unmarshal(m.Data, &s) == nil
	d.expect(ok, "the client under test", "a peer.signal", describe(f, err))
	if c := s.Candidate; c != nil { // PSX-66
		whole := c.Candidate != nil && *c.Candidate != "" && c.SDPMid != nil && c.SDPMLineIndex != nil
		d.expect(whole, "a candidate", "candidate, sdpMid and sdpMLineIndex", string(m.Data))
	}
	return s
}

func (d *duet) sendSignal(v any) {
	d.tell("peer.signal", v)
}

// upgrade makes the data channel with the client, and returns it when it is open, and what comes over it.
func (d *duet) upgrade(initiator bool) (*webrtc.DataChannel, *inbox[webrtc.DataChannelMessage]) {
	pc, in, opened := d.connection(), newInbox[webrtc.DataChannelMessage](), newInbox[*webrtc.DataChannel]()
	attach := func(dc *webrtc.DataChannel) {
		dc.OnMessage(func(m webrtc.DataChannelMessage) { in.add(m) })
		dc.OnOpen(func() { opened.add(dc) })
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if initiator {
		pc.OnDataChannel(attach)
		s := d.signal(deadline())
		for s.Candidate != nil { // of a former offer
			s = d.signal(deadline())
		}
		d.expect(s.Type == "offer", "the first signal of the initiator", "an offer", s.Type)
		d.try(pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: s.SDP}))
		answer, err := pc.CreateAnswer(nil)
		d.try(err)
		d.try(pc.SetLocalDescription(answer))
	} else {
		dc, err := pc.CreateDataChannel(strings.Repeat("0123456789", 4), nil)
		d.try(err)
		attach(dc)
		offer, err := pc.CreateOffer(nil)
		d.try(err)
		d.try(pc.SetLocalDescription(offer))
	}
	<-gathered
	local := *pc.LocalDescription()
	d.sendSignal(map[string]string{"type": local.Type.String(), "sdp": local.SDP})
	for end := deadline(); ; { // candidates may come before or after the answer
		if dc, err := opened.take(time.Now().Add(50*time.Millisecond), func(*webrtc.DataChannel) bool { return true }); err == nil {
			return dc, in
		}
		f, err := d.said(time.Now().Add(50 * time.Millisecond))
		if m, ok := internalOf(f); ok && m.Name == "peer.signal" {
			d.remote(pc, m)
		} else if time.Now().After(end) {
			d.fail("the upgrade", "an open data channel", describe(f, err))
		}
	}
}

// remote gives a signal of the client to the suite's end.
func (d *duet) remote(pc *webrtc.PeerConnection, m internalMessage) {
	var s psxSignal
	d.try(json.Unmarshal(m.Data, &s))
	switch c := s.Candidate; {
	case c != nil && (c.Candidate == nil || *c.Candidate == "" || c.SDPMid == nil || c.SDPMLineIndex == nil):
		d.fail("a candidate", "candidate, sdpMid and sdpMLineIndex", string(m.Data))
	case c != nil && pc.RemoteDescription() == nil: // of a data channel before this one
	case c != nil:
		d.try(pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: *c.Candidate, SDPMid: c.SDPMid, SDPMLineIndex: c.SDPMLineIndex}))
	case s.Type == "answer":
		d.try(pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: s.SDP}))
	}
}

func (d *duet) try(err error) {
	if err != nil {
		d.fail("the suite's end of the data channel", "that it takes this", err.Error())
	}
}

var hexLabel = regexp.MustCompile(`^[0-9a-f]{40}$`)

var psxClient = []*Case{
	{"PSX-60/token", []string{"PSX-60"}, Must, "the WebSocket is offered one subprotocol, the token", false, inDuet(func(d *duet) {
		d.open(nil)
		d.expect(d.socket.header.Get("Sec-WebSocket-Protocol") == testToken, "Sec-WebSocket-Protocol", testToken, d.socket.header.Get("Sec-WebSocket-Protocol"))
		d.socket.registered()
		d.socket.say(handshakeFailed)
	})},
	{"PSX-61/failed", []string{"PSX-61"}, Must, "after HANDSHAKE_FAILED connect fails", false, inDuet(func(d *duet) {
		d.open(nil)
		d.socket.registered()
		d.socket.say(handshakeFailed)
		e, err := d.driver.Answer(timeout, d.connect)
		d.expect(err != nil && e.Event == "error", "connect", "an error", e.Event)
	})},
	{"PSX-62/relay", []string{"PSX-62"}, Must, "a PING comes on the WebSocket after 20 s, also without a peer", true, inDuet(func(d *duet) {
		d.register(nil)
		began := time.Now()
		f, err := d.socket.fromClient(began.Add(25 * time.Second))
		took := time.Since(began)
		d.expect(err == nil && string(f.payload) == "PING" && took > 18*time.Second, "a PING", "20 s after the registration", fmt.Sprintf("%s after %v", describe(f, err), took))
	})},
	{"PSX-62/hidden", []string{"PSX-62"}, Must, "a PING is not for the user", false, inDuet(func(d *duet) {
		d.pair(false, nil)
		d.socket.say("PING")
		d.socket.say("after it")
		d.expectUser("a text after a PING", "after it")
	})},
	{"PSX-63/timeout", []string{"PSX-63"}, Must, "30 s after the last PING the peer is gone", true, inDuet(func(d *duet) {
		d.pair(false, nil)
		d.socket.say("PING")
		began := time.Now()
		d.event("peerTimeout", began.Add(40*time.Second))
		d.expect(time.Since(began) > 28*time.Second, "peerTimeout", "after 30 s", time.Since(began))
		for {
			f, err := d.socket.fromClient(deadline())
			if err == nil && f.op != opClose {
				continue // a PING
			}
			d.expect(err == nil, "after peerTimeout", "a close frame", describe(f, err))
			d.socket.writeFrame(frame{fin: true, op: opClose, payload: f.payload})
			d.socket.drop()
			break
		}
		d.event("connectionClosed", deadline())
	})},
	{"PSX-64/unknown", []string{"PSX-64"}, Must, "unknown messages of the protocol are ignored", false, inDuet(func(d *duet) {
		d.pair(false, nil)
		d.socket.say(`§{"name":"something.else","data":{"x":1}}`)
		d.socket.say("after it")
		d.expectUser("a text after an unknown message", "after it")
	})},
	{"PSX-64/text", []string{"PSX-64"}, Must, "a text with § that is no message of the protocol is the user's", false, inDuet(func(d *duet) {
		d.pair(false, nil)
		d.socket.say("§ 5")
		d.expectUser("a text", "§ 5")
	})},
	{"PSX-65/late", []string{"PSX-65"}, Must, "the initiator offers, but not in the first second", false, inDuet(func(d *duet) {
		d.register(nil)
		began := time.Now()
		d.socket.say(`§{"name":"peer.connected","data":{"isInitiator":true,"pairing":{}}}`)
		s := d.signal(deadline())
		d.expect(s.Type == "offer" && time.Since(began) > time.Second, "the first signal", "an offer after 1 s", fmt.Sprintf("%s after %v", s.Type, time.Since(began)))
	})},
	{"PSX-65/again", []string{"PSX-65"}, Should, "an offer that is not answered comes again", false, inDuet(func(d *duet) {
		d.pair(true, nil)
		d.socket.say("an original says something")
		s := d.signal(deadline())
		d.expect(s.Type == "offer", "the first signal", "an offer", s.Type)
		for s.Type = ""; s.Type == ""; { // its candidates come between
			s = d.signal(deadline())
		}
		d.expect(s.Type == "offer", "the next signal that is no candidate", "the offer again", s.Type)
		for i := 0; i < 2; { // and again, with its candidates
			if s = d.signal(deadline()); s.Candidate != nil {
				i++
			}
		}
	})},
	{"PSX-65/label", []string{"PSX-65", "PSX-66"}, Must, "the initiator's data channel has a label of 40 hexadecimal digits", false, inDuet(func(d *duet) {
		d.pair(true, nil)
		dc, _ := d.upgrade(true)
		d.expect(hexLabel.MatchString(dc.Label()) && dc.Ordered(), "the data channel", "40 hexadecimal digits, ordered", dc.Label())
		d.event("upgraded", deadline())
	})},
	{"PSX-65/early", []string{"PSX-65"}, Must, "an offer is taken in the first second, too", false, inDuet(func(d *duet) {
		d.pair(false, nil)
		d.upgrade(false)
		d.event("upgraded", deadline())
	})},
	{"PSX-67/ways", []string{"PSX-67", "PSX-68"}, Must, "messages go by the WebSocket, the data channel, and the WebSocket again", false, inDuet(func(d *duet) {
		d.pair(false, nil)
		d.do(driver.Command{"cmd": "send", "text": "one"})
		d.wantFromClient(opText, "one")
		d.do(driver.Command{"cmd": "send", "base64": "AAE="})
		d.wantFromClient(opBinary, "\x00\x01")
		time.Sleep(1200 * time.Millisecond) // an original takes no earlier offer: PSX-65/early
		dc, in := d.upgrade(false)
		d.event("upgraded", deadline())
		d.do(driver.Command{"cmd": "send", "text": "two"})
		m, err := in.take(deadline(), func(webrtc.DataChannelMessage) bool { return true })
		d.expect(err == nil && m.IsString && string(m.Data) == "two", "on the data channel", "the text \"two\"", fmt.Sprintf("%q %v", m.Data, err))
		d.try(dc.Send([]byte("bytes")))
		d.expectUser("bytes on the data channel", "bytes")
		d.try(dc.Close())
		d.event("peerRtcClosed", deadline())
		d.do(driver.Command{"cmd": "send", "text": "three"})
		for { // "two" may come again
			f, err := d.socket.fromClient(deadline())
			d.expect(err == nil && f.op == opText, "by the WebSocket", "the text \"three\"", describe(f, err))
			if string(f.payload) == "three" {
				return
			}
		}
	})},
	{"PSX-68/reserved", []string{"PSX-68"}, Must, "what an original would misunderstand is refused", false, inDuet(func(d *duet) {
		d.pair(false, nil)
		d.socket.say("an original says something")
		d.expectUser("a text", "an original says something")
		for _, text := range []string{"PING", "§", `§{"name":"x"}`} {
			e, err := d.driver.Do(timeout, driver.Command{"cmd": "send", "text": text})
			d.expect(err != nil && e.Event == "error", "to send "+text, "an error", e.Event)
		}
		d.do(driver.Command{"cmd": "send", "text": "after it"})
		d.wantFromClient(opText, "after it")
	})},
	{"PSX-80/close", []string{"PSX-80"}, Should, "what was sent before closing arrives", false, inDuet(func(d *duet) {
		d.pair(false, nil)
		d.do(driver.Command{"cmd": "send", "text": "the last"})
		if _, err := d.driver.Send(driver.Command{"cmd": "close"}); err != nil {
			d.fail("close", "that it is possible", err.Error())
		}
		d.wantFromClient(opText, "the last")
		f, err := d.socket.fromClient(deadline())
		d.expect(err == nil && f.op == opClose, "then", "a close frame", describe(f, err))
		d.socket.writeFrame(frame{fin: true, op: opClose, payload: f.payload})
	})},
}

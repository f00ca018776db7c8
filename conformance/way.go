package conformance

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v3"
)

// A way carries messages of services 74 and 7431 between a scripted peer and the
// one under test: through signaling, or inside the group over some link.
type way struct {
	run  *run
	name string   // the scripted peer
	seal *session // in a sealed group
	put  func(service uint32, content []byte)
	take func(until time.Time, match func(envelope) bool) (envelope, error)
	// instead says what came instead of what was expected.
	instead func(error) string
}

// throughDoor is the way to the peer under test through signaling: with id 0 for
// a scripted member, to which the peer is bound, and a signaling id for a
// scripted joiner.
func (d *door) throughDoor(name string, id, recipient uint32) *way {
	return &way{
		run: d.run, name: name, instead: d.instead,
		put: func(service uint32, content []byte) {
			// The ids of the Message have no meaning here (BLD-2).
			d.pass(id, recipient, envelope{7, 9, service, content}.encode())
		},
		take: func(until time.Time, match func(envelope) bool) (envelope, error) {
			var found envelope
			_, err := d.in.take(until, func(a arrival) bool {
				// What is for a scripted joiner is not for the member that the peer joined by; that a joiner
				// names a member, and not 0, means nothing (SIG-27).
				if a.content == nil || a.content.recipient != id && (id != 0 || a.content.recipient < 1<<31) {
					return false
				}
				e, err := parseEnvelope(a.content.data)
				e.sender, e.recipient = a.content.sender, a.content.recipient
				found = e
				return err == nil && match(e)
			})
			return found, err
		},
	}
}

// relay is the way from member id to the peer under test that this link's end
// passes on, or has itself.
func (l *link) relay(name string, id uint32) *way {
	return &way{
		run: l.run, name: name, instead: l.instead,
		put: func(service uint32, content []byte) {
			l.raw(envelope{id, l.other, service, content}.encode())
		},
		take: func(until time.Time, match func(envelope) bool) (envelope, error) {
			m, err := l.in.take(until, func(m received) bool {
				return m.env.recipient == id && m.env.sender == l.other && match(m.env)
			})
			return m.env, err
		},
	}
}

// expect expects a message of a service.
func (w *way) expect(what string, until time.Time, service uint32, match func(fields) bool) (fields, envelope) {
	e, err := w.take(until, func(e envelope) bool {
		fs, err := parse(e.content)
		return err == nil && e.service == service && match(fs)
	})
	if err != nil {
		w.run.fail("for "+w.name, what, w.instead(err))
	}
	return mustParse(e.content), e
}

// expectRequest expects a connectionRequest and returns its content.
func (w *way) expectRequest(until time.Time) []byte {
	fs, _ := w.expect("a connectionRequest", until, serviceBuilder, func(fs fields) bool { return fs.has(2) })
	return fs.bytes(2)
}

func (w *way) expectResponse(want bool) {
	fs, _ := w.expect("a connectionResponse", deadline(), serviceBuilder, func(fs fields) bool { return fs.has(3) })
	w.run.expect(fs.uint(3) != 0 == want, "for "+w.name, fmt.Sprintf("connectionResponse:%v", want), !want)
}

// expectNegotiation returns the initiator and the passive one, which is nil in a
// first negotiation.
func (w *way) expectNegotiation(until time.Time) (initiator info, passive *info) {
	fs, _ := w.expect("a negotiation", until, serviceBuilder, func(fs fields) bool { return fs.has(1) })
	n := fs.sub(1)
	if n.has(2) {
		p := parseInfo(n.sub(2))
		passive = &p
	}
	return parseInfo(n.sub(1)), passive
}

func (w *way) expectOffer(until time.Time) string {
	fs, _ := w.expect("an offer", until, serviceRTC, func(fs fields) bool { return fs.has(1) })
	return string(fs.bytes(1))
}

// none reports whether no message of a service is there that matches.
func (w *way) none(service uint32, match func(fields) bool) bool {
	_, err := w.take(time.Now(), func(e envelope) bool {
		fs, err := parse(e.content)
		return err == nil && e.service == service && match(fs)
	})
	return err != nil
}

// A half is a data channel in the making.
type half struct {
	*link
	way    *way
	opened chan struct{}
}

// offer begins a data channel with this label and sends the offer with all
// candidates in it.
func (w *way) offer(label string) *half {
	h, sdp := w.prepare(label)
	w.put(serviceRTC, offerMessage(sdp))
	return h
}

// link is the suite's end of a data channel that is agreed on by this way.
func (w *way) link(pc *webrtc.PeerConnection) *link {
	l := w.run.newLink(w.name, pc)
	if w.seal != nil {
		l.seal, l.me, l.other = w.seal, w.seal.me, w.seal.other
	}
	return l
}

// prepare makes an offer without sending it.
func (w *way) prepare(label string) (*half, string) {
	pc := w.run.connection()
	l := w.link(pc)
	dc, err := pc.CreateDataChannel(label, nil)
	if err == nil {
		h := &half{l, w, l.attach(dc)}
		var offer webrtc.SessionDescription
		if offer, err = pc.CreateOffer(nil); err == nil {
			gathered := webrtc.GatheringCompletePromise(pc)
			if err = pc.SetLocalDescription(offer); err == nil {
				<-gathered
				return h, pc.LocalDescription().SDP
			}
		}
	}
	w.run.fail("the case", "an offer", err.Error())
	return nil, ""
}

// answered waits for the answer and for the channel.
func (h *half) answered() *link {
	h.take()
	return h.wait()
}

// take waits for the answer.
func (h *half) take() {
	fs, _ := h.way.expect("an answer", deadline(), serviceRTC, func(fs fields) bool { return fs.has(2) })
	err := h.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(fs.bytes(2))})
	h.run.expect(err == nil, "for "+h.name, "an answer that can be used", err)
}

// expectRefused expects that the peer under test closes the channel when it has
// seen its label.
func (h *half) expectRefused(what string) {
	h.take()
	go h.way.candidates(h.link)
	lost := make(chan struct{})
	var once sync.Once
	h.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateClosed || s == webrtc.PeerConnectionStateFailed || s == webrtc.PeerConnectionStateDisconnected {
			once.Do(func() { close(lost) })
		}
	})
	select {
	case <-h.over:
	case <-lost:
	case <-time.After(7 * time.Second):
		h.run.fail(what, "that the peer under test closes it", "it does not")
	}
}

func (h *half) wait() *link {
	go h.way.candidates(h.link)
	select {
	case <-h.opened:
	case <-time.After(timeout):
		h.run.fail("for "+h.name, "an open data channel", "none, ICE is "+h.pc.ICEConnectionState().String())
	}
	return h.link
}

// answer answers an offer of the peer under test and waits for the channel.
func (w *way) answer(offer string) *link {
	h, sdp := w.prepareAnswer(offer)
	w.put(serviceRTC, answerMessage(sdp))
	return h.wait()
}

// prepareAnswer makes an answer without sending it.
func (w *way) prepareAnswer(offer string) (*half, string) {
	pc := w.run.connection()
	l := w.link(pc)
	h := &half{l, w, make(chan struct{})}
	pc.OnDataChannel(func(dc *webrtc.DataChannel) {
		opened := l.attach(dc)
		go func() {
			<-opened
			close(h.opened)
		}()
	})
	err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer})
	w.run.expect(err == nil, "for "+w.name, "an offer that can be used", err)
	answer, err := pc.CreateAnswer(nil)
	gathered := webrtc.GatheringCompletePromise(pc)
	if err == nil {
		err = pc.SetLocalDescription(answer)
	}
	w.run.expect(err == nil, "the case", "an answer", err)
	<-gathered
	return h, pc.LocalDescription().SDP
}

// candidates gives the connection what candidates come.
func (w *way) candidates(l *link) {
	for {
		e, err := w.take(time.Now().Add(time.Minute), func(e envelope) bool {
			return e.service == serviceRTC && mustParse(e.content).has(3)
		})
		if err != nil {
			return
		}
		c := mustParse(e.content).sub(3)
		mid, line := string(c.bytes(2)), uint16(c.uint(3))
		l.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: string(c.bytes(1)), SDPMid: &mid, SDPMLineIndex: &line})
	}
}

// split takes the candidates out of an SDP.
func split(sdp string) (without string, candidates []string) {
	var kept strings.Builder
	for line := range strings.Lines(sdp) {
		if c, ok := strings.CutPrefix(line, "a=candidate"); ok {
			candidates = append(candidates, "candidate"+strings.TrimSpace(c))
		} else if !strings.HasPrefix(line, "a=end-of-candidates") {
			kept.WriteString(line)
		}
	}
	return kept.String(), candidates
}

package rtc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pion/ice/v2"
	"github.com/pion/webrtc/v3"
)

// A SignalType says what a [Signal] is.
type SignalType int

// The types of signals.
const (
	SignalOffer     SignalType = iota + 1 // SDP is set
	SignalAnswer                          // SDP is set
	SignalCandidate                       // Candidate, SDPMid and SDPMLineIndex are set
	SignalEnd                             // there will be no more candidates
)

func (t SignalType) String() string {
	switch t {
	case SignalOffer:
		return "offer"
	case SignalAnswer:
		return "answer"
	case SignalCandidate:
		return "candidate"
	case SignalEnd:
		return "end of candidates"
	}
	return fmt.Sprintf("SignalType(%d)", int(t))
}

// A Signal is what one end has to tell the other before they are connected. Its fields are those of the browsers'
// RTCSessionDescription and RTCIceCandidate.
type Signal struct {
	Type          SignalType
	SDP           string
	Candidate     string // such as "candidate:1 1 udp 2130706431 127.0.0.1 50000 typ host"
	SDPMid        string
	SDPMLineIndex uint16
}

// Signal takes what the peer has to tell. Signals may come at any time and candidates before the description they
// belong to. It does not wait for anything.
//
// An error is a *SignalError, unless the connection is over, when it says why. A description that cannot be used ends
// the connection, as Open will say, too; if only pion finds that out, Open alone says it. Anything else that is wrong,
// be it a candidate or a description that is not due, is dropped and changes nothing.
func (c *Conn) Signal(s Signal) error {
	if err := c.cause(); err != nil {
		return err
	}
	var err error
	switch s.Type {
	case SignalOffer, SignalAnswer:
		err = c.describe(s)
	case SignalCandidate:
		if s.Candidate != "" { // how browsers say that there are no more
			err = c.candidate(s)
		}
	case SignalEnd: // ICE needs no such word: it gives up when no path has been found in time
	default:
		err = ErrUnexpectedSignal
	}
	if err != nil {
		return &SignalError{s.Type, err}
	}
	return nil
}

// describe takes the peer's description.
func (c *Conn) describe(s Signal) error {
	if c.offer != (s.Type == SignalAnswer) {
		return ErrUnexpectedSignal
	}
	c.mu.Lock()
	again := c.described
	c.described = true
	c.mu.Unlock()
	if again {
		return ErrUnexpectedSignal
	}
	d, err := parseDescription(s)
	if err == nil {
		err = c.count(d.candidates)
	}
	if err != nil {
		c.fail(&SignalError{s.Type, err})
		return err
	}
	c.mu.Lock()
	c.maxSend = min(d.maxMessage, maxSend)
	c.mu.Unlock()
	c.post(func() { c.apply(s) })
	return nil
}

// count adds candidates of the peer to those that have come.
func (c *Conn) count(more Candidates) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.remote.total()+more.total() > MaxCandidates {
		return ErrTooManyCandidates
	}
	c.remote = c.remote.plus(more)
	return nil
}

// candidate takes one candidate of the peer.
func (c *Conn) candidate(s Signal) error {
	kind, err := parseCandidate(s.Candidate)
	if err != nil {
		return err
	}
	if err := c.count(kind); err != nil {
		return err
	}
	c.post(func() {
		if c.applied {
			c.addCandidate(s)
		} else {
			c.early = append(c.early, s)
		}
	})
	return nil
}

// makeOffer is the first job of the end that offers.
func (c *Conn) makeOffer() {
	c.gather()
	var offer webrtc.SessionDescription
	err := c.tell(func() (err error) {
		if offer, err = c.pc.CreateOffer(nil); err != nil {
			return err
		}
		return c.pc.SetLocalDescription(offer)
	})
	c.emitDescription(SignalOffer, offer, err)
}

// apply gives the peer's description, and the candidates that came before it, to pion; and answers an offer.
func (c *Conn) apply(s Signal) {
	kind := webrtc.SDPTypeOffer
	if s.Type == SignalAnswer {
		kind = webrtc.SDPTypeAnswer
	}
	err := c.tell(func() error {
		return c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: s.SDP})
	})
	if err != nil {
		c.fail(&SignalError{s.Type, err})
		return
	}
	c.reach(StagePath)
	c.applied = true
	for _, candidate := range c.early {
		c.addCandidate(candidate)
	}
	c.early = nil
	if c.offer {
		return
	}
	c.gather()
	var answer webrtc.SessionDescription
	err = c.tell(func() (err error) {
		if answer, err = c.pc.CreateAnswer(nil); err != nil {
			return err
		}
		return c.pc.SetLocalDescription(answer)
	})
	c.emitDescription(SignalAnswer, answer, err)
}

// addCandidate gives a candidate to pion. It has been looked at before, so what pion thinks of it is no one's concern.
func (c *Conn) addCandidate(s Signal) {
	c.tell(func() error {
		return c.pc.AddICECandidate(webrtc.ICECandidateInit{
			Candidate: s.Candidate, SDPMid: &s.SDPMid, SDPMLineIndex: &s.SDPMLineIndex,
		})
	})
}

// emitDescription passes our description on. A failure to make one is the peer's doing if it was made from the peer's.
func (c *Conn) emitDescription(t SignalType, d webrtc.SessionDescription, err error) {
	if err == nil {
		c.section, err = sectionOf(d)
	}
	switch {
	case err == nil:
		c.emit(Signal{Type: t, SDP: announce(d.SDP, c.cfg.MaxMessage)})
	case t == SignalAnswer:
		c.fail(&SignalError{SignalOffer, err})
	default:
		c.fail(fmt.Errorf("rtc: offer: %w", err))
	}
}

// emit calls the caller's callback.
func (c *Conn) emit(s Signal) {
	if c.cause() == nil {
		c.send(s)
	}
}

// parseCandidate checks a candidate of the peer. Kinds that are not used here are no error: browsers send them.
func parseCandidate(line string) (Candidates, error) {
	if len(line) > MaxCandidate {
		return Candidates{}, fmt.Errorf("%d bytes, of at most %d: %w", len(line), MaxCandidate, ErrTooBig)
	}
	parsed, err := ice.UnmarshalCandidate(strings.TrimPrefix(line, "candidate:"))
	switch {
	case errors.Is(err, ice.ErrUnknownCandidateTyp), errors.Is(err, ice.ErrDetermineNetworkType):
		return Candidates{Other: 1}, nil
	case err != nil:
		return Candidates{}, err
	case parsed.NetworkType().IsTCP(), strings.HasSuffix(parsed.Address(), ".local"):
		return Candidates{Other: 1}, nil
	}
	kind, err := webrtc.NewICECandidateType(parsed.Type().String())
	if err != nil {
		return Candidates{}, err
	}
	return kindOf(kind), nil
}

func kindOf(t webrtc.ICECandidateType) Candidates {
	switch t {
	case webrtc.ICECandidateTypeHost:
		return Candidates{Host: 1}
	case webrtc.ICECandidateTypeSrflx, webrtc.ICECandidateTypePrflx:
		return Candidates{Reflexive: 1}
	case webrtc.ICECandidateTypeRelay:
		return Candidates{Relay: 1}
	}
	return Candidates{Other: 1}
}

func (c Candidates) plus(d Candidates) Candidates {
	return Candidates{c.Host + d.Host, c.Reflexive + d.Reflexive, c.Relay + d.Relay, c.Other + d.Other}
}

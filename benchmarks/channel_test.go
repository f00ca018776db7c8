//go:build unix

package benchmarks

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/ice/v2"
	"github.com/pion/webrtc/v3"
)

// openTimeout is how long a channel may take to open on a busy machine.
const openTimeout = 20 * time.Second

// A bareEnd is one end of a data channel of pion's alone: detached, reliable and ordered, with the settings that pion's
// own examples use, on loopback.
type bareEnd struct {
	pc  *webrtc.PeerConnection
	dc  *webrtc.DataChannel
	raw datachannel.ReadWriteCloser
	low chan struct{}
}

// Watermarks of a bare channel, which are those of ours.
const (
	highWater = 256 << 10
	lowWater  = highWater / 2
)

// bareAPI is pion with what every program on loopback needs, and without the second that it waits for a better path.
var bareAPI = sync.OnceValue(func() *webrtc.API {
	var s webrtc.SettingEngine
	s.DetachDataChannels()
	s.SetIncludeLoopbackCandidate(true)
	s.SetInterfaceFilter(func(name string) bool { return name == "lo" || name == "lo0" })
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetPrflxAcceptanceMinWait(0)
	return webrtc.NewAPI(webrtc.WithSettingEngine(s))
})

// barePair opens a channel; candidates trickle, by a function call.
func barePair() (x, y *bareEnd, err error) {
	ends := [2]*bareEnd{}
	open := make(chan int, 2)
	for i := range ends {
		pc, err := bareAPI().NewPeerConnection(webrtc.Configuration{})
		if err != nil {
			return nil, nil, err
		}
		ends[i] = &bareEnd{pc: pc, low: make(chan struct{}, 1)}
	}
	x, y = ends[0], ends[1]
	attach := func(i int, dc *webrtc.DataChannel) {
		ends[i].dc = dc
		dc.SetBufferedAmountLowThreshold(lowWater)
		dc.OnBufferedAmountLow(func() {
			select {
			case ends[i].low <- struct{}{}:
			default:
			}
		})
		dc.OnOpen(func() {
			ends[i].raw, _ = dc.Detach()
			open <- i
		})
	}
	var mu sync.Mutex
	var early [2][]webrtc.ICECandidateInit
	var described [2]bool
	trickle := func(from, to int) {
		ends[from].pc.OnICECandidate(func(c *webrtc.ICECandidate) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case c == nil:
			case described[to]:
				ends[to].pc.AddICECandidate(c.ToJSON())
			default:
				early[to] = append(early[to], c.ToJSON())
			}
		})
	}
	trickle(0, 1)
	trickle(1, 0)
	describe := func(to int, d webrtc.SessionDescription) error {
		if err := ends[to].pc.SetRemoteDescription(d); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		described[to] = true
		for _, c := range early[to] {
			ends[to].pc.AddICECandidate(c)
		}
		return nil
	}
	dc, err := x.pc.CreateDataChannel("", nil)
	if err != nil {
		return nil, nil, err
	}
	attach(0, dc)
	y.pc.OnDataChannel(func(dc *webrtc.DataChannel) { attach(1, dc) })
	offer, err1 := x.pc.CreateOffer(nil)
	err2 := x.pc.SetLocalDescription(offer)
	err3 := describe(1, offer)
	answer, err4 := y.pc.CreateAnswer(nil)
	err5 := y.pc.SetLocalDescription(answer)
	err6 := describe(0, answer)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return nil, nil, err
	}
	timeout := time.After(openTimeout)
	for range 2 {
		select {
		case <-open:
		case <-timeout:
			return nil, nil, fmt.Errorf("a bare channel did not open within %v", openTimeout)
		}
	}
	return x, y, nil
}

func (e *bareEnd) close() { e.pc.Close() }

// send waits as long as the high-water mark is exceeded.
func (e *bareEnd) send(b []byte) error {
	for e.dc.BufferedAmount() >= highWater {
		<-e.low
	}
	_, err := e.raw.Write(b)
	return err
}

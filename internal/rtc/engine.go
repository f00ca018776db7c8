package rtc

import (
	"context"
	"fmt"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/stun"
	"github.com/pion/webrtc/v3"
)

// handshakeRetry is how long an answer to a packet of the secure handshake is waited for.
const handshakeRetry = 100 * time.Millisecond

// newPeerConnection makes a connection of pion's that does what c says. When ctx ends it waits for no server any more.
func (c Config) newPeerConnection(ctx context.Context, checked func(*stun.Message, ice.Candidate, ice.Candidate, *ice.CandidatePair) bool) (*webrtc.PeerConnection, error) {
	engine, err := c.engine(ctx)
	if err != nil {
		return nil, err
	}
	engine.SetICEBindingRequestHandler(checked)
	configuration, err := c.configuration()
	if err != nil {
		return nil, err
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(engine)).NewPeerConnection(configuration)
	if err != nil {
		return nil, fmt.Errorf("rtc: %w", err)
	}
	return pc, nil
}

// engine returns what pion calls its settings.
func (c Config) engine(ctx context.Context) (webrtc.SettingEngine, error) {
	var s webrtc.SettingEngine
	s.LoggerFactory = loggers{c.Logger}
	s.DetachDataChannels()
	s.SetSCTPMaxReceiveBufferSize(uint32(c.window()))

	// By default pion would open port 5353 for each connection. Without mDNS a browser that hides its addresses is
	// reached all the same: it checks our candidates, and so shows itself.
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	// No TCP: a TCP candidate is an invitation to dial an address of the peer's choice.
	networks := []webrtc.NetworkType{webrtc.NetworkTypeUDP4}
	if c.Loopback {
		s.SetIncludeLoopbackCandidate(true)
		s.SetIPFilter(isLoopback)
	} else {
		networks = append(networks, webrtc.NetworkTypeUDP6)
	}
	s.SetNetworkTypes(networks)

	// A path that works is taken: host candidates come first, so that they have had their chance when another proves to
	// work. By default pion would wait half a second before it takes an address that a STUN server has seen, and a second
	// for one that only the peer's check has shown, which is how a browser that answers appears. For a direct path in
	// place of a relay it waits two seconds, unless there can be none.
	s.SetPrflxAcceptanceMinWait(0)
	s.SetSrflxAcceptanceMinWait(0)
	if c.RelayOnly {
		s.SetRelayAcceptanceMinWait(0)
	}

	// The first packet of the handshake is lost if it comes in the moment in which pion has a path and does not listen
	// yet. By default it would be sent again after a second.
	s.SetDTLSRetransmissionInterval(handshakeRetry)
	// A round trip that proves the peer's address, which ICE has done.
	s.SetDTLSInsecureSkipHelloVerify(true)

	disconnected := c.SilenceTimeout / 6
	s.SetICETimeouts(disconnected, c.SilenceTimeout-disconnected, min(keepalive, disconnected))

	sockets, err := c.sockets(ctx)
	s.SetNet(sockets)
	return s, err
}

// configuration returns what pion calls its configuration, which is the browsers'.
func (c Config) configuration() (webrtc.Configuration, error) {
	certificate, err := certificates.get()
	if err != nil {
		return webrtc.Configuration{}, err
	}
	configuration := webrtc.Configuration{Certificates: []webrtc.Certificate{*certificate}}
	if c.RelayOnly {
		configuration.ICETransportPolicy = webrtc.ICETransportPolicyRelay
	}
	for _, server := range c.ICEServers {
		configuration.ICEServers = append(configuration.ICEServers, webrtc.ICEServer{
			URLs: server.URLs, Username: server.Username, Credential: server.Credential,
		})
	}
	return configuration, nil
}

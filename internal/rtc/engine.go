package rtc

import (
	"fmt"

	"github.com/pion/ice/v2"
	"github.com/pion/webrtc/v3"
)

// newPeerConnection makes a connection of pion's that does what c says.
func (c Config) newPeerConnection() (*webrtc.PeerConnection, error) {
	engine, err := c.engine()
	if err != nil {
		return nil, err
	}
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
func (c Config) engine() (webrtc.SettingEngine, error) {
	var s webrtc.SettingEngine
	s.LoggerFactory = loggers{c.Logger}
	s.DetachDataChannels()
	s.SetSCTPMaxReceiveBufferSize(uint32(c.window()))

	// By default pion would open port 5353 for each connection. Without mDNS a browser that hides its addresses is
	// reached all the same: it checks our candidates, and so shows itself.
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	// A TCP candidate is an invitation to dial an address of the peer's choice.
	s.DisableActiveTCP(true)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	if c.Loopback {
		s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
		s.SetIncludeLoopbackCandidate(true)
		s.SetIPFilter(isLoopback)
	}

	// A browser that answers shows itself by its first check, so its address is one that no candidate announced; pion
	// would wait a second for a better one. Should a better one come later, ICE moves to it.
	s.SetPrflxAcceptanceMinWait(0)
	s.SetHostAcceptanceMinWait(0)

	disconnected := c.SilenceTimeout / 6
	s.SetICETimeouts(disconnected, c.SilenceTimeout-disconnected, min(keepalive, disconnected))

	if c.net != nil {
		s.SetNet(c.net)
		return s, nil
	}
	sockets, err := newSockets()
	if err != nil {
		return s, fmt.Errorf("rtc: network: %w", err)
	}
	s.SetNet(sockets)
	return s, nil
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

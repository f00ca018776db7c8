package rtc

import (
	"math"
	"strings"
	"testing"
)

func TestParseDescription(t *testing.T) {
	for name, test := range map[string]struct {
		sdp  string
		want description
	}{
		"plain":     {goodSDP, description{section{"0", 0}, 65536, Candidates{}}},
		"announced": {goodSDP + "a=max-message-size:262144\r\n", description{section{"0", 0}, 262144, Candidates{}}},
		"any size":  {goodSDP + "a=max-message-size:0\r\n", description{section{"0", 0}, math.MaxInt, Candidates{}}},
		"huge":      {goodSDP + "a=max-message-size:18446744073709551615\r\n", description{section{"0", 0}, math.MaxInt, Candidates{}}},
		"second section": {strings.Replace(goodSDP, "m=application", "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\nm=application", 1),
			description{section{"0", 1}, 65536, Candidates{}}},
		"two sections": {goodSDP + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\na=max-message-size:5\r\n",
			description{section{"0", 0}, 65536, Candidates{}}},
		"candidate": {goodSDP + "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n", description{section{"0", 0}, 65536, Candidates{Host: 1}}},
	} {
		if got, err := parseDescription(Signal{SDP: test.sdp}); err != nil || got != test.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, test.want)
		}
	}
}

// The announcement is in the section for data channels, wherever that is.
func TestAnnounce(t *testing.T) {
	for _, sdp := range []string{goodSDP, goodSDP + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\n"} {
		d, err := parseDescription(Signal{SDP: announce(sdp, 1234)})
		if err != nil || d.maxMessage != 1234 {
			t.Errorf("%+v, %v", d, err)
		}
	}
}

// No description makes the parser fail in another way than by an error.
func FuzzParseDescription(f *testing.F) {
	f.Add(goodSDP)
	f.Add(goodSDP + "a=max-message-size:1\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n")
	f.Fuzz(func(t *testing.T, sdp string) {
		d, err := parseDescription(Signal{SDP: sdp})
		if err == nil && d.maxMessage <= 0 {
			t.Errorf("%+v", d)
		}
		parseCandidate(sdp)
	})
}

package rtc

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/pion/webrtc/v3"
)

// maxMessageAttribute is the name of RFC 8841 for the largest message that one end takes.
const maxMessageAttribute = "max-message-size"

// unannounced is the largest message, in bytes, that may be sent to a peer that says nothing of it (RFC 8841).
const unannounced = 64 << 10

// A section is the part of a description that is about data channels.
type section struct {
	mid   string
	index uint16
}

// A description is what is of interest here in one of the peer.
type description struct {
	section
	maxMessage int // bytes; any at all if the peer announced none
	candidates Candidates
}

var errNoChannels = errors.New("no section for data channels")

// parseDescription checks a description of the peer. What only matters to pion is left to pion.
func parseDescription(s Signal) (description, error) {
	if len(s.SDP) > MaxDescription {
		return description{}, fmt.Errorf("%d bytes, of at most %d: %w", len(s.SDP), MaxDescription, ErrTooBig)
	}
	sd := webrtc.SessionDescription{SDP: s.SDP}
	parsed, err := sd.Unmarshal()
	if err != nil {
		return description{}, err
	}
	d := description{maxMessage: unannounced}
	found := false
	for i, media := range parsed.MediaDescriptions {
		for _, a := range media.Attributes {
			if a.Key != "candidate" {
				continue
			}
			kind, err := parseCandidate(a.Value)
			if err != nil {
				return description{}, fmt.Errorf("candidate: %w", err)
			}
			d.candidates = d.candidates.plus(kind)
		}
		// A peer that wants no channel answers with the port 0.
		if media.MediaName.Media != "application" || media.MediaName.Port.Value == 0 || found {
			continue
		}
		found = true
		d.mid, _ = media.Attribute("mid")
		d.index = uint16(i)
		if value, ok := media.Attribute(maxMessageAttribute); ok {
			if d.maxMessage, err = parseMaxMessage(value); err != nil {
				return description{}, err
			}
		}
	}
	if !found {
		return description{}, errNoChannels
	}
	return d, nil
}

// parseMaxMessage reads the value of maxMessageAttribute, where 0 means any size.
func parseMaxMessage(value string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", maxMessageAttribute, err)
	}
	if n == 0 {
		return math.MaxInt, nil
	}
	return int(min(n, math.MaxInt)), nil
}

// sectionOf returns the section for data channels of our own description.
func sectionOf(sd webrtc.SessionDescription) (section, error) {
	d, err := parseDescription(Signal{SDP: sd.SDP})
	return d.section, err
}

// announce adds to our description the largest message that we take. Without it browsers send up to 64 KiB, and refuse
// to send more.
func announce(sdp string, maxMessage int) string {
	start := strings.Index(sdp, "m=application ")
	if start < 0 {
		return sdp
	}
	end := len(sdp)
	if next := strings.Index(sdp[start+1:], "\nm="); next >= 0 {
		end = start + 1 + next + 1
	}
	return fmt.Sprintf("%sa=%s:%d\r\n%s", sdp[:end], maxMessageAttribute, maxMessage, sdp[end:])
}

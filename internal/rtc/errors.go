package rtc

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

var (
	// ErrClosed says that this end closed the connection, or, from Send, that either end did. It is [net.ErrClosed].
	ErrClosed = fmt.Errorf("rtc: connection closed: %w", net.ErrClosed)

	// ErrNotOpen is returned by Send, TrySend and Read on a connection that is still opening.
	ErrNotOpen = errors.New("rtc: connection is not open yet")

	// ErrNoPath says that no pair of candidates let the two ends reach one another (ICE failed).
	ErrNoPath = errors.New("rtc: no path to the peer")

	// ErrNoRelay says that this end may only use relays, by [Config].RelayOnly, and that no TURN server has lent it an
	// address: there are none, or each refused or did not answer in RelayTimeout.
	ErrNoRelay = errors.New("rtc: no TURN server lends an address, and nothing else may be used")

	// ErrHandshake says that there was a path and the secure handshake on it (DTLS) failed, be it that whoever is there
	// has not the certificate that the peer's description promised.
	ErrHandshake = errors.New("rtc: secure handshake failed")

	// ErrLost says that an open connection's peer was silent for [Config].SilenceTimeout, or that its transport broke.
	ErrLost = errors.New("rtc: connection lost")

	// ErrTooBig says that a message is larger than it may be: from Send, larger than MaxSend, and nothing was sent; from
	// Read, inside a *ProtocolError, larger than [Config].MaxMessage.
	ErrTooBig = errors.New("rtc: message too big")

	// ErrInvalidText says that a text message is not UTF-8: from Send, and nothing was sent; from Read, inside a
	// *ProtocolError.
	ErrInvalidText = errors.New("rtc: text message is not UTF-8")

	// ErrFull is returned by TrySend where Send would wait.
	ErrFull = errors.New("rtc: send buffer full")

	// ErrTooManyChannels is what a peer did that opens channel after channel. It is inside a *ProtocolError.
	ErrTooManyChannels = errors.New("rtc: too many channels")

	// ErrTooManyCandidates is inside the *SignalError for each candidate of the peer beyond MaxCandidates.
	ErrTooManyCandidates = errors.New("rtc: too many candidates")

	// ErrUnexpectedSignal is inside the *SignalError for an offer where an answer is expected, the reverse, or a second
	// one.
	ErrUnexpectedSignal = errors.New("rtc: unexpected signal")
)

// A SignalError says what is wrong with a signal of the peer.
type SignalError struct {
	Type SignalType
	Err  error
}

func (e *SignalError) Error() string {
	return fmt.Sprintf("rtc: bad %s of the peer: %v", e.Type, e.Err)
}

// Unwrap returns Err.
func (e *SignalError) Unwrap() error { return e.Err }

// A ProtocolError says what the peer did that it must not on an established transport. The connection is over.
type ProtocolError struct{ Err error }

func (e *ProtocolError) Error() string {
	return fmt.Sprintf("rtc: protocol error of the peer: %v", e.Err)
}

// Unwrap returns Err.
func (e *ProtocolError) Unwrap() error { return e.Err }

// A Stage is how far opening a connection has got.
type Stage int

// The stages, in their order.
const (
	StageSignaling Stage = iota // no usable description of the peer has come
	StagePath                   // looking for a path (ICE)
	StageHandshake              // the path stands; the secure handshake is under way (DTLS)
	StageChannel                // the peer is who it said it is; the channel is not open
)

func (s Stage) String() string {
	return [...]string{"waiting for the peer's description", "looking for a path", "in the secure handshake", "opening the channel"}[s]
}

// Candidates counts the addresses at which one end may be reached, by their kind.
type Candidates struct {
	Host      int // its own
	Reflexive int // seen by a STUN server or by the peer
	Relay     int // lent by a TURN server
	Other     int // of a kind or transport that is not used here, such as mDNS names and TCP
}

func (c Candidates) String() string {
	var parts []string
	for _, part := range []struct {
		n    int
		name string
	}{{c.Host, "host"}, {c.Reflexive, "reflexive"}, {c.Relay, "relay"}, {c.Other, "unusable"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.name))
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, " + ")
}

func (c Candidates) total() int { return c.Host + c.Reflexive + c.Relay + c.Other }

// An OpenError says why a connection did not open.
type OpenError struct {
	Stage         Stage      // how far it got
	Local, Remote Candidates // what there was to make a path of
	Err           error      // ErrNoPath, ErrNoRelay, ErrHandshake, ErrClosed, io.EOF (the peer closed), a *SignalError, a *ProtocolError, or the context's
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("rtc: not opened, %s (candidates: ours %s, the peer's %s): %v", e.Stage, e.Local, e.Remote, e.Err)
}

// Unwrap returns Err.
func (e *OpenError) Unwrap() error { return e.Err }

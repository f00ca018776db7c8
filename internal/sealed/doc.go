// Package sealed is the cryptography of sealed groups (chapter SEC): the secret and what is derived from it, the
// handshake of two members, and how what they say is sealed.
//
// It has no I/O, no goroutines and no clock, and only the standard library's primitives. Its constructions are published
// ones: Bech32m (BIP-350) for texts, HKDF (RFC 5869), the Noise Protocol Framework (revision 34), AES-256-GCM. Nothing in
// it may be called concurrently on one value, but [Keys] and [Identity] do not change.
package sealed

import "errors"

// Reasons for which something is refused.
var (
	// ErrText says that a text is no secret, or no identity; what is wrong stands behind it.
	ErrText = errors.New("sealed: malformed text")
	// ErrSecret says that the other end of a handshake has not shown that it has the group's secret.
	ErrSecret = errors.New("sealed: the other end does not have the secret of this group")
	// ErrHandshake says that a message is not the one that a handshake waits for, or was altered.
	ErrHandshake = errors.New("sealed: the handshake failed")
	// ErrIdentity says that the other end has another identity than it should.
	ErrIdentity = errors.New("sealed: the other end has another identity")
	// ErrForged says that a message was not sealed by the one that it seems to come from, for this end, or was altered.
	ErrForged = errors.New("sealed: a message was forged or altered")
	// ErrReplay says that a message came before, or too late to know.
	ErrReplay = errors.New("sealed: a message came again, or far too late")
	// ErrExhausted says that a session has sealed all that it may: a new handshake is needed.
	ErrExhausted = errors.New("sealed: the session is used up")
)

package conformance

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
)

// bytesOfText reads the text form of so many bytes (SEC-2, SEC-40): ok is false for one that is not exactly theirs.
func bytesOfText(prefix, text string, n int) (data []byte, ok bool) {
	digits, ok := strings.CutPrefix(text, prefix+"1")
	if !ok || len(digits) < 6 {
		return nil, false
	}
	bits, have := 0, 0
	for _, c := range digits[:len(digits)-6] {
		bits, have = bits<<5|strings.IndexRune(bech32Digits, c)&31, have+5
		if have >= 8 {
			have -= 8
			data = append(data, byte(bits>>have))
		}
	}
	return data, len(data) == n && bech32m(prefix, data) == text
}

// pairKeys are what the secret, the code and the hash of a pairing lead to (SEC-41, SEC-42).
type pairKeys struct {
	sealKeys // psk and gate
	prologue []byte
}

func derivePair(secret []byte, p psxPairing) pairKeys {
	const label = "meshpair sealed pairing 1"
	root, err := hkdf.Extract(sha256.New, secret, []byte(label))
	if err != nil {
		panic(err)
	}
	about := "\x00" + p.Code + "\x00" + p.Hash
	return pairKeys{sealKeys{psk: expand32(root, "psk"+about), gate: expand32(root, "gate"+about)}, []byte(label + about)}
}

func expand32(key []byte, info string) []byte {
	b, err := hkdf.Expand(sha256.New, key, info, 32)
	if err != nil {
		panic(err)
	}
	return b
}

// begin begins a handshake (SEC-42); e is drawn where it is nil.
func (k pairKeys) begin(initiator bool, s, e *ecdh.PrivateKey) *noise {
	return newNoise("Noise_XXpsk3_25519_AESGCM_SHA256", initiator, k.prologue, k.psk, s, e)
}

// The labels of roads (SEC-43).
const labelRelay = "relay"

func labelChannel(offer uint64) string {
	return "channel\x00" + string(binary.BigEndian.AppendUint64(nil, offer))
}

// A lane is one direction of a road (SEC-43): the key, and how many messages went.
type lane struct {
	key []byte
	n   uint64
}

// newLanes returns those of the two ends from the keys of a handshake that is over.
func newLanes(n *noise, label string) (initiator, responder *lane) {
	return &lane{key: expand32(n.firstSecond[0], label)}, &lane{key: expand32(n.firstSecond[1], label)}
}

func (l *lane) seal(message []byte) []byte {
	l.n++
	return epochKey(l.key, l.n-1).Seal(nil, nonce(l.n-1), message, nil)
}

func (l *lane) open(sealed []byte) ([]byte, error) {
	b, err := epochKey(l.key, l.n).Open(nil, nonce(l.n), sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("message %d of this road, %.20x… of %d bytes, does not open: %w", l.n, sealed, len(sealed), err)
	}
	l.n++
	return b, nil
}

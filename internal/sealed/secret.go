package sealed

import (
	"crypto/hkdf"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
)

const secretPrefix = "mpsecret"

// A Secret is what the members of a sealed group share: 32 random bytes (SEC-1). It is never shown by accident: only
// Text tells it.
type Secret [32]byte

// NewSecret draws a secret; a nil rand is that of crypto/rand.
func NewSecret(rand io.Reader) (Secret, error) {
	b, err := draw(rand)
	return Secret(b), err
}

// ParseSecret reads the text form of a secret, in small or capital letters, with white space around it or not. Its
// errors are an [ErrText], and do not repeat the text (SEC-2).
func ParseSecret(text string) (Secret, error) {
	b, err := decodeText(secretPrefix, "a secret", text)
	return Secret(b), err
}

// Text returns the text form, of 67 characters (SEC-2).
func (s Secret) Text() string { return encodeText(secretPrefix, s) }

const hidden = "(secret)"

// String does not tell the secret; nor do GoString and LogValue.
func (Secret) String() string       { return hidden }
func (Secret) GoString() string     { return hidden }
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

func draw(rand io.Reader) ([32]byte, error) {
	if rand == nil {
		rand = crand.Reader
	}
	var b [32]byte
	_, err := io.ReadFull(rand, b[:])
	return b, err
}

// Labels of the key schedule (SEC-3).
const (
	labelRoot = "meshpair sealed group 1"
	labelRoom = "room"
	labelPSK  = "psk"
	labelGate = "gate"
)

// Keys are what a group derives from its secret and its key (SEC-3).
type Keys struct {
	secret Secret
	key    string
	room   [32]byte
	psk    [32]byte // of the handshake
	gate   [32]byte // by which a handshake begins
}

// Derive returns the keys of a group. The key is in the form in which it would stand in a URL (SIG-1), so that what
// is one group unsealed is one sealed.
func Derive(secret Secret, key string) *Keys {
	root, err := hkdf.Extract(sha256.New, secret[:], []byte(labelRoot))
	if err != nil {
		panic(err) // only of a FIPS mode that forbids what is no secret of 14 bytes
	}
	k := &Keys{secret: secret, key: key}
	for _, d := range []struct {
		out   *[32]byte
		label string
	}{{&k.room, labelRoom}, {&k.psk, labelPSK}, {&k.gate, labelGate}} {
		b, err := hkdf.Expand(sha256.New, root, d.label+"\x00"+key, len(d.out))
		if err != nil {
			panic(err) // more than 255 blocks: it is one
		}
		copy(d.out[:], b)
	}
	return k
}

// Shared returns what the keys were derived from: what a bot is told that is invited (SEC-20).
func (k *Keys) Shared() (secret Secret, key string) { return k.secret, k.key }

// Room returns the name by which the signaling server knows the group: 64 hexadecimal digits (SEC-4).
func (k *Keys) Room() string { return hex.EncodeToString(k.room[:]) }

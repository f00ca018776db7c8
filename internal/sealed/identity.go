package sealed

import (
	"crypto/ecdh"
	"io"
)

const (
	identityPrefix = "mpid"
	privatePrefix  = "mpidsecret"
)

// An Identity is the key pair by which a member is known to others (SEC-5).
type Identity struct {
	key    *ecdh.PrivateKey
	public Public
}

// A Public is an identity as others know it: the public key of X25519.
type Public [32]byte

// NewIdentity draws an identity; a nil rand is that of crypto/rand.
func NewIdentity(rand io.Reader) (*Identity, error) {
	b, err := draw(rand)
	if err != nil {
		return nil, err
	}
	return IdentityOf(b), nil
}

// IdentityOf returns the identity with a private key, of which any 32 bytes are one.
func IdentityOf(private [32]byte) *Identity {
	key, err := ecdh.X25519().NewPrivateKey(private[:])
	if err != nil {
		panic(err) // only the length could be wrong
	}
	return &Identity{key, Public(key.PublicKey().Bytes())}
}

// ParseIdentity reads the text form of [Identity.Text] (SEC-50); its errors are an [ErrText], and do not repeat the text.
func ParseIdentity(text string) (*Identity, error) {
	b, err := decodeText(privatePrefix, "an identity to keep", text)
	if err != nil {
		return nil, err
	}
	return IdentityOf(b), nil
}

// Text returns the text form of the private key, of 69 characters (SEC-50).
func (id *Identity) Text() string { return encodeText(privatePrefix, [32]byte(id.key.Bytes())) }

// Public returns what others know.
func (id *Identity) Public() Public { return id.public }

// String returns the text form, of 63 characters, as it stands in a bot's URL (SEC-6).
func (p Public) String() string { return encodeText(identityPrefix, p) }

// ParsePublic reads the text form (SEC-6); its errors are an [ErrText].
func ParsePublic(text string) (Public, error) {
	b, err := decodeText(identityPrefix, "an identity", text)
	return Public(b), err
}

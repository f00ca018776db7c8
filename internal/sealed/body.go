package sealed

import (
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"io"
)

// A BodyKey seals the parts of one message to all, once for all who get it (SEC-17). Each is given the key in what is
// sealed for it alone; whoever has left gets no later one.
type BodyKey [32]byte

// NewBodyKey draws the key of a message; a nil rand is that of crypto/rand.
func NewBodyKey(rand io.Reader) (BodyKey, error) {
	b, err := draw(rand)
	return BodyKey(b), err
}

// A Digest is the SHA-256 of a sealed part. The key alone would let those who have it pass on other bodies (SEC-18).
type Digest [32]byte

// A Body seals, or opens, the parts of one message.
type Body struct{ aead cipher.AEAD }

// NewBody returns that with a key.
func NewBody(key BodyKey) *Body { return &Body{newAEAD((*[keySize]byte)(&key))} }

// Seal appends the sealed form of a part, which is [Overhead] bytes longer, to b; nb counts the parts from 0. A part must
// not be sealed with another content later (SEC-17).
func (y *Body) Seal(b []byte, nb uint32, part []byte) ([]byte, Digest) {
	from := len(b)
	n := nonce(uint64(nb))
	b = y.aead.Seal(b, n[:], part, nil)
	return b, sha256.Sum256(b[from:])
}

// Open appends a part to b. It fails with ErrForged if it is not the one with this digest (SEC-18).
func (y *Body) Open(b []byte, nb uint32, digest Digest, sealed []byte) ([]byte, error) {
	sum := sha256.Sum256(sealed)
	if subtle.ConstantTimeCompare(sum[:], digest[:]) != 1 {
		return b, ErrForged
	}
	n := nonce(uint64(nb))
	opened, err := y.aead.Open(b, n[:], sealed, nil)
	if err != nil {
		return b, ErrForged
	}
	return opened, nil
}

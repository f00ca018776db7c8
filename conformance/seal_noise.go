package conformance

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// noisePatterns are the tokens of the messages of the two handshakes of chapter SEC, by their names (SEC-8, SEC-20).
var noisePatterns = map[string][3][]string{
	"Noise_XXpsk3_25519_AESGCM_SHA256": {{"e"}, {"e", "ee", "s", "es"}, {"s", "se", "psk"}},
	"Noise_XX_25519_AESGCM_SHA256":     {{"e"}, {"e", "ee", "s", "es"}, {"s", "se"}},
}

// A noise is one end of a handshake of the Noise Protocol Framework, revision 34.
type noise struct {
	pattern     [3][]string
	initiator   bool
	psk         []byte // nil without
	s, e        *ecdh.PrivateKey
	rs, re      *ecdh.PublicKey
	ck, h, k    []byte // k is nil as long as there is no key
	n           uint64
	message     int // the next one, from 0
	firstSecond [2][]byte
}

// newNoise begins a handshake; e is drawn where it is nil.
func newNoise(name string, initiator bool, prologue, psk []byte, s, e *ecdh.PrivateKey) *noise {
	if e == nil {
		e = newPrivate()
	}
	n := &noise{pattern: noisePatterns[name], initiator: initiator, psk: psk, s: s, e: e}
	n.h = make([]byte, sha256.Size)
	copy(n.h, name)
	n.ck = slices.Clone(n.h)
	n.mixHash(prologue)
	return n
}

func newPrivate() *ecdh.PrivateKey {
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

func (n *noise) mixHash(data []byte) {
	h := sha256.Sum256(slices.Concat(n.h, data))
	n.h = h[:]
}

// expand is HKDF of Noise, 4.3, which is that of RFC 5869 without info.
func (n *noise) expand(ikm []byte, outputs int) [][]byte {
	b, err := hkdf.Key(sha256.New, ikm, n.ck, "", outputs*32)
	if err != nil {
		panic(err)
	}
	return slices.Collect(slices.Chunk(b, 32))
}

func (n *noise) mixKey(ikm []byte) {
	out := n.expand(ikm, 2)
	n.ck, n.k, n.n = out[0], out[1], 0
}

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// nonce is four bytes 0, and eight of a number.
func nonce(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 4), n) }

// rekey is REKEY of Noise, 4.2.
func rekey(key []byte) []byte {
	return gcm(key).Seal(nil, nonce(math.MaxUint64), make([]byte, 32), nil)[:32]
}

func (n *noise) encrypt(plain []byte) []byte {
	b := plain
	if n.k != nil {
		b = gcm(n.k).Seal(nil, nonce(n.n), plain, n.h)
		n.n++
	}
	n.mixHash(b)
	return b
}

func (n *noise) decrypt(b []byte) ([]byte, error) {
	plain := b
	if n.k != nil {
		var err error
		if plain, err = gcm(n.k).Open(nil, nonce(n.n), b, n.h); err != nil {
			return nil, err
		}
		n.n++
	}
	n.mixHash(b)
	return plain, nil
}

// secret does what a token says that is no key.
func (n *noise) secret(token string) error {
	if token == "psk" {
		out := n.expand(n.psk, 3)
		n.ck, n.k, n.n = out[0], out[2], 0
		n.mixHash(out[1])
		return nil
	}
	mine, other := n.e, n.re
	switch token {
	case "es": // the initiator's e and the responder's s
		if n.initiator {
			other = n.rs
		} else {
			mine = n.s
		}
	case "se":
		if n.initiator {
			mine = n.s
		} else {
			other = n.rs
		}
	}
	shared, err := mine.ECDH(other)
	if err != nil { // it is all 0
		return err
	}
	n.mixKey(shared)
	return nil
}

// write returns the next message.
func (n *noise) write(payload []byte) ([]byte, error) {
	var b []byte
	for _, token := range n.pattern[n.message] {
		switch token {
		case "e":
			b = append(b, n.e.PublicKey().Bytes()...)
			n.sawE(n.e.PublicKey().Bytes())
		case "s":
			b = append(b, n.encrypt(n.s.PublicKey().Bytes())...)
		default:
			if err := n.secret(token); err != nil {
				return nil, err
			}
		}
	}
	b = append(b, n.encrypt(payload)...)
	n.next()
	return b, nil
}

// sawE mixes an ephemeral key in, in a handshake with a psk into the key, too (Noise, 9.2).
func (n *noise) sawE(e []byte) {
	n.mixHash(e)
	if n.psk != nil {
		n.mixKey(e)
	}
}

// read takes the next message and returns its payload. After an error the handshake cannot go on.
func (n *noise) read(b []byte) (payload []byte, err error) {
	for _, token := range n.pattern[n.message] {
		switch {
		case token == "e" && len(b) >= 32:
			n.re, err = ecdh.X25519().NewPublicKey(b[:32])
			n.sawE(b[:32])
			b = b[32:]
		case token == "s" && len(b) >= 48:
			var s []byte
			if s, err = n.decrypt(b[:48]); err == nil {
				n.rs, err = ecdh.X25519().NewPublicKey(s)
			}
			b = b[48:]
		case token == "e" || token == "s":
			err = fmt.Errorf("only %d bytes are left", len(b))
		default:
			err = n.secret(token)
		}
		if err != nil {
			return nil, err
		}
	}
	if payload, err = n.decrypt(b); err == nil {
		n.next()
	}
	return payload, err
}

// next goes on to the next message; after the last one there are the keys from the initiator and from the responder.
func (n *noise) next() {
	if n.message++; n.message == len(n.pattern) {
		n.firstSecond = [2][]byte(n.expand(nil, 2))
	}
}

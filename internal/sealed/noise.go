package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// The handshakes Noise_XX and Noise_XXpsk3 with 25519, AESGCM and SHA256, by the names and in the steps of the Noise
// Protocol Framework, revision 34.

const (
	nameXX     = "Noise_XX_25519_AESGCM_SHA256"
	nameXXpsk3 = "Noise_XXpsk3_25519_AESGCM_SHA256"

	keySize = 32 // also of a public key, and of a hash
	tagSize = 16
)

// newAEAD returns the cipher for a key.
func newAEAD(key *[keySize]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only the length could be wrong
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// nonce returns the nonce of AESGCM for a number: four bytes 0, and eight of the number, the highest first.
func nonce(n uint64) [12]byte {
	var b [12]byte
	binary.BigEndian.PutUint64(b[4:], n)
	return b
}

// rekey is REKEY of Noise, 4.2.
func rekey(key *[keySize]byte) [keySize]byte {
	n := nonce(math.MaxUint64)
	var zeros [keySize]byte
	return [keySize]byte(newAEAD(key).Seal(nil, n[:], zeros[:], nil)[:keySize])
}

// A symmetricState is that of Noise, 5.2, with its CipherState.
type symmetricState struct {
	ck, h  [keySize]byte
	key    [keySize]byte
	hasKey bool
	n      uint64
}

func newSymmetric(name string) *symmetricState {
	s := new(symmetricState)
	copy(s.h[:], name) // both names have 32 bytes at most; longer ones would be hashed
	s.ck = s.h
	return s
}

func (s *symmetricState) mixHash(data []byte) {
	h := sha256.New()
	h.Write(s.h[:])
	h.Write(data)
	h.Sum(s.h[:0])
}

// hkdf returns n times 32 bytes; Noise's HKDF is that of RFC 5869 with the chaining key as salt and without info.
func (s *symmetricState) hkdf(ikm []byte, n int) []byte {
	b, err := hkdf.Key(sha256.New, ikm, s.ck[:], "", n*keySize)
	if err != nil {
		panic(err) // more than 255 blocks: at most three are asked for
	}
	return b
}

func (s *symmetricState) mixKey(ikm []byte) {
	b := s.hkdf(ikm, 2)
	s.ck, s.key = [keySize]byte(b), [keySize]byte(b[keySize:])
	s.hasKey, s.n = true, 0
}

func (s *symmetricState) mixKeyAndHash(ikm []byte) {
	b := s.hkdf(ikm, 3)
	s.ck, s.key = [keySize]byte(b), [keySize]byte(b[2*keySize:])
	s.mixHash(b[keySize : 2*keySize])
	s.hasKey, s.n = true, 0
}

// encrypt appends what data is on the wire to b.
func (s *symmetricState) encrypt(b, data []byte) []byte {
	from := len(b)
	if s.hasKey {
		n := nonce(s.n)
		s.n++
		b = newAEAD(&s.key).Seal(b, n[:], data, s.h[:])
	} else {
		b = append(b, data...)
	}
	s.mixHash(b[from:])
	return b
}

// decrypt returns what data from the wire stands for.
func (s *symmetricState) decrypt(data []byte) ([]byte, error) {
	plain := data
	if s.hasKey {
		n := nonce(s.n)
		var err error
		if plain, err = newAEAD(&s.key).Open(nil, n[:], data, s.h[:]); err != nil {
			return nil, ErrHandshake
		}
		s.n++
	}
	s.mixHash(data)
	return plain, nil
}

// split returns the keys from the initiator and from the responder.
func (s *symmetricState) split() (first, second [keySize]byte) {
	b := s.hkdf(nil, 2)
	return [keySize]byte(b), [keySize]byte(b[keySize:])
}

// A noise is the HandshakeState of one end. Its three messages are written and read in turn.
type noise struct {
	*symmetricState
	initiator bool
	psk       *[keySize]byte // nil: Noise_XX
	s, e      *ecdh.PrivateKey
	rs, re    *ecdh.PublicKey
}

func newNoise(initiator bool, prologue []byte, psk *[keySize]byte, s, e *ecdh.PrivateKey) *noise {
	name := nameXX
	if psk != nil {
		name = nameXXpsk3
	}
	n := &noise{newSymmetric(name), initiator, psk, s, e, nil, nil}
	n.mixHash(prologue)
	return n
}

// erase overwrites the keys and lets go of those that the library has (SEC-10).
func (n *noise) erase() {
	clear(n.ck[:])
	clear(n.key[:])
	n.psk, n.e = nil, nil
}

// writeE is the token "e", which in a handshake with a psk sets a key, too (Noise, 9.2).
func (n *noise) writeE(b []byte) []byte {
	e := n.e.PublicKey().Bytes()
	n.sawE(e)
	return append(b, e...)
}

func (n *noise) sawE(e []byte) {
	n.mixHash(e)
	if n.psk != nil {
		n.mixKey(e)
	}
}

func (n *noise) readE(b []byte) (rest []byte, err error) {
	if len(b) < keySize {
		return nil, ErrHandshake
	}
	if n.re, err = ecdh.X25519().NewPublicKey(b[:keySize]); err != nil {
		return nil, ErrHandshake
	}
	n.sawE(b[:keySize])
	return b[keySize:], nil
}

func (n *noise) writeS(b []byte) []byte { return n.encrypt(b, n.s.PublicKey().Bytes()) }

func (n *noise) readS(b []byte) (rest []byte, err error) {
	if len(b) < keySize+tagSize {
		return nil, ErrHandshake
	}
	s, err := n.decrypt(b[:keySize+tagSize])
	if err != nil {
		return nil, err
	}
	if n.rs, err = ecdh.X25519().NewPublicKey(s); err != nil {
		return nil, ErrHandshake
	}
	return b[keySize+tagSize:], nil
}

// dh mixes a shared key in. It fails if the other end's key is one of the few with which every result is 0.
func (n *noise) dh(private *ecdh.PrivateKey, public *ecdh.PublicKey) error {
	shared, err := private.ECDH(public)
	if err != nil {
		return ErrHandshake
	}
	n.mixKey(shared)
	return nil
}

// es and se are of the initiator's e and the responder's s, and the other way round.
func (n *noise) es() error {
	if n.initiator {
		return n.dh(n.e, n.rs)
	}
	return n.dh(n.s, n.re)
}

func (n *noise) se() error {
	if n.initiator {
		return n.dh(n.s, n.re)
	}
	return n.dh(n.e, n.rs)
}

// write1 is "-> e".
func (n *noise) write1(payload []byte) []byte { return n.encrypt(n.writeE(nil), payload) }

func (n *noise) read1(b []byte) ([]byte, error) {
	rest, err := n.readE(b)
	if err != nil {
		return nil, err
	}
	return n.decrypt(rest)
}

// write2 is "<- e, ee, s, es".
func (n *noise) write2(payload []byte) ([]byte, error) {
	b := n.writeE(nil)
	if err := n.dh(n.e, n.re); err != nil {
		return nil, err
	}
	b = n.writeS(b)
	if err := n.es(); err != nil {
		return nil, err
	}
	return n.encrypt(b, payload), nil
}

func (n *noise) read2(b []byte) ([]byte, error) {
	rest, err := n.readE(b)
	if err == nil {
		err = n.dh(n.e, n.re)
	}
	if err == nil {
		rest, err = n.readS(rest)
	}
	if err == nil {
		err = n.es()
	}
	if err != nil {
		return nil, err
	}
	return n.decrypt(rest)
}

// write3 is "-> s, se", and psk if there is one.
func (n *noise) write3(payload []byte) ([]byte, error) {
	b := n.writeS(nil)
	if err := n.se(); err != nil {
		return nil, err
	}
	if n.psk != nil {
		n.mixKeyAndHash(n.psk[:])
	}
	return n.encrypt(b, payload), nil
}

func (n *noise) read3(b []byte) ([]byte, error) {
	rest, err := n.readS(b)
	if err == nil {
		err = n.se()
	}
	if err != nil {
		return nil, err
	}
	if n.psk != nil {
		n.mixKeyAndHash(n.psk[:])
	}
	return n.decrypt(rest)
}

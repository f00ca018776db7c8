package sealed

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"log/slog"
)

const pairingPrefix = "mppair"

// A PairingSecret is what the two clients of a sealed pairing share: 16 random bytes (SEC-40). It is never shown by
// accident: only Text tells it.
type PairingSecret [16]byte

// NewPairingSecret draws a secret; a nil rand is that of crypto/rand.
func NewPairingSecret(rand io.Reader) (PairingSecret, error) {
	b, err := draw(rand)
	return PairingSecret(b[:16]), err
}

// ParsePairingSecret reads the text form, in small or capital letters, with white space around it or not. Its errors are
// an [ErrText], and do not repeat the text (SEC-2, SEC-40).
func ParsePairingSecret(text string) (s PairingSecret, err error) {
	err = decodeInto(s[:], pairingPrefix, "the secret of a pairing", text)
	return s, err
}

// Text returns the text form, of 39 characters (SEC-40).
func (s PairingSecret) Text() string { return encodeBytes(pairingPrefix, s[:]) }

// String does not tell the secret; nor do GoString and LogValue.
func (PairingSecret) String() string       { return hidden }
func (PairingSecret) GoString() string     { return hidden }
func (PairingSecret) LogValue() slog.Value { return slog.StringValue(hidden) }

// Labels of the key schedule of pairings (SEC-41, SEC-43).
const (
	labelPairing = "meshpair sealed pairing 1"
	labelRelay   = "relay"
	labelChannel = "channel"
)

// A Pairing is one end of a sealed pairing for one connection: what both derive, and keys of its own, drawn before (SEC-42).
// It is good for one handshake, in which it is the initiator, by Initiate and Finish, or the responder, by Respond and
// Complete. What fails ends it.
type Pairing struct {
	keys     Keys
	prologue []byte
	s, e     *Identity
	noise    *noise
}

// NewPairing returns an end of the pairing with a code and a hash; a nil rand is that of crypto/rand, and it fails only if
// that does.
func NewPairing(secret PairingSecret, code, hash string, rand io.Reader) (*Pairing, error) {
	root, err := hkdf.Extract(sha256.New, secret[:], []byte(labelPairing))
	if err != nil {
		return nil, err // of a FIPS mode alone
	}
	context := "\x00" + code + "\x00" + hash
	p := &Pairing{prologue: []byte(labelPairing + context)}
	p.keys.psk = expand(root, labelPSK+context)
	p.keys.gate = expand(root, labelGate+context)
	if p.s, err = NewIdentity(rand); err != nil {
		return nil, err
	}
	p.e, err = NewIdentity(rand)
	return p, err
}

// expand is HKDF-Expand to 32 bytes.
func expand(key []byte, info string) [32]byte {
	b, err := hkdf.Expand(sha256.New, key, info, 32)
	if err != nil {
		panic(err) // more than 255 blocks: it is one
	}
	return [32]byte(b)
}

func (p *Pairing) begin(initiator bool) {
	p.noise = newNoise(initiator, p.prologue, &p.keys.psk, p.s.key, p.e.key)
}

// Initiate begins the handshake and returns its first message.
func (p *Pairing) Initiate() []byte {
	p.begin(true)
	return p.noise.write1(p.keys.proof(p.noise.e.PublicKey()))
}

// Respond answers the first message by the second, which carries hello. It fails with ErrHandshake if it is no such message,
// and with ErrSecret if it does not come from somebody who has the secret, for this pairing, or was altered (SEC-9).
func (p *Pairing) Respond(message1, hello []byte) (message2 []byte, err error) {
	if len(message1) != keySize+sha256.Size+tagSize {
		return nil, ErrHandshake
	}
	p.begin(false)
	proof, err := p.noise.read1(message1)
	if err != nil || !hmac.Equal(proof, p.keys.proof(p.noise.re)) {
		return nil, ErrSecret
	}
	proof = p.keys.proof(p.noise.re, p.noise.e.PublicKey())
	return p.noise.write2(append(proof, hello...))
}

// Finish takes the second message and returns the third, which carries hello, the responder's hello, and the roads. It
// fails with ErrHandshake, or with ErrSecret if the other end does not have the secret (SEC-9).
func (p *Pairing) Finish(message2, hello []byte) (message3, theirs []byte, r *Roads, err error) {
	payload, err := p.noise.read2(message2)
	switch {
	case err != nil || len(payload) < sha256.Size:
		return nil, nil, nil, ErrHandshake
	case !hmac.Equal(payload[:sha256.Size], p.keys.proof(p.noise.e.PublicKey(), p.noise.re)):
		return nil, nil, nil, ErrSecret
	}
	if message3, err = p.noise.write3(hello); err != nil {
		return nil, nil, nil, err
	}
	return message3, payload[sha256.Size:], p.roads(), nil
}

// Complete takes the third message and returns the initiator's hello and the roads. It fails with ErrHandshake.
func (p *Pairing) Complete(message3 []byte) (theirs []byte, r *Roads, err error) {
	if theirs, err = p.noise.read3(message3); err != nil {
		return nil, nil, ErrHandshake
	}
	return theirs, p.roads(), nil
}

func (p *Pairing) roads() *Roads {
	r := new(Roads)
	r.send, r.receive = p.noise.split()
	if !p.noise.initiator {
		r.send, r.receive = r.receive, r.send
	}
	p.Erase()
	return r
}

// Erase ends a handshake that is over or given up: it overwrites its keys and lets go of all else (SEC-10, SEC-42). Nothing
// else may be called then.
func (p *Pairing) Erase() {
	if p.noise != nil {
		p.noise.erase()
	}
	*p = Pairing{}
}

// Roads are what a handshake of a pairing leads to: the keys of all connections that follow (SEC-43).
type Roads struct{ send, receive [keySize]byte }

// Relay returns that of the WebSocket; it is to be asked for once, as two would seal by the same key.
func (r *Roads) Relay() *Road { return r.road(labelRelay) }

// Channel returns that of the data channel for the n-th offer; it is to be asked for once for each n.
func (r *Roads) Channel(n uint64) *Road {
	return r.road(labelChannel + "\x00" + string(binary.BigEndian.AppendUint64(nil, n)))
}

func (r *Roads) road(info string) *Road {
	return &Road{newLane(expand(r.send[:], info)), newLane(expand(r.receive[:], info))}
}

// Erase overwrites the keys: there is to be no other road (SEC-10).
func (r *Roads) Erase() { *r = Roads{} }

// A Road seals what goes over a connection that keeps the order of messages, and opens what comes (SEC-43, SEC-44).
type Road struct{ out, in lane }

// Seal appends the sealed form of a message, which is [Overhead] bytes longer, to b. It fails with ErrExhausted.
func (r *Road) Seal(b, message []byte) ([]byte, error) {
	if err := r.out.step(); err != nil {
		return b, err
	}
	return r.out.aead.Seal(b, r.out.nonce[:], message, nil), nil
}

// Open appends the message of the next sealed form to b. It fails with ErrForged if that is not what the other end sealed
// next for this road: it was altered, repeated, or something is missing. There is no going on then.
func (r *Road) Open(b, sealed []byte) ([]byte, error) {
	if err := r.in.step(); err != nil {
		return b, err
	}
	opened, err := r.in.aead.Open(b, r.in.nonce[:], sealed, nil)
	if err != nil {
		return b, ErrForged
	}
	return opened, nil
}

// Erase ends a road: it overwrites the keys and lets go of all else (SEC-10). Nothing can be sealed or opened then.
func (r *Road) Erase() { r.out, r.in = lane{next: MaxCounter}, lane{next: MaxCounter} }

// A lane is one direction of a road.
type lane struct {
	key   [keySize]byte
	aead  cipher.AEAD
	next  uint64
	nonce [12]byte // of the message under way
}

func newLane(key [keySize]byte) lane { return lane{key: key, aead: newAEAD(&key)} }

// step has the nonce and the key of the next message (SEC-14, SEC-43).
func (l *lane) step() error {
	if l.next >= MaxCounter {
		return ErrExhausted
	}
	if l.next > 0 && l.next%(1<<EpochBits) == 0 {
		l.key = rekey(&l.key)
		l.aead = newAEAD(&l.key)
	}
	l.nonce = nonce(l.next)
	l.next++
	return nil
}

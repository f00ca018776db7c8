package conformance

import (
	"bytes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
)

// serviceSealed is the service of sealed groups.
const serviceSealed = 7701

// bech32m is the text form of bytes (SEC-2, SEC-6).
func bech32m(prefix string, data []byte) string {
	var values []byte
	bits, n := 0, 0
	for _, b := range data {
		bits, n = bits<<8|int(b), n+8
		for ; n >= 5; n -= 5 {
			values = append(values, byte(bits>>(n-5)&31))
		}
	}
	if n > 0 {
		values = append(values, byte(bits<<(5-n)&31))
	}
	return bech32mDigits(prefix, values)
}

const bech32Digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// bech32mDigits is the text of digits of 5 bits.
func bech32mDigits(prefix string, values []byte) string {
	var all []byte
	for _, c := range []byte(prefix) {
		all = append(all, c>>5)
	}
	all = append(all, 0)
	for _, c := range []byte(prefix) {
		all = append(all, c&31)
	}
	sum := uint32(1)
	for _, v := range slices.Concat(all, values, make([]byte, 6)) {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(v)
		for i, g := range []uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	sum ^= 0x2bc830a3
	for i := range 6 {
		values = append(values, byte(sum>>(25-5*i)&31))
	}
	text := prefix + "1"
	for _, v := range values {
		text += bech32Digits[v : v+1]
	}
	return text
}

func identityText(p *ecdh.PublicKey) string { return bech32m("mpid", p.Bytes()) }

// sealKeys are what a secret and a key lead to (SEC-3).
type sealKeys struct{ room, psk, gate []byte }

func deriveKeys(secret []byte, key string) sealKeys {
	root, err := hkdf.Extract(sha256.New, secret, []byte("meshpair sealed group 1"))
	if err != nil {
		panic(err)
	}
	expand := func(what string) []byte {
		b, err := hkdf.Expand(sha256.New, root, what+"\x00"+key, 32)
		if err != nil {
			panic(err)
		}
		return b
	}
	return sealKeys{expand("room"), expand("psk"), expand("gate")}
}

// name is the room name (SEC-4).
func (k sealKeys) name() string { return hex.EncodeToString(k.room) }

// proof is that of SEC-9.
func (k sealKeys) proof(ephemeral ...*ecdh.PublicKey) []byte {
	m := hmac.New(sha256.New, k.gate)
	for _, e := range ephemeral {
		m.Write(e.Bytes())
	}
	return m.Sum(nil)
}

// begin begins a handshake (SEC-8); e is drawn where it is nil.
func (k sealKeys) begin(initiator bool, s, e *ecdh.PrivateKey) *noise {
	return newNoise("Noise_XXpsk3_25519_AESGCM_SHA256", initiator, slices.Concat([]byte("meshpair sealed group 1"), k.room), k.psk, s, e)
}

// handshakeMessage is a sealed.Message with a Handshake.
func handshakeMessage(step int, data []byte) []byte {
	return appendBytes(nil, 1, appendBytes(appendVarint(nil, 1, uint64(step)), 2, data))
}

// selfBytes is what an end says of itself: its id and index (SEC-11).
func selfBytes(id, index uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, id), index)
}

// A session is the suite's end of one with the peer under test (SEC-13).
type session struct {
	me, other    uint32 // member ids
	mine, theirs uint32 // indexes: of what comes, and of what goes
	peer         *ecdh.PublicKey
	in, out      []byte // keys

	mu   sync.Mutex
	next uint64 // counter of what is sealed next
}

// newSession is that of a handshake that is over.
func newSession(n *noise, me, mine uint32, theirs []byte) *session {
	t := &session{me: me, mine: mine, other: binary.BigEndian.Uint32(theirs), theirs: binary.BigEndian.Uint32(theirs[4:]), peer: n.rs}
	t.out, t.in = n.firstSecond[0], n.firstSecond[1]
	if !n.initiator {
		t.out, t.in = t.in, t.out
	}
	return t
}

// A sealedPart is a Sealed.
type sealedPart struct {
	index      uint32
	counter    uint64
	data, body []byte
}

func (p sealedPart) encode() []byte {
	b := appendVarint(appendVarint(nil, 1, uint64(p.index)), 2, p.counter)
	b = appendBytes(b, 3, p.data)
	if p.body != nil {
		b = appendBytes(b, 4, p.body)
	}
	return appendBytes(nil, 2, b)
}

// parseSealed has ok false for what has no Sealed.
func parseSealed(content []byte) (p sealedPart, ok bool) {
	fs, err := parse(content)
	if err != nil || !fs.has(2) {
		return p, false
	}
	fs = fs.sub(2)
	if c := fs.find(2); c != nil {
		p.counter = c.value
	}
	p.index, p.data, p.body = fs.uint(1), fs.bytes(3), fs.bytes(4)
	return p, true
}

// inner encodes an Inner.
func inner(service uint32, content []byte) []byte {
	return appendBytes(appendVarint(nil, 1, uint64(service)), 2, content)
}

// sealed seals an Inner under the next counter.
func (t *session) sealed(inner []byte) sealedPart {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	return t.sealedAs(t.next-1, inner)
}

// sealedAs seals an Inner under some counter.
func (t *session) sealedAs(counter uint64, inner []byte) sealedPart {
	return sealedPart{t.theirs, counter, epochKey(t.out, counter).Seal(nil, nonce(counter), inner, selfBytes(t.me, t.other)), nil}
}

// skip leaves counters out: the next one is n.
func (t *session) skip(n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = n
}

// epochKey is the key for a counter, renewed as often as SEC-14 says.
func epochKey(key []byte, counter uint64) cipher.AEAD {
	for range min(counter>>22, 8) {
		key = rekey(key)
	}
	return gcm(key)
}

// seal returns the content of a Message of service 7701.
func (t *session) seal(service uint32, content []byte) []byte {
	return t.sealed(inner(service, content)).encode()
}

// open opens what was sealed for this end, and the body if there is one (SEC-13, SEC-17, SEC-18).
func (t *session) open(p sealedPart) (fields, error) {
	if p.index != t.mine {
		return nil, fmt.Errorf("index %d in place of %d", p.index, t.mine)
	}
	b, err := epochKey(t.in, p.counter).Open(nil, nonce(p.counter), p.data, selfBytes(t.other, t.me))
	if err != nil {
		return nil, err
	}
	fs, err := parse(b)
	if err != nil || !fs.has(3) {
		return fs, err
	}
	user := mustParse(fs.bytes(2))
	nb := user.sub(4).uint(2)
	digest := sha256.Sum256(p.body)
	if !bytes.Equal(digest[:], fs.bytes(4)) || len(fs.bytes(3)) != 32 {
		return nil, fmt.Errorf("the body's digest is not %x, or its key is %x", fs.bytes(4), fs.bytes(3))
	}
	plain, err := openBody(fs.bytes(3), nb, p.body)
	if err != nil {
		return nil, err
	}
	if f := user.find(4); f != nil {
		c := f.bytes
		f.bytes = appendBytes(mustParse(c).without(4).encode(), 4, plain)
	} else {
		user = append(user.without(3), field{number: 3, bytes: plain})
	}
	fs.find(2).bytes = user.encode()
	return fs, nil
}

// openBody and sealBody are for a part of a message to all (SEC-17).
func openBody(key []byte, nb uint32, body []byte) ([]byte, error) {
	plain, err := gcm(key).Open([]byte{}, nonce(uint64(nb)), body, nil)
	return plain, err
}

func sealBody(key []byte, nb uint32, plain []byte) []byte {
	return gcm(key).Seal(nil, nonce(uint64(nb)), plain, nil)
}

// unseal returns the Message that another one of service 7701 stands for.
func (t *session) unseal(e envelope) (envelope, error) {
	p, ok := parseSealed(e.content)
	if e.service != serviceSealed || !ok {
		return e, fmt.Errorf("%v is not sealed", e)
	}
	fs, err := t.open(p)
	if err != nil {
		return e, err
	}
	return envelope{e.sender, e.recipient, fs.uint(1), fs.bytes(2)}, nil
}

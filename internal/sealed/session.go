package sealed

import (
	"crypto/cipher"
	"encoding/binary"
	"math"
)

// Limits of a session (SEC-14, SEC-15).
const (
	// EpochBits says how many messages are sealed by one key: 2^22.
	EpochBits = 22
	// MaxCounter is how many messages a session seals in one direction.
	MaxCounter = 1 << 48
	// Window is how many counters, up to the greatest that has come, are known apart; a message with a lower one is refused.
	Window = 4096
	// Overhead is by how many bytes a sealed message is longer.
	Overhead = tagSize
)

// A Session is what two members have after their handshake: a sequence of keys in each direction. What the one seals the
// other opens, in any order and each message once (SEC-12 to SEC-15).
type Session struct {
	self, peer Self
	public     Public
	binding    [32]byte
	send       sealer
	receive    opener
}

// Peer returns the other end's identity and member id.
func (s *Session) Peer() (Public, uint32) { return s.public, s.peer.ID }

// Indexes returns the index under which messages to this end come, and the one that messages to the other end carry
// (SEC-11).
func (s *Session) Indexes() (mine, theirs uint32) { return s.self.Index, s.peer.Index }

// Binding returns Noise's hash of the whole handshake: 32 bytes that both ends have and no other session has.
func (s *Session) Binding() [32]byte { return s.binding }

// Seal appends the sealed form of a message, which is [Overhead] bytes longer, to b, and returns the message's counter. It
// fails with ErrExhausted.
func (s *Session) Seal(b, message []byte) (uint64, []byte, error) { return s.send.seal(b, message) }

// Open appends the message of a sealed form to b. It fails with ErrReplay if a message with this counter was opened before or
// it is [Window] or more behind, and with ErrForged if it was not sealed so by the other end of this session. Of a message
// that it refuses it keeps nothing.
func (s *Session) Open(b []byte, counter uint64, sealed []byte) ([]byte, error) {
	return s.receive.open(b, counter, sealed)
}

// Erase ends a session: it overwrites the keys and lets go of all else (SEC-10). Nothing can be sealed or opened then.
func (s *Session) Erase() {
	s.send = sealer{next: MaxCounter}
	s.receive = opener{epoch: noEpoch}
	clear(s.binding[:])
}

// noEpoch is that of no counter, nor is the one after it.
const noEpoch = math.MaxUint64 - 1

// associated returns what is authenticated with each message of a direction (SEC-13).
func associated(from, to uint32) (ad [8]byte) {
	binary.BigEndian.PutUint32(ad[:], from)
	binary.BigEndian.PutUint32(ad[4:], to)
	return ad
}

// A sealer is the sending direction.
type sealer struct {
	key   [keySize]byte // of the epoch of next
	aead  cipher.AEAD
	next  uint64
	ad    [8]byte
	nonce [12]byte // here, or each message would have one allocated
}

func (s *sealer) init(key [keySize]byte, from, to uint32) {
	*s = sealer{key: key, aead: newAEAD(&key), ad: associated(from, to)}
}

func (s *sealer) seal(b, message []byte) (uint64, []byte, error) {
	n := s.next
	if n >= MaxCounter { // SEC-14
		return 0, b, ErrExhausted
	}
	if n > 0 && n%(1<<EpochBits) == 0 { // SEC-14
		s.key = rekey(&s.key)
		s.aead = newAEAD(&s.key)
	}
	s.next++
	s.nonce = nonce(n)
	return n, s.aead.Seal(b, s.nonce[:], message, s.ad[:]), nil
}

// An opener is the receiving direction.
type opener struct {
	key   [keySize]byte // of epoch
	epoch uint64
	aead  cipher.AEAD
	old   cipher.AEAD // of the epoch before; nil: there is none
	ad    [8]byte
	nonce [12]byte
	seen  window
}

func (o *opener) init(key [keySize]byte, from, to uint32) {
	*o = opener{key: key, aead: newAEAD(&key), ad: associated(from, to)}
}

func (o *opener) open(b []byte, counter uint64, sealed []byte) ([]byte, error) {
	if o.seen.has(counter) { // SEC-15
		return b, ErrReplay
	}
	var next [keySize]byte
	aead := o.aead
	epoch := counter >> EpochBits
	switch {
	case epoch == o.epoch:
	case epoch+1 == o.epoch && o.old != nil:
		aead = o.old
	case epoch == o.epoch+1: // if it opens, the sender has renewed its key
		next = rekey(&o.key)
		aead = newAEAD(&next)
	default:
		return b, ErrForged
	}
	o.nonce = nonce(counter)
	opened, err := aead.Open(b, o.nonce[:], sealed, o.ad[:])
	if err != nil {
		return b, ErrForged
	}
	if epoch > o.epoch {
		o.key, o.epoch, o.old, o.aead = next, epoch, o.aead, aead
	}
	o.seen.add(counter)
	return opened, nil
}

// A window knows which of the last counters have come.
type window struct {
	end  uint64 // above the greatest that has come
	bits [Window / 64]uint64
}

// has reports whether n has come, or is too old to tell.
func (w *window) has(n uint64) bool {
	if n >= w.end {
		return false
	}
	return w.end-n > Window || w.bits[n/64%(Window/64)]>>(n%64)&1 == 1
}

func (w *window) add(n uint64) {
	if n >= w.end {
		if n-w.end >= Window {
			clear(w.bits[:])
		} else {
			for ; w.end <= n; w.end++ { // those that are passed over have not come
				w.bits[w.end/64%(Window/64)] &^= 1 << (w.end % 64)
			}
		}
		w.end = n + 1
	}
	w.bits[n/64%(Window/64)] |= 1 << (n % 64)
}

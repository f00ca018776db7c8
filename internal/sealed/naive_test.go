package sealed

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

// A second, deliberately naive implementation of the key schedule: both ends at once, each step written out as it stands in
// the specifications, without a state, and HKDF out of HMAC by hand.

func naiveHMAC(key []byte, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

func naiveHash(parts ...[]byte) []byte {
	sum := sha256.Sum256(bytes.Join(parts, nil))
	return sum[:]
}

func naiveSeal(key []byte, n uint64, ad, data []byte) []byte {
	block, _ := aes.NewCipher(key)
	gcm, _ := cipher.NewGCM(block)
	return gcm.Seal(nil, binary.BigEndian.AppendUint64(make([]byte, 4), n), data, ad)
}

func naiveDH(private, public []byte) []byte {
	k, _ := ecdh.X25519().NewPrivateKey(private)
	p, _ := ecdh.X25519().NewPublicKey(public)
	shared, err := k.ECDH(p)
	if err != nil {
		panic(err)
	}
	return shared
}

func naivePublic(private []byte) []byte {
	k, _ := ecdh.X25519().NewPrivateKey(private)
	return k.PublicKey().Bytes()
}

// naiveGroup is SEC-3.
func naiveGroup(secret []byte, key string) (room, psk, gate []byte) {
	root := naiveHMAC([]byte("meshpair sealed group 1"), secret)
	one := []byte{1}
	return naiveHMAC(root, []byte("room\x00"+key), one), naiveHMAC(root, []byte("psk\x00"+key), one),
		naiveHMAC(root, []byte("gate\x00"+key), one)
}

// naiveHandshake is SEC-8 to SEC-11: s, e and hello are the private keys of initiator and responder, and what they say of
// themselves.
func naiveHandshake(secret []byte, key string, s, e, hello [2][]byte) (m [3][]byte, binding, first, second []byte) {
	room, psk, gate := naiveGroup(secret, key)
	S := [2][]byte{naivePublic(s[0]), naivePublic(s[1])}
	E := [2][]byte{naivePublic(e[0]), naivePublic(e[1])}

	name := []byte("Noise_XXpsk3_25519_AESGCM_SHA256")
	h := naiveHash(name, []byte("meshpair sealed group 1"), room)
	ck := name

	// -> e
	h = naiveHash(h, E[0])
	t := naiveHMAC(ck, E[0])
	ck = naiveHMAC(t, []byte{1})
	k := naiveHMAC(t, ck, []byte{2})
	c := naiveSeal(k, 0, h, naiveHMAC(gate, E[0]))
	h = naiveHash(h, c)
	m[0] = bytes.Join([][]byte{E[0], c}, nil)

	// <- e, ee, s, es
	h = naiveHash(h, E[1])
	t = naiveHMAC(ck, E[1])
	ck = naiveHMAC(t, []byte{1})
	t = naiveHMAC(ck, naiveDH(e[0], E[1]))
	ck = naiveHMAC(t, []byte{1})
	k = naiveHMAC(t, ck, []byte{2})
	cs := naiveSeal(k, 0, h, S[1])
	h = naiveHash(h, cs)
	t = naiveHMAC(ck, naiveDH(e[0], S[1]))
	ck = naiveHMAC(t, []byte{1})
	k = naiveHMAC(t, ck, []byte{2})
	c = naiveSeal(k, 0, h, append(naiveHMAC(gate, E[0], E[1]), hello[1]...))
	h = naiveHash(h, c)
	m[1] = bytes.Join([][]byte{E[1], cs, c}, nil)

	// -> s, se, psk
	cs = naiveSeal(k, 1, h, S[0])
	h = naiveHash(h, cs)
	t = naiveHMAC(ck, naiveDH(s[0], E[1]))
	ck = naiveHMAC(t, []byte{1})
	t = naiveHMAC(ck, psk)
	ck = naiveHMAC(t, []byte{1})
	h2 := naiveHMAC(t, ck, []byte{2})
	k = naiveHMAC(t, h2, []byte{3})
	h = naiveHash(h, h2)
	c = naiveSeal(k, 0, h, hello[0])
	h = naiveHash(h, c)
	m[2] = bytes.Join([][]byte{cs, c}, nil)

	t = naiveHMAC(ck)
	first = naiveHMAC(t, []byte{1})
	second = naiveHMAC(t, first, []byte{2})
	return m, h, first, second
}

// naiveMessage is SEC-13 and SEC-14.
func naiveMessage(key []byte, counter uint64, from, to uint32, data []byte) []byte {
	for range counter / 4194304 {
		key = naiveSeal(key, 1<<64-1, nil, make([]byte, 32))[:32]
	}
	ad := []byte{byte(from >> 24), byte(from >> 16), byte(from >> 8), byte(from), byte(to >> 24), byte(to >> 16), byte(to >> 8), byte(to)}
	return naiveSeal(key, counter, ad, data)
}

// TestNaive has both implementations do the same with random groups and members.
func TestNaive(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	bytes32 := func() (b [32]byte) { random.Read(b[:]); return b }
	for range 50 {
		secret, key := bytes32(), hex.EncodeToString(bytes.Repeat([]byte{byte(random.Uint64())}, int(1+random.Uint64()%256)))
		var s, e, hello [2][]byte
		var selves [2]Self
		for i := range 2 {
			a, b := bytes32(), bytes32()
			s[i], e[i] = a[:], b[:]
			selves[i] = Self{IdentityOf(a), uint32(random.Uint64()) | 1<<31, uint32(random.Uint64())}
			hello[i] = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, selves[i].ID), selves[i].Index)
		}
		want, binding, first, second := naiveHandshake(secret[:], key, s, e, hello)

		k := Derive(secret, key)
		i, m1, err := k.Initiate(selves[0], bytes.NewReader(e[0]))
		check(t, err)
		r, m2, err := k.Respond(selves[1], bytes.NewReader(e[1]), m1)
		check(t, err)
		is, m3, err := i.Finish(m2)
		check(t, err)
		rs, err := r.Complete(m3)
		check(t, err)
		for n, m := range [][]byte{m1, m2, m3} {
			equal(t, "a message of the handshake", m, want[n])
		}
		b := rs.Binding()
		equal(t, "binding", b[:], binding)
		for _, n := range []uint64{0, 1, 1<<EpochBits - 1} {
			is.send.next, rs.send.next = n, n
			_, got, err := is.Seal(nil, m1)
			check(t, err)
			equal(t, "sealed by the initiator", got, naiveMessage(first, n, selves[0].ID, selves[1].ID, m1))
			_, got, err = rs.Seal(nil, m2)
			check(t, err)
			equal(t, "sealed by the responder", got, naiveMessage(second, n, selves[1].ID, selves[0].ID, m2))
		}
		_, got, err := is.Seal(nil, m3) // the first of the next key
		check(t, err)
		equal(t, "sealed by the next key", got, naiveMessage(first, 1<<EpochBits, selves[0].ID, selves[1].ID, m3))
	}
}

package sealed

import (
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"io"
)

// labelInvitation is the prologue of the handshake by which a bot is given the secret (SEC-20).
const labelInvitation = "meshpair sealed invitation 1"

// helloSize is what an end says of itself in the handshake: its member id and its index, of four bytes each.
const helloSize = 8

// minID is the least member id (MSH-1).
const minID = 1 << 31

// A Self is what one end of a pair is: its identity, its member id, and the index by which the other end is to name the
// session (SEC-11).
type Self struct {
	Identity  *Identity
	ID, Index uint32
}

// A Handshake is one end of that of two members (SEC-8), which has sent a message and waits for the other end's:
//
//	initiator            responder
//	Initiate
//	      -- message 1 -->
//	                     Respond
//	      <-- message 2 --
//	Finish
//	      -- message 3 -->
//	                     Complete
//
// It is over after its last call that succeeded. What does not fit leaves it as it was, so that somebody who sends such things
// ends no handshake of others.
type Handshake struct {
	keys  *Keys
	noise *noise
	self  Self
	peer  Self // without its identity
}

// begin returns the state of one end, without an ephemeral key.
func (k *Keys) begin(initiator bool, self Self) *Handshake {
	prologue := append([]byte(labelRoot), k.room[:]...)
	return &Handshake{keys: k, noise: newNoise(initiator, prologue, &k.psk, self.Identity.key, nil), self: self}
}

// draw makes the ephemeral key.
func (h *Handshake) draw(rand io.Reader) error {
	e, err := NewIdentity(rand)
	if err == nil {
		h.noise.e = e.key
	}
	return err
}

// proof shows that who made the last of these ephemeral keys has the secret, before that one is told anything (SEC-9): in
// message 1 it is of the initiator's, in message 2 of both.
func (k *Keys) proof(ephemeral ...*ecdh.PublicKey) []byte {
	m := hmac.New(sha256.New, k.gate[:])
	for _, e := range ephemeral {
		m.Write(e.Bytes())
	}
	return m.Sum(nil)
}

// Initiate begins a handshake and returns its first message. It fails only if rand does; nil is that of crypto/rand.
func (k *Keys) Initiate(self Self, rand io.Reader) (*Handshake, []byte, error) {
	h := k.begin(true, self)
	if err := h.draw(rand); err != nil {
		return nil, nil, err
	}
	return h, h.noise.write1(k.proof(h.noise.e.PublicKey())), nil
}

// Respond answers the first message by the second. It fails with ErrHandshake if it is no such message, and with ErrSecret
// if it does not come from somebody who has the secret, or was altered; nothing is to be answered then.
func (k *Keys) Respond(self Self, rand io.Reader, message1 []byte) (*Handshake, []byte, error) {
	if len(message1) != keySize+sha256.Size+tagSize {
		return nil, nil, ErrHandshake
	}
	h := k.begin(false, self)
	proof, err := h.noise.read1(message1)
	if err != nil || !hmac.Equal(proof, k.proof(h.noise.re)) { // SEC-9
		return nil, nil, ErrSecret
	}
	if err := h.draw(rand); err != nil { // not before: a stranger has no more than its proof checked (SEC-29)
		return nil, nil, err
	}
	proof = k.proof(h.noise.re, h.noise.e.PublicKey())
	message2, err := h.noise.write2(append(proof, self.hello()...))
	return h, message2, err
}

func (s Self) hello() []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, s.ID), s.Index)
}

// try returns a copy of a handshake that a message can be read by.
func (h *Handshake) try() *Handshake {
	t, n, s := *h, *h.noise, *h.noise.symmetricState
	t.noise, n.symmetricState = &n, &s
	return &t
}

// heard notes what the other end says of itself (SEC-11).
func (h *Handshake) heard(hello []byte) error {
	if len(hello) != helloSize {
		return ErrHandshake
	}
	h.peer.ID, h.peer.Index = binary.BigEndian.Uint32(hello), binary.BigEndian.Uint32(hello[4:])
	if h.peer.ID < minID || h.peer.ID == h.self.ID {
		return ErrHandshake
	}
	return nil
}

// Finish takes the second message and returns the third, and the session, with which the initiator may seal at once. The
// third is not to be sent if [Session.Peer] is somebody with whom there is to be no session: it would tell that one who
// this end is. It fails with ErrHandshake, or with ErrSecret if the other end does not have the secret.
func (h *Handshake) Finish(message2 []byte) (*Session, []byte, error) {
	if h.noise.e == nil {
		return nil, nil, ErrHandshake // it is over
	}
	was := h
	h = h.try()
	payload, err := h.noise.read2(message2)
	switch {
	case err != nil || len(payload) < sha256.Size:
		return nil, nil, ErrHandshake
	case !hmac.Equal(payload[:sha256.Size], h.keys.proof(h.noise.e.PublicKey(), h.noise.re)): // SEC-9
		return nil, nil, ErrSecret
	}
	if err := h.heard(payload[sha256.Size:]); err != nil {
		return nil, nil, err
	}
	message3, err := h.noise.write3(h.self.hello())
	if err != nil {
		return nil, nil, err
	}
	was.Erase()
	*was = *h
	return h.session(), message3, nil
}

// Complete takes the third message and returns the session. It fails with ErrHandshake.
func (h *Handshake) Complete(message3 []byte) (*Session, error) {
	if h.noise.e == nil {
		return nil, ErrHandshake // it is over
	}
	was := h
	h = h.try()
	hello, err := h.noise.read3(message3)
	if err == nil {
		err = h.heard(hello)
	}
	if err != nil {
		return nil, ErrHandshake
	}
	was.Erase()
	*was = *h
	return h.session(), nil
}

// session returns what the handshake has led to.
func (h *Handshake) session() *Session {
	send, receive := h.noise.split()
	if !h.noise.initiator {
		send, receive = receive, send
	}
	s := &Session{self: h.self, peer: h.peer, public: Public(h.noise.rs.Bytes()), binding: h.noise.h}
	s.send.init(send, h.self.ID, h.peer.ID)
	s.receive.init(receive, h.peer.ID, h.self.ID)
	h.Erase()
	return s
}

// Erase ends a handshake that is over or given up: it overwrites its keys and lets go of all else (SEC-10).
func (h *Handshake) Erase() { h.noise.erase() }

// An Invitation is one end of the handshake by which a bot is given the secret (SEC-20): the inviter's, from [Invite] to
// Hand, or the bot's, from [Invited] to Accept.
type Invitation struct{ noise *noise }

func newInvitation(initiator bool, self *Identity, rand io.Reader) (*Invitation, error) {
	e, err := NewIdentity(rand)
	if err != nil {
		return nil, err
	}
	return &Invitation{newNoise(initiator, []byte(labelInvitation), nil, self.key, e.key)}, nil
}

// Invite begins to invite a bot.
func Invite(self *Identity, rand io.Reader) (*Invitation, []byte, error) {
	i, err := newInvitation(true, self, rand)
	if err != nil {
		return nil, nil, err
	}
	return i, i.noise.write1(nil), nil
}

// Invited answers the first message of an invitation by the second.
func Invited(self *Identity, rand io.Reader, message1 []byte) (*Invitation, []byte, error) {
	i, err := newInvitation(false, self, rand)
	if err != nil {
		return nil, nil, err
	}
	if payload, err := i.noise.read1(message1); err != nil || len(payload) > 0 {
		return nil, nil, ErrHandshake
	}
	message2, err := i.noise.write2(nil)
	return i, message2, err
}

// Hand takes the second message and returns the third, with the secret and the key, for the bot with this identity and no
// other: it fails with ErrIdentity if that is somebody else.
func (i *Invitation) Hand(message2 []byte, bot Public, secret Secret, key string) ([]byte, error) {
	if payload, err := i.noise.read2(message2); err != nil || len(payload) > 0 {
		return nil, ErrHandshake
	}
	defer i.Erase()
	if Public(i.noise.rs.Bytes()) != bot { // SEC-20
		return nil, ErrIdentity
	}
	return i.noise.write3(append(secret[:], key...))
}

// Accept takes the third message and returns what the bot is told, and who tells it.
func (i *Invitation) Accept(message3 []byte) (secret Secret, key string, from Public, err error) {
	defer i.Erase()
	payload, err := i.noise.read3(message3)
	if err != nil || len(payload) <= len(secret) {
		return secret, "", from, ErrHandshake
	}
	return Secret(payload[:len(secret)]), string(payload[len(secret):]), Public(i.noise.rs.Bytes()), nil
}

// Erase ends an invitation that is over or given up (SEC-10).
func (i *Invitation) Erase() { i.noise.erase() }

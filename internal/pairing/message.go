package pairing

import (
	"bytes"
	"encoding/json"
)

// Prefix begins each internal message: the character U+00A7, in UTF-8 (PSX-20).
const Prefix = "§"

// The names of internal messages, and the answers to a registration.
const (
	Register         = "client.register"
	PeerConnected    = "peer.connected"
	HandshakeSuccess = "HANDSHAKE_SUCCESS"
	HandshakeFailed  = "HANDSHAKE_FAILED"
)

// The forms of a pairing's parts (PSX-1).
const (
	CodeLen = 6  // decimal digits
	HashLen = 64 // hexadecimal digits
)

// Pairing is what two clients share.
type Pairing struct {
	Code string `json:"code"`
	Hash string `json:"hash"`
}

// Valid says whether both parts have the right form.
func (p Pairing) Valid() bool { return ValidCode(p.Code) && ValidHash(p.Hash) }

// ValidCode says whether s is 6 decimal digits.
func ValidCode(s string) bool {
	if len(s) != CodeLen {
		return false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// ValidHash says whether s is 64 hexadecimal digits, in lower case as they are made.
func ValidHash(s string) bool {
	if len(s) != HashLen {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// ParseRegister reads the message by which a client registers; false for any other (PSX-21). Data that are no pairing
// are the zero one, which is not valid (PSX-23).
func ParseRegister(message []byte) (Pairing, bool) {
	text, ok := bytes.CutPrefix(message, []byte(Prefix))
	if !ok {
		return Pairing{}, false
	}
	var m struct {
		Name string          `json:"name"`
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(text, &m) != nil || m.Name != Register {
		return Pairing{}, false
	}
	var p Pairing
	if json.Unmarshal(m.Data, &p) != nil {
		return Pairing{}, true
	}
	return p, true
}

// Connected returns the message that tells a client that its peer is there (PSX-25).
func Connected(initiator bool, p Pairing) []byte {
	type data struct {
		IsInitiator bool    `json:"isInitiator"`
		Pairing     Pairing `json:"pairing"`
	}
	b, err := json.Marshal(struct {
		Name string `json:"name"`
		Data data   `json:"data"`
	}{PeerConnected, data{initiator, p}})
	if err != nil {
		panic(err) // two strings and a bool
	}
	return append([]byte(Prefix), b...)
}

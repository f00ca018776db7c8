package peersox

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/meshpair/meshpair/internal/sealed"
)

// A Pairing is what two clients share: the code that one person tells the other, the hash by which the server knows them
// for as long as the pairing is valid, and the secret if the pairing is sealed.
type Pairing struct {
	Code string `json:"code"` // six digits
	Hash string `json:"hash"` // 64 hexadecimal digits; who knows it and the code can take either client's place

	// Secret seals the pairing: only a client with the same one gets anything from this one, and neither the server nor
	// who is on the way can read or change it. The server never gets it. A pairing without one is not sealed. (SEC-42)
	Secret Secret `json:"-"`
}

// Text is what one user tells the other for [Client.Pair]: the code and, of a sealed pairing, "-" and its secret, which make
// 46 characters. (SEC-40)
func (p Pairing) Text() string {
	if p.Secret == "" {
		return p.Code
	}
	return p.Code + "-" + string(p.Secret)
}

// Link is the same as a link to a page, or to a server: base, "/", the code and, of a sealed pairing, "#" and its secret. A
// browser does not send what stands behind the "#". (SEC-40)
func (p Pairing) Link(base string) string {
	link := strings.TrimSuffix(base, "/") + "/" + p.Code
	if p.Secret != "" {
		link += "#" + string(p.Secret)
	}
	return link
}

// ParseCode takes what one user told the other apart: a code of six digits, the form of [Pairing.Text], or that of
// [Pairing.Link]. The secret is "" if there is none, and the pairing not sealed. It fails with ErrSecretText if there is
// something that should be a secret and is none, a part of one for instance. What the code is worth only the server can
// tell. (SEC-40)
func ParseCode(text string) (code string, secret Secret, err error) {
	text = strings.TrimSpace(text)
	text = text[strings.LastIndexByte(text, '/')+1:]
	at := strings.IndexAny(text, "-#")
	if at < 0 {
		return text, "", nil
	}
	s, err := parseSecret(text[at+1:])
	if err != nil {
		return "", "", err
	}
	return text[:at], Secret(s.Text()), nil
}

// A Secret is what the two clients of a sealed pairing share, in its text form: 39 characters that begin with mppair1,
// with a checksum. [NewSecret] makes one; it is never made from something that a human remembers, and good for one pairing.
// It does not show itself when it is printed or logged: string(s) is the text. (SEC-40, SEC-48)
type Secret string

// NewSecret returns a new secret, which nobody guesses.
func NewSecret() Secret {
	s, err := sealed.NewPairingSecret(nil)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return Secret(s.Text())
}

// String does not tell the secret; nor do GoString and LogValue.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// GoString is as String.
func (s Secret) GoString() string { return s.String() }

// LogValue is as String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// ErrSecretText says that a text is no secret: a character was changed or lost, for instance. It does not repeat the text.
// (SEC-40)
var ErrSecretText = errors.New("peersox: not the secret of a pairing")

func parseSecret(text string) (sealed.PairingSecret, error) {
	s, err := sealed.ParsePairingSecret(text)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrSecretText, err)
	}
	return s, err
}

// seal returns this end of a sealed pairing for one connection, nil if it is not sealed.
func (p Pairing) seal() (*sealed.Pairing, error) {
	if p.Secret == "" {
		return nil, nil
	}
	s, err := parseSecret(string(p.Secret))
	if err != nil {
		return nil, err
	}
	return sealed.NewPairing(s, p.Code, p.Hash, nil)
}

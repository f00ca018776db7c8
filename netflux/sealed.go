package netflux

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/meshpair/meshpair/internal/mesh"
	"github.com/meshpair/meshpair/internal/sealed"
)

// A Secret is what the members of a sealed group share, in its text form: 67 characters that begin with mpsecret1, with a
// checksum (SEC-1, SEC-2). [NewSecret] makes one; it is never made from something that a human remembers. It does not show
// itself when it is printed or logged: string(s) is the text.
type Secret string

// NewSecret returns a new secret, which nobody guesses.
func NewSecret() Secret {
	s, err := sealed.NewSecret(nil)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return Secret(s.Text())
}

const hidden = "(secret)"

// String does not tell the secret; nor do GoString and LogValue.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return hidden
}

// GoString is as String.
func (s Secret) GoString() string { return s.String() }

// LogValue is as String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Errors of sealed groups alone.
var (
	// ErrSecretText says that Config.Secret is no secret: a character was changed or lost, for instance. It does not repeat
	// the text. (SEC-2)
	ErrSecretText = errors.New("netflux: Config.Secret is not a secret")

	// ErrIdentityText says that a text is no identity: a character was changed or lost, for instance. Of one to keep it does not
	// repeat the text. (SEC-6, SEC-50)
	ErrIdentityText = errors.New("netflux: not an identity")

	// ErrNotSealed says that Config.AllowIdentities is set and Config.Secret is not: nobody's identity could be checked.
	ErrNotSealed = errors.New("netflux: Config.AllowIdentities needs Config.Secret")

	// ErrNoIdentity says that [Group.Invite] was given a URL that does not end with # and the identity of a bot (SEC-20).
	ErrNoIdentity = mesh.ErrNoIdentity

	// Reasons for which a member is not connected to, or lost, or an invitation comes to nothing (SEC-28); see [ConnectFailed],
	// [MemberLeft] and [Group.Invite].
	ErrSecret    = mesh.ErrSecret    // the other end has not shown that it has the secret
	ErrIdentity  = mesh.ErrIdentity  // it has another identity than it had before, than others say, or than a URL says
	ErrNotListed = mesh.ErrNotListed // it is not in Config.AllowIdentities
	ErrUnsealed  = mesh.ErrUnsealed  // what came was not sealed
	ErrCutShort  = mesh.ErrCutShort  // the member left, and not all came that it had sent (SEC-34)
)

// keys returns those of the group with this key, in the form in which it stands in a URL; nil: it is not sealed (SEC-3).
func (c Config) keys(path string) (*sealed.Keys, error) {
	if _, err := c.allowed(); err != nil {
		return nil, err
	}
	if c.Secret == "" {
		if len(c.AllowIdentities) > 0 { // SEC-53
			return nil, ErrNotSealed
		}
		return nil, nil
	}
	secret, err := sealed.ParseSecret(string(c.Secret))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSecretText, err)
	}
	return sealed.Derive(secret, path), nil
}

// splitURL returns the URL of a bot without its fragment, and the identity that stands there; nil: there is none (SEC-6).
func splitURL(url string) (string, *sealed.Public, error) {
	base, text, found := strings.Cut(url, "#")
	if !found {
		return base, nil, nil
	}
	public, err := sealed.ParsePublic(text)
	if err != nil {
		return "", nil, fmt.Errorf("%w: after #: %w", ErrURL, err)
	}
	return base, &public, nil
}

// Identities returns the identities of the members of a sealed group by their ids, this one's among them, as texts of 63
// characters that begin with mpid1; nil for a group that is not sealed. Users who compare what their members show find out
// whether somebody stands between two of them (SEC-25).
func (g *Group) Identities() map[uint32]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := g.core.Identities()
	if known == nil {
		return nil
	}
	all := make(map[uint32]string, len(known))
	for id, public := range known {
		all[id] = public.String()
	}
	return all
}

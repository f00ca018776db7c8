package netflux

import (
	"fmt"
	"log/slog"

	"github.com/meshpair/meshpair/internal/sealed"
)

// An Identity is a key pair by which others recognise a member of sealed groups. A member without one to keep has a new one
// whenever it begins to join; a bot has one, which stands in its URL, and keeps it where it is to be invited by the same URL
// after it was started again. (SEC-5, SEC-6)
type Identity struct{ key *sealed.Identity }

// NewIdentity returns a new identity.
func NewIdentity() *Identity {
	id, err := sealed.NewIdentity(nil)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return &Identity{id}
}

// ParseIdentity reads the text that [Identity.Text] returned, with white space around it or not. It fails with
// ErrIdentityText, which does not repeat the text. (SEC-50)
func ParseIdentity(text string) (*Identity, error) {
	id, err := sealed.ParseIdentity(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIdentityText, err)
	}
	return &Identity{id}, nil
}

// Text returns the private form, 69 characters that begin with mpidsecret1, to be kept in a file that nobody else reads: who
// has it can pretend to be this member. (SEC-50)
func (id *Identity) Text() string { return id.key.Text() }

// Public returns the public form, 63 characters that begin with mpid1, by which others name the identity (SEC-6).
func (id *Identity) Public() string { return id.key.Public().String() }

// String is as Public, and so are GoString and LogValue: the private form is not told by accident.
func (id *Identity) String() string { return id.Public() }

// GoString is as Public.
func (id *Identity) GoString() string { return id.Public() }

// LogValue is as Public.
func (id *Identity) LogValue() slog.Value { return slog.StringValue(id.Public()) }

// allowed returns the identities that may be members; nil: all (SEC-26).
func (c Config) allowed() ([]sealed.Public, error) {
	var list []sealed.Public
	for _, text := range c.AllowIdentities {
		public, err := sealed.ParsePublic(text)
		if err != nil {
			return nil, fmt.Errorf("%w: Config.AllowIdentities: %w", ErrIdentityText, err)
		}
		list = append(list, public)
	}
	return list, nil
}

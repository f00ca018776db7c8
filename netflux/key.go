package netflux

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/meshpair/meshpair/internal/mesh"
)

const keyLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// NewKey returns a random key of 42 letters and digits, which nobody guesses (MSH-2).
func NewKey() string {
	key := make([]byte, 0, 42)
	var b [64]byte
	for {
		rand.Read(b[:]) // never fails
		for _, v := range b {
			if len(key) == cap(key) {
				return string(key)
			}
			if v := int(v) & 63; v < len(keyLetters) {
				key = append(key, keyLetters[v])
			}
		}
	}
}

// escapeKey returns the key in the form in which it stands in a URL, which is that of browsers, so that a key means the
// same group everywhere (SIG-1, SIG-2). It refuses keys of which browsers drop a part.
func escapeKey(key string) (string, error) {
	if key == "" {
		return "", fmt.Errorf("%w: it is empty", ErrKey)
	}
	var b strings.Builder
	for i := range len(key) {
		switch ch := key[i]; {
		case ch < ' ' || ch == 0x7f:
			return "", fmt.Errorf("%w: %.100q has a control character", ErrKey, key)
		case ch == '?' || ch == '#' || ch == '\\':
			return "", fmt.Errorf("%w: %.100q has a %c, which ends or changes a key in browsers", ErrKey, key, ch)
		case isEscaped(ch):
			fmt.Fprintf(&b, "%%%02X", ch)
		default:
			b.WriteByte(ch)
		}
	}
	escaped := b.String()
	if strings.HasSuffix(key, " ") {
		return "", fmt.Errorf("%w: %.100q ends with a space, which browsers drop", ErrKey, key)
	}
	for s := range strings.SplitSeq(escaped, "/") {
		switch strings.ReplaceAll(strings.ToLower(s), "%2e", ".") {
		case ".", "..":
			return "", fmt.Errorf("%w: %.100q has the path segment %q, which browsers drop", ErrKey, key, s)
		}
	}
	if len(escaped) > mesh.MaxKey {
		return "", fmt.Errorf("%w: it has %d bytes in its URL, of at most %d", ErrKey, len(escaped), mesh.MaxKey)
	}
	return escaped, nil
}

// isEscaped reports whether browsers write a byte of a key in percent form.
func isEscaped(ch byte) bool { return ch > 0x7f || strings.IndexByte(" \"<>^`{}", ch) >= 0 }

// unescapeKey returns a key for which escapeKey returns this: the one that a user has typed, if that had no percent form in it.
// It fails if there is none.
func unescapeKey(path string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if i+2 < len(path) && path[i] == '%' {
			if ch, err := strconv.ParseUint(path[i+1:i+3], 16, 8); err == nil && isEscaped(byte(ch)) {
				b.WriteByte(byte(ch))
				i += 2
				continue
			}
		}
		b.WriteByte(path[i])
	}
	for _, key := range []string{b.String(), path} {
		if again, err := escapeKey(key); err == nil && again == path && utf8.ValidString(key) {
			return key, nil
		}
	}
	return "", fmt.Errorf("%w: %.100q", ErrKey, path)
}

// signalingURL returns the URL for an escaped key.
func (c Config) signalingURL(escaped string) (string, error) {
	if c.SignalingURL == "" {
		return "", ErrNoSignaling
	}
	u, err := url.Parse(c.SignalingURL)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%w, not %q", ErrNoSignaling, c.SignalingURL)
	}
	if err := c.checkPlaintext(u); err != nil {
		return "", err
	}
	return strings.TrimSuffix(c.SignalingURL, "/") + "/" + escaped, nil
}

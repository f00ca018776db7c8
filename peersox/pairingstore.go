package peersox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A PairingStore keeps the pairing of a [Client], so that it need not be made anew. Its methods may be called by any
// number of goroutines at once.
type PairingStore interface {
	// Load returns the pairing, or ErrNoPairing if none is kept.
	Load() (Pairing, error)
	// Save keeps the pairing in place of what was kept before.
	Save(Pairing) error
	// Delete forgets the pairing; it is no error if none is kept.
	Delete() error
}

// A PairingFile keeps a pairing in a file of this name, which only the user may read: whoever knows a pairing can take
// its place. The file has mode 0600 and holds one line, CODE_HASH, which is also what the original keeps, or
// CODE_HASH_SECRET if the pairing is sealed, with a line feed at its end (SEC-49). With an empty name it is peersox/pairing in the user's folder for
// configuration (see [os.UserConfigDir]).
type PairingFile string

func (f PairingFile) path() (string, error) {
	if f != "" {
		return string(f), nil
	}
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "peersox", "pairing"), err
}

// Load implements [PairingStore]. What is no pairing counts as none.
func (f PairingFile) Load() (Pairing, error) {
	path, err := f.path()
	if err != nil {
		return Pairing{}, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Pairing{}, ErrNoPairing
	}
	if err != nil {
		return Pairing{}, err
	}
	p, ok := parseKept(string(b))
	if !ok {
		return Pairing{}, ErrNoPairing
	}
	return p, nil
}

// parseKept reads a file with a pairing. A sealed pairing from which the end was lost would else be one that is not sealed:
// hence the end of the line (SEC-49).
func parseKept(text string) (p Pairing, ok bool) {
	line, more, ended := strings.Cut(text, "\n")
	parts := strings.Split(strings.TrimSpace(line), "_")
	if !ended || strings.TrimSpace(more) != "" || len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" {
		return Pairing{}, false
	}
	p = Pairing{Code: parts[0], Hash: parts[1]}
	if len(parts) == 3 { // SEC-49: a damaged secret is no reason to go on without
		if _, err := parseSecret(parts[2]); err != nil {
			return Pairing{}, false
		}
		p.Secret = Secret(parts[2])
	}
	return p, true
}

// keptForm is the line that keeps a pairing (SEC-49).
func keptForm(p Pairing) string {
	line := p.Code + "_" + p.Hash
	if p.Secret != "" {
		line += "_" + string(p.Secret)
	}
	return line + "\n"
}

// Save implements [PairingStore]. The file is whole at any moment.
func (f PairingFile) Save(p Pairing) error {
	path, err := f.path()
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".pairing-*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.WriteString(keptForm(p))
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// Delete implements [PairingStore].
func (f PairingFile) Delete() error {
	path, err := f.path()
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/meshpair/meshpair/internal/cli"
	"github.com/meshpair/meshpair/netflux"
)

const secretHelp = `Usage: netflux secret

Prints a new secret. Members that are given it are in a sealed group: neither the signaling server
nor a member that passes messages on can read or change what they say. Who has the secret and the
key can be a member, so tell it nobody else. For example, in a file that only you can read:

  (umask 077; netflux secret >our-secret)
  netflux chat -key our-group -secret-file our-secret
`

func secretCommand(_ context.Context, e *cli.Env, args []string) error {
	if err := e.Parse(args, secretHelp); err != nil {
		return err
	}
	_, err := fmt.Fprintln(e.Stdout, string(netflux.NewSecret())) // SEC-1: who runs this asks for it
	return err
}

// maxKept is the longest file with a secret or an identity, in bytes: there is but one line in it.
const maxKept = 1 << 10

// A secretFlags is where a command has its secret from.
type secretFlags struct{ text, file string }

func (s *secretFlags) add(f *flag.FlagSet) {
	f.Func("secret", "`SECRET` of a sealed group, as netflux secret makes it; all members need the same.\nOthers on this machine can see it in the list of processes: -secret-file is better", filled(&s.text))
	f.Func("secret-file", "`FILE` with the secret; - reads it from the first line of the input", filled(&s.file))
}

// filled takes a flag that is not empty, as by a variable of the shell that is not set: the group would not be sealed (SEC-27).
func filled(to *string) func(string) error {
	return func(s string) error {
		if *to = s; strings.TrimSpace(s) == "" {
			return errors.New("it is empty, and the group would not be sealed")
		}
		return nil
	}
}

// read returns the secret, "" if there is none. stdin is where the first line is read from, byte by byte, so that the rest
// is still there.
func (s *secretFlags) read(stdin io.Reader) (netflux.Secret, error) {
	switch {
	case s.text != "" && s.file != "":
		return "", errors.New("-secret and -secret-file exclude each other")
	case s.file == "":
		return netflux.Secret(s.text), nil
	case s.file == "-":
		line, err := firstLine(stdin)
		return netflux.Secret(line), err
	}
	text, err := readKept(s.file)
	if err == nil && text == "" { // or the group would not be sealed
		err = fmt.Errorf("%s is empty", s.file)
	}
	return netflux.Secret(text), err
}

// firstLine reads a line that must not be empty.
func firstLine(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < maxKept; {
		n, err := r.Read(b)
		if n == 1 && b[0] != '\n' {
			line = append(line, b[0])
		} else if n == 1 || err != nil {
			break
		}
	}
	text := strings.TrimSpace(string(line))
	if text == "" {
		return "", errors.New("there is no secret in the first line of the input")
	}
	return text, nil
}

// readKept reads a file with one short line.
func readKept(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKept))
	return strings.TrimSpace(string(b)), err
}

// keptIdentity reads the identity in a file, or makes one and a file that only its owner can read (SEC-50).
func keptIdentity(path string) (*netflux.Identity, error) {
	text, err := readKept(path)
	switch {
	case err == nil:
		id, err := netflux.ParseIdentity(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return id, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	id := netflux.NewIdentity()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(f, id.Text())
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return id, nil
}

// A texts is a flag with texts, separated by commas or given again.
type texts []string

func (l *texts) String() string { return strings.Join(*l, ",") }

func (l *texts) Set(s string) error {
	*l = append(*l, strings.Split(s, ",")...)
	return nil
}

// allowUsage is what the flag -allow does.
const allowUsage = "`IDENTITY`, mpid1…, that may be a member of sealed groups, or several with commas between them;\nwith nobody else there is any contact, and with no group that is not sealed"

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/meshpair/meshpair/internal/cli"
	"github.com/meshpair/meshpair/peersox"
)

const receiveHelp = `Usage: peersox receive [flags] CODE

Fetches the file that another machine sends with "peersox send FILE", which prints the code. The file
keeps its name, and no file is ever overwritten: if there is one of that name, the new one gets a
number. It appears when all of it is there and its SHA-256 is right.

The CODE is six digits with a secret, such as 123456-mppair1…, or a link that ends so,
https://SERVER/123456#mppair1…, whose server is then asked unless -server names another one. The
transfer is sealed then. By six digits alone the server is trusted, and it is said so. With - the CODE
is read from standard input, where it is kept from other users of this machine.
`

func receiveCommand(ctx context.Context, e *cli.Env, args []string) error {
	to := connectionFlags(e)
	dir := e.Flags.String("dir", ".", "the `FOLDER` in which to put the file")
	text, err := e.ParseOne(args, "CODE", receiveHelp)
	if err != nil {
		return err
	}
	if text == "-" {
		line, err := cli.ReadLine(bufio.NewReader(e.Stdin), maxCode)
		if err != nil {
			return fmt.Errorf("no code on standard input: %w", err)
		}
		text = string(line)
	}
	_, secret, err := peersox.ParseCode(text) // SEC-40: before the server is asked anything
	if err != nil {
		return err
	}
	to.link(text)
	if info, err := os.Stat(*dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is no folder", *dir)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if secret == "" {
		fmt.Fprintf(e.Stderr, "Without a secret: %s.\n", trusting)
	}
	t := newTransfer(ctx, e, to, false)
	defer t.close()
	if _, err := t.client.Pair(ctx, text); err != nil {
		return to.explain(err)
	}
	path, err := t.receive(ctx, *dir)
	if err != nil {
		return t.explain(ctx, err)
	}
	fmt.Fprintf(e.Stdout, "%s\n", printable(path))
	return nil
}

// receive is the receiver's part. It returns the path of the file.
func (t *transfer) receive(ctx context.Context, dir string) (path string, err error) {
	if err := t.paired(ctx, answerTime); err != nil {
		return "", err
	}
	if err := t.tell(ctx, note{Ready: true}); err != nil {
		return "", err
	}
	n, err := t.note(ctx)
	if err != nil {
		return "", err
	}
	if n.Name == "" || n.Size < 0 {
		return "", errStranger
	}
	defer func() {
		if err != nil && ctx.Err() == nil {
			t.tell(ctx, note{Error: "the receiver cannot keep the file"})
		}
	}()
	tmp, err := os.CreateTemp(dir, ".peersox-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	t.show.begin(n.Name, n.Size)
	defer t.show.end()
	sum := sha256.New()
	if err := t.drain(ctx, io.MultiWriter(tmp, sum), n.Size); err != nil {
		return "", err
	}
	if err := t.verify(ctx, sum); err != nil {
		return "", err
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return "", err
	}
	if path, err = place(tmp.Name(), dir, safeName(n.Name)); err != nil {
		return "", err
	}
	return path, t.tell(ctx, note{Done: true})
}

// drain takes the bytes of the file.
func (t *transfer) drain(ctx context.Context, w io.Writer, size int64) error {
	for got := int64(0); got < size; {
		m, err := t.message(ctx, t.answer)
		if err != nil {
			return err
		}
		if m.Kind != peersox.Binary {
			_, err := parseNote(m)
			return errors.Join(errStranger, err)
		}
		if got += int64(len(m.Data)); got > size || len(m.Data) == 0 {
			return errStranger
		}
		if _, err := w.Write(m.Data); err != nil {
			return err
		}
		t.show.at(got)
	}
	return nil
}

var errSum = errors.New("what came is not what was sent: its SHA-256 is wrong")

// verify compares the checksums.
func (t *transfer) verify(ctx context.Context, sum hash.Hash) error {
	n, err := t.note(ctx)
	if err == nil && n.SHA256 != hex.EncodeToString(sum.Sum(nil)) {
		err = errSum
	}
	return err
}

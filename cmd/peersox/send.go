package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/meshpair/meshpair/internal/cli"
	"github.com/meshpair/meshpair/peersox"
)

const sendHelp = `Usage: peersox send [flags] FILE

Sends a file to another machine. It prints a line to be entered there, "peersox receive CODE-SECRET",
within two minutes. Both need a server that both reach ("peersox serve"); where the network lets
them, the bytes go from one to the other directly.

The transfer is sealed by the secret, which the server never gets: whoever runs it, or is on the way,
can neither read nor change the file, nor its name. Who has the whole line can take the file in the
receiver's place, so pass it on by a way that you trust. With -code-only there is a code of six
digits and no secret, short enough to be read aloud, and the server is trusted.
`

func sendCommand(ctx context.Context, e *cli.Env, args []string) error {
	to := connectionFlags(e)
	codeOnly := e.Flags.Bool("code-only", false, "make a code without a secret, and trust the server with the file")
	path, err := e.ParseOne(args, "FILE", sendHelp)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := newTransfer(ctx, e, to, !*codeOnly)
	t.sends = true
	defer t.close()
	p, err := t.client.InitPairing(ctx)
	if err != nil {
		return to.explain(err)
	}
	label := "On the other machine, enter all of this (sealed: the server cannot read the file):"
	if *codeOnly {
		label = fmt.Sprintf("The code is %s (%s). On the other machine:", p.Code, trusting)
	}
	fmt.Fprintf(e.Stdout, "%s\n\n  peersox receive%s %s\n\n", label, to.flags(), p.Text())
	if err := t.send(ctx, file, info.Name(), info.Size()); err != nil {
		return t.explain(ctx, err)
	}
	fmt.Fprintf(e.Stdout, "%s has arrived.\n", printable(info.Name()))
	return nil
}

// send is the sender's part.
func (t *transfer) send(ctx context.Context, file io.Reader, name string, size int64) error {
	if err := t.paired(ctx, codeTime); err != nil {
		return err
	}
	if n, err := t.note(ctx); err != nil {
		return err
	} else if !n.Ready {
		return errStranger
	}
	if err := t.tell(ctx, note{Name: name, Size: size}); err != nil {
		return err
	}
	t.show.begin(name, size)
	defer t.show.end()
	sum := sha256.New()
	if err := t.pour(ctx, io.TeeReader(io.LimitReader(file, size), sum), size); err != nil {
		return err
	}
	if err := t.tell(ctx, note{SHA256: hex.EncodeToString(sum.Sum(nil))}); err != nil {
		return err
	}
	n, err := t.note(ctx)
	if err == nil && !n.Done {
		err = errStranger
	}
	return err
}

// pour sends the bytes of the file. What the other end says meanwhile, or that it is gone, ends it.
func (t *transfer) pour(ctx context.Context, file io.Reader, size int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(watched)
		if n, err := t.watch(stop); err != nil {
			cancel(err)
		} else if n != nil {
			cancel(errStranger)
		}
	}()
	defer func() { close(stop); <-watched; cancel(nil) }()
	buf := make([]byte, chunkSize)
	for sent := int64(0); sent < size; {
		n, err := io.ReadFull(file, buf[:min(chunkSize, size-sent)])
		if err != nil {
			return fmt.Errorf("the file has become shorter: %w", err)
		}
		if err := t.client.Send(ctx, peersox.Binary, buf[:n]); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return err
		}
		sent += int64(n)
		t.show.at(sent)
	}
	return nil
}

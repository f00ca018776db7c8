// Peersox pairs two devices by a six-digit code, as a command: a demonstration, the sending of files, and a peer that other
// programs steer.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// A command is one of peersox's. Its run returns errUsage after it has printed why.
type command struct {
	name    string
	summary string
	level   slog.Level // of what is logged by default
	run     func(ctx context.Context, e *env, args []string) error
}

// An env is what a command has to do with.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	flags          *flag.FlagSet // of the command
	level          slog.LevelVar
}

var commands = []command{
	{"serve", "a pairing server", slog.LevelInfo, serveCommand},
	{"demo", "a server and two clients meet before your eyes; nothing else is needed", slog.LevelError, demoCommand},
	{"send", "sends a file to whoever has the code that it prints, sealed", slog.LevelError, sendCommand},
	{"receive", "fetches the file that another one sends", slog.LevelError, receiveCommand},
	{"peer", "a client that is steered by JSON lines on standard input", slog.LevelWarn, peerCommand},
}

// errUsage says that the arguments were wrong, and that the user has been told.
var errUsage = errors.New("usage")

// run is the command; it returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return 2
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		usage(stdout)
		return 0
	case "-version", "--version", "version":
		fmt.Fprintln(stdout, version())
		return 0
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.start(ctx, args[1:], stdin, stdout, stderr)
		}
	}
	fmt.Fprintf(stderr, "peersox: there is no command %q; peersox -h lists them\n", args[0])
	return 2
}

func (c command) start(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env{stdin: stdin, stdout: stdout, stderr: stderr, flags: flag.NewFlagSet("peersox "+c.name, flag.ContinueOnError)}
	e.level.Set(c.level)
	e.flags.SetOutput(stderr)
	e.flags.TextVar(&e.level, "log", &e.level, "least `LEVEL` of what is logged to standard error: debug, info, warn or error")
	err := c.run(ctx, e, args)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintf(stderr, "peersox %s: %v\n", c.name, err)
	return 1
}

// parse parses the arguments of a command that takes flags alone.
func (e *env) parse(args []string, help string) error {
	_, err := e.parseOne(args, "", help)
	return err
}

// parseOne parses flags and one argument of this name, or none if it is "".
func (e *env) parseOne(args []string, name, help string) (string, error) {
	e.flags.Usage = func() {
		if e.flags.Output() != e.stdout {
			fmt.Fprintf(e.stderr, "Run `%s -h` for the flags.\n", e.flags.Name())
			return
		}
		fmt.Fprint(e.stdout, help, "\nFlags:\n")
		e.flags.PrintDefaults()
	}
	for _, a := range args {
		if a == "-h" || a == "-help" || a == "--help" {
			e.flags.SetOutput(e.stdout)
		}
	}
	if err := e.flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return "", err
	} else if err != nil {
		return "", errUsage
	}
	want := 0
	if name != "" {
		want = 1
	}
	switch {
	case e.flags.NArg() < want:
		fmt.Fprintf(e.stderr, "%s: %s is missing; -h says more\n", e.flags.Name(), name)
		return "", errUsage
	case e.flags.NArg() > want:
		fmt.Fprintf(e.stderr, "%s: unexpected argument %q; -h lists the flags\n", e.flags.Name(), e.flags.Arg(want))
		return "", errUsage
	}
	return e.flags.Arg(0), nil
}

func (e *env) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: &e.level}))
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Usage: peersox COMMAND [flags]\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-8s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "  version  which version this is\n\npeersox COMMAND -h lists the flags of a command.\n")
}

func version() string {
	v := "unknown version"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v = info.Main.Version
	}
	return "peersox " + v
}

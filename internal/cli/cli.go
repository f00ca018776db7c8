// Package cli is what the programs of this module have in common: commands with flags and help, lines of input, and
// listening.
package cli

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

// A Program has commands, of which its first argument names one.
type Program struct {
	Name     string
	Commands []Command
}

// A Command is one of a program's.
type Command struct {
	Name    string
	Summary string     // in the program's help
	Level   slog.Level // of what is logged by default
	Run     func(ctx context.Context, e *Env, args []string) error
}

// An Env is what a command has to do with.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Flags          *flag.FlagSet // of the command; -log is one already

	level slog.LevelVar
}

// ErrUsage is what a command returns when its arguments are wrong and the user has been told.
var ErrUsage = errors.New("usage")

// Main runs a program as a process, which ends with the status that run returns. An interrupt or SIGTERM ends the context,
// a second one the process.
func Main(run func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Run runs the command that args name. It returns the exit status: 0; 1 after an error, which is printed; 2 if the
// arguments are wrong.
func (p *Program) Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		p.usage(stderr)
		return 2
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		p.usage(stdout)
		return 0
	case "-version", "--version", "version":
		fmt.Fprintln(stdout, Version(p.Name))
		return 0
	}
	for _, c := range p.Commands {
		if c.Name == args[0] {
			return p.start(ctx, c, args[1:], stdin, stdout, stderr)
		}
	}
	fmt.Fprintf(stderr, "%s: there is no command %q; %[1]s -h lists them\n", p.Name, args[0])
	return 2
}

func (p *Program) start(ctx context.Context, c Command, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	name := p.Name + " " + c.Name
	e := &Env{Stdin: stdin, Stdout: stdout, Stderr: stderr, Flags: flag.NewFlagSet(name, flag.ContinueOnError)}
	e.level.Set(c.Level)
	e.Flags.SetOutput(stderr)
	e.Flags.TextVar(&e.level, "log", &e.level, "least `LEVEL` of what is logged to standard error: debug, info, warn or error")
	err := c.Run(ctx, e, args)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, ErrUsage):
		return 2
	}
	fmt.Fprintf(stderr, "%s: %v\n", name, err)
	return 1
}

func (p *Program) usage(w io.Writer) {
	fmt.Fprintf(w, "Usage: %s COMMAND [flags]\n\nCommands:\n", p.Name)
	for _, c := range p.Commands {
		fmt.Fprintf(w, "  %-8s %s\n", c.Name, c.Summary)
	}
	fmt.Fprintf(w, "  version  which version this is\n\n%s COMMAND -h lists the flags of a command.\n", p.Name)
}

// Parse parses the arguments of a command that takes flags alone. Help is what -h prints before the flags. An error is
// ErrUsage or flag.ErrHelp.
func (e *Env) Parse(args []string, help string) error {
	_, err := e.ParseOne(args, "", help)
	return err
}

// ParseOne parses flags and one argument of this name, or none if it is "".
func (e *Env) ParseOne(args []string, name, help string) (string, error) {
	e.Flags.Usage = func() {
		if e.Flags.Output() != e.Stdout {
			fmt.Fprintf(e.Stderr, "Run `%s -h` for the flags.\n", e.Flags.Name())
			return
		}
		fmt.Fprint(e.Stdout, help, "\nFlags:\n")
		e.Flags.PrintDefaults()
	}
	for _, a := range args {
		if a == "-h" || a == "-help" || a == "--help" {
			e.Flags.SetOutput(e.Stdout) // help that was asked for is no complaint
		}
	}
	if err := e.Flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return "", err
	} else if err != nil {
		return "", ErrUsage
	}
	want := 0
	if name != "" {
		want = 1
	}
	switch {
	case e.Flags.NArg() < want:
		return "", e.Wrong("%s is missing; -h says more", name)
	case e.Flags.NArg() > want:
		return "", e.Wrong("unexpected argument %q; -h lists the flags", e.Flags.Arg(want))
	}
	return e.Flags.Arg(0), nil
}

// Wrong tells the user what is wrong with the arguments, and returns ErrUsage.
func (e *Env) Wrong(format string, args ...any) error {
	fmt.Fprintf(e.Stderr, "%s: %s\n", e.Flags.Name(), fmt.Sprintf(format, args...))
	return ErrUsage
}

// Logger logs to standard error what the flag -log asks for.
func (e *Env) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(e.Stderr, &slog.HandlerOptions{Level: &e.level}))
}

// Version is a program's name and the versions of this module and of Go in it.
func Version(name string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return name + " (unknown version)"
	}
	return name + " " + info.Main.Version + " (" + info.GoVersion + ")"
}

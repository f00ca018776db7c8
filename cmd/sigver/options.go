package main

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/meshpair/meshpair/sigver"
)

var (
	errUsage   = errors.New("help was asked for")
	errVersion = errors.New("the version was asked for")
)

// options are what the command line says.
type options struct {
	host, port    string
	key, cert, ca string
	level         slog.Level
	config        sigver.Config
	flags         *flag.FlagSet
}

// parse reads the command line. Of a bad one it tells on stderr.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{flags: flag.NewFlagSet("sigver", flag.ContinueOnError), level: slog.LevelInfo}
	f := o.flags
	f.SetOutput(stderr)
	f.Usage = func() { fmt.Fprintln(stderr, "Run `sigver -help` for the flags.") }
	both(f, &o.host, "h", "host", "0.0.0.0", "`address` to listen on")
	both(f, &o.port, "p", "port", "8000", "`port` to listen on; 0 lets the system choose")
	both(f, &o.key, "k", "key", "", "PEM `file` with the private key of the certificate")
	both(f, &o.cert, "c", "cert", "", "PEM `file` with the certificate; with -key it turns on TLS (1.2 or later)")
	both(f, &o.ca, "a", "ca", "", "PEM `file` with intermediate certificates, sent along with the certificate")
	c := &o.config
	f.IntVar(&c.MaxMessageSize, "max-message", sigver.DefaultMaxMessageSize, "most `bytes` of a peer's message")
	f.IntVar(&c.MaxGroups, "max-groups", sigver.DefaultMaxGroups, "most `groups` at one time")
	f.IntVar(&c.MaxGroupPeers, "max-group-peers", sigver.DefaultMaxGroupPeers, "most `peers` connected with one key")
	f.IntVar(&c.MaxPerAddr, "max-per-addr", 0, "most `connections` from one address (IPv6: one /64); 0 for no limit, as behind a proxy")
	f.DurationVar(&c.FirstMessageTimeout, "first-message", 0, "`time`, such as 5s, that a peer may take to its first message; 0: the heartbeats' 15s")
	f.IntVar(&c.SendQueueSize, "max-queue", sigver.DefaultSendQueueSize, "most `bytes` that wait for a peer that reads slowly")
	f.DurationVar(&c.WriteTimeout, "write-timeout", sigver.DefaultWriteTimeout, "`time` that writing a message to a peer may take")
	f.Var((*level)(&o.level), "log", "least `level` to log: debug, info, warn or error")
	var version bool
	f.BoolVar(&version, "V", false, "")
	f.BoolVar(&version, "version", false, "print the version")
	if asksHelp(args) {
		return o, errUsage
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if version {
		return o, errVersion
	}
	return o, o.check(stderr)
}

// A level is a slog.Level as a flag.
type level slog.Level

func (l *level) String() string { return strings.ToLower(slog.Level(*l).String()) }

func (l *level) Set(s string) error {
	switch s {
	case "debug", "info", "warn", "error":
		return (*slog.Level)(l).UnmarshalText([]byte(s))
	}
	return errors.New("want debug, info, warn or error")
}

// both defines a text flag under its short and its long name.
func both(f *flag.FlagSet, p *string, short, long, value, text string) {
	f.StringVar(p, short, value, "")
	f.StringVar(p, long, value, text)
}

// asksHelp reports whether help is wanted: by -help, or by -h, which takes an
// address, without one.
func asksHelp(args []string) bool {
	for i, a := range args {
		switch a {
		case "--":
			return false
		case "-help", "--help":
			return true
		case "-h", "--h":
			if i+1 == len(args) || strings.HasPrefix(args[i+1], "-") {
				return true
			}
		}
	}
	return false
}

func (o *options) check(stderr io.Writer) error {
	problem := o.problem()
	if problem == "" {
		return nil
	}
	fmt.Fprintln(stderr, "sigver:", problem)
	o.flags.Usage()
	return errors.New(problem)
}

// problem says what is wrong with the flags, "" for nothing.
func (o *options) problem() string {
	if port, err := strconv.ParseUint(o.port, 10, 16); err != nil || o.port != strconv.FormatUint(port, 10) {
		return fmt.Sprintf("-port %q is not a number from 0 to 65535", o.port)
	}
	switch {
	case o.flags.NArg() > 0:
		return fmt.Sprintf("unknown argument %q", o.flags.Arg(0))
	case (o.key == "") != (o.cert == ""):
		return "TLS needs both -key and -cert"
	case o.ca != "" && o.cert == "":
		return "-ca goes with -key and -cert"
	}
	return o.limits()
}

// limits says what is wrong with the limits, "" for nothing.
func (o *options) limits() string {
	c := &o.config
	for _, limit := range []struct {
		name         string
		value, least int
	}{
		{"max-message", c.MaxMessageSize, 1},
		{"max-groups", c.MaxGroups, 1},
		{"max-group-peers", c.MaxGroupPeers, 1},
		{"max-per-addr", c.MaxPerAddr, 0},
		{"max-queue", c.SendQueueSize, 1},
	} {
		if limit.value < limit.least {
			return fmt.Sprintf("-%s must be at least %d", limit.name, limit.least)
		}
	}
	switch {
	case c.FirstMessageTimeout < 0:
		return "-first-message must not be negative"
	case c.WriteTimeout <= 0:
		return "-write-timeout must be greater than 0"
	}
	return ""
}

// usage prints the help: each flag once, a short name beside its long one.
func usage(w io.Writer, f *flag.FlagSet) {
	fmt.Fprint(w, `Usage: sigver [flags]

Signaling server for Netflux groups: peers that want to be in one group find each
other at ws://HOST:PORT/KEY and exchange through it what they need to connect.

Flags:
`)
	short := map[string]string{"host": "h", "port": "p", "key": "k", "cert": "c", "ca": "a", "version": "V"}
	f.VisitAll(func(fl *flag.Flag) {
		if fl.Usage == "" {
			return
		}
		value, text := flag.UnquoteUsage(fl)
		name := "-" + fl.Name
		if s := short[fl.Name]; s != "" {
			name = "-" + s + ", " + name
		}
		if fl.DefValue != "" && fl.DefValue != "0" && fl.DefValue != "0s" && fl.DefValue != "false" {
			text += " (default " + fl.DefValue + ")"
		}
		fmt.Fprintf(w, "  %s\n    \t%s\n", strings.TrimSpace(name+" "+value), text)
	})
	fmt.Fprint(w, `  -help
    	print this; -h alone does so too

Examples:
  sigver                                    # ws://0.0.0.0:8000
  sigver -h 192.168.0.1 -p 80               # ws://192.168.0.1:80
  sigver -key k.pem -cert c.pem -port 443   # wss://0.0.0.0:443

It prints "listening on URL" when it accepts connections, logs to standard error,
and on SIGTERM or SIGINT closes all connections and exits with status 0.
`)
}

// loadTLS makes a TLS configuration of PEM files.
func loadTLS(certFile, keyFile, caFile string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("-cert and -key: %w", err)
	}
	if caFile != "" {
		data, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("-ca: %w", err)
		}
		before := len(cert.Certificate)
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" {
				cert.Certificate = append(cert.Certificate, block.Bytes)
			}
		}
		if len(cert.Certificate) == before {
			return nil, fmt.Errorf("-ca: no certificate in %s", caFile)
		}
	}
	return &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
	}, nil
}

// Sigver is a signaling server for Netflux groups, as a command. It takes the
// flags of the original, the npm package sigver, and more for its limits.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/meshpair/meshpair/sigver"
)

// drainTimeout is how long peers may take to answer the closing handshake after
// SIGTERM or SIGINT.
const drainTimeout = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command; it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args, stderr)
	switch {
	case errors.Is(err, errUsage):
		usage(stdout, opts.flags)
		return 0
	case errors.Is(err, errVersion):
		fmt.Fprintln(stdout, version())
		return 0
	case err != nil:
		return 2
	}
	opts.config.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: opts.level}))
	if err := serve(ctx, opts, stdout); err != nil {
		fmt.Fprintln(stderr, "sigver:", err)
		return 1
	}
	return 0
}

// serve runs the server until ctx ends.
func serve(ctx context.Context, opts *options, stdout io.Writer) error {
	scheme := "ws"
	var tlsConfig *tls.Config
	if opts.cert != "" {
		var err error
		if tlsConfig, err = loadTLS(opts.cert, opts.key, opts.ca); err != nil {
			return err
		}
		scheme = "wss"
	}
	network := "tcp"
	if ip, err := netip.ParseAddr(opts.host); err == nil && ip.Is4() {
		network = "tcp4" // else 0.0.0.0 would listen, and be printed, as [::]
	}
	l, err := net.Listen(network, net.JoinHostPort(opts.host, opts.port))
	if err != nil {
		return fmt.Errorf("%w; choose another address by -host and -port", err)
	}
	fmt.Fprintf(stdout, "listening on %s://%s\n", scheme, l.Addr())
	if tlsConfig != nil {
		l = tls.NewListener(l, tlsConfig)
	} else if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() { // SEC-32
		opts.config.Logger.Warn("peers reach this server without TLS, unless a proxy does it; -cert and -key turn it on", "address", a)
	}
	if least := min(opts.config.MaxMessageSize, opts.config.SendQueueSize); least < sigver.DefaultMaxMessageSize {
		// SIG-42 asks for more, but a limit is the operator's to set.
		opts.config.Logger.Warn("messages of less than 64 KiB are refused, which clients may need", "limit", least)
	}
	server := sigver.New(opts.config)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	opts.config.Logger.Info("closing all connections", "peers", server.Stats().Peers)
	drain, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		opts.config.Logger.Warn("some peers did not answer the closing handshake")
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

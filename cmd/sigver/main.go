// Sigver is a signaling server for Netflux groups, as a command. It takes the
// flags of the original, the npm package sigver, and more for its limits.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/meshpair/meshpair/internal/cli"
	"github.com/meshpair/meshpair/sigver"
)

// drainTimeout is how long peers may take to answer the closing handshake after
// SIGTERM or SIGINT.
const drainTimeout = 5 * time.Second

func main() { cli.Main(run) }

// run is the command; it returns the exit status.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	opts, err := parse(args, stderr)
	switch {
	case errors.Is(err, errUsage):
		usage(stdout, opts.flags)
		return 0
	case errors.Is(err, errVersion):
		fmt.Fprintln(stdout, cli.Version("sigver"))
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
	where := cli.Listening{Host: opts.host, Port: opts.port, Scheme: "ws"}
	if opts.cert != "" {
		var err error
		if where.TLS, err = loadTLS(opts.cert, opts.key, opts.ca); err != nil {
			return err
		}
	}
	l, err := where.Listen(stdout, opts.config.Logger)
	if err != nil {
		return err
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

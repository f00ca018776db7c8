package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/meshpair/meshpair/internal/cli"
	"github.com/meshpair/meshpair/peersox"
	"github.com/meshpair/meshpair/peersox/redisstore"
)

const (
	// drainTimeout is how long requests and clients may take to end after SIGTERM or SIGINT.
	drainTimeout = 5 * time.Second
	// redisTimeout is how long Redis may take to answer at the start.
	redisTimeout = 5 * time.Second
)

// Limits on what a stranger may send before its WebSocket is open, and on how long it may keep a connection without.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	idleTimeout       = time.Minute
	maxHeaderBytes    = 16 << 10
)

// serveCommand is `peersox serve`.
func serveCommand(ctx context.Context, e *cli.Env, args []string) error {
	o, err := parseServe(e, args)
	if err != nil {
		return err
	}
	o.config.Logger = e.Logger()
	return serve(ctx, o, e.Stdout)
}

// serve runs the server until ctx ends.
func serve(ctx context.Context, o *serveOptions, stdout io.Writer) error {
	where := cli.Listening{Host: o.host, Port: o.port, Scheme: "http"}
	if o.cert != "" {
		cert, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return fmt.Errorf("-cert and -key: %w", err)
		}
		where.TLS = &tls.Config{
			Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		}
	}
	if o.redis != "" {
		opening, cancel := context.WithTimeout(ctx, redisTimeout)
		defer cancel()
		store, err := redisstore.Open(opening, o.redis, o.prefix)
		if err != nil {
			return fmt.Errorf("-redis: %w", err)
		}
		defer store.Close()
		o.config.Store, o.config.Counter = store, store
		if o.socket {
			o.config.Relay = store
		}
	}
	l, err := where.Listen(stdout, o.config.Logger)
	if err != nil {
		return err
	}
	return serveOn(ctx, l, o)
}

func serveOn(ctx context.Context, l net.Listener, o *serveOptions) error {
	server := peersox.NewServer(o.config)
	h := &http.Server{
		Handler:           parts(server, o),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(o.config.Logger.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),
	}
	h.Protocols.SetHTTP1(true) // a WebSocket needs that
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(l) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	o.config.Logger.Info("closing all connections", "clients", server.Stats().Clients)
	drain, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if h.Shutdown(drain) != nil {
		h.Close()
	}
	if server.Shutdown(drain) != nil {
		o.config.Logger.Warn("some clients did not answer the closing handshake")
	}
	return err
}

// parts returns what of the server is to be served.
func parts(server *peersox.Server, o *serveOptions) http.Handler {
	if o.api && o.socket {
		return server
	}
	mux := http.NewServeMux()
	if o.api {
		mux.Handle("/api/", server.API())
	}
	if o.socket {
		mux.Handle("/ws", server.Socket())
	}
	return mux
}

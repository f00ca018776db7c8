package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/meshpair/meshpair/internal/cli"
	"github.com/meshpair/meshpair/peersox"
	"github.com/meshpair/meshpair/peersox/redisstore"
)

// serveOptions are what the command line of `peersox serve` says.
type serveOptions struct {
	host, port    string
	cert, key     string
	redis, prefix string
	ice           string
	api, socket   bool
	config        peersox.ServerConfig
}

const serveHelp = `Usage: peersox serve [flags]

Pairing server: its REST API is at URL/api, its WebSocket service at URL/ws. It
prints "listening on URL" when it accepts connections, logs to standard error, and
on SIGTERM or SIGINT closes all connections and exits with status 0.

Examples:
  peersox serve                                     # http://0.0.0.0:3000, in memory
  peersox serve -origin https://app.example         # pages of one other site
  peersox serve -redis redis://127.0.0.1:6379       # one process of several
  peersox serve -redis redis://127.0.0.1:6379 -socket=false   # the REST API alone
`

// parseServe reads the command line. Of a bad one it has told when it returns.
func parseServe(e *cli.Env, args []string) (*serveOptions, error) {
	o := &serveOptions{}
	f := e.Flags
	c := &o.config
	f.StringVar(&o.host, "host", "0.0.0.0", "`address` to listen on")
	f.StringVar(&o.port, "port", "3000", "`port` to listen on; 0 lets the system choose")
	f.StringVar(&o.cert, "cert", "", "PEM `file` with the certificate chain; with -key it turns on TLS (1.2 or later)")
	f.StringVar(&o.key, "key", "", "PEM `file` with the private key of the certificate")
	f.StringVar(&o.redis, "redis", "", "`URL` of a Redis server that several processes share; without it all is in memory")
	f.StringVar(&o.prefix, "redis-prefix", redisstore.DefaultPrefix, "`text` that all keys in Redis begin with")
	f.StringVar(&o.ice, "ice", "[]", "`JSON` array of ICE servers that clients are to use: [{\"urls\":[…],\"username\",\"credential\"}]")
	f.BoolVar(&o.api, "api", true, "serve the REST API")
	f.BoolVar(&o.socket, "socket", true, "serve the WebSocket service")
	f.Func("origin", "`origin` that pages may have beside the server's own, such as https://app.example; may be repeated; without it any", o.addOrigin)
	f.BoolVar(&c.TrustProxy, "trust-proxy", false, "take clients' addresses from the last entry of X-Forwarded-For: only behind a proxy that adds it")
	f.BoolVar(&c.NoGuessLimit, "no-guess-limit", false, "do not limit wrong codes")
	f.IntVar(&c.Guesses.Free, "free-guesses", peersox.DefaultFreeGuesses, "wrong codes of one address before it has to wait")
	f.IntVar(&c.Makes.Codes, "max-codes", peersox.DefaultMaxCodes, "codes made for one address while one of them lives; -1 for any number")
	f.IntVar(&c.Makes.CodesDaily, "max-codes-daily", peersox.DefaultMaxCodesDaily, "codes made for one address in a day; -1 for any number")
	f.IntVar(&c.Makes.Tokens, "max-tokens", peersox.DefaultMaxTokens, "tokens made for one address while one of them lives; -1 for any number")
	f.IntVar(&c.Guesses.Total, "total-guesses", peersox.DefaultTotalGuesses, "wrong codes of all addresses while a code lives; -1 for any number")
	f.DurationVar(&c.CodeLife, "code-life", peersox.DefaultCodeLife, "`time` that a code waits to be used")
	f.DurationVar(&c.TokenLife, "token-life", peersox.DefaultTokenLife, "`time` between a token and its use")
	f.DurationVar(&c.PairingLife, "pairing-life", peersox.DefaultPairingLife, "`time` that a pairing can be used again")
	f.IntVar(&c.MaxMessage, "max-message", peersox.DefaultMaxMessage, "most `bytes` of a client's message")
	f.IntVar(&c.MaxClients, "max-clients", peersox.DefaultMaxClients, "most WebSocket `clients` at one time")
	f.IntVar(&c.SendQueue, "max-queue", peersox.DefaultSendQueue, "most `bytes` that wait for a client that reads slowly, before its peer is slowed")
	if err := e.Parse(args, serveHelp); err != nil {
		return nil, err
	}
	if problem := o.problem(); problem != "" {
		return nil, e.Wrong("%s; -h lists the flags", problem)
	}
	return o, nil
}

func (o *serveOptions) addOrigin(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return errors.New("want scheme://host[:port]")
	}
	o.config.Origins = append(o.config.Origins, u.Scheme+"://"+u.Host)
	return nil
}

// problem says what is wrong with the flags, "" for nothing. It takes over those that need more than a variable.
func (o *serveOptions) problem() string {
	c := &o.config
	var servers []map[string]any
	switch {
	case json.Unmarshal([]byte(o.ice), &servers) != nil || servers == nil:
		return "-ice is not a JSON array of objects"
	case (o.key == "") != (o.cert == ""):
		return "TLS needs both -key and -cert"
	case !o.api && !o.socket:
		return "with -api=false and -socket=false nothing is left to serve"
	case (!o.api || !o.socket) && o.redis == "":
		return "one part alone needs -redis: in memory the other part's codes and tokens are unknown to it"
	case c.Guesses.Free < 1:
		return "-free-guesses must be at least 1"
	case min(c.Makes.Codes, c.Makes.CodesDaily, c.Makes.Tokens) < -1 || c.Makes.Codes == 0 || c.Makes.CodesDaily == 0 || c.Makes.Tokens == 0:
		return "-max-codes, -max-codes-daily and -max-tokens must be at least 1, or -1"
	case c.Guesses.Total < -1 || c.Guesses.Total == 0:
		return "-total-guesses must be at least 1, or -1"
	case min(c.MaxMessage, c.MaxClients, c.SendQueue) < 1:
		return "-max-message, -max-clients and -max-queue must be at least 1"
	case min(c.CodeLife, c.TokenLife, c.PairingLife) <= 0:
		return "-code-life, -token-life and -pairing-life must be greater than 0"
	}
	if port, err := strconv.ParseUint(o.port, 10, 16); err != nil || o.port != strconv.FormatUint(port, 10) {
		return fmt.Sprintf("-port %q is not a number from 0 to 65535", o.port)
	}
	b, err := json.Marshal(map[string]any{"iceServers": servers})
	if err != nil {
		return "-ice: " + err.Error()
	}
	c.ClientConfig = b
	return ""
}

package cli

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
)

// A Listening says where a server listens, and how.
type Listening struct {
	Host, Port string
	Scheme     string      // of the URL without TLS, such as ws; with TLS an s is added
	TLS        *tls.Config // nil: without
}

// Listen opens the port, prints `listening on URL` with the port that it got, and warns where strangers are reached without
// TLS (SEC-32).
func (l Listening) Listen(stdout io.Writer, log *slog.Logger) (net.Listener, error) {
	network := "tcp"
	if ip, err := netip.ParseAddr(l.Host); err == nil && ip.Is4() {
		network = "tcp4" // else 0.0.0.0 would listen, and be printed, as [::]
	}
	listener, err := net.Listen(network, net.JoinHostPort(l.Host, l.Port))
	if err != nil {
		return nil, fmt.Errorf("%w; choose another address by -host and -port", err)
	}
	if l.TLS != nil {
		fmt.Fprintf(stdout, "listening on %ss://%s\n", l.Scheme, listener.Addr())
		return tls.NewListener(listener, l.TLS), nil
	}
	fmt.Fprintf(stdout, "listening on %s://%s\n", l.Scheme, listener.Addr())
	if a, ok := listener.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		log.Warn("others reach this server without TLS, unless a proxy does it; -cert and -key turn it on", "address", a)
	}
	return listener, nil
}

package ws

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Abort unblocks Read, Write and Close, and the peer sees a reset.
func TestAbort(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		c, p := tcpPair(t, r, Config{})
		read, written := make(chan error), make(chan error)
		go func() { read <- readToEnd(c, nil) }()
		go func() {
			var err error
			for err == nil {
				err = c.Write(Binary, make([]byte, 1<<20))
			}
			written <- err
		}()
		c.Abort()
		if err := <-read; err != ErrClosed {
			t.Errorf("Read: %v, want ErrClosed", err)
		}
		if err := <-written; err != ErrClosed {
			t.Errorf("Write: %v, want ErrClosed", err)
		}
		if err := c.Close(1000, ""); err != ErrClosed {
			t.Errorf("Close: %v, want ErrClosed", err)
		}
		if _, err := io.Copy(io.Discard, p.br); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the peer got %v, want a reset", err)
		}
		c.Abort()
		if !errors.Is(ErrClosed, net.ErrClosed) {
			t.Error("ErrClosed is not net.ErrClosed")
		}
	})
}

// Abort does not wait for a writer that is blocked inside TLS.
func TestAbortTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS() // for its certificate
	defer server.Close()
	ours, theirs := loopback(t)
	secured := tls.Server(ours, &tls.Config{Certificates: server.TLS.Certificates})
	c, p := join(t, asServer, Config{}, secured, tls.Client(theirs, &tls.Config{InsecureSkipVerify: true}))
	written := make(chan error)
	go func() {
		var err error
		for err == nil {
			err = c.Write(Binary, make([]byte, 1<<20))
		}
		written <- err
	}()
	p.br.ReadByte()
	c.Abort()
	if err := <-written; err != ErrClosed {
		t.Errorf("Write: %v, want ErrClosed", err)
	}
	if _, err := io.Copy(io.Discard, p.br); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer got %v, want a reset", err)
	}
}

// Abort cuts the wait of Close short.
func TestAbortDuringClose(t *testing.T) {
	eachCloser(t, func(t *testing.T, c *Conn, p *peer, reader func(*Conn) chan error) {
		ended := reader(c)
		closed := make(chan error)
		start := time.Now()
		go func() { closed <- c.Close(1000, "") }()
		p.wantClose(1000)
		synctest.Wait()
		c.Abort()
		if err := <-closed; err != ErrClosed {
			t.Errorf("Close: %v, want ErrClosed", err)
		}
		if time.Since(start) != 0 {
			t.Errorf("Close took %v", time.Since(start))
		}
		<-ended
		p.wantEOF()
	})
}

// Over TLS a connection lives and ends like any other; a violation's close frame arrives, and closing is orderly.
func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	for name, end := range map[string]struct {
		send func(p *peer) []byte
		code int
	}{
		"close":     {func(p *peer) []byte { return p.closing(4000, "bye") }, 4000},
		"violation": {func(p *peer) []byte { return append(p.frame(0x83, ""), strings.Repeat("x", 100_000)...) }, 1002},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := loopback(t)
			c, p := join(t, asServer, Config{}, tls.Server(ours, &tls.Config{Certificates: server.TLS.Certificates}),
				tls.Client(theirs, &tls.Config{InsecureSkipVerify: true}))
			ended := make(chan error)
			go func() { ended <- readToEnd(c, func(k Kind, data string) { c.Write(k, []byte(data)) }) }()
			p.send(p.frame(0x81, "hello"))
			p.want(0x81, "hello")
			p.send(end.send(p))
			p.wantClose(end.code)
			p.wantEOF()
			if err := <-ended; err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("Read: %v", err)
			}
		})
	}
}

func TestRemoteAddr(t *testing.T) {
	c, _ := tcpPair(t, asServer, Config{})
	if c.RemoteAddr() != "raw peer" {
		t.Errorf("server: %q", c.RemoteAddr())
	}
	c, p := tcpPair(t, asClient, Config{})
	if c.RemoteAddr() != p.LocalAddr().String() || c.Subprotocol() != "" {
		t.Errorf("client: %q, want %v", c.RemoteAddr(), p.LocalAddr())
	}
}

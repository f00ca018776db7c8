//go:build unix

package benchmarks

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"golang.org/x/net/websocket"
)

// A relay is the bare relay: it passes what one of the two connections of a path
// sends to the other, without a look at it, without a limit on anything and
// without a word when a peer has gone. It is a measure, not a server for use.
type relay struct {
	open atomic.Int64 // connections

	mu      sync.Mutex
	waiting map[string]*couple // by path: those with one connection
}

// A couple is the two connections of a path.
type couple struct {
	first, second *websocket.Conn
	complete      chan struct{} // closed when second is set
}

// serve serves on l for ever.
func (r *relay) serve(l net.Listener) error {
	r.waiting = make(map[string]*couple)
	server := &http.Server{Handler: websocket.Server{
		Handshake: func(*websocket.Config, *http.Request) error { return nil }, // any origin
		Handler:   r.forward,
	}}
	return server.Serve(l)
}

func (r *relay) forward(c *websocket.Conn) {
	r.open.Add(1)
	defer r.open.Add(-1)
	other := r.partner(c)
	defer other.Close()
	for {
		var data []byte
		if websocket.Message.Receive(c, &data) != nil || websocket.Message.Send(other, data) != nil {
			return
		}
	}
}

// partner waits for the other connection of the path.
func (r *relay) partner(c *websocket.Conn) *websocket.Conn {
	path := c.Request().URL.Path
	r.mu.Lock()
	p, second := r.waiting[path]
	if second {
		delete(r.waiting, path)
		p.second = c
		close(p.complete)
		r.mu.Unlock()
		return p.first
	}
	p = &couple{first: c, complete: make(chan struct{})}
	r.waiting[path] = p
	r.mu.Unlock()
	<-p.complete
	return p.second
}

package conformance

import (
	"errors"
	"sync"

	"github.com/meshpair/meshpair/conformance/driver"
)

// A Pool lends drivers of members to cases. A driver serves one case at a time.
type Pool struct {
	start func() (*driver.Peer, error)
	slots chan struct{}

	mu   sync.Mutex
	idle []*driver.Peer
}

// NewPool returns a pool of up to n drivers, each started by start when a case
// needs it.
func NewPool(n int, start func() (*driver.Peer, error)) *Pool {
	return &Pool{start: start, slots: make(chan struct{}, n)}
}

// get waits for a driver.
func (p *Pool) get() (*driver.Peer, error) {
	p.slots <- struct{}{}
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		d := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		d.Forget()
		return d, nil
	}
	p.mu.Unlock()
	d, err := p.start()
	if err != nil {
		<-p.slots
	}
	return d, err
}

// put takes a driver back; one that is not well is ended.
func (p *Pool) put(d *driver.Peer, well bool) {
	if well {
		p.mu.Lock()
		p.idle = append(p.idle, d)
		p.mu.Unlock()
	} else {
		d.Kill()
	}
	<-p.slots
}

// Close ends all drivers that no case has, by the end of their input.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, d := range p.idle {
		errs = append(errs, d.Close())
	}
	p.idle = nil
	return errors.Join(errs...)
}

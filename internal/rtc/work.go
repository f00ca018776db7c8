package rtc

// post has job done after all jobs before it, by a goroutine that is there as long as there are jobs. Jobs talk to pion
// and to the caller's callback, both of which may take a while, so that neither the peer's signals nor pion's events
// have to wait for that, and all happens in order. The number of jobs is bounded by the limits on the peer's signals
// and by the number of this machine's addresses. When the connection is over, no further job begins.
func (c *Conn) post(job func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.jobs = append(c.jobs, job)
	if !c.working {
		c.working = true
		go c.work()
	}
}

func (c *Conn) work() {
	for {
		c.mu.Lock()
		if len(c.jobs) == 0 || c.err != nil {
			c.working = false
			c.jobs = nil
			c.mu.Unlock()
			return
		}
		job := c.jobs[0]
		c.jobs = c.jobs[1:]
		c.mu.Unlock()
		job()
	}
}

// tell runs f, which tells pion something, unless pion has ended.
func (c *Conn) tell(f func() error) error {
	c.pion.Lock()
	defer c.pion.Unlock()
	if c.ended {
		return ErrClosed
	}
	return f()
}

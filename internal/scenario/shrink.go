package scenario

import "slices"

// Shrink returns the smallest scenario that it finds which fails as well: it takes events and members away, and what goes
// on for a while, as long as fails reports true. It calls that at most so many times.
func Shrink(s *Scenario, calls int, fails func(*Scenario) bool) *Scenario {
	try := func(c *Scenario) bool {
		if calls <= 0 {
			return false
		}
		if _, err := c.check(); err != nil {
			return false
		}
		calls--
		if !fails(c) {
			return false
		}
		s = c
		return true
	}
	for changed := true; changed && calls > 0; {
		changed = false
		for n := max(1, len(s.Events)/2); n >= 1; n /= 2 {
			for i := 0; i < len(s.Events); {
				c := s.without(func(j int, _ Event) bool { return j >= i && j < i+n })
				if try(c) {
					changed = true
				} else {
					i += n
				}
			}
		}
		for i := len(s.Members) - 1; i >= 0 && len(s.Members) > 1; i-- {
			if i < len(s.Members) && try(s.withoutMember(s.Members[i])) {
				changed = true
			}
		}
		for i := range s.Events {
			changed = try(s.simpler(i)) || changed
		}
		for _, plain := range []func(*Scenario){
			func(c *Scenario) { c.Original = nil },
			func(c *Scenario) { c.Listens = nil },
			func(c *Scenario) { c.Window = 0 },
			func(c *Scenario) { c.MinLatency, c.MaxLatency = DefaultLatency, DefaultLatency },
		} {
			c := s.clone()
			plain(c)
			if c.String() != s.String() {
				changed = try(c) || changed
			}
		}
	}
	return s
}

func (s *Scenario) clone() *Scenario {
	c := *s
	c.Members, c.Original, c.Listens = slices.Clone(s.Members), slices.Clone(s.Original), slices.Clone(s.Listens)
	c.Events = slices.Clone(s.Events)
	return &c
}

// without returns a scenario without some events, and without those that make no sense then.
func (s *Scenario) without(drop func(int, Event) bool) *Scenario {
	c := s.clone()
	c.Events = nil
	here := make(map[string]bool)
	ever := make(map[string]bool)
	for _, name := range s.Members {
		here[name], ever[name] = true, true
	}
	up := true
	for i, e := range s.Events {
		if drop(i, e) {
			continue
		}
		if e.Do == Split {
			e.Parts = slices.Clone(e.Parts)
			for i, part := range e.Parts {
				e.Parts[i] = slices.DeleteFunc(slices.Clone(part), func(n string) bool { return !here[n] })
			}
			e.Parts = slices.DeleteFunc(e.Parts, func(part []string) bool { return len(part) == 0 })
			if len(e.Parts) < 2 {
				continue
			}
		}
		if e.check(here, &up) != nil {
			continue
		}
		ever[e.A] = true
		c.Events = append(c.Events, e)
	}
	gone := func(n string) bool { return !ever[n] }
	c.Original, c.Listens = slices.DeleteFunc(c.Original, gone), slices.DeleteFunc(c.Listens, gone)
	return c
}

func (s *Scenario) withoutMember(name string) *Scenario {
	c := s.clone()
	c.Members = slices.DeleteFunc(c.Members, func(n string) bool { return n == name })
	return c.without(func(int, Event) bool { return false })
}

// simpler returns a scenario of which one event happens once, or a message is short.
func (s *Scenario) simpler(i int) *Scenario {
	c := s.clone()
	e := &c.Events[i]
	switch {
	case e.Every > 0 && e.Do == Flap:
		e.Do, e.Every, e.For = Break, 0, 0
	case e.Every > 0:
		e.Every, e.For = 0, 0
	case e.Size > MinSize:
		e.Size = MinSize
	}
	if c.String() == s.String() {
		c.Members = nil // nothing to try
	}
	return c
}

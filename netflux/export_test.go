package netflux

import "github.com/meshpair/meshpair/internal/rtc"

// SetNet gives data channels another network.
func (c *Config) SetNet(n rtc.Net) { c.network = machine{n} }

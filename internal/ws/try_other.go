//go:build !unix

package ws

// tryWrite writes nothing: the way to write without waiting is not known here.
func (c *Conn) tryWrite([]byte) int { return 0 }

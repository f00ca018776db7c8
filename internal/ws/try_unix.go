//go:build unix

package ws

import "syscall"

// tryWrite writes what the kernel takes at once and returns how much that was. The caller holds the write lock. What
// went wrong, if anything, shows when the rest is written.
func (c *Conn) tryWrite(b []byte) (n int) {
	if c.raw == nil {
		return 0
	}
	c.raw.Write(func(fd uintptr) bool {
		n, _ = syscall.Write(int(fd), b)
		return true // and do not wait
	})
	return max(n, 0)
}

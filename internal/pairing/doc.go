// Package pairing is the pure core of a PeerSox server: who sits where, what an internal message says, and who may
// guess on. It has no goroutine, no socket and no clock. What several processes share is decided by the same rules,
// written as Redis scripts in peersox/redisstore.
package pairing

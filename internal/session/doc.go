// Package session is the pure core of a PeerSox client: what it says to the server and to the other client of its
// pairing, over the relay and over a data channel; chapter PSX of SPEC.md, from PSX-60 on.
//
// It holds no goroutine, socket, clock or source of randomness. [Core.Step] takes what has happened and the time, and
// returns what is to be done, in order; [Core.Next] says when it wants to be called because time has passed; and
// [Core.Pull] hands out what is to be sent on a connection as fast as that takes it, so that what waits, waits here,
// where it is bounded and where a change of the connection can reach it. The caller serializes the calls and carries out
// the outputs.
//
// A session begins with a WebSocket that has been opened, the relay (relay.go), over which a data channel is made
// (upgrade.go). In a sealed pairing a handshake with the other client comes before all else, and what the
// two say goes sealed over both (seal.go). Either carries what the user sends (send.go) and what comes (receive.go): between two clients of this
// kind in numbered frames (frame.go), so that nothing is lost, doubled or out of order when the connection changes; to
// and from an original as it is.
package session

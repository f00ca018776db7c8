// Package rtc is one reliable, ordered WebRTC data channel (RFC 8831) to one peer that carries whole messages, opened
// by an offer of ours or of the peer.
//
// A connection begins with [Offer] or [Answer], which return at once. What has to reach the peer then comes out as
// [Signal] values, and what comes from the peer goes in through [Conn.Signal], by whatever way the caller has; the two
// ends agree, look for a path, prove who they are, and the channel opens: see [Conn.Open]. From then on there is
// [Conn.Send] and [Conn.Read].
//
// Read is called by a goroutine of the caller, which receives straight from SCTP's queue: no goroutine or buffer stands
// between, so whoever owns the connection decides how much it takes in: what is not read is held up to the receive
// window (see [Config].MaxMessage), and then the peer's sender waits. That is the shape of package ws, too.
//
// It stands on github.com/pion/webrtc/v3, which no other package of this module imports, on SCTP of a later version
// than that library asks for. What they leave open is closed here:
//
//   - it gathers on every interface, opens a port for mDNS and dials TCP candidates: it is given the networks to use
//     and no more, and contacts only servers that [Config] names (engine.go);
//   - it waits a second for a better path when it offers to a browser, and a second for a lost packet of the handshake:
//     it is told not to (engine.go);
//   - it thinks only five times a second of taking a path that is not the best it can imagine: it is woken (path.go);
//   - it has a data race if it is closed in the moment in which it finds a path: it is kept from that (path.go);
//   - it makes a certificate for each connection: there is one per process (certificate.go);
//   - it loses packets, and with them most of its throughput, in socket buffers of the usual size: it gets larger ones
//     (socket.go);
//   - it waits up to 10 s for a TURN server that is silent, even to close, and shows a relay's peer an address of this
//     machine: it is kept from both (socket.go, gather.go);
//   - it only logs that a server gave no address: that is noticed, and the server asked for the reason (probe.go);
//   - it writes to standard error: it gets a logger (log.go);
//   - it takes descriptions and candidates of any size, number and order: they are checked, counted, kept in order and
//     applied by one goroutine, which exists only while there is something to do (signal.go, work.go);
//   - its candidates lack the name of their media section: they are given it (signal.go);
//   - it neither announces the largest message it takes nor heeds what the peer announces: both are done (sdp.go);
//   - its senders never block: the buffered amount is watched (send.go);
//   - its own reading loop fails on a message of 65,536 bytes, which browsers send: channels are detached (read.go);
//   - its closing drops what is under way: the channel is closed first, in both directions (close.go);
//   - it lets a failed connection be: every failure ends everything, once and with its reason (conn.go).
//
// There is one channel: further ones of the peer are closed, and a peer that insists is dropped. There is no ICE
// restart; a path that fails is the end of a connection.
package rtc

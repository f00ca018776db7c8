// Package ws is one WebSocket connection (RFC 6455) that carries whole messages, as a client or as a server.
//
// It stands on golang.org/x/net/websocket, which no other package of this module imports. That library does the two
// opening handshakes and the framing; what it leaves open is closed here:
//
//   - it hands out each fragment as a message of its own and takes a payload cut off by the end of TCP for a shorter
//     one: [Conn.Read] reassembles, compares lengths and bounds the whole message (read.go);
//   - it lets RSV bits, reserved opcodes, orphan continuations, oversized control frames and invalid UTF-8 through:
//     every header is checked before its payload is touched (frame.go);
//   - it clears the top bit of a 64-bit length and overflows where that length does not fit an int: lengths are read
//     from the header's bytes and, on a server, the bit is seen before the library clears it (frame.go);
//   - it answers pings, and frames that break the masking rule, under whatever write deadline was left behind: it is
//     never asked to handle a control frame (read.go, write.go);
//   - it unmasks byte by byte: on a server payloads are read past it (frame.go);
//   - it turns the peer's close frame into io.EOF and cannot send a reason: both are done here (close.go);
//   - it writes each frame by itself and waits until the network has taken it: frames that are posted are made here, as
//     bytes, of which many go out at once and those that the network does not take can be kept (queue.go);
//   - its server panics where a connection cannot be taken over and answers refusals with half an HTTP response, refuses
//     a Connection header on two lines, echoes all the subprotocols offered or none, and wants an Origin: it is given
//     a request that has been checked and reduced to what it looks at (upgrade.go);
//   - its client insists on a Connection header that is exactly "upgrade", hides the status of a refusal, reads an
//     answer of any length, takes no silence for the choice of a subprotocol and cannot dial an IPv6 address without
//     a port: it is given an answer that has been read and reduced in the same way (dial.go, answer.go).
//
// One thing stays open: a client cannot see the top bit of a 64-bit length, so a server that sets it is not told 1002.
// The length without that bit is still bounded by [Config].MaxMessage.
//
// There are no extensions, hence no compression, and no pings of our own; pings of the peer are answered while a
// goroutine is in Read.
package ws

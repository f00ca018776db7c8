// Package mesh is the pure core of a member of a Netflux group: chapters CHN, BLD, MSH, MSG and STA of SPEC.md, and what
// chapter SIG asks of clients.
//
// It holds no goroutine, socket, clock or global source of randomness. [Core.Step] takes what has happened and the time,
// and returns what is to be done, in order; [Core.Next] says when it wants to be called because time has passed; and
// [Core.Pull] hands out what is to be sent on a link as fast as that takes it, so that what waits, waits here, where it
// is bounded and where a change of route can reach it. The caller serializes the calls and carries out the outputs. So
// the same code serves package netflux, a simulator of many members and a fuzzer.
//
// A [Link] is any connection that the core asks for. Those to members become channels (channel.go), for which attempts
// are made (builder.go, datachannel.go, call.go); what comes over them makes members (fullmesh.go), to which there are
// routes (route.go) for the user's messages (send.go, reassembly.go). Between members of this implementation these arrive
// once and in order (delivery.go), also when a channel breaks or falls silent (strand.go), and can be sealed (seal.go).
// What a member says to the signaling server is in signaling.go, its states and their transitions are in state.go.
package mesh

// Package peersox pairs two devices by a code of six digits and connects them: through the server at first, by WebRTC
// as soon as that is possible. It is compatible with the original, the npm package peersox, in all directions.
//
// The protocol is chapter PSX of SPEC.md. A [Server] has two parts, a REST API and a WebSocket service, each of them an
// http.Handler. One process needs nothing else; several share a store and a relay, as those of package redisstore. A
// [Client] is one of the two devices.
package peersox

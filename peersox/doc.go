// Package peersox pairs two devices by a code of six digits and connects them: through the server at first, by WebRTC
// as soon as that is possible. It is compatible with the original, the npm package peersox, in all directions.
//
// The protocol is chapter PSX of SPEC.md. A [Server] has two parts, a REST API and a WebSocket service, each of them an
// http.Handler. One process needs nothing else; several share a store and a relay, as those of package redisstore. A
// [Client] is one of the two devices.
//
// # Clients
//
// One device asks for a code, by [Client.InitPairing], and shows it; on the other one it is entered, for [Client.Pair].
// Both are told [PeerConnected] then, and can [Client.Send].
//
// What happens is told to the function in [ClientConfig].OnEvent, for one event at a time and in order, by a goroutine
// that lasts until there is no more to tell. No lock is held, so it may call every method of the client; but as long as it
// has not returned further events wait. When those that wait hold [ClientConfig].ReceiveBuffer bytes, the peer's sends
// wait, too. So two clients whose OnEvent both send much may wait for each other: send from another goroutine there, or by
// [Client.TrySend].
//
// # Sealed pairings
//
// By a code alone the two trust the server: whoever runs it can read and change what goes over it, and put itself between
// the two ends of a data channel. With [ClientConfig].Seal a pairing has a secret that the server never gets; what the two users
// tell each other is [Pairing.Text], the code and the secret, in place of the code. Then nobody else can read, change, leave
// out, repeat or invent anything without the users being told, and a peer without the secret, or an original, gets
// nothing (SPEC.md, chapter SEC, "Sealed pairings"). The server still sees when the two meet, from where, and how much they say
// by way of it.
//
// # Delivery
//
// Messages go by way of the server until a data channel is open, then by that, and by way of the server again if it
// breaks. Between two clients of this package each message arrives once, whole and in the order of the calls of Send,
// whatever the connections do, as long as there is one. What had not been acknowledged when there was none any more is
// counted in [ConnectionClosed]. Nothing is ever sent that the peer has no room for.
//
// An original takes part without knowing anything of this. What its data channel may not have delivered when it breaks is
// sent again by way of the server, so that nothing is missing; what was on its way in the last second may come twice. A
// text that an original would take for the protocol's own, PING or one that begins with §, is refused with [ErrReserved],
// and a message that it cannot take with [ErrTooBig].
package peersox

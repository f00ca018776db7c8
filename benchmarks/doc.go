// Package benchmarks holds no code of its own: its tests compare the signaling
// server of package sigver with a bare relay, which is the least that a server
// on golang.org/x/net/websocket can do for two peers that talk to each other.
// Others compare members of groups with bare data channels, and the server of package
// peersox with that of npm and the bare relay. What is measured and how is
// told in docs/performance.md. To run it:
//
//	go test -run '^$' -bench . ./benchmarks
package benchmarks

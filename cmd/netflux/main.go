// Netflux is a member of Netflux groups as a command: a demonstration, a chat, and a peer that other programs steer.
package main

import (
	"log/slog"

	"github.com/meshpair/meshpair/internal/cli"
)

var program = cli.Program{Name: "netflux", Commands: []cli.Command{
	{Name: "demo", Level: slog.LevelError, Run: demoCommand,
		Summary: "a group forms, talks and parts before your eyes; nothing else is needed"},
	{Name: "chat", Level: slog.LevelError, Run: chatCommand,
		Summary: "a chat in the terminal, with other terminals and with browsers"},
	{Name: "bot", Level: slog.LevelWarn, Run: botCommand,
		Summary: "a member of many groups, which listens for the others' WebSockets"},
	{Name: "secret", Level: slog.LevelWarn, Run: secretCommand,
		Summary: "prints a new secret, which seals a group"},
	{Name: "peer", Level: slog.LevelWarn, Run: peerCommand,
		Summary: "a member that is steered by JSON lines on standard input"},
}}

// insecureUsage is what the flag -insecure does (SEC-31).
const insecureUsage = "dial ws:// URLs of other machines too, of the signaling server and of members, without encryption"

func main() { cli.Main(program.Run) }

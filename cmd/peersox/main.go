// Peersox pairs two devices by a six-digit code, as a command: a demonstration, the sending of files, and a peer that other
// programs steer.
package main

import (
	"log/slog"

	"github.com/meshpair/meshpair/internal/cli"
)

var program = cli.Program{Name: "peersox", Commands: []cli.Command{
	{Name: "serve", Level: slog.LevelInfo, Run: serveCommand, Summary: "a pairing server"},
	{Name: "demo", Level: slog.LevelError, Run: demoCommand,
		Summary: "a server and two clients meet before your eyes; nothing else is needed"},
	{Name: "send", Level: slog.LevelError, Run: sendCommand,
		Summary: "sends a file to whoever has the code that it prints, sealed"},
	{Name: "receive", Level: slog.LevelError, Run: receiveCommand, Summary: "fetches the file that another one sends"},
	{Name: "peer", Level: slog.LevelWarn, Run: peerCommand, Summary: "a client that is steered by JSON lines on standard input"},
}}

func main() { cli.Main(program.Run) }

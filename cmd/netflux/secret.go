package main

import (
	"context"
	"fmt"

	"github.com/meshpair/meshpair/netflux"
)

const secretHelp = `Usage: netflux secret

Prints a new secret. Members that are given it, by -secret, are in a sealed group: neither the
signaling server nor a member that passes messages on can read or change what they say. Who has the
secret and the key can be a member, so tell it nobody else.
`

// secretUsage is what the flag -secret does.
const secretUsage = "`SECRET` of a sealed group, as netflux secret makes it; all members need the same"

func secretCommand(_ context.Context, e *env, args []string) error {
	if err := e.parse(args, secretHelp); err != nil {
		return err
	}
	_, err := fmt.Fprintln(e.stdout, string(netflux.NewSecret())) // SEC-1: who runs this asks for it
	return err
}

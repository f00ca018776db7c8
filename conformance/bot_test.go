package conformance

import (
	"flag"
	"os/exec"
	"strings"
	"testing"

	"github.com/meshpair/meshpair/internal/need"
)

var botCommand = flag.String("bot", "", "`command` that runs a driver of a bot to test instead of this implementation")

// TestBot runs the bot cases on this implementation, or on that of another driver.
func TestBot(t *testing.T) {
	t.Parallel()
	command := strings.Fields(*botCommand)
	if len(command) == 0 {
		path, err := netfluxBinary()
		if err != nil {
			t.Fatal(err)
		}
		command = []string{path, "bot"}
	}
	target := Target{Bot: func(args ...string) *exec.Cmd {
		return exec.Command(command[0], append(command[1:len(command):len(command)], args...)...)
	}}
	for _, c := range BotCases() {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			if r := c.Run(target); r.Failure != nil {
				t.Error(r)
			}
		})
	}
}

// originalBot is the command of a driver of the original bot.
func originalBot(t testing.TB) func(args ...string) *exec.Cmd {
	dir := need.Originals(t)
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command("node", append([]string{"netflux-bot.mjs"}, args...)...)
		cmd.Dir = dir
		return cmd
	}
}

// TestOriginalBotCases runs the bot cases on the bot of npm netflux 4.3.1: what they fail is
// a deviation that SPEC.md names.
func TestOriginalBotCases(t *testing.T) {
	t.Parallel()
	fails := expectations(t, "netflux-bot-4.3.1.json")
	target := Target{Bot: originalBot(t)}
	for _, c := range BotCases() {
		deviation, expected := fails[c.ID]
		delete(fails, c.ID)
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			r := c.Run(target)
			switch {
			case r.Failure != nil && !expected:
				t.Error(r)
			case r.Failure == nil && expected:
				t.Errorf("%s passes: take %s out of originals/netflux-bot-4.3.1.json", c.ID, deviation)
			case expected:
				t.Logf("fails as %s says: %v", deviation, r.Failure)
			}
		})
	}
	for id := range fails {
		t.Errorf("there is no case %s, of which originals/netflux-bot-4.3.1.json says that it fails", id)
	}
}

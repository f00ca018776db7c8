package conformance

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// botUnderTest is the command of a driver of a bot of this implementation, or of that under test.
func botUnderTest(t testing.TB) func(args ...string) *exec.Cmd {
	t.Helper()
	command := strings.Fields(*botCommand)
	if len(command) == 0 {
		path, err := netfluxBinary()
		if err != nil {
			t.Fatal(err)
		}
		command = []string{path, "bot"}
	}
	return func(args ...string) *exec.Cmd {
		return exec.Command(command[0], slices.Concat(command[1:], args)...)
	}
}

// TestBot runs the bot cases on this implementation, or on that of another driver.
func TestBot(t *testing.T) {
	t.Parallel()
	var target Target
	if strings.HasPrefix(*botCommand, "ws://") || strings.HasPrefix(*botCommand, "wss://") {
		target.BotURL = *botCommand
	} else {
		target.Bot = botUnderTest(t)
	}
	judge(t, "bot", target)
}

// originalBot is the command of a driver of the original bot.
func originalBot(t testing.TB) func(args ...string) *exec.Cmd {
	dir := originals(t)
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
	judgeOriginal(t, "bot", "netflux-bot-4.3.1.json", same(Target{Bot: originalBot(t)}))
}

package conformance

import (
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
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

// TestBrokenBots runs cases on bots that are wrong in one respect each, to see that the cases notice: what the bot sends
// is changed on its way in. TestBot shows that they pass when nothing is changed.
func TestBrokenBots(t *testing.T) {
	t.Parallel()
	bot := botUnderTest(t)
	// info changes both Infos of a negotiation.
	info := func(change func(fields) fields) func(bool, []byte) []byte {
		return inService(serviceBuilder, 1, func(_ bool, f *field) {
			n := mustParse(f.bytes)
			for _, number := range []int{1, 2} {
				if i := n.find(number); i != nil {
					i.bytes = change(mustParse(i.bytes)).encode()
				}
			}
			f.bytes = n.encode()
		})
	}
	for _, test := range []struct {
		name  string
		spoil func(bool, []byte) []byte
		fail  []string // cases that must fail
	}{
		{"connect without members", inSignaling(3, func(fs fields) fields { return fs.without(2) }),
			[]string{"STA-6/invited", "STA-13/favored-again"}},
		{"initPong with another id", inInit(2, func(f *field) { f.value ^= 1 }), []string{"CHN-10/invitation", "CHN-29/alone"}},
		{"initPing without members", inInit(1, func(f *field) { f.bytes = mustParse(f.bytes).without(4).encode() }),
			[]string{"CHN-10/joiner"}},
		{"initPing with another key", inInit(1, func(f *field) {
			ping := mustParse(f.bytes)
			ping.find(5).bytes = []byte("another")
			f.bytes = ping.encode()
		}), []string{"CHN-10/joiner", "CHN-10/key"}},
		{"listens nowhere", info(func(fs fields) fields { return fs.without(2) }),
			[]string{"CHN-10/inside", "CHN-10/joiner", "CHN-31/negotiated", "BLD-12/asked-inside"}},
		{"in another group", info(func(fs fields) fields { return fs.with(3, 1<<31) }), []string{"CHN-10/inside", "BLD-12/asked-inside"}},
		{"never agrees", inService(serviceBuilder, 3, func(_ bool, f *field) { f.value = 0 }), []string{"CHN-10/joiner", "BLD-13/no-way-left"}},
		{"speaks as another", inEnvelope(serviceUser, func(_ bool, fs fields) fields { return fs.with(1, 1<<31) }), []string{"CHN-27/isolated"}},
		{"loses a chunk", func() func(bool, []byte) []byte {
			var n atomic.Int32
			return inEnvelope(serviceUser, func(_ bool, fs fields) fields {
				if n.Add(1) == 100 {
					return nil
				}
				return fs
			})
		}(), []string{"CHN-5/socket-burst"}},
	} {
		for _, id := range test.fail {
			c := caseOf(t, BotCases(), id)
			t.Run(test.name+"/"+id, func(t *testing.T) {
				t.Parallel()
				if r := c.Run(Target{Bot: bot, spoil: test.spoil}); !r.Failed() {
					t.Error(r)
				} else {
					t.Log(r)
				}
			})
		}
	}
}

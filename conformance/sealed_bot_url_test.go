package conformance

import (
	"os/exec"
	"testing"
)

// TestSealedBotURL runs cases on a bot that runs already, by its URL alone: with its identity it is invited into sealed groups, as far as
// that can be seen without its driver; without one it cannot be, and that is no fault of it (SEC-6, SEC-20).
func TestSealedBotURL(t *testing.T) {
	t.Parallel()
	path, err := netfluxBinary()
	if err != nil {
		t.Fatal(err)
	}
	bot := startDriver(t, "a bot", exec.Command(path, "bot", "-listen", "127.0.0.1:0", "-signaling", startSigver(t), "-loopback"))
	for _, by := range []struct {
		name, url string
		want      map[string]Verdict
	}{
		{"its identity", bot.Ready.Invite, map[string]Verdict{
			"SEC-20/invited": Pass, "SEC-20/answers-alone": Pass, "SEC-20/odd-inviters": Pass, "SEC-20/odd-members": Pass, "SEC-20/once": Pass,
			"SEC-20/refusal-code": Pass, "SEC-20/slow-inviters": Pass, "SEC-22/joiner": Unsupported, "SEC-53/list": Unsupported,
		}},
		{"no identity", bot.Ready.URL + "/", map[string]Verdict{
			"SEC-20/invited": Unsupported, "SEC-20/odd-inviters": Unsupported, "SEC-53/list": Unsupported, "CHN-10/refused": Unsupported,
		}},
		{"another identity", bot.Ready.URL + "#" + bech32m("mpid", somebody), map[string]Verdict{"SEC-20/invited": Fail}},
	} {
		for id, want := range by.want {
			t.Run(by.name+"/"+id, func(t *testing.T) {
				t.Parallel()
				c := caseOf(t, BotCases(), id)
				r := c.Run(Target{BotURL: by.url, Strict: true})
				if r.Verdict() != want { // as in onceMore
					again.Lock()
					defer again.Unlock()
					t.Logf("is run once more: %v", r)
					r = c.Run(Target{BotURL: by.url, Strict: true})
				}
				if r.Verdict() != want {
					t.Errorf("%v, not %v", r, want)
				}
			})
		}
	}
}

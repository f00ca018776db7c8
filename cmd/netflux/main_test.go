package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

func runCommand(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = program.Run(context.Background(), args, strings.NewReader(""), &out, &errs)
	return status, out.String(), errs.String()
}

// Help that was asked for goes to standard output.
func TestHelp(t *testing.T) {
	for _, test := range []struct {
		args []string
		say  []string
	}{
		{[]string{"-h"}, []string{"Usage: netflux COMMAND", "demo", "chat", "bot", "peer", "version"}},
		{[]string{"help"}, []string{"Usage: netflux COMMAND"}},
		{[]string{"--help"}, []string{"Usage: netflux COMMAND"}},
		{[]string{"demo", "-h"}, []string{"Usage: netflux demo", "-members", "-log", "exit status"}},
		{[]string{"demo", "-members", "3", "--help"}, []string{"Usage: netflux demo"}},
		{[]string{"chat", "-h"}, []string{"Usage: netflux chat", "-key KEY", "-signaling URL", "ws://127.0.0.1:8000", "-ice JSON", "-loopback", "-log", "/members", "/to NAME TEXT", "/invite URL", "/help"}},
		{[]string{"bot", "-h"}, []string{"Usage: netflux bot -listen HOST:PORT", "-echo", "-cert", "-stay", "-max-groups", "-no-input", "-url"}},
		{[]string{"secret", "-h"}, []string{"Usage: netflux secret"}},
		{[]string{"peer", "-help"}, []string{"Usage: netflux peer", `"cmd":"join"`, "-log"}},
	} {
		status, out, errs := runCommand(test.args...)
		if status != 0 || errs != "" {
			t.Errorf("%v: status %d, %s", test.args, status, errs)
		}
		for _, text := range test.say {
			if !strings.Contains(out, text) {
				t.Errorf("%v: the help lacks %q:\n%s", test.args, text, out)
			}
		}
	}
}

// What fails although the command line is right has status 1, and says what it was.
func TestBotFails(t *testing.T) {
	taken, _ := listen(t)
	defer taken.Close()
	for _, test := range []struct {
		args []string
		say  string
	}{
		{[]string{"-listen", taken.Addr().String()}, "netflux bot: -listen: "},
		{[]string{"-listen", "nonsense"}, "netflux bot: -listen: "},
		{[]string{"-listen", "127.0.0.1:0", "-cert", "none.pem", "-key", "none.pem"}, "netflux bot: -cert, -key: open none.pem"},
	} {
		status, out, errs := runCommand(append([]string{"bot"}, test.args...)...)
		if status != 1 || out != "" || !strings.HasPrefix(errs, test.say) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: status %d, printed %q and said %q, want %s", test.args, status, out, errs, test.say)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "-version", "--version"} {
		if status, out, _ := runCommand(arg); status != 0 || !strings.HasPrefix(out, "netflux ") {
			t.Errorf("%s: status %d, %q", arg, status, out)
		}
	}
}

// A wrong command line has status 2, and a few lines say what is wrong and where to look.
func TestWrongUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		say  string
	}{
		{nil, "Usage: netflux COMMAND"},
		{[]string{"dance"}, `no command "dance"; netflux -h lists them`},
		{[]string{"-x"}, "netflux -h"},
		{[]string{"demo", "-x"}, "netflux demo -h"},
		{[]string{"demo", "more"}, `unexpected argument "more"; -h lists the flags`},
		{[]string{"demo", "-members", "1"}, "-members must be from 2 to 20"},
		{[]string{"demo", "-members", "21"}, "-members must be from 2 to 20"},
		{[]string{"demo", "-members", "many"}, "-members"},
		{[]string{"peer", "-log", "loud"}, "-log"},
		{[]string{"peer", "join"}, `unexpected argument "join"`},
		{[]string{"chat", "hello"}, `unexpected argument "hello"`},
		{[]string{"chat", "-key", "what?"}, "choose another -key"},
		{[]string{"chat", "-key", "k", "-signaling", "127.0.0.1:8000"}, "-signaling must be ws://HOST:PORT"},
		{[]string{"chat", "-key", "k", "-signaling", "ws://203.0.113.7:8000"}, "is not encrypted: use wss://, or say -insecure"}, // SEC-31
		{[]string{"bot", "-listen", "127.0.0.1:0", "-signaling", "ws://203.0.113.7"}, "is not encrypted: use wss://, or say -insecure"},
		{[]string{"chat", "-secret", "mpsecret1guess"}, "netflux: Config.Secret is not a secret"}, // SEC-2
		{[]string{"chat", "-ice", "stun:127.0.0.1"}, "want a list such as"},
		{[]string{"chat", "-ice", `[{"username":"u"}]`}, `each server needs "urls"`},
		{[]string{"chat", "-ice", `[{"urls":["stun:127.0.0.1","bogus"]}]`}, `"bogus" is not a URL such as stun:HOST:PORT`},
		{[]string{"bot"}, "-listen HOST:PORT is missing; -h lists the flags"},
		{[]string{"bot", "-listen", "127.0.0.1:0", "more"}, `unexpected argument "more"`},
		{[]string{"bot", "-listen", "127.0.0.1:0", "-cert", "cert.pem"}, "-cert and -key belong together"},
		{[]string{"bot", "-listen", "127.0.0.1:0", "-max-groups", "0"}, "-max-groups must be positive, not 0"},
		{[]string{"bot", "-listen", "127.0.0.1:0", "-stay"}, "-stay needs -signaling"},
		{[]string{"bot", "-listen", ":0"}, "-listen :0 is all interfaces: -url must say"},
		{[]string{"bot", "-listen", "127.0.0.1:0", "-url", "http://127.0.0.1"}, "-url must be ws://HOST:PORT"},
		{[]string{"bot", "-listen", "127.0.0.1:0", "-signaling", "127.0.0.1:8000"}, "-signaling must be ws://HOST:PORT"},
		{[]string{"bot", "-listen", "127.0.0.1:0", "-ice", `[{"urls":"turn:127.0.0.1:1"}]`}, "ICE server"},
	} {
		status, out, errs := runCommand(test.args...)
		if status != 2 || out != "" || !strings.Contains(errs, test.say) || strings.Count(errs, "\n") > 11 {
			t.Errorf("%v: status %d, printed %q and said %q, want %s in it", test.args, status, out, errs, test.say)
		}
	}
}

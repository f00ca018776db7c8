package conformance

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/meshpair/meshpair/conformance/driver"
)

// A mutant is an implementation that is wrong in one respect, and the cases that must notice.
// One of the others says what is wrong.
type mutant struct {
	name  string
	cases []string

	server tamper  // of a server: what a proxy before it changes
	spoil  spoiler // of a member or client: its messages
	code   int     // of a member: its close codes; 0 for as they are
	driver string  // a mode of a driver that lies
	dull   string  // of a client: see Target
}

// mutants are all of them, by the flag of their target.
var mutants = map[string][]mutant{
	"sigver":   sigverMutants,
	"peersox":  peersoxMutants,
	"peer":     slices.Concat(memberMutants, sealedMutants),
	"bot":      slices.Concat(botMutants, invitedMutants),
	"pairpeer": slices.Concat(clientMutants, pairingMutants),
}

// lying is the environment variable that makes this program a driver that lies: it holds the
// mode, and the arguments are the command of an honest one.
const lying = "MESHPAIR_LYING_DRIVER"

// TestMutants runs cases on implementations that are wrong in one respect each, to see that
// they notice. TestSigver, TestPeer and the like show that they pass when nothing is wrong, and
// TestProxy that the proxy itself is not what they notice.
func TestMutants(t *testing.T) {
	t.Parallel()
	targets := honest(t)
	for flag, all := range mutants {
		for _, m := range all {
			target := targets[flag](t, m)
			if len(m.cases) == 0 {
				t.Errorf("no case is to notice the mutant of -%s %q", flag, m.name)
			}
			for _, id := range m.cases {
				c := caseOf(t, everything()[flag], id)
				t.Run(flag+"/"+m.name+"/"+id, func(t *testing.T) {
					t.Parallel()
					target := target
					if m.spoil != nil {
						target.spoil = m.spoil()
					}
					if r := c.Run(target); !r.Failed() {
						t.Error(r)
					} else {
						t.Log(r)
					}
				})
			}
		}
	}
}

// TestProxy runs the cases that mutants of servers are for against the same servers behind a
// proxy that changes nothing.
func TestProxy(t *testing.T) {
	t.Parallel()
	targets := honest(t)
	for _, flag := range []string{"sigver", "peersox"} {
		target := targets[flag](t, mutant{})
		var ids []string
		for _, m := range mutants[flag] {
			ids = append(ids, m.cases...)
		}
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			t.Run(flag+"/"+id, func(t *testing.T) {
				t.Parallel()
				if r := onceMore(t, caseOf(t, everything()[flag], id), func() Target { return target }); r.Failed() {
					t.Error(r)
				}
			})
		}
	}
}

// honest returns what makes the targets of mutants out of this implementation, by flag.
func honest(t *testing.T) map[string]func(*testing.T, mutant) Target {
	netflux, err := netfluxBinary()
	if err != nil {
		t.Fatal(err)
	}
	peersox, err := peersoxBinary()
	if err != nil {
		t.Fatal(err)
	}
	members := pool(t, 12, func() *exec.Cmd { return exec.Command(netflux, "peer") })
	clients := pool(t, 8, func() *exec.Cmd { return exec.Command(peersox, "peer") })
	drivers := func(t *testing.T, m mutant, honest *Pool, command ...string) Target {
		target := Target{Peers: honest, dull: m.dull}
		if m.driver != "" {
			// Its drivers end with the target, well or not.
			target.Peers = NewPool(2, func() (*driver.Peer, error) {
				return driver.Start("a lying driver", pageTimeout, liar(m.driver, command...))
			})
			t.Cleanup(func() { target.Peers.Close() })
		}
		if m.code != 0 {
			target.spoilCode = func(int) int { return m.code }
		}
		return target
	}
	return map[string]func(*testing.T, mutant) Target{
		"sigver": func(t *testing.T, m mutant) Target {
			return Target{Signaling: "ws://" + startTampered(t, strings.TrimPrefix(startSigver(t), "ws://"), m.server)}
		},
		"peersox": func(t *testing.T, m mutant) Target {
			return Target{PeerSox: "http://" + startTampered(t, strings.TrimPrefix(startPeerSox(t), "http://"), m.server)}
		},
		"peer":     func(t *testing.T, m mutant) Target { return drivers(t, m, members, netflux, "peer") },
		"pairpeer": func(t *testing.T, m mutant) Target { return drivers(t, m, clients, peersox, "peer") },
		"bot": func(t *testing.T, m mutant) Target {
			target := drivers(t, m, nil)
			target.Peers = nil
			target.Bot = func(args ...string) *exec.Cmd {
				command := append([]string{netflux, "bot"}, args...)
				if m.driver != "" {
					return liar(m.driver, command...)
				}
				return exec.Command(command[0], command[1:]...)
			}
			return target
		},
	}
}

// liar is this program as a driver that lies.
func liar(mode string, command ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], command...)
	cmd.Env = append(os.Environ(), lying+"="+mode)
	return cmd
}

// lie runs an honest driver and writes what it says in another way.
func lie(mode string, command []string) int {
	if i := slices.Index(command, "-allow"); i > 0 && mode == "unlisted" {
		command = slices.Delete(command, i, i+2)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
	if change := told[mode]; change != nil {
		cmd.Stdin = otherwise(os.Stdin, change)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		if change := retold[mode]; change != nil {
			line = change(line)
		}
		is := func(what string) bool { return bytes.Contains(line, []byte(what)) }
		switch {
		case mode == "claims" && is(`"event":"error"`):
			line = bytes.Replace(line, []byte(`"event":"error"`), []byte(`"event":"ok"`), 1)
		case mode == "ghost":
			line = bytes.Replace(line, []byte(`"members":[`), []byte(`"members":[5,`), 1)
		case mode == "discreet" && is(`"event":"refused"`):
			continue
		case mode == "misnames":
			line = bytes.Replace(line, []byte(`"identities":{`), []byte(`"identities":{"5":"",`), 1)
		case mode == "deaf" && is(`"event":"leave"`):
			continue
		case mode == "wavers" && is(`"event":"join"`) && is("2147483651"): // member 3
			os.Stdout.WriteString(`{"event":"state","state":"JOINING"}` + "\n")
		case mode == "twice" && is(`"event":"message"`):
			line = append(line, line...)
		}
		os.Stdout.Write(line)
	}
	if err := cmd.Wait(); err != nil || mode == "status" {
		return 1
	}
	return 0
}

func caseOf(t *testing.T, all []*Case, id string) *Case {
	t.Helper()
	i := slices.IndexFunc(all, func(c *Case) bool { return c.ID == id })
	if i < 0 {
		t.Fatalf("there is no case %s", id)
	}
	return all[i]
}

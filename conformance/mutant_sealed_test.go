package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

// Members of sealed groups that are wrong in one respect each, beside those of memberMutants.
var sealedMutants = []mutant{
	{name: "its user hears of no reasons", driver: "calm", cases: []string{"SEC-28/unsealed", "SEC-34/missing"}},
	{name: "takes any text for a secret", driver: "claims", cases: []string{"SEC-2/refused"}},
	{name: "shows a secret in its errors", driver: "gossips", cases: []string{"SEC-2/refused"}},
	{name: "takes a secret in one way alone", driver: "fussy", cases: []string{"SEC-2/spaced"}},
	{name: "one identity for all times", driver: "keeps", cases: []string{"SEC-5/identity"}},
	{name: "delivers no body", driver: "bodiless", cases: []string{"SEC-17/receives"}},
	{name: "forgets its list of identities", driver: "unlisted", cases: []string{"SEC-26/list", "SEC-26/invites"}},
	{name: "hands the secret to whoever listens", spoil: after(3, 1, func(e *envelope) { e.content = invitationMessage(3, make([]byte, 150)) }),
		cases: []string{"SEC-20/invites", "SEC-20/another-bot", "SEC-20/odd-bots"}},
	{name: "invites as a member with an id", spoil: inVisit(3, func(e *envelope) { e.sender = member(9) }), cases: []string{"SEC-20/invites"}},
	{name: "hands another secret", spoil: inVisit(3, func(e *envelope) {
		h := mustParse(e.content).sub(3)
		if h.uint(1) == 3 {
			e.content = invitationMessage(3, flipped(h.bytes(2), 50))
		}
	}), cases: []string{"SEC-20/invites", "SEC-20/declined"}},
	{name: "lets a bot in without a session", spoil: inVisit(1, func(e *envelope) { e.service, e.content = serviceBeat, nil }),
		cases: []string{"SEC-20/invites", "SEC-20/another-member"}},
	{name: "its user hears of no invitation that failed", driver: "brave", cases: []string{"SEC-20/no-identity", "SEC-20/another-bot"}},
}

// Bots that are wrong in one respect each when they are invited into sealed groups.
var invitedMutants = []mutant{
	{name: "says another identity than it has", driver: "alias", cases: []string{"SEC-20/invited", "SEC-22/joiner"}},
	{name: "forgets its list of identities", driver: "unlisted", cases: []string{"SEC-53/list"}},
	{name: "answers an invitation twice", spoil: twice, cases: []string{"SEC-20/answers-alone", "SEC-20/odd-inviters"}},
	{name: "begins a session before it is asked", spoil: after(3, 2, func(e *envelope) { e.content = handshakeMessage(1, make([]byte, 80)) }),
		cases: []string{"SEC-20/invited", "SEC-20/answers-alone", "SEC-20/slow-inviters"}},
	{name: "speaks with an id before it is a member", spoil: inVisit(1, func(e *envelope) { e.sender = member(9) }), cases: []string{"SEC-20/invited"}},
	{name: "refuses with 1001", code: 1001, cases: []string{"SEC-20/refusal-code"}},
	{name: "sealed initPong with another id", spoil: inService(serviceBeat, 2, func(_ bool, f *field) { f.value ^= 1 }),
		cases: []string{"SEC-20/invited", "SEC-20/once"}},
	{name: "a session without a proof", spoil: inVisit(1, func(e *envelope) {
		e.content = handshakeMessage(2, flipped(mustParse(e.content).sub(1).bytes(2), 100))
	}), cases: []string{"SEC-20/invited", "SEC-22/joiner"}},
}

// inVisit changes messages of the two handshakes of an invitation, which a sealed.Message has in some field.
func inVisit(number int, change func(*envelope)) spoiler {
	return each(func(channel bool, b []byte) []byte {
		if e, ok := visits(channel, b, number); ok {
			change(&e)
			return e.encode()
		}
		return b
	})
}

// after has another message come after one of some step of the handshakes of an invitation.
func after(number int, step uint32, change func(*envelope)) spoiler {
	return func() func(bool, []byte) [][]byte {
		return func(channel bool, b []byte) [][]byte {
			e, ok := visits(channel, b, number)
			if !ok || mustParse(e.content).sub(number).uint(1) != step {
				return [][]byte{b}
			}
			change(&e)
			return [][]byte{b, e.encode()}
		}
	}
}

// visits returns the Message of a handshake of an invitation; ok is false for others.
func visits(channel bool, b []byte, number int) (e envelope, ok bool) {
	e, err := parseEnvelope(b)
	return e, channel && err == nil && e.sender == 0 && e.recipient == 0 && e.service == serviceSealed && mustParse(e.content).has(number)
}

// somebody is an identity that no case draws.
var somebody = bytes.Repeat([]byte{9}, 32)

// told are the modes of a driver that lies in which it is told other commands than those that come.
var told = map[string]func(c map[string]any){
	"unsealed": func(c map[string]any) { delete(c, "secret") }, // as if groups were not sealed
	"gossips": func(c map[string]any) {
		if s, ok := c["secret"].(string); ok {
			heard.Store(s)
		}
	},
	"unlisted": func(c map[string]any) { delete(c, "allow") },
	"fussy": func(c map[string]any) {
		if s, ok := c["secret"].(string); ok && s != strings.ToLower(strings.TrimSpace(s)) {
			c["secret"] = "not taken"
		}
	},
	"careless": func(c map[string]any) { // with a code alone, where the secret is damaged or not
		if s, ok := c["code"].(string); ok && c["cmd"] == "joinPairing" {
			c["code"] = strings.Split(strings.Replace(s, "#", "-", 1), "-")[0]
		}
	},
	"unaware": func(c map[string]any) { delete(c, "seal") },
	"forgets": func(c map[string]any) {
		if c["cmd"] == "store" {
			delete(c, "secret")
		}
	},
	"keeps": func(c map[string]any) {
		if c["secret"] != nil && c["identity"] == nil {
			c["identity"] = bech32m("mpidsecret", somebody)
		}
	},
}

var (
	reasonIn = regexp.MustCompile(`"reason":"[a-z]*"`)
	secretIn = regexp.MustCompile(`"secret":"[^"]*"`)
)

// retold are those in which it tells other events than come; nil is for one that it keeps back.
var retold = map[string]func(line []byte) []byte{
	"calm": func(line []byte) []byte {
		if bytes.Contains(line, []byte(`"event":"leave"`)) {
			line = bytes.Replace(line, []byte(`"reason":"unsealed"`), []byte(`"reason":"left"`), 1)
			line = bytes.Replace(line, []byte(`"reason":"lost"`), []byte(`"reason":"left"`), 1)
		}
		return line
	},
	"gossips": func(line []byte) []byte {
		secret, _ := heard.Load().(string)
		return bytes.Replace(line, []byte(`"message":"`), []byte(`"message":"`+secret+": "), 1)
	},
	"hasty": func(line []byte) []byte {
		if bytes.Contains(line, []byte(`"event":"connectionEstablished"`)) {
			line = append(line, `{"event":"peerConnected","initiator":true}`+"\n"...)
		}
		return line
	},
	"tight-lipped": func(line []byte) []byte {
		if bytes.Contains(line, []byte(`"event":"connectionClosed"`)) {
			line = []byte(`{"event":"connectionClosed"}` + "\n")
		}
		return line
	},
	"vague": func(line []byte) []byte { return reasonIn.ReplaceAll(line, []byte(`"reason":"secret"`)) },
	"worn": func(line []byte) []byte {
		return secretIn.ReplaceAll(line, []byte(`"secret":"mppair1yqsjygeyy5nzw2pf9g4jctfw9u2kkhte"`))
	},
	"bodiless": func(line []byte) []byte {
		if bytes.Contains(line, []byte(`"event":"message"`)) && len(line) > 4000 {
			return nil
		}
		return line
	},
	"brave": func(line []byte) []byte {
		if bytes.Contains(line, []byte(`"event":"error"`)) && !bytes.Contains(line, []byte(`"n":`)) {
			return nil
		}
		return line
	},
	"reasonless": func(line []byte) []byte { // as the appendix allows
		if bytes.Contains(line, []byte(`"event":"leave"`)) {
			return regexp.MustCompile(`,"reason":"[a-z]*"`).ReplaceAll(line, nil)
		}
		return line
	},
	"mute":     func(line []byte) []byte { return regexp.MustCompile(`,"reason":"[a-z]*"`).ReplaceAll(line, nil) },
	"nameless": func(line []byte) []byte { return regexp.MustCompile(`"invite":"[^"]*",?`).ReplaceAll(line, nil) },
	"alias": func(line []byte) []byte {
		return regexp.MustCompile(`#mpid1[a-z0-9]{58}`).ReplaceAll(line, []byte("#"+bech32m("mpid", somebody)))
	},
}

// TestModestDrivers has drivers leave out what they need not tell: the cases that need it are unsupported, and not failed.
func TestModestDrivers(t *testing.T) {
	t.Parallel()
	targets := honest(t)
	for _, c := range []struct {
		flag, mode string
		cases      []string
	}{
		{"peer", "reasonless", []string{"SEC-28/unsealed", "SEC-34/missing"}},
		{"bot", "nameless", []string{"SEC-20/invited", "SEC-22/joiner", "SEC-53/list"}},
		{"pairpeer", "unaware", []string{"SEC-40/told", "SEC-42/initiator", "SEC-42/joiner", "SEC-47/no-secret", "SEC-49/kept"}},
		{"pairpeer", "mute", []string{"SEC-48/apart"}},
	} {
		target := targets[c.flag](t, mutant{driver: c.mode})
		for _, id := range c.cases {
			t.Run(c.mode+"/"+id, func(t *testing.T) {
				t.Parallel()
				if r := onceMore(t, caseOf(t, everything()[c.flag], id), func() Target { return target }); r.Verdict() != Unsupported {
					t.Error(r)
				}
			})
		}
	}
}

// heard is the secret that a driver was told last.
var heard atomic.Value

// otherwise has a driver be told other commands.
func otherwise(commands io.Reader, change func(map[string]any)) io.Reader {
	r, w := io.Pipe()
	go func() {
		lines := bufio.NewScanner(commands)
		for lines.Scan() {
			line := lines.Bytes()
			var c map[string]any
			if json.Unmarshal(line, &c) == nil {
				change(c)
				line, _ = json.Marshal(c)
			}
			fmt.Fprintf(w, "%s\n", line)
		}
		w.CloseWithError(lines.Err())
	}()
	return r
}

package conformance

import (
	"crypto/ecdh"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// PairSealedCases returns the cases of chapter SEC that judge a client: sealed pairings, SEC-40 to SEC-49. They do not judge that keys
// are renewed (SEC-43), as 2^22 messages would have to be sent before, nor that they are erased (SEC-42), which is not seen.
func PairSealedCases() []*Case {
	all := slices.Concat(secPairing, secShake, secRoads, secEnds)
	slowFirst(all)
	return all
}

// joining has the client join by what its user was told.
func (z *sealedDuet) joining(told string) (driver.Event, error) {
	z.rest.took()
	e, err := z.driver.Do(timeout, driver.Command{"cmd": "joinPairing", "code": told})
	declined(err)
	return e, err
}

// strangeNames are no codes and no hashes.
var strangeNames = []string{
	"", "123456;x", "$(date)", "123 456", "123456\n", "x/123456", "1-2", "1#2", "0_1", "\u202e123456", "١٢٣٤٥٦", strings.Repeat("1", 65),
}

// Secrets: how they are made, told, and kept.
var secPairing = []*Case{
	{"SEC-40/made", []string{"SEC-40"}, Must, "a client makes a new secret for each pairing, with a text of 39 characters", false, inSealedDuet(func(z *sealedDuet) {
		z.ready(nil)
		another := z.makes()
		z.expect(len(z.text()) == 39 && string(another) != string(z.secret), "the secrets of two pairings", "two", z.text())
	})},
	{"SEC-40/told", []string{"SEC-40"}, Must, "what users tell each other is taken in three forms, and the server is asked for the code alone", false, inSealedDuet(func(z *sealedDuet) {
		z.ready(nil)
		z.secret = random32()[:16]
		for _, told := range []string{
			testPair.Code + "-" + z.text(), testPair.Code + "#" + z.text(), "https://pair.example/" + testPair.Code + "#" + z.text(),
			"https://pair-up.example:3000/a-b/" + testPair.Code + "#" + z.text(), testPair.Code + "-" + strings.ToUpper(z.text()), " " + testPair.Code + "-" + z.text() + "\n",
		} {
			e, err := z.joining(told)
			z.expect(err == nil && e.Secret == z.text() && psxPairing{e.Code, e.Hash} == testPair, "joinPairing "+told, fmt.Sprint(testPair, z.text()), fmt.Sprintf("%+v, %v", e, err))
			asked := z.rest.took()
			var body map[string]string
			ok := len(asked) == 1 && json.Unmarshal([]byte(asked[0].body), &body) == nil && len(body) == 1 && body["code"] == testPair.Code
			z.expect(ok && asked[0].url == "/api/code/validate", "joinPairing "+told+" asks the server", "for the code alone", asked)
		}
	})},
	{"SEC-40/refused", []string{"SEC-40", "SEC-48"}, Must, "what is no secret is refused before the server is asked anything, and not told again", false, inSealedDuet(func(z *sealedDuet) {
		z.ready(nil)
		z.secret = random32()[:16]
		good := z.text()
		last := map[bool]string{true: "p", false: "q"}[strings.HasSuffix(good, "q")]
		const some = "mppair1yqsjygeyy5nzw2pf9g4jctfw9u2kkhte"
		texts := []string{
			"", good[:30], good + "q", good[:38], good[:38] + last, "MPPAIR1" + good[7:], bech32m("mpsecret", z.secret), bech32m("mpsecret", random32()),
			bech32m("mppair", z.secret[:15]), bech32m("mppair", random32()[:17]), bech32m("mppair", random32()), "654321", "correct horse battery staple",
			strings.Replace(strings.ToUpper(some), "K", "\u212a", 1), strings.Replace(some, "s", "\u017f", 1), // letters whose other case is in ASCII
			bech32mDigits("mppair", slices.Concat(make([]byte, 25), []byte{1})), // last bits that are not 0
		}
		for _, text := range texts {
			for _, told := range []string{testPair.Code + "-" + text, testPair.Code + "#" + text, "https://pair.example/" + testPair.Code + "#" + text} {
				e, err := z.joining(told)
				z.expect(isAnswer(err), "joinPairing "+told, "an error", fmt.Sprintf("%+v", e))
				z.expect(len(text) < 20 || !strings.Contains(err.Error(), text[7:]), "the error", "nothing of the secret", err)
				asked := z.rest.took()
				z.expect(len(asked) == 0, "joinPairing "+told, "that the server is asked nothing", asked)
			}
		}
		for _, text := range texts[1:] {
			n, err := z.driver.Send(driver.Command{"cmd": "connect", "code": testPair.Code, "hash": testPair.Hash, "secret": text})
			z.try(err)
			e, err := z.driver.Answer(timeout, n)
			z.expect(isAnswer(err), "to connect with "+text, "an error", e.Event)
		}
	})},
	{"SEC-40/server", []string{"SEC-40"}, Must, "another code, and what could be no code or hash, is not taken from a server", false, inSealedDuet(func(z *sealedDuet) {
		z.ready(nil)
		told := testPair.Code + "-" + z.text()
		ask := func(code, hash string, commands ...driver.Command) {
			answer := map[string]string{"code": code, "hash": hash}
			z.rest.answer(map[string]any{"/api/code/get": answer, "/api/code/validate": answer})
			for _, c := range commands {
				e, err := z.driver.Do(timeout, c)
				z.expect(isAnswer(err), fmt.Sprintf("%s, answered by %q and %q", c["cmd"], code, hash), "an error", fmt.Sprintf("%+v", e))
			}
		}
		joins, makes := driver.Command{"cmd": "joinPairing", "code": told}, driver.Command{"cmd": "createPairing"}
		ask("654321", testPair.Hash, joins)
		for _, name := range strangeNames {
			ask(name, testPair.Hash, joins, makes)
			ask(testPair.Code, name, joins, makes)
		}
		z.rest.answer(nil)
		z.do(joins)
	})},
	{"SEC-49/kept", []string{"SEC-49"}, Must, "a pairing is kept with its secret, for its user alone, and each connection has a handshake", false, inSealedDuet(func(z *sealedDuet) {
		dir, err := os.MkdirTemp("", "pairing")
		z.try(err)
		z.atEnd(func() { os.RemoveAll(dir) })
		file := filepath.Join(dir, "kept")
		kept := driver.Command{"store": file, "autoUpgrade": false}
		z.ready(kept)
		z.do(driver.Command{"cmd": "store", "code": testPair.Code, "hash": testPair.Hash, "secret": z.text()})
		bare := testPair.Code + "_" + testPair.Hash
		want := bare + "_" + z.text()
		line, err := os.ReadFile(file)
		z.expect(err == nil && string(line) == want+"\n", "what is kept", want+" and a line feed", fmt.Sprintf("%q, %v", line, err))
		if info, err := os.Stat(file); os.PathSeparator == '/' {
			z.expect(err == nil && info.Mode().Perm()&0o077 == 0, "who may read "+file, "its user", fmt.Sprint(info.Mode(), err))
		}
		for range 2 {
			z.ready(kept)
			e := z.do(driver.Command{"cmd": "restore"})
			z.expect(psxPairing{e.Code, e.Hash} == testPair && e.Secret == z.text(), "the pairing that was kept", want, fmt.Sprintf("%+v", e))
			z.greets(true, kept)
			z.both(z.relay, 1)
		}
		for _, damaged := range []string{
			want + "q\n", want[:len(want)-3] + "\n", bare + "_\n", strings.Replace(want, "mppair1", "mppair1q", 1) + "\n", want + "_x\n", want, bare, bare[:len(bare)-9],
		} {
			z.try(os.WriteFile(file, []byte(damaged), 0o600))
			z.ready(kept)
			e, err := z.driver.Do(timeout, driver.Command{"cmd": "restore"})
			z.expect(err == nil && e.Event == "pairing" && e.Code == "" && e.Hash == "" && e.Secret == "", "restore of "+damaged, "no pairing", fmt.Sprintf("%+v, %v", e, err))
		}
	})},
}

// both roles of the client under test.
var both = map[string]bool{"the initiator": true, "the other one": false}

// zeroFirst is message 1 with the ephemeral key 0, with which all shared keys are 0 (SEC-8).
func (z *sealedDuet) zeroFirst() []byte {
	zero := make([]byte, 32)
	e, err := ecdh.X25519().NewPublicKey(zero)
	z.try(err)
	z.noise.sawE(zero)
	return append(zero, z.noise.encrypt(z.keys.proof(e))...)
}

// The handshake.
var secShake = []*Case{
	{"SEC-42/initiator", []string{"SEC-41", "SEC-42", "SEC-43", "SEC-44"}, Must, "the initiator begins a handshake, and then says all in frames, sealed", false, inSealedDuet(func(z *sealedDuet) {
		z.greets(true, noUpgrade)
		z.converse()
	})},
	{"SEC-42/joiner", []string{"SEC-41", "SEC-42", "SEC-43", "SEC-44"}, Must, "the other one answers a handshake, and then says all in frames, sealed", false, inSealedDuet(func(z *sealedDuet) {
		z.greets(false, noUpgrade)
		z.converse()
	})},
	{"SEC-42/early", []string{"SEC-42"}, Must, "before the handshake is over nobody is told of the peer, and nothing is taken to send", false, inSealedDuet(func(z *sealedDuet) {
		z.begin(true, noUpgrade)
		z.hears(1)
		z.notYet("after message 1")
		z.says(2)
		z.over(z.hears(3))
		z.both(z.relay, 1)
		z.begin(false, noUpgrade)
		z.says(1)
		theirs := z.hears(2)
		z.notYet("before message 3")
		z.says(3)
		z.over(theirs)
		z.both(z.relay, 1)
	})},
	{"SEC-42/new-keys", []string{"SEC-42", "SEC-49"}, Must, "each connection has new keys, static and ephemeral, by the same secret", false, inSealedDuet(func(z *sealedDuet) {
		seen := make(map[string]string)
		for what, initiator := range both {
			for i := range 2 {
				z.greets(initiator, noUpgrade)
				for kind, key := range map[string]*ecdh.PublicKey{"static": z.noise.rs, "ephemeral": z.noise.re} {
					this := fmt.Sprintf("%s key of connection %d as %s", kind, i, what)
					before := seen[string(key.Bytes())]
					z.expect(before == "", "the "+this, "a new one", "the "+before)
					seen[string(key.Bytes())] = this
				}
			}
		}
	})},
	{"SEC-42/recorded", []string{"SEC-42", "SEC-47"}, Must, "who repeats a recorded handshake is not believed", false, inSealedDuet(func(z *sealedDuet) {
		z.begin(false, noUpgrade)
		first := z.message(1)
		z.sends(1, first)
		theirs := z.hears(2)
		third := z.message(3)
		z.sends(3, third)
		z.over(theirs)
		z.begin(false, noUpgrade)
		z.sends(1, first)
		z.wantStep(2)
		z.sends(3, third)
		z.refuses("after a recorded message 3")

		z.begin(true, noUpgrade)
		z.hears(1)
		second := z.message(2)
		z.sends(2, second)
		z.over(z.hears(3))
		z.begin(true, noUpgrade)
		z.wantStep(1)
		z.sends(2, second)
		z.refuses("after a recorded message 2")
	})},
	{"SEC-47/another-secret", []string{"SEC-41", "SEC-42", "SEC-47"}, Must, "who has another secret, code or hash is told nothing, and the connection ends", false, inSealedDuet(func(z *sealedDuet) {
		z.ready(nil)
		for what, other := range map[string]pairKeys{
			"another secret": derivePair(random32()[:16], testPair),
			"another code":   derivePair(z.secret, psxPairing{"654321", testPair.Hash}),
			"another hash":   derivePair(z.secret, psxPairing{testPair.Code, strings.Repeat("fedcba9876543210", 4)}),
			"another gate":   {sealKeys{psk: derivePair(z.secret, testPair).psk, gate: random32()}, derivePair(z.secret, testPair).prologue},
		} {
			z.begin(false, noUpgrade)
			z.keys = other
			z.noise = other.begin(true, newPrivate(), nil)
			z.says(1)
			z.refuses("after message 1 with " + what)

			z.begin(true, noUpgrade)
			z.keys = other
			z.noise = other.begin(false, newPrivate(), nil)
			if _, err := z.noise.read(z.wantStep(1)); err != nil { // it is written for another pairing
				z.noise.next()
			}
			z.says(2)
			z.refuses("after message 2 with " + what)
		}
	})},
	{"SEC-47/psk", []string{"SEC-41", "SEC-47"}, Must, "a message 3 without the psk is not believed", false, inSealedDuet(func(z *sealedDuet) {
		z.begin(false, noUpgrade)
		z.noise.psk = random32()
		z.says(1)
		z.hears(2)
		z.says(3)
		z.refuses("after message 3 with another psk")
	})},
	{"SEC-47/odd", []string{"SEC-42", "SEC-47"}, Must, "a message that the handshake does not wait for, or that is damaged, ends the connection", false, inSealedDuet(func(z *sealedDuet) {
		for what, odd := range map[string]func(){
			"message 2 in place of 1":    func() { z.sends(2, z.message(1)) },
			"message 3 in place of 1":    func() { z.sends(3, z.message(1)) },
			"message 4":                  func() { z.sends(4, z.message(1)) },
			"message 1 of 79 bytes":      func() { z.sends(1, z.message(1)[:79]) },
			"message 1 of 81 bytes":      func() { z.sends(1, append(z.message(1), 0)) },
			"message 1 of no bytes":      func() { z.sends(1, nil) },
			"message 1 with another key": func() { z.sends(1, flipped(z.message(1), 0)) },
			"message 1 with a bit more":  func() { z.sends(1, flipped(z.message(1), 79)) },
			"message 1 with the key 0":   func() { z.sends(1, z.zeroFirst()) },
			"no base64":                  func() { z.socket.say(fmt.Sprintf(stepForm, 1, "!")) },
			"message 1 as a text": func() {
				z.socket.say(fmt.Sprintf(`§{"name":"meshpair.sealed","data":%q}`, base64.StdEncoding.EncodeToString(z.message(1))))
			},
		} {
			z.begin(false, noUpgrade)
			odd()
			z.refuses("after " + what)
		}
		for _, spoil := range []func([]byte) []byte{
			func(b []byte) []byte { return flipped(b, 0) },
			func(b []byte) []byte { return flipped(b, len(b)-1) },
			func(b []byte) []byte { return b[:len(b)-1] },
		} {
			z.begin(false, noUpgrade)
			z.says(1)
			z.hears(2)
			z.sends(3, spoil(z.message(3)))
			z.refuses("after a damaged message 3")
			z.begin(true, noUpgrade)
			z.hears(1)
			z.sends(2, spoil(z.message(2)))
			z.refuses("after a damaged message 2")
		}
	})},
	{"SEC-42/roles", []string{"SEC-42"}, Must, "when a server says to both that they are the initiator they get nowhere", false, inSealedDuet(func(z *sealedDuet) {
		z.begin(true, noUpgrade)
		z.wantStep(1)
		z.noise = z.keys.begin(true, newPrivate(), nil)
		z.says(1)
		z.refuses("after message 1 of another initiator")
	})},
	{"SEC-47/refused", []string{"SEC-47"}, Must, "a refusal ends the handshake", false, inSealedDuet(func(z *sealedDuet) {
		z.begin(true, noUpgrade)
		z.hears(1)
		z.socket.say(saidRefused)
		z.refuses("after a refusal")
		z.begin(false, noUpgrade)
		z.says(1)
		z.hears(2)
		z.socket.say(saidRefused)
		z.refuses("after a refusal")
	})},
	{"SEC-47/refuses", []string{"SEC-47"}, Should, "who ends the handshake says so", false, inSealedDuet(func(z *sealedDuet) {
		z.begin(false, noUpgrade)
		z.sends(1, flipped(z.message(1), 79))
		z.expect(z.refuses("after a wrong proof"), "before the close frame", saidRefused, "nothing of it")
		z.begin(true, noUpgrade)
		z.hears(1)
		z.sends(2, flipped(z.message(2), 79))
		z.expect(z.refuses("after a damaged message 2"), "before the close frame", saidRefused, "nothing of it")
	})},
	{"SEC-47/silence", []string{"SEC-47"}, Must, "a handshake that is not over 10 s after peer.connected ends the connection", true, inSealedDuet(func(z *sealedDuet) {
		z.begin(true, noUpgrade)
		began := time.Now()
		z.hears(1)
		z.ends("after 10 s of silence")
		took := time.Since(began)
		z.expect(took > 9*time.Second, "the connection ends", "after 10 s", took)
	})},
}

// converse has the two say all kinds of messages to each other.
func (z *sealedDuet) converse() {
	z.both(z.relay, 1)
	for i, text := range []string{"PING", "§", `§{"name":"peer.signal"}`, "", "été"} {
		number := uint64(i + 2)
		z.userSays(text)
		z.wantPart(z.relay.road, part{partText, number, text})
		z.relay.say(part{partText, number, text})
		z.expectUser("a text in a frame", text)
	}
	z.do(driver.Command{"cmd": "send", "base64": "AAE="})
	z.wantPart(z.relay.road, part{partBinary, 7, "\x00\x01"})
	z.relay.say(part{partMore, 7, "\x00"}, part{partBinary, 8, "\x02"})
	z.expectUser("bytes in two frames", "\x00\x02")
}

package conformance

import "bytes"

// Clients of sealed pairings that are wrong in one respect each.
var pairingMutants = []mutant{
	{name: "seals nothing", driver: "unsealed", cases: []string{"SEC-42/initiator", "SEC-42/joiner", "SEC-45/cut", "SEC-46/initiator", "SEC-49/kept"}},
	{name: "takes the code alone where the secret is damaged", driver: "careless", cases: []string{"SEC-40/refused", "SEC-40/told"}},
	{name: "has one secret for all", driver: "worn", cases: []string{"SEC-40/made"}},
	{name: "keeps a pairing without its secret", driver: "forgets", cases: []string{"SEC-49/kept"}},
	{name: "its driver claims everything", driver: "claims", cases: []string{"SEC-40/refused", "SEC-40/server", "SEC-42/early"}},
	{name: "its user hears of the peer before the handshake", driver: "hasty", cases: []string{"SEC-42/early", "SEC-47/odd", "SEC-47/silence"}},
	{name: "its user hears of no reason", driver: "tight-lipped", cases: []string{"SEC-44/forged", "SEC-45/cut", "SEC-47/no-secret"}},
	{name: "its user hears the secret in errors", driver: "gossips", cases: []string{"SEC-48/apart", "SEC-44/forged"}},
	{name: "its user hears of one reason", driver: "vague", cases: []string{"SEC-48/apart"}},
	{name: "a handshake without a proof", spoil: each(func(_ bool, b []byte) []byte {
		s, ok := stepOf(&frame{op: opText, payload: b})
		if !ok || s.Step == 0 {
			return b
		}
		return stepText(s.Step, flipped(s.Data, 40))
	}), cases: []string{"SEC-42/initiator", "SEC-42/joiner", "SEC-48/apart"}},
	{name: "says hello as it is", spoil: beside(1, "§"+`{"name":"meshpair.hello","data":`+suiteHello+`}`), cases: []string{"SEC-42/initiator"}},
	{name: "says hello as it is, when it answers", spoil: beside(2, "§"+`{"name":"meshpair.hello","data":`+suiteHello+`}`), cases: []string{"SEC-42/joiner", "SEC-42/early"}},
	{name: "goes on with whomever", spoil: each(func(_ bool, b []byte) []byte {
		if string(b) == saidRefused {
			return stepText(3, make([]byte, 100))
		}
		return b
	}), cases: []string{"SEC-42/recorded", "SEC-42/roles", "SEC-47/another-secret", "SEC-47/odd", "SEC-47/unsealed"}},
	{name: "says nothing when it refuses", spoil: each(func(_ bool, b []byte) []byte {
		if string(b) == saidRefused {
			return nil
		}
		return b
	}), cases: []string{"SEC-47/refuses"}},
	{name: "sends what it seals twice", spoil: func() func(bool, []byte) [][]byte {
		return func(channel bool, b []byte) [][]byte {
			if channel || bytes.HasPrefix(b, []byte("§")) {
				return [][]byte{b}
			}
			return [][]byte{b, b}
		}
	}, cases: []string{"SEC-42/initiator", "SEC-45/nothing"}},
	{name: "offers under another name", spoil: inWords("peer.signal", "peer.offer"), cases: []string{"SEC-46/initiator"}},
	{name: "no last text", spoil: withoutWords("meshpair.end"), cases: []string{"SEC-45/says", "SEC-45/nothing", "SEC-45/both"}},
	{name: "another number in its last text", spoil: inWords(`"after":2`, `"after":1`), cases: []string{"SEC-45/says"}},
	{name: "tells nobody that its data channel has ended", spoil: withoutWords("meshpair.closed"), cases: []string{"SEC-46/joiner"}},
	{name: "changes a word of its user", spoil: inWords("a word of a user", "a word of another"), cases: []string{"SEC-42/joiner", "SEC-46/joiner", "SEC-47/ping"}},
	{name: "takes no notice of what is forged", dull: "forged", cases: []string{"SEC-44/forged", "SEC-44/channel"}},
	{name: "takes no notice of what is not sealed", dull: "unsealed", cases: []string{"SEC-47/unsealed", "SEC-47/again"}},
}

// beside has a client say something else beside each message of some step of a handshake.
func beside(step int, text string) spoiler {
	return func() func(bool, []byte) [][]byte {
		return func(_ bool, b []byte) [][]byte {
			if s, ok := stepOf(&frame{op: opText, payload: b}); ok && s.Step == step {
				return [][]byte{b, []byte(text)}
			}
			return [][]byte{b}
		}
	}
}

// withoutWords loses the messages of a client that have a text in them.
func withoutWords(text string) spoiler {
	return each(func(_ bool, b []byte) []byte {
		if bytes.Contains(b, []byte(text)) {
			return nil
		}
		return b
	})
}

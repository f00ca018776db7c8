package conformance

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Members that are wrong in one respect each: what the member under test sends is changed on
// its way in.
var memberMutants = []mutant{
	{name: "connect without members", spoil: inSignaling(3, func(fs fields) fields { return fs.without(2) }),
		cases: []string{"STA-6/joiner", "STA-9/member-leaves", "STA-13/signaling-lost", "SIG-39/each-code"}},
	{name: "connect with another id", spoil: inSignaling(3, func(fs fields) fields { return fs.with(1, fs.find(1).value^1) }),
		cases: []string{"STA-3/first-member"}},
	{name: "lastData", spoil: inSignaling(2, func(fs fields) fields { return fs.with(3, 1) }), cases: []string{"BLD-4/request"}},
	{name: "a request with content", spoil: inService(serviceBuilder, 2, func(channel bool, f *field) {
		if !channel {
			f.bytes = []byte{8, 1}
		}
	}), cases: []string{"BLD-4/request"}},
	{name: "a request with another id", spoil: inService(serviceBuilder, 2, func(channel bool, f *field) {
		if channel {
			f.bytes = mustParse(f.bytes).with(1, 1<<31).encode()
		}
	}), cases: []string{"MSH-5/asks-all", "MSH-12/asks-missing"}},
	{name: "always agrees", spoil: inService(serviceBuilder, 3, func(_ bool, f *field) { f.value = 1 }), cases: []string{"MSH-7/denies"}},
	{name: "never agrees", spoil: inService(serviceBuilder, 3, func(_ bool, f *field) { f.value = 0 }), cases: []string{"BLD-5/answers", "MSH-7/admits", "BLD-10/noise"}},
	{name: "has tried all", spoil: inService(serviceBuilder, 1, func(_ bool, f *field) {
		n := mustParse(f.bytes)
		n.find(1).bytes = n.sub(1).with(7, 1).encode()
		f.bytes = n.encode()
	}), cases: []string{"BLD-4/request"}},
	{name: "initPing without members", spoil: inInit(1, func(f *field) { f.bytes = mustParse(f.bytes).without(4).encode() }),
		cases: []string{"CHN-12/init-ping"}},
	{name: "initPing with another key", spoil: inInit(1, func(f *field) {
		ping := mustParse(f.bytes)
		ping.find(5).bytes = []byte("another")
		f.bytes = ping.encode()
	}), cases: []string{"CHN-12/init-ping"}},
	{name: "initPong with another id", spoil: inInit(2, func(f *field) { f.value ^= 1 }), cases: []string{"STA-6/joiner", "CHN-7/odd-label"}},
	{name: "no heartbeats", spoil: inEnvelope(serviceBeat, func(bool, fields) fields { return nil }), cases: []string{"CHN-18/heartbeats"}},
	{name: "heartbeats to all", spoil: inEnvelope(serviceBeat, func(_ bool, fs fields) fields { return fs.with(2, 0) }), cases: []string{"CHN-18/heartbeats"}},
	{name: "no distant heartbeats", spoil: inService(serviceMesh, 4, func(_ bool, f *field) { f.number = 9 }), cases: []string{"MSH-13/distant-heartbeats"}},
	{name: "adjacentMembers of nobody", spoil: inService(serviceMesh, 3, func(_ bool, f *field) { f.bytes = []byte{} }), cases: []string{"MSH-9/notices"}},
	{name: "text as bytes", spoil: inService(serviceUser, 2, func(_ bool, f *field) { f.value = 1 - f.value&1 }), cases: []string{"MSG-3/whole", "MSH-15/broadcast"}},
	{name: "empty messages without full", spoil: inEnvelope(serviceUser, func(_ bool, fs fields) fields {
		content := mustParse(fs.bytes(4))
		if content.has(3) && len(content.bytes(3)) == 0 {
			fs.find(4).bytes = content.without(3).encode()
		}
		return fs
	}), cases: []string{"MSG-3/whole"}},
	{name: "one chunk id", spoil: inService(serviceUser, 4, func(_ bool, f *field) { f.bytes = mustParse(f.bytes).with(1, 5).encode() }),
		cases: []string{"MSG-5/ids"}},
	{name: "chunks counted from 1", spoil: inService(serviceUser, 4, func(_ bool, f *field) {
		c := mustParse(f.bytes)
		f.bytes = c.with(2, uint64(c.uint(2))+1).encode()
	}), cases: []string{"MSG-4/chunks", "CHN-5/burst", "MSG-6/order"}},
	{name: "short chunks", spoil: inService(serviceUser, 4, func(_ bool, f *field) {
		c := mustParse(f.bytes)
		c.find(4).bytes = c.bytes(4)[1:]
		f.bytes = c.encode()
	}), cases: []string{"MSG-4/chunks"}},
	{name: "messages to all for one", spoil: inEnvelope(serviceUser, func(_ bool, fs fields) fields { return fs.with(2, 0) }),
		cases: []string{"MSG-3/whole", "MSG-1/to-one", "MSH-16/next-hop"}},
	{name: "forwarded as its own", spoil: inEnvelope(4242, func(_ bool, fs fields) fields { return fs.with(1, 1<<31) }), cases: []string{"MSH-19/forward"}},
	{name: "closes with 1001", code: 1001, cases: []string{"STA-17/leave", "BLD-12/websocket"}},
	{name: "chunks out of order", spoil: swap(inChunk), cases: []string{"MSG-4/chunks"}},
	{name: "messages out of order", spoil: swap(inFull), cases: []string{"MSG-6/order"}},
	{name: "sends everything twice", spoil: twice, cases: []string{"BLD-4/request", "MSG-4/chunks", "SIG-25/late-answer"}},
	{name: "a relay that drops", spoil: inEnvelope(4242, func(bool, fields) fields { return nil }), cases: []string{"MSH-19/forward"}},
	{name: "its requests are lost", spoil: inService(serviceBuilder, 2, func(_ bool, f *field) { f.number = 9 }),
		cases: []string{"BLD-4/request", "MSH-5/asks-all", "STA-20/denied"}},
	{name: "an offer that is no SDP", spoil: inService(serviceRTC, 1, func(_ bool, f *field) { f.bytes = []byte("v=0") }),
		cases: []string{"CHN-12/init-ping", "BLD-5/answers"}},
	{name: "candidates without sdpMid", spoil: inService(serviceRTC, 3, func(_ bool, f *field) { f.bytes = mustParse(f.bytes).without(2).encode() }),
		cases: []string{"BLD-20/form"}},
	{name: "numbers that skip one", spoil: inService(serviceUser, 77, func(_ bool, f *field) { f.value++ }), cases: []string{"EXT-4/numbers", "EXT-3/lost-sequence"}},
	{name: "acknowledges what has not come", spoil: inService(serviceDelivery, 2, func(_ bool, f *field) {
		a := mustParse(f.bytes)
		f.bytes = a.with(2, a.find(2).value+1).encode()
	}), cases: []string{"EXT-5/once-and-in-order"}},
	{name: "hello of session 0", spoil: inService(serviceDelivery, 1, func(_ bool, f *field) { f.bytes = mustParse(f.bytes).with(2, 0).encode() }),
		cases: []string{"EXT-2/hello-first", "EXT-4/numbers"}},
	{name: "no bye", spoil: inService(serviceDelivery, 4, func(_ bool, f *field) { f.number = 9 }), cases: []string{"EXT-10/bye"}},
	{name: "no probes", spoil: inService(serviceDelivery, 3, func(_ bool, f *field) { f.number = 9 }), cases: []string{"EXT-9/probes", "EXT-11/dead-channel"}},
	{name: "fields in reverse", spoil: inEnvelope(serviceUser, func(_ bool, fs fields) fields { slices.Reverse(fs); return fs }),
		cases: []string{"WIR-14/canonical"}},
	{name: "a field of its own", spoil: inEnvelope(serviceUser, func(_ bool, fs fields) fields { return fs.with(99, 1) }),
		cases: []string{"WIR-15/no-unknown-fields"}},
	{name: "connects no more than twice", spoil: loseConnects(2), cases: []string{"STA-19/silent", "STA-9/member-leaves", "STA-20/asked"}},
	{name: "joins anew when it is led", spoil: inInit(2, func(f *field) { f.value ^= 1 }), cases: []string{"STA-20/led", "MSH-25/tells"}},
	{name: "asks a way in twice", spoil: requestTwice, cases: []string{"STA-20/twice", "BLD-4/request"}},
	{name: "asks a way in when it is alone", spoil: requestFirst, cases: []string{"STA-20/alone"}},
	{name: "tells nobody of another part", spoil: inService(serviceMesh, 1, func(_ bool, f *field) { f.number = 9 }), cases: []string{"MSH-25/tells"}},
	{name: "is JOINING when it is led", driver: "wavers", cases: []string{"STA-20/stays-joined"}},
	{name: "its driver claims everything", driver: "claims", cases: []string{"DRV-1/peer"}},
	{name: "its driver ends with status 1", driver: "status", cases: []string{"DRV-3/peer"}},
	{name: "it counts ids below 2^31 as members", driver: "ghost", cases: []string{"CHN-3/spoofed", "MSH-14/unknown"}},
	{name: "its user hears of no leave", driver: "deaf", cases: []string{"STA-12/alone", "CHN-19/silence"}},
	{name: "seals nothing", driver: "unsealed", cases: []string{"SEC-4/room-name", "SEC-8/joiner", "SEC-27/unsealed"}},
	{name: "its user hears of no refusal", driver: "discreet", cases: []string{"SEC-9/impostor", "SEC-26/list"}},
	{name: "its user hears of an identity too many", driver: "misnames", cases: []string{"SEC-8/member"}},
	{name: "a handshake without a proof", spoil: inService(serviceSealed, 1, func(_ bool, f *field) {
		h := mustParse(f.bytes)
		h.find(2).bytes = flipped(h.bytes(2), 40)
		f.bytes = h.encode()
	}), cases: []string{"SEC-8/joiner", "SEC-8/member", "SEC-11/another-id"}},
	{name: "sealed messages to all", spoil: inEnvelope(serviceSealed, func(channel bool, fs fields) fields {
		if channel {
			return fs.with(2, 0)
		}
		return fs
	}), cases: []string{"SEC-8/joiner"}},
	{name: "one counter", spoil: inService(serviceSealed, 2, func(_ bool, f *field) { f.bytes = mustParse(f.bytes).with(2, 0).encode() }),
		cases: []string{"SEC-8/joiner", "SEC-17/sends"}},
	{name: "a body for none", spoil: inService(serviceSealed, 2, func(_ bool, f *field) { f.bytes = mustParse(f.bytes).without(4).encode() }),
		cases: []string{"SEC-17/sends"}},
	{name: "passes on nothing that is sealed", spoil: inEnvelope(serviceSealed, func(channel bool, fs fields) fields {
		if channel && fs.uint(1) == member(5) {
			return nil
		}
		return fs
	}), cases: []string{"SEC-36/forwards"}},
	{name: "sealed initPing with the key of another group", spoil: inService(serviceBeat, 1, func(_ bool, f *field) {
		p := mustParse(f.bytes)
		p.find(5).bytes = []byte("another")
		f.bytes = p.encode()
	}), cases: []string{"SEC-4/room-name"}},
	{name: "sealed initPing without identities", spoil: inService(serviceBeat, 1, func(_ bool, f *field) { f.bytes = mustParse(f.bytes).without(77).encode() }),
		cases: []string{"SEC-8/member"}},
	{name: "sealed initPong with another id", spoil: inService(serviceBeat, 2, func(_ bool, f *field) { f.value ^= 1 }),
		cases: []string{"SEC-8/joiner", "SEC-22/dials"}},
	{name: "bye without end", spoil: inService(serviceDelivery, 5, func(_ bool, f *field) { f.number = 9 }), cases: []string{"SEC-34/end"}},
	{name: "messages to all that do not say so", spoil: inService(serviceUser, 79, func(_ bool, f *field) { f.number = 80 }), cases: []string{"SEC-17/sends"}},
	{name: "sealed messages that it lets pass again", spoil: twice, cases: []string{"SEC-8/joiner", "SEC-15/replayed"}},
	{name: "message 3 for whomever", spoil: thirdForAll, cases: []string{"SEC-9/impostor", "SEC-26/list"}},
	{name: "message 2 for strangers", spoil: secondForAll, cases: []string{"SEC-9/stranger", "SEC-29/recorded"}},
	{name: "a handshake that never comes again", spoil: firstOnce, cases: []string{"SEC-19/repeated"}},
	{name: "its user hears messages twice", driver: "twice", cases: []string{"MSG-10/doubles"}},
}

// Bots that are wrong in one respect each.
var botMutants = []mutant{
	{name: "connect without members", spoil: inSignaling(3, func(fs fields) fields { return fs.without(2) }),
		cases: []string{"STA-6/invited", "STA-13/favored-again"}},
	{name: "initPong with another id", spoil: inInit(2, func(f *field) { f.value ^= 1 }), cases: []string{"CHN-10/invitation", "CHN-29/alone"}},
	{name: "initPing without members", spoil: inInit(1, func(f *field) { f.bytes = mustParse(f.bytes).without(4).encode() }),
		cases: []string{"CHN-10/joiner"}},
	{name: "initPing with another key", spoil: inInit(1, func(f *field) {
		ping := mustParse(f.bytes)
		ping.find(5).bytes = []byte("another")
		f.bytes = ping.encode()
	}), cases: []string{"CHN-10/joiner", "CHN-10/key"}},
	{name: "listens nowhere", spoil: inInfo(func(fs fields) fields { return fs.without(2) }),
		cases: []string{"CHN-10/inside", "CHN-10/joiner", "CHN-31/negotiated", "BLD-12/asked-inside"}},
	{name: "in another group", spoil: inInfo(func(fs fields) fields { return fs.with(3, 1<<31) }), cases: []string{"CHN-10/inside", "BLD-12/asked-inside"}},
	{name: "never agrees", spoil: inService(serviceBuilder, 3, func(_ bool, f *field) { f.value = 0 }), cases: []string{"CHN-10/joiner", "BLD-13/no-way-left"}},
	{name: "speaks as another", spoil: inEnvelope(serviceUser, func(_ bool, fs fields) fields { return fs.with(1, 1<<31) }), cases: []string{"CHN-27/isolated"}},
	{name: "loses a chunk", spoil: loseOne(100), cases: []string{"CHN-5/socket-burst"}},
	{name: "closes with 1001", code: 1001, cases: []string{"CHN-10/left"}},
	{name: "its driver claims everything", driver: "claims", cases: []string{"DRV-1/bot"}},
}

// inInfo changes both Infos of a negotiation.
func inInfo(change func(fields) fields) spoiler {
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

// A spoiler makes what changes the messages of one run.
type spoiler func() func(channel bool, message []byte) [][]byte

// each changes every message alone; nil means that it is lost.
func each(change func(channel bool, message []byte) []byte) spoiler {
	return func() func(bool, []byte) [][]byte {
		return func(channel bool, b []byte) [][]byte {
			if b = change(channel, b); b == nil {
				return nil
			}
			return [][]byte{b}
		}
	}
}

func twice() func(bool, []byte) [][]byte {
	return func(_ bool, b []byte) [][]byte { return [][]byte{b, b} }
}

// swap has the second message on a channel that matches come before the first one.
func swap(match func([]byte) bool) spoiler {
	return func() func(bool, []byte) [][]byte {
		var mu sync.Mutex
		var held []byte
		done := false
		return func(channel bool, b []byte) [][]byte {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case done || !channel || !match(b):
				return [][]byte{b}
			case held == nil:
				held = b
				return nil
			}
			done = true
			return [][]byte{b, held}
		}
	}
}

// loseOne loses the n-th user message on a channel.
func loseOne(n int32) spoiler {
	return func() func(bool, []byte) [][]byte {
		var seen atomic.Int32
		return func(channel bool, b []byte) [][]byte {
			if channel && inText(b) && seen.Add(1) == n {
				return nil
			}
			return [][]byte{b}
		}
	}
}

// loseConnects loses all connects but the first n.
func loseConnects(n int32) spoiler {
	return func() func(bool, []byte) [][]byte {
		var seen atomic.Int32
		return func(channel bool, b []byte) [][]byte {
			if !channel && mustParse(b).has(3) && seen.Add(1) > n {
				return nil
			}
			return [][]byte{b}
		}
	}
}

// shakes returns the Message of a handshake of some step that a message has in it; ok is false for others.
func shakes(channel bool, b []byte, step uint32) (e envelope, ok bool) {
	if !channel {
		b = mustParse(b).sub(2).bytes(4)
	}
	e, err := parseEnvelope(b)
	return e, err == nil && e.service == serviceSealed && mustParse(e.content).sub(1).uint(1) == step
}

// thirdForAll has a message 3 come after each message 1.
func thirdForAll() func(bool, []byte) [][]byte {
	return func(channel bool, b []byte) [][]byte {
		e, ok := shakes(channel, b, 1)
		if !ok {
			return [][]byte{b}
		}
		e.content = handshakeMessage(3, make([]byte, 72))
		third := e.encode()
		if !channel {
			third = content{data: third}.message()
		}
		return [][]byte{b, third}
	}
}

// secondForAll has each message 2 go to the peer before as well that the server has led.
func secondForAll() func(bool, []byte) [][]byte {
	return func(channel bool, b []byte) [][]byte {
		if _, ok := shakes(channel, b, 2); !ok || channel {
			return [][]byte{b}
		}
		c := mustParse(b).sub(2)
		return [][]byte{b, content{recipient: c.uint(2) - 1, data: c.bytes(4)}.message()}
	}
}

// firstOnce has no message 1 come twice.
func firstOnce() func(bool, []byte) [][]byte {
	var seen sync.Map
	return func(channel bool, b []byte) [][]byte {
		if e, ok := shakes(channel, b, 1); ok {
			if _, twice := seen.LoadOrStore(string(e.content), true); twice {
				return nil
			}
		}
		return [][]byte{b}
	}
}

// requestTwice has each connectionRequest through signaling come twice.
func requestTwice() func(bool, []byte) [][]byte {
	return func(channel bool, b []byte) [][]byte {
		if fs := mustParse(b); !channel && fs.has(2) && mustParse(mustParse(fs.sub(2).bytes(4)).bytes(4)).has(2) {
			return [][]byte{b, b}
		}
		return [][]byte{b}
	}
}

// requestFirst has a connectionRequest to a member come with the second connect.
func requestFirst() func(bool, []byte) [][]byte {
	var seen atomic.Int32
	return func(channel bool, b []byte) [][]byte {
		if !channel && mustParse(b).has(3) && seen.Add(1) == 2 {
			c := content{data: envelope{0, 0, serviceBuilder, connectionRequest([]byte{})}.encode()}
			return [][]byte{b, c.message()}
		}
		return [][]byte{b}
	}
}

// userContent is the content of a user message, or nil.
func userContent(b []byte) fields {
	fs, err := parse(b)
	if err != nil || fs.uint(3) != serviceUser || fs.bytes(4) == nil {
		return nil
	}
	return mustParse(fs.bytes(4))
}

func inChunk(b []byte) bool { return userContent(b).has(4) }
func inFull(b []byte) bool  { return userContent(b).has(3) }
func inText(b []byte) bool  { return userContent(b) != nil }

// with returns the fields with a varint field set.
func (fs fields) with(number int, v uint64) fields {
	return append(fs.without(number), field{number: number, value: v})
}

// inSignaling changes one member of a signaling.Message.
func inSignaling(number int, change func(fields) fields) spoiler {
	return each(func(channel bool, b []byte) []byte {
		fs := mustParse(b)
		if f := fs.find(number); !channel && f != nil {
			f.bytes = change(mustParse(f.bytes)).encode()
			return fs.encode()
		}
		return b
	})
}

// inEnvelope changes Messages of a service, on channels and in contents; nil means
// that it is lost.
func inEnvelope(service uint32, change func(channel bool, fs fields) fields) spoiler {
	spoil := func(channel bool, b []byte) []byte {
		fs, err := parse(b)
		if err != nil || !fs.has(1) || fs.find(1).bytes != nil || fs.uint(3) != service {
			return b
		}
		if fs = change(channel, fs); fs == nil {
			return nil
		}
		return fs.encode()
	}
	return each(func(channel bool, b []byte) []byte {
		if channel {
			return spoil(true, b)
		}
		fs := mustParse(b)
		if f := fs.find(2); f != nil {
			content := mustParse(f.bytes)
			if data := content.find(4); data != nil {
				data.bytes = spoil(false, data.bytes)
			}
			f.bytes = content.encode()
			return fs.encode()
		}
		return b
	})
}

// inService changes one field of a service's messages.
func inService(service uint32, number int, change func(channel bool, f *field)) spoiler {
	return inEnvelope(service, func(channel bool, fs fields) fields {
		data := fs.find(4)
		if data == nil {
			return fs
		}
		content := mustParse(data.bytes)
		if f := content.find(number); f != nil {
			change(channel, f)
			data.bytes = content.encode()
		}
		return fs
	})
}

// inInit changes initPing (1) or initPong (2).
func inInit(number int, change func(*field)) spoiler {
	return each(func(channel bool, b []byte) []byte {
		fs := mustParse(b)
		if f := fs.find(number); channel && len(fs) == 1 && f != nil {
			change(f)
			return fs.encode()
		}
		return b
	})
}

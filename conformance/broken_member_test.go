package conformance

import (
	"slices"
	"testing"
)

// TestBrokenMembers runs cases on members that are wrong in one respect each, to
// see that the cases notice: what the member under test sends is changed on its way
// in. The same cases pass when nothing is changed.
func TestBrokenMembers(t *testing.T) {
	t.Parallel()
	peers := peerPool(t, 8)
	seen := make(map[string]bool)
	for _, test := range []struct {
		name  string
		spoil func(bool, []byte) []byte
		fail  []string // cases that must fail
	}{
		{"connect without members", inSignaling(3, func(fs fields) fields { return fs.without(2) }),
			[]string{"STA-6/joiner", "STA-9/member-leaves", "STA-13/signaling-lost"}},
		{"connect with another id", inSignaling(3, func(fs fields) fields { return fs.with(1, fs.find(1).value^1) }),
			[]string{"STA-3/first-member"}},
		{"lastData", inSignaling(2, func(fs fields) fields { return fs.with(3, 1) }), []string{"BLD-4/request"}},
		{"a request with content", inService(serviceBuilder, 2, func(channel bool, f *field) {
			if !channel {
				f.bytes = []byte{8, 1}
			}
		}), []string{"BLD-4/request"}},
		{"a request with another id", inService(serviceBuilder, 2, func(channel bool, f *field) {
			if channel {
				f.bytes = mustParse(f.bytes).with(1, 1<<31).encode()
			}
		}), []string{"MSH-5/asks-all", "MSH-12/asks-missing"}},
		{"always agrees", inService(serviceBuilder, 3, func(_ bool, f *field) { f.value = 1 }), []string{"MSH-7/denies"}},
		{"never agrees", inService(serviceBuilder, 3, func(_ bool, f *field) { f.value = 0 }), []string{"BLD-5/answers", "MSH-7/admits"}},
		{"has tried all", inService(serviceBuilder, 1, func(_ bool, f *field) {
			n := mustParse(f.bytes)
			n.find(1).bytes = n.sub(1).with(7, 1).encode()
			f.bytes = n.encode()
		}), []string{"BLD-4/request"}},
		{"initPing without members", inInit(1, func(f *field) { f.bytes = mustParse(f.bytes).without(4).encode() }),
			[]string{"CHN-12/init-ping"}},
		{"initPing with another key", inInit(1, func(f *field) {
			ping := mustParse(f.bytes)
			ping.find(5).bytes = []byte("another")
			f.bytes = ping.encode()
		}), []string{"CHN-12/init-ping"}},
		{"initPong with another id", inInit(2, func(f *field) { f.value ^= 1 }), []string{"STA-6/joiner", "CHN-7/odd-label"}},
		{"no heartbeats", inEnvelope(serviceBeat, func(bool, fields) fields { return nil }), []string{"CHN-18/heartbeats"}},
		{"heartbeats to all", inEnvelope(serviceBeat, func(_ bool, fs fields) fields { return fs.with(2, 0) }), []string{"CHN-18/heartbeats"}},
		{"no distant heartbeats", inService(serviceMesh, 4, func(_ bool, f *field) { f.number = 9 }), []string{"MSH-13/distant-heartbeats"}},
		{"adjacentMembers of nobody", inService(serviceMesh, 3, func(_ bool, f *field) { f.bytes = []byte{} }), []string{"MSH-9/notices"}},
		{"text as bytes", inService(serviceUser, 2, func(_ bool, f *field) { f.value = 1 - f.value&1 }), []string{"MSG-3/whole", "MSH-15/broadcast"}},
		{"empty messages without full", inEnvelope(serviceUser, func(_ bool, fs fields) fields {
			content := mustParse(fs.bytes(4))
			if content.has(3) && len(content.bytes(3)) == 0 {
				fs.find(4).bytes = content.without(3).encode()
			}
			return fs
		}), []string{"MSG-3/whole"}},
		{"one chunk id", inService(serviceUser, 4, func(_ bool, f *field) { f.bytes = mustParse(f.bytes).with(1, 5).encode() }),
			[]string{"MSG-5/ids"}},
		{"chunks counted from 1", inService(serviceUser, 4, func(_ bool, f *field) {
			c := mustParse(f.bytes)
			f.bytes = c.with(2, uint64(c.uint(2))+1).encode()
		}), []string{"MSG-4/chunks", "CHN-5/burst", "MSG-6/order"}},
		{"short chunks", inService(serviceUser, 4, func(_ bool, f *field) {
			c := mustParse(f.bytes)
			c.find(4).bytes = c.bytes(4)[1:]
			f.bytes = c.encode()
		}), []string{"MSG-4/chunks"}},
		{"messages to all for one", inEnvelope(serviceUser, func(_ bool, fs fields) fields { return fs.with(2, 0) }),
			[]string{"MSG-3/whole", "MSG-1/to-one", "MSH-16/next-hop"}},
		{"forwarded as its own", inEnvelope(4242, func(_ bool, fs fields) fields { return fs.with(1, 1<<31) }), []string{"MSH-19/forward"}},
	} {
		for _, id := range test.fail {
			c := caseOf(t, MemberCases(), id)
			if !seen[id] {
				seen[id] = true
				t.Run("none/"+id, func(t *testing.T) {
					t.Parallel()
					if r := c.Run(Target{Peers: peers}); r.Failed() {
						t.Error(r)
					}
				})
			}
			t.Run(test.name+"/"+id, func(t *testing.T) {
				t.Parallel()
				if r := c.Run(Target{Peers: peers, spoil: test.spoil}); !r.Failed() {
					t.Error(r)
				} else {
					t.Log(r)
				}
			})
		}
	}
}

func caseOf(t *testing.T, all []*Case, id string) *Case {
	i := slices.IndexFunc(all, func(c *Case) bool { return c.ID == id })
	if i < 0 {
		t.Fatalf("there is no case %s", id)
	}
	return all[i]
}

// with returns the fields with a varint field set.
func (fs fields) with(number int, v uint64) fields {
	return append(fs.without(number), field{number: number, value: v})
}

func (fs fields) without(number int) fields {
	return slices.DeleteFunc(slices.Clone(fs), func(f field) bool { return f.number == number })
}

// inSignaling changes one member of a signaling.Message.
func inSignaling(number int, change func(fields) fields) func(bool, []byte) []byte {
	return func(channel bool, b []byte) []byte {
		fs := mustParse(b)
		if f := fs.find(number); !channel && f != nil {
			f.bytes = change(mustParse(f.bytes)).encode()
			return fs.encode()
		}
		return b
	}
}

// inEnvelope changes Messages of a service, on channels and in contents; nil means
// that it is lost.
func inEnvelope(service uint32, change func(channel bool, fs fields) fields) func(bool, []byte) []byte {
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
	return func(channel bool, b []byte) []byte {
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
	}
}

// inService changes one field of a service's messages.
func inService(service uint32, number int, change func(channel bool, f *field)) func(bool, []byte) []byte {
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
func inInit(number int, change func(*field)) func(bool, []byte) []byte {
	return func(channel bool, b []byte) []byte {
		fs := mustParse(b)
		if f := fs.find(number); channel && len(fs) == 1 && f != nil {
			change(f)
			return fs.encode()
		}
		return b
	}
}

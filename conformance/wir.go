package conformance

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/meshpair/meshpair/conformance/driver"
)

// A schema says how a message is written (WIR-14).
type schema struct {
	always []int          // fields that are always written
	maybe  []int          // those that are written unless default or absent
	oneof  []int          // of which one is written, always
	sub    map[int]schema // embedded messages
	bytes  []int          // those of maybe of which empty is not absent
	ext    []int          // of extensions (EXT-1)
}

var (
	infoSchema     = schema{always: []int{3, 4, 5, 6, 7}, maybe: []int{1, 2}}
	peersSchema    = schema{maybe: []int{1}}
	signalSchema   = schema{oneof: []int{1, 2, 3, 4}, sub: map[int]schema{2: {always: []int{1, 2}, maybe: []int{3, 4}, bytes: []int{4}}, 3: {always: []int{1}, maybe: []int{2}}}}
	envelopeSchema = schema{always: []int{1, 2, 3}, maybe: []int{4}, bytes: []int{4}}
	channelSchema  = schema{oneof: []int{1, 2}, sub: map[int]schema{1: {always: []int{1, 2, 3, 5}, maybe: []int{4}}}}
	serviceSchemas = map[uint32]schema{
		serviceBuilder: {oneof: []int{1, 2, 3}, sub: map[int]schema{1: {always: []int{1}, maybe: []int{2}, sub: map[int]schema{1: infoSchema, 2: infoSchema}}}},
		serviceRTC:     {oneof: []int{1, 2, 3}, sub: map[int]schema{3: {always: []int{1, 2, 3}}}},
		serviceMesh:    {oneof: []int{1, 3, 4}, sub: map[int]schema{1: peersSchema, 3: peersSchema}},
		serviceUser:    {always: []int{1, 2}, oneof: []int{3, 4}, sub: map[int]schema{4: {always: []int{1, 2, 4}}}, ext: []int{77, 78, 79}},
	}
)

// unknown returns a field that the message must not have (WIR-15), and 0 for none.
func (s schema) unknown(fs fields) int {
	for _, f := range fs {
		if !slices.Contains(slices.Concat(s.always, s.maybe, s.oneof, s.ext), f.number) {
			return f.number
		}
		if sub, ok := s.sub[f.number]; ok {
			if n := sub.unknown(mustParse(f.bytes)); n != 0 {
				return n
			}
		}
	}
	return 0
}

// canonical returns how a message differs from its canonical encoding (WIR-14), "" if it does not.
func (s schema) canonical(fs fields) string {
	ones := 0
	for i, f := range fs {
		switch {
		case i > 0 && fs[i-1].number >= f.number && (f.bytes == nil || !slices.Contains(s.maybe, f.number)):
			return fmt.Sprintf("field %d after field %d", f.number, fs[i-1].number)
		case slices.Contains(s.oneof, f.number):
			ones++
		case slices.Contains(s.maybe, f.number) && f.value == 0 && len(f.bytes) == 0 && !slices.Contains(s.bytes, f.number):
			return fmt.Sprintf("field %d with its default value", f.number)
		}
		if sub, ok := s.sub[f.number]; ok {
			if odd := sub.canonical(mustParse(f.bytes)); odd != "" {
				return fmt.Sprintf("in field %d: %s", f.number, odd)
			}
		}
	}
	for _, n := range s.always {
		if !fs.has(n) {
			return fmt.Sprintf("no field %d", n)
		}
	}
	if len(s.oneof) > 0 && ones != 1 {
		return fmt.Sprintf("%d members of a oneof", ones)
	}
	return ""
}

// A written is a message of the peer under test and its schema.
type written struct {
	what   string
	schema schema
	fields fields
}

const rtcMessages = "a message of service 7431"

// writtenIn takes a message apart, as it comes over a channel or through signaling.
func writtenIn(channel bool, b []byte) []written {
	fs, err := parse(b)
	if err != nil {
		return nil
	}
	if !channel {
		all := []written{{"signaling.Message", signalSchema, fs}}
		if fs.has(2) {
			all = append(all, writtenMessage(fs.sub(2).bytes(4))...)
		}
		return all
	}
	if len(fs) == 1 && !fs.has(3) { // initPong or initPing: a Message has three fields at least
		return []written{{"channel.Message", channelSchema, fs}}
	}
	return writtenMessage(b)
}

func writtenMessage(b []byte) []written {
	fs, err := parse(b)
	if err != nil {
		return nil
	}
	all := []written{{"Message", envelopeSchema, fs}}
	if s, ok := serviceSchemas[fs.uint(3)]; ok && fs.has(4) {
		all = append(all, written{fmt.Sprintf("a message of service %d", fs.uint(3)), s, mustParse(fs.bytes(4))})
	}
	return all
}

// says has the peer under test join, let others join, speak in all forms, and returns all that
// it has written meanwhile.
func (s *stage) says() []written {
	var mu sync.Mutex
	var all []written
	s.tap = func(channel bool, b []byte) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, writtenIn(channel, slices.Clone(b))...)
	}
	m := s.pair()
	j := s.admit("J", member(9))
	s.distant(m, member(4), member(1))
	for _, text := range []string{"", "short", strings.Repeat("long", 10_000)} {
		s.do(driver.Command{"cmd": "send", "text": text})
		s.do(driver.Command{"cmd": "sendTo", "to": member(9), "text": text})
	}
	s.do(driver.Command{"cmd": "send", "base64": ""})
	s.speak(m, j)
	j.shut()
	s.expectLeave(member(9), deadline())
	s.speak(m)
	mu.Lock()
	defer mu.Unlock()
	s.expect(len(all) > 20, "the case", "more than 20 messages of the peer under test", len(all))
	return slices.Clone(all)
}

var wir = []*Case{
	{
		ID: "WIR-15/no-unknown-fields", Requirements: []string{"WIR-1", "WIR-15", "EXT-1"}, Level: Must,
		Sentence: "In all that a member writes there is no field but those of the schema and of chapter EXT.",
		run: onStage(func(s *stage) {
			for _, w := range s.says() {
				n := w.schema.unknown(w.fields)
				s.expect(n == 0, w.what, "no field that the schema does not have", fmt.Sprintf("field %d", n))
			}
		}),
	},
	{
		ID: "WIR-14/canonical", Requirements: []string{"WIR-3", "WIR-7", "WIR-14"}, Level: Should,
		Sentence: "What a member writes has its fields in order, those with default values as the table says, and none twice.",
		run: onStage(func(s *stage) {
			for _, w := range s.says() {
				odd := w.schema.canonical(w.fields)
				s.expect(odd == "", w.what, "the canonical encoding", odd)
			}
		}),
	},
	{
		ID: "WIR-4/packed", Requirements: []string{"WIR-4"}, Level: Must,
		Sentence: "A member takes ids that are packed, unpacked and mixed, in initPing and in lists of the mesh.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.agree()
			l := h.way.offer(h.label(2)).answered()
			inner := mustParse(ping{0, groupID, member(1), nil, s.key}.encode()).sub(1).without(4)
			inner = append(inner, field{number: 4, value: uint64(member(1))},
				field{number: 4, bytes: packed(member(2))}, field{number: 4, value: uint64(member(3))})
			l.raw(appendBytes(nil, 1, inner.encode()))
			l.expectRaw("for "+l.name, "initPong", deadline(), func(fs fields) bool { return fs.has(2) })
			l.begin(member(1), s.id)
			for _, id := range []uint32{member(2), member(3)} {
				w := l.relay(fmt.Sprintf("member %d", id), id)
				w.expectRequest(deadline())
				w.put(serviceBuilder, connectionResponse(false))
			}
			s.settled(deadline())
		}),
	},
	{
		ID: "WIR-11/not-utf8", Requirements: []string{"WIR-11", "CHN-15"}, Level: Should,
		Sentence: "An initPing whose key is not UTF-8 is not answered: it is ignored, or the channel is closed.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.agree()
			l := h.way.offer(h.label(2)).answered()
			l.raw(ping{0, groupID, member(1), []uint32{member(1)}, "\xff\xfe"}.encode())
			l.raw(ping{0, groupID + 1, member(1), []uint32{member(1)}, s.key}.encode())
			if _, err := l.in.take(deadline(), func(received) bool { return true }); err == nil {
				s.expect(s.status().Group == groupID+1, "the group", fmt.Sprint(groupID+1, ": that of the initPing after it"), s.status().Group)
			}
		}),
	},
}

func packed(ids ...uint32) []byte {
	var b []byte
	for _, id := range ids {
		b = binary.AppendUvarint(b, uint64(id))
	}
	return b
}

// without returns the fields without those of a number.
func (fs fields) without(number int) fields {
	return slices.DeleteFunc(slices.Clone(fs), func(f field) bool { return f.number == number })
}

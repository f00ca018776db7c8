package mesh

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/meshpair/meshpair/internal/wire"
)

// A chunkOf is what a part of a user message says, of which content is made up.
type chunkOf struct {
	from     uint32
	length   uint32
	id, nb   uint32
	size     int
	bytes    bool
	fill     byte
	wantDone bool
}

func (k chunkOf) message() []byte {
	u := wire.UserMessage{Length: k.length, Kind: wire.UserMessageChunk,
		Chunk: wire.Chunk{ID: k.id, Number: k.nb, Content: bytes.Repeat([]byte{k.fill}, k.size)}}
	if k.bytes {
		u.Type = wire.UserBytes
	}
	return (&wire.Message{SenderID: id(k.from), ServiceID: wire.ServiceUserMessage, Content: u.Append(nil)}).Append(nil)
}

// chunks returns the chunks of a message.
func chunks(from, chunk uint32, data []byte) [][]byte {
	var all [][]byte
	for n, part := range slices.Collect(slices.Chunk(data, ChunkSize)) {
		u := wire.UserMessage{Length: uint32(len(data)), Type: wire.UserBytes, Kind: wire.UserMessageChunk,
			Chunk: wire.Chunk{ID: chunk, Number: uint32(n), Content: part}}
		all = append(all, (&wire.Message{SenderID: id(from), ServiceID: wire.ServiceUserMessage, Content: u.Append(nil)}).Append(nil))
	}
	return all
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

// TestChunks: MSG-8 to MSG-10, MSG-13.
func TestChunks(t *testing.T) {
	const n = ChunkSize
	for _, c := range []struct {
		name   string
		chunks []chunkOf
	}{
		{"in order", []chunkOf{{length: n + 1, id: 1, nb: 0, size: n}, {length: n + 1, id: 1, nb: 1, size: 1, wantDone: true}}},
		{"out of order", []chunkOf{{length: n + 1, id: 1, nb: 1, size: 1}, {length: n + 1, id: 1, nb: 0, size: n, wantDone: true}}},
		{"one chunk", []chunkOf{{length: 5, id: 1, nb: 0, size: 5, wantDone: true}}},
		{"one whole chunk", []chunkOf{{length: n, id: 1, nb: 0, size: n, wantDone: true}}},
		{"a multiple", []chunkOf{{length: 2 * n, id: 1, nb: 1, size: n}, {length: 2 * n, id: 1, nb: 0, size: n, wantDone: true}}},
		{"id 0", []chunkOf{{length: 5, id: 0, nb: 0, size: 5, wantDone: true}}},
		{"the id again", []chunkOf{{length: 5, id: 1, size: 5, wantDone: true}, {length: 5, id: 1, size: 5, wantDone: true}}},
		{"the last chunk again", []chunkOf{{length: 2*n + 1, id: 1, nb: 2, size: 1}, {length: 2*n + 1, id: 1, nb: 2, size: 1},
			{length: 2*n + 1, id: 1, nb: 0, size: n}, {length: 2*n + 1, id: 1, nb: 0, size: n}, {length: 2*n + 1, id: 1, nb: 1, size: n, wantDone: true}}},
		{"a gap", []chunkOf{{length: 3 * n, id: 1, nb: 0, size: n}, {length: 3 * n, id: 1, nb: 2, size: n}, {length: 3 * n, id: 1, nb: 0, size: n},
			{length: 3 * n, id: 1, nb: 1, size: n, wantDone: true}}},
		{"too short", []chunkOf{{length: n + 1, id: 1, nb: 0, size: n - 1}, {length: n + 1, id: 1, nb: 1, size: 1}, {length: n + 1, id: 1, nb: 0, size: n, wantDone: true}}},
		{"too long", []chunkOf{{length: 2*n + 2, id: 1, nb: 0, size: n + 1}, {length: 5, id: 2, nb: 0, size: 6}}},
		{"the last one short", []chunkOf{{length: 5, id: 1, nb: 0, size: 4}}},
		{"beyond the length", []chunkOf{{length: 5, id: 1, nb: 1, size: 5}, {length: n, id: 1, nb: 1, size: 1}}},
		{"far beyond", []chunkOf{{length: 1 << 31, id: 1, nb: 1<<32 - 1, size: n}, {length: 15, id: 1, nb: 286331153 * 15, size: 15}}},
		{"empty", []chunkOf{{length: 5, id: 1, nb: 0, size: 0}, {length: n, id: 1, nb: 1, size: 0}}},
		{"of nothing", []chunkOf{{length: 0, id: 1, nb: 0, size: 0}}},
		{"another length", []chunkOf{{length: n + 1, id: 1, nb: 0, size: n}, {length: n + 2, id: 1, nb: 1, size: 2}, {length: n + 2, id: 1, nb: 0, size: n, wantDone: true}}},
		{"another type", []chunkOf{{length: n + 1, id: 1, nb: 0, size: n}, {length: n + 1, id: 1, nb: 1, size: 1, bytes: true},
			{length: n + 1, id: 1, nb: 0, size: n, bytes: true, wantDone: true}}},
		{"another id", []chunkOf{{length: n + 1, id: 1, nb: 0, size: n}, {length: n + 1, id: 2, nb: 1, size: 1}, {length: n + 1, id: 1, nb: 1, size: 1, wantDone: true}}},
		{"another sender", []chunkOf{{length: n + 1, id: 1, nb: 0, size: n}, {from: 1, length: n + 1, id: 1, nb: 1, size: 1},
			{from: 1, length: n + 1, id: 1, nb: 0, size: n, wantDone: true}, {length: n + 1, id: 1, nb: 1, size: 1, wantDone: true}}},
	} {
		r := newRig(t, Config{}).first()
		links := []Link{r.letIn(id(1)), r.letIn(id(2))}
		for i, k := range c.chunks {
			k.fill = 'a' + byte(k.from)
			l := links[k.from]
			k.from++
			r.step(Received{l, k.message()})
			if (len(r.got) != 0) != k.wantDone {
				t.Errorf("%s: chunk %d: %d delivered", c.name, i, len(r.got))
			}
			for _, d := range r.got {
				if d.From != id(k.from) || d.Text == k.bytes || d.Private || len(d.Data) != int(k.length) ||
					len(bytes.Trim(d.Data, string('a'+rune(k.from)-1))) != 0 {
					t.Errorf("%s: delivered %d bytes from %d, text %v, private %v", c.name, len(d.Data), d.From, d.Text, d.Private)
				}
			}
			r.got = nil
		}
		r.step(Leave{})
		r.closeAll()
		r.sum()
	}
}

// TestOrderOfChunks sends messages of several senders in random order, each chunk up to twice: MSG-6, MSG-8, MSG-10,
// MSG-12.
func TestOrderOfChunks(t *testing.T) {
	rand := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		r := newRig(t, Config{}).first()
		links := []Link{0, r.letIn(id(1)), r.letIn(id(2))}
		want := map[string]int{}
		type part struct {
			link Link
			data []byte
		}
		var parts, again []part
		for from := uint32(1); from <= 2; from++ {
			for chunk := uint32(1); chunk <= 3; chunk++ {
				data := pattern(1 + rand.IntN(12*ChunkSize))[from*10+chunk-11:]
				want[fmt.Sprint(from, len(data))]++
				for _, b := range chunks(from, chunk, data) {
					parts = append(parts, part{links[from], b})
				}
			}
		}
		rand.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		for i, p := range parts {
			r.step(Received{p.link, p.data})
			if i%3 == 0 {
				again = append(again, p)
			}
		}
		for _, d := range r.got {
			want[fmt.Sprint(d.From-MinID, len(d.Data))]--
			from := bytes.Index(pattern(20*ChunkSize), d.Data)
			if from < 0 {
				t.Fatal("what was delivered is not what was sent")
			}
		}
		for k, n := range want {
			if n != 0 {
				t.Errorf("message %s: %d missing", k, n)
			}
		}
		if r.core.partial != 0 {
			t.Errorf("%d bytes left", r.core.partial)
		}
		for _, p := range again { // late duplicates begin messages that never end; they go with their senders
			r.step(Received{p.link, p.data})
		}
		r.step(Closed{Link: links[1]})
		if m := r.core.members[id(2)]; m.partial != r.core.partial {
			t.Errorf("%d bytes are held, of them %d of the one who is left", r.core.partial, m.partial) // MSG-12
		}
		r.step(Closed{Link: links[2]})
		if r.core.partial != 0 {
			t.Errorf("%d bytes left of members that are gone", r.core.partial)
		}
	}
}

// TestFull: MSG-2, MSG-7, MSG-13, MSG-1.
func TestFull(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	full := func(typ uint32, length uint32, data string) []byte {
		return (&wire.UserMessage{Length: length, Type: wire.UserType(typ), Kind: wire.UserMessageFull, Full: []byte(data)}).Append(nil)
	}
	for _, c := range []struct {
		content []byte
		want    string
	}{
		{full(0, 2, "hi"), `text=true private=true "hi"`},
		{full(1, 2, "hi"), `text=false private=true "hi"`},
		{full(0, 0, ""), `text=true private=true ""`},
		{full(1, 0, ""), `text=false private=true ""`},
		{full(1, 1<<32-1, "lie"), `text=false private=true "lie"`},
		{full(0, 4, "a\xffb"), `text=true private=true "a�b"`},
		{full(0, 4, "\xe2\x82"), `text=true private=true "�"`},
		{full(1, 4, "a\xffb"), `text=false private=true "a\xffb"`},
		{full(2, 2, "hi"), ""},
		{full(1<<32-1, 2, "hi"), ""},
		{(&wire.UserMessage{Length: 0}).Append(nil), ""},
		{(&wire.UserMessage{Length: 1, Type: 3, Kind: wire.UserMessageChunk, Chunk: wire.Chunk{ID: 1, Content: []byte("x")}}).Append(nil), ""},
	} {
		r.says(l, id(1), wire.ServiceUserMessage, c.content)
		if c.want == "" {
			r.expect()
		} else {
			r.expect("deliver #1 " + c.want)
		}
	}
	for _, d := range r.got {
		if d.Data == nil {
			t.Error("nil was delivered")
		}
	}
	data := full(1, 3, "abc")
	m := (&wire.Message{SenderID: id(1), ServiceID: wire.ServiceUserMessage, Content: data}).Append(nil)
	r.step(Received{l, m})
	clear(m) // the buffer is used again
	if d := r.got[len(r.got)-1]; string(d.Data) != "abc" || d.Private {
		t.Errorf("delivered %+v", d)
	}
}

// TestCutCharacter has a character lie across two chunks: MSG-2.
func TestCutCharacter(t *testing.T) {
	text := append(bytes.Repeat([]byte{'x'}, ChunkSize-1), "€ and \xff"...)
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	for _, b := range chunks(1, 1, text) {
		var m wire.Message
		var u wire.UserMessage
		if m.Decode(b) != nil || u.Decode(m.Content) != nil {
			t.Fatal("no message")
		}
		u.Type = wire.UserString
		r.says(l, id(1), wire.ServiceUserMessage, u.Append(nil))
	}
	if len(r.got) != 1 || !bytes.HasSuffix(r.got[0].Data, []byte("x€ and \uFFFD")) {
		t.Errorf("delivered %d", len(r.got))
	}
}

// TestLyingLength: what is held follows from what has come: MSG-11.
func TestLyingLength(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	sent := 0
	for i := range uint32(50) {
		k := chunkOf{from: 1, length: DefaultMaxMessage - partialCost, id: i, nb: i % 3, size: ChunkSize}
		sent += ChunkSize
		r.step(Received{l, k.message()})
		if r.core.partial > 5*sent || r.core.partial < sent {
			t.Fatalf("%d bytes are accounted for after %d", r.core.partial, sent)
		}
	}
	b := chunkOf{from: 1, length: 1<<32 - 1, id: 99, nb: 1, size: ChunkSize}.message()
	before := r.core.partial
	if n := testing.AllocsPerRun(100, func() { r.core.Step(r.now, Received{l, b}) }); n > 1 || r.core.partial != before {
		t.Errorf("%v allocations, %d bytes", n, r.core.partial-before)
	}
	// The cost of a whole message is of the order of its length, however many times the buffer has grown.
	r = newRig(t, Config{}).first()
	l = r.letIn(id(1))
	all := chunks(1, 1, pattern(100*ChunkSize))
	for i, b := range all[:99] {
		r.step(Received{l, b})
		held := r.core.members[id(1)].partials[1]
		if max := partialCost + max(firstChunks, 2*(i+1)*ChunkSize); r.core.partial > max || cap(held.data)+partialCost != r.core.partial {
			t.Fatalf("%d bytes for %d chunks, at most %d; the buffer has %d", r.core.partial, i+1, max, cap(held.data))
		}
	}
	r.step(Received{l, all[99]})
	if len(r.got) != 1 || !bytes.Equal(r.got[0].Data, pattern(100*ChunkSize)) {
		t.Error("not delivered")
	}
}

// TestTooBig: MSG-11.
func TestTooBig(t *testing.T) {
	r := newRig(t, Config{MaxMessage: 2 * ChunkSize}).first()
	l := r.letIn(id(1))
	for _, b := range chunks(1, 1, pattern(2*ChunkSize)) {
		r.step(Received{l, b})
	}
	if len(r.got) != 1 || len(r.got[0].Data) != 2*ChunkSize {
		t.Errorf("the longest message was not delivered")
	}
	r.skip()
	for _, b := range chunks(1, 2, pattern(2*ChunkSize+1)) {
		r.step(Received{l, b})
	}
	r.expect("refused #1: message too big: 30001 bytes") // once
	r = newRig(t, Config{MaxMessage: 10}).first()
	l = r.letIn(id(1))
	for n := 9; n <= 11; n++ {
		r.says(l, id(1), wire.ServiceUserMessage, (&wire.UserMessage{Type: wire.UserBytes, Kind: wire.UserMessageFull, Full: make([]byte, n)}).Append(nil))
	}
	if len(r.got) != 2 || r.log[len(r.log)-1] != "refused #1: message too big: 11 bytes" {
		t.Errorf("%q", r.log)
	}
	// The limit for a sender limits the message, too.
	r = newRig(t, Config{MaxPartial: 2*ChunkSize + partialCost}).first()
	l = r.letIn(id(1))
	for _, n := range []int{2 * ChunkSize, 2*ChunkSize + 1} {
		for _, b := range chunks(1, 2, pattern(n)) {
			r.step(Received{l, b})
		}
	}
	if len(r.got) != 1 || r.log[len(r.log)-1] != "refused #1: message too big: 30001 bytes" {
		t.Errorf("%q", r.log)
	}
}

// TestOldestFirst has incomplete messages discarded where another chunk would exceed the limit for a sender: MSG-11.
func TestOldestFirst(t *testing.T) {
	const each = partialCost + 2*ChunkSize // of a message of two chunks
	r := newRig(t, Config{MaxPartial: 3 * each}).first()
	l, other := r.letIn(id(1)), r.letIn(id(2))
	begin := func(l Link, from, chunk uint32) { r.step(Received{l, chunks(from, chunk, pattern(2*ChunkSize))[0]}) }
	end := func(l Link, from, chunk uint32) { r.step(Received{l, chunks(from, chunk, pattern(2*ChunkSize))[1]}) }
	begin(other, 2, 1)
	for i := uint32(1); i <= 3; i++ {
		begin(l, 1, i)
	}
	r.expect()
	if n := r.core.partial; n != 4*each {
		t.Errorf("%d bytes", n)
	}
	begin(l, 1, 4)
	r.expect("refused #1: too much is held of incomplete messages")
	if n := r.core.partial; n != 4*each {
		t.Errorf("%d bytes", n)
	}
	end(l, 1, 2)
	end(l, 1, 3)
	end(l, 1, 4)
	end(other, 2, 1)
	if len(r.got) != 4 || r.core.partial != 0 {
		t.Errorf("%d delivered, %d bytes held", len(r.got), r.core.partial)
	}
	r.skip()
	// A message that has no room for itself takes out all others, and is discarded in the end.
	r = newRig(t, Config{MaxPartial: 4*ChunkSize + 2*partialCost}).first()
	l = r.letIn(id(1))
	long := chunks(1, 9, pattern(4*ChunkSize))
	begin(l, 1, 1)
	r.expect()
	r.step(Received{l, long[1]})
	r.expect()
	r.step(Received{l, long[0]})
	r.expect("refused #1: too much is held of incomplete messages", "refused #1: too much is held of incomplete messages")
	if r.core.partial != 0 {
		t.Errorf("%d bytes held", r.core.partial)
	}
}

// TestMostFirst has those give way of whom most is held, where the limit in all is exceeded: MSG-11.
func TestMostFirst(t *testing.T) {
	const each = partialCost + 2*ChunkSize
	r := newRig(t, Config{MaxPartialAll: 5 * each}).first()
	links := []Link{0, r.letIn(id(1)), r.letIn(id(2)), r.letIn(id(3))}
	begin := func(from, chunk uint32) { r.step(Received{links[from], chunks(from, chunk, pattern(2*ChunkSize))[0]}) }
	begin(1, 1)
	for i := range uint32(3) {
		begin(2, i)
	}
	begin(3, 1)
	r.expect()
	begin(1, 2) // most is held of #2
	r.expect("refused #2: too much is held of incomplete messages")
	begin(3, 2) // as much as of #2: one's own goes
	r.expect("refused #3: too much is held of incomplete messages")
	for _, k := range [][2]uint32{{1, 1}, {1, 2}, {2, 1}, {2, 2}, {3, 2}} {
		r.step(Received{links[k[0]], chunks(k[0], k[1], pattern(2*ChunkSize))[1]})
	}
	if len(r.got) != 5 || r.core.partial != 0 {
		t.Errorf("%d delivered, %d bytes", len(r.got), r.core.partial)
	}
	begin(1, 3)
	r.step(Leave{})
	r.closeAll()
	r.sum()
}

// TestRoomIsNoMoreThanTheMessage: room is made for several chunks at once, within the message: MSG-11.
func TestRoomIsNoMoreThanTheMessage(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	r.step(Received{l, chunks(1, 1, pattern(ChunkSize+1))[0]})
	if r.core.partial != partialCost+ChunkSize+1 {
		t.Errorf("%d bytes", r.core.partial)
	}
	r.step(Received{l, chunks(1, 1, pattern(ChunkSize+1))[1]})
	if cap(r.got[0].Data) != ChunkSize+1 {
		t.Errorf("%d bytes were delivered in %d", ChunkSize+1, cap(r.got[0].Data))
	}
}

// TestEarlyChunksMove: what came before its turn is held once: MSG-11.
func TestEarlyChunksMove(t *testing.T) {
	r := newRig(t, Config{}).first()
	l := r.letIn(id(1))
	all := chunks(1, 1, pattern(6*ChunkSize))
	for _, n := range []int{2, 1, 4, 0} {
		r.step(Received{l, all[n]})
	}
	p := r.core.members[id(1)].partials[1]
	if len(p.data) != 3*ChunkSize || len(p.early) != 1 || p.cost != partialCost+cap(p.data)+ChunkSize || p.cost != r.core.partial {
		t.Errorf("%d bytes in order, %d chunks early, %d bytes accounted for", len(p.data), len(p.early), p.cost)
	}
}

package mesh

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/meshpair/meshpair/internal/vectors"
	"github.com/meshpair/meshpair/internal/wire"
)

// The lists of addresses.json that this package can be held against.
type addressVectors struct {
	vectors.File
	Keys, Targets, TargetsRefused vectors.Elsewhere
	Labels                        []struct {
		Name, Note, Label string
		ID, Type          uint32
	}
	LabelsRefused []struct{ Name, Note, Label string }
	Dials         []struct {
		Name, Note, URL string
		Type            kind
		WcID            uint32
		SenderID        int64
		Key             string
		Dialled         string
	}
	Calls []struct {
		Name, Note, Query string
		Type              uint32
		WcID, SenderID    int64 `json:",string"`
		Key               string
	}
	CallsRefused []struct {
		Name, Note, Query string
		Status            int
	}
}

// ends are the ends of a data channel that take a label of each kind: which of them the offer came from.
func ends(id uint32) []address {
	return []address{{id: id}, {signaling: true, id: 7}, {signaling: true}}
}

// TestLabelVectors: CHN-7.
func TestLabelVectors(t *testing.T) {
	var all addressVectors
	vectors.Read(t, "addresses.json", &all)
	for _, v := range all.Labels {
		for k, from := range ends(v.ID) {
			ch := &channel{to: from}
			if err := new(Core).readLabel(ch, v.Label); (err == nil) != (uint32(k) == v.Type) || err == nil && ch.kind != kind(v.Type) {
				t.Errorf("%s: as kind %d: %v (%s)", v.Name, k, err, v.Note)
			}
		}
	}
	for _, v := range all.LabelsRefused {
		for k, from := range ends(all.Labels[0].ID) {
			if err := new(Core).readLabel(&channel{to: from}, v.Label); err == nil {
				t.Errorf("%s: taken as kind %d (%s)", v.Name, k, v.Note)
			}
		}
	}
}

// TestCallVectors: CHN-9, CHN-10.
func TestCallVectors(t *testing.T) {
	var all addressVectors
	vectors.Read(t, "addresses.json", &all)
	for _, v := range all.Dials {
		if got := dialURL(v.URL, v.Type.remote(), v.WcID, strconv.FormatInt(v.SenderID, 10), v.Key); got != v.Dialled {
			t.Errorf("%s: %s, want %s (%s)", v.Name, got, v.Dialled, v.Note)
		}
	}
	for _, v := range all.Calls {
		if got, err := ParseCall(v.Query); err != nil || got != (Call{v.Type, v.WcID, v.SenderID, v.Key, false}) {
			t.Errorf("%s: %+v, %v (%s)", v.Name, got, err, v.Note)
		}
	}
	for _, v := range all.CallsRefused {
		// Without a key a call of another kind than 0 fits no group (accept) and does not invite.
		if got, err := ParseCall(v.Query); err == nil && (kind(got.Kind) == internal || got.Key != "") {
			t.Errorf("%s: taken as %+v (%s)", v.Name, got, v.Note)
		}
	}
}

type chunkVectors struct {
	vectors.File
	Sent []struct {
		Name, Note      string
		Type            wire.UserType
		Content         vectors.Content
		ID              uint32 // of its chunks
		Number, Session uint32
		All             bool
		Frames          []vectors.Pieces
	}
	Received []struct {
		Name, Note string
		Content    vectors.Content
		Steps      []struct {
			From     uint32
			Frame    vectors.Pieces
			Delivers *struct {
				Type     wire.UserType
				Data     vectors.Pieces
				Optional bool // or nothing
			}
		}
	}
}

// TestSentVectors: MSG-3, MSG-4, EXT-4.
func TestSentVectors(t *testing.T) {
	var all chunkVectors
	vectors.Read(t, "chunks.json", &all)
	for _, v := range all.Sent {
		t.Run(v.Name, func(t *testing.T) {
			r := newKeeper(t, Config{SendQueue: 4 << 20}).first()
			l := r.letIn(id(1))
			if v.Number > 0 {
				r.says(l, id(1), wire.ServiceDelivery, (&wire.Delivery{Kind: wire.DeliveryHello,
					Hello: wire.Hello{Version: 1, Session: v.Session, Window: 4 << 20}}).Append(nil))
			}
			data := v.Content.Bytes()
			r.core.chunkID = max(v.ID, 1) - 1 // the next one is the vector's
			r.frames[l] = nil
			send := Send{Token: 1, To: id(1), Text: v.Type == wire.UserString, Data: data}
			if v.All {
				send.To = 0
			}
			r.step(send)
			var got [][]byte
			for _, b := range r.frames[l] {
				var m wire.Message
				if err := m.Decode(b); err != nil {
					t.Fatal(err)
				}
				if m.ServiceID == wire.ServiceUserMessage {
					got = append(got, m.Content)
				}
			}
			var want [][]byte
			for _, f := range v.Frames {
				want = append(want, f.Of(t, data))
			}
			if !slices.EqualFunc(got, want, bytes.Equal) {
				t.Errorf("sent %d frames\n%.60x\nwant %d\n%.60x (%s)", len(got), got, len(want), want, v.Note)
			}
		})
	}
}

// TestReceivedVectors: MSG-2, MSG-6 to MSG-11, MSG-13, EXT-5.
func TestReceivedVectors(t *testing.T) {
	var all chunkVectors
	vectors.Read(t, "chunks.json", &all)
	for _, v := range all.Received {
		t.Run(v.Name, func(t *testing.T) {
			r := newKeeper(t, Config{}).first()
			links := []Link{0, r.letIn(id(1)), r.letIn(id(2))}
			content := v.Content.Bytes()
			for i, s := range v.Steps {
				r.got = nil
				r.says(links[s.From], id(s.From), wire.ServiceUserMessage, s.Frame.Of(t, content))
				got, want := "nothing", "nothing"
				for _, d := range r.got {
					got = fmt.Sprintf("%v from %d, %d bytes: %x", d.Text, d.From, len(d.Data), d.Data)
				}
				if d := s.Delivers; d != nil {
					data := d.Data.Of(t, content)
					want = fmt.Sprintf("%v from %d, %d bytes: %x", d.Type == wire.UserString, id(s.From), len(data), data)
				}
				if len(r.got) > 1 || got != want {
					t.Errorf("step %d: delivered %.80s, want %.80s (%s)", i, got, want, v.Note)
				}
			}
		})
	}
}

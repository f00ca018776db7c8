package session

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/meshpair/meshpair/internal/vectors"
)

type vectorFile struct {
	vectors.File
	API, Registrations vectors.Elsewhere
	Internals          []struct {
		Name, Note, Text, Called string
		Data                     json.RawMessage
	}
	UserTexts []struct{ Name, Note, Text string }
	Signals   []struct {
		Name, Note, Text, Means string
		Value                   struct {
			SDP, Candidate, SDPMid string
			SDPMLineIndex          uint16
		}
	}
	Hellos []struct {
		Name, Note, Text   string
		Window, MaxMessage int
	}
	HellosRefused []struct{ Name, Note, Text string }
	Frames        []struct {
		Name, Note     string
		Hex, Canonical vectors.Hex
		Kind           byte
		Number         uint64 `json:",string"`
		Payload        vectors.Hex
	}
	FramesRefused []struct {
		Name, Note string
		Hex        vectors.Hex
		Repeat     struct {
			Hex   vectors.Hex
			Times int
		}
	}
	Messages []struct {
		Name, Note string
		Content    vectors.Content
		Messages   []struct {
			Type byte
			Data vectors.Pieces
		}
		Frames []vectors.Pieces
	}
}

func readVectors(t *testing.T) *vectorFile {
	t.Helper()
	all := new(vectorFile)
	vectors.Read(t, "peersox.json", all)
	return all
}

func sameJSON(a, b []byte) bool {
	var v, w any
	errA, errB := json.Unmarshal(a, &v), json.Unmarshal(b, &w)
	return (errA == nil) == (errB == nil) && reflect.DeepEqual(v, w)
}

// TestTextVectors: PSX-64, PSX-66.
func TestTextVectors(t *testing.T) {
	all := readVectors(t)
	for _, v := range all.Internals {
		if m, ok := parseInternal([]byte(v.Text)); !ok || m.Name != v.Called || !sameJSON(m.Data, v.Data) {
			t.Errorf("%s: %v %s %s (%s)", v.Name, ok, m.Name, m.Data, v.Note)
		}
	}
	for _, v := range all.UserTexts {
		if m, ok := parseInternal([]byte(v.Text)); ok {
			t.Errorf("%s: taken for %s (%s)", v.Name, m.Name, v.Note)
		}
	}
	for _, v := range all.Signals {
		m, _ := parseInternal([]byte(v.Text))
		s, ok := parseSignal(m.Data)
		if want := (Signal{v.Means, v.Value.SDP, v.Value.Candidate, v.Value.SDPMid, v.Value.SDPMLineIndex}); m.Name != nameSignal ||
			ok != (v.Means != "") || s != want {
			t.Errorf("%s: %v %+v, want %+v (%s)", v.Name, ok, s, want, v.Note)
		}
		if !ok {
			continue
		}
		again, _ := parseInternal(s.message().Data)
		if got, ok := parseSignal(again.Data); again.Name != nameSignal || !ok || got != s {
			t.Errorf("%s: came back as %s", v.Name, s.message().Data)
		}
	}
}

// TestHelloVectors: PSX-70.
func TestHelloVectors(t *testing.T) {
	all := readVectors(t)
	cfg := Config{Window: 1 << 40, MaxMessage: 1 << 50, NoUpgrade: true}
	for _, v := range all.Hellos {
		tb := pair(t, cfg, true)
		tb.text(v.Text)
		if c := tb.core; c.kind != ours || c.window != v.Window || c.maxMessage != v.MaxMessage {
			t.Errorf("%s: %v %d %d (%s)", v.Name, c.kind, c.window, c.maxMessage, v.Note)
		}
	}
	for _, v := range all.HellosRefused {
		tb := pair(t, cfg, true)
		tb.text(v.Text)
		if tb.core.kind == ours {
			t.Errorf("%s: taken (%s)", v.Name, v.Note)
		}
	}
}

// TestFrameVectors: PSX-72, PSX-79.
func TestFrameVectors(t *testing.T) {
	all := readVectors(t)
	for _, v := range all.Frames {
		f, err := parseFrame(v.Hex)
		if err != nil || f.kind != v.Kind || f.number != v.Number || !bytes.Equal(f.payload, v.Payload) {
			t.Errorf("%s: %+v, %v (%s)", v.Name, f, err, v.Note)
		}
		want := v.Hex
		if v.Canonical != nil {
			want = v.Canonical
		}
		if got := (frame{v.Kind, v.Number, v.Payload}).message(); got.Text || !bytes.Equal(got.Data, want) {
			t.Errorf("%s: encoded %x (%s)", v.Name, got.Data, v.Note)
		}
	}
	for _, v := range all.FramesRefused {
		b := append(v.Hex, bytes.Repeat(v.Repeat.Hex, v.Repeat.Times)...)
		if f, err := parseFrame(b); err == nil {
			t.Errorf("%s: taken as kind %d, number %d (%s)", v.Name, f.kind, f.number, v.Note)
		}
	}
}

// TestMessageVectors sends messages, and gives their frames to another: PSX-72, PSX-73.
func TestMessageVectors(t *testing.T) {
	for _, v := range readVectors(t).Messages {
		t.Run(v.Name, func(t *testing.T) {
			content := v.Content.Bytes()
			sender, receiver := pair(t, Config{NoUpgrade: true}, true), greet(t, Config{NoUpgrade: true}, false)
			sender.text(`§{"name":"meshpair.hello","data":{"version":1,"window":1000000,"maxMessage":1000000}}`)
			sender.sends(Relay, `§{"name":"meshpair.frames","data":{"after":0}}`)
			sender.text(`§{"name":"meshpair.frames","data":{"after":0}}`)
			var deliveries []Output
			for i, m := range v.Messages {
				data := m.Data.Of(t, content)
				sender.step(Send{Token: uint64(i + 1), Text: m.Type == frameText, Data: data})
				deliveries = append(deliveries, Deliver{m.Type == frameText, data})
			}
			var want []string
			for _, f := range v.Frames {
				b := f.Of(t, content)
				want = append(want, string(b))
				receiver.bytes(Relay, b)
			}
			sender.sends(Relay, want...)
			receiver.expect(deliveries...)
		})
	}
}

package netflux_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/meshpair/meshpair/netflux"
)

// TestKinds checks that text and bytes arrive as what they were sent, empty ones and long ones too, to all and to one
// (MSG-1 to MSG-4, MSG-7, MSH-15).
func TestKinds(t *testing.T) {
	all := groupOf(t, 3, netflux.Config{})
	a, b, c := all[0], all[1], all[2]
	var want []netflux.Message
	for _, size := range []int{0, 1, 14_999, 15_000, 15_001, 30_000, 1 << 20} {
		for _, kind := range []netflux.Kind{netflux.Text, netflux.Binary} {
			data := bytes.Repeat([]byte("€"), size/3+1)[:size/3*3]
			want = append(want, netflux.Message{From: a.ID(), Kind: kind, Data: data},
				netflux.Message{From: a.ID(), Kind: kind, Private: true, Data: data})
			if err := a.Send(t.Context(), kind, data); err != nil {
				t.Fatal(err)
			}
			if err := a.SendTo(t.Context(), b.ID(), kind, data); err != nil {
				t.Fatal(err)
			}
		}
	}
	same := func(x, y netflux.Message) bool {
		return x.From == y.From && x.Kind == y.Kind && x.Private == y.Private && bytes.Equal(x.Data, y.Data) && x.Data != nil
	}
	if got := b.messages(len(want)); !slices.EqualFunc(got, want, same) {
		t.Error("b got something else")
	}
	want = slices.DeleteFunc(want, func(m netflux.Message) bool { return m.Private })
	if got := c.messages(len(want)); !slices.EqualFunc(got, want, same) {
		t.Error("c got something else")
	}
}

// TestManyBigMessages sends messages of 1 MiB in a row, more than fit any buffer (MSG-6).
func TestManyBigMessages(t *testing.T) {
	const n = 20
	all := groupOf(t, 3, netflux.Config{})
	go func() {
		data := make([]byte, 1<<20)
		for i := range n {
			binary.BigEndian.PutUint32(data, uint32(i))
			if err := all[0].Send(t.Context(), netflux.Binary, data); err != nil {
				t.Error(err)
			}
		}
	}()
	for _, p := range all[1:] {
		for i, m := range p.messages(n) {
			if len(m.Data) != 1<<20 || binary.BigEndian.Uint32(m.Data) != uint32(i) {
				t.Fatalf("message %d has %d bytes and number %d", i, len(m.Data), binary.BigEndian.Uint32(m.Data))
			}
		}
	}
}

func TestSendErrors(t *testing.T) {
	all := groupOf(t, 2, netflux.Config{MaxMessageSize: 1000})
	a, ctx := all[0], t.Context()
	ended, cancel := context.WithCancel(ctx)
	cancel()
	alone := newPeer(t, netflux.Config{})
	for _, c := range []struct {
		name      string
		err, want error
	}{
		{"too big", a.Send(ctx, netflux.Binary, make([]byte, 1001)), netflux.ErrTooBig},
		{"not text", a.Send(ctx, netflux.Text, []byte{0xff}), netflux.ErrInvalidText},
		{"nobody", a.SendTo(ctx, 1, netflux.Binary, nil), netflux.ErrNoMember},
		{"0", a.SendTo(ctx, 0, netflux.Binary, nil), netflux.ErrNoMember},
		{"oneself", a.SendTo(ctx, a.ID(), netflux.Binary, nil), netflux.ErrNoMember},
		{"ended context", a.Send(ended, netflux.Binary, nil), context.Canceled},
		{"not in a group", alone.Send(ctx, netflux.Binary, nil), netflux.ErrNotInGroup},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.want)
		}
	}
	if err := a.Send(ctx, netflux.Binary, make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	if got := all[1].messages(1); len(got) != 1 || len(got[0].Data) != 1000 {
		t.Errorf("%d messages", len(got))
	}
}

// A blockedPeer does not return from OnEvent for messages until it is released.
func blockedPeer(t *testing.T, cfg netflux.Config, key string) (p *peer, release func()) {
	released := make(chan struct{})
	p = newPeer(t, cfg)
	p.hold = func(e netflux.Event) {
		if _, ok := e.(netflux.Message); ok {
			<-released
		}
	}
	release = func() {
		select {
		case <-released:
		default:
			close(released)
		}
	}
	t.Cleanup(release)
	p.join(key)
	return p, release
}

// TestBackpressure lets a member take nothing: sends wait and obey their context, and nothing is lost (CHN-5, MSG-6).
func TestBackpressure(t *testing.T) {
	url := startSignaling(t)
	key := netflux.NewKey()
	a := newPeer(t, netflux.Config{SignalingURL: url})
	a.join(key)
	b, release := blockedPeer(t, netflux.Config{SignalingURL: url}, key)
	a.wait("b", func(e []netflux.Event) bool {
		return told(e, netflux.MemberJoined{ID: b.ID()})
	})
	data := make([]byte, 1<<20)
	n := 0
	for ; ; n++ {
		data[0] = byte(n)
		if err := a.TrySend(netflux.Binary, data); errors.Is(err, netflux.ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if n > 100 {
			t.Fatal("a hundred MiB are waiting")
		}
	}
	// What is on its way makes a little room yet; then nothing moves.
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		data[0] = byte(n)
		err := a.Send(ctx, netflux.Binary, data)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n++
	}
	release()
	if err := a.Send(t.Context(), netflux.Binary, []byte{byte(n)}); err != nil {
		t.Fatal(err)
	}
	got := b.messages(n + 1)
	if len(got) != n+1 {
		t.Errorf("%d messages, %d were sent", len(got), n+1)
	}
	for i, m := range got {
		if m.Data[0] != byte(i) {
			t.Errorf("message %d came as number %d", m.Data[0], i)
		}
	}
}

// TestSlowMember lets a member take nothing for too long: it is dropped, the sender is told, and others are served
// (CHN-5).
func TestSlowMember(t *testing.T) {
	url := startSignaling(t)
	key := netflux.NewKey()
	a := newPeer(t, netflux.Config{SignalingURL: url, SlowTimeout: 2 * time.Second})
	a.join(key)
	slow, _ := blockedPeer(t, netflux.Config{SignalingURL: url}, key)
	c := newPeer(t, netflux.Config{SignalingURL: url})
	c.join(key)
	a.wait("joining", func(e []netflux.Event) bool { return told(e, netflux.MemberJoined{ID: c.ID()}) }) // or it is sent nothing
	id := slow.ID()
	data := make([]byte, 1<<20)
	n := 0
	for {
		err := a.Send(t.Context(), netflux.Binary, data)
		n++
		var slowErr *netflux.SlowError
		if errors.As(err, &slowErr) && errors.Is(err, netflux.ErrSlow) {
			if !slices.Equal(slowErr.IDs, []uint32{id}) {
				t.Errorf("dropped %d", slowErr.IDs)
			}
			break
		} else if err != nil || n > 100 {
			t.Fatal(n, err)
		}
	}
	a.wait("loss", func(e []netflux.Event) bool {
		return told(e, netflux.MemberLeft{ID: id, Err: netflux.ErrSlow})
	})
	if got := c.messages(n); len(got) != n {
		t.Errorf("c got %d messages of %d", len(got), n)
	}
}

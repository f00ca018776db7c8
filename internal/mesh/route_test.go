package mesh

import (
	"strings"
	"testing"

	"github.com/meshpair/meshpair/internal/wire"
)

// TestRoute: MSH-16, MSH-17, MSH-18.
func TestRoute(t *testing.T) {
	type distant map[uint32][]uint32
	const heard = 2 // the member on whose link distant ones were heard
	for _, c := range []struct {
		name    string
		distant distant
		to      uint32
		want    uint32 // the neighbor by which it goes; 0: none
	}{
		{"neighbor", nil, 1, 1},
		{"stranger", nil, 9, 0},
		{"next to one", distant{10: {1}}, 10, 1},
		{"next to several", distant{10: {9, 2, 1}}, 10, 2},
		{"the one we dialled comes first", distant{10: {2, 1, 3}}, 10, 3},
		{"a shorter way before a dialled one", distant{10: {11, 1}, 11: {3}}, 10, 1},
		{"one between", distant{10: {11}, 11: {1}}, 10, 1},
		{"two between", distant{10: {11}, 11: {12}, 12: {1}}, 10, 1},
		{"three between", distant{10: {11}, 11: {12}, 12: {13}, 13: {1}}, 10, 1},
		{"four between", distant{10: {11}, 11: {12}, 12: {13}, 13: {14}, 14: {1}}, 10, heard},
		{"in a circle", distant{10: {11}, 11: {12, 10}, 12: {11, 10}}, 10, heard},
		{"next to itself", distant{10: {10}}, 10, heard},
		{"next to nobody", distant{10: nil}, 10, heard},
		{"next to us", distant{10: {500}}, 10, heard},
	} {
		r := newRig(t, Config{}).first()
		links := map[uint32]Link{1: r.letIn(id(1)), 2: r.letIn(id(2))}
		r.step(Invite{Token: 1, URL: "ws://three"})
		links[3] = r.last
		r.step(Opened{Link: links[3]})
		r.step(Received{links[3], initPong(id(3))})
		for _, n := range []uint32{10, 11, 12, 13, 14} {
			if adjacent, ok := c.distant[n]; ok {
				r.distant(links[heard], id(n), ids(append([]uint32{}, adjacent...)...)...)
				r.mesh(links[heard], id(n), wire.FullMesh{Kind: wire.FullMeshHeartbeat, Heartbeat: true})
			}
		}
		var want *channel
		if c.want != 0 {
			want = r.core.channels[links[c.want]]
		}
		if got := r.core.route(id(c.to)); got != want {
			t.Errorf("%s: %+v, want by way of %d", c.name, got, c.want)
		}
		// The last resort is the link on which it was heard, as long as that is one to a member.
		if c.want == heard && c.distant != nil && c.name != "next to several" {
			r.step(Closed{Link: links[heard]})
			if got := r.core.route(id(c.to)); got != nil {
				t.Errorf("%s: by a link that is closed", c.name)
			}
		}
	}
}

// TestForward: MSH-19, CHN-1, CHN-2.
func TestForward(t *testing.T) {
	r := newRig(t, Config{}).first()
	l1, l2 := r.letIn(id(1)), r.letIn(id(2))
	r.distant(l1, id(3), id(2))
	r.distant(l2, id(4), id(2))
	r.skip()
	pass := func(l Link, to uint32, content string) {
		r.step(Received{l, (&wire.Message{SenderID: id(77), RecipientID: to, ServiceID: 4711, Content: []byte(content)}).Append(nil)})
	}
	pass(l1, id(2), "x")
	r.expect("3< from=#77 to=#2 service=4711 content=78")
	pass(l1, id(3), "")
	r.expect("3< from=#77 to=#3 service=4711 content=")
	pass(l2, id(1), "y")
	r.expect("2< from=#77 to=#1 service=4711 content=79")
	for _, to := range []uint32{id(9), 0, 5, id(500)} {
		pass(l1, to, "nowhere")
	}
	pass(l2, id(4), "back")
	pass(l1, id(1), "back")
	r.expect()
	// What waits for others is limited; what waits for the member itself is not held up by it.
	r.hold(l2)
	big := strings.Repeat("z", 60_000)
	for range 30 {
		pass(l1, id(2), big)
	}
	if n := r.core.channels[l2].outSize; n > MaxRelayed || n < MaxRelayed-60_100 {
		t.Errorf("%d bytes wait", n)
	}
	pass(l1, id(2), strings.Repeat("z", MaxRelayed-r.core.channels[l2].outSize)) // to the byte
	pass(l1, id(2), "")
	if n := r.core.channels[l2].outSize; n <= MaxRelayed {
		t.Errorf("%d bytes wait", n)
	}
	r.step(Send{Token: 1, To: id(2)})
	r.skip()
	before := len(r.frames[l2])
	for range 100 {
		r.pullOne(l2)
	}
	if got := len(r.frames[l2]) - before; got != 17+1+1 && r.core.channels[l2].outSize != 0 {
		t.Errorf("%d messages were sent", got)
	}
	r.skip()
	delete(r.held, l2)
	delete(r.waiting, l2)
	pass(l1, id(2), "again")
	if len(r.log) != 1 {
		t.Errorf("%q", r.log)
	}
}

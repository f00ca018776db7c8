package mesh

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshpair/meshpair/internal/wire"
)

// A rig is one core that is fed by hand. All that it puts out, and all that it sends, is written to a log, a line each,
// in which member ids stand as #1 for MinID+1 and so on. Its own id is #500, that of the group #501.
type rig struct {
	t       testing.TB
	core    *Core
	now     time.Duration
	log     []string
	notes   []string // kept out of the log
	draws   uint32
	sigs    map[Link]bool     // those to the signaling server
	held    map[Link]bool     // from which nothing is pulled
	waiting map[Link]bool     // those of them for which there was a Ready
	frames  map[Link][][]byte // that were sent
	got     []Deliver
	links   []Link // that were closed by the core and not yet acknowledged
	last    Link   // the last that was asked for
	joiners uint32 // the signaling id of the last joiner
}

// newRig makes one that keeps to what originals know.
func newRig(t testing.TB, cfg Config) *rig {
	cfg.Original = true
	return newKeeper(t, cfg)
}

// newKeeper makes one that keeps the contract of delivery.
func newKeeper(t testing.TB, cfg Config) *rig {
	r := &rig{t: t, draws: 499, sigs: map[Link]bool{}, held: map[Link]bool{}, waiting: map[Link]bool{}, frames: map[Link][][]byte{}}
	cfg.Rand = func() uint32 { r.draws++; return r.draws }
	r.core = New(cfg)
	return r
}

// id returns the member id that the log shows as #n.
func id(n uint32) uint32 { return MinID + n }

func ids(n ...uint32) []uint32 {
	for i := range n {
		n[i] += MinID
	}
	return n
}

var longID = regexp.MustCompile(`\b[0-9]{10}\b`)

// short shows member ids as the log does.
func short(s string) string {
	return longID.ReplaceAllStringFunc(s, func(s string) string {
		if n, err := strconv.ParseUint(s, 10, 32); err == nil && n >= MinID {
			return fmt.Sprint("#", n-MinID)
		}
		return s
	})
}

func (r *rig) step(in Input) {
	r.t.Helper()
	r.do(r.core.Step(r.now, in))
}

func (r *rig) do(outs []Output) {
	r.t.Helper()
	for _, o := range slices.Clone(outs) {
		r.output(o)
	}
}

func (r *rig) output(o Output) {
	r.t.Helper()
	line := ""
	switch o := o.(type) {
	case DialSignaling:
		r.sigs[o.Link], r.last = true, o.Link
		line = fmt.Sprintf("dial signaling %d %s", o.Link, o.Key)
	case Dial:
		r.last = o.Link
		line = fmt.Sprintf("dial %d %s", o.Link, o.URL)
	case Offer:
		r.last = o.Link
		line = fmt.Sprintf("offer %d %s", o.Link, o.Label)
	case Answer:
		r.last = o.Link
		line = fmt.Sprintf("answer %d", o.Link)
	case Remote:
		line = fmt.Sprintf("remote %d %s%s%s", o.Link, o.Signal.Offer, o.Signal.Answer, o.Signal.Candidate.Candidate)
	case Ready:
		if r.held[o.Link] {
			r.waiting[o.Link] = true
		} else {
			r.pull(o.Link)
		}
		return
	case Close:
		r.links = append(r.links, o.Link)
		line = fmt.Sprintf("close %d", o.Link)
		if o.Abort {
			line = fmt.Sprintf("abort %d", o.Link)
		}
	case Deliver:
		r.got = append(r.got, o)
		line = fmt.Sprintf("deliver %d text=%v private=%v %.50q", o.From, o.Text, o.Private, o.Data)
	case Refused:
		line = fmt.Sprintf("refused %d: %v", o.From, o.Err)
	case Joined:
		line = fmt.Sprintf("joined %d", o.ID)
	case Gone:
		line = fmt.Sprintf("gone %d: %v", o.ID, o.Err)
	case NewState:
		line = fmt.Sprint(o.State)
		if o.Err != nil {
			line += fmt.Sprint(": ", o.Err)
		}
	case NewSignalingState:
		line = fmt.Sprint("signaling ", o.State)
		if o.Err != nil {
			line += fmt.Sprint(": ", o.Err)
		}
	case Unconnected:
		line = fmt.Sprintf("unconnected %d: %v", o.ID, o.Err)
	case Done:
		line = fmt.Sprintf("done %d: %v", o.Token, o.Err)
	case Note:
		r.notes = append(r.notes, fmt.Sprint(o.Text, " ", o.Err))
		return
	}
	r.log = append(r.log, short(strings.ReplaceAll(line, "netflux: ", "")))
}

// pull sends all that waits on a link.
func (r *rig) pull(l Link) {
	r.t.Helper()
	for r.pullOne(l) {
	}
}

// pullOne sends one message, and reports whether there was one.
func (r *rig) pullOne(l Link) bool {
	r.t.Helper()
	b, outs := r.core.Pull(r.now, l)
	outs = slices.Clone(outs)
	if b != nil {
		if len(b) > 65_535 {
			r.t.Errorf("a message of %d bytes", len(b)) // CHN-4
		}
		b = slices.Clone(b)
		r.frames[l] = append(r.frames[l], b)
		who := "sig"
		if !r.sigs[l] {
			who = fmt.Sprint(l)
		}
		r.log = append(r.log, short(fmt.Sprintf("%s< %s", who, describe(b, r.sigs[l]))))
	}
	r.do(outs)
	return b != nil
}

// hold stops the pulling from a link.
func (r *rig) hold(l Link) { r.held[l] = true }

// free pulls again.
func (r *rig) free(l Link) {
	r.t.Helper()
	delete(r.held, l)
	if r.waiting[l] {
		delete(r.waiting, l)
		r.pull(l)
	}
}

// pass lets time pass, and every timer fire at its time.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	end := r.now + d
	for {
		at, ok := r.core.Next()
		if !ok || at > end {
			break
		}
		r.now = max(at, r.now)
		r.step(Tick{})
	}
	r.now = end
	r.step(Tick{})
}

// quiet lets time pass while the given links and the signaling server show signs of life, and drops the log of it, of
// which only the lines are returned that are no heartbeats.
func (r *rig) quiet(d time.Duration, links ...Link) []string {
	r.t.Helper()
	before := r.log
	r.log = nil
	for end := r.now + d; r.now < end; {
		r.pass(min(time.Second, end-r.now))
		for _, l := range links {
			r.step(Received{l, nil}) // CHN-20: an empty message is a heartbeat
		}
		if l := r.core.sig.link; l != 0 {
			r.step(Received{l, (&wire.Signaling{Kind: wire.SignalingHeartbeat, Heartbeat: true}).Append(nil)})
		}
	}
	rest := slices.DeleteFunc(r.log, func(s string) bool { return strings.HasSuffix(s, "heartbeat") })
	r.log = before
	return rest
}

// expect compares the log since the last call with what is expected.
func (r *rig) expect(want ...string) {
	r.t.Helper()
	if !slices.Equal(r.log, want) {
		r.t.Errorf("log:\n\t%s\nwant:\n\t%s", strings.Join(r.log, "\n\t"), strings.Join(want, "\n\t"))
	}
	r.log = nil
}

// lines checks a part of a log.
func lines(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("log:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func (r *rig) skip() { r.log = nil }

// sum checks that all timers and all memory are given back.
func (r *rig) sum() {
	r.t.Helper()
	c := r.core
	if c.timers.Len() != 0 || c.partial != 0 || len(c.members)+len(c.order)+len(c.attempts)+len(c.builds)+len(c.channels)+len(c.waiting) != 0 {
		r.t.Errorf("left: %d timers, %d bytes, %d members, %d in order, %d attempts, %d builds, %d channels, %d sends", c.timers.Len(),
			c.partial, len(c.members), len(c.order), len(c.attempts), len(c.builds), len(c.channels), len(c.waiting))
	}
}

// closeAll tells the core of the end of the links that it closed.
func (r *rig) closeAll() {
	r.t.Helper()
	for len(r.links) > 0 {
		l := r.links[0]
		r.links = r.links[1:]
		r.step(Closed{Link: l})
	}
}

// The following say what others say.

func (r *rig) signaling(m wire.Signaling) {
	r.t.Helper()
	r.step(Received{r.core.sig.link, m.Append(nil)})
}

func (r *rig) connected(yes bool) {
	r.t.Helper()
	r.signaling(wire.Signaling{Kind: wire.SignalingConnected, Connected: yes})
}

// content is a service's message through signaling: from the member if the id is 0, else from a joiner.
func (r *rig) content(from, service uint32, content []byte) {
	r.t.Helper()
	to := uint32(0)
	if from == 0 {
		to = 7 // the joiner's signaling id
	}
	inner := wire.Message{SenderID: 99, RecipientID: 98, ServiceID: service, Content: content} // BLD-2: ids that mean nothing
	r.signaling(wire.Signaling{Kind: wire.SignalingContent, Content: wire.Content{SenderID: from, RecipientID: to, Data: inner.Append(nil)}})
}

func (r *rig) notice(from uint32) {
	r.t.Helper()
	r.signaling(wire.Signaling{Kind: wire.SignalingContent, Content: wire.Content{SenderID: from}})
}

// says is a service's message on a channel, for this member.
func (r *rig) says(l Link, from, service uint32, content []byte) {
	r.t.Helper()
	r.step(Received{l, (&wire.Message{SenderID: from, RecipientID: r.core.id, ServiceID: service, Content: content}).Append(nil)})
}

func (r *rig) mesh(l Link, from uint32, m wire.FullMesh) {
	r.t.Helper()
	r.says(l, from, wire.ServiceFullMesh, m.Append(nil))
}

// distant makes a member known that has channels with others only.
func (r *rig) distant(l Link, from uint32, adjacent ...uint32) {
	r.t.Helper()
	r.mesh(l, from, wire.FullMesh{Kind: wire.FullMeshAdjacentMembers, AdjacentMembers: adjacent})
}

func request(content []byte) []byte {
	return (&wire.ChannelBuilder{Kind: wire.ChannelBuilderConnectionRequest, ConnectionRequest: content}).Append(nil)
}

func requestOf(id uint32, adjacent ...uint32) []byte {
	return request((&wire.ConnectionRequest{ID: id, AdjacentIDs: adjacent}).Append(nil))
}

func response(yes bool) []byte {
	return (&wire.ChannelBuilder{Kind: wire.ChannelBuilderConnectionResponse, ConnectionResponse: yes}).Append(nil)
}

func negotiation(n wire.Negotiation) []byte {
	return (&wire.ChannelBuilder{Kind: wire.ChannelBuilderNegotiation, Negotiation: n}).Append(nil)
}

var canDo = wire.Info{GroupID: MinID + 501, WSSupported: true, DCSupported: true}

func offer(sdp string) []byte {
	return (&wire.DataChannelBuilder{Kind: wire.DataChannelBuilderOffer, Offer: sdp}).Append(nil)
}

func answer(sdp string) []byte {
	return (&wire.DataChannelBuilder{Kind: wire.DataChannelBuilderAnswer, Answer: sdp}).Append(nil)
}

func candidate(s string) []byte {
	return (&wire.DataChannelBuilder{Kind: wire.DataChannelBuilderCandidate, Candidate: wire.Candidate{Candidate: s}}).Append(nil)
}

func initPong(n uint32) []byte {
	return (&wire.Channel{Kind: wire.ChannelInitPong, InitPong: n}).Append(nil)
}

func initPing(from uint32, members ...uint32) []byte {
	return (&wire.Channel{Kind: wire.ChannelInitPing, InitPing: wire.ChannelData{GroupID: id(600), SenderID: from, Members: members, Key: "key"}}).Append(nil)
}

// The following bring a core into a state, and drop the log of that.

// dialing has begun to join.
func (r *rig) dialing() *rig {
	r.t.Helper()
	r.step(Join{Key: "key"})
	r.skip()
	return r
}

// first is the first member of its group.
func (r *rig) first() *rig {
	r.t.Helper()
	r.dialing()
	r.step(Opened{Link: r.last})
	r.connected(true)
	r.connected(true)
	if r.core.State() != StateJoined || r.core.SignalingState() != SignalingChecked {
		r.t.Fatalf("%v, %v", r.core.State(), r.core.SignalingState())
	}
	r.skip()
	return r
}

// asking has asked the member that the server chose.
func (r *rig) asking() *rig {
	r.t.Helper()
	r.dialing()
	r.step(Opened{Link: r.last})
	r.connected(false)
	r.skip()
	return r
}

// opening has a channel to the member that the server chose, on which no initPing has come yet.
func (r *rig) opening() Link {
	r.t.Helper()
	r.asking()
	r.content(0, wire.ServiceChannelBuilder, response(true))
	r.content(0, wire.ServiceDataChannelBuilder, offer("sdp"))
	l := r.last
	r.step(Opened{l, fmt.Sprintf(`{"id":%d,"type":2}`, id(1))})
	r.skip()
	return l
}

// letIn lets a member join through this one.
func (r *rig) letIn(id uint32) Link {
	r.t.Helper()
	l := r.halfIn()
	r.step(Received{l, initPong(id)})
	if r.core.SignalingState() == SignalingChecking {
		r.connected(true)
	}
	r.skip()
	return l
}

// halfIn opens a channel to a joiner, which has not said who it is yet.
func (r *rig) halfIn() Link {
	r.t.Helper()
	r.joiners++
	from := r.joiners
	r.content(from, wire.ServiceChannelBuilder, request([]byte{}))
	r.content(from, wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
	l := r.last
	r.step(Opened{Link: l})
	r.skip()
	return l
}

// direct lets a member that is there already connect to this one, by way of a link to another one.
func (r *rig) direct(via Link, id uint32, adjacent ...uint32) Link {
	r.t.Helper()
	r.says(via, id, wire.ServiceChannelBuilder, requestOf(id, adjacent...))
	r.says(via, id, wire.ServiceChannelBuilder, negotiation(wire.Negotiation{Initiator: canDo}))
	l := r.last
	r.step(Opened{Link: l})
	r.skip()
	return l
}

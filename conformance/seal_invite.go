package conformance

import (
	"bytes"
	"crypto/ecdh"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// sealedInvitation is the query of a WebSocket by which a bot is invited into a sealed group (SEC-22).
const sealedInvitation = "type=2&wcId=0&senderId=-1&sealed=1"

// beginInvitation begins the handshake by which a bot is given the secret (SEC-20).
func beginInvitation(initiator bool, s, e *ecdh.PrivateKey) *noise {
	return newNoise("Noise_XX_25519_AESGCM_SHA256", initiator, []byte("meshpair sealed invitation 1"), nil, s, e)
}

// invitationMessage is a sealed.Message with an invitation.
func invitationMessage(step int, data []byte) []byte {
	return appendBytes(nil, 3, appendBytes(appendVarint(nil, 1, uint64(step)), 2, data))
}

// named has a group that is not joined yet have another key.
func (z *sealedStage) named(key string) {
	z.plain = key
	z.keys = deriveKeys(z.secret, url.PathEscape(key)) // as it stands in a URL (SEC-3)
	z.key = z.keys.name()
}

// told is what the bot is told: the secret, and the key as it stands in a URL (SEC-20).
func (z *sealedStage) told() []byte { return append(bytes.Clone(z.secret), url.PathEscape(z.plain)...) }

// A visit is the suite's end of a WebSocket by which a bot is invited into a sealed group, until the two have a session. Its
// way takes what comes strictly in turn, with 0 as both ids (SEC-20).
type visit struct {
	*way
	d     *door
	z     *sealedStage
	as    *actor // who the suite's end is
	noise *noise // of the invitation
	twin  noise  // the same before message 2
	came  [][]byte
}

func (z *sealedStage) visit(d *door, as *actor) *visit {
	v := &visit{d: d, z: z, as: as}
	v.way = &way{
		run: z.run, name: d.name, instead: func(err error) string { return err.Error() },
		put: func(service uint32, content []byte) { d.send(envelope{0, 0, service, content}.encode()) },
		take: func(until time.Time, match func(envelope) bool) (envelope, error) {
			b, err := v.next(until)
			if err != nil {
				return envelope{}, err
			}
			e, err := parseEnvelope(b)
			if err != nil || e.sender != 0 || e.recipient != 0 || e.service != serviceSealed || len(mustParse(e.content)) != 1 || !match(e) {
				return e, fmt.Errorf("%v", e)
			}
			return e, nil
		},
	}
	return v
}

// next returns the next message.
func (v *visit) next(until time.Time) ([]byte, error) {
	for len(v.came) == 0 {
		a, err := v.d.in.take(until, func(arrival) bool { return true })
		if err != nil {
			return nil, err
		}
		v.came = [][]byte{a.raw}
		if spoil := v.run.target.spoil; spoil != nil {
			v.came = spoil(true, a.raw)
		}
	}
	b := v.came[0]
	v.came = v.came[1:]
	v.run.expect(!bytes.Contains(b, []byte(v.z.plain)), "what the peer under test sends", "nothing of the key", fmt.Sprintf("%x", b)) // SEC-4
	return b, nil
}

// expectInvitation expects a message of the invitation, of some length.
func (v *visit) expectInvitation(step, length int) []byte {
	what := fmt.Sprintf("message %d of an invitation", step)
	fs, _ := v.expect(what, deadline(), serviceSealed, func(fs fields) bool { return fs.has(3) && fs.sub(3).uint(1) == uint32(step) })
	data := fs.sub(3).bytes(2)
	v.run.expect(len(data) == length, what, fmt.Sprintf("%d bytes", length), len(data))
	return data
}

// invites sends a message of the invitation.
func (v *visit) invites(step int, data []byte) { v.put(serviceSealed, invitationMessage(step, data)) }

// write and read are for the next message of the invitation.
func (v *visit) write(payload []byte) []byte {
	b, err := v.noise.write(payload)
	v.run.expect(err == nil, "the invitation of "+v.name, "keys that can be used", err)
	return b
}

func (v *visit) read(data []byte) []byte {
	payload, err := v.noise.read(data)
	v.run.expect(err == nil, "the invitation of "+v.name, "a message that Noise can read", err)
	return payload
}

// quiet expects that nothing comes for a while, and the WebSocket stays.
func (v *visit) quiet(what string) {
	b, err := v.next(time.Now().Add(quiet))
	v.run.expect(errors.Is(err, os.ErrDeadlineExceeded), what, "nothing", fmt.Sprintf("%x, %v", b, err))
}

// soon is until when an end is to have closed a WebSocket for a reason: long before it does for having waited (CHN-16).
func soon() time.Time { return time.Now().Add(5 * time.Second) }

// refused expects the end of the WebSocket, and nothing before, and returns the code.
func (v *visit) refused(what string, until time.Time) int {
	b, err := v.next(until)
	var closed errClosed
	ended := errors.As(err, &closed) || isEnd(err)
	v.run.expect(b == nil && ended, what, "the end of the WebSocket, and nothing before", fmt.Sprintf("%x, %v", b, err))
	return closed.Code
}

// link is the channel that the WebSocket becomes with the session.
func (v *visit) link(t *session) *link {
	l := v.run.newLink(v.name, nil)
	l.seal, l.me, l.other = t, t.me, t.other
	for _, b := range v.came {
		l.take(b, false)
	}
	v.came = nil
	v.d.pump(l)
	return l
}

// The suite as a bot.

// inviteURL is the URL of a scripted bot, with a fragment.
func inviteURL(l interface{ Addr() net.Addr }, fragment string) string {
	return "ws://" + l.Addr().String() + "/bots" + fragment
}

// invitesBot has the member under test invite a scripted bot, by a URL that names an identity.
func (z *sealedStage) invitesBot(name string, as *actor, named *ecdh.PublicKey) *visit {
	l := z.listen()
	z.do(driver.Command{"cmd": "invite", "url": inviteURL(l, "#"+identityText(named))})
	d := z.accept(l, name, deadline(), false)
	z.expect(d.target == "/bots/?"+sealedInvitation, "the URL of a WebSocket to "+name, "/bots/?"+sealedInvitation, d.target) // SEC-22
	v := z.visit(d, as)
	v.noise = beginInvitation(false, as.identity, nil)
	return v
}

// hears has the scripted bot go on until it has the secret.
func (v *visit) hears() {
	v.read(v.expectInvitation(1, 32))
	v.invites(2, v.write(nil))
	v.handed()
}

// handed takes what the scripted bot is told in the end.
func (v *visit) handed() {
	want := v.z.told()
	got := v.read(v.expectInvitation(3, 64+len(want)))
	v.run.expect(bytes.Equal(got, want), "what "+v.name+" is told", fmt.Sprintf("the secret, and the key %q", want[32:]), fmt.Sprintf("%q", got))
}

// failed expects that the user is told that the invitation has come to nothing, and why, if there is a reason.
func (z *sealedStage) failed(what, reason string) {
	e := z.event(what, deadline(), func(e driver.Event) bool { return e.Event == "error" })
	z.expect(reason == "" || e.Reason == reason, what, "the reason "+reason, fmt.Sprintf("%+v", e)) // SEC-28
}

// The suite as an inviter.

// onSealedBot makes the function of a case for a bot that is invited into sealed groups, started with further arguments.
func onSealedBot(f func(*sealedStage), args ...string) func(*run) {
	return onBotWith(func(s *stage) {
		if s.identity == "" {
			panic(unsupported("the bot's URL has no identity: it cannot be invited into sealed groups"))
		}
		z := sealing(s)
		s.tap = z.watch
		f(z)
		z.nothingWrong()
	}, args...)
}

// knocks has a scripted member open a WebSocket to invite the bot.
func (z *sealedStage) knocks(as *actor) *visit {
	v := z.visit(z.enter(fmt.Sprintf("member %d", as.id), sealedInvitation), as)
	v.noise = beginInvitation(true, as.identity, nil)
	return v
}

// begins sends message 1, and takes message 2 of the bot.
func (v *visit) begins() {
	v.invites(1, v.write(nil))
	v.read(v.expectInvitation(2, 96))
	v.run.expect(identityText(v.noise.rs) == v.z.identity, "the identity in message 2 of an invitation", v.z.identity, identityText(v.noise.rs))
}

// hands has the scripted inviter go on until the bot has the secret.
func (v *visit) hands() {
	v.begins()
	v.invites(3, v.write(v.z.told()))
}

// meets has the session's handshake.
func (v *visit) meets() *session {
	h := v.as.asks(v.way)
	v.learn(h)
	h.say(3, h.third())
	return h.session()
}

// learn expects that a handshake is with the bot that has been invited, and takes its id.
func (v *visit) learn(h *shaking) {
	v.run.expect(identityText(h.rs) == v.z.identity, "the identity in the handshake after an invitation", v.z.identity, identityText(h.rs))
	v.z.id = binary.BigEndian.Uint32(h.theirs)
	v.run.expect(v.z.id >= 1<<31 && v.z.id != v.as.id, "the bot's id", "one of at least 2^31 of its own", v.z.id)
}

// invite has a scripted member, which lists others, invite the bot.
func (z *sealedStage) invite(as *actor, others ...*actor) *voice {
	v := z.knocks(as)
	v.hands()
	return v.letsIn(others...)
}

// letsIn goes on when the bot has the secret.
func (v *visit) letsIn(others ...*actor) *voice {
	l := v.link(v.meets())
	z, as := v.z, v.as
	p := ping{0, z.group, as.id, []uint32{as.id}, z.key}
	list := [][]byte{as.identity.PublicKey().Bytes()}
	for _, o := range others {
		p.members, list = append(p.members, o.id), append(list, o.identity.PublicKey().Bytes())
	}
	l.send(serviceBeat, p.withIdentities(list))
	l.expectPong(z.id)
	l.begin(as.id, z.id)
	return z.voice(l)
}

// invited has member(1) invite the bot into a group of both.
func (z *sealedStage) invited() (*actor, *voice) {
	a := z.actor(member(1))
	v := z.invite(a)
	if z.peer != nil {
		z.checks(deadline(), a.id)
	}
	return a, v
}

// heard expects that the bot gets a message: its user, or, where there is no driver, that it is acknowledged.
func (z *sealedStage) heard(v *voice) {
	if z.peer != nil {
		z.hear(v)
		return
	}
	v.sent++
	v.part(v.theirs, v.sent, "hear "+randomName())
	v.expectAck(v.sent)
}

// anotherGroup is a stage with the same bot and another sealed group, whose key is the same.
func (z *sealedStage) anotherGroup() *sealedStage {
	other := sealing(z.stage.another())
	other.named(z.plain)
	return other
}

// expectIdentities expects that the bot's user is told these identities, by ids.
func (z *sealedStage) expectIdentities(all map[uint32]string) {
	got := z.status().Identities
	same := len(got) == len(all)
	for id, text := range all {
		same = same && got[fmt.Sprint(id)] == text
	}
	z.expect(same, "the identities that the user is told", fmt.Sprint(all), got)
}

// expectInviteURL expects that the bot says where it listens, and the same with its identity (SEC-6).
func (z *sealedStage) expectInviteURL() {
	base, fragment, _ := strings.Cut(z.peer.Ready.Invite, "#")
	z.expect(strings.TrimSuffix(base, "/") == strings.TrimSuffix(z.peer.Ready.URL, "/") && len(fragment) == 63 && strings.HasPrefix(fragment, "mpid1"),
		"the URL for invitations into sealed groups", z.peer.Ready.URL+"#mpid1…", z.peer.Ready.Invite)
}

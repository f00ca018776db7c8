package conformance

import (
	"fmt"

	"github.com/meshpair/meshpair/conformance/driver"
)

// Cases of sealed groups: what a user is told of a member that is gone.
var secLeaving = []*Case{
	{
		ID: "SEC-28/unsealed", Requirements: []string{"SEC-27", "SEC-28"}, Level: Must,
		Sentence: "The user of a member that has closed a channel because of something that was not sealed is told so.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			v, _, _ := z.admit("A", z.actor(member(5)))
			v.raw(envelope{v.me, z.id, serviceUser, fullMessage(typeText, []byte("unsealed"))}.encode())
			v.expectClosed("after a message that was not sealed", deadline())
			z.goneBy(v.me, "unsealed")
		}),
	},
	{
		ID: "SEC-34/missing", Requirements: []string{"SEC-34"}, Level: Must,
		Sentence: "The user is told whether all has come that a member had sent which is gone: it says bye, and what its last part was.",
		run: onSealed(func(z *sealedStage) {
			z.first(nil)
			admit := func(n uint32) *voice {
				v, _, _ := z.admit(fmt.Sprintf("member %d", n), z.actor(member(n)))
				z.hear(v)
				return v
			}
			bye := func(v *voice, end uint64) {
				v.send(serviceDelivery, appendVarint(appendBool(nil, 4, true), 5, end))
				v.barrier() // the channel may end before what is on it is read
				v.shut()
			}
			v := admit(5)
			bye(v, v.sent)
			z.goneBy(v.me, "left")
			v = admit(6)
			bye(v, v.sent+1)
			z.goneBy(v.me, "lost")
			v = admit(7)
			v.sent++ // the part before is missing
			z.send(v, "never delivered")
			bye(v, v.sent)
			z.goneBy(v.me, "lost")
			v = admit(8)
			v.shut() // without bye
			z.goneBy(v.me, "lost")
			z.expectMembers()
		}),
	},
}

// goneBy expects that the user is told that a member is gone, and why, if its driver tells the reasons of that.
func (z *sealedStage) goneBy(id uint32, reason string) {
	e := z.event(fmt.Sprintf("that %d is gone", id), deadline(), func(e driver.Event) bool { return e.Event == "leave" && e.Member == id })
	if e.Reason == "" {
		panic(unsupported("its driver does not tell why a member is gone"))
	}
	z.expect(e.Reason == reason, fmt.Sprintf("the reason for which %d is gone", id), reason, e.Reason)
}

// send sends a text as the next part.
func (z *sealedStage) send(v *voice, text string) {
	v.sent++
	v.part(v.theirs, v.sent, text)
}

// Package netflux makes a program a member of Netflux groups: full peer-to-peer meshes over WebRTC data channels and
// WebSockets, in which browsers that use the original JavaScript library and Go programs take part alike.
//
// Members find each other by a key, through a signaling server (package sigver has one), and talk without it: user data
// never passes through signaling. A [Group] is made with [New] and entered with [Group.Join]; [Group.Send] sends to all
// members and [Group.SendTo] to one. What happens in the group is told to the function in [Config].OnEvent:
//
//	g := netflux.New(netflux.Config{
//		SignalingURL: "ws://127.0.0.1:8000",
//		OnEvent: func(e netflux.Event) {
//			if m, ok := e.(netflux.Message); ok {
//				log.Printf("%d says %s", m.From, m.Data)
//			}
//		},
//	})
//	if err := g.Join(ctx, "our key"); err != nil {
//		log.Fatal(err)
//	}
//	defer g.Leave(context.Background())
//	err := g.Send(ctx, netflux.Text, []byte("hello"))
//
// The protocol is that of SPEC.md, chapters CHN, BLD, MSH, MSG and STA.
//
// # Events
//
// OnEvent is called for one event at a time, in the order in which things happened, by whichever goroutine of the group
// is at hand; no lock is held. It may call every method of the group, but Join and Leave wait for what may need OnEvent
// to return: call these from another goroutine. While OnEvent has not returned, further events wait; when those that
// wait hold [Config].ReceiveBuffer bytes, nothing more is read from the members, and so their sends wait in the end.
//
// # Delivery
//
// Between two members of this implementation each message arrives once, whole and in order, as long as both are
// members: if their channel breaks or falls silent, other members pass on what has not been acknowledged, and a
// new channel is built (chapter EXT of SPEC.md). With an original at one end that holds while the channel between the two
// lives. What has been accepted is lost for a member that is lost; its leaving is told as [MemberLeft].
//
// Send never drops a message: it waits until there is room for it in the queue of each recipient. So two members whose
// OnEvent both send much may wait for each other, up to [Config].SlowTimeout: send from another goroutine, or by TrySend,
// where that can be.
package netflux

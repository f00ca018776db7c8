package conformance

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// Cases of chapter BLD in which the peer under test joins.
var bldJoiner = []*Case{
	{
		ID: "BLD-4/request", Requirements: []string{"BLD-1", "BLD-2", "BLD-3", "BLD-4", "BLD-9"}, Level: Must,
		Sentence: "A joiner sends 0 an empty connectionRequest, once, and after the response a negotiation with what it can do.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			fs, e := h.way.expect("a connectionRequest", deadline(), serviceBuilder, func(fs fields) bool { return fs.has(2) })
			s.expect(len(fs.bytes(2)) == 0 && e.recipient == 0, "the request of a joiner", "to 0, with empty content", e)
			h.way.put(serviceBuilder, connectionResponse(true))
			i, passive := h.way.expectNegotiation(deadline())
			s.expect(passive == nil && i.wss == "" && !i.wsTried && !i.noDC && !i.dcTried, "the first negotiation",
				"no passive, data channels supported, nothing tried", fmt.Sprintf("%+v, passive %v", i, passive))
			s.expect(!s.door.last.Load(), "the contents of a joiner", "no lastData", "lastData")
			s.expect(h.way.none(serviceBuilder, func(fs fields) bool { return fs.has(2) }), "a joiner", "one request", "two")
			s.noConnect("a joiner whose attempt is under way")
		}),
	},
	{
		ID: "BLD-12/initiator-offers", Requirements: []string{"BLD-11", "BLD-12", "BLD-15", "CHN-7", "CHN-13"}, Level: Must,
		Sentence: "A joiner whose member has tried a data channel in vain offers one itself, of kind 1.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			i := h.agree()
			i.id = s.lastSig
			h.way.put(serviceBuilder, negotiation(i, info{group: groupID, dcTried: true}))
			l := h.way.answer(h.way.expectOffer(deadline()))
			got := parseLabel(l.label)
			s.expect(got == label{s.id, 1}, "the label", label{s.id, 1}.String(), l.label)
			h.greet(l)
			s.settled(deadline())
			s.hear(l)
		}),
	},
	{
		ID: "BLD-12/nothing-left", Requirements: []string{"BLD-12", "BLD-13", "STA-5"}, Level: Must,
		Sentence: "A joiner that is told that both have tried in vain says nothing and sends connect again.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			i := h.agree()
			i.id, i.dcTried = s.lastSig, true
			h.way.put(serviceBuilder, negotiation(i, info{group: groupID, dcTried: true}))
			s.connectsAgain("the attempt failed", deadline())
			s.expect(h.way.none(serviceBuilder, func(fs fields) bool { return fs.has(1) }), "for member 1", "nothing", "a negotiation")
		}),
	},
	{
		ID: "BLD-12/no-common-way", Requirements: []string{"BLD-12", "BLD-13"}, Level: Must,
		Sentence: "A joiner whose member has neither data channels nor a URL sends connect again at once.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			i := h.agree()
			i.id = s.lastSig
			h.way.put(serviceBuilder, negotiation(i, info{group: groupID, noDC: true}))
			s.connectsAgain("the attempt failed", deadline())
		}),
	},
	{
		ID: "BLD-12/websocket", Requirements: []string{"BLD-9", "BLD-12", "BLD-15", "CHN-9", "CHN-12", "CHN-21"}, Level: Must,
		Sentence: "A joiner opens a WebSocket to the URL of its member, joins through it, and closes it with 1000.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			l := h.dialled("")
			h.greet(l)
			s.settled(deadline())
			s.hear(l)
			s.speak(l)
			s.expectNeighbors(member(1))
			s.do(map[string]any{"cmd": "leave"})
			s.out = true
			l.ws.expectEnd("the peer under test leaves", deadline())
		}),
	},
	{
		ID: "CHN-9/key-is-encoded", Requirements: []string{"CHN-9"}, Level: Must,
		Sentence: "The key in the URL of a WebSocket is in percent-encoding.",
		run: onStage(func(s *stage) {
			s.key += "+a&type=0"
			h := s.bound(member(1))
			h.greet(h.dialled(""))
			s.settled(deadline())
		}),
	},
	{
		ID: "BLD-12/websocket-fails", Requirements: []string{"BLD-12", "BLD-16"}, Level: Must,
		Sentence: "A joiner that cannot open a WebSocket to its member's URL offers a data channel.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			i := h.agree()
			i.id = s.lastSig
			nobody := s.listen()
			nobody.Close()
			h.way.put(serviceBuilder, negotiation(i, info{group: groupID, wss: "ws://" + nobody.Addr().String()}))
			h.greet(h.way.answer(h.way.expectOffer(deadline())))
			s.settled(deadline())
		}),
	},
	{
		ID: "BLD-16/whole-attempt", Requirements: []string{"BLD-16", "BLD-17", "STA-5"}, Level: Must, Slow: true,
		Sentence: "A joiner whose member falls silent after the response sends connect again after 14 s, and not before.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.agree()
			begin := time.Now()
			s.connectsAgain("the attempt failed", within(14*time.Second))
			s.between("connect after the response", time.Since(begin), 14*time.Second, 14*time.Second)
			s.door.answer(false)
			s.bind(member(2)).admitted()
			s.settled(deadline())
		}),
	},
	{
		ID: "BLD-17/others-stay", Requirements: []string{"BLD-16", "BLD-17", "STA-5"}, Level: Must, Slow: true,
		Sentence: "An attempt through signaling that fails by its 14 s does another attempt no harm.",
		run: onStage(func(s *stage) {
			m := s.joinThrough(member(1))
			s.joined(deadline())
			s.connectsWith(deadline(), member(1))
			s.door.answer(false)
			h := s.bind(member(2))
			h.agree()
			begin := time.Now()
			<-time.After(12 * time.Second) // the attempt must be old
			w := s.nextJoiner("J")
			offer := w.asks()
			a := s.door.expectConnect("the attempt failed", begin.Add(17*time.Second))
			s.between("connect after the response", a.at.Sub(begin), 14*time.Second, 14*time.Second)
			s.door.agree.Store(true)
			s.door.answer(true)
			j := w.answer(offer)
			s.initiate(j, member(3))
			s.speak(m, j)
		}),
	},
	{
		ID: "BLD-16/own-offer", Requirements: []string{"BLD-12", "BLD-14", "BLD-16"}, Level: Must, Slow: true,
		Sentence: "A member whose offer is not answered passes the negotiation on after 9 s, and answers the offer that comes then.",
		run: onStage(func(s *stage) {
			s.first()
			w := s.nextJoiner("J")
			w.asks()
			begin := time.Now()
			i, passive := w.expectNegotiation(within(9 * time.Second))
			s.between("the negotiation", time.Since(begin), 9*time.Second, 9*time.Second)
			s.expect(passive != nil && passive.dcTried && passive.id == 0 && passive.group == s.status().Group && !i.dcTried && i.id == s.lastSig,
				"the negotiation", "the joiner's Info as it came, with its id, and the member's own with dcTried", fmt.Sprintf("%+v, %+v", i, passive))
			l := w.offer(label{member(1), 1}.String()).answered()
			s.initiate(l, member(1))
			s.hear(l)
		}),
	},
	{
		ID: "BLD-21/candidates-first", Requirements: []string{"BLD-20", "BLD-21"}, Level: Must,
		Sentence: "Candidates that come before the offer are used; those that are malformed do no harm.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.agree()
			half, sdp := h.way.prepare(h.label(2))
			sdp, candidates := split(sdp)
			s.expect(len(candidates) > 0, "the case", "candidates", sdp)
			h.way.put(serviceRTC, candidateMessage("", "0", 0))
			h.way.put(serviceRTC, candidateMessage("candidate:nonsense", "0", 0))
			for _, c := range candidates {
				h.way.put(serviceRTC, candidateMessage(c, "0", 0))
			}
			h.way.put(serviceRTC, candidateMessage(candidates[0], "no such mid", 7))
			h.way.put(serviceRTC, nil)
			h.way.put(serviceRTC, offerMessage(sdp))
			h.greet(half.answered())
			s.settled(deadline())
		}),
	},
	{
		ID: "BLD-21/candidates-before-the-answer", Requirements: []string{"BLD-20", "BLD-21"}, Level: Must,
		Sentence: "Candidates that come before the answer to a member's offer are used.",
		run: onStage(func(s *stage) {
			s.first()
			w := s.nextJoiner("J")
			half, sdp := w.prepareAnswer(w.asks())
			sdp, candidates := split(sdp)
			for _, c := range candidates {
				w.put(serviceRTC, candidateMessage(c, "0", 0))
			}
			w.put(serviceRTC, answerMessage(sdp))
			l := half.wait()
			s.initiate(l, member(1))
			s.hear(l)
		}),
	},
	{
		ID: "BLD-20/form", Requirements: []string{"BLD-19", "BLD-20"}, Level: Must,
		Sentence: "A member sends one offer, and candidates with candidate, sdpMid and sdpMLineIndex, or has them in the SDP.",
		run: onStage(func(s *stage) {
			s.first()
			w := s.nextJoiner("J")
			offer := w.asks()
			_, within := split(offer)
			e, err := w.take(deadline(), func(e envelope) bool {
				return e.service == serviceRTC && (mustParse(e.content).has(3) || len(e.content) == 0 && len(within) > 0)
			})
			s.expect(err == nil, "for J", "candidates", "none")
			if fs := mustParse(e.content); fs.has(3) {
				c := fs.sub(3)
				s.expect(len(c.bytes(1)) > 0 && string(c.bytes(2)) != "" && c.has(3), "a candidate",
					"candidate, sdpMid and sdpMLineIndex", fmt.Sprintf("% x", e.content))
			}
		}),
	},
	{
		ID: "BLD-20/no-more-candidates", Requirements: []string{"BLD-20"}, Level: Should,
		Sentence: "After its last candidate a member sends an empty message.",
		run: onStage(func(s *stage) {
			s.first()
			w := s.nextJoiner("J")
			w.asks()
			_, err := w.take(deadline(), func(e envelope) bool { return e.service == serviceRTC && len(e.content) == 0 })
			s.expect(err == nil, "for J", "an empty message of service 7431", "none")
		}),
	},
	{
		ID: "BLD-25/relay-only", Requirements: []string{"BLD-25", "BLD-12"}, Level: Must,
		Sentence: "A joiner that is to use TURN servers alone, and gets no address from them, shows no address of its own and opens no WebSocket.",
		run: onStage(func(s *stage) {
			var mu sync.Mutex
			var shown []string
			s.tap = func(channel bool, b []byte) {
				for _, w := range writtenIn(channel, b) {
					if sdp, candidates := string(w.fields.bytes(1))+string(w.fields.bytes(2)), w.fields.sub(3); w.what == rtcMessages {
						mu.Lock()
						shown = append(shown, sdp+string(candidates.bytes(1)))
						mu.Unlock()
					}
				}
			}
			l := s.listen()
			turn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}) // it never answers
			s.expect(err == nil, "the case", "a UDP socket", err)
			defer turn.Close()
			s.beginWith(driver.Command{"relayOnly": true, "ice": []any{map[string]any{
				"urls": []string{"turn:" + turn.LocalAddr().String()}, "username": "u", "credential": "c",
			}}})
			s.hello()
			s.door.answer(false)
			h := s.bind(member(1))
			h.agree()
			mine := info{wss: "ws://" + l.Addr().String(), dcTried: true}
			h.way.put(serviceBuilder, negotiation(info{}, mine)) // it is the joiner's turn, to dial or to offer
			s.door.expectConnect("it cannot join so", within(14*time.Second))
			l.SetDeadline(time.Now())
			_, err = l.Accept()
			s.expect(err != nil, "the member's URL", "no WebSocket to it", "one")
			mu.Lock()
			defer mu.Unlock()
			for _, text := range shown {
				s.expect(!strings.Contains(text, "typ host") && !strings.Contains(text, "typ srflx") && !strings.Contains(text, "127.0.0.1 "),
					"an SDP or candidate", "no address of its own", text)
			}
		}),
	},
	{
		ID: "BLD-22/second-offer", Requirements: []string{"BLD-22", "BLD-24"}, Level: Must,
		Sentence: "A joiner takes a second offer of its member, after one that led to nothing and one that cannot be used.",
		run: onStage(func(s *stage) {
			h := s.bound(member(1))
			h.agree()
			h.way.put(serviceRTC, offerMessage("v=0 nonsense"))
			vain, sdp := h.way.prepare(h.label(2))
			sdp, _ = split(sdp)
			h.way.put(serviceRTC, offerMessage(sdp))
			h.way.expect("an answer", deadline(), serviceRTC, func(fs fields) bool { return fs.has(2) })
			vain.pc.Close()
			h.greet(h.way.offer(h.label(2)).answered())
			s.settled(deadline())
		}),
	},
}

// dialled has the peer, which asked h, open a WebSocket to it, and checks the URL;
// path is part of the URL that h announces.
func (h *host) dialled(path string) *link {
	i := h.agree()
	i.id = h.lastSig
	l := h.listen()
	h.way.put(serviceBuilder, negotiation(i, info{group: groupID, wss: "ws://" + l.Addr().String() + path}))
	d := h.accept(l, h.way.name, deadline(), false)
	h.expectTarget(d, path, fmt.Sprintf("type=1&wcId=%d&senderId=%d", uint32(groupID), h.lastSig))
	return d.link()
}

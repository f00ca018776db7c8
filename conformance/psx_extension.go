package conformance

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/meshpair/meshpair/conformance/driver"
)

// PairExtensionCases returns the cases of PSX-70 to PSX-80 that judge a client. The suite plays the server, and the other
// client as one that knows the extension.
func PairExtensionCases() []*Case {
	all := slices.Concat(psxHello, psxFrames, psxChannels)
	slowFirst(all)
	return all
}

var psxHello = []*Case{
	{"PSX-70/hello", []string{"PSX-70"}, Must, "the first message after peer.connected is a hello", false, inDuet(func(d *duet) {
		d.pair(false, noUpgrade)
		h := d.wantHello()
		d.expect(h.Version == 1 && h.Window >= leastWindow && h.MaxMessage > 0, "the hello", "version 1, window and maxMessage", fmt.Sprintf("%+v", h))
	})},
	{"PSX-70/original", []string{"PSX-70"}, Must, "a peer that says something else before a hello is an original", false, inDuet(func(d *duet) {
		d.pair(false, noUpgrade)
		d.socket.say("not hello")
		d.hello(leastWindow)
		d.expectUser("a text", "not hello")
		d.sendText("as it is")
		d.wantFromClient(opText, "as it is")
	})},
	{"PSX-70/bad", []string{"PSX-70"}, Must, "a hello with a smaller window, or without maxMessage or version, is none", false, inDuet(func(d *duet) {
		d.pair(false, noUpgrade)
		d.tell("meshpair.hello", helloData{1, leastWindow - 1, 1000})
		d.tell("meshpair.hello", helloData{1, leastWindow, 0})
		d.tell("meshpair.hello", helloData{0, leastWindow, 1000})
		d.socket.say("after it")
		d.expectUser("a text", "after it")
		d.sendText("as it is")
		d.wantFromClient(opText, "as it is")
	})},
	{"PSX-70/late", []string{"PSX-70", "PSX-71"}, Must, "a hello is taken after 3 s of silence, too", false, inDuet(func(d *duet) {
		d.pair(false, noUpgrade)
		d.wantHello()
		time.Sleep(3200 * time.Millisecond) // the time is what the case is about
		d.sendText("as it is")
		d.wantFromClient(opText, "as it is")
		d.tell("meshpair.hello", helloData{2, leastWindow, 1000}) // another version is one, too
		d.wantFrames(1)
		d.sendText("framed")
		d.wantPart(d.bySocket(), part{partText, 2, "framed"})
	})},
	{"PSX-71/after", []string{"PSX-71"}, Must, "what is sent before the hello counts as frames", false, inDuet(func(d *duet) {
		d.pair(false, noUpgrade)
		d.wantHello()
		d.sendText("one")
		d.sendText("two")
		d.wantFromClient(opText, "one")
		d.wantFromClient(opText, "two")
		d.hello(leastWindow)
		d.wantFrames(2)
		d.sendText("three")
		r := d.bySocket()
		d.wantPart(r, part{partText, 3, "three"})
		d.tell("meshpair.frames", map[string]int{"after": 0})
		r.say(part{partText, 1, "hello"})
		d.expectUser("the first frame", "hello")
	})},
	{"PSX-71/missing", []string{"PSX-71"}, Must, "when a message before the frames is missing the connection ends", false, inDuet(func(d *duet) {
		d.pair(false, noUpgrade)
		d.wantHello()
		d.hello(leastWindow)
		d.tell("meshpair.frames", map[string]int{"after": 1})
		d.wantEnd("after 0 messages instead of 1")
	})},
	{"PSX-71/cut", []string{"PSX-71"}, Must, "when the WebSocket ends before the frames began the connection ends", false, inDuet(func(d *duet) {
		d.pair(false, nil)
		d.wantHello()
		d.hello(leastWindow)
		d.byChannel(false)
		d.socket.drop()
		d.socket = nil
		d.event("connectionClosed", deadline())
	})},
	{"PSX-79/broken", []string{"PSX-79"}, Must, "who breaks the rules of frames is left", false, inDuet(func(d *duet) {
		for _, broken := range []struct {
			what string
			do   func(h helloData, r *road)
		}{
			{"a text outside of a frame", func(_ helloData, r *road) {
				r.put(true, part{partText, 1, "bare"}.encode())
			}},
			{"no frame", func(_ helloData, r *road) { r.put(false, []byte{9, 1}) }},
			{"an empty message", func(_ helloData, r *road) { r.put(false, nil) }},
			{"a frame of 32,769 bytes", func(_ helloData, r *road) {
				r.say(part{partBinary, 1, strings.Repeat("x", partPayload+1)})
			}},
			{"a text that is not UTF-8", func(_ helloData, r *road) { r.say(part{partText, 1, "\xff"}) }},
			{"an acknowledgement of what was not sent", func(_ helloData, r *road) { r.say(part{partAck, 1, ""}) }},
			{"more ahead than its window", func(h helloData, r *road) {
				for i := range h.Window/(partPayload+partCost) + 1 {
					r.say(part{partMore, uint64(i + 2), strings.Repeat("x", partPayload)})
				}
			}},
		} {
			h, r := d.greet(false, leastWindow, noUpgrade)
			broken.do(h, r)
			d.wantEnd(broken.what)
		}
	})},
	{"PSX-79/too-big", []string{"PSX-79"}, Must, "who sends a message of more than M bytes is left", false, inDuet(func(d *duet) {
		h, r := d.greet(false, leastWindow, noUpgrade)
		data := strings.Repeat("x", partPayload)
		for i := range h.MaxMessage/partPayload + 1 {
			r.say(part{partMore, uint64(i + 1), data})
		}
		d.wantEnd(fmt.Sprintf("a message of more than %d bytes", h.MaxMessage))
	})},
}

var psxFrames = []*Case{
	{"PSX-72/texts", []string{"PSX-72"}, Must, "any text goes in a frame", false, inDuet(func(d *duet) {
		_, r := d.greet(false, leastWindow, noUpgrade)
		for i, text := range []string{"été", "PING", "§", `§{"name":"peer.signal"}`, ""} {
			d.sendText(text)
			d.wantPart(r, part{partText, uint64(i + 1), text})
			r.say(part{partText, uint64(i + 1), text})
			d.expectUser("a text in a frame", text)
		}
	})},
	{"PSX-72/parts", []string{"PSX-72"}, Must, "a long message goes in frames of at most 32,768 bytes", false, inDuet(func(d *duet) {
		_, r := d.greet(false, 1<<20, noUpgrade)
		data := bytes.Repeat([]byte{1, 2, 3, 4, 0xff}, 16_000)
		d.do(driver.Command{"cmd": "send", "base64": base64.StdEncoding.EncodeToString(data)})
		var got []byte
		for n := uint64(1); len(got) < len(data); n++ {
			p, err := r.part(deadline(), false)
			got = append(got, p.data...)
			kind := byte(partMore)
			if len(got) == len(data) {
				kind = partBinary
			}
			d.expect(err == nil && p.kind == kind && p.number == n, r.name, fmt.Sprintf("frame %d of kind %d", n, kind),
				fmt.Sprintf("frame %d of kind %d, %v", p.number, p.kind, err))
		}
		d.expect(bytes.Equal(got, data), "the frames", "the message", "other bytes")
		r.say(part{partMore, 1, "\xc3"}, part{partMore, 2, ""}, part{partText, 3, "\xa9"})
		d.expectUser("a text in three frames", "é")
	})},
	{"PSX-73/order", []string{"PSX-73"}, Must, "frames are taken in the order of their numbers, and once", false, inDuet(func(d *duet) {
		_, r := d.greet(false, leastWindow, noUpgrade)
		r.say(part{partText, 3, "three"}, part{partText, 2, "two"}, part{partText, 2, "two"}, part{partText, 1, "one"},
			part{partText, 1, "one"}, part{partText, 3, "three"}, part{partText, 4, "four"})
		for _, want := range []string{"one", "two", "three", "four"} {
			d.expectUser("frames out of order and twice", want)
		}
	})},
	{"PSX-74/soon", []string{"PSX-74"}, Must, "frames are acknowledged within 50 ms", false, inDuet(func(d *duet) {
		_, r := d.greet(false, leastWindow, noUpgrade)
		began := time.Now()
		r.say(part{partText, 1, "one"})
		d.wantPart(r, part{partAck, 1, ""})
		// Ten times as long, as the machine may have other things to do.
		d.expect(time.Since(began) < 500*time.Millisecond, "the acknowledgement", "after 50 ms", time.Since(began))
		r.say(part{partText, 1, "one"}) // as if it had been lost
		d.wantPart(r, part{partAck, 1, ""})
		r.say(part{partText, 3, "three"})
		d.wantNone(r, true)
		r.say(part{partText, 2, "two"})
		for p := (part{}); p.number < 3; { // it may come in two
			var err error
			p, err = r.part(deadline(), true)
			d.expect(err == nil && p.kind == partAck, "for frames 2 and 3", "an acknowledgement", fmt.Sprintf("%+v, %v", p, err))
		}
	})},
	{"PSX-75/window", []string{"PSX-75"}, Must, "no more than the window is on its way", false, inDuet(func(d *duet) {
		_, r := d.greet(false, leastWindow, noUpgrade)
		const size = 300_000
		d.do(driver.Command{"cmd": "send", "base64": base64.StdEncoding.EncodeToString(make([]byte, size))})
		flying, got, last := 0, 0, uint64(0)
		for got < size {
			p, err := r.part(time.Now().Add(quiet), false)
			if errors.Is(err, os.ErrDeadlineExceeded) { // it waits, as it must
				d.expect(flying > 0, r.name, "a frame, as all are acknowledged", "nothing")
				r.say(part{partAck, last, ""})
				flying = 0
				continue
			}
			d.expect(err == nil, r.name, "a frame", fmt.Sprint(err))
			got, last = got+len(p.data), p.number
			flying += len(p.data) + partCost
			d.expect(flying <= leastWindow, "what is not acknowledged", fmt.Sprint("at most ", leastWindow), flying)
		}
	})},
	{"PSX-80/acknowledges", []string{"PSX-80"}, Should, "who closes acknowledges first what has come", false, inDuet(func(d *duet) {
		_, r := d.greet(false, leastWindow, noUpgrade)
		r.say(part{partText, 1, "got"})
		d.expectUser("a frame", "got")
		if _, err := d.driver.Send(driver.Command{"cmd": "close"}); err != nil {
			d.fail("close", "that it is possible", err.Error())
		}
		d.wantPart(r, part{partAck, 1, ""})
		d.wantEnd("after the acknowledgement")
	})},
	{"PSX-80/acknowledged", []string{"PSX-80"}, Should, "who closes waits for the acknowledgement, and acknowledges", false, inDuet(func(d *duet) {
		_, r := d.greet(false, leastWindow, noUpgrade)
		d.sendText("the last")
		d.wantPart(r, part{partText, 1, "the last"})
		r.say(part{partText, 1, "got"})
		d.expectUser("a frame", "got")
		if _, err := d.driver.Send(driver.Command{"cmd": "close"}); err != nil {
			d.fail("close", "that it is possible", err.Error())
		}
		d.wantPart(r, part{partAck, 1, ""})
		d.wantNone(r, true)
		r.say(part{partAck, 1, ""})
		d.wantEnd("after the acknowledgement")
	})},
}

var psxChannels = []*Case{
	{"PSX-73/ways", []string{"PSX-73", "PSX-67"}, Must, "frames of both connections are put in order", false, inDuet(func(d *duet) {
		_, socket := d.greet(false, leastWindow, nil)
		channel, _ := d.byChannel(false)
		socket.say(part{partText, 2, "two"})
		channel.say(part{partText, 1, "one"}, part{partText, 3, "three"})
		for _, want := range []string{"one", "two", "three"} {
			d.expectUser("frames by two ways", want)
		}
		d.sendText("back")
		d.wantPart(channel, part{partText, 1, "back"})
		channel.say(part{partAck, 1, ""})
	})},
	{"PSX-76/again", []string{"PSX-76", "PSX-77"}, Must, "what the data channel took and nobody acknowledged comes again by the WebSocket, and only that", false, inDuet(func(d *duet) {
		_, socket := d.greet(false, leastWindow, nil)
		channel, dc := d.byChannel(false)
		for i, text := range []string{"one", "two", "three"} {
			d.sendText(text)
			d.wantPart(channel, part{partText, uint64(i + 1), text})
		}
		channel.say(part{partAck, 1, ""}, part{partText, 1, "heard"})
		d.expectUser("a frame after an acknowledgement", "heard")
		d.try(dc.Close())
		d.event("peerRtcClosed", deadline())
		label := ""
		var list []part
		for len(list) < 2 { // meshpair.closed may come before, between and after
			text, data, err := socket.next(deadline())
			d.expect(err == nil, socket.name, "frames 2 and 3", fmt.Sprint(err))
			label = closedLabel(text, data, label)
			if p, err := decodePart(data); !text && err == nil && p.kind != partAck {
				list = append(list, p)
			}
		}
		d.expect(slices.Equal(list, []part{{partText, 2, "two"}, {partText, 3, "three"}}), socket.name, "frames 2 and 3", list)
		for label == "" {
			text, data, err := socket.next(deadline())
			d.expect(err == nil, socket.name, "meshpair.closed", fmt.Sprint(err))
			label = closedLabel(text, data, label)
		}
		d.expect(label == dc.Label(), "meshpair.closed", dc.Label(), label)
		d.sendText("four")
		d.wantPart(socket, part{partText, 4, "four"})
	})},
	{"PSX-76/relay", []string{"PSX-76", "PSX-67"}, Must, "what the WebSocket took and nobody acknowledged comes again by the data channel", false, inDuet(func(d *duet) {
		_, socket := d.greet(false, leastWindow, nil)
		d.sendText("one")
		d.wantPart(socket, part{partText, 1, "one"})
		channel, _ := d.byChannel(false)
		d.sendText("two")
		d.wantPart(channel, part{partText, 2, "two"})
		d.socket.drop()
		d.socket = nil
		d.wantPart(channel, part{partText, 1, "one"})
		d.sendText("three")
		d.wantPart(channel, part{partText, 3, "three"})
		channel.say(part{partAck, 3, ""}, part{partText, 1, "heard"})
		d.expectUser("on the data channel alone", "heard")
	})},
	{"PSX-77/closed", []string{"PSX-77"}, Must, "a data channel that the peer has not any more is ended", false, inDuet(func(d *duet) {
		_, socket := d.greet(false, leastWindow, nil)
		channel, dc := d.byChannel(false)
		d.tell("meshpair.closed", labelData{"another"})
		socket.say(part{partText, 1, "after it"})
		d.expectUser("after the end of another data channel", "after it")
		d.sendText("one")
		d.wantPart(channel, part{partText, 1, "one"})
		d.tell("meshpair.closed", labelData{dc.Label()})
		d.event("peerRtcClosed", deadline())
		for {
			text, data, err := socket.next(deadline())
			d.expect(err == nil, socket.name, "frame 1", fmt.Sprint(err))
			if p, err := decodePart(data); !text && err == nil && p == (part{partText, 1, "one"}) {
				return
			}
		}
	})},
	{"PSX-78/asks", []string{"PSX-78"}, Must, "a client that is not the initiator asks for an offer", false, inDuet(func(d *duet) {
		d.greet(false, leastWindow, noUpgrade)
		n, err := d.driver.Send(driver.Command{"cmd": "upgrade"})
		d.try(err)
		var none struct{}
		d.wantInternal("meshpair.upgrade", &none)
		d.byChannel(false)
		_, err = d.driver.Answer(timeout, n)
		d.try(err)
	})},
	{"PSX-78/asked", []string{"PSX-78"}, Must, "the initiator makes another data channel when it is asked to, again and again", false, inDuet(func(d *duet) {
		d.greet(true, leastWindow, nil)
		for i := range 3 {
			channel, dc := d.byChannel(true)
			d.sendText("here")
			d.wantPart(channel, part{partText, uint64(i + 1), "here"})
			channel.say(part{partAck, uint64(i + 1), ""})
			d.try(dc.Close())
			d.event("peerRtcClosed", deadline())
			d.tell("meshpair.upgrade", struct{}{})
		}
		d.byChannel(true)
	})},
}

// closedLabel returns the label of a meshpair.closed; if it is none, the one that was known before.
func closedLabel(text bool, data []byte, before string) string {
	m, ok := internalOf(&frame{op: opText, payload: data})
	var c labelData
	if text && ok && m.Name == "meshpair.closed" && json.Unmarshal(m.Data, &c) == nil {
		return c.Label
	}
	return before
}

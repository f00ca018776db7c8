package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/meshpair/meshpair/netflux"
)

// event shows what happened in the group.
func (c *chat) event(e netflux.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := e.(netflux.StateChanged); ok {
		c.state(s)
		return
	}
	if c.over {
		return
	}
	switch e := e.(type) {
	case netflux.Message:
		c.message(e)
	case netflux.MemberJoined:
		c.line("* %s is here", c.know(e.ID))
	case netflux.MemberLeft:
		if e.Err == nil {
			c.line("* %s has left", c.name(e.ID))
		} else {
			c.line("* %s is lost: %v", c.name(e.ID), e.Err)
		}
		delete(c.names, e.ID)
	case netflux.SignalingChanged:
		c.signaling(e)
	case netflux.MessageRefused:
		c.line("* a message of %s was refused: %v", c.name(e.From), e.Err)
	case netflux.ICEServerFailed:
		c.line("* the ICE server %s does not help: %v", e.URL, e.Err)
	case netflux.IdentityDisputed:
		c.line("* somebody lies about who %s is: %s says %s, and %s says %s; take care, and compare /identities in another way", c.name(e.ID),
			c.witness(e.KnownBy), e.Known, c.witness(e.OtherBy), e.Other)
	case netflux.ConnectFailed:
		if e.ID == 0 {
			c.line("* no way in through the member that the signaling server chose (%v); it is asked for another", e.Err)
		} else {
			c.line("* no direct channel to %s for now: %v", c.name(e.ID), e.Err)
		}
	}
}

func (c *chat) message(m netflux.Message) {
	what := ""
	switch {
	case m.Private && slices.Contains(c.group.Neighbors(), m.From):
		what = " (to you alone)"
	case m.Private: // MSH-15: what is for all arrives like this, too
		what = " (relayed to you, perhaps to others too)"
	}
	text := fmt.Sprintf("(%d bytes)", len(m.Data))
	if m.Kind == netflux.Text {
		text = string(m.Data[:min(len(m.Data), maxChatLine)])
		if more := len(m.Data) - len(text); more > 0 {
			text = fmt.Sprintf("%s… (%d more bytes)", text, more)
		}
	}
	c.line("%s%s> %s", c.name(m.From), what, text)
}

func (c *chat) state(e netflux.StateChanged) {
	switch e.State {
	case netflux.Joining:
		if c.in {
			c.line("* joining again")
			return
		}
		how, more := "", ""
		if c.sealed {
			how, more = ", sealed", " -secret-file FILE"
		}
		c.line("* joining %q through %s%s", c.key, c.url, how)
		if c.made {
			c.line("* the group is new; others join it by: netflux chat -signaling %s -key=%s%s", c.url, c.key, more)
		}
	case netflux.Joined:
		c.in = true
		delete(c.names, c.self)
		c.self = c.group.ID()
		others := "nobody else is here yet"
		if n := len(c.group.Members()) - 1; n > 0 {
			others = count(n, "member") + " beside you"
		}
		c.line("* joined; you are %s, and %s", c.know(c.self), others)
	case netflux.Leaving:
		c.over = true
	case netflux.Left:
		c.line("* left")
		close(c.left)
	}
}

func (c *chat) signaling(e netflux.SignalingChanged) {
	switch e.State {
	case netflux.SignalingClosed:
		switch {
		case c.down:
			return
		case c.in:
			c.line("* the signaling server %s is lost (%v); who is here stays, and it is tried again and again", c.url, e.Err)
		default:
			c.line("* the signaling server %s cannot be reached (%v); it is tried again and again", c.url, e.Err)
		}
		c.down = true
	case netflux.SignalingChecked:
		if c.down {
			c.down = false
			c.line("* the signaling server is reached again")
		}
	}
}

// know gives a member a name: the first four digits of its id, or all eight if somebody has these already.
func (c *chat) know(id uint32) string {
	name := fmt.Sprintf("%08x", id)
	short := name[:4]
	for other, taken := range c.names {
		if taken == short && other != id {
			short = name
		}
	}
	if c.names[id] == "" {
		c.names[id] = short
	}
	return c.names[id]
}

// name returns the name of a member, the whole id of anybody else.
func (c *chat) name(id uint32) string {
	if name := c.names[id]; name != "" {
		return name
	}
	return fmt.Sprintf("%08x", id)
}

// witness returns the name of a member that says something, or of its own sight.
func (c *chat) witness(id uint32) string {
	if id == 0 {
		return "its handshake"
	}
	return c.name(id)
}

// note prints what is not from a member.
func (c *chat) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line("* "+format, args...)
}

// line prints a line.
func (c *chat) line(format string, args ...any) {
	fmt.Fprintln(c.out, printable(fmt.Sprintf(format, args...)))
}

// printable replaces what could do more to a terminal than show a character: control characters, line ends, and marks
// that change the direction of writing. They are shown as in Go's strings.
func printable(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteRune(utf8.RuneError)
		case unicode.IsPrint(r) || r == '\u200c' || r == '\u200d': // those two join letters and emoji
			b.WriteRune(r)
		case unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
		s = s[n:]
	}
	return b.String()
}

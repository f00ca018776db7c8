package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meshpair/meshpair/netflux"
)

const chatCommands = `/members          who is here, with a direct channel or relayed by others
/to NAME TEXT     say something to one member alone
/invite URL       have a bot join that listens at the URL (netflux bot)
/identities       who is who in a sealed group, to be compared with what others see
/help             these commands
//TEXT            send a line that begins with a slash
`

// urgent reports whether a line is a command that needs no group.
func urgent(line string) bool {
	return strings.HasPrefix(line, "/") && strings.Fields(line)[0] == "/help"
}

// enter carries out a line that was typed: a command, or something to be said.
func (c *chat) enter(ctx context.Context, line string) {
	text, slash := strings.CutPrefix(line, "/")
	if !slash || strings.HasPrefix(text, "/") {
		err := c.group.Send(ctx, netflux.Text, []byte(text))
		c.said(ctx, err)
		if err == nil && len(c.group.Members()) < 2 {
			c.note("nobody else is here")
		}
		return
	}
	command, rest := cutSpace(text)
	switch command {
	case "members":
		c.members()
	case "to":
		c.whisper(ctx, rest)
	case "invite":
		c.invite(ctx, rest)
	case "identities":
		c.identities()
	case "help":
		for help := range strings.Lines(chatCommands) {
			c.note("%s", strings.TrimSuffix(help, "\n"))
		}
	default:
		c.note("nothing sent: there is no command /%s; /help lists them, and // sends a /", command)
	}
}

// said tells what became of sending something, if that was not as it should be.
func (c *chat) said(ctx context.Context, err error) {
	switch {
	case errors.Is(err, netflux.ErrSlow):
		c.note("%v", err)
	case err != nil && ctx.Err() == nil:
		c.note("not sent: %v", err)
	}
}

// members shows who is here. Whom the chat has not shown yet it will in a moment.
func (c *chat) members() {
	ids, direct := c.group.Members(), c.group.Neighbors()
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, id := range ids {
		switch name := c.names[id]; {
		case name == "":
		case id == c.self:
			all = append(all, name+" (you)")
		case slices.Contains(direct, id):
			all = append(all, name+" (direct)")
		default:
			all = append(all, name+" (relayed)")
		}
	}
	c.line("* %s: %s", count(len(all), "member"), strings.Join(all, ", "))
}

// identities shows by which identities this member knows the others (SEC-25).
func (c *chat) identities() {
	known := c.group.Identities()
	c.mu.Lock()
	defer c.mu.Unlock()
	if known == nil {
		c.line("* the group is not sealed: nobody shows who it is")
		return
	}
	for _, id := range slices.Sorted(maps.Keys(known)) {
		you := ""
		if id == c.self {
			you = " (you)"
		}
		c.line("* %s is %s%s", c.name(id), known[id], you)
	}
}

// whisper sends text to one member.
func (c *chat) whisper(ctx context.Context, rest string) {
	name, text := cutSpace(rest)
	if text == "" {
		c.note("nothing sent: it is /to NAME TEXT")
		return
	}
	id, known := c.member(name)
	switch {
	case !known:
		c.note("nothing sent: nobody here is named %s; /members lists who is", name)
	case id == c.group.ID():
		c.note("nothing sent: %s is you", name)
	default:
		c.said(ctx, c.group.SendTo(ctx, id, netflux.Text, []byte(text)))
	}
}

// member returns the id of the member with a name, or with an id that is written like one.
func (c *chat) member(name string) (uint32, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, known := range c.names {
		if strings.EqualFold(name, known) || strings.EqualFold(name, fmt.Sprintf("%08x", id)) {
			return id, true
		}
	}
	return 0, false
}

// invite has a bot join. It does not wait for that.
func (c *chat) invite(ctx context.Context, url string) {
	if url == "" {
		c.note("nobody invited: it is /invite URL")
		return
	}
	c.invitations.Go(func() {
		err := c.group.Invite(ctx, url)
		switch {
		case err == nil:
			c.note("%s has accepted the invitation", url)
		case ctx.Err() == nil:
			c.note("%s has not been invited: %v", url, err)
		}
	})
}

// cutSpace cuts a text after its first word.
func cutSpace(s string) (word, rest string) {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.Trim(s[i:], " \t")
	}
	return s, ""
}

package mesh

import (
	"fmt"
	"slices"

	"github.com/meshpair/meshpair/internal/sealed"
)

// vouch checks who is at the other end of a session, and drops that if it is somebody with whom there is to be none (SEC-11,
// SEC-23, SEC-26).
func (c *Core) vouch(from address, t *sealed.Session) error {
	err := c.accepts(from, t)
	if err != nil {
		t.Erase() // SEC-10
	}
	return err
}

func (c *Core) accepts(from address, t *sealed.Session) error {
	public, id := t.Peer()
	switch {
	case !from.signaling && id != from.id: // SEC-11
		return fmt.Errorf("%w: member %d says that it is %d", ErrIdentity, from.id, id)
	case !c.mayBe(public):
		return ErrNotListed
	case !c.roomFor(id):
		return errMembers
	case !c.believe(id, public, 0):
		return ErrIdentity
	}
	return nil
}

// mayBe reports whether an identity may be that of a member (SEC-26).
func (c *Core) mayBe(public sealed.Public) bool {
	return c.cfg.Allow == nil || slices.Contains(c.cfg.Allow, public)
}

// roomFor reports whether the identity that an id shows can be kept. Where there is none left it takes the place of what was
// heard longest ago of one that is no member: else who tells of many would have those forgotten who come, and could take
// their ids (SEC-23).
func (c *Core) roomFor(id uint32) bool {
	s := c.seal
	if s.known[id] != nil || len(s.known) < maxKnown*c.cfg.MaxMembers {
		return true
	}
	var oldest *known
	var at uint32
	for other, k := range s.known {
		if k.by == 0 || c.members[other] != nil {
			continue
		}
		if oldest == nil || k.last < oldest.last || k.last == oldest.last && other < at {
			oldest, at = k, other
		}
	}
	delete(s.known, at)
	return oldest != nil
}

// believe notes what a member says of another one's identity, or what that has shown itself. It reports whether that is
// what was known before, if anything was; else the user is told, once of each who says so (SEC-23, SEC-25).
func (c *Core) believe(id uint32, public sealed.Public, by uint32) bool {
	if id == c.id {
		return public == c.seal.identity.Public()
	}
	k := c.seal.known[id]
	if k == nil {
		if len(c.seal.known) < maxKnown*c.cfg.MaxMembers {
			c.seal.known[id] = &known{public: public, by: by, last: c.now}
			c.startSweep()
		}
		return true
	}
	if k.public == public {
		if by == 0 {
			k.by = 0
		}
		k.last = c.now
		return true
	}
	if _, told := k.disputed[by]; !told && len(k.disputed) < c.cfg.MaxMembers {
		if k.disputed == nil {
			k.disputed = make(map[uint32]struct{})
		}
		k.disputed[by] = struct{}{}
		c.emit(Disputed{ID: id, Known: k.public, KnownBy: k.by, Other: public, OtherBy: by})
	}
	return false
}

// maxIdentities is how many bytes a list of members and their identities may have at most, which keeps what it is in
// below 65,536 (CHN-4).
const maxIdentities = 64_000

// identities returns what is known of those in a list (SEC-24); of a very long one those at its end are left out.
func (c *Core) identities(ids []uint32) [][]byte {
	if c.seal == nil {
		return nil
	}
	var list [][]byte
	for _, id := range ids[:min(len(ids), max(0, maxIdentities-5*len(ids))/35)] {
		var public []byte
		if id == c.id {
			p := c.seal.identity.Public()
			public = p[:]
		} else if k := c.seal.known[id]; k != nil {
			public = k.public[:]
		}
		list = append(list, public)
	}
	return list
}

// learn takes the identities that another member knows, and returns those of the list that may be members (SEC-24 to
// SEC-26).
func (c *Core) learn(ids []uint32, identities [][]byte, from uint32) []uint32 {
	if c.seal == nil {
		return ids
	}
	for i, b := range identities {
		if i >= len(ids) {
			break
		}
		if len(b) == len(sealed.Public{}) && ids[i] >= MinID {
			if public := sealed.Public(b); ids[i] == from {
				c.believe(from, public, from)
			} else if c.mayBe(public) {
				c.believe(ids[i], public, from)
			}
		}
	}
	if c.cfg.Allow == nil {
		return ids
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id uint32) bool {
		k := c.seal.known[id]
		return id != c.id && (k == nil || !c.mayBe(k.public))
	})
}

// Identities returns the identities of all members, this one's too, as far as they are known (SEC-25); nil in a group that
// is not sealed.
func (c *Core) Identities() map[uint32]sealed.Public {
	if c.seal == nil || c.id == 0 {
		return nil
	}
	all := map[uint32]sealed.Public{c.id: c.seal.identity.Public()}
	for _, id := range c.others() {
		if k := c.seal.known[id]; k != nil {
			all[id] = k.public
		}
	}
	return all
}

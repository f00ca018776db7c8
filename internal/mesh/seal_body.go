package mesh

import (
	"github.com/meshpair/meshpair/internal/sealed"
	"github.com/meshpair/meshpair/internal/wire"
)

// openBody puts a part of a message to all into what was sealed for this member (SEC-17, SEC-18). The next call overwrites
// it.
func (c *Core) openBody(inner *wire.Inner, body []byte) error {
	var u wire.UserMessage
	if len(inner.BodyKey) != len(sealed.BodyKey{}) || len(inner.BodyDigest) != len(sealed.Digest{}) ||
		inner.ServiceID != wire.ServiceUserMessage || u.Decode(inner.Content) != nil {
		return sealed.ErrForged
	}
	part, err := sealed.NewBody(sealed.BodyKey(inner.BodyKey)).Open(c.body[:0], u.Chunk.Number, sealed.Digest(inner.BodyDigest), body)
	if err != nil {
		return err
	}
	c.body = part
	if u.Kind == wire.UserMessageChunk {
		u.Chunk.Content = part
	} else {
		u.Full = part
	}
	c.whole = u.Append(c.whole[:0])
	inner.Content = c.whole
	return nil
}

// MinBody is the least size of a message to all, in bytes, that is sealed once for all who get it (SEC-17).
const MinBody = 4096

// A bodies is the parts of a message to all, sealed once.
type bodies struct {
	key  sealed.BodyKey
	body *sealed.Body
	last map[uint32]sealedBody // what was sealed last: recipients are sent the same at about the same time
}

type sealedBody struct {
	b      []byte
	digest sealed.Digest
}

// maxBodies is how many sealed parts of a message are kept.
const maxBodies = 32

// seal returns a part, sealed.
func (y *bodies) seal(nb uint32, part []byte) sealedBody {
	s, ok := y.last[nb]
	if !ok {
		if len(y.last) >= maxBodies {
			clear(y.last)
		}
		s.b, s.digest = y.body.Seal(nil, nb, part)
		y.last[nb] = s
	}
	return s
}

// sealUser seals a part of a user message for a member (SEC-16, SEC-17).
func (c *Core) sealUser(s *session, msg *outgoing, um *wire.UserMessage) ([]byte, error) {
	inner := wire.Inner{ServiceID: wire.ServiceUserMessage}
	if !msg.broadcast || len(msg.data) < MinBody {
		c.buf = um.Append(c.buf[:0])
		inner.Content = c.buf
		return c.sealIn(s, &inner, nil)
	}
	if msg.bodies == nil {
		key, err := sealed.NewBodyKey(c.cfg.Entropy)
		if err != nil {
			return nil, err
		}
		msg.bodies = &bodies{key, sealed.NewBody(key), make(map[uint32]sealedBody)}
	}
	var body sealedBody
	if um.Kind == wire.UserMessageChunk {
		body = msg.bodies.seal(um.Chunk.Number, um.Chunk.Content)
		um.Chunk.Content = nil
	} else {
		body = msg.bodies.seal(0, um.Full)
		um.Full = nil
	}
	c.buf = um.Append(c.buf[:0])
	inner.Content, inner.BodyKey, inner.BodyDigest = c.buf, msg.bodies.key[:], body.digest[:]
	return c.sealIn(s, &inner, body.b)
}

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

// maxBodies is how many bytes of sealed parts of one message are kept: how far one who gets it may be behind another without
// having them sealed again. What all messages keep is bounded by what waits in queues.
const maxBodies = 2 << 20

// A bodies is the parts of a message to all, sealed once. A part is kept until all have been sent it; one that is sent to
// somebody again is sealed again, to the same bytes.
type bodies struct {
	key  sealed.BodyKey
	body *sealed.Body
	to   int // how many get the message
	kept map[uint32]*sealedBody
	size int // of these
}

type sealedBody struct {
	b      []byte
	digest sealed.Digest
	left   int // how many have not been sent it
}

// seal returns a part, sealed, for the next one who gets it.
func (y *bodies) seal(nb uint32, part []byte) *sealedBody {
	s := y.kept[nb]
	if s == nil {
		s = &sealedBody{left: y.to}
		s.b, s.digest = y.body.Seal(nil, nb, part)
		if y.size+len(s.b) <= maxBodies { // else the first are kept, as those who are behind need them next
			y.kept[nb] = s
			y.size += len(s.b)
		}
	}
	if s.left--; s.left <= 0 && y.kept[nb] == s {
		delete(y.kept, nb)
		y.size -= len(s.b)
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
		msg.bodies = &bodies{key: key, body: sealed.NewBody(key), to: msg.to, kept: make(map[uint32]*sealedBody)}
	}
	var body *sealedBody
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

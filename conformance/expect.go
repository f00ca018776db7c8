package conformance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// deadline is until when an expected answer may come.
func deadline() time.Time { return time.Now().Add(timeout) }

// describe says what came, for a report.
func describe(f *frame, err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "nothing"
	case err != nil:
		return "the end of the connection: " + err.Error()
	case f.op == opClose && len(f.payload) >= 2:
		return fmt.Sprintf("a close frame with %d %q", binary.BigEndian.Uint16(f.payload), f.payload[2:])
	case f.op == opClose:
		return "a close frame without a code"
	case f.op == opText:
		return fmt.Sprintf("a text message %q", f.payload)
	case f.op == opPong:
		return fmt.Sprintf("a pong %q", f.payload)
	}
	s, err := parseSignaling(f.payload)
	if err != nil {
		return fmt.Sprintf("bytes % x: %v", f.payload, err)
	}
	return s.String()
}

// message returns the next message that is no heartbeat; those are counted.
func (p *peer) message(deadline time.Time) (signaling, *frame, error) {
	for {
		f, err := p.next(deadline)
		if err != nil || f.op != opBinary {
			return signaling{}, f, err
		}
		s, err := parseSignaling(f.payload)
		if err != nil {
			return signaling{}, f, nil
		}
		if s.content == nil && s.connected == nil {
			p.beats++
			continue
		}
		return s, f, nil
	}
}

// connect sends connect and expects the answer.
func (p *peer) connect(want bool, id uint32, members ...uint32) {
	p.send(connectMessage(id, members...))
	p.expectConnected(want)
}

func (p *peer) expectConnected(want bool) {
	s, f, err := p.message(deadline())
	ok := s.connected != nil && *s.connected == want
	p.run.expect(ok, p.name+" asked for a group", fmt.Sprintf("connected:%v", want), describe(f, err))
}

// expectContent expects a content with data and returns its ids.
func (p *peer) expectContent(data []byte) (sender, recipient uint32) {
	s, f, err := p.message(deadline())
	ok := s.content != nil && s.content.data != nil && bytes.Equal(s.content.data, data)
	want := fmt.Sprintf("a content with data % x", data)
	if len(data) > 32 {
		want = fmt.Sprintf("a content with %d bytes of data", len(data))
	}
	p.run.expect(ok, "for "+p.name, want, describe(f, err))
	return s.content.sender, s.content.recipient
}

// expectExact expects a content with these ids; nil data is a disconnect notice.
func (p *peer) expectExact(want content) {
	s, f, err := p.message(deadline())
	ok := s.content != nil && s.content.sender == want.sender && s.content.recipient == want.recipient &&
		(s.content.data == nil) == (want.data == nil) && bytes.Equal(s.content.data, want.data)
	p.run.expect(ok, "for "+p.name, signaling{content: &want}.String(), describe(f, err))
}

// expectHeartbeat expects a heartbeat until the deadline; other messages wait.
func (p *peer) expectHeartbeat(deadline time.Time) {
	if p.beats > 0 {
		p.beats--
		return
	}
	var kept []*frame
	for {
		f, err := p.next(deadline)
		if err == nil && f.op == opBinary && bytes.Equal(f.payload, heartbeatMessage) {
			p.queue = append(kept, p.queue...)
			return
		}
		p.run.expect(err == nil && f.op == opBinary, "for "+p.name, "heartbeat:true", describe(f, err))
		kept = append(kept, f)
	}
}

// expectClose expects a close frame with this code, within the time-out after a
// span of time, and answers it, as clients do.
func (p *peer) expectClose(code int, after time.Duration) {
	p.expectCloseUnanswered(code, after)
	p.writeFrame(frame{fin: true, op: opClose, payload: []byte{byte(code >> 8), byte(code)}})
	p.hangUp()
}

func (p *peer) expectCloseUnanswered(code int, after time.Duration) {
	_, f, err := p.message(time.Now().Add(after + timeout))
	want, got := fmt.Sprintf("a close frame with %d", code), describe(f, err)
	isClose := err == nil && f.op == opClose
	p.run.expect(isClose || isEnd(err), "for "+p.name, want, got)
	p.run.ended(isClose && len(f.payload) >= 2 && int(binary.BigEndian.Uint16(f.payload)) == code, "for "+p.name, want, got)
}

// isEnd reports whether a connection has ended, without a close frame.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// expectNothing listens to peers for a while and expects that nothing comes but
// heartbeats.
func (r *run) expectNothing(peers ...*peer) {
	for _, p := range peers {
		p.barrier()
	}
	deadline := time.Now().Add(quiet)
	for _, p := range peers {
		_, f, err := p.message(deadline)
		r.expect(errors.Is(err, os.ErrDeadlineExceeded), "for "+p.name, "nothing", describe(f, err))
	}
}

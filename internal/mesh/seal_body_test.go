package mesh

import (
	"bytes"
	"testing"

	"github.com/meshpair/meshpair/internal/sealed"
)

func newBodies(to int) *bodies {
	return &bodies{body: sealed.NewBody(sealed.BodyKey{1}), to: to, kept: make(map[uint32]*sealedBody)}
}

// TestBodiesOnce has four get a message of 1 MiB, one of them all of it before the others get anything: each part is sealed
// once, and nothing is kept when all have it (SEC-17).
func TestBodiesOnce(t *testing.T) {
	const parts = 1<<20/ChunkSize + 1
	part := make([]byte, ChunkSize)
	y := newBodies(4)
	var first [parts]*sealedBody
	for n := range uint32(parts) {
		first[n] = y.seal(n, part)
	}
	for who := 1; who < 4; who++ {
		for n := range uint32(parts) {
			if y.seal(n, part) != first[n] {
				t.Fatalf("part %d is sealed again for the %d. one", n, who+1)
			}
		}
	}
	if len(y.kept) != 0 || y.size != 0 {
		t.Errorf("%d parts are kept, %d bytes", len(y.kept), y.size)
	}
}

// TestBodiesBound: what is kept is bounded, however far one is ahead; what is not kept, or sent again, is the same when it is
// sealed again, as a key seals nothing else for a part (SEC-17).
func TestBodiesBound(t *testing.T) {
	const parts = 3 * maxBodies / ChunkSize
	part := bytes.Repeat([]byte{7}, ChunkSize)
	y := newBodies(2)
	var first [parts]*sealedBody
	for round := range 3 { // the third one is sent all again
		kept := 0
		for n := range uint32(parts) {
			s := y.seal(n, part)
			if round == 0 {
				first[n] = s
			}
			if s == first[n] {
				kept++
			}
			if !bytes.Equal(s.b, first[n].b) || s.digest != first[n].digest {
				t.Fatalf("part %d is another one", n)
			}
			if size := len(y.kept) * (ChunkSize + sealed.Overhead); size != y.size || size > maxBodies {
				t.Fatalf("%d parts are kept, %d bytes", len(y.kept), y.size)
			}
		}
		if round == 1 && kept != maxBodies/(ChunkSize+sealed.Overhead) {
			t.Errorf("%d of %d parts were kept", kept, parts)
		}
	}
	y = newBodies(1)
	if y.seal(0, part); len(y.kept) > 0 {
		t.Error("a part is kept for nobody")
	}
}

package peersox_test

import (
	"testing"

	"github.com/meshpair/meshpair/internal/storetest"
	"github.com/meshpair/meshpair/peersox"
)

func TestMemoryStore(t *testing.T)   { storetest.Store(t, peersox.NewMemoryStore()) }
func TestMemoryGuesses(t *testing.T) { storetest.Guesses(t, peersox.NewMemoryCounter()) }
func TestMemoryMakes(t *testing.T)   { storetest.Makes(t, peersox.NewMemoryCounter()) }

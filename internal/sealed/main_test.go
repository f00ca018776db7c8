package sealed

import (
	"os"
	"testing"

	"github.com/meshpair/meshpair/internal/attacks"
)

func TestMain(m *testing.M) {
	os.Exit(attacks.Main(m, map[string]error{
		"sealed.ErrForged":    ErrForged,
		"sealed.ErrHandshake": ErrHandshake,
	}))
}

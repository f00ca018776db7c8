package mesh

import (
	"os"
	"testing"

	"github.com/meshpair/meshpair/internal/attacks"
	"github.com/meshpair/meshpair/internal/sealed"
)

func TestMain(m *testing.M) {
	os.Exit(attacks.Main(m, map[string]error{
		"netflux.ErrCutShort":    ErrCutShort,
		"netflux.ErrIdentity":    ErrIdentity,
		"netflux.ErrNoIdentity":  ErrNoIdentity,
		"netflux.ErrNoResponse":  ErrNoResponse,
		"netflux.ErrNotListed":   ErrNotListed,
		"netflux.ErrSecret":      ErrSecret,
		"netflux.ErrSilent":      ErrSilent,
		"netflux.ErrUnreachable": ErrUnreachable,
		"netflux.ErrUnsealed":    ErrUnsealed,
		"sealed.ErrForged":       sealed.ErrForged,
		"sealed.ErrReplay":       sealed.ErrReplay,
		"no session":             errNoSession,
	}))
}

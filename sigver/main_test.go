package sigver

import (
	"os"
	"testing"

	"github.com/meshpair/meshpair/internal/leaktest"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Run(m.Run)) }

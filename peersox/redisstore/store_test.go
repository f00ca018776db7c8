package redisstore_test

import (
	"testing"

	"github.com/meshpair/meshpair/internal/redistest"
	"github.com/meshpair/meshpair/internal/storetest"
	"github.com/meshpair/meshpair/peersox/redisstore"
)

func open(t *testing.T, url, prefix string) *redisstore.Store {
	t.Helper()
	s, err := redisstore.Open(t.Context(), url, prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// The store does what that in memory does; two prefixes keep two services apart.
func TestStore(t *testing.T) {
	url, _ := redistest.Start(t)
	storetest.Store(t, open(t, url, ""))
	t.Run("another prefix", func(t *testing.T) { storetest.Store(t, open(t, url, "other:")) })
	// Of several processes on one Redis, one limit holds for all (PSX-36).
	storetest.Guesses(t, open(t, url, ""), open(t, url, ""), open(t, url, ""))
	storetest.Makes(t, open(t, url, ""), open(t, url, ""))
}

func TestOpenErrors(t *testing.T) {
	for _, url := range []string{"http://127.0.0.1", "redis://127.0.0.1:1", "unix:///nowhere/redis.sock"} {
		if s, err := redisstore.Open(t.Context(), url, ""); err == nil {
			s.Close()
			t.Errorf("%s: no error", url)
		}
	}
}

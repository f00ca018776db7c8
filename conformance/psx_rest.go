package conformance

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
)

// A rest is the REST API of the server that a duet plays. It knows one pairing, which is always valid.
type rest struct {
	mu      sync.Mutex
	asked   []asking
	answers map[string]any // in place of the right ones, by path
}

// An asking is a request of the client under test.
type asking struct{ method, url, body string }

func (s *rest) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, asking{r.Method, r.URL.String(), string(body)})
	answer, other := s.answers[r.URL.Path]
	pairing := map[string]string{"code": testPair.Code, "hash": testPair.Hash}
	switch {
	case other:
	case r.URL.Path == "/api/config":
		answer = map[string]any{"iceServers": []any{}}
	case r.URL.Path == "/api/token/get":
		answer = map[string]string{"token": testToken}
	case r.URL.Path == "/api/code/get", r.URL.Path == "/api/code/validate":
		answer = pairing
	case r.URL.Path == "/api/pairing/validate":
		answer = true
	default:
		http.NotFound(w, r)
		return
	}
	json.NewEncoder(w).Encode(answer)
}

// answer has paths answered in another way from now on.
func (s *rest) answer(answers map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = answers
}

// took returns what was asked since the last time.
func (s *rest) took() []asking {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.asked
	s.asked = nil
	return all
}

package peersox_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshpair/meshpair/peersox"
)

// PSX-2: how long codes and pairings live, in virtual time. A waiting code ends after 130 s, a validated pairing 7 days
// after its validation.
func TestLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := peersox.NewServer(peersox.ServerConfig{Logger: slog.New(slog.DiscardHandler)})
		defer s.Shutdown(t.Context())
		pairing := func() (p peersox.Pairing) {
			if err := json.Unmarshal([]byte(ask(s, "GET", "/api/code/get", "")), &p); err != nil {
				t.Fatal(err)
			}
			return p
		}
		valid := func(p peersox.Pairing) string {
			return ask(s, "POST", "/api/pairing/validate", fmt.Sprintf(`{"pairing":{"code":%q,"hash":%q}}`, p.Code, p.Hash))
		}
		code := func(p peersox.Pairing) string {
			return ask(s, "POST", "/api/code/validate", fmt.Sprintf(`{"code":%q}`, p.Code))
		}
		used, unused := pairing(), pairing()
		time.Sleep(130*time.Second - time.Millisecond)
		if got := code(used); !strings.Contains(got, used.Hash) {
			t.Errorf("just before its end a code gives %s", got)
		}
		if got := valid(unused); got != "true" {
			t.Errorf("just before its end a pairing is %s", got)
		}
		time.Sleep(time.Millisecond)
		if got := code(unused); got != "{}" {
			t.Errorf("after 130 s a code gives %s", got)
		}
		if got := valid(unused); got != "false" {
			t.Errorf("after 130 s its pairing is %s", got)
		}
		time.Sleep(7*24*time.Hour - 2*time.Millisecond)
		if got := valid(used); got != "true" {
			t.Errorf("just before 7 days have passed a pairing is %s", got)
		}
		time.Sleep(time.Millisecond)
		if got := valid(used); got != "false" {
			t.Errorf("after 7 days a pairing is %s", got)
		}
	})
}

// PSX-2: a token lives for 10 s.
func TestTokenLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := peersox.NewServer(peersox.ServerConfig{Logger: slog.New(slog.DiscardHandler)})
		defer s.Shutdown(t.Context())
		for after, want := range map[time.Duration]int{
			10*time.Second - time.Millisecond: http.StatusInternalServerError, // a recorder cannot be taken over: it got that far
			10 * time.Second:                  http.StatusUnauthorized,
		} {
			var m struct{ Token string }
			json.Unmarshal([]byte(ask(s, "GET", "/api/token/get", "")), &m)
			time.Sleep(after)
			r := httptest.NewRequest("GET", "/ws", nil)
			for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
				"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": m.Token} {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("after %v: status %d, want %d", after, w.Code, want)
			}
		}
	})
}

// PSX-40: how long a guesser waits, and that it is forgotten.
func TestGuessWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := peersox.NewServer(peersox.ServerConfig{Logger: slog.New(slog.DiscardHandler)})
		defer s.Shutdown(t.Context())
		guess := func() (int, string) {
			r := httptest.NewRequest("POST", "/api/code/validate", strings.NewReader(`{"code":"000000"}`))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			return w.Code, w.Header().Get("Retry-After")
		}
		begin := time.Now()
		guesses := 0
		for time.Since(begin) < 130*time.Second {
			if status, _ := guess(); status == http.StatusOK {
				guesses++
			} else {
				time.Sleep(time.Second / 4)
			}
		}
		if guesses != 28 {
			t.Errorf("%d guesses in the life of a code, want 28", guesses)
		}
		for range 8 { // up to the longest wait
			_, wait := guess()
			d, err := time.ParseDuration(wait + "s")
			if err != nil {
				t.Fatalf("Retry-After is %q", wait)
			}
			time.Sleep(d)
			if status, _ := guess(); status != http.StatusOK {
				t.Fatalf("status %d after the wait of %v", status, d)
			}
		}
		if _, wait := guess(); wait != "900" {
			t.Errorf("the longest wait is %s s, want 900", wait)
		}
		time.Sleep(time.Hour + time.Minute)
		for i := range 20 {
			if status, _ := guess(); status != http.StatusOK {
				t.Fatalf("guess %d after an hour: %d", i, status)
			}
		}
	})
}

// ask sends a request without a network and returns the body of the answer.
func ask(h http.Handler, method, path, body string) string {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Body.String()
}

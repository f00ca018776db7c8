package peersox_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/meshpair/meshpair/peersox"
)

// PSX-1: codes and hashes have their forms, and codes with leading zeros come too.
func TestCodes(t *testing.T) {
	s := start(t, peersox.ServerConfig{Makes: peersox.MakeLimits{Codes: -1, CodesDaily: -1}})
	first := make(map[byte]int)
	for range 500 {
		p := s.pairing()
		if !regexp.MustCompile(`^[0-9]{6}$`).MatchString(p.Code) || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(p.Hash) {
			t.Fatalf("%+v", p)
		}
		first[p.Code[0]]++
	}
	if len(first) != 10 { // one of ten is missing once in 10^21 runs
		t.Errorf("codes begin with %v", first)
	}
}

// PSX-3 to PSX-7, PSX-14: what the routes answer.
func TestRoutes(t *testing.T) {
	s := start(t, peersox.ServerConfig{ClientConfig: []byte(`{"iceServers":[{"urls":["turn:127.0.0.1:3478"]}]}`)})
	p := s.pairing()
	hash := strings.Repeat("0", 64)
	invalid := func(param, value string) string {
		return `{"location":"body","param":"` + param + `",` + value + `"msg":"Invalid value"}`
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/api/config", "", 200, `{"iceServers":[{"urls":["turn:127.0.0.1:3478"]}]}`},
		{"POST", "/api/code/validate", `{"code":"abcdef"}`, 200, `{}`},
		{"POST", "/api/code/validate", `{"code":123456}`, 200, `{}`},
		{"POST", "/api/code/validate", `{"code":"12345"}`, 422, `{"errors":[` + invalid("code", `"value":"12345",`) + `]}`},
		{"POST", "/api/code/validate", `{}`, 422, `{"errors":[` + invalid("code", "") + `]}`},
		{"POST", "/api/code/validate", ``, 422, `{"errors":[` + invalid("code", "") + `]}`},
		{"POST", "/api/code/validate", `{"code":`, 400, ""},
		{"POST", "/api/code/validate", `{"code":"` + strings.Repeat("1", 20000) + `"}`, 413, ""},
		{"POST", "/api/pairing/validate", `{"pairing":{"code":"` + p.Code + `","hash":"` + p.Hash + `"}}`, 200, `true`},
		{"POST", "/api/pairing/validate", `{"pairing":{"code":"` + p.Code + `","hash":"` + hash + `"}}`, 200, `false`},
		{"POST", "/api/pairing/validate", `{"pairing":{"code":"123456"}}`, 422, `{"errors":[` + invalid("pairing.hash", "") + `]}`},
		{"POST", "/api/code/validate", `{"code":"` + p.Code + `"}`, 200, `{"code":"` + p.Code + `","hash":"` + p.Hash + `"}`},
		{"POST", "/api/code/validate", `{"code":"` + p.Code + `"}`, 200, `{}`},
		{"POST", "/api/pairing/validate", `{"pairing":{"code":"` + p.Code + `","hash":"` + p.Hash + `"}}`, 200, `true`},
		{"GET", "/api/code/validate", "", 405, ""},
		{"GET", "/api/nothing", "", 404, ""},
		{"GET", "/ws/", "", 400, ""},
		{"GET", "/ws", "", 426, ""},
		{"GET", "/nothing", "", 404, ""},
	} {
		resp, body := s.request(c.method, c.path, c.body)
		if resp.StatusCode != c.status || c.want != "" && body != c.want {
			t.Errorf("%s %s %.40s: %s %s; want %d %s", c.method, c.path, c.body, resp.Status, body, c.status, c.want)
		}
	}
	form := "code=" + s.pairing().Code // PSX-4
	if resp, body := s.request("POST", "/api/code/validate", form, "Content-Type", "application/x-www-form-urlencoded"); !strings.Contains(body, "hash") {
		t.Errorf("a web form: %s %s", resp.Status, body)
	}
	p = s.pairing()
	form = "pairing%5Bcode%5D=" + p.Code + "&pairing%5Bhash%5D=" + p.Hash
	if resp, body := s.request("POST", "/api/pairing/validate", form, "Content-Type", "application/x-www-form-urlencoded"); body != "true" {
		t.Errorf("a web form: %s %s", resp.Status, body)
	}
}

// PSX-12: a page of any origin may use the API, also after the question that a browser asks before.
func TestCORS(t *testing.T) {
	s := start(t, peersox.ServerConfig{Makes: peersox.MakeLimits{Codes: -1, CodesDaily: -1}})
	for _, path := range []string{"config", "code/get", "token/get", "code/validate", "pairing/validate"} {
		resp, _ := s.request("OPTIONS", "/api/"+path, "", "Origin", "https://app.example",
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
		h := resp.Header
		if resp.StatusCode/100 != 2 || h.Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Content-Type") || !strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") {
			t.Errorf("%s: %s %v", path, resp.Status, h)
		}
	}
	if resp, _ := s.request("GET", "/api/token/get", "", "Origin", "https://app.example"); resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%v", resp.Header)
	}
}

// PSX-13: with a list of origins all others are refused by both parts.
func TestOrigins(t *testing.T) {
	s := start(t, peersox.ServerConfig{Origins: []string{"https://app.example"}})
	for origin, allowed := range map[string]bool{
		"https://app.example": true, s.url: true, "": true,
		"https://evil.example": false, "http://app.example": false, "null": false, "https://app.example.evil.example": false,
	} {
		var header []string
		if origin != "" {
			header = []string{"Origin", origin}
		}
		resp, _ := s.request("GET", "/api/code/get", "", header...)
		if got := resp.StatusCode == 200; got != allowed {
			t.Errorf("origin %q: %s", origin, resp.Status)
		}
		if allow := resp.Header.Get("Access-Control-Allow-Origin"); allowed && allow != origin || !allowed && allow != "" {
			t.Errorf("origin %q: allows %q", origin, allow)
		}
		upgrade := append(header, "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13",
			"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
		want := http.StatusUnauthorized // it has no token
		if !allowed {
			want = http.StatusForbidden
		}
		if resp, _ := s.request("GET", "/ws", "", upgrade...); resp.StatusCode != want {
			t.Errorf("WebSocket with origin %q: %s, want %d", origin, resp.Status, want)
		}
	}
}

// PSX-40 to PSX-42: a guessing address is slowed and logged; another one notices nothing, and nobody can name an address
// that is not its own unless a proxy is trusted.
func TestGuessing(t *testing.T) {
	var log bytes.Buffer
	s := start(t, peersox.ServerConfig{TrustProxy: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	guesser := []string{"X-Forwarded-For", "203.0.113.99, 198.51.100.7"}
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := make(map[int]int)
	for range 60 { // at once: PSX-43
		wg.Go(func() {
			resp, body := s.validate("000000", guesser...)
			mu.Lock()
			defer mu.Unlock()
			statuses[resp.StatusCode]++
			if resp.StatusCode == 200 && body != "{}" {
				t.Errorf("a guess hit: %s", body)
			}
			if resp.StatusCode == 429 && resp.Header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After is %q", resp.Header.Get("Retry-After"))
			}
		})
	}
	wg.Wait()
	if statuses[200] != 21 || statuses[429] != 39 {
		t.Errorf("of 60 guesses at once: %v; want 21 answers", statuses)
	}
	right := s.pairing()
	if resp, _ := s.validate(right.Code, guesser...); resp.StatusCode != 429 {
		t.Errorf("a right code from the guesser: %s", resp.Status)
	}
	if _, body := s.validate(right.Code, "X-Forwarded-For", "198.51.100.7, 203.0.113.5"); !strings.Contains(body, right.Hash) {
		t.Errorf("another address: %s", body)
	}
	if !strings.Contains(log.String(), "address=198.51.100.7") {
		t.Errorf("the log says %s", log.String())
	}
}

// PSX-40 over real sockets: who guesses from 127.0.0.1 is slowed and logged; who pairs from 127.0.0.2 meanwhile notices
// nothing.
func TestGuesserAndNeighbour(t *testing.T) {
	var log bytes.Buffer
	s := start(t, peersox.ServerConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	neighbour := http.Client{Transport: transport, Timeout: patience}
	probe, err := dialer.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Skipf("not run, this system has no 127.0.0.2: %v", err)
	}
	probe.Close()

	stop, guessed := make(chan struct{}), make(chan int)
	go func() {
		refused := 0
		for {
			select {
			case <-stop:
				guessed <- refused
				return
			default:
			}
			if resp, _ := s.validate("000000"); resp.StatusCode == 429 {
				refused++
			}
		}
	}()
	for range 50 {
		p := s.pairing()
		resp, err := neighbour.Post(s.url+"/api/code/validate", "application/json", strings.NewReader(`{"code":"`+p.Code+`"}`))
		if err != nil {
			t.Error(err)
			break
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || !strings.Contains(string(body), p.Hash) {
			t.Errorf("the neighbour's code: %s %s", resp.Status, body)
		}
	}
	close(stop)
	if refused := <-guessed; refused == 0 {
		t.Error("the guesser was never refused")
	}
	if text := log.String(); !strings.Contains(text, "address=127.0.0.1 ") || strings.Contains(text, "address=127.0.0.2") {
		t.Errorf("the log says %.500s", text)
	}
}

// PSX-44: what is made for one address is limited, each kind apart, and another address notices nothing.
func TestMakes(t *testing.T) {
	s := start(t, peersox.ServerConfig{TrustProxy: true, Makes: peersox.MakeLimits{Codes: 3, CodesDaily: 5, Tokens: 2}})
	for path, limit := range map[string]int{"/api/code/get": 3, "/api/token/get": 2} {
		for i := range limit + 2 {
			resp, body := s.request("GET", path, "", "X-Forwarded-For", "198.51.100.7")
			if want := map[bool]int{true: 200, false: 429}[i < limit]; resp.StatusCode != want {
				t.Errorf("%s, number %d: %s %s", path, i+1, resp.Status, body)
			} else if want == 429 && resp.Header.Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", path)
			}
		}
		if resp, _ := s.request("GET", path, "", "X-Forwarded-For", "198.51.100.8"); resp.StatusCode != 200 {
			t.Errorf("%s for another address: %s", path, resp.Status)
		}
	}
	s = start(t, peersox.ServerConfig{Makes: peersox.MakeLimits{Codes: -1, CodesDaily: 5}})
	for i := range 6 {
		if resp, _ := s.request("GET", "/api/code/get", ""); resp.StatusCode != map[bool]int{true: 200, false: 429}[i < 5] {
			t.Errorf("code %d of a day: %s", i+1, resp.Status)
		}
	}
}

// PSX-42: without a trusted proxy its header says nothing.
func TestForwardedForIsNotTrusted(t *testing.T) {
	s := start(t, peersox.ServerConfig{Guesses: peersox.GuessLimits{Free: 1}})
	for _, addr := range []string{"198.51.100.1", "198.51.100.2"} {
		s.validate("000000", "X-Forwarded-For", addr)
	}
	if resp, _ := s.validate("000000", "X-Forwarded-For", "198.51.100.3"); resp.StatusCode != 429 {
		t.Error(resp.Status)
	}
}

// PSX-41: guesses of all addresses together are limited; right codes do not count.
func TestGuessingFromEverywhere(t *testing.T) {
	s := start(t, peersox.ServerConfig{TrustProxy: true, Guesses: peersox.GuessLimits{Total: 5}})
	for range 20 {
		if _, body := s.validate(s.pairing().Code); !strings.Contains(body, "hash") {
			t.Fatal(body)
		}
	}
	for i := range 10 {
		resp, _ := s.validate("000000", "X-Forwarded-For", "198.51.100."+string(rune('0'+i)))
		if want := map[bool]int{true: 200, false: 429}[i < 5]; resp.StatusCode != want {
			t.Errorf("guess %d: %s", i, resp.Status)
		}
	}
}

// The limiter can be switched off.
func TestNoGuessLimit(t *testing.T) {
	s := start(t, peersox.ServerConfig{NoGuessLimit: true})
	for range 200 {
		if resp, _ := s.validate("000000"); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
	}
}

// Middleware goes around the REST API, the first outermost.
func TestMiddleware(t *testing.T) {
	tag := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Add("Tag", name)
				next.ServeHTTP(w, r)
			})
		}
	}
	s := start(t, peersox.ServerConfig{Middleware: []func(http.Handler) http.Handler{tag("one"), tag("two")}})
	if resp, _ := s.request("GET", "/api/config", ""); strings.Join(resp.Header["Tag"], " ") != "one two" {
		t.Errorf("%v", resp.Header["Tag"])
	}
}

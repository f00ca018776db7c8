package peersox_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/meshpair/meshpair/peersox"
)

// The two parts of a server among other handlers, with a middleware.
func ExampleServer() {
	server := peersox.NewServer(peersox.ServerConfig{
		Origins: []string{"https://app.example"},
		Middleware: []func(http.Handler) http.Handler{
			func(next http.Handler) http.Handler { return http.TimeoutHandler(next, 10*time.Second, "too slow") },
		},
	})
	defer server.Shutdown(context.Background())
	mux := http.NewServeMux()
	mux.Handle("/api/", server.API())
	mux.Handle("/ws", server.Socket())

	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest("GET", "/api/config", nil))
	fmt.Println(answer.Body)
	// Output: {"iceServers":[]}
}

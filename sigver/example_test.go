package sigver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/meshpair/meshpair/sigver"
)

// A signaling server of its own, with a limit, that is shut down cleanly.
func ExampleServer_Serve() {
	server := sigver.New(sigver.Config{MaxPerAddr: 50})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	go func() { done <- server.Serve(l) }()

	// … until it is to end:
	if err := server.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println(errors.Is(<-done, http.ErrServerClosed))
	// Output: true
}

// The server beside other handlers of one http.Server: the rest of the path is
// the key.
func ExampleServer_ServeHTTP() {
	server := sigver.New(sigver.Config{})
	mux := http.NewServeMux()
	mux.Handle("/signaling/", http.StripPrefix("/signaling", server))
	fmt.Println(server.Stats())
	// Output: {0 0}
}

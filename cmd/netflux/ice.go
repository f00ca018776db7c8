package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/meshpair/meshpair/netflux"
)

// ice is a list of STUN and TURN servers as browsers have it in RTCConfiguration: urls may be one string.
type ice []struct {
	URLs       urls   `json:"urls"`
	Username   string `json:"username"`
	Credential string `json:"credential"`
}

type urls []string

func (u *urls) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*u = urls{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(u))
}

func (i ice) servers() []netflux.ICEServer {
	var all []netflux.ICEServer
	for _, s := range i {
		all = append(all, netflux.ICEServer{URLs: s.URLs, Username: s.Username, Credential: s.Credential})
	}
	return all
}

// iceFlag defines the flag -ice.
func iceFlag(f *flag.FlagSet, list *ice) {
	f.Func("ice", "STUN and TURN servers as `JSON`, such as '[{\"urls\":\"stun:stun.example.org\"}]'; by default none", func(s string) error {
		*list = nil
		if err := json.Unmarshal([]byte(s), list); err != nil {
			return fmt.Errorf("want a list such as [{\"urls\":\"stun:HOST:PORT\"}]: %w", err)
		}
		for _, server := range *list {
			if len(server.URLs) == 0 {
				return errors.New("each server needs \"urls\"")
			}
			for _, u := range server.URLs {
				if scheme, _, _ := strings.Cut(u, ":"); !slices.Contains([]string{"stun", "stuns", "turn", "turns"}, scheme) {
					return fmt.Errorf("%q is not a URL such as stun:HOST:PORT or turn:HOST:PORT", u)
				}
			}
		}
		return nil
	})
}

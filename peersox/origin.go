package peersox

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// originAllowed says whether a request may come from where it says that it comes from (PSX-13).
func (c *ServerConfig) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || len(c.Origins) == 0 {
		return true
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) {
		return true
	}
	return slices.ContainsFunc(c.Origins, func(o string) bool { return strings.EqualFold(strings.TrimSuffix(o, "/"), origin) })
}

// allowOrigin tells a browser whether the page may see the answer (PSX-12).
func (c *ServerConfig) allowOrigin(w http.ResponseWriter, r *http.Request) {
	if len(c.Origins) == 0 {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		return
	}
	w.Header().Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
	}
}

package conformance

import (
	"net/url"
	"time"
)

// expectTarget expects that a WebSocket between members was opened to a URL with
// this query, apart from the key, which is to be the group's.
func (s *stage) expectTarget(d *door, path, want string) {
	u, err := url.ParseRequestURI(d.target)
	s.expect(err == nil, "the URL of a WebSocket", "one", d.target)
	q, err := url.ParseQuery(u.RawQuery)
	wantQuery, _ := url.ParseQuery(want)
	if wantQuery.Get("type") != "0" {
		wantQuery.Set("key", s.key)
	}
	s.expect(err == nil && u.Path == path+"/" && q.Encode() == wantQuery.Encode(), "the URL of a WebSocket",
		path+"/?"+wantQuery.Encode(), d.target)
}

// link makes a channel of a WebSocket of which nothing is decoded. It is one
// through which one end joins.
func (d *door) link() *link { return d.channel(false) }

// internal makes a channel between two members of it.
func (d *door) internal() *link { return d.channel(true) }

func (d *door) channel(init bool) *link {
	l := d.run.newLink(d.name, nil)
	l.init = init
	d.pump(l)
	return l
}

// pump has a channel take what comes.
func (d *door) pump(l *link) {
	l.ws = d
	go func() {
		for {
			a, err := d.in.take(time.Now().Add(time.Hour), func(arrival) bool { return true })
			if err != nil {
				l.closed()
				return
			}
			l.receive(a.raw, false)
		}
	}()
}

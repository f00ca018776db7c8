package conformance

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

const form = "application/x-www-form-urlencoded"

// invalid is the body of an answer with status 422.
func invalid(param, value string) string {
	if value != "" {
		value = fmt.Sprintf(`"value":%s,`, value)
	}
	return fmt.Sprintf(`{"errors":[{"location":"body","param":%q,%s"msg":"Invalid value"}]}`, param, value)
}

var psxAPI = []*Case{
	{
		ID: "PSX-1/forms", Requirements: []string{"PSX-1", "PSX-3"}, Level: Must,
		Sentence: "A code is 6 decimal digits, a hash and a token are 64 hexadecimal ones, and none comes twice.",
		run: func(r *run) {
			seen := make(map[string]bool)
			is := func(what, s, pattern string) {
				r.expect(regexp.MustCompile(pattern).MatchString(s) && !seen[s], what, "a new one of the form "+pattern, s)
				seen[s] = true
			}
			for range 10 {
				p := r.pairing()
				is("the code", p.Code, `^[0-9]{6}$`)
				is("the hash", p.Hash, `^[0-9a-f]{64}$`)
				is("the token", r.token(), `^[0-9a-f]{64}$`)
			}
		},
	},
	{
		ID: "PSX-3/config", Requirements: []string{"PSX-3"}, Level: Must,
		Sentence: "config answers an object with the array iceServers.",
		run: func(r *run) {
			a := r.get("/api/config")
			r.expect(a.status == 200 && regexp.MustCompile(`^\{.*"iceServers":\[.*\].*\}$`).MatchString(a.body), a.what, `200 {"iceServers":[…]}`, a.body)
			kind := a.header.Get("Content-Type")
			r.expect(strings.HasPrefix(kind, "application/json"), "the content type", "application/json", kind)
		},
	},
	{
		ID: "PSX-4/form", Requirements: []string{"PSX-4"}, Level: Must,
		Sentence: "Bodies may be web forms.",
		run: func(r *run) {
			p := r.pairing()
			both := url.Values{"pairing[code]": {p.Code}, "pairing[hash]": {p.Hash}}
			r.expectJSON(r.call("POST", "/api/pairing/validate", form, both.Encode()), 200, "true")
			want := fmt.Sprintf(`{"code":%q,"hash":%q}`, p.Code, p.Hash)
			r.expectJSON(r.call("POST", "/api/code/validate", form, "code="+p.Code), 200, want)
		},
	},
	{
		ID: "PSX-4/broken", Requirements: []string{"PSX-4"}, Level: Must,
		Sentence: "A body that is not JSON is answered with 400.",
		run: func(r *run) {
			a := r.postJSON("/api/code/validate", `{"code":`)
			r.expect(a.status == 400, a.what, "400", a.status)
		},
	},
	{
		ID: "PSX-5/once", Requirements: []string{"PSX-5", "PSX-6"}, Level: Must,
		Sentence: "A code gives its hash once, and the pairing is valid before and after.",
		run: func(r *run) {
			p := r.pairing()
			pairing := fmt.Sprintf(`{"pairing":{"code":%q,"hash":%q}}`, p.Code, p.Hash)
			code := fmt.Sprintf(`{"code":%q}`, p.Code)
			r.expectJSON(r.postJSON("/api/pairing/validate", pairing), 200, "true")
			r.expectJSON(r.postJSON("/api/code/validate", code), 200, fmt.Sprintf(`{"code":%q,"hash":%q}`, p.Code, p.Hash))
			r.expectJSON(r.postJSON("/api/code/validate", code), 200, "{}")
			r.expectJSON(r.postJSON("/api/pairing/validate", pairing), 200, "true")
		},
	},
	{
		ID: "PSX-5/no-code", Requirements: []string{"PSX-5"}, Level: Must,
		Sentence: "A code that is a number, or has other characters, gives {}.",
		run: func(r *run) {
			r.expectJSON(r.postJSON("/api/code/validate", `{"code":123456}`), 200, "{}")
			r.expectJSON(r.postJSON("/api/code/validate", `{"code":"12345a"}`), 200, "{}")
		},
	},
	{
		ID: "PSX-6/wrong", Requirements: []string{"PSX-6"}, Level: Must,
		Sentence: "A pairing of which one half is another's is not valid.",
		run: func(r *run) {
			p, q := r.pairing(), r.pairing()
			for _, wrong := range []psxPairing{{p.Code, q.Hash}, {q.Code, p.Hash}, {p.Code, strings.Repeat("0", 64)}} {
				body := fmt.Sprintf(`{"pairing":{"code":%q,"hash":%q}}`, wrong.Code, wrong.Hash)
				r.expectJSON(r.postJSON("/api/pairing/validate", body), 200, "false")
			}
		},
	},
	{
		ID: "PSX-7/lengths", Requirements: []string{"PSX-7"}, Level: Must,
		Sentence: "A field that is missing or has a wrong length is named in an answer with 422.",
		run: func(r *run) {
			hash := strings.Repeat("0", 64)
			r.expectJSON(r.postJSON("/api/code/validate", `{"code":"12345"}`), 422, invalid("code", `"12345"`))
			r.expectJSON(r.postJSON("/api/code/validate", `{"code":1234567}`), 422, invalid("code", `1234567`))
			r.expectJSON(r.postJSON("/api/code/validate", `{}`), 422, invalid("code", ""))
			r.expectJSON(r.postJSON("/api/pairing/validate", `{"pairing":{"code":"123456"}}`), 422, invalid("pairing.hash", ""))
			r.expectJSON(r.postJSON("/api/pairing/validate", `{"pairing":{"code":"1","hash":"`+hash+`"}}`), 422, invalid("pairing.code", `"1"`))
		},
	},
	{
		ID: "PSX-10/slash", Requirements: []string{"PSX-10"}, Level: Must,
		Sentence: "/ws/ is answered with 400.",
		run: func(r *run) {
			a := r.call("GET", "/ws/", "", "", "Connection", "Upgrade", "Upgrade", "websocket",
				"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", webSocketKey)
			r.expect(a.status == 400, a.what, "400", a.status)
		},
	},
	{
		ID: "PSX-12/preflight", Requirements: []string{"PSX-12"}, Level: Must,
		Sentence: "A browser's question before a request with a content type is answered, for all routes.",
		run: func(r *run) {
			for _, path := range []string{"code/validate", "pairing/validate", "token/get"} {
				a := r.call("OPTIONS", "/api/"+path, "", "", "Origin", "http://127.0.0.1:1",
					"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
				headers := strings.ToLower(a.header.Get("Access-Control-Allow-Headers"))
				r.expect(a.status/100 == 2 && strings.Contains(headers, "content-type"), a.what,
					"status 2xx and Access-Control-Allow-Headers with Content-Type", fmt.Sprint(a.status, " ", headers))
			}
		},
	},
}

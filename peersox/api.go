package peersox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/meshpair/meshpair/internal/pairing"
	"github.com/meshpair/meshpair/internal/seldom"
)

const (
	// maxBody is the most bytes of a request's body (PSX-14).
	maxBody = 16 << 10
	// codeTries is how often another code is drawn when one is in use. As long as no more than half of all codes are,
	// one draw in 10^9 fails.
	codeTries = 30
)

// An api is the REST part.
type api struct {
	cfg              *ServerConfig
	slowed, failures seldom.Log
}

// newAPI returns the REST part with its middleware around it.
func newAPI(cfg *ServerConfig) http.Handler {
	a := &api{cfg: cfg}
	mux := http.NewServeMux()
	for path, h := range map[string]http.HandlerFunc{ // PSX-3
		"GET /api/config":            a.config,
		"GET /api/code/get":          a.codeGet,
		"GET /api/token/get":         a.tokenGet,
		"POST /api/code/validate":    a.codeValidate,
		"POST /api/pairing/validate": a.pairingValidate,
	} {
		mux.HandleFunc(path, h)
		_, path, _ = strings.Cut(path, " ")
		mux.HandleFunc("OPTIONS "+path, a.preflight)
	}
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !cfg.originAllowed(r) { // PSX-13
			http.Error(w, "this origin is not allowed", http.StatusForbidden)
			return
		}
		cfg.allowOrigin(w, r)
		w.Header().Set("Cache-Control", "no-store") // codes and tokens are for one reader
		mux.ServeHTTP(w, r)
	})
	for _, m := range slices.Backward(cfg.Middleware) {
		h = m(h)
	}
	return h
}

// preflight answers a browser that asks whether a page of another origin may send a request (PSX-12).
func (a *api) preflight(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	w.Header().Set("Access-Control-Allow-Headers", "Content-Type, Accept, Authorization, Content-Length, X-Requested-With")
	w.Header().Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

func (a *api) config(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, a.cfg.ClientConfig)
}

// mayMake reports whether one thing more may be made for who asks for it (PSX-44); false says that the request was
// answered.
func (a *api) mayMake(w http.ResponseWriter, r *http.Request, kind string, limit int, window time.Duration) bool {
	if limit < 0 {
		return true
	}
	addr := clientAddr(r, a.cfg.TrustProxy)
	wait, err := a.cfg.Counter.Make(r.Context(), kind, addr, limit, window)
	if err != nil {
		a.unavailable(w, r, err)
		return false
	}
	if wait > 0 {
		a.slowDown(w, addr, "too many "+kind, wait)
	}
	return wait <= 0
}

// codeGet makes a pairing.
func (a *api) codeGet(w http.ResponseWriter, r *http.Request) {
	if !a.mayMake(w, r, "codes", a.cfg.Makes.Codes, a.cfg.CodeLife) || !a.mayMake(w, r, "codes a day", a.cfg.Makes.CodesDaily, 24*time.Hour) {
		return
	}
	for range codeTries {
		p := pairing.Pairing{Code: newCode(), Hash: newHex()}
		ok, err := a.cfg.Store.AddPairing(r.Context(), p.Code, p.Hash, a.cfg.CodeLife)
		if err != nil {
			a.unavailable(w, r, err)
			return
		}
		if ok {
			answer(w, http.StatusOK, p)
			return
		}
	}
	a.unavailable(w, r, errors.New("no code is free"))
}

func (a *api) tokenGet(w http.ResponseWriter, r *http.Request) {
	if !a.mayMake(w, r, "tokens", a.cfg.Makes.Tokens, a.cfg.TokenLife) {
		return
	}
	token := newHex()
	if err := a.cfg.Store.AddToken(r.Context(), token, a.cfg.TokenLife); err != nil {
		a.unavailable(w, r, err)
		return
	}
	answer(w, http.StatusOK, map[string]string{"token": token})
}

// codeValidate gives the hash that belongs to a code to the first who knows the code (PSX-5).
func (a *api) codeValidate(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	code := body.at("code")
	if !checkLengths(w, field{"code", code, pairing.CodeLen}) {
		return
	}
	text, _ := code.(string) // a code that is a number is none (PSX-5)
	if !pairing.ValidCode(text) {
		answer(w, http.StatusOK, struct{}{})
		return
	}
	hash, ok := a.guess(w, r, text)
	switch {
	case !ok:
	case hash == "":
		answer(w, http.StatusOK, struct{}{})
	default:
		answer(w, http.StatusOK, pairing.Pairing{Code: text, Hash: hash})
	}
}

// guess takes a code, unless its sender has to wait; false says that the request was answered.
func (a *api) guess(w http.ResponseWriter, r *http.Request, code string) (hash string, ok bool) {
	addr := clientAddr(r, a.cfg.TrustProxy)
	var attempt Attempt
	if !a.cfg.NoGuessLimit {
		var err error
		if attempt, err = a.cfg.Counter.Attempt(r.Context(), addr, a.cfg.Guesses, a.cfg.CodeLife); err != nil {
			a.unavailable(w, r, err)
			return "", false
		}
		if attempt.Wait > 0 {
			a.slowDown(w, addr, "too many wrong codes", attempt.Wait)
			return "", false
		}
	}
	hash, err := a.cfg.Store.TakeCode(r.Context(), code, a.cfg.PairingLife)
	if err != nil {
		a.unavailable(w, r, err)
		return "", false
	}
	if hash != "" && !a.cfg.NoGuessLimit {
		// The client has its code by now: what it sends next must not suffer from its going.
		if err := a.cfg.Counter.Right(context.WithoutCancel(r.Context()), addr, attempt); err != nil {
			a.cfg.Logger.Warn("a right code counts as a wrong one", "address", addr, "error", err)
		}
	}
	return hash, true
}

// slowDown refuses an attempt (PSX-40, PSX-41, PSX-44).
func (a *api) slowDown(w http.ResponseWriter, addr, what string, wait time.Duration) {
	if n, due := a.slowed.Due(); due {
		a.cfg.Logger.Warn(what, "address", addr, "wait", wait, "refusals", n)
	}
	seconds := (wait + time.Second - 1) / time.Second
	w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	w.Header().Set("Access-Control-Expose-Headers", "Retry-After")
	http.Error(w, fmt.Sprintf("%s; try again in %d s", what, seconds), http.StatusTooManyRequests)
}

func (a *api) pairingValidate(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	code, hash := body.at("pairing", "code"), body.at("pairing", "hash")
	if !checkLengths(w, field{"pairing.code", code, pairing.CodeLen}, field{"pairing.hash", hash, pairing.HashLen}) {
		return
	}
	var p pairing.Pairing
	p.Code, _ = code.(string)
	p.Hash, _ = hash.(string)
	valid := false
	if p.Valid() { // PSX-6
		var err error
		if valid, err = a.cfg.Store.CheckPairing(r.Context(), p.Code, p.Hash); err != nil {
			a.unavailable(w, r, err)
			return
		}
	}
	answer(w, http.StatusOK, valid)
}

// unavailable answers when the store fails (PSX-9).
func (a *api) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		if n, due := a.failures.Due(); due {
			a.cfg.Logger.Error("store", "path", r.URL.Path, "error", err, "failures", n)
		}
	}
	http.Error(w, "try again later", http.StatusServiceUnavailable)
}

func answer(w http.ResponseWriter, status int, value any) {
	b, err := json.Marshal(value)
	if err != nil {
		panic(err) // values of ours only
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b)
}

// A form is the object in a request's body.
type form map[string]any

// at returns a value inside nested objects; nil if it is not there.
func (f form) at(path ...string) any {
	var v any = map[string]any(f)
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// readBody reads a body in JSON or as a web form (PSX-4); false says that the request was answered.
func readBody(w http.ResponseWriter, r *http.Request) (form, bool) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) { // PSX-14
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return nil, false
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	f := form{}
	switch {
	case err != nil:
	case kind == "application/json" && len(b) > 0:
		var v any
		if err = json.Unmarshal(b, &v); err == nil {
			switch v := v.(type) {
			case map[string]any:
				f = v
			case []any: // an array has none of the names
			default:
				err = errors.New("neither an object nor an array")
			}
		}
	case kind == "application/x-www-form-urlencoded":
		var values url.Values
		values, err = url.ParseQuery(string(b))
		inner := make(map[string]any)
		for name := range values {
			if sub, ok := strings.CutPrefix(strings.TrimSuffix(name, "]"), "pairing["); ok {
				inner[sub] = values.Get(name)
			} else {
				f[name] = values.Get(name)
			}
		}
		if len(inner) > 0 {
			f["pairing"] = inner
		}
	}
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return nil, false
	}
	return f, true
}

// A field is a value of a form that is to have some length.
type field struct {
	param string
	value any
	size  int
}

// A fieldError says that a field is not right (PSX-7).
type fieldError struct {
	Location string `json:"location"`
	Param    string `json:"param"`
	Value    any    `json:"value,omitempty"`
	Msg      string `json:"msg"`
}

// checkLengths answers with 422 if a field is missing or has the wrong length (PSX-7).
func checkLengths(w http.ResponseWriter, fields ...field) bool {
	var wrong []fieldError
	for _, f := range fields {
		if textLen(f.value) != f.size {
			wrong = append(wrong, fieldError{"body", f.param, f.value, "Invalid value"})
		}
	}
	if wrong != nil {
		answer(w, http.StatusUnprocessableEntity, map[string]any{"errors": wrong})
	}
	return wrong == nil
}

// textLen is the length of a value as text, in UTF-16 units, in which browsers count; a number has a length too.
func textLen(v any) int {
	switch v := v.(type) {
	case string:
		return len(utf16.Encode([]rune(v)))
	case float64:
		return len(strconv.FormatFloat(v, 'f', -1, 64))
	}
	return 0
}

// newCode draws one of a million codes, each with the same chance (PSX-1).
func newCode() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		panic(err) // rand.Reader does not fail
	}
	return fmt.Sprintf("%06d", n)
}

// newHex draws 256 bits (PSX-1).
func newHex() string {
	b := make([]byte, 32)
	rand.Read(b)
	return hex.EncodeToString(b)
}

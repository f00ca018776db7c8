package peersox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxAnswer is the largest answer of the REST API that is read, in bytes.
const maxAnswer = 64 << 10

// A rest is the server's REST API, as a client sees it.
type rest struct {
	url    string
	origin string
	client *http.Client
}

func newREST(cfg ClientConfig, url string) *rest {
	return &rest{url, cfg.Origin, &http.Client{
		// A client asks rarely; a connection that waits would be a goroutine that waits.
		Transport:     &http.Transport{TLSClientConfig: cfg.TLS, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       cfg.ConnectTimeout,
	}}
}

// call does a request, a POST if there is a body, and decodes the answer.
func (r *rest) call(ctx context.Context, path string, body, answer any) error {
	method, data := http.MethodGet, []byte(nil)
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return err
		}
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("peersox: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.origin != "" {
		req.Header.Set("Origin", r.origin)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("peersox: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return &StatusError{resp.StatusCode, time.Duration(max(0, seconds)) * time.Second}
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(b) > maxAnswer {
		err = fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	}
	if err == nil {
		err = json.Unmarshal(b, answer)
	}
	if err != nil {
		return fmt.Errorf("peersox: %s: %w", path, err)
	}
	return nil
}

// A serverConfig is what GET config answers. URLs may be one string or a list.
type serverConfig struct {
	ICEServers []struct {
		URLs       oneOrMany `json:"urls"`
		URL        string    `json:"url"` // as older browsers have it
		Username   string    `json:"username"`
		Credential string    `json:"credential"`
	} `json:"iceServers"`
}

type oneOrMany []string

func (l *oneOrMany) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = oneOrMany{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

func (r *rest) config(ctx context.Context) ([]ICEServer, error) {
	var answer serverConfig
	if err := r.call(ctx, "/config", nil, &answer); err != nil {
		return nil, err
	}
	servers := []ICEServer{}
	for _, s := range answer.ICEServers {
		if len(s.URLs) == 0 && s.URL != "" {
			s.URLs = oneOrMany{s.URL}
		}
		servers = append(servers, ICEServer{s.URLs, s.Username, s.Credential})
	}
	return servers, nil
}

func (r *rest) createPairing(ctx context.Context) (p Pairing, err error) {
	err = r.call(ctx, "/code/get", nil, &p)
	if err == nil && (p.Code == "" || p.Hash == "") {
		err = fmt.Errorf("%w: a pairing without code or hash", ErrProtocol)
	}
	return tame(p, err)
}

// maxName is the longest code or hash that a server may give.
const maxName = 64

// tame refuses a pairing with anything in it that would not be a part of a code or a hash where a user pastes it, such as a
// command for a shell, or where it is kept (SEC-40).
func tame(p Pairing, err error) (Pairing, error) {
	strange := func(r rune) bool {
		return r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}
	if err == nil && (len(p.Code) > maxName || len(p.Hash) > maxName || strings.ContainsFunc(p.Code+p.Hash, strange)) {
		err = fmt.Errorf("%w: the server gives something else for a code or a hash", ErrProtocol)
	}
	if err != nil {
		return Pairing{}, err
	}
	return p, nil
}

func (r *rest) joinPairing(ctx context.Context, code string) (p Pairing, err error) {
	err = r.call(ctx, "/code/validate", map[string]string{"code": code}, &p)
	if err == nil && (p.Code == "" || p.Hash == "") {
		err = ErrCode
	}
	return tame(p, err)
}

func (r *rest) validate(ctx context.Context, p Pairing) (valid bool, err error) {
	err = r.call(ctx, "/pairing/validate", map[string]Pairing{"pairing": p}, &valid)
	return valid, err
}

func (r *rest) token(ctx context.Context) (string, error) {
	var answer struct {
		Token string `json:"token"`
	}
	err := r.call(ctx, "/token/get", nil, &answer)
	if err == nil && answer.Token == "" {
		err = fmt.Errorf("%w: no token", ErrProtocol)
	}
	return answer.Token, err
}

package rtc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/pion/webrtc/v3"
)

// renewal is how long before its end a certificate is replaced. A connection looks at the certificate when it opens
// only, so this has to outlast opening.
const renewal = 24 * time.Hour

// certificates holds the certificate of this process. Making one costs as much as opening a connection does.
var certificates certificate

// A certificate is made when it is first asked for and renewed before it expires.
type certificate struct {
	mu   sync.Mutex
	last *webrtc.Certificate
}

func (c *certificate) get() (*webrtc.Certificate, error) { return c.at(time.Now()) }

// at returns a certificate that is valid at now and for renewal after it.
func (c *certificate) at(now time.Time) (*webrtc.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && now.Add(renewal).Before(c.last.Expires()) {
		return c.last, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("rtc: certificate: %w", err)
	}
	made, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("rtc: certificate: %w", err)
	}
	c.last = made
	return made, nil
}

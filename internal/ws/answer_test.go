package ws

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// Answers that upgrade, though the library alone would refuse some.
func TestAnswers(t *testing.T) {
	const first = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: KEY\r\n"
	for name, head := range map[string]string{
		"plain":     first + "Upgrade: websocket\r\nConnection: Upgrade\r\n",
		"case":      first + "upgrade: WebSocket\r\nconnection: UPGRADE\r\n",
		"lists":     first + "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n",
		"two lines": first + "Upgrade: websocket\r\nConnection: keep-alive\r\nConnection: Upgrade\r\n",
		"long":      first + "Upgrade: websocket\r\nConnection: Upgrade\r\nX: " + strings.Repeat("x", 30_000) + "\r\n",
		"protocol":  first + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: b\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			// The first frames come in one piece with the answer.
			early := string(rawFrame(false, 0x81, "early")) + string(rawFrame(false, 0x82, strings.Repeat("x", 5000)))
			c, err := Dial(context.Background(), answering(t, head+"\r\n"+early), DialConfig{Subprotocols: []string{"a", "b"}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Abort()
			wantMessage(t, c, Text, "early")
			wantMessage(t, c, Binary, strings.Repeat("x", 5000))
			if (c.Subprotocol() == "b") != (name == "protocol") {
				t.Errorf("subprotocol %q", c.Subprotocol())
			}
		})
	}
}

// Answers that do not. Each is a HandshakeError with the status, if one came.
func TestBadAnswers(t *testing.T) {
	const first = "HTTP/1.1 101 Switching Protocols\r\n"
	const good = first + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n"
	for name, test := range map[string]struct {
		answer  string
		status  int
		message string
	}{
		"nothing":                  {"Connection: close", 0, ""}, // no HTTP at all
		"cut off":                  {"HTTP/1.1 101 Switching Protocols\r\nConnection: close\r\n", 0, ""},
		"endless head":             {first + "X: " + strings.Repeat("x", 100_000) + "\r\n\r\n", 0, ""},
		"200":                      {"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nhi\n", 200, "hi"},
		"302":                      {"HTTP/1.1 302 Found\r\nLocation: ws://x\r\nContent-Length: 0\r\n\r\n", 302, ""},
		"404 in HTML":              {"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\n<p>", 404, ""},
		"500 without length":       {"HTTP/1.1 500 Oops\r\nContent-Type: text/plain\r\n\r\nthis never ends", 500, ""},
		"503 of great length":      {"HTTP/1.1 503 No\r\nContent-Type: text/plain\r\nContent-Length: 2000\r\n\r\nthis never comes", 503, ""},
		"403 cut off":              {"HTTP/1.1 403 No\r\nContent-Type: text/plain\r\nContent-Length: 20\r\nConnection: close\r\n\r\nshort", 403, ""},
		"no Upgrade":               {first + "Connection: Upgrade\r\nSec-WebSocket-Accept: KEY\r\n\r\n", 101, ""},
		"no Connection":            {first + "Upgrade: websocket\r\nSec-WebSocket-Accept: KEY\r\n\r\n", 101, ""},
		"no accept":                {first + "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 101, ""},
		"wrong accept":             {first + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + rawKey + "\r\n\r\n", 101, ""},
		"two accepts":              {good + "Sec-WebSocket-Accept: KEY\r\n\r\n", 101, ""},
		"extension":                {good + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 101, ""},
		"subprotocol not offered":  {good + "Sec-WebSocket-Protocol: c\r\n\r\n", 101, ""},
		"two subprotocols":         {good + "Sec-WebSocket-Protocol: a, b\r\n\r\n", 101, ""},
		"two lines of subprotocol": {good + "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n\r\n", 101, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Dial(context.Background(), answering(t, test.answer), DialConfig{Subprotocols: []string{"a", "b"}})
			var refused *HandshakeError
			if c != nil || !errors.As(err, &refused) {
				t.Fatalf("error %v, want a HandshakeError", err)
			}
			if refused.Status != test.status || refused.Message != test.message {
				t.Errorf("status %d, message %q, want %d %q", refused.Status, refused.Message, test.status, test.message)
			}
			if (refused.Err == nil) == (test.status == 0 || test.status == 101) {
				t.Errorf("status %d with the cause %v", refused.Status, refused.Err)
			}
		})
	}
}

package ws

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What is no upgrade gets an ordinary answer, and the connection lives on where HTTP lets it.
func TestRefusals(t *testing.T) {
	without := func(line string) string {
		i := strings.Index(upgradeLines, line)
		return upgradeLines[:i] + upgradeLines[i+strings.Index(upgradeLines[i:], "\n")+1:]
	}
	addr := listen(t, &Server{Serve: func(*Conn, *http.Request) { t.Error("served") }})
	for _, test := range []struct {
		name, request string
		status        int
		header        map[string]string
	}{
		{"plain GET", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426, map[string]string{"Upgrade": "websocket", "Connection": "Upgrade"}},
		{"no Upgrade", "GET / HTTP/1.1\r\n" + without("Upgrade:") + "\r\n", 426, map[string]string{"Upgrade": "websocket"}},
		{"other Upgrade", "GET / HTTP/1.1\r\nUpgrade: h2c\r\n" + without("Upgrade:") + "\r\n", 426, map[string]string{"Upgrade": "websocket"}},
		{"no Connection", "GET / HTTP/1.1\r\n" + without("Connection:") + "\r\n", 426, map[string]string{"Upgrade": "websocket"}},
		{"Connection that only contains upgrade", "GET / HTTP/1.1\r\nConnection: no-upgrade\r\n" + without("Connection:") + "\r\n", 426, nil},
		{"no version", "GET / HTTP/1.1\r\n" + without("Sec-WebSocket-Version:") + "\r\n", 426, map[string]string{"Sec-Websocket-Version": "13"}},
		{"version 8", "GET / HTTP/1.1\r\nSec-WebSocket-Version: 8\r\n" + without("Sec-WebSocket-Version:") + "\r\n", 426, map[string]string{"Sec-Websocket-Version": "13"}},
		{"two versions", "GET / HTTP/1.1\r\nSec-WebSocket-Version: 8\r\n" + upgradeLines + "\r\n", 426, map[string]string{"Sec-Websocket-Version": "13"}},
		{"no key", "GET / HTTP/1.1\r\n" + without("Sec-WebSocket-Key:") + "\r\n", 400, nil},
		{"two keys", "GET / HTTP/1.1\r\nSec-WebSocket-Key: " + rawKey + "\r\n" + upgradeLines + "\r\n", 400, nil},
		{"short key", "GET / HTTP/1.1\r\nSec-WebSocket-Key: AAAA\r\n" + without("Sec-WebSocket-Key:") + "\r\n", 400, nil},
		{"key that is no base64", "GET / HTTP/1.1\r\nSec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n" + without("Sec-WebSocket-Key:") + "\r\n", 400, nil},
		{"POST", "POST / HTTP/1.1\r\n" + upgradeLines + "Content-Length: 0\r\n\r\n", 405, map[string]string{"Allow": "GET"}},
		{"HEAD", "HEAD / HTTP/1.1\r\n" + upgradeLines + "\r\n", 405, map[string]string{"Allow": "GET"}},
		{"body", "GET / HTTP/1.1\r\n" + upgradeLines + "Content-Length: 3\r\n\r\nabc", 400, nil},
		{"chunked body", "GET / HTTP/1.1\r\n" + upgradeLines + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, nil},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n" + upgradeLines + "\r\n", 505, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, resp := request(t, addr, test.request)
			if resp.StatusCode != test.status {
				t.Errorf("status %s, want %d", resp.Status, test.status)
			}
			for name, value := range test.header {
				if got := resp.Header.Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}
			if resp.Close || test.status == 405 {
				return
			}
			resp.Body.Close() // reads it
			p.send([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
			if again, err := http.ReadResponse(p.br, nil); err != nil || again.StatusCode != 426 {
				t.Errorf("second request: %v, error %v", again, err)
			}
		})
	}
}

// These are upgrades, though the library alone would refuse them.
func TestUnusualUpgrades(t *testing.T) {
	addr := listen(t, &Server{Serve: func(c *Conn, _ *http.Request) { echo(c) }})
	rest := upgradeLines[strings.Index(upgradeLines, "Sec-"):]
	for name, head := range map[string]string{
		"lists":           "Host: x\r\nUpgrade: h2c, WebSocket\r\nConnection: keep-alive, UPGRADE\r\n",
		"two lines":       "Host: x\r\nUpgrade: h2c\r\nUpgrade: websocket\r\nConnection: keep-alive\r\nConnection: Upgrade\r\n",
		"odd host":        "Host: a%b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
		"many protocols":  "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: a, b\r\n",
		"many extensions": "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Extensions: permessage-deflate, x\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			// The first frame comes in one piece with the request.
			p, resp := request(t, addr, "GET / HTTP/1.1\r\n"+head+rest+"\r\n"+string(rawFrame(true, 0x81, "early")))
			if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") != accept(rawKey) {
				t.Fatalf("status %s, header %v", resp.Status, resp.Header)
			}
			for _, name := range []string{"Sec-Websocket-Protocol", "Sec-Websocket-Extensions"} {
				if v := resp.Header[name]; v != nil {
					t.Errorf("%s: %q", name, v)
				}
			}
			p.want(0x81, "early")
		})
	}
}

// A client that does not take the answer costs WriteTimeout.
func TestUpgradeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		start := time.Now()
		brw := bufio.NewReadWriter(bufio.NewReader(ours), bufio.NewWriter(ours))
		if _, err := upgrade(ours, brw, &http.Request{}, rawKey, "", Config{}); err == nil {
			t.Error("no error")
		}
		if d := time.Since(start); d != DefaultWriteTimeout {
			t.Errorf("it took %v", d)
		}
	})
}

package ws

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A transport makes a connection and its raw peer.
type transport func(t testing.TB, r role, cfg Config) (*Conn, *peer)

// transports are the networks that differ for the queue: the second has plain TCP below a wrapper, the last two cannot
// be written to without waiting.
var transports = map[string]transport{
	"TCP": tcpPair,
	"wrapper": func(t testing.TB, r role, cfg Config) (*Conn, *peer) {
		ours, theirs := loopback(t)
		return join(t, r, cfg, wrapper{ours}, theirs)
	},
	"TLS":  tlsPair,
	"pipe": pipePair,
}

// wrapper carries the bytes of the connection below, and says which that is.
type wrapper struct{ net.Conn }

func (w wrapper) NetConn() net.Conn { return w.Conn }

func tlsPair(t testing.TB, r role, cfg Config) (*Conn, *peer) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS() // for its certificate
	server.Close()
	ours, theirs := loopback(t)
	serverConfig := &tls.Config{Certificates: server.TLS.Certificates}
	clientConfig := &tls.Config{InsecureSkipVerify: true}
	if r == asServer {
		return join(t, r, cfg, tls.Server(ours, serverConfig), tls.Client(theirs, clientConfig))
	}
	return join(t, r, cfg, tls.Client(ours, clientConfig), tls.Server(theirs, serverConfig))
}

// eachTransport runs a test over each network, for both roles.
func eachTransport(t *testing.T, f func(t *testing.T, r role, pair transport)) {
	for name, pair := range transports {
		t.Run(name, func(t *testing.T) {
			eachRole(t, func(t *testing.T, r role) { f(t, r, pair) })
		})
	}
}

// post queues a message that must be taken.
func post(t *testing.T, c *Conn, k Kind, data string) {
	t.Helper()
	b := []byte(data)
	if err := c.Post(k, b); err != nil {
		t.Fatalf("Post %.40q: %v", data, err)
	}
	clear(b) // Post has made a copy
}

// sending says whether the write lock is held. It does not take it, as who gives it up must flush.
func sending(c *Conn) bool { return len(c.wlock) > 0 }

// idle waits until nothing is being sent and nothing is kept for sending.
func idle(c *Conn) bool {
	return eventually(func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return !sending(c) && c.queue == nil && c.pong == nil && c.inFlight == 0
	})
}

// Messages of every length form go out whole, and in the shortest one.
func TestPostLengths(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		c, p := tcpPair(t, r, Config{})
		sizes := []int{0, 1, 125, 126, 4096, 0xffff, 0x10000}
		shortest := 0
		for _, n := range sizes {
			post(t, c, Text, strings.Repeat("x", n))
			post(t, c, Binary, strings.Repeat("y", n))
			shortest += 2 * len(rawFrame(r == asClient, 0x82, strings.Repeat("y", n)))
		}
		if got := len(c.queue.b); got != shortest {
			t.Errorf("%d bytes are queued, want %d", got, shortest)
		}
		c.Flush()
		for _, n := range sizes {
			p.want(0x81, strings.Repeat("x", n))
			p.want(0x82, strings.Repeat("y", n))
		}
	})
}

// Messages go out in the order of the calls, whichever calls these are, and before the close frame.
func TestPost(t *testing.T) {
	eachTransport(t, func(t *testing.T, r role, pair transport) {
		c, p := pair(t, r, Config{})
		sizes := []int{0, 200, 5000}
		closed := make(chan error, 1)
		go func() {
			var errs []error
			for _, n := range sizes {
				data := strings.Repeat("µ", n/2)
				errs = append(errs, c.Post(Text, []byte("1"+data)))
				errs = append(errs, c.Post(Binary, []byte("2"+data)))
				errs = append(errs, c.Write(Text, []byte("3"+data)))
				errs = append(errs, c.Post(Binary, []byte("4"+data)))
				c.Flush()
				errs = append(errs, c.Post(Text, []byte("5"+data)))
				c.Flush()
				errs = append(errs, c.Write(Binary, []byte("6"+data)))
			}
			errs = append(errs, c.Post(Text, []byte("last")))
			closed <- errors.Join(append(errs, c.Close(4000, "bye"))...)
		}()
		for _, n := range sizes {
			data := strings.Repeat("µ", n/2)
			for i, b0 := range []byte{0x81, 0x82, 0x81, 0x82, 0x81, 0x82} {
				p.want(b0, fmt.Sprint(i+1)+data)
			}
		}
		p.want(0x81, "last")
		p.want(0x88, "\x0f\xa0bye")
		p.send(p.closing(4000, ""))
		p.wantEOF()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if !idle(c) {
			t.Error("a closed connection has something to send")
		}
	})
}

// What is queued goes before the answer to the peer's close frame, too, and before what a violation is answered.
func TestPostBeforeAnswer(t *testing.T) {
	for name, end := range map[string]struct {
		send func(p *peer) []byte
		code int
	}{
		"close":     {func(p *peer) []byte { return p.closing(4000, "bye") }, 4000},
		"violation": {func(p *peer) []byte { return p.frame(0x83, "") }, 1002},
	} {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, r role, pair transport) {
				c, p := pair(t, r, Config{})
				post(t, c, Text, "queued")
				ended := make(chan error, 1)
				go func() { ended <- readToEnd(c, nil) }()
				p.send(end.send(p))
				p.want(0x81, "queued")
				p.wantClose(end.code)
				p.Close()
				<-ended
			})
		})
	}
}

// Nothing goes out before Flush, which sends all and keeps no buffer.
func TestFlush(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		synctest.Test(t, func(t *testing.T) {
			c, p := pipePair(t, r, Config{})
			c.Flush()
			got := make(chan string)
			go func() {
				for {
					_, payload, err := rawRead(p.br, !p.masks)
					if err != nil {
						close(got)
						return
					}
					got <- payload
				}
			}()
			post(t, c, Text, "one")
			post(t, c, Text, "two")
			synctest.Wait()
			select {
			case payload := <-got:
				t.Fatalf("%q went out before Flush", payload)
			default:
			}
			c.Flush()
			for _, want := range []string{"one", "two"} {
				if payload := <-got; payload != want {
					t.Errorf("the peer got %q, want %q", payload, want)
				}
			}
			if !idle(c) {
				t.Error("an idle connection has something to send")
			}
			c.Abort()
			<-got
		})
	})
}

// A client masks each frame with a key of its own, a server masks none.
func TestPostMasks(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		c, p := tcpPair(t, r, Config{})
		for range 3 {
			post(t, c, Binary, "same")
		}
		queued := bytes.Clone(c.queue.b)
		if r == asServer {
			if want := strings.Repeat("\x82\x04same", 3); string(queued) != want {
				t.Errorf("queued %q, want %q", queued, want)
			}
		} else {
			const size = 2 + 4 + 4
			if len(queued) != 3*size || bytes.Equal(queued[2:6], queued[size+2:size+6]) ||
				bytes.Equal(queued[2:6], queued[2*size+2:2*size+6]) || bytes.Equal(queued[2:6], make([]byte, 4)) {
				t.Errorf("queued %q, want three keys", queued)
			}
		}
		c.Flush()
		for range 3 {
			p.want(0x82, "same")
		}
	})
}

// What cannot be sent leaves the connection, and the queue, as it was.
func TestPostRefused(t *testing.T) {
	c, p := tcpPair(t, asServer, Config{MaxQueue: 1000})
	post(t, c, Text, "before")
	if err := c.Post(Text, []byte("a\xff")); err != ErrInvalidText {
		t.Errorf("error %v, want ErrInvalidText", err)
	}
	for _, k := range []Kind{0, 3, 8, 9} {
		if err := c.Post(k, nil); err == nil {
			t.Errorf("kind %d was queued", k)
		}
	}
	if err := c.Post(Text, make([]byte, 1000)); err != ErrQueueFull {
		t.Errorf("error %v, want ErrQueueFull", err)
	}
	post(t, c, Binary, "a\xff")
	c.Flush()
	p.want(0x81, "before")
	p.want(0x82, "a\xff")
}

// MaxQueue counts messages, be they waiting for Flush or for the network, with some bytes for each, and not those that
// were sent.
func TestMaxQueue(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		synctest.Test(t, func(t *testing.T) {
			c, p := pipePair(t, r, Config{MaxQueue: 1000})
			for round := range 4 {
				post(t, c, Binary, strings.Repeat("x", 500))
				switch round {
				case 1, 2:
					c.Flush() // and the pipe takes nothing
				case 3:
					go c.Write(Text, []byte("written"))
				}
				synctest.Wait()
				if err := c.Post(Binary, make([]byte, 500)); err != ErrQueueFull {
					t.Errorf("error %v, want ErrQueueFull", err)
				}
				post(t, c, Binary, strings.Repeat("y", 400))
				n := 0
				for c.Post(Binary, nil) == nil { // none is free
					n++
				}
				c.Flush()
				p.want(0x82, strings.Repeat("x", 500))
				if round == 3 {
					p.want(0x81, "written")
				}
				p.want(0x82, strings.Repeat("y", 400))
				for range n {
					p.want(0x82, "")
				}
				if !idle(c) {
					t.Error("an idle connection has something to send")
				}
			}
		})
	})
}

// A peer that does not read makes Post fail in the end, and Flush wait never; when it reads, it gets all there is, and
// Post works again.
func TestSlowReader(t *testing.T) {
	eachTransport(t, func(t *testing.T, r role, pair transport) {
		c, p := pair(t, r, Config{MaxQueue: 100_000})
		data := strings.Repeat("x", 15_000)
		for range 2 {
			n := 0
			for ; ; n++ {
				err := c.Post(Binary, fmt.Append(nil, n, data))
				if err == ErrQueueFull {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				c.Flush()
			}
			for i := range n {
				p.want(0x82, fmt.Sprint(i)+data)
			}
			if !idle(c) {
				t.Error("something is left to send")
			}
		}
		post(t, c, Text, "after")
		c.Flush()
		p.want(0x81, "after")
	})
}

// What is posted while something is sent, by whichever call, goes out without another Flush than the one that came too
// early, and in order.
func TestFlushDuringWrite(t *testing.T) {
	for name, send := range map[string]func(t *testing.T, c *Conn){
		"Write": func(t *testing.T, c *Conn) { go c.Write(Text, []byte("blocked")) },
		"Flush": func(t *testing.T, c *Conn) {
			post(t, c, Text, "blocked")
			c.Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachRole(t, func(t *testing.T, r role) {
				synctest.Test(t, func(t *testing.T) {
					c, p := pipePair(t, r, Config{})
					send(t, c)
					synctest.Wait()
					post(t, c, Text, "another")
					c.Flush()
					synctest.Wait()
					post(t, c, Text, "the last")
					p.want(0x81, "blocked")
					p.want(0x81, "another")
					p.want(0x81, "the last")
					if !idle(c) {
						t.Error("an idle connection has something to send")
					}
				})
			})
		})
	}
}

// A Write waits its turn behind what Flush is sending, and behind what was posted before.
func TestWriteDuringFlush(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		synctest.Test(t, func(t *testing.T) {
			c, p := pipePair(t, r, Config{})
			post(t, c, Text, "one")
			c.Flush()
			synctest.Wait()
			post(t, c, Text, "two")
			written := make(chan error, 1)
			go func() { written <- c.Write(Text, []byte("three")) }()
			synctest.Wait()
			p.want(0x81, "one")
			p.want(0x81, "two")
			p.want(0x81, "three")
			if err := <-written; err != nil {
				t.Error(err)
			}
		})
	})
}

// Pings that come while much is queued are answered once that is out; reading goes on meanwhile.
func TestPingDuringFlush(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		synctest.Test(t, func(t *testing.T) {
			c, p := pipePair(t, r, Config{})
			post(t, c, Text, "blocked")
			c.Flush()
			synctest.Wait()
			post(t, c, Text, "queued")
			go p.Write(frames(p, 0x89, "one", 0x89, "two", 0x81, "still read"))
			wantMessage(t, c, Text, "still read")
			post(t, c, Text, "queued, too")
			p.want(0x81, "blocked")
			p.want(0x81, "queued")
			p.want(0x81, "queued, too")
			p.want(0x8a, "two")
		})
	})
}

// A peer that takes nothing costs WriteTimeout and then the connection; nobody waits but Read, which learns of it.
func TestFlushTimeout(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		synctest.Test(t, func(t *testing.T) {
			c, _ := pipePair(t, r, Config{WriteTimeout: 3 * time.Second})
			time.Sleep(10 * time.Second)
			start := time.Now()
			post(t, c, Text, "x")
			c.Flush()
			post(t, c, Text, "y")
			c.Flush()
			if time.Since(start) != 0 {
				t.Errorf("Flush took %v", time.Since(start))
			}
			err := readToEnd(c, nil)
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
				t.Errorf("Read: %v after %v, want a time-out after 3 s", err, time.Since(start))
			}
			synctest.Wait()
			if !idle(c) {
				t.Error("a dead connection has something to send")
			}
			if again := c.Post(Text, nil); again != err {
				t.Errorf("Post: %v, want %v", again, err)
			}
			if again := c.Write(Text, nil); again != err {
				t.Errorf("Write: %v, want %v", again, err)
			}
			if got := c.Close(1000, ""); got != err {
				t.Errorf("Close: %v, want %v", got, err)
			}
			if time.Since(start) != 3*time.Second {
				t.Errorf("it took %v to learn that the connection is dead", time.Since(start)-3*time.Second)
			}
		})
	})
}

// The like where a kernel or TLS is between.
func TestFlushTimeoutTCP(t *testing.T) {
	for _, name := range []string{"TCP", "wrapper", "TLS"} {
		t.Run(name, func(t *testing.T) {
			eachRole(t, func(t *testing.T, r role) {
				c, _ := transports[name](t, r, Config{MaxQueue: 1 << 20})
				c.cfg.WriteTimeout = 20 * time.Millisecond // too short for a TLS handshake
				post(t, c, Binary, strings.Repeat("x", 512<<10))
				c.Flush()
				if _, _, err := c.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("Read: %v, want a time-out", err)
				}
			})
		})
	}
}

// No write deadline stays behind a Flush.
func TestFlushNoStaleDeadline(t *testing.T) {
	eachRole(t, func(t *testing.T, r role) {
		ours, theirs := loopback(t)
		recorder := &deadlines{Conn: ours}
		c, p := join(t, r, Config{}, recorder, theirs)
		before := recorder.set
		post(t, c, Text, "x")
		c.Flush()
		p.want(0x81, "x")
		c.wlock.lock()
		if !recorder.at.IsZero() || recorder.set == before {
			t.Errorf("after a flush the write deadline is %v, and %d were set", recorder.at, recorder.set-before)
		}
		c.wlock.unlock()
	})
}

// A peer that goes while something is being sent to it does not leave us waiting.
func TestPeerGoesDuringFlush(t *testing.T) {
	for _, name := range []string{"TCP", "wrapper", "TLS"} {
		t.Run(name, func(t *testing.T) {
			eachRole(t, func(t *testing.T, r role) {
				c, p := transports[name](t, r, Config{MaxQueue: 1 << 20})
				post(t, c, Binary, strings.Repeat("x", 512<<10))
				c.Flush()
				p.br.ReadByte()
				tcp := p.Conn
				if outer, ok := tcp.(*tls.Conn); ok {
					tcp = outer.NetConn()
				}
				tcp.(*net.TCPConn).SetLinger(0)
				tcp.Close()
				if _, _, err := c.Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("Read: %v", err)
				}
				if !idle(c) {
					t.Error("a dead connection has something to send")
				}
				if err := c.Write(Text, nil); err == nil {
					t.Error("Write works on a dead connection")
				}
			})
		})
	}
}

// A network that fails in one direction only shows in Read, though only Flush has met it.
func TestFlushBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		broken := &brokenWriter{Conn: ours}
		c, _ := join(t, asServer, Config{}, broken, theirs)
		broken.is = true
		start := time.Now()
		post(t, c, Text, "x")
		c.Flush()
		if _, _, err := c.Read(); err == nil || time.Since(start) != DefaultCloseTimeout {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		if err := c.Write(Text, nil); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Write: %v", err)
		}
	})
}

// A network that takes less than it says it does is broken.
func TestFlushShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		short := &shortWriter{Conn: ours}
		c, _ := join(t, asServer, Config{}, short, theirs)
		short.is = true
		post(t, c, Text, "x")
		c.Flush()
		if _, _, err := c.Read(); err == nil {
			t.Error("no error")
		}
		if err := c.Write(Text, nil); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("Write: %v", err)
		}
	})
}

// shortWriter writes nothing, once it is told to, and gives no reason.
type shortWriter struct {
	net.Conn
	is bool
}

func (s *shortWriter) Write(p []byte) (int, error) {
	if s.is {
		return 0, nil
	}
	return s.Conn.Write(p)
}

// After the end, whoever brought it, Post fails like Write, and Flush does nothing.
func TestPostAfterEnd(t *testing.T) {
	for name, end := range map[string]func(c *Conn, p *peer){
		"Close": func(c *Conn, p *peer) {
			go c.Close(1000, "")
			p.wantClose(1000)
		},
		"close frame of the peer": func(c *Conn, p *peer) {
			p.send(p.closing(1000, ""))
			c.Read()
			p.wantClose(1000)
		},
		"violation": func(c *Conn, p *peer) {
			go c.Read()
			p.send(p.frame(0x83, ""))
			p.wantClose(1002)
		},
		"Abort": func(c *Conn, p *peer) { c.Abort() },
	} {
		t.Run(name, func(t *testing.T) {
			eachRole(t, func(t *testing.T, r role) {
				c, p := tcpPair(t, r, Config{CloseTimeout: 20 * time.Millisecond})
				end(c, p)
				if err := c.Post(Text, []byte("late")); err != ErrClosed {
					t.Errorf("Post: %v, want ErrClosed", err)
				}
				c.Flush()
				if b, err := p.br.ReadByte(); err == nil {
					t.Errorf("the peer got byte %#x", b)
				}
			})
		})
	}
}

// What was queued when Close found the network blocked is dropped with the connection; and however slowly the peer
// reads, Close takes no longer than it says.
func TestCloseDuringFlush(t *testing.T) {
	for name, test := range map[string]struct {
		reads int           // how many messages the peer reads, each just in time
		takes time.Duration // how long Close waits then
	}{
		"never":     {0, 3000 * time.Millisecond},
		"the first": {1, 2900*time.Millisecond + 3*time.Second},
		"both":      {2, 2900*time.Millisecond + 3*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			eachRole(t, func(t *testing.T, r role) {
				synctest.Test(t, func(t *testing.T) {
					c, p := pipePair(t, r, Config{WriteTimeout: 3 * time.Second})
					start := time.Now()
					post(t, c, Text, "being sent")
					c.Flush()
					synctest.Wait()
					post(t, c, Text, "queued")
					closed := make(chan error, 1)
					go func() { closed <- c.Close(1000, "") }()
					for i := range test.reads {
						time.Sleep(2900 * time.Millisecond)
						p.want(0x81, []string{"being sent", "queued"}[i])
					}
					if err := <-closed; !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("Close: %v, want a time-out", err)
					}
					if d := time.Since(start); d != test.takes {
						t.Errorf("Close took %v, want %v", d, test.takes)
					}
					if !idle(c) {
						t.Error("a dead connection has something to send")
					}
				})
			})
		})
	}
}

// Abort ends a Flush that is blocked.
func TestAbortDuringFlush(t *testing.T) {
	eachTransport(t, func(t *testing.T, r role, pair transport) {
		c, _ := pair(t, r, Config{MaxQueue: 1 << 20})
		post(t, c, Binary, strings.Repeat("x", 512<<10))
		c.Flush()
		post(t, c, Text, "queued")
		c.Abort()
		if !idle(c) {
			t.Error("an aborted connection has something to send")
		}
		if err := c.Write(Text, nil); err != ErrClosed {
			t.Errorf("Write: %v, want ErrClosed", err)
		}
	})
}

// Any number of goroutines may post, flush and write at once: all arrives, and what one of them sends stays in order.
func TestConcurrentPosts(t *testing.T) {
	eachTransport(t, func(t *testing.T, r role, pair transport) {
		c, p := pair(t, r, Config{MaxQueue: 1 << 20})
		w := crowd{senders: 8, each: 30, pings: 30, size: 20}
		w.run(t, c, p, func(s, i int, data []byte) error {
			if (s+i)%5 == 0 {
				return c.Write(Text, data)
			}
			err := c.Post(Text, data)
			if (s+i)%5 == 1 || i == w.each-1 {
				c.Flush()
			}
			return err
		})
	})
}

// A Post that Close overtakes takes nothing.
func TestPostOvertaken(t *testing.T) {
	c, _ := tcpPair(t, asServer, Config{})
	posted := make(chan error)
	c.mu.Lock()
	go func() { posted <- c.Post(Text, nil) }()
	if !eventually(func() bool {
		s := stacks()
		return strings.Contains(s, "ws.(*Conn).Post(") && strings.Contains(s, "(*Mutex).lockSlow(")
	}) {
		t.Error("Post does not wait for the mutex")
	}
	c.closing.Store(true)
	c.mu.Unlock()
	if err := <-posted; err != ErrClosed {
		t.Errorf("Post: %v, want ErrClosed", err)
	}
}

// Of what is posted while Close comes, all that Post took is sent.
func TestPostDuringClose(t *testing.T) {
	for range 10 {
		c, p := tcpPair(t, asServer, Config{})
		posted, begun := make(chan int), make(chan struct{})
		go func() {
			n := 0
			for c.Post(Text, nil) == nil {
				if n++; n == 10 {
					close(begun)
				}
			}
			posted <- n
		}()
		<-begun
		go c.Close(1000, "")
		got := 0
		for {
			b0, _, err := rawRead(p.br, false)
			if err != nil {
				t.Fatal(err)
			}
			if b0 == 0x88 {
				break
			}
			got++
		}
		p.send(p.closing(1000, ""))
		p.wantEOF()
		if n := <-posted; got != n {
			t.Fatalf("the peer got %d messages of %d", got, n)
		}
	}
}

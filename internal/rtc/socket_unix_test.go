//go:build unix

package rtc

import (
	"net"
	"syscall"
	"testing"
)

// Sockets have a larger receive buffer than the system's usual one, if the system lets them.
func TestSocketBuffer(t *testing.T) {
	s, err := Config{}.sockets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	loopback := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	wanted, err := net.ListenUDP("udp4", loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer wanted.Close()
	wanted.SetReadBuffer(socketBuffer)
	udp, err := s.ListenUDP("udp4", loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	packet, err := s.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packet.Close()
	for _, conn := range []any{udp, packet.(turnSocket).PacketConn} {
		if got, want := receiveBuffer(t, conn), receiveBuffer(t, wanted); got != want {
			t.Errorf("the buffer of %T has %d bytes, want %d", conn, got, want)
		}
	}
}

func receiveBuffer(t *testing.T, conn any) (size int) {
	t.Helper()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { size, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return size
}

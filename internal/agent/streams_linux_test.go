package agent

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"glasshouse/backend/microvm/channel"
)

// What the command prints fails to be written once nobody on the host reads it.
func TestReaderGone(t *testing.T) {
	here, there := net.Pipe()
	host, err := channel.Host(there)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	conn, err := channel.Guest(here)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s, err := openStreams(conn, &channel.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{channel.Stdout, channel.Stderr} {
		stream, err := host.Accept(name)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, stream) }()
		if name == channel.Stdout {
			_ = stream.Close()
		}
	}
	for end := time.Now().Add(10 * time.Second); ; {
		_, err := s.stdout.Write([]byte("x"))
		if errors.Is(err, unix.EPIPE) {
			break
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("the writes go on, %v", err)
		}
	}
	if _, err := s.stderr.Write([]byte("x")); err != nil {
		t.Error(err)
	}
}

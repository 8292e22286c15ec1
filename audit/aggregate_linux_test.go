package audit

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The portable tables agree with the system's. Two names differ on purpose:
// the kernel's own stand for the C library's alias and a newer one.
func TestNames(t *testing.T) {
	for n := int32(1); n <= 133; n++ {
		want := unix.ErrnoName(syscall.Errno(n))
		switch n {
		case 95:
			want = "EOPNOTSUPP"
		case 117:
			want = "EUCLEAN"
		}
		if got := errnoNames[n]; got != want {
			t.Errorf("errno %d is %q, want %q", n, got, want)
		}
	}
	for n := int32(1); n <= 31; n++ {
		if got, want := signalName(n), unix.SignalName(syscall.Signal(n)); got != want {
			t.Errorf("signal %d is %q, want %q", n, got, want)
		}
	}
	if got := errnoName(-5); got != "errno -5" {
		t.Errorf("got %q", got)
	}
}

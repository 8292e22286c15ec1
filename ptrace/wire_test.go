//go:build linux && (amd64 || arm64)

package ptrace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"glasshouse/audit"
)

func TestFrames(t *testing.T) {
	var out bytes.Buffer
	s := newSender(&out)
	var r audit.Record
	r.Reset(audit.RecordOpen, audit.OpOpen)
	r.Path(0, "/etc/passwd", 0)
	s.record(&r)
	s.answer(io.ErrClosedPipe)
	s.books(frameBooks, audit.Summary{Mode: "ptrace", Emitted: 1})
	in := bufio.NewReader(&out)
	var buf []byte
	for _, want := range []struct {
		kind byte
		data string
	}{
		{frameRecord, string(r.Append(nil))}, {frameAnswer, "io: read/write on closed pipe"}, {frameBooks, `"Emitted":1,`},
	} {
		kind, data, err := readFrame(in, &buf)
		if err != nil || kind != want.kind || !strings.Contains(string(data), want.data) {
			t.Errorf("%c %q, %v; want %c %q", kind, data, err, want.kind, want.data)
		}
	}
	if _, _, err := readFrame(in, &buf); err != io.EOF {
		t.Error(err)
	}
}

// What comes over the pipe is a process's that may be attacked: it takes no
// more memory than a frame may, and gives an error where it is none.
func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{'r', 3, 0, 0, 0, 1, 2, 3, 'b', 0, 0, 0, 0})
	f.Add([]byte{'r', 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{'r', 1, 0})
	f.Fuzz(func(t *testing.T, stream []byte) {
		in := bufio.NewReader(bytes.NewReader(stream))
		var buf []byte
		for taken := 0; ; {
			_, data, err := readFrame(in, &buf)
			if err == io.EOF {
				if taken != len(stream) {
					t.Errorf("%d of %d bytes", taken, len(stream))
				}
				return
			}
			if err != nil {
				return
			}
			taken += 5 + len(data)
		}
	})
}

// A tracer reads strings wherever they end.
func TestText(t *testing.T) {
	page := make([]byte, 3*pageSize)
	for i := range page {
		page[i] = 'x'
	}
	at := func(i int) uint64 { return uint64(uintptr(unsafe.Pointer(&page[i]))) }
	buf := make([]byte, pathMax)
	for _, n := range []int{0, 1, 255, 256, 257, 4000, 4095} {
		page[100+n] = 0
		s, whole := text(os.Getpid(), at(100), buf, (&tracer{}).memory)
		if len(s) != n || !whole {
			t.Errorf("%d bytes: %d, %v", n, len(s), whole)
		}
		page[100+n] = 'x'
	}
	if s, whole := text(os.Getpid(), at(100), buf, (&tracer{}).memory); whole || len(s) != len(buf) {
		t.Errorf("without an end: %d bytes, %v", len(s), whole)
	}
	if s, whole := text(os.Getpid(), 8, buf, (&tracer{}).memory); whole || len(s) != 0 {
		t.Errorf("nowhere: %q, %v", s, whole)
	}
}

// A record waits for others, but not for long.
func TestRecordGoesOut(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	s := newSender(w)
	var buf []byte
	for range 3 {
		var rec audit.Record
		rec.Reset(audit.RecordOpen, audit.OpOpen)
		s.record(&rec)
		if err := r.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, data, err := readFrame(bufio.NewReader(r), &buf); err != nil || !bytes.Equal(data, rec.Append(nil)) {
			t.Errorf("%x, %v", data, err)
		}
	}
}

// An order to adopt names all processes of a run, however many there are.
func TestOrders(t *testing.T) {
	want := []order{{Seize: 7, ParentPID: 1, ParentStart: 1 << 60}, {Adopt: make([]int, 50_000)}, {Stop: true}}
	for i := range want[1].Adopt {
		want[1].Adopt[i] = 1_000_000 + i
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer w.Close()
		for _, o := range want {
			if err := (&remote{orders: w}).order(o); err != nil {
				t.Error(err)
			}
		}
	}()
	var got []order
	takeOrders(r, func(o order) { got = append(got, o) })
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d of %d orders are as they were sent", len(got), len(want))
	}
}

// What the kernel said to the tracer comes through: it decides what would help.
func TestAnswers(t *testing.T) {
	for _, err := range []error{nil, io.ErrClosedPipe, fmt.Errorf("trace a process: %w", unix.EPERM)} {
		var out bytes.Buffer
		newSender(&out).answer(err)
		var buf []byte
		_, data, readErr := readFrame(bufio.NewReader(&out), &buf)
		got := answered(data)
		if readErr != nil || (err == nil) != (got == nil) || err != nil && got.Error() != err.Error() || errors.Is(err, unix.EPERM) != errors.Is(got, unix.EPERM) {
			t.Errorf("%v, %v; want %v", got, readErr, err)
		}
	}
	if err := answered([]byte("{")); err == nil {
		t.Error("no JSON, and no error")
	}
}

// Why nothing can be traced decides what would help.
func TestUnavailable(t *testing.T) {
	for err, hint := range map[error]string{
		fmt.Errorf("trace: %w", unix.EPERM):                                  "SYS_PTRACE",
		fmt.Errorf("filter: %w", unix.EOPNOTSUPP):                            "CONFIG_SECCOMP_FILTER",
		fmt.Errorf("start: %w", &os.PathError{Op: "fork", Err: unix.ENOENT}): "mount /proc",
		fmt.Errorf("start: %w", unix.EAGAIN):                                 "ulimit -u",
	} {
		var out *audit.UnavailableError
		if !errors.As(unavailable(err), &out) || !strings.Contains(out.Hint, hint) || !errors.Is(out, err) {
			t.Errorf("%v: %+v, want a hint of %q", err, out, hint)
		}
	}
	if out := unavailable(io.ErrUnexpectedEOF).(*audit.UnavailableError); out.Hint != "" {
		t.Errorf("the hint %q, of what is not known", out.Hint)
	}
}

// What is still to come from whoever serves a mapping is read by neither way, and
// what is there by the same ways as ever.
func TestPresent(t *testing.T) {
	size := os.Getpagesize()
	pages, err := unix.Mmap(-1, 0, 2*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(pages)
	copy(pages[size-4:], "name")
	at := uint64(uintptr(unsafe.Pointer(&pages[size-4])))
	buf := make([]byte, 8)
	check := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d bytes, want %d", what, got, want)
		}
	}
	served, not := &tracer{served: true}, &tracer{}
	check("memory, the second page to come", served.memory(os.Getpid(), at, buf), 4)
	check("forced, the second page to come", served.forced(os.Getpid(), at, buf), 4)
	check("all of it to come", len(served.present(os.Getpid(), at+4, buf)), 0)
	check("nobody serves", not.memory(os.Getpid(), at, buf), 8)
	pages[size] = 0
	check("memory, both there", served.memory(os.Getpid(), at, buf), 8)
	if err := unix.Mprotect(pages, unix.PROT_WRITE); err != nil {
		t.Fatal(err)
	}
	check("forced, for writing alone", served.forced(os.Getpid(), at, buf), 8)
	if string(buf[:4]) != "name" {
		t.Errorf("%q", buf)
	}
}

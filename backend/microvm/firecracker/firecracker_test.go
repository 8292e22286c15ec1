package firecracker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"glasshouse/backend/microvm/engine"
)

func machine(t *testing.T) engine.Machine {
	t.Helper()
	dir := t.TempDir()
	m := engine.Machine{
		Kernel: filepath.Join(dir, "vmlinux"), Initramfs: filepath.Join(dir, "initrd"), RootFS: filepath.Join(dir, "root.ext4"),
		CommandLine: "quiet -- guest", MemoryMiB: 128, CPUs: 1, Dir: dir,
	}
	for _, path := range []string{m.Kernel, m.Initramfs, m.RootFS} {
		if err := os.WriteFile(path, []byte("image"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestCheck(t *testing.T) {
	room := maxCommandLine - len(ownParameters()) - 1
	for _, tc := range []struct {
		name   string
		change func(*engine.Machine)
		want   string // a part of the error; "" is none
	}{
		{"as it is", func(*engine.Machine) {}, ""},
		{"no initramfs, no root", func(m *engine.Machine) { m.Initramfs, m.RootFS = "", "" }, ""},
		{"no CPU", func(m *engine.Machine) { m.CPUs = 0 }, "0 CPUs"},
		{"all CPUs", func(m *engine.Machine) { m.CPUs = 32 }, ""},
		{"too many CPUs", func(m *engine.Machine) { m.CPUs = 33 }, "33 CPUs"},
		{"no memory", func(m *engine.Machine) { m.MemoryMiB = 0 }, "0 MiB"},
		{"two lines", func(m *engine.Machine) { m.CommandLine = "a\nb" }, "printable ASCII"},
		{"no ASCII", func(m *engine.Machine) { m.CommandLine = "ä" }, "printable ASCII"},
		{"a full line", func(m *engine.Machine) { m.CommandLine = strings.Repeat("x", room) }, ""},
		{"a long line", func(m *engine.Machine) { m.CommandLine = strings.Repeat("x", room+1) }, "2048 bytes of 2047"},
	} {
		m := machine(t)
		tc.change(&m)
		err := check(m)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
	}
}

func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		path string
		want error
	}{
		{"", ErrNoPath},
		{filepath.Join(dir, "missing"), fs.ErrNotExist},
		{dir, ErrDirectory},
		{os.DevNull, ErrNotRegular},
		{empty, ErrEmptyFile},
	} {
		for _, part := range []string{"kernel", "initramfs", "root file system"} {
			if tc.path == "" && part != "kernel" {
				continue
			}
			m := machine(t)
			*map[string]*string{"kernel": &m.Kernel, "initramfs": &m.Initramfs, "root file system": &m.RootFS}[part] = tc.path
			err := check(m)
			var ours *Error
			if !errors.Is(err, tc.want) || !errors.As(err, &ours) || !strings.HasPrefix(ours.Reason, part) || !strings.Contains(ours.Reason, tc.path) {
				t.Errorf("%s %q: got %v, want %v", part, tc.path, err, tc.want)
			}
		}
	}
}

func TestCommandLine(t *testing.T) {
	if got, want := commandLine(engine.Machine{CommandLine: "a -- guest"}), ownParameters()+" a -- guest"; got != want {
		t.Errorf("got %q", got)
	}
	if got := commandLine(engine.Machine{}); got != ownParameters() {
		t.Errorf("got %q", got)
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]version{
		"1.8.0": {1, 8, 0}, "1.17.0-dev": {1, 17, 0}, "0.25.2\n": {0, 25, 2}, "1.10.1-12-gabc-dirty": {1, 10, 1},
	} {
		if got, err := parseVersion(text); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "1.8", "1.8.0.0", "v1.8.0", "1.8.x", "1.-8.0", "1.8.99999999", strings.Repeat("9", 1<<16)} {
		if got, err := parseVersion(text); err == nil || len(err.Error()) > 100 {
			t.Errorf("%q: %v, %v", clip(text, 20), got, err)
		}
	}
	for _, tc := range []struct {
		a, b version
		want bool
	}{
		{version{1, 7, 9}, version{1, 8, 0}, true}, {version{1, 8, 0}, version{1, 8, 0}, false}, {version{1, 8, 1}, version{1, 8, 0}, false},
		{version{0, 25, 0}, version{1, 8, 0}, true}, {version{2, 0, 0}, version{1, 8, 0}, false}, {version{1, 10, 0}, version{1, 8, 0}, false},
	} {
		if got := tc.a.before(tc.b); got != tc.want {
			t.Errorf("%v before %v: %v", tc.a, tc.b, got)
		}
	}
}

func TestTail(t *testing.T) {
	for _, tc := range []struct {
		name   string
		writes []string
		want   string
	}{
		{"nothing", nil, ""},
		{"lines", []string{"a\r\n", "b\r\r\n", "c"}, "a\nb\nc\n"},
		{"over pieces", []string{"a", "b\nc", "\n"}, "ab\nc\n"},
		{"just full", []string{"12345678\n1234567\n"}, "12345678\n1234567\n"},
		{"too much", []string{"1234\n", "12345678\n", "1234567\n"}, "1234567\n"},
		{"far too much", []string{strings.Repeat("x", 100) + "\nabc\n"}, "abc\n"},
		{"one line", []string{strings.Repeat("x", 40)}, strings.Repeat("x", 15) + "\n"},
		{"no text", []string{"\x1b[1m\xff"}, `\x1b[1m\xff` + "\n"},
		{"no text, longer", []string{"abcd\n\x1b\x1b\x1b\n"}, `\x1b\x1b\x1b` + "\n"},
	} {
		tail := newTail(17)
		if tc.name == "one line" {
			tail = newTail(16) // with the end of the line that there is none of
		}
		for _, w := range tc.writes {
			if n, err := tail.Write([]byte(w)); n != len(w) || err != nil {
				t.Errorf("%s: wrote %d, %v", tc.name, n, err)
			}
		}
		if got := tail.String(); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// FuzzTail: whatever a guest prints is bounded and can be shown.
func FuzzTail(f *testing.F) {
	f.Add([]byte("a\r\nb\x1b[2J\n"), []byte("c"), 16)
	f.Add([]byte(strings.Repeat("\x00", 100)), []byte("\n\n\n"), 7)
	f.Fuzz(func(t *testing.T, a, b []byte, most int) {
		if most < 1 || most > 1<<12 {
			return
		}
		tail := newTail(most)
		_, _ = tail.Write(a)
		_, _ = tail.Write(b)
		got := tail.String()
		if len(got) > most || len(tail.buf) > 2*most {
			t.Errorf("%d bytes from %d of %d", len(got), len(tail.buf), most)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }) {
			t.Errorf("%q", got)
		}
	})
}

func TestLast(t *testing.T) {
	for text, want := range map[string]string{"": "", "a\n": "a", "a\n\nb\n \nc\n": "b; c"} {
		if got := last(text, 2); got != want {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

func TestRefusalText(t *testing.T) {
	for body, want := range map[string]string{
		`{"fault_message":"no such\n drive"}`: "no such drive (400)",
		`{"fault_message":""}`:                `status 400: {"fault_message":""}`,
		`{"fault_message":1}`:                 `status 400: {"fault_message":1}`,
		``:                                    "status 400",
		"\x00":                                `status 400: \x00`,
	} {
		if got := refusal(400, []byte(body)).Error(); got != want {
			t.Errorf("%q: got %q", body, got)
		}
	}
	if got := refusal(400, []byte(`{"fault_message":"`+strings.Repeat("x", 5000)+`"}`)).Error(); len(got) > 1100 {
		t.Errorf("%d bytes", len(got))
	}
}

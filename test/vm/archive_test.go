package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// entries reads an archive as the kernel does.
func entries(t *testing.T, b []byte) []string {
	t.Helper()
	var out []string
	at := 0
	take := func(n int) string {
		if at+n > len(b) {
			t.Fatalf("cut at %d of %d bytes", at, len(b))
		}
		at += n
		return string(b[at-n : at])
	}
	for {
		if at%4 != 0 {
			t.Fatalf("a header at %d", at)
		}
		if magic := take(6); magic != "070701" {
			t.Fatalf("magic %q", magic)
		}
		var f [13]int
		for i := range f {
			n, err := strconv.ParseUint(take(8), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			f[i] = int(n)
		}
		name := take(f[11])
		at = (at + 3) &^ 3
		content := take(f[6])
		at = (at + 3) &^ 3
		if !strings.HasSuffix(name, "\x00") {
			t.Fatalf("name %q has no end", name)
		}
		name = strings.TrimSuffix(name, "\x00")
		if name == "TRAILER!!!" {
			if at != len(b) {
				t.Errorf("%d bytes after the end", len(b)-at)
			}
			return out
		}
		out = append(out, fmt.Sprintf("%06o %s %q", f[1], name, content))
	}
}

func TestArchive(t *testing.T) {
	var b bytes.Buffer
	a := newArchive(&b)
	a.file("/a/b/c", 0o755, []byte("12345"))
	a.link("/a/l", "b/c")
	a.dir("a")
	a.file("a/b/../b/c", 0o600, []byte("again"))
	a.file("/e", 0o644, nil)
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`040755 a ""`, `040755 a/b ""`, `100755 a/b/c "12345"`, `120777 a/l "b/c"`, `100644 e ""`,
	}
	if got := entries(t, b.Bytes()); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestArchiveError(t *testing.T) {
	a := newArchive(full{})
	a.file("big", 0o644, make([]byte, 3<<20))
	if err := a.close(); err == nil || err.Error() != "full" {
		t.Error(err)
	}
}

func TestSysroot(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"usr/bin", "etc/alternatives"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"bin": "usr/bin", "usr/bin/tool": "/etc/alternatives/tool", "etc/alternatives/tool": "../../bin/tool.real",
		"usr/bin/loop": "loop", "usr/bin/gone": "nowhere",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Skip(err) // Windows asks for a right
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "usr/bin/tool.real"), []byte("#!script"), 0o755); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	a := newArchive(&b)
	root := sysroot(dir)
	if err := root.program(a, "tool"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"loop", "gone", "missing"} {
		if err := root.program(a, name); err == nil {
			t.Errorf("%s was found", name)
		}
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`040755 usr ""`, `040755 usr/bin ""`, `120777 usr/bin/tool "/etc/alternatives/tool"`,
		`040755 etc ""`, `040755 etc/alternatives ""`, `120777 etc/alternatives/tool "../../bin/tool.real"`,
		`120777 bin "usr/bin"`, `100755 usr/bin/tool.real "#!script"`,
	}
	got := entries(t, b.Bytes())
	if len(got) < len(want) || strings.Join(got[:len(want)], "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

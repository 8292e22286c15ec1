package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"glasshouse/internal/cpio"
	"glasshouse/internal/cpio/cpiotest"
)

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
	a := cpio.NewWriter(&b)
	root := sysroot(dir)
	if err := root.program(a, "tool"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"loop", "gone", "missing"} {
		if err := root.program(a, name); err == nil {
			t.Errorf("%s was found", name)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`040755 usr ""`, `040755 usr/bin ""`, `120777 usr/bin/tool "/etc/alternatives/tool"`,
		`040755 etc ""`, `040755 etc/alternatives ""`, `120777 etc/alternatives/tool "../../bin/tool.real"`,
		`120777 bin "usr/bin"`, `100755 usr/bin/tool.real "#!script"`,
	}
	got := cpiotest.Entries(t, b.Bytes())
	if len(got) < len(want) || strings.Join(got[:len(want)], "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

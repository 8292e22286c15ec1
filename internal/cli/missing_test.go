package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Which machine lacks a program that is not there, and how it was looked for.
func TestMissing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte("#!/no/such\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	unknown := &exec.Error{Name: `a "b"`, Err: exec.ErrNotFound}
	nowhere := &fs.PathError{Op: "fork/exec", Path: "./nope", Err: syscall.ENOENT}
	script := &fs.PathError{Op: "fork/exec", Path: "./script", Err: syscall.ENOENT}
	far := func(err error) error { return errors.New(err.Error()) } // as it comes from a guest
	vm := runFlags{backend: "qemu"}
	sent := runFlags{backend: "firecracker", vm: vmFlags{workspace: "."}}
	for _, tc := range []struct {
		err  error
		f    runFlags
		want string
		hint string
	}{
		{unknown, runFlags{backend: "process"}, `this machine has no program a "b" in PATH`, ""},
		{nowhere, runFlags{backend: "process"}, "this machine has no ./nope", ""},
		{script, runFlags{backend: "process"}, "this machine has no ./script", ""},
		{script, runFlags{backend: "process", chdir: dir}, "this machine has not the interpreter that ./script names", ""},
		{far(unknown), vm, `the image's root file system has no program a "b" in PATH`, "glasshouse image build --rootfs"},
		{far(nowhere), vm, "the image's root file system has no ./nope, or not what runs it", "--workspace takes"},
		{far(nowhere), sent, "the image's root file system and the workspace have no ./nope, or not what runs it", "glasshouse image build --rootfs"},
	} {
		got := missing(tc.err, &tc.f)
		if got == nil || got.Error() != tc.want || !errors.Is(got, tc.err) {
			t.Errorf("%v: got %v, want %q", tc.err, got, tc.want)
			continue
		}
		if hint := hintOf(got); !strings.Contains(hint, tc.hint) || (hint == "") != (tc.hint == "") {
			t.Errorf("%v: the hint is %q", tc.err, hint)
		}
	}
	for _, err := range []error{
		nil, errors.New("no such file or directory"), &fs.PathError{Op: "fork/exec", Path: "/", Err: syscall.EACCES},
		&fs.PathError{Op: "chdir", Path: "/nope", Err: syscall.ENOENT}, fmt.Errorf("the machine ended: %w", nowhere), errors.New(`exec: "x: executable file not found in $PATH`),
	} {
		if got := missing(err, &vm); got != nil {
			t.Errorf("%v is taken for %v", err, got)
		}
	}
}

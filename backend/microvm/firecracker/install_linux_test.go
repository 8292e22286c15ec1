package firecracker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInstalled: what is found, and what is missing and how to come by it.
func TestInstalled(t *testing.T) {
	for _, tc := range []struct {
		name   string
		jailed bool
		s      scenario
		change func(*Engine)
		want   string // a part of the error; "" is none
		hint   string
	}{
		{"well", false, scenario{}, nil, "", ""},
		{"well, with a jailer", true, scenario{}, nil, "", ""},
		{"new", false, scenario{Version: "2.3.4-dev"}, nil, "", ""},
		{"missing", false, scenario{}, func(e *Engine) { e.Program += "-not" }, "no Firecracker: ", "install Firecracker 1.8.0 or newer"},
		{"not in PATH", false, scenario{}, func(e *Engine) { e.Program = "firecracker-not" }, "executable file not found", "install Firecracker 1.8.0"},
		{"old", false, scenario{Version: "1.7.0"}, nil, "is version 1.7.0, and 1.8.0 is the oldest", "install Firecracker 1.8.0 or newer"},
		{"no version", false, scenario{Version: "\x1b[1m"}, nil, `--version says "Firecracker v\x1b[1m"`, "--version"},
		{"no answer", false, scenario{Version: "hangs"}, func(e *Engine) { e.patience.version = soon }, "no answer within 1s", "--version"},
		{"failure", false, scenario{Version: "fails"}, nil, "exit status 1", "--version"},
		{"no jailer", false, scenario{}, func(e *Engine) { e.Jailer = "jailer-not" }, "no jailer: ", "do without"},
		{"another jailer", true, scenario{Jailer: "1.9.0"}, nil, "it is version 1.9.0, Firecracker is 1.8.0", "of one release"},
		{"no KVM", false, scenario{}, func(e *Engine) { e.kvm += "-not" }, "kvm-not: no such file or directory", "modprobe"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "no jailer" && os.Geteuid() != 0 {
				t.Skip("a jailer takes root")
			}
			e, _ := setUp(t, tc.jailed, tc.s)
			if tc.change != nil {
				tc.change(&e)
			}
			in, err := e.Installed(t.Context())
			if tc.want == "" {
				want := Installation{Program: e.Program, Version: or(tc.s.Version, "1.8.0"), Unjailed: NotWanted}
				if tc.jailed {
					want.Jailer, want.Unjailed = e.Jailer, ""
				}
				if err != nil || in != want {
					t.Errorf("got %+v, %v, want %+v", in, err, want)
				}
				return
			}
			var ours *Error
			if !errors.As(err, &ours) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(ours.Hint, tc.hint) {
				t.Errorf("got %v, %+v; want %q, hint %q", err, ours, tc.want, tc.hint)
			}
			if tc.name == "no KVM" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestFindJailer: by itself it is taken from beside Firecracker, then from
// PATH, if at all.
func TestFindJailer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a jailer takes root")
	}
	for _, tc := range []struct {
		name          string
		program       string
		beside, found string // names; found may be in PATH
		why           string
	}{
		{"none", "firecracker", "", "", NotInstalled},
		{"beside", "firecracker", "jailer", "jailer", ""},
		{"in PATH", "firecracker", "", "path/jailer", ""},
		{"of a release", "firecracker-v1.8.0-x86_64", "jailer-v1.8.0-x86_64", "jailer-v1.8.0-x86_64", ""},
		{"of another name", "fc", "", "", NotInstalled},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e, _ := setUp(t, false, scenario{})
			e.Jailer = ""
			dir := filepath.Dir(e.Program)
			t.Setenv("PATH", filepath.Join(dir, "path"))
			if err := os.Mkdir(filepath.Join(dir, "path"), 0o755); err != nil {
				t.Fatal(err)
			}
			program := filepath.Join(dir, tc.program)
			script(t, program, "Firecracker v1.8.0")
			e.Program = program
			for _, name := range []string{tc.beside, tc.found} {
				if name != "" {
					script(t, filepath.Join(dir, name), "Jailer v1.8.0")
				}
			}
			in, err := e.Installed(t.Context())
			want := Installation{Program: program, Version: "1.8.0", Unjailed: tc.why}
			if tc.found != "" {
				want.Jailer = filepath.Join(dir, tc.found)
			}
			if err != nil || in != want {
				t.Errorf("got %+v, %v, want %+v", in, err, want)
			}
		})
	}
}

// TestSymlink: the jailer names the jail after the file itself.
func TestSymlink(t *testing.T) {
	e, _ := setUp(t, false, scenario{})
	link := filepath.Join(t.TempDir(), "fc")
	if err := os.Symlink(e.Program, link); err != nil {
		t.Fatal(err)
	}
	program := e.Program
	e.Program = link
	if in, err := e.Installed(t.Context()); err != nil || in.Program != program {
		t.Errorf("got %+v, %v", in, err)
	}
}

// script makes a program that says one line.
func script(t *testing.T, path, line string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, "#!/bin/sh\necho '"+line+"'\n", 0o755)
}

// TestKVMOfOthers has the other remedy.
func TestKVMOfOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kvm")
	write(t, path, "", 0)
	if os.Geteuid() == 0 {
		// Root may open everything, but not with another's eyes: see setfsuid(2).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := unix.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Setfsuid(0) }()
	}
	var ours *Error
	if err := openKVM(path); !errors.As(err, &ours) || !strings.Contains(ours.Hint, "group kvm") {
		t.Errorf("got %v", err)
	}
}

//go:build amd64 || arm64

package ebpf

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"glasshouse/audit"
)

// The kernel that runs this takes the programs, and all hooks attach.
func TestLoad(t *testing.T) {
	hooks, err := Trial(t.Context(), Options{CaptureArgv: true})
	var unavailable *audit.UnavailableError
	var refused *ebpf.VerifierError
	switch {
	case errors.As(err, &refused):
		t.Fatalf("%v\n%+v", err, refused)
	case errors.As(err, &unavailable) && os.Getenv("CI") == "":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	if len(hooks) == 0 {
		t.Error("no hooks")
	}
	for _, h := range hooks {
		if !h.Attached {
			t.Errorf("%s: %s", h.Name, h.Err)
		}
	}
}

// Where the kernel takes programs on its functions, all that look at objects are
// attached; where it takes none they are left out, and nothing else is.
func TestLoadObjects(t *testing.T) {
	hooks, err := Trial(t.Context(), Options{Objects: true})
	var unavailable *audit.UnavailableError
	if errors.As(err, &unavailable) && os.Getenv("CI") == "" {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	want := 0
	if takesFunctions(t) {
		want = len(objectHooks)
	}
	got := 0
	for _, h := range hooks {
		if !h.Attached {
			t.Errorf("%s: %s", h.Name, h.Err)
		}
		if strings.HasPrefix(h.Name, "fentry/") {
			got++
		}
	}
	if got != want || len(hooks) == got {
		t.Errorf("%d of %d hooks are on functions, want %d", got, len(hooks), want)
	}
}

// takesFunctions tells whether the kernel takes a program that does nothing.
func takesFunctions(t *testing.T) bool {
	t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFEntry, AttachTo: "security_path_unlink", License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		t.Log(err)
		return false
	}
	defer prog.Close()
	l, err := link.AttachTracing(link.TracingOptions{Program: prog, AttachType: ebpf.AttachTraceFEntry})
	if err != nil {
		t.Log(err)
		return false
	}
	return l.Close() == nil
}

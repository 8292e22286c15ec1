//go:build amd64 || arm64

package ebpf

import (
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf"

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

//go:build linux && (amd64 || arm64)

package ebpf

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// loadByLibrary loads an object of which the kernel takes no program on tp_btf
// before the library has found its tracepoint.
func loadByLibrary(t *testing.T, o object) (*probes, error) {
	t.Helper()
	types, err := o.kernelTypes()
	if errors.Is(err, os.ErrNotExist) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	types.ids = nil
	p, err := o.load(func() (*kernelTypes, error) { return types, nil })
	var refused *ebpf.VerifierError
	if errors.Is(err, os.ErrPermission) && !errors.As(err, &refused) {
		t.Skip(err)
	}
	return p, err
}

// A program that is not taken as it is loaded is loaded by the library.
func TestLibraryLoads(t *testing.T) {
	p, err := loadByLibrary(t, read(Options{}))
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := p.attach(); err != nil {
		t.Error(err)
	}
}

// The log of the verifier names the lines of source.
func TestRefusalNamesLines(t *testing.T) {
	o := read(Options{})
	lines, err := o.lines()
	if err != nil {
		t.Fatal(err)
	}
	insn := &lines.Programs[probesProgTaskNewtask].Instructions[1]
	*insn = asm.LoadMem(asm.R1, asm.R9, 0, asm.DWord).WithMetadata(insn.Metadata) // of a register that nothing was put into
	p, err := loadByLibrary(t, o)
	var refused *ebpf.VerifierError
	switch {
	case err == nil:
		p.close()
		t.Fatal("the program was taken")
	case !errors.As(err, &refused):
		t.Fatal(err)
	case !slices.ContainsFunc(refused.Log, func(line string) bool { return strings.HasPrefix(line, ";") }):
		t.Errorf("no line of source in %q", refused.Log)
	}
}

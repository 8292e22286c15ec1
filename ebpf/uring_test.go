//go:build linux && (amd64 || arm64)

package ebpf

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"glasshouse/audit/calls"
)

// A typing error must not leave an operation unrecorded.
func TestURingOps(t *testing.T) {
	for opcode, op := range uringOps {
		if _, ok := calls.Table[op.like]; !ok && op.like != "" {
			t.Errorf("%s: no call %q", op.name, op.like)
		}
		if op.like != "" && op.gap != "" {
			t.Errorf("%s is recorded, and a gap", op.name)
		}
		if uringName(uint32(opcode)) != op.name {
			t.Errorf("%s has another name", op.name)
		}
	}
	if got := uringName(uringUnknown); got != "operation 255" {
		t.Errorf("got %s", got)
	}
}

// The table is this kernel's, as far as this kernel has the operations.
func TestURingOpsOfThisKernel(t *testing.T) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		if os.Getenv("CI") == "" && (errors.Is(err, os.ErrNotExist) || errors.Is(err, btf.ErrNotSupported)) {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	var ops *btf.Enum
	if err := kernel.TypeByName("io_uring_op", &ops); errors.Is(err, btf.ErrNotFound) {
		return // before Linux 6.0 the enum has no name
	} else if err != nil {
		t.Fatal(err)
	}
	for _, v := range ops.Values {
		name := strings.ToLower(strings.TrimPrefix(v.Name, "IORING_OP_"))
		if name == "last" {
			continue
		}
		if v.Value < uint64(len(uringOps)) && uringOps[v.Value].name != name {
			t.Errorf("operation %d is %s, not %s", v.Value, name, uringOps[v.Value].name)
		}
	}
}

//go:build linux && (amd64 || arm64)

package ebpf

import (
	"bytes"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// What is cut out of the kernel's types stands for all of them.
func TestKernelTypes(t *testing.T) {
	all, err := btf.LoadKernelSpec()
	if err != nil {
		t.Skip(err)
	}
	o := read(Options{})
	cut, err := o.kernelTypes()
	if err != nil {
		t.Fatal(err)
	}
	spec, err := o.spec()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fitKernel(cut.Spec), fitKernel(all); got.typedTask != want.typedTask ||
		got.uring.results != want.uring.results || got.uring.submitArg != want.uring.submitArg {
		t.Errorf("fit: got %v, want %v", got, want)
	}
	relocations := 0
	for name, program := range spec.Programs {
		var relos []*btf.CORERelocation
		for i := range program.Instructions {
			if r := btf.CORERelocationMetadata(&program.Instructions[i]); r != nil {
				relos = append(relos, r)
			}
		}
		fixups := func(types *btf.Spec) []btf.COREFixup {
			var local btf.Builder
			fixups, err := btf.CORERelocate(relos, []*btf.Spec{types}, spec.ByteOrder, local.Add)
			if err != nil {
				t.Fatal(err)
			}
			return fixups
		}
		got, want := fixups(cut.Spec), fixups(all)
		for i := range relos {
			if got[i] != want[i] {
				t.Errorf("%s: %v: got %v, want %v", name, relos[i], &got[i], &want[i])
			}
		}
		relocations += len(relos)

		var tracepoint *btf.Typedef
		if all.TypeByName(tracepointType(name), &tracepoint) != nil {
			continue // of io_uring, in another kernel
		}
		if want, err := all.TypeID(tracepoint); err != nil || cut.ids[tracepointType(name)] != want {
			t.Errorf("%s: got %d, want %d: %v", name, cut.ids[tracepointType(name)], want, err)
		}
	}
	if relocations == 0 {
		t.Error("nothing was relocated")
	}
	if objects, err := read(Options{Objects: true}).kernelTypes(); err != nil {
		t.Error(err)
	} else {
		for _, name := range objectHooks {
			var f *btf.Func
			if err := all.TypeByName(name, &f); err != nil {
				t.Error(err)
			} else if want, err := all.TypeID(f); err != nil || objects.ids[name] != want {
				t.Errorf("%s: got %d, want %d: %v", name, objects.ids[name], want, err)
			}
		}
	}
}

// The object's own types are in the kernel's format.
func FuzzKernelBTF(f *testing.F) {
	spec, err := loadProbes()
	if err != nil {
		f.Fatal(err)
	}
	var types btf.Builder
	for _, name := range []string{"task_struct", "file", "io_kiocb", "op"} {
		found, err := spec.Types.AnyTypeByName(name)
		if err != nil {
			f.Fatal(err)
		}
		if _, err := types.Add(found); err != nil {
			f.Fatal(err)
		}
	}
	raw, err := types.Marshal(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Fuzz(func(t *testing.T, raw []byte) {
		all, err := newKernelBTF(bytes.Clone(raw))
		if err != nil {
			return
		}
		_, _ = all.functions([]string{"task_struct", "tell"})
		_, _ = all.cut(map[string]bool{"task_struct": true, "file": true, "io_kiocb": true, "op": true})
	})
}

//go:build linux && (amd64 || arm64)

package ebpf

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"glasshouse/audit"
	"glasshouse/audit/calls"
)

// layouts pairs the C types that user space reads or writes with the Go
// types that it does so with. The members of a C struct must lie where the Go
// struct has its fields, in the same order.
var layouts = []struct {
	c string // struct name, or event.member for one of its bodies
	g any
}{
	{"event", audit.WireHead{}},
	{"segment", audit.WireSegment{}},
	{"event.again", audit.WireAgain{}},
	{"event.fork", audit.WireFork{}},
	{"event.exec", audit.WireExec{}},
	{"event.argv", audit.WireArgv{}},
	{"event.exit", audit.WireExit{}},
	{"event.file", audit.WireFile{}},
	{"event.io", audit.WireIO{}},
	{"event.net", audit.WireNet{}},
	{"event.accept", audit.WireAccept{}},
	{"counters", counters{}},
	{"mark", mark{}},
	{"fold", fold{}},
	{"call", calls.Call{}},
	{"call_count", callCount{}},
	{"uring_count", uringCount{}},
	{"request", request{}},
	{"flight", flight{}},
}

// checkObject tells if spec is the object that this program was built for.
func checkObject(spec *ebpf.CollectionSpec) error {
	own, err := loadProbes()
	if err != nil {
		return err
	}
	for name, m := range own.Maps {
		o, ok := spec.Maps[name]
		if !ok {
			return fmt.Errorf("map %s is missing", name)
		}
		if o.Type != m.Type || o.KeySize != m.KeySize || o.ValueSize != m.ValueSize || o.MaxEntries != m.MaxEntries {
			return fmt.Errorf("map %s is another", name)
		}
	}
	for name, p := range own.Programs {
		o, ok := spec.Programs[name]
		if !ok {
			return fmt.Errorf("program %s is missing", name)
		}
		if o.Type != p.Type || o.AttachType != p.AttachType || o.AttachTo != p.AttachTo {
			return fmt.Errorf("program %s is another", name)
		}
	}
	for name := range own.Variables {
		if _, ok := spec.Variables[name]; !ok {
			return fmt.Errorf("variable %s is missing", name)
		}
	}
	return checkLayouts(spec)
}

func checkLayouts(spec *ebpf.CollectionSpec) error {
	if spec.Types == nil {
		return errors.New("no BTF")
	}
	for _, l := range layouts {
		if err := checkLayout(spec.Types, l.c, reflect.TypeOf(l.g)); err != nil {
			return fmt.Errorf("struct %s: %w", l.c, err)
		}
	}
	return nil
}

func checkLayout(types *btf.Spec, name string, g reflect.Type) error {
	members, size, err := structOf(types, name)
	if err != nil {
		return err
	}
	if uintptr(size) != g.Size() {
		return fmt.Errorf("%d bytes, not %d", size, g.Size())
	}
	if len(members) != g.NumField() {
		return fmt.Errorf("%d members, not %d", len(members), g.NumField())
	}
	for i, m := range members {
		f := g.Field(i)
		n, err := btf.Sizeof(m.Type)
		if err != nil {
			return err
		}
		if m.BitfieldSize != 0 {
			n = int(m.BitfieldSize / 8)
		}
		if uintptr(m.Offset.Bytes()) != f.Offset || uintptr(n) != f.Type.Size() {
			return fmt.Errorf("member %s has %d bytes at %d, not %d at %d", m.Name, n, m.Offset.Bytes(), f.Type.Size(), f.Offset)
		}
	}
	return nil
}

// structOf finds a struct by name; "event.fork" is a struct inside event.
func structOf(types *btf.Spec, name string) ([]btf.Member, uint32, error) {
	var s *btf.Struct
	if err := types.TypeByName("event", &s); err != nil {
		return nil, 0, err
	}
	inner := slices.Clone(s.Members)
	for _, m := range s.Members {
		if u, ok := m.Type.(*btf.Union); ok {
			inner = append(inner, u.Members...)
		}
	}
	for _, m := range inner {
		if t, ok := m.Type.(*btf.Struct); ok && "event."+m.Name == name {
			return t.Members, t.Size, nil
		}
	}
	if err := types.TypeByName(name, &s); err != nil {
		return nil, 0, err
	}
	return s.Members, s.Size, nil
}

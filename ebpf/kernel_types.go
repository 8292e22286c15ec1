//go:build linux && (amd64 || arm64)

package ebpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// kernelTypes are those of the kernel's types that have one of some names, and
// what lies inside of them. Pointers lead nowhere, but for those to functions:
// what they point to counts only if it was asked for by its name.
type kernelTypes struct {
	*btf.Spec
	ids map[string]btf.TypeID // the kernel's own numbers of those that no other shares its name with, and of functions
}

// kernelBTF is the kernel's description of its own types. There are more than
// a hundred thousand, of which some dozens are needed: to find these takes a
// tenth of the time that it takes to make them all ready for use.
// The format is that of Documentation/bpf/btf.rst.
type kernelBTF struct {
	types, strings []byte
	offsets        []uint32 // into types, by number
	named          []uint32 // the numbers of structs, unions, enums and typedefs with a name
	mapped         []byte   // nil if it was read
}

// The kinds of types.
const (
	kindInt       = 1
	kindPtr       = 2
	kindArray     = 3
	kindStruct    = 4
	kindUnion     = 5
	kindEnum      = 6
	kindFwd       = 7
	kindTypedef   = 8
	kindVolatile  = 9
	kindConst     = 10
	kindRestrict  = 11
	kindFunc      = 12
	kindFuncProto = 13
	kindVar       = 14
	kindDatasec   = 15
	kindFloat     = 16
	kindDeclTag   = 17
	kindTypeTag   = 18
	kindEnum64    = 19
)

// kindForm says what comes after the head of a type: its size, that of each of
// the items that the head counts, and where in such an item the name of
// something and the number of a type stand, as flags by 4 bytes.
type kindForm struct {
	known       bool
	size, item  uint8
	names, refs uint8
	searched    bool // whether it is found by its name
}

const headSize = 12

var kindForms = [32]kindForm{
	kindInt:       {known: true, size: 4},
	kindPtr:       {known: true},
	kindArray:     {known: true, size: 12},
	kindStruct:    {known: true, item: 12, names: 1, refs: 2, searched: true},
	kindUnion:     {known: true, item: 12, names: 1, refs: 2, searched: true},
	kindEnum:      {known: true, item: 8, names: 1, searched: true},
	kindFwd:       {known: true},
	kindTypedef:   {known: true, searched: true},
	kindVolatile:  {known: true},
	kindConst:     {known: true},
	kindRestrict:  {known: true},
	kindFunc:      {known: true},
	kindFuncProto: {known: true, item: 8, names: 1, refs: 2},
	kindVar:       {known: true, size: 4},
	kindDatasec:   {known: true, item: 12},
	kindFloat:     {known: true},
	kindDeclTag:   {known: true, size: 4},
	kindTypeTag:   {known: true},
	kindEnum64:    {known: true, item: 12, names: 1, searched: true},
}

var (
	le            = binary.LittleEndian
	errNotThisBTF = errors.New("not a form of BTF that is known")
)

// openKernelBTF reads the running kernel's.
func openKernelBTF() (*kernelBTF, error) {
	f, err := os.Open("/sys/kernel/btf/vmlinux")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// It never changes, so it may be mapped; Linux does that from 6.16 on.
	raw, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	mapped := raw
	if err != nil {
		raw, err = os.ReadFile(f.Name())
	}
	if err != nil {
		return nil, err
	}
	k, err := newKernelBTF(raw)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", f.Name(), err), unmap(mapped))
	}
	k.mapped = mapped
	return k, nil
}

// close lets go of it; what was cut out of it stays.
func (k *kernelBTF) close() { _ = unmap(k.mapped) }

func unmap(mapped []byte) error {
	if mapped == nil {
		return nil
	}
	return unix.Munmap(mapped)
}

func newKernelBTF(raw []byte) (*kernelBTF, error) {
	if len(raw) < 24 || le.Uint16(raw) != 0xeb9f {
		return nil, errNotThisBTF
	}
	section := func(at int) []byte {
		start := uint64(le.Uint32(raw[4:])) + uint64(le.Uint32(raw[at:]))
		end := start + uint64(le.Uint32(raw[at+4:]))
		if end > uint64(len(raw)) {
			return nil
		}
		return raw[start:end]
	}
	k := &kernelBTF{types: section(8), strings: section(16)}
	if len(k.strings) == 0 || k.strings[len(k.strings)-1] != 0 {
		return nil, errNotThisBTF
	}
	k.offsets = append(make([]uint32, 0, len(k.types)/24), 0) // void has no description
	k.named = make([]uint32, 0, cap(k.offsets)/8)
	for off := 0; off < len(k.types); {
		if len(k.types)-off < headSize {
			return nil, errNotThisBTF
		}
		kind, vlen := kindOf(k.types[off:])
		form := &kindForms[kind]
		if !form.known {
			return nil, errNotThisBTF
		}
		if form.searched && le.Uint32(k.types[off:]) != 0 {
			k.named = append(k.named, uint32(len(k.offsets)))
		}
		k.offsets = append(k.offsets, uint32(off))
		off += headSize + int(form.size) + vlen*int(form.item)
		if off > len(k.types) {
			return nil, errNotThisBTF
		}
	}
	return k, nil
}

func kindOf(head []byte) (kind uint8, vlen int) {
	info := le.Uint32(head[4:])
	return uint8(info >> 24 & 0x1f), int(info & 0xffff)
}

// essential is a name without what comes after three underscores, by which
// an object tells the forms of one type in several kernels apart.
func essential(name []byte) []byte {
	if i := bytes.LastIndex(name, []byte("___")); i > 0 {
		return name[:i]
	}
	return name
}

// functions returns the numbers of those functions of these names that there
// are, and that no other shares its name with.
func (k *kernelBTF) functions(names []string) (map[string]btf.TypeID, error) {
	found := make(map[string]btf.TypeID)
	if len(names) == 0 {
		return found, nil
	}
	for id, off := range k.offsets[min(1, len(k.offsets)):] {
		if kind, _ := kindOf(k.types[off:]); kind != kindFunc {
			continue
		}
		name, err := k.name(le.Uint32(k.types[off:]))
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(names, func(n string) bool { return n == string(name) }); i >= 0 {
			if _, twice := found[names[i]]; twice {
				id = -1
			}
			found[names[i]] = btf.TypeID(id + 1)
		}
	}
	return found, nil
}

// cut returns the types of these names.
func (k *kernelBTF) cut(names map[string]bool) (*kernelTypes, error) {
	c := cutting{kernelBTF: k, ids: make(map[uint32]uint32), strings: []byte{0}, texts: make(map[uint32]uint32)}
	found := make(map[string]btf.TypeID)
	for _, id := range k.named {
		name, err := k.name(le.Uint32(k.types[k.offsets[id]:]))
		if err != nil {
			return nil, err
		}
		if name = essential(name); !names[string(name)] {
			continue
		}
		c.number(id)
		if _, twice := found[string(name)]; twice {
			id = 0
		}
		found[string(name)] = btf.TypeID(id)
	}
	raw, err := c.cut()
	if err != nil {
		return nil, err
	}
	spec, err := btf.LoadSplitSpecFromReader(bytes.NewReader(raw), nil)
	if err != nil {
		return nil, fmt.Errorf("read the kernel's types: %w", err)
	}
	return &kernelTypes{Spec: spec, ids: found}, nil
}

func (k *kernelBTF) name(at uint32) ([]byte, error) {
	if uint64(at) >= uint64(len(k.strings)) {
		return nil, errNotThisBTF
	}
	s := k.strings[at:]
	return s[:bytes.IndexByte(s, 0)], nil
}

// cutting makes BTF of a part of a kernel's types. These get new numbers, in
// the order in which they are come upon.
type cutting struct {
	*kernelBTF
	ids     map[uint32]uint32 // new numbers by old ones
	order   []uint32          // old numbers by new ones, less one
	types   []byte
	strings []byte
	texts   map[uint32]uint32 // new places of strings by old ones
	err     error
}

func (c *cutting) cut() ([]byte, error) {
	for i := 0; i < len(c.order) && c.err == nil; i++ { // order grows
		c.copy(c.order[i])
	}
	raw := make([]byte, 0, 24+len(c.types)+len(c.strings))
	raw = le.AppendUint32(raw, 0x1eb9f) // with the version
	for _, n := range []int{24, 0, len(c.types), len(c.types), len(c.strings)} {
		raw = le.AppendUint32(raw, uint32(n))
	}
	return append(append(raw, c.types...), c.strings...), c.err
}

// number is the new number of a type, which will be copied.
func (c *cutting) number(old uint32) uint32 {
	if old == 0 {
		return 0
	}
	id, ok := c.ids[old]
	if !ok {
		c.order = append(c.order, old)
		id = uint32(len(c.order))
		c.ids[old] = id
	}
	return id
}

func (c *cutting) text(old uint32) uint32 {
	if old == 0 {
		return 0
	}
	at, ok := c.texts[old]
	if !ok {
		name, err := c.name(old)
		if err != nil {
			c.err = err
		}
		at = uint32(len(c.strings))
		c.strings = append(append(c.strings, name...), 0)
		c.texts[old] = at
	}
	return at
}

// copy copies a type, with new numbers in place of old ones.
func (c *cutting) copy(id uint32) {
	old, err := c.description(id)
	if err != nil {
		c.err = err
		return
	}
	kind, _ := kindOf(old)
	form := kindForms[kind]
	start := len(c.types)
	c.types = append(c.types, old...)
	t := c.types[start:]
	c.renumber(t, 0, c.text)
	switch kind {
	case kindTypedef, kindVolatile, kindConst, kindRestrict, kindTypeTag, kindFuncProto:
		c.renumber(t, 8, c.number)
	case kindPtr:
		c.renumber(t, 8, c.target)
	case kindArray:
		c.renumber(t, headSize, c.number)
		c.renumber(t, headSize+4, c.number)
	case kindFunc, kindVar, kindDatasec, kindDeclTag:
		c.err = errNotThisBTF // nothing is made of these
	}
	if form.item == 0 {
		return
	}
	for at := headSize; at < len(t); at += int(form.item) {
		c.renumber(t, at, c.text)
		if form.refs != 0 {
			c.renumber(t, at+4, c.number)
		}
	}
}

func (c *cutting) renumber(t []byte, at int, number func(uint32) uint32) {
	le.PutUint32(t[at:], number(le.Uint32(t[at:])))
}

// target is the new number of what a pointer points to.
func (c *cutting) target(old uint32) uint32 {
	t, err := c.description(old)
	if err != nil {
		return 0
	}
	if kind, _ := kindOf(t); kind != kindFuncProto {
		return 0
	}
	return c.number(old)
}

// description returns the bytes of a type.
func (k *kernelBTF) description(id uint32) ([]byte, error) {
	if id == 0 || uint64(id) >= uint64(len(k.offsets)) {
		return nil, errNotThisBTF
	}
	if next := int(id) + 1; next < len(k.offsets) {
		return k.types[k.offsets[id]:k.offsets[next]], nil
	}
	return k.types[k.offsets[id]:], nil
}
